"""What the attempts of a worker share: its calls, its loop, and what it writes and shows in the background."""

from __future__ import annotations

import asyncio
import json
import logging
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from .attempt import VALUE_MEDIA_TYPE, Attempt, dumps
from .errors import EverloopError, Transient
from .transport import Transport, segment

log = logging.getLogger("everloop")

BASE = "/api/v1"


class Frames:
    """Passing words on their way to live followers. They may be lost."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._queue: queue.SimpleQueue[tuple[Attempt, dict[str, Any]] | threading.Event | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._used: set[str] = set()

    def send(self, attempt: Attempt, kind: str, data: Any) -> None:
        """Shows something to whoever follows."""
        with attempt.lock:
            self._used.add(attempt.lease)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="everloop-frames", daemon=True)
                self._thread.start()
        self._queue.put((attempt, {"type": kind, "data": data}))

    def drain(self, attempt: Attempt) -> None:
        """Waits a moment until what the attempt has shown is sent."""
        if attempt.lease in self._used:
            self._used.discard(attempt.lease)
            sent = threading.Event()
            self._queue.put(sent)
            sent.wait(1.0)

    def stop(self) -> None:
        """Ends its thread."""
        self._queue.put(None)

    def _run(self) -> None:
        while True:
            item = self._queue.get()
            gathered: list[dict[str, Any]] = []
            attempt: Attempt | None = None
            after: threading.Event | None = None
            while item is not None:
                if isinstance(item, threading.Event):
                    after = item
                    break
                if attempt is not None and (item[0] is not attempt or len(gathered) >= 100):
                    self._post(attempt, gathered)
                    gathered = []
                attempt = item[0]
                gathered.append(item[1])
                if self._queue.empty():
                    break
                item = self._queue.get()
            if attempt is not None:
                self._post(attempt, gathered)
            if after is not None:
                after.set()
            if item is None:
                return

    def _post(self, attempt: Attempt, frames: list[dict[str, Any]]) -> None:
        try:
            self._core.attempt_call(attempt, "events", dumps({"worker": self._core.worker_id, "frames": frames}))
        except EverloopError as error:
            log.debug("%s: frames were lost: %s", attempt.task, error)


class Core:
    """What the attempts of a worker share."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.worker_id = ""
        self.executor = ThreadPoolExecutor(max_workers=32, thread_name_prefix="everloop-io")
        self.frames = Frames(self)
        self._due: set[Attempt] = set()
        self._due_changed = threading.Condition()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._loop_lock = threading.Lock()
        self.is_stopped = False
        threading.Thread(target=self._write, name="everloop-writer", daemon=True).start()

    def attempt_call(self, attempt: Attempt, act: str, body: bytes) -> Any:
        """A message about an attempt, sent once."""
        path = f"{BASE}/tasks/{attempt.task}/attempts/{attempt.number}/{act}"
        headers = {"everloop-lease": attempt.lease, "content-type": "application/json"}
        return self.transport.call("POST", path, raw=body, headers=headers, tries=1)

    def put_value(self, text: bytes) -> Any:
        """Puts a value aside that is too large for a request: what names it."""
        return self.transport.call("POST", f"{BASE}/blobs", raw=text, headers={"content-type": VALUE_MEDIA_TYPE})

    def journal_of(self, assignment: dict[str, Any]) -> list[dict[str, Any]]:
        """The whole journal, what did not come with the claim too."""
        items: list[dict[str, Any]] = assignment["journal"]
        after = assignment.get("journal_after")
        while after is not None:
            path = f"{BASE}/tasks/{assignment['task']}/attempts/{assignment['attempt']}/journal"
            headers = {"everloop-lease": assignment["lease"]}
            page = self.transport.call("GET", path, query={"after": after}, headers=headers)
            items += page["items"]
            after = page.get("next_after")
        return items

    def blob_value(self, blob: str) -> Any:
        """A value that was too large for its event."""
        found = self.transport.call("GET", f"{BASE}/blobs/{segment(blob)}")
        if isinstance(found, bytes):
            return json.loads(found)
        return found

    def ask(self, attempt: Attempt, work: Callable[[], Any]) -> Any:
        """Asks the server until there is an answer, or the task has to stop."""
        pause = 0.05
        while True:
            try:
                return work()
            except Transient:
                if attempt.stop_sending() or attempt.stop() is not None:
                    raise
                time.sleep(pause)
                pause = min(pause * 2, 2.0)

    def flush_later(self, attempt: Attempt) -> None:
        """Writes what an attempt has added, unless it does so itself before."""
        with self._due_changed:
            self._due.add(attempt)
            if len(self._due) == 1:
                self._due_changed.notify()

    def _write(self) -> None:
        while not self.is_stopped:
            with self._due_changed:
                if not self._due:
                    self._due_changed.wait()
                waiting = list(self._due)
            now = time.monotonic()
            for attempt in waiting:
                if attempt.due == 0.0 or attempt.is_over:
                    with self._due_changed:
                        if attempt.due == 0.0 or attempt.is_over:
                            self._due.discard(attempt)
                elif attempt.is_due(now):
                    self.executor.submit(self._flush, attempt)
                    with self._due_changed:
                        self._due.discard(attempt)
            time.sleep(0.004)

    @staticmethod
    def _flush(attempt: Attempt) -> None:
        try:
            attempt.flush()
        except BaseException as error:
            log.debug("%s: events were not written: %s", attempt.task, error)

    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop of async functions, in a thread of its own: a function that holds it up holds up no lease."""
        with self._loop_lock:
            if self._loop is None:
                made = asyncio.new_event_loop()
                threading.Thread(target=made.run_forever, name="everloop-loop", daemon=True).start()
                self._loop = made
            return self._loop

    def stop(self) -> None:
        """Ends its threads."""
        self.is_stopped = True
        with self._due_changed:
            self._due_changed.notify()
        self.frames.stop()
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
