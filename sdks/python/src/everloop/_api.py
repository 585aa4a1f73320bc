"""Every operation of the API, by its name. Written by tools/generate.py from docs/openapi.json: change nothing here."""

from __future__ import annotations

import asyncio
from typing import Any

from .transport import Transport, segment


class Api:
    """A method for each operation. Bodies and answers are JSON as docs/openapi.json describes it."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport

    def jwks(self) -> Any:
        """Get the public keys that sign receipts."""
        return self.transport.call("GET", "/.well-known/jwks.json", None)

    def about(self) -> Any:
        """Get what this server is."""
        return self.transport.call("GET", "/api/v1/about", None)

    def put_blob(self, data: bytes, media_type: str = "application/octet-stream") -> Any:
        """Keep bytes that are too large for an input."""
        headers = {"content-type": media_type}
        return self.transport.call("POST", "/api/v1/blobs", None, headers={name: str(value) for name, value in headers.items() if value is not None}, raw=data)

    def get_blob(self, blob: str | int) -> Any:
        """Get the bytes of a blob."""
        return self.transport.call("GET", f"/api/v1/blobs/{segment(str(blob))}", None)

    def list_dead_letters(self, *, kind: Any = None, queue: Any = None, priority: Any = None, label: Any = None, parent: Any = None, session: Any = None, key_prefix: Any = None, q: Any = None, created_by: Any = None, limit: Any = None, cursor: Any = None) -> Any:
        """List tasks that failed."""
        query = {"kind": kind, "queue": queue, "priority": priority, "label": label, "parent": parent, "session": session, "key_prefix": key_prefix, "q": q, "created_by": created_by, "limit": limit, "cursor": cursor}
        return self.transport.call("GET", "/api/v1/dead-letters", None, query=query)

    def redrive(self, id: str | int, *, idempotency_key: Any = None) -> Any:
        """Try a failed task again, as a fork with all that succeeded."""
        headers = {"idempotency-key": idempotency_key}
        return self.transport.call("POST", f"/api/v1/dead-letters/{segment(str(id))}/redrive", None, headers={name: str(value) for name, value in headers.items() if value is not None}, repeatable=idempotency_key is not None)

    def events(self, *, after: Any = None, task: Any = None, session: Any = None, parent: Any = None, kind: Any = None, label: Any = None, types: Any = None, limit: Any = None) -> Any:
        """Read or follow many streams at once."""
        query = {"after": after, "task": task, "session": session, "parent": parent, "kind": kind, "label": label, "types": types, "limit": limit}
        return self.transport.call("GET", "/api/v1/events", None, query=query)

    def inbox(self, *, limit: Any = None, cursor: Any = None) -> Any:
        """List everything that waits for a person."""
        query = {"limit": limit, "cursor": cursor}
        return self.transport.call("GET", "/api/v1/inbox", None, query=query)

    def list_kinds(self) -> Any:
        """List kinds of tasks."""
        return self.transport.call("GET", "/api/v1/kinds", None)

    def get_kind(self, name: str | int) -> Any:
        """Get a kind of task."""
        return self.transport.call("GET", f"/api/v1/kinds/{segment(str(name))}", None)

    def openapi_json(self) -> Any:
        """Get this document."""
        return self.transport.call("GET", "/api/v1/openapi.json", None)

    def list_queues(self) -> Any:
        """List queues."""
        return self.transport.call("GET", "/api/v1/queues", None)

    def get_queue(self, name: str | int) -> Any:
        """Get a queue."""
        return self.transport.call("GET", f"/api/v1/queues/{segment(str(name))}", None)

    def pause_queue(self, name: str | int) -> Any:
        """Let a queue stand still."""
        return self.transport.call("POST", f"/api/v1/queues/{segment(str(name))}/pause", None)

    def resume_queue(self, name: str | int) -> Any:
        """Let a queue go on."""
        return self.transport.call("POST", f"/api/v1/queues/{segment(str(name))}/resume", None)

    def stats(self) -> Any:
        """Get figures."""
        return self.transport.call("GET", "/api/v1/stats", None)

    def list_tasks(self, *, kind: Any = None, queue: Any = None, priority: Any = None, label: Any = None, parent: Any = None, session: Any = None, key_prefix: Any = None, q: Any = None, created_by: Any = None, limit: Any = None, cursor: Any = None, state: Any = None, order: Any = None) -> Any:
        """List tasks."""
        query = {"kind": kind, "queue": queue, "priority": priority, "label": label, "parent": parent, "session": session, "key_prefix": key_prefix, "q": q, "created_by": created_by, "limit": limit, "cursor": cursor, "state": state, "order": order}
        return self.transport.call("GET", "/api/v1/tasks", None, query=query)

    def submit_task(self, body: Any, *, wait: Any = None, stream: Any = None, idempotency_key: Any = None, traceparent: Any = None) -> Any:
        """Submit a task."""
        query = {"wait": wait, "stream": stream}
        headers = {"idempotency-key": idempotency_key, "traceparent": traceparent}
        return self.transport.call("POST", "/api/v1/tasks", body, query=query, headers={name: str(value) for name, value in headers.items() if value is not None}, wait=60.0 if wait is not None else 0.0, repeatable=idempotency_key is not None)

    def submit_batch(self, body: Any, *, idempotency_key: Any = None) -> Any:
        """Submit up to 1,000 tasks."""
        headers = {"idempotency-key": idempotency_key}
        return self.transport.call("POST", "/api/v1/tasks/batch", body, headers={name: str(value) for name, value in headers.items() if value is not None}, repeatable=idempotency_key is not None)

    def bulk(self, body: Any) -> Any:
        """Cancel, pause, resume or redrive tasks by filter."""
        return self.transport.call("POST", "/api/v1/tasks/bulk", body)

    def delete_task(self, id: str | int) -> Any:
        """Remove a finished task for good."""
        return self.transport.call("DELETE", f"/api/v1/tasks/{segment(str(id))}", None)

    def get_task(self, id: str | int, *, wait: Any = None, if_none_match: Any = None) -> Any:
        """Get a task."""
        query = {"wait": wait}
        headers = {"if-none-match": if_none_match}
        return self.transport.call("GET", f"/api/v1/tasks/{segment(str(id))}", None, query=query, headers={name: str(value) for name, value in headers.items() if value is not None}, wait=60.0 if wait is not None else 0.0)

    def update_task(self, id: str | int, body: Any, *, if_match: Any = None) -> Any:
        """Change a live task."""
        headers = {"if-match": if_match}
        return self.transport.call("PATCH", f"/api/v1/tasks/{segment(str(id))}", body, headers={name: str(value) for name, value in headers.items() if value is not None})

    def task_attempts(self, id: str | int) -> Any:
        """List the attempts of a task."""
        return self.transport.call("GET", f"/api/v1/tasks/{segment(str(id))}/attempts", None)

    def write_events(self, id: str | int, n: str | int, body: Any, *, everloop_lease: Any = None) -> Any:
        """Write events, show frames."""
        headers = {"everloop-lease": everloop_lease}
        return self.transport.call("POST", f"/api/v1/tasks/{segment(str(id))}/attempts/{segment(str(n))}/events", body, headers={name: str(value) for name, value in headers.items() if value is not None})

    def fail(self, id: str | int, n: str | int, body: Any, *, everloop_lease: Any = None) -> Any:
        """End the try with an error."""
        headers = {"everloop-lease": everloop_lease}
        return self.transport.call("POST", f"/api/v1/tasks/{segment(str(id))}/attempts/{segment(str(n))}/fail", body, headers={name: str(value) for name, value in headers.items() if value is not None})

    def finish(self, id: str | int, n: str | int, body: Any, *, everloop_lease: Any = None) -> Any:
        """End the task."""
        headers = {"everloop-lease": everloop_lease}
        return self.transport.call("POST", f"/api/v1/tasks/{segment(str(id))}/attempts/{segment(str(n))}/finish", body, headers={name: str(value) for name, value in headers.items() if value is not None})

    def journal(self, id: str | int, n: str | int, *, after: Any = None, everloop_lease: Any = None) -> Any:
        """Read what was recorded."""
        query = {"after": after}
        headers = {"everloop-lease": everloop_lease}
        return self.transport.call("GET", f"/api/v1/tasks/{segment(str(id))}/attempts/{segment(str(n))}/journal", None, query=query, headers={name: str(value) for name, value in headers.items() if value is not None})

    def attempt_logs(self, id: str | int, n: str | int, *, level: Any = None, limit: Any = None, cursor: Any = None) -> Any:
        """Read the log of an attempt."""
        query = {"level": level, "limit": limit, "cursor": cursor}
        return self.transport.call("GET", f"/api/v1/tasks/{segment(str(id))}/attempts/{segment(str(n))}/logs", None, query=query)

    def release(self, id: str | int, n: str | int, body: Any, *, everloop_lease: Any = None) -> Any:
        """Give the task back undone."""
        headers = {"everloop-lease": everloop_lease}
        return self.transport.call("POST", f"/api/v1/tasks/{segment(str(id))}/attempts/{segment(str(n))}/release", body, headers={name: str(value) for name, value in headers.items() if value is not None})

    def suspend(self, id: str | int, n: str | int, body: Any, *, everloop_lease: Any = None) -> Any:
        """End the attempt; the task waits."""
        headers = {"everloop-lease": everloop_lease}
        return self.transport.call("POST", f"/api/v1/tasks/{segment(str(id))}/attempts/{segment(str(n))}/suspend", body, headers={name: str(value) for name, value in headers.items() if value is not None})

    def cancel_task(self, id: str | int, body: Any) -> Any:
        """End a task."""
        return self.transport.call("POST", f"/api/v1/tasks/{segment(str(id))}/cancel", body)

    def list_children(self, id: str | int, *, limit: Any = None, cursor: Any = None) -> Any:
        """List the children of a task."""
        query = {"limit": limit, "cursor": cursor}
        return self.transport.call("GET", f"/api/v1/tasks/{segment(str(id))}/children", None, query=query)

    def task_control_state(self, id: str | int) -> Any:
        """Get who wants what of a task."""
        return self.transport.call("GET", f"/api/v1/tasks/{segment(str(id))}/control-state", None)

    def decide(self, id: str | int, body: Any) -> Any:
        """Answer a question of a task."""
        return self.transport.call("POST", f"/api/v1/tasks/{segment(str(id))}/decision", body)

    def task_events(self, id: str | int, *, after: Any = None, types: Any = None, limit: Any = None, frames: Any = None) -> Any:
        """Read or follow the events of a task."""
        query = {"after": after, "types": types, "limit": limit, "frames": frames}
        return self.transport.call("GET", f"/api/v1/tasks/{segment(str(id))}/events", None, query=query)

    def export_task(self, id: str | int) -> Any:
        """Export a task's stream for `everloop verify`."""
        return self.transport.call("GET", f"/api/v1/tasks/{segment(str(id))}/export", None)

    def fork_task(self, id: str | int, body: Any, *, idempotency_key: Any = None) -> Any:
        """Begin a new task with recorded steps of this one."""
        headers = {"idempotency-key": idempotency_key}
        return self.transport.call("POST", f"/api/v1/tasks/{segment(str(id))}/fork", body, headers={name: str(value) for name, value in headers.items() if value is not None}, repeatable=idempotency_key is not None)

    def send_input(self, id: str | int, body: Any) -> Any:
        """Send something to a task."""
        return self.transport.call("POST", f"/api/v1/tasks/{segment(str(id))}/input", body)

    def task_output(self, id: str | int) -> Any:
        """Get what a task gave."""
        return self.transport.call("GET", f"/api/v1/tasks/{segment(str(id))}/output", None)

    def pause_task(self, id: str | int, body: Any) -> Any:
        """Let a task stand still at its next step."""
        return self.transport.call("POST", f"/api/v1/tasks/{segment(str(id))}/pause", body)

    def task_progress(self, id: str | int) -> Any:
        """Get how far a task has got."""
        return self.transport.call("GET", f"/api/v1/tasks/{segment(str(id))}/progress", None)

    def task_receipt(self, id: str | int) -> Any:
        """Get the signed receipt of a finished task."""
        return self.transport.call("GET", f"/api/v1/tasks/{segment(str(id))}/receipt", None)

    def resume_task(self, id: str | int, body: Any) -> Any:
        """Let a paused task go on."""
        return self.transport.call("POST", f"/api/v1/tasks/{segment(str(id))}/resume", body)

    def task_steps(self, id: str | int) -> Any:
        """List the steps of a task."""
        return self.transport.call("GET", f"/api/v1/tasks/{segment(str(id))}/steps", None)

    def list_workers(self) -> Any:
        """List workers."""
        return self.transport.call("GET", "/api/v1/workers", None)

    def register_worker(self, body: Any) -> Any:
        """Make a worker known."""
        return self.transport.call("POST", "/api/v1/workers", body)

    def remove_worker(self, worker: str | int) -> Any:
        """Remove a worker."""
        return self.transport.call("DELETE", f"/api/v1/workers/{segment(str(worker))}", None)

    def get_worker(self, worker: str | int) -> Any:
        """Get a worker."""
        return self.transport.call("GET", f"/api/v1/workers/{segment(str(worker))}", None)

    def claim(self, worker: str | int, body: Any, *, wait: Any = None) -> Any:
        """Wait for tasks."""
        query = {"wait": wait}
        return self.transport.call("POST", f"/api/v1/workers/{segment(str(worker))}/claim", body, query=query, wait=60.0 if wait is not None else 0.0)

    def heartbeat(self, worker: str | int, body: Any) -> Any:
        """Say that a worker lives."""
        return self.transport.call("POST", f"/api/v1/workers/{segment(str(worker))}/heartbeat", body)

    def renew(self, worker: str | int, body: Any) -> Any:
        """Hold tasks for another term."""
        return self.transport.call("POST", f"/api/v1/workers/{segment(str(worker))}/renew", body)

    def signals(self, worker: str | int, *, wait: Any = None) -> Any:
        """Wait for words about held tasks."""
        query = {"wait": wait}
        return self.transport.call("GET", f"/api/v1/workers/{segment(str(worker))}/signals", None, query=query, wait=60.0 if wait is not None else 0.0)

    def health(self) -> Any:
        """Ask whether everything works."""
        return self.transport.call("GET", "/health", None)

    def health_live(self) -> Any:
        """Ask whether the process lives."""
        return self.transport.call("GET", "/health/live", None)

    def health_ready(self) -> Any:
        """Ask whether requests are taken."""
        return self.transport.call("GET", "/health/ready", None)

    def metrics(self) -> Any:
        """Get metrics for Prometheus."""
        return self.transport.call("GET", "/metrics", None)


class AsyncApi:
    """The same for async code."""

    def __init__(self, api: Api) -> None:
        self.api = api

    async def jwks(self) -> Any:
        """Get the public keys that sign receipts."""
        return await asyncio.to_thread(self.api.jwks)

    async def about(self) -> Any:
        """Get what this server is."""
        return await asyncio.to_thread(self.api.about)

    async def put_blob(self, data: bytes, media_type: str = "application/octet-stream") -> Any:
        """Keep bytes that are too large for an input."""
        return await asyncio.to_thread(self.api.put_blob, data, media_type)

    async def get_blob(self, blob: str | int) -> Any:
        """Get the bytes of a blob."""
        return await asyncio.to_thread(self.api.get_blob, blob)

    async def list_dead_letters(self, *, kind: Any = None, queue: Any = None, priority: Any = None, label: Any = None, parent: Any = None, session: Any = None, key_prefix: Any = None, q: Any = None, created_by: Any = None, limit: Any = None, cursor: Any = None) -> Any:
        """List tasks that failed."""
        return await asyncio.to_thread(self.api.list_dead_letters, kind=kind, queue=queue, priority=priority, label=label, parent=parent, session=session, key_prefix=key_prefix, q=q, created_by=created_by, limit=limit, cursor=cursor)

    async def redrive(self, id: str | int, *, idempotency_key: Any = None) -> Any:
        """Try a failed task again, as a fork with all that succeeded."""
        return await asyncio.to_thread(self.api.redrive, id, idempotency_key=idempotency_key)

    async def events(self, *, after: Any = None, task: Any = None, session: Any = None, parent: Any = None, kind: Any = None, label: Any = None, types: Any = None, limit: Any = None) -> Any:
        """Read or follow many streams at once."""
        return await asyncio.to_thread(self.api.events, after=after, task=task, session=session, parent=parent, kind=kind, label=label, types=types, limit=limit)

    async def inbox(self, *, limit: Any = None, cursor: Any = None) -> Any:
        """List everything that waits for a person."""
        return await asyncio.to_thread(self.api.inbox, limit=limit, cursor=cursor)

    async def list_kinds(self) -> Any:
        """List kinds of tasks."""
        return await asyncio.to_thread(self.api.list_kinds)

    async def get_kind(self, name: str | int) -> Any:
        """Get a kind of task."""
        return await asyncio.to_thread(self.api.get_kind, name)

    async def openapi_json(self) -> Any:
        """Get this document."""
        return await asyncio.to_thread(self.api.openapi_json)

    async def list_queues(self) -> Any:
        """List queues."""
        return await asyncio.to_thread(self.api.list_queues)

    async def get_queue(self, name: str | int) -> Any:
        """Get a queue."""
        return await asyncio.to_thread(self.api.get_queue, name)

    async def pause_queue(self, name: str | int) -> Any:
        """Let a queue stand still."""
        return await asyncio.to_thread(self.api.pause_queue, name)

    async def resume_queue(self, name: str | int) -> Any:
        """Let a queue go on."""
        return await asyncio.to_thread(self.api.resume_queue, name)

    async def stats(self) -> Any:
        """Get figures."""
        return await asyncio.to_thread(self.api.stats)

    async def list_tasks(self, *, kind: Any = None, queue: Any = None, priority: Any = None, label: Any = None, parent: Any = None, session: Any = None, key_prefix: Any = None, q: Any = None, created_by: Any = None, limit: Any = None, cursor: Any = None, state: Any = None, order: Any = None) -> Any:
        """List tasks."""
        return await asyncio.to_thread(self.api.list_tasks, kind=kind, queue=queue, priority=priority, label=label, parent=parent, session=session, key_prefix=key_prefix, q=q, created_by=created_by, limit=limit, cursor=cursor, state=state, order=order)

    async def submit_task(self, body: Any, *, wait: Any = None, stream: Any = None, idempotency_key: Any = None, traceparent: Any = None) -> Any:
        """Submit a task."""
        return await asyncio.to_thread(self.api.submit_task, body, wait=wait, stream=stream, idempotency_key=idempotency_key, traceparent=traceparent)

    async def submit_batch(self, body: Any, *, idempotency_key: Any = None) -> Any:
        """Submit up to 1,000 tasks."""
        return await asyncio.to_thread(self.api.submit_batch, body, idempotency_key=idempotency_key)

    async def bulk(self, body: Any) -> Any:
        """Cancel, pause, resume or redrive tasks by filter."""
        return await asyncio.to_thread(self.api.bulk, body)

    async def delete_task(self, id: str | int) -> Any:
        """Remove a finished task for good."""
        return await asyncio.to_thread(self.api.delete_task, id)

    async def get_task(self, id: str | int, *, wait: Any = None, if_none_match: Any = None) -> Any:
        """Get a task."""
        return await asyncio.to_thread(self.api.get_task, id, wait=wait, if_none_match=if_none_match)

    async def update_task(self, id: str | int, body: Any, *, if_match: Any = None) -> Any:
        """Change a live task."""
        return await asyncio.to_thread(self.api.update_task, id, body, if_match=if_match)

    async def task_attempts(self, id: str | int) -> Any:
        """List the attempts of a task."""
        return await asyncio.to_thread(self.api.task_attempts, id)

    async def write_events(self, id: str | int, n: str | int, body: Any, *, everloop_lease: Any = None) -> Any:
        """Write events, show frames."""
        return await asyncio.to_thread(self.api.write_events, id, n, body, everloop_lease=everloop_lease)

    async def fail(self, id: str | int, n: str | int, body: Any, *, everloop_lease: Any = None) -> Any:
        """End the try with an error."""
        return await asyncio.to_thread(self.api.fail, id, n, body, everloop_lease=everloop_lease)

    async def finish(self, id: str | int, n: str | int, body: Any, *, everloop_lease: Any = None) -> Any:
        """End the task."""
        return await asyncio.to_thread(self.api.finish, id, n, body, everloop_lease=everloop_lease)

    async def journal(self, id: str | int, n: str | int, *, after: Any = None, everloop_lease: Any = None) -> Any:
        """Read what was recorded."""
        return await asyncio.to_thread(self.api.journal, id, n, after=after, everloop_lease=everloop_lease)

    async def attempt_logs(self, id: str | int, n: str | int, *, level: Any = None, limit: Any = None, cursor: Any = None) -> Any:
        """Read the log of an attempt."""
        return await asyncio.to_thread(self.api.attempt_logs, id, n, level=level, limit=limit, cursor=cursor)

    async def release(self, id: str | int, n: str | int, body: Any, *, everloop_lease: Any = None) -> Any:
        """Give the task back undone."""
        return await asyncio.to_thread(self.api.release, id, n, body, everloop_lease=everloop_lease)

    async def suspend(self, id: str | int, n: str | int, body: Any, *, everloop_lease: Any = None) -> Any:
        """End the attempt; the task waits."""
        return await asyncio.to_thread(self.api.suspend, id, n, body, everloop_lease=everloop_lease)

    async def cancel_task(self, id: str | int, body: Any) -> Any:
        """End a task."""
        return await asyncio.to_thread(self.api.cancel_task, id, body)

    async def list_children(self, id: str | int, *, limit: Any = None, cursor: Any = None) -> Any:
        """List the children of a task."""
        return await asyncio.to_thread(self.api.list_children, id, limit=limit, cursor=cursor)

    async def task_control_state(self, id: str | int) -> Any:
        """Get who wants what of a task."""
        return await asyncio.to_thread(self.api.task_control_state, id)

    async def decide(self, id: str | int, body: Any) -> Any:
        """Answer a question of a task."""
        return await asyncio.to_thread(self.api.decide, id, body)

    async def task_events(self, id: str | int, *, after: Any = None, types: Any = None, limit: Any = None, frames: Any = None) -> Any:
        """Read or follow the events of a task."""
        return await asyncio.to_thread(self.api.task_events, id, after=after, types=types, limit=limit, frames=frames)

    async def export_task(self, id: str | int) -> Any:
        """Export a task's stream for `everloop verify`."""
        return await asyncio.to_thread(self.api.export_task, id)

    async def fork_task(self, id: str | int, body: Any, *, idempotency_key: Any = None) -> Any:
        """Begin a new task with recorded steps of this one."""
        return await asyncio.to_thread(self.api.fork_task, id, body, idempotency_key=idempotency_key)

    async def send_input(self, id: str | int, body: Any) -> Any:
        """Send something to a task."""
        return await asyncio.to_thread(self.api.send_input, id, body)

    async def task_output(self, id: str | int) -> Any:
        """Get what a task gave."""
        return await asyncio.to_thread(self.api.task_output, id)

    async def pause_task(self, id: str | int, body: Any) -> Any:
        """Let a task stand still at its next step."""
        return await asyncio.to_thread(self.api.pause_task, id, body)

    async def task_progress(self, id: str | int) -> Any:
        """Get how far a task has got."""
        return await asyncio.to_thread(self.api.task_progress, id)

    async def task_receipt(self, id: str | int) -> Any:
        """Get the signed receipt of a finished task."""
        return await asyncio.to_thread(self.api.task_receipt, id)

    async def resume_task(self, id: str | int, body: Any) -> Any:
        """Let a paused task go on."""
        return await asyncio.to_thread(self.api.resume_task, id, body)

    async def task_steps(self, id: str | int) -> Any:
        """List the steps of a task."""
        return await asyncio.to_thread(self.api.task_steps, id)

    async def list_workers(self) -> Any:
        """List workers."""
        return await asyncio.to_thread(self.api.list_workers)

    async def register_worker(self, body: Any) -> Any:
        """Make a worker known."""
        return await asyncio.to_thread(self.api.register_worker, body)

    async def remove_worker(self, worker: str | int) -> Any:
        """Remove a worker."""
        return await asyncio.to_thread(self.api.remove_worker, worker)

    async def get_worker(self, worker: str | int) -> Any:
        """Get a worker."""
        return await asyncio.to_thread(self.api.get_worker, worker)

    async def claim(self, worker: str | int, body: Any, *, wait: Any = None) -> Any:
        """Wait for tasks."""
        return await asyncio.to_thread(self.api.claim, worker, body, wait=wait)

    async def heartbeat(self, worker: str | int, body: Any) -> Any:
        """Say that a worker lives."""
        return await asyncio.to_thread(self.api.heartbeat, worker, body)

    async def renew(self, worker: str | int, body: Any) -> Any:
        """Hold tasks for another term."""
        return await asyncio.to_thread(self.api.renew, worker, body)

    async def signals(self, worker: str | int, *, wait: Any = None) -> Any:
        """Wait for words about held tasks."""
        return await asyncio.to_thread(self.api.signals, worker, wait=wait)

    async def health(self) -> Any:
        """Ask whether everything works."""
        return await asyncio.to_thread(self.api.health)

    async def health_live(self) -> Any:
        """Ask whether the process lives."""
        return await asyncio.to_thread(self.api.health_live)

    async def health_ready(self) -> Any:
        """Ask whether requests are taken."""
        return await asyncio.to_thread(self.api.health_ready)

    async def metrics(self) -> Any:
        """Get metrics for Prometheus."""
        return await asyncio.to_thread(self.api.metrics)
