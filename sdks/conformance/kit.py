#!/usr/bin/env python3
"""The conformance kit of the worker protocol: a scripted server, and cases that every worker must pass.

    python3 sdks/conformance/kit.py [--profile core|full] [--only CASE] [--verbose] -- COMMAND…

COMMAND is a worker program. It reads EVERLOOP_URL, offers the kinds that README.md beside this file prescribes, and runs until
SIGTERM. Needs nothing but Python 3.10's standard library.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback

import replays  # noqa: F401 its cases are among CASES then
from cases import CASES, old_server
from server import Broken, Kit, expect


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
