"""Tokens of a model reach whoever follows, while only the whole answer is recorded.

python examples/streaming.py              the task
python examples/streaming.py --follow     in another terminal: what comes, as it comes
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

import everloop
from everloop import Client, run, step, task


def model(prompt: str) -> Iterator[str]:
    """Stands for a model that streams."""
    for word in f"You said: {prompt}".split(" "):
        time.sleep(0.1)
        yield f"{word} "


@step
def answer(prompt: str) -> str:
    text = ""
    for token in model(prompt):
        everloop.token(token)
        text += token
    return text.strip()


@task
def chat(prompt: str) -> str:
    return answer(prompt)


if __name__ == "__main__":
    if "--follow" in sys.argv:
        for item in Client().follow("key:chat-1", frames=True):
            if item.what == "frame" and item.type == "token":
                print(item.data, end="", flush=True)
        print()
    else:
        print(run(chat, "what does durable mean, and why would an agent that runs for days need it?", key="chat-1"))
