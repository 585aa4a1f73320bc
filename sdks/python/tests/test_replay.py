"""What an attempt does that is asked to replay only, or always, against the scripted server of the conformance kit."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import everloop
from everloop import TimedOut, Validation, Worker, aio, step, task
from everloop.transport import Transport

from .conftest import ROOT

sys.path.append(str(ROOT / "sdks/conformance"))
Kit: Any = importlib.import_module("server").Kit

Run = Callable[..., Any]


@pytest.fixture
def begin() -> Iterator[Run]:
    """Begins an attempt of a task, with `replay` and a journal."""
    kit = Kit()
    workers: list[Worker] = []

    def begun(of: Any, value: Any = None, past: Any = (), **more: Any) -> Any:
        worker = Worker([of], transport=Transport(kit.url), drain=1.0, poll=1.0)
        worker.start()
        workers.append(worker)
        attempt = kit.begin(of.kind, value, past, **more)
        attempt.kit = kit
        return attempt

    yield begun
    for worker in workers:
        worker.stop()
    kit.server.shutdown()


@pytest.fixture
def run(begin: Run) -> Run:
    """The same until it has ended."""
    return lambda *args, **more: begin(*args, **more).wait()


def past(attempt: Any) -> Any:
    return [event for event in attempt.events if event["type"] == "step.completed"]


done: Counter[str] = Counter()


@pytest.fixture(autouse=True)
def _nothing_done() -> None:
    done.clear()


@step
def note(what: str) -> list[str]:
    done[what] += 1
    return [what]


@step
async def note_async(what: str) -> list[str]:
    return note(what)


def two(name: str) -> list[str]:
    first = note(f"{name}1")
    # The next run must not see what this one made of it.
    first.append("changed")
    return first + note(f"{name}2")


@task
def branches(names: list[str]) -> Any:
    names.append("c")
    if len(names) != 3:
        raise AssertionError(names)
    return everloop.map(two, names), note("end")


async def two_async(name: str) -> list[str]:
    first = await note_async(f"{name}1")
    first.append("changed")
    return first + await note_async(f"{name}2")


@task
async def branches_async(names: list[str]) -> Any:
    names.append("c")
    if len(names) != 3:
        raise AssertionError(names)
    return await aio.map(two_async, names), await note_async("end")


@pytest.mark.parametrize("of", [branches, branches_async])
def test_after_every_step_everything_is_replayed_and_nothing_is_done_again(run: Run, of: Any) -> None:
    attempt = run(of, ["a", "b"], replay="always")
    lists, end = attempt.result()
    assert lists == [[f"{name}1", "changed", f"{name}2"] for name in "abc"]
    assert end == ["end"]
    assert set(done.values()) == {1}
    assert len(done) == len(attempt.steps) == 7
    assert len(attempt.calls) <= 8


@pytest.mark.parametrize("of", [branches, branches_async])
def test_a_dry_run_comes_as_far_as_each_branch_is_recorded(run: Run, of: Any) -> None:
    whole = run(of, ["a", "b"])
    done.clear()
    kept = [
        event for event in past(whole) if "[1]" not in event["data"]["step"] and "end" not in event["data"]["result"]
    ]
    last = kept.pop()["data"]["step"]
    attempt = run(of, ["a", "b"], kept, replay="only")
    name = last.partition("/")[2].partition("#")[0]
    at = sorted([f"map#1[1]/{name}#1", last])
    assert attempt.paused() == {"by": "", "reason": "replayed", "details": {"ahead": 0, "at": at}}
    assert not done
    assert len(attempt.calls) == 1
    assert run(of, ["a", "b"], past(whole), replay="only").result() == whole.result()
    assert not done


@task
async def beside() -> Any:
    both = await asyncio.gather(step("n", note_async, "x", key="x"), step("n", note_async, "y", key="y"))
    return [both, await note_async("z")]


def test_steps_with_keys_of_their_own_run_beside_each_other(run: Run) -> None:
    assert run(beside, replay="always").result() == [[["x"], ["y"]], ["z"]]
    assert done == {"x": 1, "y": 1, "z": 1}


@task
def hurried() -> Any:
    try:
        everloop.timeout(0.05, lambda: everloop.sleep(1))
    except TimedOut:
        note("late")
    winner, value = everloop.race(lambda: two("slow") and everloop.sleep(1), lambda: two("fast"))
    drawn = everloop.now(), everloop.random(), everloop.new_id(), everloop.version("gate", 1, 2)
    return [winner, value, len(drawn)]


def test_who_wins_a_race_wins_it_where_everything_is_replayed(run: Run) -> None:
    attempt = run(hurried, replay="always")
    assert attempt.result() == [1, ["fast1", "changed", "fast2"], 4]
    assert set(done.values()) == {1}
    again = run(hurried, past=past(attempt), replay="only")
    assert again.result() == attempt.result()
    assert set(done.values()) == {1}


@step
def refused() -> None:
    raise Validation("no")


def lingering() -> None:
    try:
        step("linger", time.sleep, 0.1)
    finally:
        # It is not needed any more, and the code may have been begun anew: neither is disturbed.
        for _ in range(20):
            time.sleep(0.01)
            with contextlib.suppress(BaseException):
                note("lingered")


@task
def gives_up() -> Any:
    with contextlib.suppress(Validation):
        everloop.parallel(refused, lingering)
    said = [note(str(n)) for n in range(3)]
    time.sleep(0.2)
    return [*said, note("end")]


def test_whoever_is_left_of_an_earlier_run_disturbs_no_later_one(run: Run) -> None:
    assert run(gives_up, replay="always").result() == [["0"], ["1"], ["2"], ["end"]]
    assert done == {"0": 1, "1": 1, "2": 1, "end": 1}


_calls: list[int] = []


@task
def impure() -> None:
    _calls.append(1)
    note("same")
    note(f"run {len(_calls)}")
    note("behind")


def test_code_that_looks_at_a_global_is_seen_at_once(run: Run) -> None:
    run(impure).is_finished()
    attempt = run(impure, replay="always")
    assert attempt.paused()["reason"] == "nondeterminism"
    assert attempt.paused()["details"]["step"] == "note#2"
    assert len(attempt.steps) == 2
    assert done["behind"] == 1


@task
def gated() -> Any:
    way = everloop.version("gate", 1, 2)
    note("first")
    everloop.log("said once")
    everloop.sleep(0.01)
    return [way, everloop.random()]


def test_a_dry_run_passes_a_new_gate_and_draws_nothing(run: Run) -> None:
    first = {"type": "step.completed", "data": run(gated).of("step.completed")[1]}
    attempt = run(gated, past=[first], replay="only")
    assert attempt.paused()["details"] == {"ahead": 0, "at": ["sleep#1"]}
    assert not attempt.events
    assert done == {"first": 1}
    assert [log["text"] for log in run(gated, replay="always").of("log")] == ["said once"]


@task
def verified() -> Any:
    def verify(what: str) -> Any:
        note("verify")
        return everloop.NOT_HAPPENED

    return step("charge", note.__wrapped__, "charge", verify=verify)  # type: ignore[attr-defined]


def test_a_dry_run_asks_nobody_about_what_is_in_doubt(run: Run) -> None:
    (started,) = [event for event in run(verified).events if event["type"] == "step.started"]
    done.clear()
    attempt = run(verified, past=[started], replay="only")
    assert attempt.paused()["details"] == {"ahead": 0, "at": ["charge#1"]}
    assert not done


@task
async def cancelled() -> None:
    try:
        await note_async("begun")
        await asyncio.sleep(60)
    finally:
        with everloop.cleanup():
            await note_async("tidied")


def test_who_is_cancelled_cleans_up_once(begin: Run) -> None:
    attempt = begin(cancelled, replay="always")
    attempt.kit.until("the first step", lambda: "note_async#1" in attempt.steps)
    attempt.kit.tell(attempt, "cancel", grace_ms=5_000)
    attempt.wait().is_finished()
    assert attempt.body.get("cancelled") is True
    assert done == {"begun": 1, "tidied": 1}
