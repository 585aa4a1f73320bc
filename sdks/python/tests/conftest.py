"""A server for the tests, and what they ask of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from everloop import Client, Worker
from everloop.discover import listens
from everloop.transport import Transport

T = TypeVar("T")

HERE = Path(__file__).resolve().parent
SDK = HERE.parent
ROOT = SDK.parent.parent


def binary() -> str:
    """EVERLOOP_BIN, else the program that was built for debugging."""
    return os.environ.get("EVERLOOP_BIN") or str(ROOT / "target/debug/everloop")


os.environ["EVERLOOP_BIN"] = binary()
for name in ("EVERLOOP_URL", "EVERLOOP_API_KEY", "EVERLOOP_DATA_DIR"):
    os.environ.pop(name, None)


def until(look: Callable[[], T], seconds: float = 90.0) -> T:
    """Looks until there is something to see."""
    ends = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < ends, f"nothing came within {seconds} s"
        time.sleep(0.01)


class Server:
    """A server of the test's own."""

    def __init__(self, folder: Path, *more: str) -> None:
        self.folder = folder
        self.more = more
        self.data = folder / "data"
        self.process: subprocess.Popen[bytes] | None = None
        self.url = ""
        self.start()

    def start(self) -> None:
        """Starts it, at the same address as before where it had one."""
        listen = self.url.removeprefix("http://") or "127.0.0.1:0"
        command = [binary(), "dev", "--data-dir", str(self.data), "--listen", listen, *self.more]
        log = open(self.folder / "server.log", "ab")
        env = {**os.environ, "XDG_STATE_HOME": str(self.folder)}
        self.process = subprocess.Popen(command, stderr=log, stdout=subprocess.DEVNULL, env=env)
        log.close()
        pid = self.process.pid

        def ready() -> Any:
            assert self.process is not None
            assert self.process.poll() is None, (self.folder / "server.log").read_text()
            try:
                found = json.loads((self.data / "server.json").read_text())
            except (OSError, ValueError):
                return None
            return found["pid"] == pid and listens(found["url"]) and found["url"]

        self.url = until(ready)

    def kill(self) -> None:
        """Kills it: it learns nothing of its end."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def client(self) -> Client:
        """A client of it."""
        return Client(transport=Transport(self.url))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("server"))
    yield made
    made.kill()


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    made = server.client()
    yield made
    made.close()


#: An interpreter with the package installed, where it is that one's scripts that are tested, and not the sources.
INSTALLED = os.environ.get("EVERLOOP_TEST_PYTHON")


def environment(**more: str) -> dict[str, str]:
    """The environment of a script."""
    if INSTALLED:
        # What is installed brings the program along.
        return {**{k: v for k, v in os.environ.items() if k != "EVERLOOP_BIN"}, "PYTHONUNBUFFERED": "1", **more}
    path = os.pathsep.join([str(SDK / "src"), str(SDK)])
    return {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", **more}


def start(script: str | Path, *args: str, **more: str) -> subprocess.Popen[str]:
    """Starts a script."""
    return subprocess.Popen(
        [INSTALLED or sys.executable, str(script), *args],
        env=environment(**more),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(script).parent,
    )


def finish(process: subprocess.Popen[str], seconds: float = 120.0) -> str:
    """What a script has said when it has ended well."""
    out, err = process.communicate(timeout=seconds)
    assert process.returncode == 0, f"{out}\n{err}"
    return out


@pytest.fixture
def working(server: Server) -> Iterator[Callable[..., Worker]]:
    """Starts workers in this process that are stopped at the end of the test."""
    workers: list[Worker] = []

    def begin(*tasks: Any, **options: Any) -> Worker:
        worker = Worker(tasks, transport=Transport(server.url), drain=2.0, **options)
        worker.start()
        workers.append(worker)
        return worker

    yield begin
    for worker in workers:
        worker.stop()
        worker.core.transport.close()
