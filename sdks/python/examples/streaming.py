"""Tokens of a model reach whoever follows, while only the whole answer is recorded.

python examples/streaming.py
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator

import everloop
from everloop import Client, Worker, step, task


def model(prompt: str) -> Iterator[str]:
    """Stands for a model that streams."""
    for word in f"You said: {prompt}".split(" "):
        time.sleep(0.02)
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


def main(prompt: str) -> str:
    """Follows the task that it has started, as another process would."""
    client = Client()
    view = client.submit(chat, prompt)
    shown = ""
    for item in client.follow(view["id"], frames=True):
        if item.what == "frame" and item.type == "token":
            shown += item.data
            print(item.data, end="", flush=True)
    print()
    result = client.result(view["id"])
    assert isinstance(result, str)
    assert shown.strip() in ("", result)
    return result


if __name__ == "__main__":
    if "EVERLOOP_URL" in os.environ:
        worker = Worker([chat])
        threading.Thread(target=worker.start).run()
        main("what is durable?")
        worker.stop()
    else:
        print("start a server with `everloop dev`, and set EVERLOOP_URL to its address")
