"""Requests over kept connections, and which of them are repeated. Blocking; many threads may share one."""

from __future__ import annotations

import http.client
import json
import random
import socket
import ssl
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ._version import VERSION
from .errors import EverloopError, Transient, Unreachable, from_problem

#: How long a connection may take to come about, in seconds.
CONNECT = 5.0
#: How long an answer may take beyond what the request itself waits for, in seconds.
ANSWER = 30.0
#: The longest time that a server is waited for because it says so, in seconds.
RETRY_AFTER_MAX = 30.0
#: How often a request that may be repeated is sent by a caller who waits for it.
TRIES = 5
#: Connections that are kept for the next request.
KEPT = 64

Answer = http.client.HTTPResponse


class Transport:
    """Speaks to one server."""

    def __init__(
        self, url: str, api_key: str | None = None, *, on_unreachable: Callable[[], None] | None = None
    ) -> None:
        self._lock = threading.Lock()
        self._idle: list[http.client.HTTPConnection] = []
        #: Connections with a request under way, and its path.
        self._open: dict[http.client.HTTPConnection, str] = {}
        self._is_closed = False
        #: Called when nobody answers: may point this to another server.
        self.on_unreachable = on_unreachable
        #: How many requests were sent, by method and path without its query: for whoever counts.
        self.on_request: Callable[[str, str], None] | None = None
        self.point(url, api_key)

    def point(self, url: str, api_key: str | None) -> None:
        """Speaks to this server from now on."""
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise EverloopError(f"{url!r} is not the address of a server: it looks like http://127.0.0.1:7420")
        with self._lock:
            self.url = url.rstrip("/")
            self._host = parts.hostname
            self._port = parts.port or (443 if parts.scheme == "https" else 80)
            self._prefix = parts.path.rstrip("/")
            self._tls = ssl.create_default_context() if parts.scheme == "https" else None
            self._headers = {"user-agent": f"everloop-python/{VERSION}", "accept": "application/json"}
            if api_key:
                self._headers["authorization"] = f"Bearer {api_key}"
            stale, self._idle = self._idle, []
        for connection in stale:
            connection.close()

    def close(self) -> None:
        """Closes every connection, those with a request under way too."""
        with self._lock:
            self._is_closed = True
            under_way, idle, self._idle = list(self._open), self._idle, []
        for connection in under_way:
            _wake(connection)
        for connection in idle:
            connection.close()

    def abort(self, path: str) -> None:
        """Breaks off the requests of this path that are under way: the server learns of it."""
        with self._lock:
            under_way = [
                connection
                for connection, target in self._open.items()
                if target.partition("?")[0] == self._prefix + path
            ]
        for connection in under_way:
            _wake(connection)

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._is_closed

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        raw: bytes | None = None,
        wait: float = 0.0,
        repeatable: bool | None = None,
        tries: int = TRIES,
    ) -> Any:
        """One request and its answer: JSON, bytes where it is no JSON, or None where there is nothing.

        A request that may be repeated is sent again where that may help.
        """
        may_repeat = method in ("GET", "PUT") if repeatable is None else repeatable
        for turn in range(1, tries + 1):
            try:
                return self._once(method, path, body, query, headers, raw, wait)
            except Transient as error:
                if turn == tries or self._is_closed or not (may_repeat or error.code == "overloaded"):
                    raise
                delay = min(0.1 * 2**turn, 3.0) * random.random()
                told = error.problem and error.problem.get("retry_after_ms")
                time.sleep(min(max(delay, (told or 0) / 1000), RETRY_AFTER_MAX))
        raise AssertionError("unreachable")

    def _once(
        self,
        method: str,
        path: str,
        body: Any,
        query: Mapping[str, Any] | None,
        headers: Mapping[str, str] | None,
        raw: bytes | None,
        wait: float,
    ) -> Any:
        with self._answer(method, path, body, query, headers, raw, ANSWER + wait) as answer:
            text = answer.read()
            if answer.status >= 400:
                raise problem_of(answer, text)
            if answer.status == 204 or not text:
                return None
            if "json" in (answer.headers.get("content-type") or "") and "ndjson" not in answer.headers["content-type"]:
                return json.loads(text)
            return text

    @contextmanager
    def stream(
        self, path: str, *, query: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> Iterator[Answer]:
        """An answer that may last. The server sends a heartbeat every 25 seconds; without one the connection is dead."""
        sent = {"accept": "text/event-stream", **(headers or {})}
        with self._answer("GET", path, None, query, sent, None, 60.0, keep=False) as answer:
            if answer.status >= 400:
                raise problem_of(answer, answer.read())
            yield answer

    @contextmanager
    def _answer(
        self,
        method: str,
        path: str,
        body: Any,
        query: Mapping[str, Any] | None,
        headers: Mapping[str, str] | None,
        raw: bytes | None,
        timeout: float,
        keep: bool = True,
    ) -> Iterator[Answer]:
        target = path
        if query:
            known = {name: _query(value) for name, value in query.items() if value is not None}
            target = f"{path}?{urllib.parse.urlencode(known, doseq=True)}" if known else path
        sent = {**self._headers, **(headers or {})}
        data = raw
        if body is not None:
            data = json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
            sent["content-type"] = "application/json"
        elif data is not None:
            sent.setdefault("content-type", "application/octet-stream")
        if self.on_request is not None:
            self.on_request(method, path)
        connection: http.client.HTTPConnection | None = None
        is_whole = False
        try:
            connection, answer = self._sent(method, self._prefix + target, data, sent, timeout)
            yield answer
            is_whole = keep and answer.isclosed() and not answer.will_close
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, (ssl.SSLCertVerificationError,)):
                raise EverloopError(f"{self.url}: {error}", code="unreachable") from error
            if self.on_unreachable is not None and not self._is_closed:
                self.on_unreachable()
            raise Unreachable(
                f"{self.url} does not answer: {error or type(error).__name__}", code="unreachable"
            ) from error
        finally:
            if connection is not None:
                with self._lock:
                    self._open.pop(connection, None)
                    is_kept = is_whole and not self._is_closed and len(self._idle) < KEPT
                    if is_kept and (connection.host, connection.port) == (self._host, self._port):
                        self._idle.append(connection)
                    else:
                        is_kept = False
                if not is_kept:
                    connection.close()

    def _sent(
        self, method: str, target: str, data: bytes | None, headers: Mapping[str, str], timeout: float
    ) -> tuple[http.client.HTTPConnection, Answer]:
        while True:
            connection, is_used = self._connection(timeout, target)
            try:
                connection.request(method, target, data, headers)
                return connection, connection.getresponse()
            except BaseException as error:
                with self._lock:
                    self._open.pop(connection, None)
                connection.close()
                # The server may close a kept connection at any time; then it has not read this request.
                gone = (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError)
                if not (is_used and isinstance(error, gone)) or self._is_closed:
                    raise

    def _connection(self, timeout: float, target: str) -> tuple[http.client.HTTPConnection, bool]:
        with self._lock:
            if self._is_closed:
                raise ConnectionAbortedError("this client was closed")
            if self._idle:
                connection = self._idle.pop()
                self._open[connection] = target
                if connection.sock is not None:
                    connection.sock.settimeout(timeout)
                return connection, True
            host, port, tls = self._host, self._port, self._tls
        made = (
            http.client.HTTPConnection(host, port, timeout=CONNECT)
            if tls is None
            else http.client.HTTPSConnection(host, port, timeout=CONNECT, context=tls)
        )
        made.connect()
        made.sock.settimeout(timeout)
        with self._lock:
            self._open[made] = target
        return made, False


def _wake(connection: http.client.HTTPConnection) -> None:
    """Whoever reads from it in another thread wakes up, and closes it."""
    sock = connection.sock
    if sock is not None:
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def problem_of(answer: Answer, text: bytes) -> EverloopError:
    """The error that an answer stands for."""
    try:
        problem = json.loads(text)
    except ValueError:
        problem = None
    if not isinstance(problem, dict) or "code" not in problem:
        kind = "transient" if answer.status in (429, 502, 503, 504) else "internal"
        shown = text[:200].decode(errors="replace")
        problem = {"class": kind, "code": "http_status", "detail": f"HTTP {answer.status}: {shown}"}
    problem.setdefault("status", answer.status)
    after = answer.headers.get("retry-after", "")
    if after.isdigit():
        problem["retry_after_ms"] = int(after) * 1000
    return from_problem(problem)


def _query(value: Any) -> Any:
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, (list, tuple)):
        return ",".join(str(item) for item in value)
    return value


def segment(text: str) -> str:
    """A part of a path."""
    return urllib.parse.quote(text, safe=":")
