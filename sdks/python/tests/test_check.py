"""The commands that show what does not do the same again: before a deploy, and on the first run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from everloop import Worker, step, task

from .conftest import SDK, Server, binary, environment, until

KIT = SDK / "conformance/kit.py"


@pytest.fixture
def own(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Server]:
    server = Server(tmp_path, *getattr(request, "param", ()))
    yield server
    server.kill()


def checked(server: Server, **more: str) -> subprocess.CompletedProcess[str]:
    command = [binary(), "replay", "--check", "--", sys.executable, str(KIT)]
    env = environment(EVERLOOP_URL=server.url, XDG_STATE_HOME=str(server.folder), **more)
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=90)


def test_code_at_hand_is_checked_against_tasks_that_live(own: Server) -> None:
    kit = subprocess.Popen([sys.executable, str(KIT)], env=environment(EVERLOOP_URL=own.url))
    client = own.client()
    until(lambda: any(kind["name"] == "kit.mismatch" for kind in client.list_kinds()["items"]))
    tasks = [client.submit("kit.mismatch", {"arg": n, "wait": True})["id"] for n in range(2)]
    tasks.append(client.submit("kit.two_stage_map", {"items": [1]})["id"])
    until(lambda: [client.get_task(one)["state"] for one in tasks] == ["waiting", "waiting", "completed"])
    kit.terminate()
    kit.wait()
    before = client.get_task(tasks[0])
    same = checked(own)
    assert same.returncode == 0, same.stdout + same.stderr
    assert "2 would go on, 0 would not" in same.stdout
    other = checked(own, KIT_ARG="another")
    assert other.returncode == 1, other.stdout + other.stderr
    assert "0 would go on, 2 would not" in other.stdout
    # Nothing was written, and nothing was begun.
    assert client.get_task(tasks[0]) == before


_begun: list[int] = []


@step
def count(n: int) -> int:
    return n


@task
def impure() -> int:
    _begun.append(1)
    return count(len(_begun))


@task
def pure(n: int) -> int:
    return sum(count(i) for i in range(n))


@pytest.mark.parametrize("own", [("--replay-always",)], indirect=True)
def test_code_that_is_not_the_same_twice_stands_still_on_its_first_run(own: Server) -> None:
    worker = Worker([impure, pure], transport=own.client().transport)
    worker.start()
    client = own.client()
    assert client.result(client.submit(pure, 5)["id"], timeout=60) == 10
    view = client.submit(impure)
    until(lambda: client.get_task(view["id"])["state"] == "paused")
    paused = client.get_task(view["id"])["paused"]
    assert (paused["reason"], paused["details"]["step"]) == ("nondeterminism", "count#1")
    worker.stop()
