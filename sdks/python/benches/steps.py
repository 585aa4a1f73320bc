"""Measures journaled steps from Python on loopback: one task alone, and many at once.

EVERLOOP_BIN=… python benches/steps.py --seconds 5
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from everloop import Client, Worker, step, task
from everloop.discover import binary, listens
from everloop.transport import Transport

_samples: list[float] = []
_lock = threading.Lock()


@step
def nothing(n: int) -> int:
    return n


@step
async def nothing_async(n: int) -> int:
    return n


@task
def plain(seconds: float) -> int:
    count, samples = 0, []
    ends = time.perf_counter() + seconds
    before = time.perf_counter()
    while before < ends:
        nothing(count)
        count += 1
        now = time.perf_counter()
        samples.append(now - before)
        before = now
    with _lock:
        _samples.extend(samples)
    return count


@task
async def coroutine(seconds: float) -> int:
    count, samples = 0, []
    ends = time.perf_counter() + seconds
    before = time.perf_counter()
    while before < ends:
        await nothing_async(count)
        count += 1
        now = time.perf_counter()
        samples.append(now - before)
        before = now
    with _lock:
        _samples.extend(samples)
    return count


def measured(client: Client, kind: Any, at_once: int, seconds: float) -> dict[str, Any]:
    """Runs so many tasks for so long."""
    _samples.clear()
    tasks = [
        client.submit(kind, seconds, request={"policy": {"retry": {"max_tries": 1}}})["id"] for _ in range(at_once)
    ]
    steps = sum(client.result(one) for one in tasks)
    cuts = statistics.quantiles(_samples, n=100)
    return {
        "what": f"{kind.kind} function",
        "at_once": at_once,
        "steps_per_second": round(steps / seconds),
        "p50_ms": round(cuts[49] * 1000, 2),
        "p99_ms": round(cuts[98] * 1000, 2),
        "max_ms": round(max(_samples) * 1000, 1),
    }


def main() -> None:
    """Measures and prints a line of JSON for each."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=5.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        command = [binary(), "dev", "--data-dir", str(data), "--listen", "127.0.0.1:0"]
        server = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            while not (data / "server.json").exists() or not listens(
                json.loads((data / "server.json").read_text())["url"]
            ):
                time.sleep(0.01)
            transport = Transport(json.loads((data / "server.json").read_text())["url"])
            worker = Worker([plain, coroutine], transport=transport, concurrency=32)
            worker.start()
            client = Client(transport=transport)
            for kind in (plain, coroutine):
                for at_once in (1, 16):
                    print(json.dumps(measured(client, kind, at_once, given.seconds)), flush=True)
            worker.stop()
        finally:
            server.kill()
            server.wait()


if __name__ == "__main__":
    main()
