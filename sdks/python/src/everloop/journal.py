"""The recorded past of a task, as a replay asks for it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from .errors import Mismatch, Paused, Validation

VERSION = "version"


@dataclass
class Recorded:
    """A step that was recorded."""

    kind: str
    intent: str
    is_done: bool = False
    result: Any = None
    error: dict[str, Any] | None = None
    on_unknown: str = "rerun"
    failed_tries: int = 0
    starts: int = 0
    next_at: str | None = None
    #: The last error that was to be tried again.
    last_error: dict[str, Any] | None = None


@dataclass
class Sent:
    """An input that was sent to the task."""

    id: str
    name: str
    data: Any
    taken_by: str | None = None


@dataclass(frozen=True)
class Answer:
    """What was decided."""

    decision: str
    result: Any
    note: str | None


class Journal:
    """The journal of one attempt. Not for several threads at once: the attempt has a lock for it."""

    def __init__(self, items: list[dict[str, Any]]) -> None:
        self.steps: dict[str, Recorded] = {}
        self.versions: dict[str, Any] = {}
        self.order: list[str] = []
        self.reached: set[str] = set()
        self.inputs: list[Sent] = []
        self.decisions: dict[str, Answer] = {}
        self.asked: set[str] = set()
        self.timers: dict[str, str] = {}
        self.fired: set[str] = set()
        self.keys_of: str | None = None
        self.children: dict[str, str] = {}
        self.taken: set[str] = set()
        # What is recorded and was not come to yet, and how much of it lies in and below each scope.
        self._ahead: set[str] = set()
        self._ahead_in: Counter[str] = Counter()
        for item in items:
            self._add(item["type"], item["data"])

    def _step(self, data: dict[str, Any]) -> Recorded:
        key = data["step"]
        recorded = self.steps.get(key)
        if recorded is None:
            recorded = self.steps[key] = Recorded(data["kind"], data["intent"])
        recorded.kind, recorded.intent = data["kind"], data["intent"]
        self._expect(key)
        return recorded

    def _add(self, kind: str, data: dict[str, Any]) -> None:
        if kind == "step.started":
            recorded = self._step(data)
            recorded.on_unknown = data["on_unknown"]
            recorded.starts += 1
        elif kind == "step.completed":
            if data["kind"] == VERSION:
                self.versions[data["step"]] = data["result"]
                return
            recorded = self._step(data)
            recorded.is_done, recorded.result = True, data["result"]
            self.order.append(data["step"])
        elif kind == "step.failed":
            recorded = self._step(data)
            recorded.failed_tries = data["try"]
            # Its start has an end now: what failed is not in doubt.
            recorded.on_unknown = "rerun"
            recorded.next_at = data.get("next_at")
            recorded.last_error = data["error"]
            if recorded.next_at is None:
                recorded.is_done, recorded.error = True, data["error"]
                self.order.append(data["step"])
        elif kind == "task.waiting":
            for name, leaf in leaves(data["for"]):
                if name == "timer":
                    self.timers[leaf["id"]] = leaf["at"]
                    self._expect(leaf["id"])
            # Only the timer ends such a wait, and whoever runs now was woken by it: no clock of a worker is asked.
            if "timer" in data["for"]:
                self.fired.add(data["for"]["timer"]["id"])
        elif kind == "task.ready":
            if data["cause"] == "timer" and data.get("id"):
                self.fired.add(data["id"])
        elif kind == "task.forked":
            self.keys_of = data["from"].get("keys_of")
        elif kind == "task.child":
            self.children[data["task"]] = data["state"]
        elif kind == "task.input":
            self.inputs.append(Sent(data["id"], data["name"], data.get("data")))
        elif kind == "task.input_taken":
            self.taken.add(data["id"])
            for sent in self.inputs:
                if sent.id == data["id"]:
                    sent.taken_by = data["step"]
                    self._expect(data["step"])
        elif kind == "approval.requested":
            self.asked.add(data["id"])
            self._expect(data["id"])
        elif kind == "approval.decision":
            self.decisions[data["id"]] = Answer(data["decision"], data.get("result"), data.get("note"))

    def _expect(self, key: str) -> None:
        key = own_key(key)
        if key not in self._ahead:
            self._ahead.add(key)
            for scope in scopes_of(key):
                self._ahead_in[scope] += 1

    def name(self, key: str) -> None:
        """Notes that the code has come to a key."""
        if key in self._ahead:
            self._ahead.discard(key)
            for scope in scopes_of(key):
                self._ahead_in[scope] -= 1

    def has_ahead(self, scope: str) -> bool:
        """Whether something is recorded in this scope, or below it, that the code has not come to."""
        return self._ahead_in[scope] > 0

    def abandon(self, scope: str) -> None:
        """Counts everything below a scope as reached: the code does not go there any more."""
        below = f"{scope}/"
        self.reached.update(key for key in self.steps if key.startswith(below))
        for key in [key for key in self._ahead if key.startswith(below)]:
            self.name(key)

    def find(self, key: str, kind: str, intent: str) -> Recorded | None:
        """What is recorded of a step. Marks it as reached."""
        if key in self.reached:
            text = f"two steps have the identity {key!r}: give each branch a scope of its own"
            raise Validation(text, code="nondeterminism")
        self.reached.add(key)
        self.name(key)
        recorded = self.steps.get(key)
        if recorded is not None and (recorded.kind, recorded.intent) != (kind, intent):
            raise mismatch(
                f"step {key} was recorded with another kind or other arguments",
                key,
                {"intent": recorded.intent, "kind": recorded.kind},
                {"intent": intent, "kind": kind},
            )
        return recorded

    def unreached(self) -> str | None:
        """A step with an outcome that the code never came to."""
        return next((key for key in self.order if key not in self.reached), None)

    def count_unreached(self) -> int:
        """How many steps with an outcome the code has not come to."""
        return sum(key not in self.reached for key in self.order)

    def passed_over(self, scope: str) -> str | None:
        """The step recorded next in this very scope that the code has not reached."""
        if not self.has_ahead(scope):
            return None
        return next((key for key in self.order if key not in self.reached and scope_of(key) == scope), None)

    def input(self, step: str, name: str) -> tuple[Sent, bool] | None:
        """The input that a step takes, and whether taking it is new."""
        for sent in self.inputs:
            if sent.taken_by == step:
                return sent, False
        for sent in self.inputs:
            if sent.taken_by is None and sent.name == name:
                sent.taken_by = step
                return sent, True
        return None

    def version(self, key: str, lowest: int, highest: int) -> int | None:
        """What a gate has decided."""
        if key not in self.versions:
            return None
        found = self.versions[key]
        if isinstance(found, int) and lowest <= found <= highest:
            return found
        raise mismatch(
            f"gate {key} was passed as version {found}, which the code does not have",
            key,
            {"version": found},
            {"max": highest, "min": lowest},
        )


def is_journal(kind: str) -> bool:
    """Whether an event of a worker is one that a replay looks at."""
    return kind.startswith("step.") or kind in ("task.input_taken", "approval.requested")


def leaves(wait: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Every leaf of a tree of waits, with its kind."""
    found = []
    for name, inner in wait.items():
        if name in ("any", "all"):
            found += [leaf for part in inner for leaf in leaves(part)]
        else:
            found.append((name, inner))
    return found


def own_key(key: str) -> str:
    """The step that a timer or question belongs to."""
    return key.split("/start-", 1)[0].split("/try-", 1)[0]


def scope_of(key: str) -> str:
    """The scope of a key, empty for the outermost."""
    return key.rpartition("/")[0]


def scopes_of(key: str) -> list[str]:
    """The scopes that a key lies in, from the inside to the outermost."""
    found = []
    while key:
        key = scope_of(key)
        found.append(key)
    return found


def mismatch(what: str, step: str, recorded: Any, code: Any) -> Paused:
    """The task stands still, with both sides shown."""
    details = {"code": code, "recorded": recorded, "step": step, "what": what}
    return Paused({"by": "", "details": details, "reason": "nondeterminism"})


def mismatch_error(task: str, reason: dict[str, Any]) -> Mismatch:
    """What somebody who waits for a task that stands still is told."""
    details = reason.get("details") or {}
    text = (
        f"{details.get('what', 'the code does not follow the journal')}: "
        f"recorded {details.get('recorded')}, in the code {details.get('code')}. The task {task} is paused; run it with the "
        "code that it was begun with, fork it from an earlier step, or cancel it"
    )
    error = Mismatch(text, code="nondeterminism", details=details)
    error.task = task
    return error
