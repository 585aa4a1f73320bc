"""Errors, typed by their class: the class decides whether trying again can help.

Every error that a task, a step or the server can end with is one of seven classes. `Transient` and `Internal` are tried again by
the policy of the task; the others are not.
"""

from __future__ import annotations

import asyncio
import re
import sys
from typing import Any, ClassVar


class EverloopError(Exception):
    """What a step, a task or a request ended with."""

    #: The class on the wire.
    error_class: ClassVar[str] = "internal"

    #: Stable snake_case code.
    code: str
    #: What happened, for people.
    message: str
    #: More about it, for programs.
    details: Any
    #: The task that failed, where a whole task did.
    task: str | None
    #: The server's whole answer, where it refused a request.
    problem: dict[str, Any] | None

    def __init__(self, message: str = "", *, code: str | None = None, details: Any = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.error_class
        self.details = details
        self.task = None
        self.problem = None

    def __str__(self) -> str:
        return self.message

    @property
    def is_retried(self) -> bool:
        """Whether a retry policy spends a try on it."""
        return self.error_class in ("transient", "internal")


class Transient(EverloopError):
    """It may pass: a network, a rate, a restart."""

    error_class = "transient"


class Internal(EverloopError):
    """Everloop's own fault, or that of the function: every exception that is none of these classes."""

    error_class = "internal"


class Validation(EverloopError):
    """The input is wrong and stays wrong. Raise it for whatever shall not be tried again."""

    error_class = "validation"


class Auth(EverloopError):
    """Who asks may not."""

    error_class = "auth"


class Quota(EverloopError):
    """A quota of the plan is used up."""

    error_class = "quota"


class Budget(EverloopError):
    """The budget is used up."""

    error_class = "budget"


class Stopped(EverloopError):
    """Somebody or something wanted it to stop: a task that was cancelled, or took too long."""

    error_class = "cancelled"


class TimedOut(Stopped, TimeoutError):
    """`timeout` was faster than what it was given."""


class Unreachable(Transient):
    """The server could not be reached."""


class Mismatch(Validation):
    """The code does not follow what was recorded. The task stands still; `details` has both sides."""


CLASSES: dict[str, type[EverloopError]] = {
    of.error_class: of for of in (Transient, Internal, Validation, Auth, Quota, Budget, Stopped)
}


class Stop(BaseException):
    """Ends the attempt, or a branch of it, without being an error. Never catch it."""


class Suspended(Stop):
    """The branch waits for something."""

    def __init__(self, wait: dict[str, Any]) -> None:
        super().__init__("the task waits and needs no worker until then: let this pass")
        self.wait = wait


class Replayed(Suspended):
    """The branch stands where its replay ends. Its leaf in the tree of waits is never sent."""

    LEAF: ClassVar[str] = "replayed"

    def __init__(self, key: str) -> None:
        super().__init__({self.LEAF: {"id": key}})


class Paused(Stop):
    """The task stands still: it was asked to, or the code does not follow the journal."""

    def __init__(self, reason: dict[str, Any]) -> None:
        super().__init__("the task stands still: let this pass")
        self.reason = reason


class ContinuedAs(Stop):
    """The task goes on as a new one with this input."""

    def __init__(self, value: Any) -> None:
        super().__init__("the task goes on as a new one: let this pass")
        self.value = value


class HandedBack(Stop):
    """The worker is stopping: another attempt goes on."""


class LeaseLost(Stop):
    """The attempt is over: whatever is written now is refused."""


class Abandoned(Stop):
    """The branch isn't needed any more: another one has won, or failed."""


class TookTooLong(Stop):
    """The attempt ran longer than the policy of the task allows."""


class Cancelled(asyncio.CancelledError):
    """The task was cancelled: clean up within `cleanup()` and let it pass."""


def snake(name: str) -> str:
    """`ConnectionResetError` is `connection_reset_error`."""
    text = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
    return re.sub(r"[^a-z0-9_]", "_", text).strip("_") or "error"


def to_wire(error: BaseException) -> dict[str, Any]:
    """An exception as the error that is recorded."""
    if isinstance(error, EverloopError):
        known: dict[str, Any] = {"class": error.error_class, "code": error.code, "message": error.message}
        if error.details is not None:
            known["details"] = error.details
        return known
    kind = type(error)
    wire: dict[str, Any] = {"class": "internal", "code": snake(kind.__name__), "message": str(error) or kind.__name__}
    name = f"{kind.__module__}:{kind.__qualname__}"
    if find_type(name) is kind:
        wire["details"] = {"type": name}
    return wire


def find_type(name: Any) -> type[Exception] | None:
    """The exception class of a recorded name, where its module is loaded."""
    if not isinstance(name, str):
        return None
    module, _, path = name.partition(":")
    found: Any = sys.modules.get(module)
    for part in path.split("."):
        found = getattr(found, part, None)
    return found if isinstance(found, type) and issubclass(found, Exception) else None


_replayed: dict[type[Exception], type[EverloopError]] = {}


def from_wire(wire: dict[str, Any]) -> EverloopError:
    """The exception of a recorded error: the same now and in every replay.

    An exception of the user's own comes back as one that is both an `Internal` and of the user's class, so that `except
    ValueError` catches it whether the step has just failed or failed last week.
    """
    kind = CLASSES.get(str(wire.get("class")), Internal)
    details = wire.get("details")
    own = find_type(details.get("type")) if isinstance(details, dict) else None
    if own is not None and kind is Internal and not issubclass(own, EverloopError):
        if own not in _replayed:
            try:
                _replayed[own] = type(own.__name__, (Internal, own), {"__module__": own.__module__})
            except TypeError:
                # The two can't be one: then it is only ours, now and in every replay.
                _replayed[own] = Internal
        kind = _replayed[own]
    error = kind.__new__(kind)
    EverloopError.__init__(error, str(wire.get("message", "")), code=str(wire.get("code")), details=details)
    error.args = (error.message,)
    return error


def from_problem(problem: dict[str, Any]) -> EverloopError:
    """The exception of an answer of the server that refuses a request."""
    kind = CLASSES.get(str(problem.get("class")), Internal)
    text = str(problem.get("detail") or problem.get("title") or "the request was refused")
    if problem.get("hint"):
        text = f"{text} ({problem['hint']})"
    error = kind(text, code=str(problem.get("code", "internal")), details=problem.get("errors"))
    error.problem = problem
    return error
