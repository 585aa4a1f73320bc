"""Tasks that a task starts and waits for."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Generic, TypeVar

from .attempt import now_text
from .branch import Branch, blocking, drive, outside_of_steps, sync_only
from .canonical import intent as intent_of
from .codec import plain, read
from .errors import EverloopError, Stopped, Suspended, from_wire, to_wire
from .journaled import Options, blocking_resolve, look, run_step
from .task import Task
from .transport import segment

T = TypeVar("T")

CHILD = "child"


class Child(Generic[T]):
    """A task that was started: `result()` in a plain function, `await child` in an async one."""

    def __init__(self, task: str, name: str, hint: Any) -> None:
        #: Its id.
        self.id = task
        self._name = name
        self._hint = hint

    def result(self) -> T:
        """Waits for its end, as long as it takes: its result; raises the error that it ended with."""
        branch = outside_of_steps("result")
        sync_only(branch, "child")
        found: T = drive(result_of(branch, self.id, self._name, self._hint, is_async=False))
        return found

    def __await__(self) -> Generator[Any, Any, T]:
        branch = outside_of_steps("result")
        return result_of(branch, self.id, self._name, self._hint, is_async=True).__await__()


async def start(
    branch: Branch,
    task: Task[..., Any] | str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    request: dict[str, Any] | None,
    is_async: bool,
) -> Child[Any]:
    """Starts a child by a journaled step."""
    if isinstance(task, Task):
        made, name, hint = task.request(args, kwargs), task.kind, task.arguments.hints.get("return")
    else:
        made, name, hint = {"kind": task, "input": plain(args[0] if args else None, "input")}, task, None
    made.update(plain(request or {}, "request"))
    attempt = branch.attempt
    key = branch.next_key(name)

    def submit() -> Any:
        headers = {"idempotency-key": branch.idempotency_key(key)}
        body = {**made, "parent": {"task": attempt.task, "step": key}}
        call = attempt.core.transport.call
        view = attempt.core.ask(attempt, lambda: call("POST", "/api/v1/tasks", body, headers=headers, repeatable=True))
        return {"task": view["id"]}

    async def submit_async() -> Any:
        return await blocking(attempt, True, submit)

    work: Callable[[], Any] = submit_async if is_async else submit
    found = await run_step(branch, Options(name=name, kind=CHILD), key, made, work, is_async=is_async)
    return Child(found["task"], name, hint)


async def result_of(branch: Branch, task: str, name: str, hint: Any, *, is_async: bool) -> Any:
    """Waits for the end of a child: its result, recorded so that no replay asks for it again."""
    attempt = branch.attempt
    branch.settle()
    key = branch.next_key(f"{name}.result")
    intent = intent_of(task)
    recorded = look(branch, key, CHILD, intent)
    if recorded is not None and recorded.error is not None:
        raise _of(task, from_wire(recorded.error))
    if recorded is not None and recorded.is_done:
        return read(await blocking_resolve(attempt, is_async, recorded.result), hint)
    attempt.boundary(branch)
    last = task
    while True:
        state = attempt.journal.children.get(last)
        if state is None:
            raise branch.stop(Suspended({"child": {"id": key, "task": last}}))
        branch.stand_before(key)
        output = await blocking(attempt, is_async, lambda asked=last: _output(branch, asked))  # type: ignore[misc]
        if last not in attempt.journal.taken:
            attempt.journal.taken.add(last)
            attempt.push("task.input_taken", {"id": last, "step": key})
        if not output.get("continued_as"):
            break
        last = output["continued_as"]
    if output["state"] == "completed":
        result = output.get("result")
        attempt.completed(key, CHILD, intent, result, now_text())
        branch.stand_behind(key)
        return read(await blocking_resolve(attempt, is_async, result), hint)
    gone = Stopped(f"{last} was cancelled", code="cancelled")
    wire = output["error"] if output["state"] == "failed" else to_wire(gone)
    # What became of a child does not change by asking again.
    attempt.push("step.failed", {"error": wire, "intent": intent, "kind": CHILD, "step": key, "try": 1})
    raise _of(last, from_wire(wire))


def _output(branch: Branch, task: str) -> Any:
    call = branch.attempt.core.transport.call
    return branch.attempt.core.ask(branch.attempt, lambda: call("GET", f"/api/v1/tasks/{segment(task)}/output"))


def _of(task: str, error: EverloopError) -> EverloopError:
    error.task = task
    return error
