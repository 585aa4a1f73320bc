"""Writes src/everloop/_api.py: a method for each operation of docs/openapi.json.

python tools/generate.py            writes it
python tools/generate.py --check    fails where it is not what would be written
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent.parent
DOCUMENT = HERE.parent.parent / "docs/openapi.json"
TARGET = HERE / "src/everloop/_api.py"
#: Faces of their own: pages for people, and the stream that `follow` reads over SSE.
LEFT_OUT = {"docs", "openapi_yaml", "task_events_ws"}

HEAD = '''"""Every operation of the API, by its name. Written by tools/generate.py from docs/openapi.json: change nothing here."""

from __future__ import annotations

import asyncio
from typing import Any

from .transport import Transport, segment


class Api:
    """A method for each operation. Bodies and answers are JSON as docs/openapi.json describes it."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
'''

ASYNC_HEAD = '''

class AsyncApi:
    """The same for async code."""

    def __init__(self, api: Api) -> None:
        self.api = api
'''


def name_of(parameter: str) -> str:
    """A parameter's name in Python."""
    return re.sub(r"[^a-z0-9]+", "_", parameter.lower())


def wait_of(has_wait: bool) -> str:
    return ", wait=60.0 if wait is not None else 0.0" if has_wait else ""


class Operation:
    """One operation of the document."""

    def __init__(self, method: str, path: str, said: dict[str, Any]) -> None:
        self.method, self.path, self.said = method.upper(), path, said
        self.id: str = said["operationId"]
        parameters = said.get("parameters", [])
        self.in_path = [p["name"] for p in parameters if p["in"] == "path"]
        self.in_query = [p["name"] for p in parameters if p["in"] == "query"]
        self.in_header = [p["name"] for p in parameters if p["in"] == "header" and p["name"] != "Last-Event-ID"]
        content = said.get("requestBody", {}).get("content", {})
        self.has_body = "application/json" in content
        self.has_bytes = "*/*" in content

    def signature(self) -> str:
        """The parameters of the method."""
        given = ["self", *(f"{name}: str | int" for name in self.in_path)]
        if self.has_body:
            given.append("body: Any")
        if self.has_bytes:
            given += ["data: bytes", 'media_type: str = "application/octet-stream"']
        named = [f"{name_of(name)}: Any = None" for name in self.in_query + self.in_header]
        return ", ".join(given + (["*", *named] if named else []))

    def passed(self) -> str:
        """What the async method passes on."""
        given = list(self.in_path)
        given += ["body"] if self.has_body else ["data", "media_type"] if self.has_bytes else []
        named = [f"{name_of(name)}={name_of(name)}" for name in self.in_query + self.in_header]
        return ", ".join([f"self.api.{self.id}", *given, *named])

    def doc(self) -> str:
        """What the document says about it."""
        text = (self.said.get("summary") or self.said.get("description") or self.id).strip().split("\n")[0]
        return text.rstrip(".").replace("\\", "") + "."

    def write(self) -> str:
        """The method."""
        path = re.sub(r"{(\w+)}", r"{segment(str(\1))}", self.path)
        shown = f'f"{path}"' if self.in_path else f'"{path}"'
        lines = [f"    def {self.id}({self.signature()}) -> Any:", f'        """{self.doc()}"""']
        more = ""
        if self.in_query:
            members = ", ".join(f'"{name}": {name_of(name)}' for name in self.in_query)
            lines.append(f"        query = {{{members}}}")
            more += ", query=query"
        if self.in_header or self.has_bytes:
            members = ", ".join(f'"{name.lower()}": {name_of(name)}' for name in self.in_header)
            if self.has_bytes:
                members = '"content-type": media_type'
            lines.append(f"        headers = {{{members}}}")
            more += ", headers={name: str(value) for name, value in headers.items() if value is not None}"
        body = "body" if self.has_body else "None"
        more += ", raw=data" if self.has_bytes else ""
        more += wait_of("wait" in self.in_query)
        if self.method == "POST" and "Idempotency-Key" in self.in_header:
            more += ", repeatable=idempotency_key is not None"
        lines.append(f'        return self.transport.call("{self.method}", {shown}, {body}{more})')
        return "\n".join(lines) + "\n"

    def write_async(self) -> str:
        """The method of the async class."""
        return (
            f"    async def {self.id}({self.signature()}) -> Any:\n"
            f'        """{self.doc()}"""\n'
            f"        return await asyncio.to_thread({self.passed()})\n"
        )


def generate() -> str:
    """The whole file."""
    document = json.loads(DOCUMENT.read_text())
    operations = [
        Operation(method, path, said)
        for path, methods in document["paths"].items()
        for method, said in methods.items()
        if isinstance(said, dict) and said.get("operationId") not in (None, *LEFT_OUT)
    ]
    sync = "\n".join(operation.write() for operation in operations)
    asynchronous = "\n".join(operation.write_async() for operation in operations)
    return f"{HEAD}\n{sync}{ASYNC_HEAD}\n{asynchronous}"


def main() -> int:
    """Writes or checks."""
    text = generate()
    if "--check" in sys.argv:
        if TARGET.read_text() != text:
            print(f"{TARGET.name} is not what docs/openapi.json says: run python tools/generate.py")
            return 1
        return 0
    TARGET.write_text(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
