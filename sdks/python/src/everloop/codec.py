"""Python values as JSON, and back by their annotations.

What a step or a task gives is written as JSON and read again before anybody sees it, so that a replay gives exactly what the
first run gave.
"""

from __future__ import annotations

import dataclasses
import datetime
import enum
import inspect
import math
import pathlib
import types
import typing
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Union

from .canonical import INTEGER_MAX, INTEGER_MIN
from .errors import Validation

_DEPTH = 64


class NotJson(Validation):
    """A value that can't be written as JSON."""


def plain(value: Any, path: str = "", depth: int = 0) -> Any:
    """The value as what JSON has: new lists and dicts, so that nobody changes it afterwards."""
    kind = type(value)
    if value is None or kind is bool:
        return value
    if kind is str:
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise _not_json(path, "the text has half of a surrogate pair") from None
        return value
    if kind is int:
        if not INTEGER_MIN <= value <= INTEGER_MAX:
            raise _not_json(path, "the integer needs more than 64 bits; send it as a string")
        return value
    if kind is float:
        if not math.isfinite(value):
            raise _not_json(path, f"{value} is no JSON number")
        return value
    if depth >= _DEPTH:
        raise _not_json(path, f"it is nested more than {_DEPTH} levels deep")
    if isinstance(value, (list, tuple)):
        return [plain(item, f"{path}[{n}]", depth + 1) for n, item in enumerate(value)]
    if isinstance(value, Mapping):
        return {_name(name, path): plain(item, f"{path}.{name}", depth + 1) for name, item in value.items()}
    return _other(value, path, depth)


def _other(value: Any, path: str, depth: int) -> Any:
    reference = getattr(type(value), "__everloop_reference__", None)
    if reference is not None:
        return plain(reference(value), path, depth + 1)
    dump = getattr(type(value), "model_dump", None)
    if dump is not None:
        return plain(dump(value, mode="json"), path, depth + 1)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return plain(fields, path, depth + 1)
    if isinstance(value, enum.Enum):
        return plain(value.value, path, depth + 1)
    for base in (str, int, float):
        if isinstance(value, base):
            return plain(base(value), path, depth + 1)
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, (uuid.UUID, pathlib.PurePath)):
        return str(value)
    raise _not_json(path, f"a {type(value).__name__} can't be written as JSON")


def _name(name: Any, path: str) -> str:
    if type(name) is not str:
        raise _not_json(path, f"the key {name!r} is not a string")
    return typing.cast(str, plain(name, path))


def _not_json(path: str, why: str) -> NotJson:
    return NotJson(f"{path.lstrip('.') or 'the value'}: {why}", code="not_canonical")


def read(value: Any, hint: Any) -> Any:
    """A JSON value as what an annotation asks for; as it is where the annotation says nothing that JSON has not."""
    if hint is None or hint is Any or hint is inspect.Parameter.empty or value is None:
        return value
    origin = typing.get_origin(hint)
    if origin is typing.Annotated:
        return read(value, typing.get_args(hint)[0])
    if origin in (Union, types.UnionType):
        return _one_of(value, [arm for arm in typing.get_args(hint) if arm is not type(None)])
    if (isinstance(value, list) and origin in (list, tuple, typing.Sequence)) or origin is _SEQUENCE:
        return _items(value, hint, origin)
    if isinstance(value, dict) and origin in (dict, _MAPPING):
        inner = typing.get_args(hint)[1]
        return {name: read(item, inner) for name, item in value.items()}
    return _as_class(value, hint) if isinstance(hint, type) else value


_SEQUENCE = typing.get_origin(typing.Sequence[Any])
_MAPPING = typing.get_origin(typing.Mapping[str, Any])


def _items(value: Any, hint: Any, origin: Any) -> Any:
    arms = typing.get_args(hint)
    if origin is tuple:
        each = [arms[0]] * len(value) if len(arms) == 2 and arms[1] is Ellipsis else list(arms)
        return tuple(read(item, arm) for item, arm in zip(value, each, strict=False))
    return [read(item, arms[0]) for item in value]


def _one_of(value: Any, arms: list[Any]) -> Any:
    for arm in arms:
        try:
            found = read(value, arm)
        except (TypeError, ValueError, KeyError):
            continue
        if isinstance(arm, type) and isinstance(found, arm):
            return found
    return value if len(arms) != 1 else read(value, arms[0])


def _as_class(value: Any, hint: type[Any]) -> Any:
    validate = getattr(hint, "model_validate", None)
    if validate is not None:
        return validate(value)
    if dataclasses.is_dataclass(hint) and isinstance(value, dict):
        hints = hints_of(hint)
        known = {f.name for f in dataclasses.fields(hint) if f.init}
        return hint(**{name: read(item, hints.get(name)) for name, item in value.items() if name in known})
    if hint is tuple and isinstance(value, list):
        return tuple(value)
    if issubclass(hint, (datetime.datetime, datetime.date, datetime.time)) and isinstance(value, str):
        return hint.fromisoformat(value.replace("Z", "+00:00") if value.endswith("Z") else value)
    if issubclass(hint, (enum.Enum, uuid.UUID, pathlib.PurePath)) and not isinstance(value, hint):
        return hint(value)
    return value


def hints_of(of: Any, *, extras: bool = False) -> dict[str, Any]:
    """The annotations of a function or class, as far as they can be known here; with what wraps them where `extras`."""
    try:
        return typing.get_type_hints(of, include_extras=extras)
    except (NameError, TypeError, AttributeError):
        return {}


class Arguments:
    """How the arguments of a function are written: nothing as null, one by itself, more as an object by their names."""

    def __init__(self, function: Callable[..., Any], skip: int = 0) -> None:
        self.function = function
        try:
            parameters = list(inspect.signature(function).parameters.values())[skip:]
        except (TypeError, ValueError):
            parameters = [inspect.Parameter("arguments", inspect.Parameter.VAR_POSITIONAL)]
        self.signature = inspect.Signature(parameters)
        variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        self.is_open = any(parameter.kind in variadic for parameter in parameters)
        self.names = [parameter.name for parameter in parameters]
        self._hints: dict[str, Any] | None = None

    @property
    def hints(self) -> dict[str, Any]:
        """The annotations of the function."""
        if self._hints is None:
            self._hints = hints_of(self.function)
        return self._hints

    def write(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The arguments of a call as JSON."""
        bound = self.signature.bind(*args, **kwargs)
        values = bound.arguments
        if self.is_open:
            if not kwargs:
                return plain(list(args)) if len(args) != 1 else plain(args[0], "argument")
            return {"args": plain(list(args), "args"), "kwargs": plain(kwargs, "kwargs")}
        if not self.names:
            return None
        if len(self.names) == 1:
            name = self.names[0]
            return plain(values[name], name) if name in values else None
        return {name: plain(value, name) for name, value in values.items()}

    def call(self, value: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments of a call from JSON: what `write` has written, or somebody else in its place."""
        if not self.names:
            return (), {}
        if len(self.names) == 1:
            name = self.names[0]
            parameter = self.signature.parameters[name]
            if value is None and parameter.default is not inspect.Parameter.empty:
                return (), {}
            found = read(value, self.hints.get(name))
            return ((), {name: found}) if parameter.kind is parameter.KEYWORD_ONLY else ((found,), {})
        if not isinstance(value, dict):
            wanted = ", ".join(self.names)
            raise Validation(f"input: an object with {wanted} is needed", code="invalid_request")
        strange = set(value) - set(self.names)
        if strange:
            raise Validation(f"input: {', '.join(sorted(strange))} is not known", code="invalid_request")
        missing = [
            name
            for name, parameter in self.signature.parameters.items()
            if name not in value and parameter.default is inspect.Parameter.empty
        ]
        if missing:
            raise Validation(f"input: {', '.join(missing)} is missing", code="invalid_request")
        bound = self.signature.bind(**{name: read(item, self.hints.get(name)) for name, item in value.items()})
        return bound.args, bound.kwargs
