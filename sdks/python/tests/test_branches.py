"""Branches: scopes, failures, races, timers, gates, children, and how a task is steered."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

import everloop
from everloop import Client, Stopped, TimedOut, Validation, Worker, aio, step, task

from .conftest import until

Working = Callable[..., Worker]


def waits(client: Client, task_id: str) -> Any:
    return until(lambda: client.get_task(task_id).get("waiting_for"))


@step
def note(name: str) -> str:
    return name


@step
async def note_async(name: str) -> str:
    return name


def test_branches_have_scopes_and_results_in_order(working: Working, client: Client) -> None:
    @task(name="scopes.plain")
    def plain() -> Any:
        first = everloop.parallel(lambda: note("a"), lambda: everloop.map(note, ["b", "c"], key=str.upper))
        with everloop.scope("helper"):
            last = note("d")
        return [*first, last, everloop.map(note, [], name="none")]

    @task(name="scopes.async")
    async def coroutine() -> Any:
        async def inner() -> Any:
            return await aio.map(note_async, ["b", "c"], key=str.upper)

        first: list[Any] = await aio.parallel(lambda: note_async("a"), inner)
        with everloop.scope("helper"):
            last = await note_async("d")
        return [*first, last, await aio.map(note_async, [], name="none")]

    working(plain, coroutine)
    for kind, name in ((plain, "note"), (coroutine, "note_async")):
        task_id = client.submit(kind)["id"]
        assert client.result(task_id, 90) == ["a", ["b", "c"], "d", []]
        found = {item["step"] for item in client.task_steps(task_id)["items"]}
        assert found == {
            f"parallel#1[0]/{name}#1",
            f"parallel#1[1]/map#1[B]/{name}#1",
            f"parallel#1[1]/map#1[C]/{name}#1",
            f"helper#1/{name}#1",
        }


def test_a_parallel_waits_for_whatever_its_branches_wait_for(working: Working, client: Client) -> None:
    @task(name="waits.plain")
    def plain() -> Any:
        return everloop.parallel(
            lambda: everloop.wait_for_input("left"), lambda: everloop.wait_for_input("right"), lambda: note("done")
        )

    @task(name="waits.async")
    async def coroutine() -> Any:
        return await aio.parallel(
            lambda: aio.wait_for_input("left"), lambda: aio.wait_for_input("right"), lambda: note_async("done")
        )

    working(plain, coroutine)
    for kind in (plain, coroutine):
        task_id = client.submit(kind)["id"]
        ids = [leaf["input"]["id"] for leaf in waits(client, task_id)["any"]]
        assert ids == ["parallel#1[0]/left#1", "parallel#1[1]/right#1"]
        client.signal(task_id, "right", 2)
        until(lambda task_id=task_id: "input" in (client.get_task(task_id).get("waiting_for") or {}))
        client.signal(task_id, "left", 1)
        assert client.result(task_id, 90) == [1, 2, "done"]


def test_the_first_failure_ends_a_parallel(working: Working, client: Client) -> None:
    ran: list[str] = []

    def fail() -> None:
        raise Validation("this one", code="first")

    def slow() -> None:
        for n in range(100):
            step("slow", lambda n: time.sleep(0.02), n)
        ran.append("slow came to its end")

    @task(name="parallel.fails")
    def fails() -> str:
        try:
            everloop.parallel(slow, lambda: step("fail", fail))
        except Validation as error:
            everloop.wait_for_input("go")
            return error.code
        return "nothing"

    working(fails)
    task_id = client.submit(fails)["id"]
    client.signal(task_id, "go")
    assert client.result(task_id, 90) == "first"
    assert ran == []


def test_what_a_failed_parallel_has_left_behind_is_no_mismatch(working: Working, client: Client) -> None:
    failed = threading.Event()

    def left_behind() -> None:
        step("first", lambda: 1)
        step("second", failed.set)
        step("third", lambda: time.sleep(0.2))

    def fail() -> None:
        failed.wait(30)
        raise Validation("this one", code="first")

    @task(name="parallel.left")
    def left() -> str:
        try:
            everloop.parallel(lambda: step("fail", fail), left_behind)
        except Validation as error:
            everloop.wait_for_input("go")
            return error.code
        return "nothing"

    working(left)
    for _ in range(5):
        failed.clear()
        task_id = client.submit(left)["id"]
        waits(client, task_id)
        client.signal(task_id, "go")
        assert client.result(task_id, 90) == "first"


def test_a_race_has_one_winner_for_ever(working: Working, client: Client) -> None:
    runs: Counter[str] = Counter()

    def runner(name: str, seconds: float) -> str:
        runs[name] += 1
        time.sleep(seconds)
        return name

    @task(name="race.plain")
    def plain() -> Any:
        winner, value = everloop.race(
            lambda: step("run", runner, "slow", 0.5), lambda: step("run", runner, "fast", 0.01)
        )
        everloop.wait_for_input("go")
        return [winner, value]

    working(plain)
    task_id = client.submit(plain)["id"]
    waits(client, task_id)
    client.signal(task_id, "go")
    assert client.result(task_id, 90) == [1, "fast"]
    assert runs == {"slow": 1, "fast": 1}
    found = [item["step"] for item in client.task_steps(task_id)["items"]]
    assert found == ["race#1[1]/run#1", "race#1"]


def test_a_race_of_waits_suspends_and_the_first_that_comes_wins(working: Working, client: Client) -> None:
    @task(name="race.waits")
    async def coroutine() -> Any:
        async def nap() -> str:
            await aio.sleep(60, "nap")
            return "nobody came"

        return await aio.race(lambda: aio.wait_for_input("go"), nap)

    working(coroutine)
    task_id = client.submit(coroutine)["id"]
    assert [next(iter(leaf)) for leaf in waits(client, task_id)["any"]] == ["input", "timer"]
    client.signal(task_id, "go", "came")
    assert client.result(task_id, 90) == [0, "came"]


@pytest.mark.parametrize("seconds", [0.1, 2.2])
def test_a_timeout_ends_what_is_running(working: Working, client: Client, seconds: float) -> None:
    stop = threading.Event()

    @task(name=f"timeout.plain.{seconds}")
    def plain() -> str:
        try:
            return everloop.timeout(seconds, lambda: str(step("hang", lambda: stop.wait(120))))
        except TimeoutError as error:
            everloop.wait_for_input("go")
            return type(error).__name__

    @task(name=f"timeout.async.{seconds}")
    async def coroutine() -> str:
        async def hang() -> str:
            await asyncio.sleep(120)
            return "no"

        try:
            return await aio.timeout(seconds, lambda: step("hang", hang))
        except TimedOut as error:
            await aio.wait_for_input("go")
            return type(error).__name__

    working(plain, coroutine)
    for kind in (plain, coroutine):
        begun = time.monotonic()
        task_id = client.submit(kind)["id"]
        client.signal(task_id, "go")
        assert client.result(task_id, 90) == "TimedOut"
        # The step itself would take two minutes.
        assert seconds <= time.monotonic() - begun < 90
    stop.set()


def test_a_timeout_counts_while_the_task_waits(working: Working, client: Client) -> None:
    @task(name="timeout.waits")
    def plain() -> Any:
        try:
            return everloop.timeout(2.1, lambda: everloop.wait_for_input("go"))
        except TimedOut:
            return "too late"

    working(plain)
    task_id = client.submit(plain)["id"]
    assert client.result(task_id, 90) == "too late"
    in_time = client.submit(plain)["id"]
    client.signal(in_time, "go", "in time")
    assert client.result(in_time, 90) == "in time"


def test_a_sleep_survives_its_worker(working: Working, client: Client) -> None:
    @task(name="nap")
    def nap() -> str:
        note("before")
        everloop.sleep(2.5, "nap")
        return note("after")

    first = working(nap)
    begun = time.monotonic()
    task_id = client.submit(nap)["id"]
    assert waits(client, task_id)["timer"]["id"] == "nap#1"
    first.stop()
    working(nap)
    assert client.result(task_id, 90) == "after"
    assert time.monotonic() - begun >= 2.4


def test_now_random_and_ids_are_the_same_in_every_attempt(working: Working, client: Client) -> None:
    seen: list[Any] = []

    @task(name="values")
    def values() -> Any:
        drawn = [everloop.now().isoformat(), everloop.random(), everloop.new_id(), everloop.new_id()]
        seen.append(drawn)
        everloop.wait_for_input("go")
        return drawn

    working(values)
    task_id = client.submit(values)["id"]
    waits(client, task_id)
    client.signal(task_id, "go")
    result = client.result(task_id, 90)
    assert seen == [result, result]
    assert result[2] != result[3]
    assert {item["kind"] for item in client.task_steps(task_id)["items"]} == {"value"}


def test_a_gate_lets_old_tasks_go_the_old_way(working: Working, client: Client) -> None:
    has_gate = [False]

    @task(name="gated")
    def gated() -> Any:
        version = everloop.version("new-way", 1, 2) if has_gate[0] else 1
        note("before")
        everloop.wait_for_input("go")
        return version

    working(gated)
    old = client.submit(gated)["id"]
    waits(client, old)
    has_gate[0] = True
    new = client.submit(gated)["id"]
    waits(client, new)
    for task_id, expected in ((old, 1), (new, 2)):
        client.signal(task_id, "go")
        assert client.result(task_id, 90) == expected


def test_children_give_their_results_and_their_errors(working: Working, client: Client) -> None:
    @task(name="child.square")
    def square(n: int) -> int:
        if n < 0:
            raise Validation("negative", code="negative")
        return n * n

    @task(name="child.long")
    def long(n: int) -> int:
        if n > 0:
            everloop.continue_as(long, n - 1)
        return 7

    @task(name="parent.plain")
    def plain() -> Any:
        children = [everloop.start(square, n) for n in range(3)]
        found = [child.result() for child in children]
        try:
            everloop.call(square, -1)
        except Validation as error:
            found.append(error.code)  # type: ignore[arg-type]
        found.append(everloop.call(long, 2))
        everloop.wait_for_input("go")
        return found

    @task(name="parent.async")
    async def coroutine() -> Any:
        async def one(n: int) -> Any:
            return await (await aio.start(square, n))

        found: list[Any] = await aio.map(one, range(3))
        try:
            await aio.call(square, -1)
        except Validation as error:
            found.append(error.code)
        found.append(await aio.call(long, 2))
        await aio.wait_for_input("go")
        return found

    working(square, long, plain, coroutine)
    for kind in (plain, coroutine):
        task_id = client.submit(kind)["id"]
        client.signal(task_id, "go")
        assert client.result(task_id, 60) == [0, 1, 4, "negative", 7]
        started = client.pages(client.list_children, task_id)
        assert Counter(child["kind"] for child in started)["child.square"] == 4


def test_a_pause_is_heard_at_the_next_step_and_a_resume_goes_on(working: Working, client: Client) -> None:
    go_on = threading.Event()
    at = []

    @task(name="paused")
    def paused() -> int:
        total = 0
        for n in range(3):
            total += step("s", lambda n: at.append(n) or (go_on.wait(30) and n), n)  # type: ignore[func-returns-value]
        return total

    working(paused)
    task_id = client.submit(paused)["id"]
    until(lambda: at)
    client.pause(task_id)
    until(lambda: client.get_task(task_id)["state"] == "pausing")
    time.sleep(0.2)
    go_on.set()
    until(lambda: client.get_task(task_id)["state"] == "paused")
    client.resume(task_id)
    assert client.result(task_id, 90) == 3
    assert at == [0, 1, 2]


def test_a_resume_before_the_task_stands_still_is_not_lost(working: Working, client: Client) -> None:
    go_on = threading.Event()
    at: Counter[str] = Counter()

    def work(name: str) -> str:
        at[name] += 1
        if name == "slow":
            go_on.wait(30)
        return name

    def quick() -> str:
        for n in range(20):
            step("quick", lambda n: at.update(["quick"]) or time.sleep(0.01), n)
        return "quick"

    @task(name="paused.resumed")
    def paused() -> list[str]:
        return everloop.parallel(lambda: step("slow", work, "slow"), quick)

    working(paused)
    task_id = client.submit(paused)["id"]
    until(lambda: at["slow"] and at["quick"] >= 2)
    client.pause(task_id)
    # One branch has stopped; the other one is still in a step when everything goes on.
    until(lambda: (before := at["quick"], time.sleep(0.1), at["quick"] == before)[-1])
    client.resume(task_id)
    until(lambda: client.get_task(task_id)["state"] == "running")
    time.sleep(0.2)
    go_on.set()
    assert client.result(task_id, 90) == ["slow", "quick"]
    assert at == {"slow": 1, "quick": 20}


def test_a_pause_keeps_what_other_branches_are_doing(working: Working, client: Client) -> None:
    go_on = threading.Event()
    ran: Counter[str] = Counter()

    def work(name: str) -> str:
        ran[name] += 1
        if name == "slow":
            go_on.wait(30)
        return name

    def quick() -> str:
        for n in range(1000):
            step("quick", lambda n: time.sleep(0.01), n)
        return "quick"

    @task(name="paused.parallel")
    def paused() -> list[str]:
        return everloop.parallel(lambda: step("slow", work, "slow"), quick)

    working(paused)
    task_id = client.submit(paused)["id"]
    until(lambda: ran["slow"])
    client.pause(task_id)
    time.sleep(0.3)
    go_on.set()
    until(lambda: client.get_task(task_id)["state"] == "paused")
    client.resume(task_id)
    until(lambda: client.get_task(task_id)["state"] == "running")
    client.cancel(task_id)
    client.wait(task_id, 90)
    assert ran == {"slow": 1}
    assert "parallel#1[0]/slow#1" in {item["step"] for item in client.pages(client.task_steps, task_id)}


def test_a_cancelled_function_cleans_up_within_its_grace(working: Working, client: Client) -> None:
    running = threading.Event()

    @task(name="cancelled.plain")
    def plain() -> None:
        def work() -> None:
            running.set()
            everloop.wait_cancelled(30)

        try:
            step("work", work)
            step("never", lambda: None)
        finally:
            with everloop.cleanup():
                step("tidy", lambda: None)

    working(plain)
    task_id = client.submit(plain)["id"]
    assert running.wait(30)
    client.cancel(task_id)
    with pytest.raises(Stopped):
        client.result(task_id, 90)
    assert [item["step"] for item in client.task_steps(task_id)["items"]] == ["work#1", "tidy#1"]


def test_who_does_not_hear_is_cut_off_after_the_grace(working: Working, client: Client) -> None:
    stop = threading.Event()
    running = threading.Event()

    @task(name="deaf", policy={"grace_ms": 300})
    def deaf() -> None:
        step("work", lambda: (running.set(), stop.wait(60)) and None)

    @task(name="late", policy={"timeout_ms": 300, "grace_ms": 100})
    async def late() -> None:
        await asyncio.sleep(60)

    working(deaf, late)
    task_id = client.submit(deaf)["id"]
    assert running.wait(30)
    client.cancel(task_id)
    with pytest.raises(Stopped):
        client.result(task_id, 60)
    with pytest.raises(Stopped, match="ran longer than 300 ms") as caught:
        client.result(client.submit(late)["id"], 60)
    assert caught.value.code == "timeout"
    stop.set()


def test_a_worker_that_stops_gives_its_tasks_back(working: Working, client: Client) -> None:
    running = threading.Event()

    @task(name="handed.back")
    def long() -> int:
        total = 0
        for n in range(200):
            total += step("s", lambda n: running.set() or time.sleep(0.01) or n, n)  # type: ignore[func-returns-value]
        return total

    first = working(long)
    task_id = client.submit(long)["id"]
    assert running.wait(30)
    first.stop()
    working(long)
    assert client.result(task_id, 90) == sum(range(200))
    assert client.get_task(task_id)["tries"] == 0


def test_what_is_said_once_is_not_said_again_by_a_replay(working: Working, client: Client) -> None:
    @task(name="says")
    def says() -> None:
        everloop.log("once")
        everloop.event("once", {"n": 1})
        everloop.progress(1, 2)
        note("a")
        everloop.wait_for_input("go")
        everloop.log("at the end", "warn")
        everloop.progress(2, 2, "done")

    working(says)
    task_id = client.submit(says)["id"]
    waits(client, task_id)
    client.signal(task_id, "go")
    client.result(task_id, 90)
    types = Counter(item.type for item in client.follow(task_id))
    assert (types["log"], types["custom.once"], types["task.progress"]) == (2, 1, 2)


def test_frames_reach_live_followers(working: Working, client: Client) -> None:
    @task(name="streams")
    def streams() -> str:
        everloop.wait_for_input("go")

        def model() -> str:
            for word in ("to", "ken", "s"):
                everloop.token(word)
            return "tokens"

        return step("model", model)

    working(streams)
    task_id = client.submit(streams)["id"]
    waits(client, task_id)
    found: list[Any] = []
    follower = threading.Thread(target=lambda: found.extend(client.follow(task_id, frames=True)))
    follower.start()
    time.sleep(0.3)
    client.signal(task_id, "go")
    follower.join(30)
    assert [item.data for item in found if item.what == "frame"] == ["to", "ken", "s"]
    assert found[-1].type == "task.completed"
