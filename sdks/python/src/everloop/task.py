"""Functions that are tasks, by kind and version."""

from __future__ import annotations

import functools
import inspect
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, Literal, ParamSpec, TypedDict, TypeVar, overload

from .codec import Arguments, NotJson
from .errors import Validation
from .offer import Schema, about_of, json_schema

P = ParamSpec("P")
R = TypeVar("R")

_KIND = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


class Retry(TypedDict, total=False):
    """How often, and how far apart, a task that failed is tried again."""

    initial_ms: int
    max_ms: int
    max_tries: int


class Concurrency(TypedDict):
    """At most so many tasks with this key run at once."""

    key: str
    limit: int


class Policy(TypedDict, total=False):
    """How a task is to be run. What is left out is the server's default."""

    children: str
    concurrency: Concurrency
    deadline: str
    grace_ms: int
    lease_ms: int
    on_unknown: str
    priority: int
    profile: dict[str, Any]
    retry: Retry
    timeout_ms: int


class Task(Generic[P, R]):
    """A function that a worker runs as a task of its kind. Called by itself it is the plain function."""

    def __init__(
        self,
        function: Callable[P, R],
        kind: str,
        version: int,
        policy: Mapping[str, Any] | None,
        queue: str | None,
        said: Mapping[str, Any] | None = None,
    ) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.kind = kind
        self.version = version
        self.policy = dict(policy or {})
        self.queue = queue
        #: What its worker says of it beyond that: `about`, `input_schema`, `output_schema`, `expose`.
        self.said = dict(said or {})
        self.is_async = inspect.iscoroutinefunction(function)
        self.arguments = Arguments(function)
        if self.arguments.is_open:
            text = f"task {kind}: name its parameters; *args and **kwargs can't be read from an input"
            raise Validation(text, code="invalid_request")

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.function(*args, **kwargs)

    def input(self, *args: Any, **kwargs: Any) -> Any:
        """The input that a call with these arguments stands for: one argument by itself, more as an object by name."""
        try:
            return self.arguments.write(args, kwargs)
        except NotJson as error:
            raise Validation(f"task {self.kind}: argument {error.message}", code="not_canonical") from None

    def request(self, args: tuple[Any, ...], kwargs: dict[str, Any], **more: Any) -> dict[str, Any]:
        """The request that submits it."""
        request: dict[str, Any] = {"kind": self.kind, "input": self.input(*args, **kwargs)}
        if self.version != 1:
            request["kind_version"] = self.version
        if self.policy:
            request["policy"] = self.policy
        if self.queue is not None:
            request["queue"] = self.queue
        request.update({name: value for name, value in more.items() if value is not None})
        return request


_lock = threading.Lock()
_registered: dict[tuple[str, int], Task[..., Any]] = {}


def registered() -> list[Task[..., Any]]:
    """Every function with `@task` that was loaded so far."""
    with _lock:
        return list(_registered.values())


@overload
def task(function: Callable[P, R], /) -> Task[P, R]: ...


@overload
def task(
    *,
    name: str | None = None,
    version: int = 1,
    policy: Policy | None = None,
    queue: str | None = None,
    about: str | None = None,
    input_schema: Schema | None = None,
    output_schema: Schema | None = None,
    expose: Iterable[Literal["mcp"]] = (),
) -> Callable[[Callable[P, R]], Task[P, R]]: ...


def task(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    version: int = 1,
    policy: Policy | None = None,
    queue: str | None = None,
    about: str | None = None,
    input_schema: Schema | None = None,
    output_schema: Schema | None = None,
    expose: Iterable[Literal["mcp"]] = (),
) -> Any:
    """Makes a function a task: `@task`, `@task(name="digest", version=2, policy={"retry": {"max_tries": 5}})`.

    Its kind is its name. A function with one parameter gets the whole input as that parameter; one with more gets an object
    with a member for each.

    The server is told more of the kind: `about`, a line (the first of the docstring); `input_schema` and `output_schema`, a JSON
    Schema or a pydantic model (that of the input is made of the annotations where none is given, `True` is for any input); policy
    and queue, which tasks get whoever submits them; `expose=["mcp"]` makes a tool of it.
    """

    def decorate(function: Callable[..., Any]) -> Task[..., Any]:
        kind = name or function.__name__
        if not _KIND.fullmatch(kind):
            text = f"{kind!r} can't be a kind of task: lower-case letters, digits, . _ - and at most 64; give another `name=`"
            raise Validation(text, code="invalid_request")
        said: dict[str, Any] = {"about": about_of(function) if about is None else about, "expose": list(expose)}
        for name_of, schema, mode in (
            ("input_schema", input_schema, "validation"),
            ("output_schema", output_schema, "serialization"),
        ):
            if schema is not None:
                said[name_of] = json_schema(schema, mode, f"task {kind}: {name_of}")
        said = {what: value for what, value in said.items() if value not in (None, "", [])}
        made: Task[..., Any] = Task(function, kind, version, policy, queue, said)
        with _lock:
            _registered[(kind, version)] = made
        return made

    return decorate if function is None else decorate(function)
