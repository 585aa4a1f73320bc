"""What a worker says of its kinds: schemas, words, defaults; and what becomes of inputs that are not of the schema."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import importlib.util
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, Optional, TypedDict, TypeVar, Union

import jsonschema
import pydantic
import pytest
from pydantic.dataclasses import dataclass as pydantic_dataclass
from typing_extensions import NotRequired

from everloop import Client, Validation, task
from everloop.codec import Arguments
from everloop.offer import offers
from everloop.schema import input_schema
from everloop.task import Task

from .conftest import ROOT, Server, environment, finish, start

T = TypeVar("T")


class Line(TypedDict):
    item: str
    count: NotRequired[int]


@dataclasses.dataclass
class Address:
    street: str
    zip: str | None = None
    seen: int = dataclasses.field(default=0, init=False)


@dataclasses.dataclass
class Order:
    lines: list[Line]
    to: Address
    tags: list[str] = dataclasses.field(default_factory=list)
    note: str = None  # type: ignore[assignment]


@dataclasses.dataclass
class Tree:
    name: str
    children: list[Tree]


class Model(pydantic.BaseModel):
    count: int


@pydantic_dataclass
class Coerced:
    count: int


class Box(TypedDict, Generic[T]):
    item: T


class Color(enum.Enum):
    RED = "red"


STRING = {"type": "string"}
NULL = {"type": "null"}
LINE = {
    "type": "object",
    "properties": {"item": STRING, "count": {"type": "integer"}},
    "required": ["item"],
}
ADDRESS = {
    "type": "object",
    "properties": {"street": STRING, "zip": {"anyOf": [STRING, NULL]}},
    "required": ["street"],
}


def of(hint: Any) -> dict[str, Any] | None:
    def function(value): ...  # type: ignore[no-untyped-def]

    function.__annotations__["value"] = hint
    return input_schema(Arguments(function))


@pytest.mark.parametrize(
    ("hint", "schema"),
    [
        (str, STRING),
        (int, {"type": "integer"}),
        (float, {"type": "number"}),
        (bool, {"type": "boolean"}),
        (None, NULL),
        (list, {"type": "array"}),
        (list[Any], {"type": "array"}),
        (list[list[str]], {"type": "array", "items": {"type": "array", "items": STRING}}),
        (dict, {"type": "object"}),
        (dict[str, Any], {"type": "object"}),
        (dict[str, float], {"type": "object", "additionalProperties": {"type": "number"}}),
        (Optional[str], {"anyOf": [STRING, NULL]}),  # noqa: UP045 as others write it
        (Union[int, list[str]], {"anyOf": [{"type": "integer"}, {"type": "array", "items": STRING}]}),  # noqa: UP007
        (int | None, {"anyOf": [{"type": "integer"}, NULL]}),
        (Literal["a", 1, True, None], {"enum": ["a", 1, True, None]}),
        (Annotated[int, "of apples"], {"type": "integer"}),
        (Line, LINE),
        (Address, ADDRESS),
        ("list[str]", {"type": "array", "items": STRING}),
    ],
)
def test_a_schema_says_what_an_annotation_says_plainly(hint: Any, schema: dict[str, Any]) -> None:
    assert of(hint) == schema


@pytest.mark.parametrize(
    "hint",
    [
        Any,
        object,
        T,
        "Unknown",
        str | datetime.date,
        datetime.datetime,
        Color,
        Literal[Color.RED],
        Path,
        Sequence[str],
        Mapping[str, int],
        dict[int, str],
        tuple[int, str],
        Box[int],
        Model,
        Coerced,
        Callable[[], int],
    ],
)
def test_a_schema_is_silent_about_every_other_annotation(hint: Any) -> None:
    assert of(hint) is None


def test_classes_are_written_once_wherever_they_stand() -> None:
    order = of(Order)
    assert order == {
        "type": "object",
        "properties": {
            "lines": {"type": "array", "items": {"$ref": "#/$defs/Line"}},
            "to": {"$ref": "#/$defs/Address"},
            "tags": {"type": "array", "items": STRING},
            "note": {"anyOf": [STRING, NULL]},
        },
        "required": ["lines", "to"],
        "$defs": {"Line": LINE, "Address": ADDRESS},
    }
    tree = of(Tree)
    assert tree is not None
    assert tree["type"] == "object"
    jsonschema.validate({"name": "a", "children": [{"name": "b", "children": []}]}, tree)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"name": "a", "children": [{"name": "b", "children": [3]}]}, tree)


def nothing() -> None: ...
def loose(a, b=1): ...  # type: ignore[no-untyped-def]
def single(n: int): ...  # type: ignore[no-untyped-def]
def by_default(n: int = 3): ...  # type: ignore[no-untyped-def]
def implied(n: int, to: str = None): ...  # type: ignore[no-untyped-def,assignment] # noqa: RUF013
def keywords(n: int, *, order: Order, tree: Tree | None = None): ...  # type: ignore[no-untyped-def]


@pytest.mark.parametrize(
    ("function", "args", "refused"),
    [
        (nothing, (), []),
        (loose, ("a", {"b": [1]}), [None, {"b": 1}, {"a": 1, "c": 1}, []]),
        (single, (3,), [None, "3", 3.5, {}]),
        (by_default, (), ["3"]),
        (by_default, (4,), ["3"]),
        (implied, (1,), [{"n": 1, "to": 2}]),
        (implied, (1, None), [{"n": None}]),
        (lambda order: None, (Order([], Address("Main Street")),), []),
    ],
)
def test_what_a_call_writes_is_taken_and_what_its_reader_refuses_is_refused(
    function: Callable[..., Any], args: tuple[Any, ...], refused: list[Any]
) -> None:
    arguments = Arguments(function)
    schema = input_schema(arguments)
    checker = jsonschema.Draft202012Validator({} if schema is None else schema)
    assert checker.is_valid(arguments.write(args, {}))
    for value in refused:
        assert not checker.is_valid(value), value


def test_objects_of_a_class_are_of_its_schema() -> None:
    arguments = Arguments(keywords)
    schema = input_schema(arguments)
    assert schema is not None
    checker = jsonschema.Draft202012Validator(schema)
    order = Order([{"item": "tea"}, {"item": "milk", "count": 2}], Address("Main Street"), ["new"])
    for tree in (None, Tree("a", [Tree("b", [])])):
        value = arguments.write((1,), {"order": order, "tree": tree})
        assert checker.is_valid(value)
        assert arguments.call(value) is not None
    assert not checker.is_valid({"n": 1, "order": {"lines": [{"count": 1}], "to": {"street": "a"}}})


def test_an_offer_says_what_the_decorator_and_the_function_say() -> None:
    def make(**options: Any) -> Task[..., Any]:
        @task(name="of.one", **options)
        def one(n: int) -> int:
            """Counts \tapples.

            And more.
            """
            return n

        return one

    (plain,) = offers([make()])
    assert plain == {
        "kind": "of.one",
        "versions": [1],
        "about": "Counts apples.",
        "input_schema": {"type": "integer"},
    }
    told = make(
        about="counts",
        input_schema=Model,
        output_schema={"type": "integer"},
        queue="slow",
        policy={"timeout_ms": 5},
        expose=["mcp"],
    )
    (said,) = offers([told])
    assert said.pop("input_schema")["properties"]["count"]["type"] == "integer"
    assert said == {
        "kind": "of.one",
        "versions": [1],
        "about": "counts",
        "output_schema": {"type": "integer"},
        "expose": ["mcp"],
        "defaults": {"policy": {"timeout_ms": 5}, "queue": "slow"},
    }
    assert offers([make(input_schema=True)])[0]["input_schema"] is True
    with pytest.raises(Validation, match=r"task of\.one: input_schema: give a JSON Schema as a dict"):
        make(input_schema=int)
    # Two versions with different inputs: a schema of either would refuse those of the other.
    older = Task(lambda n: n, "of.one", 1, None, None)
    newer = Task(single, "of.one", 2, None, None)
    assert offers([newer, older]) == [{"kind": "of.one", "versions": [1, 2]}]


@task(
    name="of.ship",
    queue="low",
    policy={"timeout_ms": 5000, "retry": {"max_tries": 9}},
    output_schema={"type": "string"},
    expose=["mcp"],
)
def ship(order: Order, express: bool = False) -> str:
    """Ships an order."""
    return f"{len(order.lines)} to {order.to.street}"


def test_the_server_holds_inputs_to_the_schema_and_gives_the_defaults(client: Client, working: Any) -> None:
    working(ship)
    kind = client.get_kind("of.ship")
    assert (kind["about"], kind["expose"], kind["output_schema"]) == ("Ships an order.", ["mcp"], {"type": "string"})
    value = {"order": {"lines": [{"item": "tea"}], "to": {"street": "Main Street"}}}
    # By its name, as whoever does not have the function submits it.
    view = client.submit("of.ship", value)
    assert (view["queue"], view["policy"]["timeout_ms"], view["policy"]["retry"]["max_tries"]) == ("low", 5000, 9)
    assert client.result(view["id"], 60) == "1 to Main Street"
    assert client.result(client.submit(ship, Order([], Address("Elm Street")))["id"], 60) == "0 to Elm Street"
    for wrong, field in [
        ({"order": {"lines": [{"item": 3}], "to": {"street": "a"}}}, "input.order.lines[0].item"),
        ({"order": {"lines": [], "to": {}}}, "input.order.to"),
        ({**value, "express": "yes"}, "input.express"),
        ({}, "input"),
    ]:
        with pytest.raises(Validation) as caught:
            client.submit("of.ship", wrong)
        assert caught.value.details[0]["field"] == field
        assert field in str(caught.value)


def test_a_worker_with_a_wrong_schema_ends_and_says_why(tmp_path: Path, server: Server) -> None:
    script = "from everloop import task\n@task(input_schema={'type': 'text'})\ndef wrong(value): ...\n"
    (tmp_path / "wrong.py").write_text(script)
    done = subprocess.run(
        [sys.executable, "-m", "everloop", "worker", "wrong:wrong"],
        env=environment(EVERLOOP_URL=server.url),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert "kinds[0].input_schema" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_run_with_a_wrong_schema_says_why_each_time(tmp_path: Path, server: Server) -> None:
    script = tmp_path / "wrong.py"
    script.write_text(
        "from everloop import Validation, run, task\n"
        "@task(input_schema={'type': 'text'})\n"
        "def wrong(value): ...\n"
        "for _ in range(2):\n"
        "    try:\n"
        "        run(wrong, 1)\n"
        "    except Validation as error:\n"
        "        print('kinds[0].input_schema' in str(error))\n"
    )
    assert finish(start(script, EVERLOOP_URL=server.url)) == "True\nTrue\n"


@pytest.mark.parametrize(
    ("more", "of_kind", "is_taken"),
    [
        ({}, {}, True),
        ({"capabilities": ["gpu"], "queues": ["high"], "version": "1"}, {}, True),
        ({}, {"about": "a", "expose": ["mcp"], "input_schema": {"type": "integer"}, "output_schema": True}, True),
        ({}, {"defaults": {"queue": "low", "policy": {"timeout_ms": 5000}}}, True),
        ({}, {"defaults": {}, "expose": []}, True),
        ({"color": 1}, {}, False),
        ({}, {"color": 1}, False),
        ({}, {"defaults": {"color": 1}}, False),
        ({}, {"expose": ["fax"]}, False),
        ({}, {"input_schema": "text"}, False),
        ({"protocol": 2}, {}, False),
    ],
)
def test_the_kit_takes_the_registrations_that_the_server_takes(
    client: Client, more: dict[str, Any], of_kind: dict[str, Any], is_taken: bool
) -> None:
    spec = importlib.util.spec_from_file_location("kit_server", ROOT / "sdks/conformance/server.py")
    assert spec is not None
    assert spec.loader is not None
    kit = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(kit)
    offer = {"kind": "of.kit", "versions": [1], **of_kind}
    body = {"kinds": [offer], "max_concurrent_tasks": 1, "name": "kit", "protocol": 1, **more}
    assert (kit.wrong_registration(body) is None) == is_taken
    if is_taken:
        client.remove_worker(client.register_worker(body)["id"])
    else:
        with pytest.raises(Validation):
            client.register_worker(body)
