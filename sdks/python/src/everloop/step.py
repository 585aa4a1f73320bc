"""Steps as they are written down: functions whose outcome is recorded once, and replayed from then on."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast, overload

from .branch import Branch, check_name, drive, find
from .codec import Arguments, NotJson
from .errors import Validation
from .journaled import OnUnknown, Options, run_step

P = ParamSpec("P")
R = TypeVar("R")


class Step:
    """A function that is a step wherever a task calls it, and a plain function everywhere else."""

    def __init__(self, function: Callable[..., Any], options: Options, receiver: tuple[Any, ...] = ()) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.options = options
        self.receiver = receiver
        self.is_async = inspect.iscoroutinefunction(function)
        self._arguments: Arguments | None = None

    def __get__(self, instance: Any, owner: Any = None) -> Step:
        return self if instance is None else Step(self.function, self.options, (instance,))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        branch = find()
        if branch is None:
            return self.function(*self.receiver, *args, **kwargs)
        return begin(self, branch, args, kwargs)

    def write(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The arguments as JSON."""
        if self._arguments is None:
            self._arguments = Arguments(self.function, skip=len(self.receiver))
        try:
            return self._arguments.write(args, kwargs)
        except NotJson as error:
            text = f"step {self.options.name}: argument {error.message}"
            raise Validation(text, code="not_canonical") from None

    @property
    def result_hint(self) -> Any:
        """What the function says that it gives."""
        return None if self._arguments is None else self._arguments.hints.get("return")


def begin(step: Step, branch: Branch, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Runs a step in a branch: the result, or what gives it when awaited."""
    arguments = step.write(args, kwargs)
    key = branch.next_key(step.options.name, step.options.key)
    verify = step.options.verify
    running = run_step(
        branch,
        step.options,
        key,
        arguments,
        functools.partial(step.function, *step.receiver, *args, **kwargs),
        is_async=step.is_async,
        hint=step.result_hint,
        verify=None if verify is None else functools.partial(verify, *step.receiver, *args, **kwargs),
    )
    return running if step.is_async else drive(running)


@overload
def step(function: Callable[P, R], /) -> Callable[P, R]: ...


@overload
def step(
    *,
    name: str | None = None,
    kind: str = "step",
    retries: int = 0,
    backoff: float = 1.0,
    max_backoff: float = 60.0,
    timeout: float | None = None,
    on_unknown: OnUnknown | None = None,
    verify: Callable[..., Any] | None = None,
) -> Callable[[Callable[P, R]], Callable[P, R]]: ...


@overload
def step(
    name: str,
    function: Callable[..., R],
    /,
    *args: Any,
    kind: str = "step",
    retries: int = 0,
    backoff: float = 1.0,
    max_backoff: float = 60.0,
    timeout: float | None = None,
    on_unknown: OnUnknown | None = None,
    verify: Callable[..., Any] | None = None,
    key: str | None = None,
) -> R: ...


def step(*args: Any, **options: Any) -> Any:
    """Makes a function a step, or runs one: `@step`, `@step(retries=3)`, `step("name", function, argument)`.

    An outcome is recorded once; every later attempt of the task gets it without running the function. `retries` is how often
    the step itself is tried again after an error that is retried, `backoff` seconds apart at most, then twice that, up to
    `max_backoff`. `timeout` bounds one try, in seconds. `on_unknown` says what happens to one that was cut off: `rerun` with the
    same idempotency key, `verify` by asking the function `verify` (which gets the same arguments and answers `Happened(result)`,
    `NOT_HAPPENED` or `UNKNOWN`), `ask` a person, `fail`.
    """
    if options.get("on_unknown") is None:
        options["on_unknown"] = "verify" if options.get("verify") is not None else "rerun"
    if args and isinstance(args[0], str):
        name, function, *rest = args
        if isinstance(function, Step):
            function = function.function
        made = Step(function, Options(name=name, **options))
        branch = find()
        return function(*rest) if branch is None else begin(made, branch, tuple(rest), {})
    name = options.pop("name", None)

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        own = name or getattr(function, "__name__", type(function).__name__)
        check_name(own)
        return cast("Callable[P, R]", Step(function, Options(name=own, **options)))

    return decorate(args[0]) if args else decorate
