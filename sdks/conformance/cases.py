"""What every worker must do, a function for each. `core` is what the shortest one needs."""

import hashlib
import json
import re
import subprocess
import time

from server import Broken, expect, problem

VALUE = "application/vnd.everloop.value+json"

CASES = []


def case(profile):
    def add(function):
        CASES.append((function.__name__, profile, function))
        return function

    return add


# ── core: what the shortest worker must do ──


@case("core")
def echo(kit):
    """It gives its input back, whatever else an assignment has."""
    for value in ({"a": [1, 2.5, None, "ü"]}, "text", 0, None):
        result = kit.run("kit.echo", value).result()
        expect(result == value, f"{value!r} came back as {result!r}")


@case("core")
def steps(kit):
    """Each step is recorded once, in order, before the next one begins; the last one may go along with the finish."""
    attempt = kit.run("kit.steps", {"n": 5})
    expect(attempt.result() == 30, f"the sum is {attempt.result()}")
    records = attempt.of("step.completed")
    expect([data["step"] for data in records] == [f"s#{n}" for n in range(1, 6)], f"the steps are {records}")
    for data in records:
        expect(re.fullmatch("[0-9a-f]{64}", data["intent"]) is not None, f"no intent: {data}")
        expect(data["attempt"] == 1 and data["kind"] and data["started_at"], f"fields are missing: {data}")
    expect(len({data["intent"] for data in records}) == 5, "steps with different arguments have one intent")
    expect(len(attempt.calls) <= 6, f"5 steps took {len(attempt.calls)} calls")
    for _, body in attempt.calls:
        done = [event for event in body.get("events", []) if event["type"] == "step.completed"]
        expect(len(done) <= 1, "a step began before the one before it was on the disk")


@case("core")
def replay(kit):
    """What is recorded is not done again."""
    whole = kit.run("kit.steps", {"n": 6})
    for kept in (0, 1, 3, 5, 6):
        past = [event for event in whole.events if event["type"] == "step.completed"][:kept]
        attempt = kit.run("kit.steps", {"n": 6}, past)
        expect(attempt.result() == 55, f"with {kept} recorded the sum is {attempt.result()}")
        expect(sorted(attempt.steps) == [f"s#{n}" for n in range(kept + 1, 7)], f"with {kept} it recorded {attempt.steps.keys()}")
        expect(all(attempt.steps[key]["intent"] == whole.steps[key]["intent"] for key in attempt.steps), "intents have changed")


@case("core")
def recorded_results_count(kit):
    """The recorded result is what the code sees, not what it would compute."""
    whole = kit.run("kit.steps", {"n": 3})
    past = [json.loads(json.dumps(event)) for event in whole.events if event["type"] == "step.completed"]
    past[1]["data"]["result"] = 1000
    expect(kit.run("kit.steps", {"n": 3}, past).result() == 1004, "a recorded result was not used")


@case("core")
def lost_answers(kit):
    """What was not answered is sent again, as the same batch."""
    dropped = [kit.fault(pattern, "drop") for pattern in (r"attempts/1/events", r"attempts/1/finish", r"POST .*/claim")]
    attempt = kit.run("kit.steps", {"n": 4})
    expect(attempt.result() == 14 and len(attempt.steps) == 4, f"it recorded {attempt.steps.keys()}")
    kit.until("the finish to be repeated", lambda: dropped[1][0] == 0)
    kit.run("kit.echo", 1).result()
    expect(all(left[0] == 0 for left in dropped), "an answer that should have been lost was never asked for")
    expect(len(attempt.of("step.completed")) == 4, "a step was recorded twice")
    expect(attempt.repeats >= 1, "a batch whose answer was lost was not sent again")


@case("core")
def busy_server(kit):
    """503 is waited out."""
    kit.fault(r"attempts/1/events", "busy", 2)
    attempt = kit.run("kit.steps", {"n": 3})
    expect(attempt.result() == 5 and len(attempt.of("step.completed")) == 3, f"it said {attempt.calls}")


@case("core")
def lease_refused_in_mid_step(kit):
    """A call that is refused with 409 lease_lost is the attempt's last."""
    attempt = kit.begin("kit.steps", {"n": 2000})
    kit.until("three steps", lambda: len(attempt.of("step.completed")) >= 3)
    kit.lose(attempt)
    kit.until("a call of the lost attempt", lambda: attempt.late)
    expect(kit.run("kit.echo", "still there").result() == "still there", "the worker does not go on after a lost lease")
    time.sleep(0.5)
    expect(len(attempt.late) == 1, f"a refused attempt goes on writing: {attempt.late[1:][:3]}")


@case("core")
def pages_of_journal(kit):
    """A long journal comes in pages."""
    whole = kit.run("kit.steps", {"n": 9})
    past = [event for event in whole.events if event["type"] == "step.completed"]
    kit.page = 2
    attempt = kit.run("kit.steps", {"n": 10}, past)
    expect(attempt.result() == 285 and list(attempt.steps) == ["s#10"], f"it recorded {attempt.steps.keys()}")


@case("core")
def large_result(kit):
    """A result that was put aside comes back as a value."""
    attempt = kit.run("kit.large", {"bytes": 400_000})
    expect(attempt.result() == 400_000, f"the length is {attempt.result()}")
    (data,) = attempt.of("step.completed")
    text = json.dumps(data["result"]).encode()
    blob = {"hash": hashlib.sha256(text).hexdigest(), "id": "ab" * 32, "media_type": VALUE, "size": len(text)}
    kit.blobs[blob["id"]] = text
    past = [{"type": "step.completed", "data": {**data, "result": {"$blob": blob}}}]
    again = kit.run("kit.large", {"bytes": 400_000}, past)
    expect(again.result() == 400_000 and not again.steps, "a value that was put aside was not fetched")


# ── full ──


@case("full")
def lease_lost_in_mid_step(kit):
    """After lease_lost nothing of the attempt is sent any more but what was on its way, and the next task is run."""
    attempt = kit.begin("kit.steps", {"n": 2000})
    kit.until("three steps", lambda: len(attempt.of("step.completed")) >= 3)
    kit.tell(attempt, "lease_lost")
    kit.until("a look for signals after that one", kit.heard_all)
    heard = len(attempt.calls)
    expect(kit.run("kit.echo", "still there").result() == "still there", "the worker does not go on after a lost lease")
    time.sleep(0.5)
    expect(len(attempt.calls) <= heard + 1, f"a lost attempt goes on writing: {attempt.calls[heard:][:3]}")


@case("full")
def two_stage_map(kit):
    """Branches keep their results apart, whatever the order in which they ended."""
    value = {"items": [1, 2, 3, 4]}
    whole = kit.run("kit.two_stage_map", value)
    expect(whole.result() == [4, 6, 8, 10], f"the result is {whole.result()}")
    expect(len(whole.steps) == 8, f"the steps are {whole.steps.keys()}")
    past = [event for event in whole.events if event["type"] == "step.completed"]
    for order in (past, past[::-1], past[4:] + past[:4]):
        again = kit.run("kit.two_stage_map", value, order)
        expect(again.result() == [4, 6, 8, 10] and not again.steps, f"another order gives {again.body}")
    half = kit.run("kit.two_stage_map", value, past[::-2])
    expect(half.result() == [4, 6, 8, 10], f"half of the journal gives {half.body}")
    expect(set(half.steps) == {e["data"]["step"] for e in past} - {e["data"]["step"] for e in past[::-2]}, "other steps ran")


@case("full")
def race(kit):
    """Who has won stays the winner, even where the loser's record came first."""
    whole = kit.run("kit.race", {})
    expect(whole.result() == {"winner": 1, "value": "fast"}, f"the result is {whole.result()}")
    won = [data for data in whole.of("step.completed") if data["kind"] == "race"]
    expect(len(won) == 1 and won[0]["result"] == 1, f"the winner was not recorded: {whole.events}")
    fast = next(data for data in whole.of("step.completed") if data["result"] == "fast")
    loser = {**fast, "step": fast["step"].replace("[1]", "[0]").replace("fast", "slow"), "result": "slow"}
    past = [{"type": "step.completed", "data": data} for data in (loser, fast, won[0])]
    again = kit.run("kit.race", {}, past)
    expect(again.result() == {"winner": 1, "value": "fast"} and not again.steps, f"the replay gives {again.body}")


@case("full")
def cached_failure(kit):
    """A step that failed for good fails again in the same way."""
    whole = kit.run("kit.failing_step", {})
    expect(whole.result() == {"caught": "boom"}, f"the result is {whole.result()}")
    (data,) = whole.of("step.failed")
    expect("next_at" not in data and data["error"]["code"] == "boom" and data["error"]["class"] == "validation", f"{data}")
    data["error"]["code"] = "recorded_boom"
    again = kit.run("kit.failing_step", {}, [{"type": "step.failed", "data": data}])
    expect(again.result() == {"caught": "recorded_boom"}, f"the replay gives {again.result()}")
    expect(not again.of("step.failed"), "a recorded failure was recorded again")


@case("full")
def retries(kit):
    """A step that may fail is tried again, and its tries are counted across attempts."""
    whole = kit.run("kit.retry_step", {"fails": 2})
    expect(whole.result() == 3, f"the try that succeeded is {whole.result()}")
    failed = whole.of("step.failed")
    expect([data["try"] for data in failed] == [1, 2] and all("next_at" in data for data in failed), f"{failed}")
    past = [{"type": "step.failed", "data": data} for data in failed]
    again = kit.run("kit.retry_step", {"fails": 2}, past)
    again.is_finished()
    expect(all(data["try"] >= 3 for data in again.of("step.failed")), f"after two recorded tries: {again.of('step.failed')}")


@case("full")
def mismatch(kit):
    """Code that has changed under its task stands still, with both sides shown, and records nothing."""
    whole = kit.run("kit.mismatch", {"arg": 1})
    past = [event for event in whole.events if event["type"] == "step.completed"]
    attempt = kit.run("kit.mismatch", {"arg": 2}, past)
    paused, body = attempt.paused(), attempt.body
    expect(paused.get("reason") == "nondeterminism", f"it is suspended for {body}")
    details = paused.get("details") or {}
    expect({"code", "recorded", "step"} <= details.keys(), f"both sides are not shown: {details}")
    expect(not [event for event in body.get("events", []) if event["type"].startswith("step.")], "it recorded a step")
    whole = kit.run("kit.steps", {"n": 4})
    past = [event for event in whole.events if event["type"] == "step.completed"]
    attempt = kit.run("kit.steps", {"n": 2}, past)
    expect(attempt.paused().get("reason") == "nondeterminism", f"recorded steps were not reached: {attempt.body}")


@case("full")
def waits_for_input(kit):
    """A wait ends the attempt; what came is taken, and that is recorded."""
    first = kit.run("kit.wait_input", {})
    waits = first.is_suspended()["for"]
    expect(waits == {"input": {"id": "go#1", "name": "go"}}, f"it waits for {waits}")
    came = [{"type": "task.waiting", "data": {"for": waits}},
            {"type": "task.input", "data": {"id": "sig_1", "name": "other", "data": 1}},
            {"type": "task.input", "data": {"id": "sig_2", "name": "go", "data": {"x": 2}}},
            {"type": "task.ready", "data": {"cause": "input", "id": "go#1"}}]
    second = kit.again(first, "kit.wait_input", {}, came)
    expect(second.result() == {"x": 2}, f"the result is {second.result()}")
    expect(second.of("task.input_taken") == [{"id": "sig_2", "step": "go#1"}], f"it took {second.of('task.input_taken')}")
    third = kit.again(second, "kit.wait_input", {}, journal=came + second.events)
    expect(third.result() == {"x": 2} and not third.of("task.input_taken"), "an input was taken twice")


@case("full")
def sleeps(kit):
    """A long sleep frees the worker, a short one does not."""
    begun = time.time()
    first = kit.run("kit.sleep", {"ms": 60_000})
    timer = first.is_suspended()["for"].get("timer") or {}
    expect(timer.get("id") == "nap#1", f"it waits for {first.body}")
    seconds = time.mktime(time.strptime(timer["at"][:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone
    expect(begun + 50 < seconds < time.time() + 70, f"the timer fires at {timer['at']}")
    fired = [{"type": "task.waiting", "data": {"for": {"timer": timer}}},
             {"type": "task.ready", "data": {"cause": "timer", "id": "nap#1"}}]
    kit.again(first, "kit.sleep", {"ms": 60_000}, fired).is_finished()
    kit.run("kit.sleep", {"ms": 30}).is_finished()


@case("full")
def asks(kit):
    """A question is asked once, and its answer used."""
    first = kit.run("kit.ask", {})
    expect(first.is_suspended()["for"] == {"decision": {"id": "ok#1"}}, f"it waits for {first.body['for']}")
    (request,) = first.of("approval.requested")
    expect((request["id"], request["prompt"], request["choices"]) == ("ok#1", "ok?", ["yes", "no"]), f"it asks {request}")
    decided = [{"type": "task.waiting", "data": {"for": {"decision": {"id": "ok#1"}}}},
               {"type": "approval.decision", "data": {"id": "ok#1", "decision": "yes", "result": {"n": 1}}},
               {"type": "task.ready", "data": {"cause": "decision", "id": "ok#1"}}]
    second = kit.again(first, "kit.ask", {}, decided)
    expect(second.result() == {"decision": "yes", "result": {"n": 1}}, f"the result is {second.result()}")
    expect(not second.of("approval.requested"), "it asks again")


@case("full")
def in_doubt(kit):
    """A step that was cut off goes on by its policy."""
    value = {"on_unknown": "rerun", "ms": 0}
    whole = kit.run("kit.in_doubt", value)
    expect(whole.result() == "charged" and not whole.of("step.started"), "rerun needs no start")
    for policy in ("ask", "fail"):
        value = {"on_unknown": policy, "ms": 0}
        whole = kit.run("kit.in_doubt", value)
        kinds = [(what, [event["type"] for event in body.get("events", [])]) for what, body in whole.calls]
        (started,) = whole.of("step.started")
        expect(started["on_unknown"] == policy and started["step"] == "charge#1", f"{started}")
        expect("step.started" in kinds[0][1] and "step.completed" not in kinds[0][1], f"not durable before the effect: {kinds}")
        cut = [{"type": "step.started", "data": started}]
        again = kit.run("kit.in_doubt", value, cut)
        if policy == "fail":
            expect(again.over == "fail" and again.body["error"]["code"] == "outcome_unknown", f"it ended with {again.body}")
            continue
        (request,) = again.of("approval.requested")
        expect(again.is_suspended()["for"] == {"decision": {"id": "charge#1"}}, f"it waits for {again.body}")
        expect(request["choices"] == ["happened", "rerun", "fail"], f"it asks {request}")
        for word, result in (("happened", "it did"), ("rerun", "charged")):
            answer = {"id": "charge#1", "decision": word, **({"result": result} if word == "happened" else {})}
            decided = [{"type": "approval.decision", "data": answer}]
            last = kit.begin("kit.in_doubt", value, cut + again.events + decided).wait()
            expect(last.result() == result, f"{word} gives {last.body}")


@case("full")
def children(kit):
    """A child is started by a step, waited for, and its result taken."""
    first = kit.run("kit.child", {})
    ((child, body, headers),) = kit.submitted
    expect(body["kind"] == "kit.echo" and body["input"] == "hi", f"it started {body}")
    expect((body.get("parent") or {}).get("task") == first.task, f"the parent is {body.get('parent')}")
    names = {name.lower() for name in headers}
    expect("idempotency-key" in names, "the start of a child can't be repeated safely")
    waits = first.is_suspended()["for"].get("child") or {}
    expect(waits.get("task") == child, f"it waits for {first.body}")
    kit.outputs[child] = ("completed", "hi")
    ended = [{"type": "task.waiting", "data": {"for": {"child": waits}}},
             {"type": "task.child", "data": {"task": child, "state": "completed"}},
             {"type": "task.ready", "data": {"cause": "child", "id": waits["id"]}}]
    second = kit.again(first, "kit.child", {}, ended)
    expect(second.result() == "hi" and len(kit.submitted) == 1, f"the result is {second.body}")


@case("full")
def version_gate(kit):
    """A gate decides once."""
    whole = kit.run("kit.version", {})
    expect(whole.result() == 2, f"a new task goes on as version {whole.result()}")
    ((key, data),) = whole.steps.items()
    expect(data["kind"] == "version" and data["result"] == 2 and key.startswith("gate"), f"{data}")
    again = kit.run("kit.version", {}, [{"type": "step.completed", "data": {**data, "result": 1}}])
    expect(again.result() == 1 and not again.steps, f"it goes on as version {again.body}")


@case("full")
def tells(kit):
    """Progress, logs, events of its own, and frames, which are no events."""
    attempt = kit.run("kit.progress", {})
    attempt.is_finished()
    (progress,) = attempt.of("task.progress")
    expect(progress.get("done") == 1 and progress.get("total") == 2, f"{progress}")
    expect("hello" in "".join(data.get("text", "") for data in attempt.of("log")), f"no log: {attempt.events}")
    expect(attempt.of("custom.kit") == [{"a": 1}], f"no event of its own: {attempt.events}")
    expect({"type": "token", "data": "x"} in attempt.frames, f"no frame: {attempt.frames}")


@case("full")
def pauses(kit):
    """A pause is heard at the next step, and nothing is lost by it."""
    attempt = kit.begin("kit.steps", {"n": 3000})
    kit.until("a step", lambda: len(attempt.of("step.completed")) >= 1)
    kit.tell(attempt, "pause")
    attempt.wait()
    expect(attempt.paused().get("reason") == "requested", f"it is suspended for {attempt.body}")
    keys = [data["step"] for data in attempt.of("step.completed")]
    expect(keys == [f"s#{n}" for n in range(1, len(keys) + 1)], "a step is missing")


@case("full")
def signal_during_replay(kit):
    """A cancel that comes while recorded steps are replayed ends the task all the same."""
    whole = kit.run("kit.steps", {"n": 400})
    past = [event for event in whole.events if event["type"] == "step.completed"]
    attempt = kit.begin("kit.steps", {"n": 400_000}, past)
    kit.tell(attempt, "cancel", grace_ms=5_000)
    attempt.wait().is_finished()
    expect(attempt.body.get("cancelled") is True, f"it ended with {attempt.body}")


@case("full")
def cleans_up(kit):
    """Whoever is cancelled may clean up, in steps, within the time it is given."""
    attempt = kit.begin("kit.cleanup", {})
    time.sleep(0.5)
    kit.tell(attempt, "cancel", grace_ms=5_000)
    attempt.wait(10)
    expect(attempt.is_finished().body.get("cancelled") is True, f"it ended with {attempt.body}")
    expect("tidy#1" in attempt.steps and "work#1" not in attempt.steps, f"it recorded {attempt.steps.keys()}")


@case("full")
def continues(kit):
    """A task may go on as a new one."""
    body = kit.run("kit.continue", {"n": 2}).is_finished().body
    expect(body.get("continue_as") == {"n": 1} and "result" not in body, f"it ended with {body}")
    expect(kit.run("kit.continue", {"n": 0}).result() == "end", "the last one has no result")


@case("full")
def renews(kit):
    """A lease is renewed before a third of its life is left."""
    kit.ttl_ms = 6_000
    attempt = kit.run("kit.in_doubt", {"on_unknown": "rerun", "ms": 7_000})
    expect(attempt.result() == "charged", f"it ended with {attempt.body}")
    mine = [lease for lease in kit.renewed if lease["task"] == attempt.task and lease["lease"] == attempt.lease]
    expect(len(mine) >= 2, f"its lease was renewed {len(mine)} times in 7 s of 6 s")


def old_server(kit, start):
    """A server that does not speak this protocol is not asked again and again; its word is shown."""
    kit.refuses = problem(400, "invalid_request", "protocol 1 is not spoken here, only protocol 0")
    process, said = start()
    try:
        code = process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        raise Broken("the worker goes on against a server that refuses its protocol") from None
    finally:
        kit.refuses = None
    said.seek(0)
    words = said.read().decode(errors="replace")
    expect(code != 0, "the worker ended with 0")
    expect("protocol" in words, f"the worker does not say why it ended: {words!r}")
