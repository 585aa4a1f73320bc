#!/usr/bin/env python3
"""The conformance kit of the worker protocol: a scripted server, and cases that every worker must pass.

    python3 sdks/conformance/kit.py [--profile core|full] [--only CASE] [--verbose] -- COMMAND…

COMMAND is a worker program. It reads EVERLOOP_URL, offers the kinds that README.md beside this file prescribes, and runs until
SIGTERM. Needs nothing but Python 3.10's standard library.
"""

import argparse
import hashlib
import json
import os
import queue
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

PATIENCE = 20.0
TTL_MS = 9_000
TENANT = "ten_00000000000000000000000000"
VALUE = "application/vnd.everloop.value+json"


class Broken(Exception):
    """The worker did not do what the protocol asks for."""


def expect(holds, what):
    if not holds:
        raise Broken(what)


def made(prefix, number):
    return f"{prefix}_01m7zj77{number:018d}"


def now(plus_s=0.0):
    at = time.time() + plus_s
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{int(at * 1e6) % 1_000_000:06d}Z"


def seconds(text):
    """A duration as the API writes them: 250ms, 30s, 1m."""
    found = re.fullmatch(r"(\d+)(ms|s|m|h)?", text)
    expect(found, f"{text!r} is no duration")
    return int(found[1]) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600, None: 1}[found[2]]


class Attempt:
    """One claim of a task, and everything that the worker said about it."""

    def __init__(self, task, number, lease):
        self.task, self.number, self.lease = task, number, lease
        self.calls = []  # (what, body) in the order of their batches
        self.batches = {}
        self.frames = []
        self.repeats = 0
        self.late = []
        self.over = None  # how it ended
        self.ended = threading.Event()

    @property
    def events(self):
        return [event for _, body in self.calls for event in body.get("events", [])]

    def of(self, kind):
        return [event["data"] for event in self.events if event["type"] == kind]

    @property
    def steps(self):
        return {data["step"]: data for data in self.of("step.completed")}

    @property
    def body(self):
        return self.calls[-1][1]

    def wait(self, patience=PATIENCE):
        expect(self.ended.wait(patience), f"attempt {self.number} did not end within {patience:.0f} s; it said {self.calls}")
        return self

    def is_finished(self):
        expect(self.over == "finish", f"it ended with {self.over}: {self.body}")
        return self

    def result(self):
        self.is_finished()
        expect("result" in self.body, f"it finished without a result: {self.body}")
        return self.body["result"]

    def is_suspended(self):
        expect(self.over == "suspend", f"it ended with {self.over}: {self.body}")
        return self.body


class Kit:
    """The scripted server. A case gives it tasks, and faults to make."""

    def __init__(self):
        self.lock = threading.Condition()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler(self))
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.ids = 0
        self.registered = None
        self.refuses = None
        self.given = queue.Queue()  # what a claim takes
        self.claims = {}  # by request number
        self.signals = queue.Queue()
        self.reset()

    def reset(self):
        """A new case begins: nothing of the last one is left."""
        with self.lock:
            self.attempts = {}
            self.blobs = {}
            self.journals = {}
            self.outputs = {}
            self.submitted = []
            self.renewed = []
            self.faults = []  # callables (method, path) -> None | "drop" | "refuse" | "busy"
            self.ttl_ms = TTL_MS
            self.page = None
            self.nonsense = []

    def new_id(self, prefix):
        with self.lock:
            self.ids += 1
            return made(prefix, self.ids)

    def run(self, kind, value, journal=(), **more):
        """Gives a task to the worker and waits for the end of the attempt."""
        return self.begin(kind, value, journal, **more).wait()

    def begin(self, kind, value, journal=(), task=None, number=1, policy=None):
        task = task or self.new_id("task")
        journal = [{"seq": seq, "type": event["type"], "data": event["data"]} for seq, event in enumerate(journal, 2)]
        attempt = Attempt(task, number, f"0.{number}.{int.from_bytes(os.urandom(8), 'big'):016x}")
        spec = {"kind": kind, "queue": "default", "of_a_later_version": {"a": 1}}
        if value is not None:
            spec["input"] = value
        if policy:
            spec["policy"] = policy
        given = {
            "task": task, "tenant": TENANT, "lease": attempt.lease, "lease_ttl_ms": self.ttl_ms, "attempt": number,
            "tries": 0, "kind_version": 1, "spec": spec, "journal": journal, "of_a_later_version": [1],
        }
        with self.lock:
            self.attempts[task, number] = attempt
            if self.page is not None and len(journal) > self.page:
                self.journals[task, number] = journal
                given["journal"], given["journal_after"] = journal[: self.page], journal[self.page - 1]["seq"]
        self.given.put(given)
        return attempt

    def again(self, attempt, kind, value, more=(), journal=None):
        """Another attempt of the same task, with what was recorded and what came since."""
        past = list(attempt.events if journal is None else journal) + list(more)
        return self.begin(kind, value, [event for event in past if is_journal(event["type"])],
                          task=attempt.task, number=attempt.number + 1).wait()

    # What the routes do, with the lock held by nobody.

    def register(self, body):
        if self.refuses:
            return 400, self.refuses
        expected = {"kinds", "max_concurrent_tasks", "name", "protocol"}
        if not expected <= body.keys() or body["protocol"] != 1:
            return 400, problem(400, "invalid_request", f"a registration has {sorted(expected)}, protocol being 1")
        with self.lock:
            self.registered = self.registered or {}
            worker = self.new_id("wkr")
            self.registered[worker] = body
            self.lock.notify_all()
        return 201, {
            "id": worker, "name": body["name"], "status": "idle", "embedded": False, "version": "", "protocol": 1,
            "kinds": body["kinds"], "capabilities": [], "queues": ["high", "default", "low"],
            "max_concurrent_tasks": body["max_concurrent_tasks"], "tasks": [], "created_at": now(),
            "last_heartbeat_at": now(), "of_a_later_version": True,
        }

    def claim(self, worker, body, wait):
        key = (worker, body["request"])
        if key in self.claims:
            return 200, {"assignments": self.claims[key]}
        try:
            given = [self.given.get(timeout=wait)]
        except queue.Empty:
            given = []
        self.claims[key] = given
        return 200, {"assignments": given}

    def write(self, task, number, what, lease, body):
        attempt = self.attempts.get((task, number))
        if attempt is None:
            return 404, problem(404, "not_found", f"there is no attempt {number} of {task}")
        with self.lock:
            if lease != attempt.lease or attempt.over == "lost" or (attempt.over and body.get("batch") not in attempt.batches):
                attempt.late.append((what, body))
                return 409, problem(409, "lease_lost", f"attempt {number} of task {task} is over or is not yours")
            attempt.frames.extend(body.get("frames", []))
            if not body.get("events") and what == "events":
                return 204, None
            if body["batch"] in attempt.batches:
                attempt.repeats += 1
                expect_same = attempt.batches[body["batch"]]
                if expect_same[0] != what or expect_same[1].get("events", []) != body.get("events", []):
                    return 400, problem(400, "invalid_request", "a batch was sent again with something else in it")
                return 204, None
            if body["batch"] != len(attempt.batches) + 1:
                return 400, problem(400, "invalid_request", f"batch {body['batch']} follows {len(attempt.batches)}")
            attempt.batches[body["batch"]] = (what, body)
            attempt.calls.append((what, body))
            if what != "events":
                attempt.over = what
                attempt.ended.set()
            self.lock.notify_all()
        return 204, None

    def lose(self, attempt):
        """The lease is lost from now on."""
        with self.lock:
            attempt.over = "lost"
            attempt.ended.set()

    def until(self, what, holds, patience=PATIENCE):
        with self.lock:
            expect(self.lock.wait_for(holds, patience), f"{what} did not happen within {patience:.0f} s")

    def tell(self, attempt, word, **more):
        self.signals.put({"task": attempt.task, "attempt": attempt.number, "signal": word, **more})

    def fault(self, pattern, what, times=1):
        """The next calls whose method and path match go wrong: `drop` loses the answer, `lost` and `busy` refuse."""
        left = [times]

        def make(line):
            if left[0] > 0 and re.search(pattern, line):
                left[0] -= 1
                return what
            return None

        with self.lock:
            self.faults.append(make)
        return left


def problem(status, code, detail):
    return {"type": f"/api/v1/docs#{code}", "title": code, "status": status, "detail": detail, "code": code,
            "class": "transient" if status == 503 else "validation", "request_id": "req_1", "timestamp": now()}


JOURNAL = re.compile(
    r"step\.|task\.(waiting|ready|input|input_taken|child|forked)$|approval\.(requested|decision)$")


def is_journal(kind):
    return JOURNAL.match(kind) is not None


def handler(kit):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *_):
            pass

        def answer(self, status, body, headers=()):
            data = b"" if body is None else (body if isinstance(body, bytes) else json.dumps(body).encode())
            self.send_response(status)
            kind = "application/problem+json" if status >= 400 else "application/json"
            self.send_header("content-type", kind)
            if status != 204:
                self.send_header("content-length", str(len(data)))
            for name, value in headers:
                self.send_header(name, value)
            self.end_headers()
            if status != 204:
                self.wfile.write(data)

        def handle_one(self):
            length = int(self.headers.get("content-length") or 0)
            data = self.rfile.read(length)
            url = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(url.query).items()}
            path = url.path.removeprefix("/api/v1")
            line = f"{self.command} {path}"
            found = next((what for what in (make(line) for make in list(kit.faults)) if what), None)
            if found == "busy":
                return self.answer(503, problem(503, "overloaded", "too much waits"), [("retry-after", "1")])
            try:
                status, body = self.route(path, query, data)
            except Exception as error:  # a request that makes no sense: the case that it belongs to shows it
                words = f"{line} {query} {data[:200]!r}: {error!r}"
                kit.nonsense.append(words)
                status, body = 400, problem(400, "invalid_request", words)
            if found == "drop":
                self.close_connection = True
                return None
            return self.answer(status, body)

        def route(self, path, query, data):
            body = json.loads(data) if data and not path == "/blobs" else {}
            wait = min(seconds(query.get("wait", "0s")), 2.0)
            if (self.command, path) == ("POST", "/workers"):
                return kit.register(body)
            if found := re.fullmatch(r"/workers/([^/]+)(?:/(\w+))?", path):
                worker, what = found.groups()
                if worker not in (kit.registered or {}):
                    return 404, problem(404, "not_found", f"there is no worker {worker}")
                if self.command == "DELETE":
                    return 204, None
                if what == "claim":
                    return kit.claim(worker, body, wait)
                if what == "renew":
                    kit.renewed.extend(body["leases"])
                    over = {task for (task, _), attempt in kit.attempts.items() if attempt.over == "lost"}
                    return 200, {"lost": [lease["task"] for lease in body["leases"] if lease["task"] in over]}
                if what == "signals":
                    try:
                        return 200, {"signals": [kit.signals.get(timeout=wait)]}
                    except queue.Empty:
                        return 200, {"signals": []}
                return 204, None
            if found := re.fullmatch(r"/tasks/([^/]+)/attempts/(\d+)/(\w+)", path):
                task, number, what = found[1], int(found[2]), found[3]
                if what == "journal":
                    after = int(query["after"])
                    rest = [entry for entry in kit.journals[task, number] if entry["seq"] > after]
                    answer = {"items": rest[: kit.page]}
                    if len(rest) > kit.page:
                        answer["next_after"] = answer["items"][-1]["seq"]
                    return 200, answer
                return kit.write(task, number, what, self.headers.get("everloop-lease"), body)
            if (self.command, path) == ("POST", "/tasks"):
                child = {"id": kit.new_id("task"), "state": "queued", "kind": body["kind"], "tenant": TENANT, "queue": "default",
                         "created_by": "usr_00000000000000000000000000", "attempt": 0, "tries": 0, "last_seq": 1,
                         "created_at": now(), "updated_at": now(), "usage": {}, "links": {}}
                kit.submitted.append((child["id"], body, dict(self.headers.items())))
                return 201, child
            if found := re.fullmatch(r"/tasks/([^/]+)/output", path):
                state, result = kit.outputs[found[1]]
                return 200, {"task": found[1], "state": state, "result": result}
            if found := re.fullmatch(r"/tasks/([^/]+)", path):
                state, result = kit.outputs[found[1]]
                return 200, {"id": found[1], "state": state, "result": result, "kind": "kit.echo", "tenant": TENANT,
                             "queue": "default", "attempt": 1, "tries": 1, "last_seq": 5, "created_at": now(),
                             "updated_at": now(), "created_by": "usr_0", "usage": {}, "links": {}}
            if found := re.fullmatch(r"/blobs/([^/]+)", path):
                return 200, kit.blobs[found[1]]
            if path == "/about":
                return 200, {"name": "everloop", "version": "0.0.0", "worker_protocol": 1}
            return 404, problem(404, "not_found", f"the kit serves no {self.command} {path}")

        def do_any(self):
            try:
                self.handle_one()
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        do_GET = do_POST = do_DELETE = do_any

    return Handler


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
def lease_lost_in_mid_step(kit):
    """After lease_lost nothing of the attempt is sent any more, and the next attempt goes on."""
    attempt = kit.begin("kit.steps", {"n": 2000})
    kit.until("three steps", lambda: len(attempt.of("step.completed")) >= 3)
    kit.lose(attempt)
    kit.tell(attempt, "lease_lost")
    recorded = [event for event in attempt.events if event["type"] == "step.completed"]
    small = kit.run("kit.echo", "still there")
    expect(small.result() == "still there", "the worker does not go on after a lost lease")
    late = len(attempt.late)
    time.sleep(0.5)
    expect(len(attempt.late) == late, f"a lost attempt goes on writing: {late} calls came, then {attempt.late[late:][:3]}")
    expect(len(recorded) >= 3, "nothing was recorded")


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
    body = kit.run("kit.mismatch", {"arg": 2}, past).is_suspended()
    paused = body.get("paused") or {}
    expect(paused.get("reason") == "nondeterminism", f"it is suspended for {body}")
    details = paused.get("details") or {}
    expect({"code", "recorded", "step"} <= details.keys(), f"both sides are not shown: {details}")
    expect(not [event for event in body.get("events", []) if event["type"].startswith("step.")], "it recorded a step")
    whole = kit.run("kit.steps", {"n": 4})
    past = [event for event in whole.events if event["type"] == "step.completed"]
    body = kit.run("kit.steps", {"n": 2}, past).is_suspended()
    expect((body.get("paused") or {}).get("reason") == "nondeterminism", f"recorded steps were not reached: {body}")


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
    paused = attempt.is_suspended().get("paused") or {}
    expect(paused.get("reason") == "requested", f"it is suspended for {attempt.body}")
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


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", choices=["core", "full"], default="full")
    parser.add_argument("--only", metavar="CASE")
    parser.add_argument("--verbose", action="store_true", help="show what the worker says")
    parser.add_argument("command", nargs="+", metavar="COMMAND")
    args = parser.parse_args()
    kit = Kit()
    environment = {**os.environ, "EVERLOOP_URL": kit.url}

    def start():
        said = tempfile.TemporaryFile()
        return subprocess.Popen(args.command, env=environment, stdout=said, stderr=said, start_new_session=True), said

    broken, passed = 0, 0

    def judge(name, run):
        nonlocal broken, passed
        begun = time.monotonic()
        try:
            run()
            passed += 1
            print(f"ok      {name} ({time.monotonic() - begun:.1f} s)", flush=True)
        except Exception as error:  # whatever it is, it is this case's
            broken += 1
            words = str(error) if isinstance(error, Broken) else traceback.format_exc()
            print(f"BROKEN  {name}: {words[:2000]}", flush=True)

    if args.profile == "full" and args.only in (None, "old_server"):
        judge("old_server", lambda: old_server(kit, start))
    process, said = start()
    try:
        kit.until("the registration", lambda: kit.registered or process.poll() is not None)
        expect(kit.registered, "the worker ended before it registered")
        for name, profile, run in CASES:
            if args.only in (None, name) and (profile == "core" or args.profile == "full"):
                kit.reset()
                judge(name, lambda run=run: (run(kit), expect(not kit.nonsense, f"it sent {kit.nonsense[:1]}")))
                expect(process.poll() is None, f"the worker ended with {process.poll()} after {name}")
    except Broken as error:
        broken += 1
        print(f"BROKEN  {error}", flush=True)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                broken += 1
                print("BROKEN  the worker did not stop within 15 s of SIGTERM")
        said.seek(0)
        words = said.read().decode(errors="replace")
        if args.verbose or (broken and words):
            print("── what the worker said ──", words[-4000:], sep="\n")
    print(f"{passed} passed, {broken} broken")
    return 1 if broken or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
