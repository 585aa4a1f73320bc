"""Canonical JSON, digests, names, and what is generated."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from everloop.canonical import canonical, intent, step_idempotency_key
from everloop.codec import Arguments, NotJson, plain, read
from everloop.errors import from_wire, snake, to_wire
from everloop.history import History
from everloop.journal import Journal

from .conftest import ROOT, SDK

VECTORS = ROOT / "docs/vectors"


def whole(text: str) -> float:
    """A bare integer that comes back digit for digit is what JSON says, however long."""
    value = int(text)
    return (
        float(value)
        if abs(value) >= 2**64 and str(int(float(value))) == text and canonical(float(value)).decode() == text
        else value
    )


def test_canonical_json_is_that_of_the_vectors() -> None:
    held = 0
    for vector in json.loads((VECTORS / "canonical.json").read_text()):
        try:
            value = plain(json.loads(vector["input"], parse_int=whole))
        except (ValueError, NotJson):
            assert "refused" in vector, vector
            continue
        if "refused" not in vector:
            assert canonical(value).decode() == vector["canonical"]
            held += 1
    assert held >= 6


def test_numbers_are_written_as_ecmascript_does() -> None:
    for value, text in [
        (1e21, "1e+21"),
        (1e20, "100000000000000000000"),
        (123456789.125, "123456789.125"),
        (1e-6, "0.000001"),
        (1e-7, "1e-7"),
        (1.5e-9, "1.5e-9"),
        (5e-324, "5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (-0.0, "0"),
        (0.1 + 0.2, "0.30000000000000004"),
        (100.0, "100"),
        (9007199254740993.0, "9007199254740992"),
    ]:
        assert canonical(value).decode() == text


def test_digests_are_those_of_the_vectors() -> None:
    vectors = json.loads((VECTORS / "digests.json").read_text())
    arguments = json.loads(vectors["intent"]["arguments"])
    assert intent(arguments) == vectors["intent"]["intent"]
    said = vectors["step"]
    assert step_idempotency_key(said["task"], said["step"]) == said["idempotency_key"]


def test_arguments_are_written_alike_however_they_are_given() -> None:
    def one(a: int) -> None: ...
    def two(a: int, b: int = 2) -> None: ...
    def none() -> None: ...

    assert Arguments(none).write((), {}) is None
    assert Arguments(one).write((1,), {}) == Arguments(one).write((), {"a": 1}) == 1
    assert Arguments(two).write((1, 3), {}) == Arguments(two).write((1,), {"b": 3}) == {"a": 1, "b": 3}
    assert Arguments(two).call({"a": 1}) == ((1,), {})
    with pytest.raises(Exception, match="c is not known"):
        Arguments(two).call({"a": 1, "c": 1})


@pytest.mark.parametrize("value", [float("nan"), 2**64, "\ud800", {1: 2}, {"a": [b""]}, object()])
def test_what_is_no_json_is_refused(value: Any) -> None:
    with pytest.raises(NotJson):
        plain(value)


def test_annotations_are_read() -> None:
    assert read([1, "a"], tuple[int, str]) == (1, "a")
    assert read({"a": [1]}, dict[str, list[int]]) == {"a": [1]}
    assert read(None, int | None) is None
    assert read("x", int | str) == "x"


def test_errors_come_back_as_they_went() -> None:
    assert snake("HTTPStatusError") == "http_status_error"
    wire = to_wire(KeyError("x"))
    assert wire == {
        "class": "internal",
        "code": "key_error",
        "message": "'x'",
        "details": {"type": "builtins:KeyError"},
    }
    error = from_wire(wire)
    assert isinstance(error, KeyError)
    assert (error.code, str(error)) == ("key_error", "'x'")
    strange = from_wire({"class": "internal", "code": "odd", "message": "m", "details": {"type": "no.such:Thing"}})
    assert (type(strange).__name__, str(strange)) == ("Internal", "m")
    assert isinstance(from_wire(to_wire(OSError(2, "gone"))), OSError)


def test_a_history_stands_for_its_digest() -> None:
    history = History([{"role": "user", "content": "hi"}])
    before = plain(history)
    history.append({"role": "assistant", "content": "ho"})
    after = plain(history)
    assert (before["messages"], after["messages"]) == (1, 2)
    assert before["digest"] != after["digest"]
    assert plain(History(list(history))) == after


def test_what_lies_ahead_is_known_by_scope() -> None:
    done = {"attempt": 1, "intent": "i", "kind": "step", "result": 1, "started_at": "t"}
    items = [
        {"seq": n, "type": "step.completed", "data": {**done, "step": key}}
        for n, key in enumerate(["a#1", "p#1[0]/b#1"])
    ]
    journal = Journal(items)
    assert journal.has_ahead("")
    assert journal.has_ahead("p#1[0]")
    assert not journal.has_ahead("p#1[1]")
    journal.find("p#1[0]/b#1", "step", "i")
    assert not journal.has_ahead("p#1[0]")
    assert journal.has_ahead("")
    assert journal.unreached() == "a#1"
    journal.find("a#1", "step", "i")
    assert not journal.has_ahead("")
    assert journal.unreached() is None


def test_the_operations_are_those_of_the_document() -> None:
    done = subprocess.run(
        [sys.executable, str(SDK / "tools/generate.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
