"""Real clients of MCP against the real program, killed in between: the Python SDK's in both of its modes, over HTTP and over
standard input and output; then the TypeScript client of the Tasks extension. And a server by the Python SDK, whose tools tasks of
ours call.

    clients.py EVERLOOP PYTHON_SDK [NODE]
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
WORKER = '''
from everloop import Worker, ask, step, task

@step
def look(to: str) -> str:
    return f"a flight to {to}"

@task
def trip(to: str) -> str:
    found = look(to)
    return f"{ask('approve', f'Fly to {to}?', ['yes', 'no']).decision}: {found}"

Worker([trip]).serve()
'''


class Server:
    """`everloop dev` in a folder, that can be killed and started again at the same address."""

    def __init__(self, everloop: str, folder: Path) -> None:
        self.everloop, self.folder, self.listen = everloop, folder, "127.0.0.1:0"
        self.start()

    def start(self) -> None:
        data = self.folder / ".everloop"
        (data / "server.json").unlink(missing_ok=True)
        log = (self.folder / "server.log").open("a")
        self.process = subprocess.Popen(
            [self.everloop, "dev", "--listen", self.listen, "--data-dir", str(data)], stderr=log, stdout=subprocess.DEVNULL
        )
        until = time.monotonic() + 30
        while not (data / "server.json").exists():
            assert self.process.poll() is None and time.monotonic() < until, "the server did not start"
            time.sleep(0.02)
        self.url = json.loads((data / "server.json").read_text())["url"]
        self.listen = self.url.removeprefix("http://")

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def host(act: str, where: str, mode: str, trip: str) -> subprocess.Popen[str]:
    environment = os.environ | {"TRIP": trip}
    return subprocess.Popen(
        [sys.executable, str(HERE / "host.py"), act, where, mode], stdout=subprocess.PIPE, text=True, env=environment
    )


def said(process: subprocess.Popen[str]) -> dict[str, object]:
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0, f"a host ended with {process.returncode}"
    return json.loads(out.splitlines()[-1])


def started_and_left(server: Server, where: str) -> str:
    """A host starts a task that needs an approval, and is killed with SIGKILL, and so is the server. Gives the handle."""
    first = host("begin", where, "auto", "other")
    assert first.stdout
    handle = first.stdout.readline().strip()
    assert handle.startswith("task_"), handle
    first.kill()
    first.wait()
    server.kill()
    server.start()
    return handle


def killed_and_back(server: Server, where: str, mode: str, revision: str) -> None:
    """A host starts a task that needs an approval, is killed with SIGKILL, and so is the server; another one finishes it."""
    trip = f"{mode}-{'http' if where.startswith('http') else 'stdio'}"
    first = host("begin", where, mode, trip)
    assert first.stdout
    handle = first.stdout.readline().strip()
    assert handle.startswith("task_"), handle
    first.kill()
    first.wait()
    server.kill()
    server.start()
    done = said(host("return", where, mode, trip))
    assert done == {"task": handle, "result": "yes: a flight to Rome", "revision": revision}, done
    print(f"{trip}: killed, came back, found {handle}, answered, done")


def main() -> None:
    everloop, sdk, *node = sys.argv[1:]
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        os.environ.update({"XDG_STATE_HOME": text, "XDG_DATA_HOME": text, "EVERLOOP_DATA_DIR": str(folder / ".everloop")})
        tools = {"command": sys.executable, "args": [str(HERE / "tools.py")]}
        (folder / "servers.json").write_text(json.dumps({"mcpServers": {"tools": tools}}))
        os.environ["EVERLOOP_MCP_SERVERS"] = str(folder / "servers.json")
        server = Server(everloop, folder)
        (folder / "worker.py").write_text(WORKER)
        environment = os.environ | {"EVERLOOP_URL": server.url, "PYTHONPATH": sdk}
        worker = subprocess.Popen([sys.executable, str(folder / "worker.py")], env=environment)
        try:
            wait_for_kind(everloop, server.url)
            stdio = f"{everloop} mcp"
            for where in (f"{server.url}/mcp", stdio):
                for mode, revision in (("auto", "2026-07-28"), ("legacy", "2025-11-25")):
                    killed_and_back(server, where, mode, revision)
            for where in (f"{server.url}/mcp", stdio):
                done = said(host("forms", where, "auto", where[:4]))
                assert done["result"] == "yes: a flight to Rome", done
            print("a person was asked by the host: done")
            called_over_stdio(everloop, server.url)
            if node:
                handle = started_and_left(server, f"{server.url}/mcp")
                subprocess.run([node[0], str(HERE / "tasks.mjs"), f"{server.url}/mcp", handle], check=True, timeout=90)
        finally:
            worker.kill()
            server.kill()


def called_over_stdio(everloop: str, url: str) -> None:
    """Tasks call tools of a server by the Python SDK: a program that is started for each exchange."""

    def call(tool: str, arguments: dict[str, int]) -> dict[str, dict[str, object]]:
        given = json.dumps({"server": "tools", "tool": tool, "arguments": arguments})
        start = [everloop, "--url", url, "--json", "task", "start", "mcp", "--allow-mcp", "tools", "--wait", "50s"]
        return json.loads(subprocess.run([*start, "--input", given], capture_output=True, text=True).stdout)

    added = call("add", {"a": 2, "b": 3})
    assert added["result"]["structured"] == {"result": 5}, added
    refused = call("refuse", {})
    assert refused["error"]["code"] == "mcp_tool_failed", refused
    print("tools of a server by the Python SDK were called over standard input and output: done")


def wait_for_kind(everloop: str, url: str) -> None:
    until = time.monotonic() + 30
    start = [everloop, "--url", url, "--quiet", "task", "start", "trip", "--input", '"x"', "--key", "known"]
    while subprocess.run(start, capture_output=True).returncode != 0:
        assert time.monotonic() < until, "the worker did not register"
        time.sleep(0.05)


main()
