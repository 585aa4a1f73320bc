"""A task that starts tasks: each chapter is one of its own, with a history, retries and a result.

python examples/children.py
"""

from __future__ import annotations

import everloop
from everloop import run, step, task


@step
def count(text: str) -> int:
    return len(text.split())


@task
def chapter(text: str) -> int:
    return count(text)


@task
def book(chapters: list[str]) -> dict[str, int]:
    children = [everloop.start(chapter, text) for text in chapters]
    counts = [child.result() for child in children]
    return {"chapters": len(counts), "words": sum(counts)}


if __name__ == "__main__":
    print(run(book, ["It was a dark night.", "The end."], key="book-1"))
