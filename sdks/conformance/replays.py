"""What a worker does that is asked to replay only, or always: cases of the profile `full`."""

from cases import case
from server import expect, is_journal


@case("full")
def offers_replay(kit):
    """Who knows of replays says so when it registers."""
    for body in kit.registered.values():
        expect("replay" in body.get("capabilities", []), f"it offers {body.get('capabilities')}")


def dry(kit, kind, value, past=()):
    """A dry run: whatever becomes of it, nothing was done and nothing recorded."""
    attempt = kit.run(kind, value, past, replay="only")
    expect(not attempt.events and not attempt.frames, f"a dry run of {kind} said {attempt.events} {attempt.frames}")
    expect(len(attempt.calls) == 1, f"a dry run of {kind} made {len(attempt.calls)} calls")
    expect(not kit.submitted, f"a dry run of {kind} started {kit.submitted}")
    return attempt


def stands(attempt, at, ahead=0):
    """It came to the end of what is recorded, and stands there."""
    paused = attempt.paused()
    expect(paused.get("reason") == "replayed", f"it is suspended for {attempt.body}")
    expect(paused.get("details") == {"at": sorted(at), "ahead": ahead}, f"it stands at {paused.get('details')}, not {at}, {ahead}")


@case("full")
def replay_only(kit):
    """A dry run comes as far as the journal does, and does nothing."""
    whole = kit.run("kit.steps", {"n": 5})
    past = [event for event in whole.events if event["type"] == "step.completed"]
    for kept in (0, 3):
        stands(dry(kit, "kit.steps", {"n": 5}, past[:kept]), [f"s#{kept + 1}"])
    stands(dry(kit, "kit.steps", {"n": 5}, past[:1] + past[2:]), ["s#2"], 3)
    expect(dry(kit, "kit.steps", {"n": 5}, past).result() == 30, "what is recorded to its end does not come to its end")
    kit.page = 2
    stands(dry(kit, "kit.steps", {"n": 6}, past), ["s#6"])
    kit.page = None
    attempt = dry(kit, "kit.steps", {"n": 3}, past)
    expect(attempt.paused().get("reason") == "nondeterminism", f"recorded steps were not reached: {attempt.body}")
    past = [{"type": "step.completed", "data": data} for data in kit.run("kit.mismatch", {"arg": 1}).of("step.completed")]
    attempt = dry(kit, "kit.mismatch", {"arg": 2}, past)
    expect(attempt.paused().get("reason") == "nondeterminism", f"other arguments were not seen: {attempt.body}")
    attempt = dry(kit, "kit.wait_input", {})
    expect(attempt.is_suspended().get("for") == {"input": {"id": "go#1", "name": "go"}}, f"it waits for {attempt.body}")
    dry(kit, "kit.progress", {}).is_finished()
    stands(dry(kit, "kit.child", {}), ["kit.echo#1"])
    failed = kit.run("kit.retry_step", {"fails": 1}).of("step.failed")
    stands(dry(kit, "kit.retry_step", {"fails": 1}, [{"type": "step.failed", "data": data} for data in failed]), ["flaky#1"])
    cut = kit.run("kit.in_doubt", {"on_unknown": "ask", "ms": 0}).of("step.started")
    cut = [{"type": "step.started", "data": data} for data in cut]
    stands(dry(kit, "kit.in_doubt", {"on_unknown": "ask", "ms": 0}, cut), ["charge#1"])


@case("full")
def replay_only_in_branches(kit):
    """A branch that stands holds up no other one."""
    value = {"items": [1, 2, 3]}
    whole = kit.run("kit.two_stage_map", value)
    steps = {key: {"type": "step.completed", "data": data} for key, data in whole.steps.items()}
    first, second, third = (sorted(key for key in steps if f"[{n}]" in key) for n in range(3))
    stands(dry(kit, "kit.two_stage_map", value, [steps[key] for key in first + second[:1]]), [second[1], third[0]])
    expect(dry(kit, "kit.two_stage_map", value, list(steps.values())).result() == [4, 6, 8], "all of it is recorded")
    whole = kit.run("kit.race", {})
    fast = next(data for data in whole.of("step.completed") if data["result"] == "fast")
    won = next(data for data in whole.of("step.completed") if data["kind"] == "race")
    slow = fast["step"].replace("[1]", "[0]").replace("fast", "slow")
    stands(dry(kit, "kit.race", {}), [slow, fast["step"]])
    stands(dry(kit, "kit.race", {}, [{"type": "step.completed", "data": fast}]), [won["step"]])


def written(attempt):
    """What stands in the stream of it, but for times, in the order of its branches."""
    events = [event for event in attempt.events if event["type"] in ("log", "task.progress") or is_journal(event["type"])]
    known = [(event["type"], {k: v for k, v in event["data"].items() if k not in ("started_at", "next_at", "at")})
             for event in events]
    return sorted(known, key=lambda event: str(event[1].get("step", "")).rpartition("/")[0])


@case("full")
def replay_always(kit):
    """Replayed after every step, code that does the same again gives the same, from the same records."""
    for kind, value in (("kit.steps", {"n": 5}), ("kit.two_stage_map", {"items": [1, 2, 3]}), ("kit.race", {}), ("kit.failing_step", {}),
                        ("kit.retry_step", {"fails": 2}), ("kit.large", {"bytes": 1000}), ("kit.version", {}), ("kit.progress", {}),
                        ("kit.in_doubt", {"on_unknown": "ask", "ms": 0}), ("kit.mismatch", {"arg": {"a": [1]}})):
        once, again = kit.run(kind, value), kit.run(kind, value, replay="always")
        expect(again.is_finished().body.get("result") == once.result(), f"{kind} gives {again.body}, not {once.body}")
        expect(written(again) == written(once), f"{kind} wrote {written(again)}, not {written(once)}")
    expect(len(kit.run("kit.steps", {"n": 5}, replay="always").calls) <= 6, "a replay asks the server for something")
    for kind in ("kit.wait_input", "kit.ask"):
        once, again = kit.run(kind, {}), kit.run(kind, {}, replay="always")
        expect(again.is_suspended().get("for") == once.is_suspended().get("for"), f"{kind} waits for {again.body}")
        expect(written(again) == written(once), f"{kind} wrote {written(again)}")
    first = kit.run("kit.child", {}, replay="always")
    expect(len(kit.submitted) == 1 and "child" in first.is_suspended()["for"], f"it started {kit.submitted}, and says {first.body}")


@case("full")
def replay_always_shows_what_is_impure(kit):
    """Code that does something else the second time is seen behind its first step, and not at its end."""
    expect(sorted(kit.run("kit.impure", {}).is_finished().steps) == ["i#1", "j#1"], "without it, nothing is seen")
    attempt = kit.run("kit.impure", {}, replay="always")
    paused = attempt.paused()
    expect(paused.get("reason") == "nondeterminism", f"it is suspended for {attempt.body}")
    expect((paused.get("details") or {}).get("step") == "i#1", f"it shows {paused.get('details')}")
    expect(list(attempt.steps) == ["i#1"], f"it recorded {attempt.steps.keys()}")
