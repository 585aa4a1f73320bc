"""Steps: recorded once, replayed, tried again, in doubt."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

import everloop
from everloop import (
    NOT_HAPPENED,
    UNKNOWN,
    Client,
    EverloopError,
    Happened,
    Internal,
    Transient,
    Validation,
    Worker,
    aio,
    step,
    task,
)

from .conftest import until

Working = Callable[..., Worker]


def names(client: Client, task_id: str) -> list[str]:
    return [item["step"] for item in client.task_steps(task_id)["items"]]


def types(client: Client, task_id: str) -> list[str]:
    return [item.type for item in client.follow(task_id)]


def test_a_journaled_step_costs_one_call(working: Working, client: Client) -> None:
    @task(name="cost.plain")
    def plain(n: int) -> int:
        return sum(step("s", lambda i: i, i) for i in range(n))

    @task(name="cost.async")
    async def coroutine(n: int) -> int:
        async def one(i: int) -> int:
            return i

        total = 0
        for i in range(n):
            total += await step("s", one, i)
        return total

    worker = working(plain, coroutine)
    for kind in (plain, coroutine):
        calls: Counter[str] = Counter()
        worker.core.transport.on_request = lambda method, path, calls=calls: calls.update([path.rpartition("/")[2]])  # type: ignore[misc]
        assert client.result(client.submit(kind, 50)["id"], 90) == 1225
        # The outcome of the last one rides with the finish.
        assert calls["events"] <= 49
        assert calls["finish"] == 1
        assert set(calls) <= {"events", "finish", "claim", "signals", "heartbeat"}


def test_branches_that_end_together_share_a_call(working: Working, client: Client) -> None:
    @task(name="cost.map")
    async def mapped(n: int) -> int:
        async def one(i: int) -> int:
            await asyncio.sleep(0.05)
            return i

        return sum(await aio.map(lambda i: step("s", one, i), range(n)))

    worker = working(mapped)
    calls: Counter[str] = Counter()
    worker.core.transport.on_request = lambda method, path: calls.update([path.rpartition("/")[2]])
    assert client.result(client.submit(mapped, 50)["id"], 90) == 1225
    assert calls["events"] <= 10


def test_arguments_that_are_no_json_are_named(working: Working, client: Client) -> None:
    @task(name="bad.argument")
    def bad(n: int) -> None:
        step("send", lambda what, to: None, 1, {"to": object()})

    working(bad)
    with pytest.raises(Validation, match=r"step send: argument to\.to: a object can't be written as JSON") as caught:
        client.result(client.submit(bad, 1)["id"], 90)
    assert caught.value.code == "not_canonical"


@dataclass
class Point:
    x: int
    y: float


def test_results_come_back_as_their_annotations_say(working: Working, client: Client) -> None:
    seen: list[Any] = []

    @step
    def make(x: int) -> Point:
        return Point(x, 0.5)

    @task(name="typed")
    def typed(points: list[Point]) -> list[Point]:
        made = make(points[0].x)
        seen.append((points, made))
        everloop.wait_for_input("go")
        return [made, *points]

    working(typed)
    task_id = client.submit(typed, [Point(1, 2.0)])["id"]
    client.signal(task_id, "go")
    assert client.result(task_id, 90) == [{"x": 1, "y": 0.5}, {"x": 1, "y": 2}]
    assert len(seen) >= 1
    assert all(one == ([Point(1, 2.0)], Point(1, 0.5)) for one in seen)


def lose(worker: Worker) -> None:
    """The worker is not heard from any more, as if it had been killed: its leases run out."""
    worker.core.transport.close()


class Odd(Exception):
    """An exception of the user's own."""


def test_a_caught_failure_is_the_same_in_a_replay(working: Working, client: Client) -> None:
    caught: list[tuple[bool, bool, str, str]] = []
    ran: list[int] = []

    @task(name="caught")
    def catching(n: int) -> str:
        def fail() -> None:
            ran.append(1)
            raise Odd("no luck")

        try:
            step("fail", fail)
        except Odd as error:
            caught.append((isinstance(error, Internal), isinstance(error, Odd), str(error), error.code))  # type: ignore[attr-defined]
        everloop.wait_for_input("go")
        return "went on"

    working(catching)
    task_id = client.submit(catching, 1)["id"]
    until(lambda: client.get_task(task_id)["state"] == "waiting")
    client.signal(task_id, "go")
    assert client.result(task_id, 90) == "went on"
    assert caught == [(True, True, "no luck", "odd")] * 2
    assert ran == [1]


def test_a_step_is_tried_again_by_itself(working: Working, client: Client) -> None:
    tries: list[int] = []

    @step(retries=3, backoff=0.01)
    def flaky() -> int:
        tries.append(1)
        if len(tries) < 3:
            raise RuntimeError("not yet")
        return len(tries)

    @task(name="flaky.task")
    def run_it() -> int:
        return flaky()

    working(run_it)
    task_id = client.submit(run_it)["id"]
    assert client.result(task_id, 90) == 3
    (one,) = client.task_steps(task_id)["items"]
    assert one["failed_tries"] == 2
    assert client.get_task(task_id)["attempt"] == 1


def test_a_long_backoff_frees_the_worker(working: Working, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.uniform", lambda low, high: high)
    tries: list[float] = []

    @step(retries=1, backoff=2.2)
    def slow_flaky() -> str:
        tries.append(time.monotonic())
        if len(tries) < 2:
            raise RuntimeError("not yet")
        return "done"

    @task(name="flaky.slow")
    def run_it() -> str:
        return slow_flaky()

    working(run_it)
    task_id = client.submit(run_it)["id"]
    until(lambda: client.get_task(task_id)["state"] == "waiting")
    assert client.result(task_id, 90) == "done"
    assert tries[1] - tries[0] >= 2.0
    assert client.get_task(task_id)["attempt"] == 2


def test_a_failure_that_nobody_caught_is_done_again_by_a_redrive(working: Working, client: Client) -> None:
    broken = [True]
    ran: Counter[str] = Counter()

    @step
    def good() -> str:
        ran["good"] += 1
        return "good"

    @step
    def bad(key: str) -> str:
        ran["bad"] += 1
        if broken[0]:
            raise ConnectionError("down")
        return key

    @task(name="redriven", policy={"retry": {"max_tries": 1}})
    def redriven() -> list[str]:
        return [good(), bad("x"), everloop.current_task().id]

    working(redriven)
    view = client.submit(redriven, key="redriven-1")
    with pytest.raises(ConnectionError, match="down") as caught:
        client.result(view["id"], 90)
    assert isinstance(caught.value, Internal)
    assert caught.value.task == view["id"]
    broken[0] = False
    again = client.redrive(view["id"])
    assert client.result(again["id"], 90)[:2] == ["good", "x"]
    assert ran == {"good": 1, "bad": 2}
    assert client.get_task("key:redriven-1")["id"] == again["id"]


def test_a_permanent_failure_is_not_tried_again(working: Working, client: Client) -> None:
    ran: list[int] = []

    @step(retries=5)
    def never() -> str:
        ran.append(1)
        if len(ran) > 1:
            return "mended"
        raise Validation("no such city", code="no_city")

    @task(name="permanent")
    def permanent() -> str:
        return never()

    working(permanent)
    view = client.submit(permanent)
    with pytest.raises(Validation, match="no such city") as caught:
        client.result(view["id"], 90)
    assert caught.value.code == "no_city"
    assert ran == [1]
    # Whoever wants it done again has mended what was wrong.
    assert client.result(client.redrive(view["id"])["id"], 90) == "mended"


def test_a_step_that_takes_too_long_is_tried_again(working: Working, client: Client) -> None:
    seen: list[str] = []

    def hang(tries: list[int]) -> str:
        tries.append(1)
        if len(tries) == 1:
            time.sleep(5)
        return "in time"

    @task(name="late.plain")
    def plain() -> str:
        tries: list[int] = []
        return step("hang", lambda: hang(tries), timeout=0.1, retries=1, backoff=0.01)

    @task(name="late.async")
    async def coroutine() -> str:
        tries: list[int] = []

        async def work() -> str:
            tries.append(1)
            if len(tries) == 1:
                await asyncio.sleep(5)
            return "in time"

        return await step("hang", work, timeout=0.1, retries=1, backoff=0.01)

    working(plain, coroutine)
    for kind in (plain, coroutine):
        begun = time.monotonic()
        task_id = client.submit(kind)["id"]
        seen.append(client.result(task_id, 90))
        assert time.monotonic() - begun < 4
        failed = [item.data for item in client.follow(task_id) if item.type == "step.failed"]
        assert [one["error"]["code"] for one in failed] == ["step_timeout"]
    assert seen == ["in time", "in time"]


def test_two_steps_at_once_in_one_scope_are_refused_and_keyed_ones_are_not(working: Working, client: Client) -> None:
    async def slow(n: int) -> int:
        await asyncio.sleep(0.05)
        return n

    @task(name="gather.counted")
    async def counted() -> Any:
        return await asyncio.gather(step("s", slow, 1), step("s", slow, 2))

    @task(name="gather.keyed")
    async def keyed() -> Any:
        return await asyncio.gather(step("s", slow, 1, key="one"), step("s", slow, 2, key="two"))

    working(counted, keyed)
    with pytest.raises(Validation, match="scopes of its own"):
        client.result(client.submit(counted)["id"], 90)
    task_id = client.submit(keyed)["id"]
    assert client.result(task_id, 90) == [1, 2]
    assert sorted(names(client, task_id)) == ["s#one", "s#two"]


def test_a_mismatch_stands_the_task_still_with_both_sides(working: Working, client: Client) -> None:
    argument = ["before"]

    @task(name="changed")
    def changed() -> str:
        result = step("send", lambda to: to, argument[0])
        everloop.wait_for_input("go")
        return result

    working(changed)
    task_id = client.submit(changed)["id"]
    until(lambda: client.get_task(task_id)["state"] == "waiting")
    argument[0] = "after"
    client.signal(task_id, "go")
    until(lambda: client.get_task(task_id)["state"] == "paused")
    paused = client.get_task(task_id)["paused"]
    assert paused["reason"] == "nondeterminism"
    assert paused["details"]["step"] == "send#1"
    assert paused["details"]["recorded"]["intent"] != paused["details"]["code"]["intent"]
    assert client.get_task(task_id)["tries"] == 0
    # Under the code that it was begun with it goes on.
    argument[0] = "before"
    client.resume(task_id)
    assert client.result(task_id, 90) == "before"


def test_code_that_never_comes_to_a_recorded_step_stands_still(working: Working, client: Client) -> None:
    has_step = [True]

    @task(name="shorter")
    def shorter() -> None:
        if has_step[0]:
            step("first", lambda: 1)
        everloop.wait_for_input("go")

    working(shorter)
    task_id = client.submit(shorter)["id"]
    until(lambda: client.get_task(task_id)["state"] == "waiting")
    has_step[0] = False
    client.signal(task_id, "go")
    paused = until(lambda: client.get_task(task_id).get("paused"))
    assert "without recorded step first#1" in paused["details"]["what"]


def test_a_worker_that_stops_keeps_its_leases_until_its_tasks_come_to_a_step(working: Working, client: Client) -> None:
    runs: list[int] = []
    release = threading.Event()

    @task(name="stopping", policy={"lease_ms": 1000})
    def slow() -> str:
        def take_time() -> str:
            runs.append(1)
            release.wait(60)
            return "taken"

        took = step("slow", take_time)
        return step("after", lambda: took)

    first = working(slow)
    task_id = client.submit(slow)["id"]
    until(lambda: runs)
    renewals: list[str] = []
    first.core.transport.on_request = lambda _, path: renewals.append(path) if path.endswith("/renew") else None
    stopping = threading.Thread(target=first.stop, args=(60.0,))
    stopping.start()
    # Each comes when a third of the lease has passed: it would have run out by now.
    until(lambda: len(renewals) > 6, 20)
    release.set()
    stopping.join()
    working(slow)
    assert client.result(task_id, 90) == "taken"
    assert len(runs) == 1
    assert client.get_task(task_id)["attempt"] == 2
    assert re.findall('task.lease_lost.*"reason":"([a-z_]+)"', client.export(task_id)) == ["handed_back"]


def test_a_worker_that_stops_hears_that_its_task_was_cancelled(working: Working, client: Client) -> None:
    runs: list[int] = []
    release = threading.Event()

    @task(name="stopping.cancelled", policy={"grace_ms": 100})
    def slow() -> None:
        def take_time() -> None:
            runs.append(1)
            release.wait(60)

        step("slow", take_time)

    first = working(slow, poll=1.0)
    task_id = client.submit(slow)["id"]
    until(lambda: runs)
    stopping = threading.Thread(target=first.stop, args=(60.0,))
    stopping.start()
    until(lambda: first._is_stopping)
    asked: list[str] = []
    first.core.transport.on_request = lambda _, path: asked.append(path) if path.endswith("/signals") else None
    until(lambda: asked, 20)
    client.cancel(task_id)
    until(lambda: client.get_task(task_id)["state"] == "cancelled", 20)
    release.set()
    stopping.join()


@pytest.mark.parametrize("policy", ["ask", "verify", "fail", "rerun"])
def test_a_step_that_was_cut_off_is_treated_as_its_policy_says(working: Working, client: Client, policy: str) -> None:
    runs: list[str] = []
    verdicts = [Happened("found out")] if policy == "verify" else []
    release = threading.Event()

    def charge() -> str:
        runs.append(everloop.step_key())
        if len(runs) == 1:
            release.wait(30)
        return "charged"

    @task(name=f"doubt.{policy}", policy={"lease_ms": 1000})
    def doubtful() -> str:
        if policy == "verify":
            return step("charge", charge, verify=lambda: verdicts[0])
        return step("charge", charge, on_unknown=policy)  # type: ignore[call-overload,no-any-return]

    first = working(doubtful)
    task_id = client.submit(doubtful)["id"]
    until(lambda: runs)
    lose(first)
    working(doubtful)
    until(lambda: client.get_task(task_id)["attempt"] == 2)
    release.set()
    if policy == "ask":
        assert until(lambda: client.get_task(task_id).get("open_requests")) == ["charge#1"]
        client.decide_on(task_id, "charge#1", "happened", result="by hand")
        assert client.result(task_id, 90) == "by hand"
    elif policy == "verify":
        assert client.result(task_id, 90) == "found out"
    elif policy == "fail":
        with pytest.raises(Validation) as caught:
            client.result(task_id, 90)
        assert caught.value.code == "outcome_unknown"
    else:
        assert client.result(task_id, 90) == "charged"
        assert len(runs) == 2
    assert len(set(runs)) == 1
    assert len(runs) == (2 if policy == "rerun" else 1)


def test_verify_may_say_that_it_did_not_happen_or_that_nobody_knows(working: Working, client: Client) -> None:
    for verdict, answer in ((NOT_HAPPENED, None), (UNKNOWN, "rerun")):
        runs: list[int] = []
        release = threading.Event()

        def charge(runs: list[int] = runs, release: threading.Event = release) -> str:
            runs.append(1)
            if len(runs) == 1:
                release.wait(30)
            return f"run {len(runs)}"

        def run_it(verdict: Any = verdict, charge: Any = charge) -> str:
            return step("charge", lambda: charge(), verify=lambda: verdict)  # type: ignore[no-any-return]

        made = task(name=f"verify.{verdict!r}".lower(), policy={"lease_ms": 1000})(lambda run_it=run_it: run_it())
        worker = working(made)
        task_id = client.submit(made)["id"]
        until(lambda runs=runs: runs)
        lose(worker)
        working(made)
        until(lambda task_id=task_id: client.get_task(task_id)["attempt"] == 2)
        release.set()
        if answer is not None:
            until(lambda task_id=task_id: client.get_task(task_id).get("open_requests"))
            client.decide_on(task_id, "charge#1", answer)
        assert client.result(task_id, 90) == "run 2"


def test_large_values_are_kept_apart_and_come_back(working: Working, client: Client) -> None:
    @task(name="large")
    def large(text: str) -> int:
        made = step("double", lambda: text + text)
        everloop.wait_for_input("go")
        return len(made)

    @task(name="larger")
    def larger(size: int) -> str:
        # More than one request takes, one by one and together.
        parts = everloop.map(lambda n: step("part", lambda: str(n) * size), range(10), concurrency=10)
        everloop.wait_for_input("go")
        return step("whole", lambda: "".join(parts))

    working(large, larger)
    task_id = client.submit(large, "x" * 500_000)["id"]
    client.signal(task_id, "go")
    assert client.result(task_id, 90) == 1_000_000
    task_id = client.submit(larger, 2_000_000)["id"]
    client.signal(task_id, "go")
    assert client.result(task_id, 60) == "".join(str(n) * 2_000_000 for n in range(10))


def test_a_step_outside_of_tasks_is_a_plain_function() -> None:
    @step(retries=3)
    def plus(a: int, b: int = 1) -> int:
        return a + b

    assert plus(1) == 2
    assert plus(1, b=2) == 3
    assert step("plus", lambda: 5) == 5
    with pytest.raises(EverloopError, match="@task"):
        everloop.sleep(1)


def test_methods_are_steps_and_a_step_in_a_step_is_part_of_it(working: Working, client: Client) -> None:
    class Bank:
        @step
        def pay(self, amount: int) -> str:
            return f"{self.note(amount)} paid"

        @step
        def note(self, amount: int) -> str:
            return str(amount)

    @task(name="methods")
    def methods() -> str:
        return Bank().pay(5)

    working(methods)
    task_id = client.submit(methods)["id"]
    assert client.result(task_id, 90) == "5 paid"
    assert names(client, task_id) == ["pay#1"]


def test_the_class_of_an_error_decides_whether_it_is_tried_again(working: Working, client: Client) -> None:
    @task(name="classes", policy={"retry": {"max_tries": 2, "initial_ms": 1, "max_ms": 1}})
    def classes(kind: str) -> None:
        raise {"transient": Transient, "validation": Validation}[kind]("x", code="mine", details={"a": 1})

    working(classes)
    for kind, tries, error_type in (("transient", 2, Transient), ("validation", 1, Validation)):
        task_id = client.submit(classes, kind)["id"]
        with pytest.raises(error_type) as caught:
            client.result(task_id, 90)
        assert (caught.value.code, caught.value.details) == ("mine", {"a": 1})
        assert client.get_task(task_id)["tries"] == tries
