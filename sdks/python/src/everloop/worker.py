"""The loop: register, claim, run, renew, listen, and go in peace."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from ._version import VERSION
from .attempt import CANCEL, HAND_BACK, LOST, PAUSE, REPLAY, RUN, TIMEOUT, Attempt
from .core import BASE, Core
from .errors import EverloopError, Transient
from .execute import execute, execute_async, timed_out
from .offer import offers
from .task import Task, registered
from .transport import Transport

log = logging.getLogger("everloop")

#: How long a request for tasks or signals is held open, in seconds.
POLL = 30.0
#: How often a worker says that it lives, in seconds.
HEARTBEAT = 20.0
#: How often leases, timeouts and graces are looked at, in seconds.
TICK = 0.1
#: Words about tasks that have not come yet, at most.
EARLY = 256
#: How long running tasks may go on when the worker stops, before they are given back, in seconds.
DRAIN = 10.0


class Worker:
    """Runs tasks of the given functions until it is stopped: `Worker([digest]).serve()`.

    The server is that of `transport`, else EVERLOOP_URL (with EVERLOOP_API_KEY), else the one that is found here.
    """

    def __init__(
        self,
        tasks: Iterable[Task[..., Any]] | None = None,
        *,
        concurrency: int = 16,
        queues: Iterable[str] | None = None,
        name: str | None = None,
        capabilities: Iterable[str] = (),
        drain: float = DRAIN,
        poll: float = POLL,
        transport: Transport | None = None,
        on_registered: Callable[[str], None] | None = None,
    ) -> None:
        self.tasks = {(task.kind, task.version): task for task in (registered() if tasks is None else tasks)}
        if not self.tasks:
            raise EverloopError("a worker needs at least one function with @task", code="invalid_request")
        self.concurrency = concurrency
        self.queues = list(queues or ())
        self.name = name or f"{socket.gethostname()}-{os.getpid()}"
        self.capabilities = sorted({*capabilities, REPLAY})
        self.drain = drain
        self.poll = poll
        if transport is None:
            from .discover import found_transport

            transport = found_transport()
        self.core = Core(transport)
        self.on_registered = on_registered
        self._running: dict[str, Attempt] = {}
        self._early: dict[tuple[str, int], dict[str, Any]] = {}
        self._changed = threading.Condition()
        self._is_stopping = False
        #: Asks for tasks, once the worker has started.
        self._claims: threading.Thread | None = None

    @property
    def id(self) -> str:
        """Its id, once it has registered."""
        return self.core.worker_id

    def register(self) -> None:
        """Makes itself known; waits for a server that isn't there."""
        spec = {
            "kinds": offers(self.tasks.values()),
            "max_concurrent_tasks": self.concurrency,
            "name": self.name,
            "protocol": 1,
            "queues": self.queues,
            "capabilities": self.capabilities,
            "version": VERSION,
        }
        told = False
        while not self._is_stopping:
            try:
                self.core.worker_id = self.core.transport.call("POST", f"{BASE}/workers", spec, tries=1)["id"]
                if self.on_registered is not None:
                    self.on_registered(self.core.worker_id)
                return
            except Transient as error:
                if not told:
                    log.warning("the server can't be reached; trying again: %s", error)
                told = True
                time.sleep(0.2)

    def start(self) -> None:
        """Registers, and works in threads until `stop`."""
        self.register()
        if self._is_stopping:
            return
        self._claims = self._thread(self._claim)
        for run in (self._listen, self._keep, self._beat):
            self._thread(run)

    def _thread(self, run: Callable[[], None]) -> threading.Thread:
        thread = threading.Thread(target=self._guarded, args=(run,), name=f"everloop{run.__name__}", daemon=True)
        thread.start()
        return thread

    def serve(self) -> None:
        """Works until SIGTERM or Ctrl-C, then lets running tasks go on for a while, and gives back the rest."""
        ended = threading.Event()

        def end(*_: Any) -> None:
            ended.set()
            # Whoever waits for a server that isn't there stops waiting.
            self._is_stopping = True

        before = {sign: signal.signal(sign, end) for sign in (signal.SIGTERM, signal.SIGINT)}
        try:
            self.start()
            log.info("worker %s runs %s", self.id, ", ".join(sorted({kind for kind, _ in self.tasks})))
            while not ended.wait(0.5):
                pass
        finally:
            for sign, handler in before.items():
                signal.signal(sign, handler)
            self.stop()

    def stop(self, drain: float | None = None) -> None:
        """Takes no more tasks, lets those that run come to a step, and gives them back."""
        ends = time.monotonic() + (self.drain if drain is None else drain)
        with self._changed:
            self._is_stopping = True
            self._changed.notify_all()
        # Nobody shall be given to a worker that is about to go; a request for tasks may be about to be sent.
        while self._claims and self._claims.is_alive():
            self.core.transport.abort(f"{BASE}/workers/{self.id}/claim")
            if time.monotonic() >= ends:
                break
            self._claims.join(0.02)
        with self._changed:
            for attempt in self._running.values():
                if attempt.control == RUN:
                    attempt.tell(HAND_BACK)
            self._changed.wait_for(lambda: not self._running, timeout=max(0.0, ends - time.monotonic()))
        if self.id:
            try:
                self.core.transport.call("DELETE", f"{BASE}/workers/{self.id}", repeatable=True, tries=3)
            except EverloopError as error:
                log.debug("worker %s could not say goodbye: %s", self.id, error)
        self.core.stop()

    def _guarded(self, run: Callable[[], None]) -> None:
        while not self._is_stopping:
            try:
                run()
            except Exception:
                if self._is_stopping or self.core.transport.is_closed:
                    return
                log.exception("worker %s: %s goes on after an error", self.id, run.__name__)
                time.sleep(0.5)

    def _claim(self) -> None:
        request, repeat = 0, False
        while not self._is_stopping:
            with self._changed:
                self._changed.wait_for(lambda: self._is_stopping or self._room() > 0)
                room = self._room()
            if self._is_stopping:
                return
            request += 0 if repeat else 1
            repeat = False
            asked = time.monotonic()
            try:
                answer = self.core.transport.call(
                    "POST",
                    f"{BASE}/workers/{self.id}/claim",
                    {"max": room, "request": request},
                    query={"wait": f"{self.poll:.0f}s"},
                    wait=self.poll,
                    tries=1,
                )
                assignments, since = self._confirmed(answer["assignments"], asked)
                for assignment in assignments:
                    self._begin(assignment, since)
            except Transient as error:
                log.debug("the server did not answer: %s", error)
                repeat = True
                time.sleep(0.05)
            except EverloopError as error:
                if self._is_stopping:
                    return
                if error.code != "not_found":
                    raise
                # The server does not know us any more: what we held is lost, and we begin anew.
                with self._changed:
                    for attempt in self._running.values():
                        attempt.tell(LOST)
                self.register()
                request = 0

    def _room(self) -> int:
        return self.concurrency - len(self._running)

    def _confirmed(self, assignments: list[dict[str, Any]], asked: float) -> tuple[list[dict[str, Any]], float]:
        """The tasks that are held, and since when: leases count from when they were asked for.

        The answer may have been long on its way, or the worker may have stood still. Those that would be old by that are
        renewed before anything is begun.
        """
        now = time.monotonic()
        if not any((now - asked) * 3000 >= (of.get("lease_ttl_ms") or float("inf")) for of in assignments):
            return assignments, asked
        held = [{"task": of["task"], "lease": of["lease"]} for of in assignments]
        answer = self.core.transport.call("POST", f"{BASE}/workers/{self.id}/renew", {"leases": held}, repeatable=True)
        return [of for of in assignments if of["task"] not in answer["lost"]], now

    def _begin(self, assignment: dict[str, Any], since: float) -> None:
        with self._changed:
            known = self._running.get(assignment["task"])
        if known is not None and known.number == assignment["attempt"]:
            # An answer that was asked for again.
            return
        try:
            attempt = Attempt(self.core, assignment, since)
        except EverloopError as error:
            # Its lease runs out, and somebody else begins it.
            log.warning(
                "%s: the journal of attempt %s can't be had: %s", assignment["task"], assignment["attempt"], error
            )
            return
        with self._changed:
            earlier = self._running.get(attempt.task)
            if earlier is not None:
                earlier.tell(LOST)
            self._running[attempt.task] = attempt
            word = self._early.pop((attempt.task, attempt.number), None)
        if word is not None:
            self._tell(attempt, word)
        found = self._task_of(attempt)

        def ended() -> None:
            with self._changed:
                if self._running.get(attempt.task) is attempt:
                    del self._running[attempt.task]
                self._changed.notify_all()

        if found is not None and found.is_async:
            loop = self.core.loop()
            asyncio.run_coroutine_threadsafe(execute_async(attempt, found, ended), loop)
        else:
            context = contextvars.Context()
            run = (execute, attempt, found, ended)
            threading.Thread(target=context.run, args=run, name=attempt.task, daemon=True).start()

    def _task_of(self, attempt: Attempt) -> Task[..., Any] | None:
        kind = attempt.spec["kind"]
        if attempt.kind_version is not None:
            return self.tasks.get((kind, attempt.kind_version))
        versions = [version for known, version in self.tasks if known == kind]
        return self.tasks[(kind, max(versions))] if versions else None

    def _listen(self) -> None:
        while self._running or not self._is_stopping:
            try:
                path = f"{BASE}/workers/{self.id}/signals"
                answer = self.core.transport.call(
                    "GET", path, query={"wait": f"{self.poll:.0f}s"}, wait=self.poll, tries=1
                )
            except EverloopError as error:
                log.debug("no signals: %s", error)
                if error.code == "not_found":
                    # Whoever waits for tasks hears of it too, and registers again.
                    self.core.transport.abort(f"{BASE}/workers/{self.id}/claim")
                time.sleep(0.1)
                continue
            for word in answer["signals"]:
                with self._changed:
                    attempt = self._running.get(word["task"])
                    if attempt is None or attempt.number != word["attempt"]:
                        self._early[(word["task"], word["attempt"])] = word
                        while len(self._early) > EARLY:
                            del self._early[min(self._early)]
                        continue
                self._tell(attempt, word)

    def _tell(self, attempt: Attempt, word: dict[str, Any]) -> None:
        # Who goes on does so elsewhere, once this worker stops.
        run = HAND_BACK if self._is_stopping else RUN
        controls = {"pause": PAUSE, "resume": run, "cancel": CANCEL, "lease_lost": LOST}
        grace = word.get("grace_ms")
        attempt.tell(controls[word["signal"]], None if grace is None else grace / 1000)

    def _keep(self) -> None:
        """Renews leases that are a third through, and ends what may not go on, until a worker that stops holds nothing."""
        while self._running or not self._is_stopping:
            time.sleep(TICK)
            now = time.monotonic()
            with self._changed:
                running = list(self._running.values())
            for attempt in running:
                limit = attempt.policy.get("timeout_ms")
                if limit is not None and now - attempt.started >= limit / 1000:
                    grace = attempt.policy.get("grace_ms")
                    attempt.tell(TIMEOUT, None if grace is None else grace / 1000)
                if attempt.is_expired():
                    attempt.tell(LOST)
                elif attempt.grace_ends is not None and now >= attempt.grace_ends:
                    self.core.executor.submit(self._cut_off, attempt)
                if attempt.control == LOST:
                    self._forget(attempt)
            due = [
                of for of in running if of.lease_life and now - of.renewed >= of.lease_life / 3 and of.control != LOST
            ]
            if not due:
                continue
            held = [{"task": of.task, "lease": of.lease} for of in due]
            try:
                answer = self.core.transport.call("POST", f"{BASE}/workers/{self.id}/renew", {"leases": held}, tries=1)
            except EverloopError as error:
                log.debug("leases could not be renewed: %s", error)
                continue
            for attempt in due:
                if attempt.task in answer["lost"]:
                    attempt.tell(LOST)
                else:
                    attempt.renewed = now

    def _cut_off(self, attempt: Attempt) -> None:
        """The grace has passed and the code has not come to its end."""
        if attempt.control == TIMEOUT:
            attempt.end("fail", {"error": timed_out(attempt)})
        elif attempt.control == CANCEL:
            attempt.end("finish", {"cancelled": True})
        self._forget(attempt)

    def _forget(self, attempt: Attempt) -> None:
        """Its code may still run, but nothing that it does counts."""
        with self._changed:
            if self._running.get(attempt.task) is attempt:
                del self._running[attempt.task]
            self._changed.notify_all()

    def _beat(self) -> None:
        while not self._is_stopping:
            with self._changed:
                self._changed.wait_for(lambda: self._is_stopping, timeout=HEARTBEAT)
            if self._is_stopping:
                return
            try:
                self.core.transport.call("POST", f"{BASE}/workers/{self.id}/heartbeat", {}, tries=1)
            except EverloopError as error:
                log.debug("a heartbeat was not heard: %s", error)
