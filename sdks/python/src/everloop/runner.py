"""`run`: a function as a durable task, from a script and without a server of one's own."""

from __future__ import annotations

import atexit
import os
import sys
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar, cast, overload

from .client import Client
from .codec import read
from .discover import data_folder, found_server
from .embedded import Embedded, note_worker, remove_dead_workers
from .errors import EverloopError, Validation
from .journal import mismatch_error
from .task import Policy, Task, registered
from .transport import Transport
from .worker import Worker

T = TypeVar("T")

#: How long a request for tasks or signals is held by a server that may be another script's, in seconds.
HELD = 2.0


class Session:
    """The server and the worker of this process."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.embedded = Embedded(folder) if folder is not None else None
        if self.embedded is not None:
            self.transport = self.embedded.transport
        else:
            self.transport = Transport(*found_server())
        self.client = Client(transport=self.transport)
        self._workers: list[Worker] = []
        self._notes: list[Path] = []
        self._lock = threading.Lock()
        if folder is not None:
            remove_dead_workers(folder, self.transport)

    def offer(self) -> None:
        """Lets a worker of this process run every function with @task that was loaded so far."""
        with self._lock:
            offered = {task for worker in self._workers for task in worker.tasks.values()}
            new = [task for task in registered() if task not in offered]
            if new:
                # A server that stops waits for requests that it holds: its owner would wait with it.
                worker = Worker(new, transport=self.transport, on_registered=self._note, poll=HELD)
                self._workers.append(worker)
                try:
                    worker.start()
                except EverloopError:
                    # It was refused: the next run must not wait for it.
                    self._workers.remove(worker)
                    raise

    def _note(self, worker: str) -> None:
        if self.folder is not None:
            self._notes.append(note_worker(self.folder, worker))

    def close(self) -> None:
        """Gives back what runs, and stops the server if it is ours."""
        for worker in self._workers:
            worker.stop(drain=1.0)
        for note in self._notes:
            note.unlink(missing_ok=True)
        if self.embedded is not None:
            self.embedded.stop()
        else:
            self.transport.close()


_sessions: dict[tuple[str, int], Session] = {}
_lock = threading.Lock()


def _session(function: Callable[..., Any]) -> Session:
    url = os.environ.get("EVERLOOP_URL")
    folder = None if url else data_folder(_script_of(function))
    place = (url or str(folder), os.getpid())
    with _lock:
        if place not in _sessions:
            if not _sessions:
                atexit.register(shutdown)
            _sessions[place] = Session(folder)
        return _sessions[place]


def _script_of(function: Callable[..., Any]) -> str | None:
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    return main or getattr(getattr(function, "__code__", None), "co_filename", None)


def shutdown() -> None:
    """Ends what `run` has started: the worker of this process, and the server if it is ours. It happens at the end anyway."""
    with _lock:
        sessions = [session for (_, pid), session in _sessions.items() if pid == os.getpid()]
        _sessions.clear()
    for session in sessions:
        session.close()


@overload
def run(
    task: Callable[..., Coroutine[Any, Any, T]],
    /,
    *args: Any,
    key: str | None = None,
    retry_failed: bool = False,
    policy: Policy | None = None,
    **kwargs: Any,
) -> T: ...


@overload
def run(
    task: Callable[..., T],
    /,
    *args: Any,
    key: str | None = None,
    retry_failed: bool = False,
    policy: Policy | None = None,
    **kwargs: Any,
) -> T: ...


def run(
    task: Callable[..., Any],
    /,
    *args: Any,
    key: str | None = None,
    retry_failed: bool = False,
    policy: Policy | None = None,
    **kwargs: Any,
) -> Any:
    """Runs a function with `@task` as a durable task: its result, or the error that it ended with.

    With the same key it goes on where it was, or gives the stored result. Without a key every call is a task of its own. A task
    that has failed raises its error again, unless `retry_failed`: then it is done again from what was recorded.

    With EVERLOOP_URL the server there is used. Else the one of the project's data folder: `.everloop` in the nearest folder,
    upwards from the script's, that has an `.everloop`, a `pyproject.toml` or a `.git` (the script's own where none has). It
    is started where it doesn't run, and stopped when the script ends.
    """
    if not isinstance(task, Task):
        raise Validation("run takes a function with @task", code="invalid_request")
    session = _session(task.function)
    session.offer()
    client = session.client
    request = task.request(args, kwargs, key=key)
    if policy is not None:
        request["policy"] = {**request.get("policy", {}), **policy}
    view = _submitted(client, request)
    if retry_failed and view["state"] == "failed":
        view = client.redrive(view["id"], idempotency_key=f"retry-{view['id']}")
    is_new = True
    while True:
        paused = view.get("paused") or {}
        if view["state"] == "paused" and paused.get("reason") == "nondeterminism":
            if not is_new:
                raise mismatch_error(view["id"], paused)
            # The code may follow by now.
            client.resume(view["id"])
        is_new = False
        view = client.wait_until(view["id"], _has_come_to_rest)
        if view["state"] in ("completed", "failed", "cancelled"):
            break
    return read(client.result(view["id"]), task.arguments.hints.get("return"))


def _submitted(client: Client, request: dict[str, Any]) -> dict[str, Any]:
    try:
        return client.submit_request(request)
    except Validation as error:
        if error.code != "idempotency_conflict" or "key" not in request:
            raise
        # A redrive has the key of the task that failed, and a request of its own.
        view = cast("dict[str, Any]", client.get_task(f"key:{request['key']}"))
        same = view["kind"] == request["kind"] and view.get("input") == request.get("input")
        if not view.get("forked_from") or not same:
            raise
        return view


def _has_come_to_rest(view: dict[str, Any]) -> bool:
    reason = cast("dict[str, Any]", view.get("paused") or {}).get("reason")
    return view["state"] == "paused" and reason == "nondeterminism"


__all__ = ["EverloopError", "run", "shutdown"]
