"""The scripted server of the kit: it keeps what a worker says about each attempt, and makes the faults that a case asks for."""

import json
import os
import queue
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

PATIENCE = 20.0
TTL_MS = 9_000
TENANT = "ten_00000000000000000000000000"


class Broken(Exception):
    """The worker did not do what the protocol asks for."""


def expect(holds, what):
    if not holds:
        raise Broken(what)


def made(prefix, number):
    return f"{prefix}_01m7zj77{number:018d}"


def now():
    at = time.time()
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

    def paused(self):
        """Why the task stands still."""
        return self.is_suspended().get("paused") or {}


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """A worker that ends hangs up, wherever it was; whatever else goes wrong is told where it happens."""


class Kit:
    """The scripted server. A case gives it tasks, and faults to make."""

    def __init__(self):
        self.lock = threading.Condition()
        self.server = Server(("127.0.0.1", 0), handler(self))
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.ids = 0
        self.registered = None
        self.refuses = None
        self.given = queue.Queue()  # what a claim takes
        self.claims = {}  # by request number
        self.signals = queue.Queue()
        self.said = self.heard = 0
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

    def begin(self, kind, value, journal=(), task=None, number=1, policy=None, replay=None):
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
        if replay:
            given["replay"] = replay
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
        wrong = wrong_registration(body)
        if wrong:
            return 400, problem(400, "invalid_request", wrong)
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

    def hear(self, wait):
        """Who asks for signals again has taken in the ones before."""
        with self.lock:
            self.heard = self.said
            self.lock.notify_all()
        try:
            signals = [self.signals.get(timeout=wait)]
        except queue.Empty:
            signals = []
        with self.lock:
            self.said += len(signals)
        return 200, {"signals": signals}

    def write(self, task, number, what, lease, body):
        attempt = self.attempts.get((task, number))
        if attempt is None:
            return 404, problem(404, "not_found", f"there is no attempt {number} of {task}")
        with self.lock:
            if lease != attempt.lease or attempt.over == "lost" or (attempt.over and body.get("batch") not in attempt.batches):
                attempt.late.append((what, body))
                self.lock.notify_all()
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

    def heard_all(self):
        return self.signals.empty() and self.heard == self.said

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


def wrong_registration(body):
    """What the server would refuse of a registration, without the rules of its values; None if nothing."""
    for what, of, needed, more in [
        ("a registration", [body], {"kinds", "max_concurrent_tasks", "name", "protocol"}, {"capabilities", "queues", "version"}),
        ("a kind", body.get("kinds", []), {"kind", "versions"},
         {"about", "defaults", "expose", "input_schema", "output_schema"}),
        ("the defaults of a kind", [kind.get("defaults", {}) for kind in body.get("kinds", [])], set(), {"policy", "queue"}),
    ]:
        for one in of:
            if not needed <= one.keys() <= needed | more:
                return f"{what} has {sorted(needed)}, perhaps {sorted(more)}, and nothing else; it has {sorted(one)}"
    for kind in body["kinds"]:
        if not set(kind.get("expose", [])) <= {"mcp"}:
            return f"a kind is exposed to mcp, and not to {kind['expose']}"
        for schema in ("input_schema", "output_schema"):
            if not isinstance(kind.get(schema, {}), (bool, dict)):
                return f"{schema} is a JSON Schema, and not {kind[schema]!r}"
    return None if body["protocol"] == 1 else "a registration has protocol 1"


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
                    return kit.hear(wait)
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
