"""The conformance program does what every SDK's does."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from everloop import Client, Stopped

from .conftest import ROOT, SDK, Server, environment, start, until

KIT = SDK / "conformance/kit.py"


@pytest.fixture(scope="module")
def kit(server: Server) -> Iterator[subprocess.Popen[str]]:
    process = start(KIT, EVERLOOP_URL=server.url)
    client = server.client()
    until(lambda: any(kind["name"] == "kit.echo" for kind in client.list_kinds()["items"]))
    yield process
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    assert "Traceback" not in err, err


def given(client: Client, kind: str, value: Any = None) -> Any:
    return client.result(client.submit(kind, value)["id"], timeout=90)


@pytest.mark.usefixtures("kit")
class TestKit:
    @pytest.mark.parametrize(
        ("kind", "value", "expected"),
        [
            ("kit.echo", {"a": [1, 2.5, None, "ä"]}, {"a": [1, 2.5, None, "ä"]}),
            ("kit.steps", {"n": 5}, 30),
            ("kit.two_stage_map", {"items": [1, 2, 3]}, [4, 6, 8]),
            ("kit.race", {}, {"winner": 1, "value": "fast"}),
            ("kit.failing_step", {}, {"caught": "boom"}),
            ("kit.retry_step", {"fails": 3}, 4),
            ("kit.mismatch", {"arg": 1}, 1),
            ("kit.sleep", {"ms": 20}, "slept"),
            ("kit.sleep", {"ms": 2100}, "slept"),
            ("kit.in_doubt", {"on_unknown": "ask", "ms": 0}, "charged"),
            ("kit.large", {"bytes": 1_000_000}, 1_000_000),
            ("kit.child", None, "hi"),
            ("kit.version", None, 2),
            ("kit.progress", None, None),
            ("kit.continue", {"n": 3}, "end"),
        ],
    )
    def test_a_kind_gives_what_the_kit_says(self, client: Client, kind: str, value: Any, expected: Any) -> None:
        assert given(client, kind, value) == expected

    def test_an_input_that_was_sent_is_taken(self, client: Client) -> None:
        task = client.submit("kit.wait_input")["id"]
        until(lambda: client.get_task(task)["state"] == "waiting")
        client.signal(task, "go", {"n": 1})
        assert client.result(task, 90) == {"n": 1}
        early = client.submit("kit.wait_input")["id"]
        client.signal(early, "go", 2)
        assert client.result(early, 90) == 2

    def test_a_person_is_asked(self, client: Client) -> None:
        task = client.submit("kit.ask")["id"]
        asked = until(lambda: client.get_task(task).get("open_requests"))
        assert asked == ["ok#1"]
        (item,) = [item for item in client.pages(client.inbox) if item["task"] == task]
        assert (item["prompt"], item["choices"]) == ("ok?", ["yes", "no"])
        client.decide_on(task, "ok#1", "yes", result=[7])
        assert client.result(task, 90) == {"decision": "yes", "result": [7]}

    def test_what_is_reported_stands_in_the_stream(self, client: Client) -> None:
        task = client.submit("kit.progress")["id"]
        items = list(client.follow(task, frames=True))
        assert {"task.progress", "log", "custom.kit", "task.completed"} <= {item.type for item in items}

    def test_a_cancelled_task_cleans_up(self, client: Client) -> None:
        task = client.submit("kit.cleanup")["id"]
        until(lambda: client.get_task(task)["state"] == "running")
        client.cancel(task)
        with pytest.raises(Stopped):
            client.result(task, 90)
        assert [step["step"] for step in client.task_steps(task)["items"]] == ["tidy#1"]

    def test_steps_are_named_by_their_scopes(self, client: Client) -> None:
        task = client.submit("kit.two_stage_map", {"items": [1, 2]})["id"]
        client.result(task, 90)
        names = {step["step"] for step in client.task_steps(task)["items"]}
        assert names == {f"map#1[{n}]/{step}#1" for n in (0, 1) for step in "ab"}


def test_the_scripted_server_of_the_kit_finds_nothing_broken() -> None:
    command = [sys.executable, str(ROOT / "sdks/conformance/kit.py"), "--", sys.executable, str(KIT)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 broken" in done.stdout
