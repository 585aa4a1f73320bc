"""The JSON Schema of what a task takes, made of the annotations of its parameters.

It says only what an annotation says plainly. Of every other annotation nothing is said, so that no input is refused that the
function would have taken: a pydantic model, for one, reads more than its schema has.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import types
import typing
from typing import Any, Literal, Union

from .codec import Arguments, hints_of

#: A server takes no longer one, in bytes.
MOST = 64 * 1024

_NULL = {"type": "null"}
_PLAIN: dict[Any, str] = {
    bool: "boolean",
    dict: "object",
    float: "number",
    int: "integer",
    list: "array",
    str: "string",
    type(None): "null",
}
#: They wrap an annotation, and say nothing of the form of its values.
_WRAPPERS = ("NotRequired", "ReadOnly", "Required")


def input_schema(arguments: Arguments) -> dict[str, Any] | None:
    """The schema of the input that these arguments are read from; nothing where there is nothing to say."""
    parameters = arguments.signature.parameters
    if not parameters:
        return None
    made = _Schemas()
    properties: dict[str, Any] = {}
    for name, parameter in parameters.items():
        found = made.of(arguments.hints.get(name, Any))
        # A parameter that is alone has its default for null, too.
        is_null = parameter.default is None or (len(parameters) == 1 and parameter.default is not parameter.empty)
        properties[name] = _or_null(found) if is_null else found
    if len(parameters) == 1:
        (root,) = properties.values()
    else:
        required = [name for name, parameter in parameters.items() if parameter.default is parameter.empty]
        root = {**_object(properties, required), "additionalProperties": False}
    whole = made.whole(root)
    return whole if whole and len(json.dumps(whole).encode()) <= MOST else None


class _Schemas:
    """Schemas of annotations. Classes are written once, and referred to: they may have themselves as members."""

    def __init__(self) -> None:
        self.defs: dict[str, dict[str, Any]] = {}
        self._known: dict[type[Any], dict[str, Any]] = {}

    def of(self, hint: Any) -> dict[str, Any]:
        """What an annotation says plainly; nothing is `{}`."""
        origin, arms = typing.get_origin(hint), typing.get_args(hint)
        if origin is None:
            return self._of_class(hint) if isinstance(hint, type) else {}
        if origin is typing.Annotated or getattr(origin, "_name", None) in _WRAPPERS:
            return self.of(arms[0])
        if origin in (Union, types.UnionType):
            found = [self.of(arm) for arm in arms]
            return {} if {} in found else {"anyOf": found}
        if origin is Literal:
            is_plain = all(arm is None or type(arm) in (bool, int, str) for arm in arms)
            return {"enum": list(arms)} if is_plain else {}
        if origin is list:
            inner = self.of(arms[0])
            return {"type": "array", **({"items": inner} if inner else {})}
        if origin is dict and arms[0] is str:
            inner = self.of(arms[1])
            return {"type": "object", **({"additionalProperties": inner} if inner else {})}
        return {}

    def whole(self, root: dict[str, Any]) -> dict[str, Any]:
        """A schema with the classes that it refers to. What is at its root stands there itself: tools look for its type."""
        name = root.get("$ref", "").rpartition("/")[2]
        defs = self.defs
        if name:
            root = defs[name]
            if f'"#/$defs/{name}"' not in json.dumps(defs):
                defs = {other: schema for other, schema in defs.items() if other != name}
        return {**root, "$defs": defs} if root and defs else root

    def _of_class(self, hint: type[Any]) -> dict[str, Any]:
        if hint in _PLAIN:
            return {"type": _PLAIN[hint]}
        if hint in self._known:
            return self._known[hint]
        if typing.is_typeddict(hint):
            write = _typed_dict
        elif dataclasses.is_dataclass(hint) and not _is_pydantic(hint):
            write = _dataclass
        else:
            return {}
        word = re.sub(r"\W", "_", hint.__name__, flags=re.ASCII)
        name = word if word not in self.defs else f"{word}_{len(self.defs)}"
        self._known[hint] = {"$ref": f"#/$defs/{name}"}
        self.defs[name] = {}
        self.defs[name] = write(self, hint)
        return self._known[hint]


def _typed_dict(schemas: _Schemas, of: Any) -> dict[str, Any]:
    hints = hints_of(of, extras=True)
    # Where annotations are texts, Python takes what is wrapped in NotRequired for required.
    required = [
        name
        for name, hint in hints.items()
        if name in of.__required_keys__ and getattr(typing.get_origin(hint), "_name", None) != "NotRequired"
    ]
    return _object({name: schemas.of(hint) for name, hint in hints.items()}, required)


def _dataclass(schemas: _Schemas, of: Any) -> dict[str, Any]:
    hints = hints_of(of)
    parameters = inspect.signature(of).parameters
    properties: dict[str, Any] = {}
    required: list[str] = []
    for field in dataclasses.fields(of):
        parameter = parameters.get(field.name) if field.init else None
        if parameter is None:
            continue
        found = schemas.of(hints.get(field.name, Any))
        properties[field.name] = _or_null(found) if parameter.default is None else found
        if parameter.default is parameter.empty:
            required.append(field.name)
    return _object(properties, required)


def _is_pydantic(of: Any) -> bool:
    return hasattr(of, "__pydantic_validator__") or hasattr(of, "model_validate")


def _object(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    made: dict[str, Any] = {"type": "object", "properties": properties}
    return {**made, "required": required} if required else made


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    arms = schema.get("anyOf", [schema])
    is_taken = not schema or _NULL in arms or any(None in arm.get("enum", ()) for arm in arms)
    return schema if is_taken else {"anyOf": [*arms, _NULL]}
