#!/usr/bin/env python3
"""A worker in plain Python: it counts words, one journaled step for each line of the input.

    python3 examples/worker.py [--once]

It reads EVERLOOP_URL (http://127.0.0.1:7420 when not set) and EVERLOOP_API_KEY (not needed in dev mode). With --once it ends
after its first task. Kill it in the middle of a task and start it again: what was recorded is not done twice.
"""

import hashlib
import json
import os
import sys
import threading
import time
import urllib.error
import urllib.request

BASE = os.environ.get("EVERLOOP_URL", "http://127.0.0.1:7420") + "/api/v1"
KIND = "py.wordcount"


class Refused(Exception):
    """The server said no, and would say it again."""

    def __init__(self, problem):
        super().__init__(problem.get("detail", problem.get("title")))
        self.code = problem.get("code")


def call(method, path, body=None, lease=None, timeout=60):
    """One request. Waits and tries again while the server can't be reached or is too busy."""
    headers = {"content-type": "application/json"}
    if "EVERLOOP_API_KEY" in os.environ:
        headers["authorization"] = "Bearer " + os.environ["EVERLOOP_API_KEY"]
    if lease:
        headers["everloop-lease"] = lease
    data = None if body is None else json.dumps(body).encode()
    while True:
        request = urllib.request.Request(BASE + path, data=data, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                text = answer.read()
                return json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            if error.code not in (429, 502, 503):
                raise Refused(json.loads(error.read()))
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            pass
        time.sleep(1)


def value(found):
    """The value itself: one that was too large for its event is kept as a blob."""
    blob = found.get("$blob") if isinstance(found, dict) else None
    if blob and blob["media_type"] == "application/vnd.everloop.value+json":
        return call("GET", f"/blobs/{blob['id']}")
    return found


class Attempt:
    """One claimed task: its journal, and the batches that go back."""

    def __init__(self, worker, assignment):
        self.worker, self.task, self.lease = worker, assignment["task"], assignment["lease"]
        self.number, self.input = assignment["attempt"], value(assignment["spec"].get("input"))
        self.batch = 0
        self.recorded = {}
        for item in assignment["journal"]:
            if item["type"] == "step.completed":
                self.recorded[item["data"]["step"]] = item["data"]

    def send(self, what, **body):
        """Sends the next batch. The number makes it safe to send it again."""
        self.batch += 1
        body.update(worker=self.worker, batch=self.batch)
        call("POST", f"/tasks/{self.task}/attempts/{self.number}/{what}", body, lease=self.lease)

    def step(self, key, args, work):
        """Runs a step, or gives what was recorded of it."""
        intent = hashlib.sha256(json.dumps(args, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
        if key in self.recorded:
            if self.recorded[key]["intent"] != intent:
                raise RuntimeError(f"step {key} was recorded with other arguments")
            return value(self.recorded[key]["result"])
        started_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        result = work(args)
        data = {"attempt": self.number, "intent": intent, "kind": "step", "result": result,
                "started_at": started_at, "step": key}
        # When this returns, the outcome is on the server's disk.
        self.send("events", events=[{"type": "step.completed", "data": data}])
        return result


def run(attempt):
    lines = attempt.input["lines"]
    counts = [attempt.step(f"count#{n}", line, lambda text: len(text.split())) for n, line in enumerate(lines, 1)]
    attempt.send("finish", result={"words": sum(counts)})


def keep(worker, held):
    """Renews the lease of the task that is held, before a third of its life is gone."""
    while True:
        time.sleep(10)
        attempt = held[0]
        if attempt:
            call("POST", f"/workers/{worker}/renew", {"leases": [{"task": attempt.task, "lease": attempt.lease}]})


def main():
    worker = call("POST", "/workers", {
        "kinds": [{"kind": KIND, "versions": [1]}], "max_concurrent_tasks": 1, "name": "example", "protocol": 1,
    })["id"]
    held = [None]
    threading.Thread(target=keep, args=(worker, held), daemon=True).start()
    request = 0
    while True:
        request += 1
        claimed = call("POST", f"/workers/{worker}/claim?wait=30s", {"max": 1, "request": request})["assignments"]
        for assignment in claimed:
            held[0] = Attempt(worker, assignment)
            try:
                run(held[0])
            except Refused as refused:
                if refused.code != "lease_lost":
                    raise
            except Exception as error:
                held[0].send("fail", error={"class": "internal", "code": "python", "message": str(error)})
            held[0] = None
            if "--once" in sys.argv:
                call("DELETE", f"/workers/{worker}")
                return


if __name__ == "__main__":
    main()
