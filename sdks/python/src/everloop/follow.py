"""Following: one stream of events, however often the connection is lost."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from .errors import EverloopError, Transient
from .transport import Answer, Transport, segment

TERMINAL = frozenset(("task.completed", "task.failed", "task.cancelled"))
#: The longest time between two tries to connect again, in seconds.
PAUSE_MAX = 2.0
#: How long nobody may answer before a follower gives up, in seconds.
GIVE_UP = 60.0


@dataclass(frozen=True)
class Item:
    """What a follower sees."""

    #: An `event` that is stored, a passing `frame`, or the server's own `notice` about the stream.
    what: Literal["event", "frame", "notice"]
    #: The type of the event, or the kind of the frame.
    type: str
    #: What it says.
    data: Any
    #: The number of the event.
    seq: int | None = None
    #: The whole event.
    event: dict[str, Any] | None = None


@dataclass
class Block:
    """One message of an SSE stream."""

    id: str | None = None
    event: str | None = None
    data: str | None = None


def blocks(answer: Answer) -> Iterator[Block]:
    """The messages of an SSE stream."""
    block = Block()
    while True:
        raw = answer.readline()
        if not raw:
            return
        line = raw.decode().rstrip("\r\n")
        if not line:
            if block.id is not None or block.data is not None:
                yield block
            block = Block()
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "id":
            block.id = value
        elif name == "event":
            block.event = value
        elif name == "data":
            block.data = value if block.data is None else f"{block.data}\n{value}"


def _reconnecting(
    transport: Transport, path: str, query: dict[str, Any], position: list[str | None]
) -> Iterator[Block]:
    """The messages of a stream, from the position on, across lost connections. Ends where the server says 204."""
    pause, lost_at = 0.05, None
    while True:
        headers = {} if position[0] is None else {"last-event-id": position[0]}
        try:
            with transport.stream(path, query=query, headers=headers) as answer:
                if answer.status == 204:
                    return
                for block in blocks(answer):
                    pause, lost_at = 0.05, None
                    yield block
        except Transient:
            lost_at = lost_at or time.monotonic()
            if transport.is_closed or time.monotonic() - lost_at > GIVE_UP:
                raise
        except (OSError, http.client.HTTPException, ValueError):
            # The connection broke in the middle.
            if transport.is_closed:
                raise
        time.sleep(pause)
        pause = min(pause * 2, PAUSE_MAX)


def follow(transport: Transport, task: str, after: int, types: list[str] | None, frames: bool) -> Iterator[Item]:
    """The events of one task to its end."""
    query = {"types": ",".join(types) if types else None, "frames": 1 if frames else None}
    position: list[str | None] = [str(after)]
    last = after
    for block in _reconnecting(transport, f"/api/v1/tasks/{segment(task)}/events", query, position):
        if block.data is None:
            # Only the position moves: what lies between was filtered out.
            last = max(last, int(block.id or 0))
            position[0] = str(last)
            continue
        kind, data = block.event or "message", json.loads(block.data)
        if block.id is None:
            if kind.startswith("stream."):
                yield Item("notice", kind, data)
            else:
                yield Item("frame", data.get("type", kind), data.get("data"))
            continue
        seq = int(block.id)
        if kind.startswith("stream."):
            # The stream begins, or begins again, after this number.
            last = seq
            position[0] = block.id
            yield Item("notice", kind, data)
            continue
        if seq <= last:
            continue
        if not types and seq != last + 1:
            raise EverloopError(f"event {last + 1} of {task} is missing: after {last} came {seq}", code="protocol")
        last = seq
        position[0] = block.id
        yield Item("event", kind, data.get("data"), seq, data)
        if kind in TERMINAL:
            return


def follow_many(
    transport: Transport, after: str | None, filters: dict[str, Any]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The events of many tasks."""
    position = [after]
    for block in _reconnecting(transport, "/api/v1/events", filters, position):
        if block.id is not None:
            position[0] = block.id
        if block.data is not None and block.id is not None:
            yield block.id, json.loads(block.data)
