"""What a worker says of its kinds when it registers."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from .codec import NotJson, plain
from .errors import Validation
from .schema import input_schema

if TYPE_CHECKING:
    from .task import Task

#: A JSON Schema, or a class that has one: a pydantic model.
Schema = Mapping[str, Any] | bool | type[Any]

#: A server takes no longer line, in characters.
_LINE = 500


def offers(tasks: Iterable[Task[..., Any]]) -> list[dict[str, Any]]:
    """What is said of each kind of these tasks, by kind."""
    kinds: dict[str, list[Task[..., Any]]] = {}
    for task in sorted(tasks, key=lambda task: (task.kind, task.version)):
        kinds.setdefault(task.kind, []).append(task)
    return [_offer(versions) for versions in kinds.values()]


def _offer(versions: list[Task[..., Any]]) -> dict[str, Any]:
    newest = versions[-1]
    offer = {"kind": newest.kind, "versions": [task.version for task in versions], **newest.said}
    if "input_schema" not in offer:
        # Inputs of all versions are held to one schema: where they differ, none is right.
        first, *others = [input_schema(task.arguments) for task in versions]
        if first is not None and all(other == first for other in others):
            offer["input_schema"] = first
    defaults = {"policy": newest.policy or None, "queue": newest.queue}
    offer["defaults"] = {name: value for name, value in defaults.items() if value is not None}
    return {name: value for name, value in offer.items() if value not in ({}, []) or name == "input_schema"}


def about_of(function: Callable[..., Any]) -> str | None:
    """The first line of what a function says about itself."""
    text = function.__doc__ if inspect.isroutine(function) else None
    lines = inspect.cleandoc(text or "").splitlines() or [""]
    line = "".join(letter for letter in " ".join(lines[0].split()) if letter.isprintable())
    return (line if len(line) <= _LINE else f"{line[: _LINE - 1]}…") or None


def json_schema(schema: Schema, mode: str, field: str) -> Any:
    """A schema as JSON; `mode` is that of pydantic: for what is read (`validation`), or for what is written (`serialization`)."""
    of_model = getattr(schema, "model_json_schema", None)
    found = schema if of_model is None else of_model(mode=mode)
    if not isinstance(found, (Mapping, bool)):
        raise Validation(f"{field}: give a JSON Schema as a dict, or a pydantic model", code="invalid_request")
    try:
        return plain(found, field.rpartition(" ")[2])
    except NotJson as error:
        raise Validation(f"{field}: {error.message}", code="not_canonical") from None
