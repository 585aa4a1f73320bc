"""Every example runs, survives SIGKILL of its script and of its server, and does nothing twice that was recorded."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from everloop import Client, EverloopError, Transient, Worker
from everloop.discover import listens
from everloop.transport import Transport

from .conftest import SDK, environment, finish, start, until

EXAMPLES = SDK / "examples"
SPOKEN = "You said: what does durable mean, and why would an agent that runs for days need it?"


def copied(name: str, folder: Path) -> Path:
    """An example in a folder of its own."""
    script = folder / name
    shutil.copy(EXAMPLES / name, script)
    (folder / ".everloop").mkdir(exist_ok=True)
    return script


def begin(script: Path, *arguments: str, **more: str) -> subprocess.Popen[str]:
    return start(script, *arguments, XDG_STATE_HOME=str(script.parent), **more)


def client_of(folder: Path) -> Client | None:
    """A client of the server that a script has started."""
    try:
        url = json.loads((folder / ".everloop/server.json").read_text())["url"]
    except (OSError, ValueError):
        return None
    return Client(transport=Transport(url)) if listens(url) else None


def kill_server(folder: Path) -> None:
    try:
        os.kill(json.loads((folder / ".everloop/server.json").read_text())["pid"], signal.SIGKILL)
    except (OSError, ValueError):
        pass


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("hello.py", (), "Hello, Ada!\nHello, Grace!\nHello, Barbara!\n"),
        ("parallel_map.py", ("1000",), ""),
        ("children.py", (), "{'chapters': 2, 'words': 7}\n"),
        ("streaming.py", (), f"{SPOKEN}\n"),
        ("agent.py", ("60",), "the last sum was 60\n"),
        ("openai_agents.py", ("30",), "the last was 31\n"),
    ],
)
def test_an_example_survives_kills(tmp_path: Path, name: str, arguments: tuple[str, ...], said: str) -> None:
    if name == "parallel_map.py":
        each = "".join(hashlib.sha256(str(n).encode()).hexdigest() for n in range(1000))
        said = hashlib.sha256(each.encode()).hexdigest() + "\n"
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    script = copied(name, tmp_path)
    process = begin(script, *arguments)
    for how in ("script", "server", "both"):
        until(lambda: process.poll() is not None or client_of(tmp_path))
        time.sleep(chance.uniform(0.0, 0.4))
        if how != "script":
            kill_server(tmp_path)
        if how != "server":
            process.kill()
            process.communicate()
            process = begin(script, *arguments)
    assert finish(process) == said
    assert finish(begin(script, *arguments)) == said


def asked(folder: Path) -> dict[str, Any] | None:
    """What waits for a person, as long as somebody is there to say it."""
    client = client_of(folder)
    try:
        items = [] if client is None else client.inbox()["items"]
    except Transient:
        return None
    return dict(items[0]) if items else None


def test_an_approval_waits_for_a_person_through_kills(tmp_path: Path) -> None:
    script = copied("approval.py", tmp_path)
    process = begin(script)
    item = until(lambda: asked(tmp_path))
    assert item is not None
    assert item["details"] == {"to": "ACME", "amount": 120}
    process.kill()
    kill_server(tmp_path)
    process.communicate()
    # Nobody is there while the person thinks about it.
    process = begin(script)
    until(lambda: asked(tmp_path) == item)
    client = client_of(tmp_path)
    assert client is not None
    client.decide_on(item["task"], item["id"], "approve")
    assert finish(process).startswith("120 paid to ACME under ")


def test_a_follower_sees_the_tokens(tmp_path: Path) -> None:
    script = copied("streaming.py", tmp_path)
    process = begin(script)

    def there() -> bool:
        client = client_of(tmp_path)
        try:
            return client is not None and client.get_task("key:chat-1")["state"] == "running"
        except EverloopError:
            return False

    until(there)
    client = client_of(tmp_path)
    assert client is not None
    shown = [item.data for item in client.follow("key:chat-1", frames=True) if item.what == "frame"]
    assert finish(process) == f"{SPOKEN}\n"
    assert "".join(shown).endswith("days need it? ")


def test_five_hundred_turns_grow_the_history_linearly(
    working: Callable[..., Worker], client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    agent: Any = importlib.import_module("agent")

    working(agent.agent)
    sizes = {}
    for turns in (125, 250, 500):
        task_id = client.submit(agent.agent, "count", turns)["id"]
        assert client.result(task_id, 120) == f"the last sum was {turns}"
        sizes[turns] = client.get_task(task_id)["usage"]["event_bytes"]
    per_turn = [(sizes[250] - sizes[125]) / 125, (sizes[500] - sizes[250]) / 250]
    print(f"bytes of history: {sizes}; for each turn {per_turn}")
    assert per_turn[1] < per_turn[0] * 1.05


def test_a_worker_is_started_from_the_command_line(tmp_path: Path, server: Any, client: Client) -> None:
    copied("children.py", tmp_path)
    command = [sys.executable, "-m", "everloop", "worker", "children:book", "children:chapter", "--concurrency", "3"]
    process = subprocess.Popen(
        [*command, "--queue", "chapters", "--queue", "default"],
        env=environment(EVERLOOP_URL=server.url),
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    found = until(
        lambda: [w for w in client.list_workers()["items"] if {k["kind"] for k in w["kinds"]} == {"book", "chapter"}]
    )
    assert (found[0]["max_concurrent_tasks"], found[0]["queues"]) == (3, ["chapters", "default"])
    task_id = client.submit("book", ["one two", "three"], request={"queue": "chapters"})["id"]
    assert client.result(task_id, 90) == {"chapters": 2, "words": 3}
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    # It says goodbye as it ends; a server that has much to do may hear it a little later.
    until(lambda: found[0]["id"] not in {w["id"] for w in client.list_workers()["items"]})


def test_a_worker_that_finds_no_server_can_be_stopped(tmp_path: Path) -> None:
    copied("children.py", tmp_path)
    process = subprocess.Popen(
        [sys.executable, "-m", "everloop", "worker", "children"],
        env=environment(EVERLOOP_URL="http://127.0.0.1:1"),
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert "trying again" in process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 0
