"""Canonical JSON (RFC 8785, with whole 64-bit integers), and the digests that are made of it."""

from __future__ import annotations

import hashlib
import math
from json.encoder import encode_basestring
from typing import Any

INTEGER_MIN = -(2**63)
INTEGER_MAX = 2**64 - 1


def number(value: float) -> str:
    """A double as ECMAScript writes it."""
    if not math.isfinite(value):
        raise ValueError("the number is not finite; JSON has no way to write it")
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    mantissa, _, exponent = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = "" if fraction == "0" else fraction
    digits = whole + fraction
    point = len(whole) + int(exponent or 0)
    stripped = digits.lstrip("0")
    point -= len(digits) - len(stripped)
    digits = stripped.rstrip("0")
    count = len(digits)
    if count <= point <= 21:
        return sign + digits + "0" * (point - count)
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    power = point - 1
    shown = digits if count == 1 else f"{digits[0]}.{digits[1:]}"
    return f"{sign}{shown}e{'+' if power > 0 else '-'}{abs(power)}"


def _write(value: Any, out: list[str]) -> None:
    if value is None:
        out.append("null")
    elif value is True:
        out.append("true")
    elif value is False:
        out.append("false")
    elif isinstance(value, str):
        out.append(encode_basestring(value))
    elif isinstance(value, int):
        if not INTEGER_MIN <= value <= INTEGER_MAX:
            raise ValueError("the integer needs more than 64 bits; send it as a string")
        out.append(str(int(value)))
    elif isinstance(value, float):
        out.append(number(value))
    elif isinstance(value, dict):
        out.append("{")
        for place, name in enumerate(sorted(value, key=lambda name: name.encode("utf-16-be"))):
            out.append(("," if place else "") + encode_basestring(name) + ":")
            _write(value[name], out)
        out.append("}")
    elif isinstance(value, list):
        out.append("[")
        for place, item in enumerate(value):
            if place:
                out.append(",")
            _write(item, out)
        out.append("]")
    else:
        raise TypeError(f"a {type(value).__name__} is no JSON")


def canonical(value: Any) -> bytes:
    """The canonical bytes of a value that consists of what JSON has."""
    out: list[str] = []
    _write(value, out)
    return "".join(out).encode()


def intent(arguments: Any) -> str:
    """What a step was asked to do: SHA-256 of its canonical arguments, in hexadecimal."""
    return hashlib.sha256(canonical(arguments)).hexdigest()


def step_idempotency_key(task: str, step: str) -> str:
    """The key that a step shows to the outside: the same on every try and attempt."""
    return hashlib.sha256(f"everloop/step/v1/{task}/{step}".encode()).hexdigest()
