"""A server on a file next to the project: found, started, and started again when whoever had it is gone."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

from .discover import binary, listens, read_key, read_server
from .errors import Auth, EverloopError, Unreachable
from .transport import Transport

log = logging.getLogger("everloop")

#: How long a server may take to be there, or a folder to be free, in seconds.
START = 30.0
#: How long a server may take to stop before it is killed, in seconds.
STOP = 20.0
LOOK = 0.01
#: How often in a row a server may refuse to start for another reason than that its folder is in use.
REFUSALS = 3


class Embedded:
    """The server of a data folder: another process's while that lives, else our own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._is_stopping = False
        self._refusals = 0
        url, key = self._there()
        self.transport = Transport(url, key, on_unreachable=self._again)

    def _again(self) -> None:
        """Nobody answers: looks for the server anew, and starts one where there is none."""
        if self._is_stopping or threading.current_thread().name == "everloop-stop":
            return
        with self._lock:
            if listens(self.transport.url):
                return
            url, key = self._found_or_started()
            if url != self.transport.url:
                log.info("the server is at %s now", url)
                self.transport.point(url, key)

    def _there(self) -> tuple[str, str | None]:
        with self._lock:
            return self._found_or_started()

    def _found_or_started(self) -> tuple[str, str | None]:
        ends = time.monotonic() + START
        said = ""
        while time.monotonic() < ends:
            server = read_server(self.folder)
            if server is not None and listens(server["url"]):
                return server["url"], self._key_for(server["url"])
            said = self._start() or said
            if self.process is not None:
                server = read_server(self.folder)
                assert server is not None
                return server["url"], self._key_for(server["url"])
            # Somebody else has the folder: they are starting, or still stopping.
            time.sleep(0.05)
        raise Unreachable(
            f"no server could be started for {self.folder}: {said or 'it did not answer'}", code="not_started"
        )

    def _key_for(self, url: str) -> str | None:
        """The key to show: none to a server in dev mode, which asks for none and refuses a wrong one."""
        asking = Transport(url)
        try:
            asking.call("GET", "/api/v1/about")
        except Auth:
            return read_key(self.folder)
        except EverloopError:
            # Whoever asks it something will hear why.
            pass
        finally:
            asking.close()
        return None

    def _start(self) -> str:
        """Starts a server: nothing, or what it said when it ended at once."""
        if self.process is not None:
            self._reap(self.process)
            self.process = None
        self.folder.mkdir(parents=True, exist_ok=True)
        log_file = self.folder / f"embedded-{os.getpid()}.log"
        command = [binary(), "dev", "--data-dir", str(self.folder), "--listen", "127.0.0.1:0", "--with-parent"]
        with open(log_file, "wb") as stderr:
            # Its input is a pipe that nobody writes to: when this process dies, however it dies, the server stops by itself.
            # What the terminal says to us, it does not say to the server.
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                start_new_session=True,
            )
        ends = time.monotonic() + START
        while time.monotonic() < ends:
            server = read_server(self.folder)
            if server is not None and server.get("pid") == process.pid and listens(server["url"]):
                self.process = process
                return ""
            if process.poll() is not None:
                self._reap(process)
                said = log_file.read_text(errors="replace").strip()
                log_file.unlink(missing_ok=True)
                self._refusals = 0 if _is_in_use(said) else self._refusals + 1
                # Two that begin a new folder at once may stumble over each other's files.
                if self._refusals >= REFUSALS:
                    raise EverloopError(f"the server stopped at once: {said}", code="not_started")
                return said
            time.sleep(LOOK)
        process.kill()
        self._reap(process)
        return "it did not answer"

    @staticmethod
    def _reap(process: subprocess.Popen[bytes]) -> None:
        if process.stdin is not None:
            process.stdin.close()
        try:
            process.wait(STOP)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def stop(self) -> None:
        """Stops the server if it is ours."""
        self._is_stopping = True
        self.transport.close()
        with self._lock:
            if self.process is not None:
                self.process.terminate()
                self._reap(self.process)
                (self.folder / f"embedded-{os.getpid()}.log").unlink(missing_ok=True)
                self.process = None


def _is_in_use(said: str) -> bool:
    """Whether the folder is another server's: one that is starting, or still stopping."""
    return "another process" in said


# --- who works here -------------------------------------------------------------------------------------------------------


def _start_of(pid: int) -> str | None:
    """When a process began, so that another one with its number is not taken for it; None where nobody can tell."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The name of the program stands in brackets and may contain anything; the 22nd field is the 20th behind it.
    return text.rpartition(")")[2].split()[19]


def _boot() -> str | None:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None


def note_worker(folder: Path, worker: str) -> Path:
    """Says in the data folder which process a worker lives in."""
    noted = folder / "workers"
    noted.mkdir(parents=True, exist_ok=True)
    file = noted / f"{worker}.json"
    pid = os.getpid()
    record = {"pid": pid, "start": _start_of(pid), "boot": _boot(), "worker": worker}
    draft = file.with_suffix(".new")
    draft.write_text(json.dumps(record))
    draft.replace(file)
    return file


def _is_alive(record: dict[str, Any]) -> bool:
    if record.get("boot") is not None and record["boot"] != _boot():
        return False
    pid = int(record["pid"])
    if record.get("start") is not None and os.path.exists("/proc/self/stat"):
        return _start_of(pid) == str(record["start"])
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def remove_dead_workers(folder: Path, transport: Transport) -> list[str]:
    """Takes off the server what was left by processes that are gone: their tasks are given back at once."""
    removed = []
    for file in sorted((folder / "workers").glob("*.json")):
        try:
            record = json.loads(file.read_text())
            alive = _is_alive(record)
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if alive:
            continue
        try:
            transport.call("DELETE", f"/api/v1/workers/{record['worker']}", repeatable=True)
        except EverloopError as error:
            if error.code != "not_found":
                log.warning("worker %s is gone and could not be removed: %s", record["worker"], error)
                continue
        file.unlink(missing_ok=True)
        removed.append(str(record["worker"]))
    return removed
