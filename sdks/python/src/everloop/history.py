"""A conversation that is kept by reference."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

from .canonical import canonical
from .codec import plain


class History(Sequence[Any]):
    """Messages that are only ever added to, and a digest of all of them.

    Given to a step it stands for its length and that digest, which is what a replay is held against: the record of a turn does
    not grow with the turns before it, and neither does the time that it takes to compare it.
    """

    def __init__(self, messages: Iterable[Any] = ()) -> None:
        self._messages: list[Any] = []
        self._digest = hashlib.sha256(b"everloop/history/v1").digest()
        self.extend(messages)

    def append(self, message: Any) -> None:
        """Adds a message, as JSON has it."""
        known = plain(message, "message")
        self._messages.append(known)
        self._digest = hashlib.sha256(self._digest + hashlib.sha256(canonical(known)).digest()).digest()

    def extend(self, messages: Iterable[Any]) -> None:
        """Adds messages."""
        for message in messages:
            self.append(message)

    @overload
    def __getitem__(self, place: int) -> Any: ...

    @overload
    def __getitem__(self, place: slice) -> list[Any]: ...

    def __getitem__(self, place: int | slice) -> Any:
        return self._messages[place]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._messages)

    def __len__(self) -> int:
        return len(self._messages)

    def __repr__(self) -> str:
        return f"History({len(self)} messages, {self._digest.hex()[:12]})"

    def __everloop_reference__(self) -> Any:
        return {"digest": self._digest.hex(), "messages": len(self)}
