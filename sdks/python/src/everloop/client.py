"""A client of the server: everything that its API offers, and helpers on top."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import tempfile
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, cast

from ._api import Api, AsyncApi
from .attempt import VALUE_MEDIA_TYPE
from .discover import binary, found_transport
from .errors import EverloopError, Stopped, Unreachable, from_wire
from .follow import Item, follow, follow_many
from .task import Task
from .transport import Transport, segment

#: How long one request waits for the end of a task, in seconds.
WAIT = 30.0
ENDED = ("completed", "failed", "cancelled")
#: After these, whoever waits looks at the task again.
_TURNS = "task.completed,task.failed,task.cancelled,task.paused"


class Client(Api):
    """Speaks to one server: the one that is given, EVERLOOP_URL (with EVERLOOP_API_KEY), else the one that is found here."""

    def __init__(
        self, url: str | None = None, api_key: str | None = None, *, transport: Transport | None = None
    ) -> None:
        super().__init__(transport if transport is not None else found_transport(url, api_key))

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def close(self) -> None:
        """Closes its connections."""
        self.transport.close()

    def submit(
        self, task: Task[..., Any] | str, /, *args: Any, key: str | None = None, request: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Submits a function with @task and its arguments, or a kind and its input: the task as it stands.

        `request` has whatever else the task shall have (`labels`, `policy`, `not_before`, `queue`, …).
        """
        if isinstance(task, Task):
            made = task.request(args, {}, key=key)
        else:
            made = {"kind": task, "input": args[0] if args else None}
            if key is not None:
                made["key"] = key
        return self.submit_request({**made, **(request or {})})

    def submit_request(self, request: dict[str, Any]) -> dict[str, Any]:
        """Submits a task as the API has it. Sent again where that may help: it is one task all the same."""
        headers = {"idempotency-key": str(uuid.uuid4())}
        found = self.transport.call("POST", "/api/v1/tasks", request, headers=headers, repeatable=True)
        return cast("dict[str, Any]", found)

    def follow(
        self, task: str, *, after: int = 0, types: list[str] | None = None, frames: bool = False
    ) -> Iterator[Item]:
        """Every event of a task from after a number to its end, each once and in order, however often the connection is lost.

        With `frames`, passing words as well: tokens and progress that are not stored.
        """
        return follow(self.transport, task, after, types, frames)

    def follow_many(self, *, after: str | None = None, **filters: Any) -> Iterator[tuple[str, dict[str, Any]]]:
        """The events of many tasks over one connection, each with the cursor to go on from. It does not end by itself.

        Filters: `task`, `session`, `parent`, `kind`, `label`, `types`.
        """
        return follow_many(self.transport, after, filters)

    def wait(self, task: str, timeout: float | None = None) -> dict[str, Any]:
        """Waits until a task has ended (with those that go on for it): how it stands."""
        return self.wait_until(task, lambda _: False, timeout)

    def wait_until(
        self, task: str, is_enough: Callable[[dict[str, Any]], bool], timeout: float | None = None
    ) -> dict[str, Any]:
        """The same, or until something else is true of it after an event of its own that could make it so."""
        import time

        ends = None if timeout is None else time.monotonic() + timeout
        while True:
            view = self._look(task)
            if view.get("continued_as"):
                task = view["continued_as"]
                continue
            if view["state"] in ENDED or is_enough(view):
                return view
            left = None if ends is None else ends - time.monotonic()
            if left is not None:
                if left <= 0:
                    raise TimeoutError(f"{task} is {view['state']} after {timeout} s")
                self.transport.call(
                    "GET",
                    f"/api/v1/tasks/{segment(task)}",
                    query={"wait": f"{int(min(left, WAIT) * 1000)}ms"},
                    wait=WAIT,
                )
                continue
            for _ in follow(self.transport, task, view["last_seq"], _TURNS.split(","), False):
                break

    def _look(self, task: str) -> dict[str, Any]:
        for turn in range(100):
            try:
                return cast("dict[str, Any]", self.transport.call("GET", f"/api/v1/tasks/{segment(task)}"))
            except Unreachable:
                if self.transport.on_unreachable is None or turn == 99:
                    raise
        raise AssertionError("unreachable")

    def result(self, task: str, timeout: float | None = None) -> Any:
        """Waits for a task and gives its result; raises the error that it ended with, by its class."""
        view = self.wait(task, timeout)
        output = self.task_output(view["id"])
        if output["state"] == "completed":
            return self._value(output.get("result"))
        if output["state"] == "failed":
            error = from_wire(output["error"])
        else:
            error = Stopped(f"{view['id']} was cancelled", code="cancelled")
        error.task = view["id"]
        raise error

    def _value(self, value: Any) -> Any:
        name = value.get("$blob") if isinstance(value, dict) and len(value) == 1 else None
        if isinstance(name, dict) and name.get("media_type") == VALUE_MEDIA_TYPE:
            return self.transport.call("GET", f"/api/v1/blobs/{segment(name['id'])}")
        return value

    def pause(self, task: str, reason: str | None = None) -> dict[str, Any]:
        """Lets a task stand still."""
        return cast("dict[str, Any]", self.pause_task(task, {} if reason is None else {"reason": reason}))

    def resume(self, task: str) -> dict[str, Any]:
        """Lets a task go on."""
        return cast("dict[str, Any]", self.resume_task(task, {}))

    def cancel(self, task: str, reason: str | None = None) -> dict[str, Any]:
        """Ends a task."""
        return cast("dict[str, Any]", self.cancel_task(task, {} if reason is None else {"reason": reason}))

    def signal(self, task: str, name: str, data: Any = None, *, id: str | None = None) -> dict[str, Any]:
        """Sends an input to a task. The same input sent again under an id of your own is the same one."""
        body = {"name": name, "data": data, "id": id or str(uuid.uuid4())}
        path = f"/api/v1/tasks/{segment(task)}/input"
        return cast("dict[str, Any]", self.transport.call("POST", path, body, repeatable=True))

    def decide_on(
        self, task: str, request: str, decision: str, *, note: str | None = None, **result: Any
    ) -> dict[str, Any]:
        """Answers a question of a task; `result=…` is a value that belongs to the answer."""
        body = {"id": request, "decision": decision, **({} if note is None else {"note": note})}
        if "result" in result:
            body["result"] = result["result"]
        return cast("dict[str, Any]", self.decide(task, body))

    def pages(self, operation: Callable[..., Any], *args: Any, **filters: Any) -> Iterator[dict[str, Any]]:
        """All items of a list, page by page: `client.pages(client.list_tasks, state="failed")`."""
        cursor = None
        while True:
            page = operation(*args, **filters, **({} if cursor is None else {"cursor": cursor}))
            yield from page["items"]
            cursor = page.get("next_cursor")
            if cursor is None:
                return

    def export(self, task: str) -> str:
        """The history of a task as lines of JSON, with its receipt: what `verify` reads."""
        found = self.export_task(task)
        return found.decode() if isinstance(found, bytes) else str(found)

    def verify(self, task: str) -> str:
        """Proves with the program, offline, that the history of a task was not altered: what it says.

        The keys to trust are those of this server. Raises `EverloopError` where the history does not hold.
        """
        with tempfile.TemporaryDirectory() as folder:
            history, keys = f"{folder}/history.jsonl", f"{folder}/jwks.json"
            with open(history, "w", encoding="utf-8") as file:
                file.write(self.export(task))
            with open(keys, "w", encoding="utf-8") as file:
                import json

                json.dump(self.jwks(), file)
            return verify_file(history, keys)


def verify_file(history: str, keys: str | None = None) -> str:
    """Checks an export or a receipt without server and network: what the program says. `keys` is a JWKS to trust.

    An unfinished history without a receipt, or an unknown signer, is `consistent` and no more; an altered one raises.
    """
    command = [binary(), "verify", history, *([] if keys is None else ["--key", keys])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = (done.stdout or done.stderr).strip()
    if done.returncode not in (0, 3):
        raise EverloopError(said or done.stderr.strip(), code="verification_failed")
    return said


class AsyncClient(AsyncApi):
    """The same for async code: every method can be awaited, `follow` is for `async for`."""

    def __init__(
        self, url: str | None = None, api_key: str | None = None, *, transport: Transport | None = None
    ) -> None:
        self.sync = Client(url, api_key, transport=transport)
        super().__init__(self.sync)

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: Any) -> None:
        self.sync.close()

    async def submit(
        self, task: Task[..., Any] | str, /, *args: Any, key: str | None = None, request: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """See `Client.submit`."""
        return await asyncio.to_thread(self.sync.submit, task, *args, key=key, request=request)

    async def wait(self, task: str, timeout: float | None = None) -> dict[str, Any]:
        """See `Client.wait`."""
        return await asyncio.to_thread(self.sync.wait, task, timeout)

    async def result(self, task: str, timeout: float | None = None) -> Any:
        """See `Client.result`."""
        return await asyncio.to_thread(self.sync.result, task, timeout)

    async def pause(self, task: str, reason: str | None = None) -> dict[str, Any]:
        """See `Client.pause`."""
        return await asyncio.to_thread(self.sync.pause, task, reason)

    async def resume(self, task: str) -> dict[str, Any]:
        """See `Client.resume`."""
        return await asyncio.to_thread(self.sync.resume, task)

    async def cancel(self, task: str, reason: str | None = None) -> dict[str, Any]:
        """See `Client.cancel`."""
        return await asyncio.to_thread(self.sync.cancel, task, reason)

    async def signal(self, task: str, name: str, data: Any = None, *, id: str | None = None) -> dict[str, Any]:
        """See `Client.signal`."""
        return await asyncio.to_thread(self.sync.signal, task, name, data, id=id)

    async def decide_on(
        self, task: str, request: str, decision: str, *, note: str | None = None, **result: Any
    ) -> dict[str, Any]:
        """See `Client.decide_on`."""
        return await asyncio.to_thread(self.sync.decide_on, task, request, decision, note=note, **result)

    async def export(self, task: str) -> str:
        """See `Client.export`."""
        return await asyncio.to_thread(self.sync.export, task)

    async def verify(self, task: str) -> str:
        """See `Client.verify`."""
        return await asyncio.to_thread(self.sync.verify, task)

    async def follow(
        self, task: str, *, after: int = 0, types: list[str] | None = None, frames: bool = False
    ) -> AsyncIterator[Item]:
        """See `Client.follow`."""
        items = self.sync.follow(task, after=after, types=types, frames=frames)
        try:
            while (item := await asyncio.to_thread(next, items, None)) is not None:
                yield item
        finally:
            if inspect.getgeneratorstate(cast("Any", items)) != inspect.GEN_RUNNING:
                cast("Any", items).close()
