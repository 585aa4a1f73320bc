"""The client: every operation, errors by class, and streams that go on where they broke off."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from everloop import (
    AsyncClient,
    Client,
    EverloopError,
    Unreachable,
    Validation,
    Worker,
    task,
    verify_file,
    wait_for_input,
)
from everloop.follow import Item
from everloop.transport import Transport

from .conftest import Server, until


def test_a_follower_sees_every_event_once_across_a_restart_of_the_server(tmp_path: Path) -> None:
    server = Server(tmp_path)
    client = server.client()
    steps = [{"name": f"s{n}", "duration_ms": 20} for n in range(60)]
    view = client.submit("mock", {"steps": steps, "result": "done"}, key="followed")
    items: list[Item] = []
    follower = threading.Thread(target=lambda: items.extend(client.follow("key:followed")))
    follower.start()
    for seen in (10, 30):
        until(lambda seen=seen: len(items) > seen)
        server.kill()
        server.start()
    follower.join(60)
    assert [item.seq for item in items] == list(range(1, len(items) + 1))
    assert items[-1].type == "task.completed"
    assert client.result(view["id"]) == "done"
    assert client.verify(view["id"]).startswith("verified")
    history = tmp_path / "history.jsonl"
    text = client.export(view["id"])
    history.write_text(text)
    assert "consistent" in verify_file(str(history))
    history.write_text(text.replace('"done"', '"d0ne"'))
    with pytest.raises(EverloopError) as caught:
        verify_file(str(history))
    assert caught.value.code == "verification_failed"
    server.kill()
    with pytest.raises(Unreachable):
        client.about()


def test_refusals_are_raised_by_their_class(client: Client) -> None:
    with pytest.raises(Validation) as caught:
        client.get_task("key:nobody")
    assert caught.value.code == "not_found"
    assert caught.value.problem is not None
    assert caught.value.problem["status"] == 404
    with pytest.raises(Validation, match="did you mean"):
        client.submit("mok", {})
    view = client.submit("mock", {"result": 1}, key="refused-1")
    with pytest.raises(Validation) as caught:
        client.submit("mock", {"result": 2}, key="refused-1")
    assert caught.value.code == "idempotency_conflict"
    assert client.wait(view["id"], 90)["state"] == "completed"


def test_operations_of_the_api_are_methods(client: Client) -> None:
    assert client.about()["name"] == "everloop"
    view = client.submit("mock", {"steps": [{"name": "a"}], "wait_for_input": "go"}, request={"labels": {"of": "test"}})
    until(lambda: client.get_task(view["id"])["state"] == "waiting")
    assert client.task_control_state(view["id"])["state"] == "waiting"
    client.pause(view["id"], "a break")
    assert client.get_task(view["id"])["paused"]["reason"] == "a break"
    client.resume(view["id"])
    client.update_task(view["id"], {"title": "A title"})
    fork = client.fork_task(view["id"], {"from_step": "a#1"})
    client.cancel(fork["id"])
    client.signal(view["id"], "go", id="mine")
    assert client.wait(view["id"], 90)["title"] == "A title"
    assert client.task_receipt(view["id"])["claims"]["task"] == view["id"]
    assert [step["step"] for step in client.task_steps(view["id"])["items"]] == ["a#1"]
    assert {item["id"] for item in client.pages(client.list_tasks, label="of=test", limit=1)} >= {view["id"]}
    blob = client.put_blob(b"\x00bytes", "image/x-test")["$blob"]
    assert client.get_blob(blob["id"]) == b"\x00bytes"
    batch = client.submit_batch({"tasks": [{"kind": "mock"}, {"kind": "nothing"}]})
    assert (batch["created"], batch["refused"]) == (1, 1)
    cursor, event = next(iter(client.follow_many(task=view["id"])))
    assert cursor
    assert event["type"] == "task.submitted"
    client.delete_task(view["id"])


def test_an_async_client_does_the_same(working: Callable[..., Worker], server: Server) -> None:
    @task(name="async.client")
    def waits() -> Any:
        return wait_for_input("go")

    working(waits)

    async def use() -> tuple[Any, list[str]]:
        async with AsyncClient(transport=Transport(server.url)) as client:
            assert (await client.about())["name"] == "everloop"
            view = await client.submit(waits)
            await client.signal(view["id"], "go", [1])
            types = [item.type async for item in client.follow(view["id"])]
            return await client.result(view["id"], 90), types

    result, types = asyncio.run(use())
    assert result == [1]
    assert (types[0], types[-1]) == ("task.submitted", "task.completed")
