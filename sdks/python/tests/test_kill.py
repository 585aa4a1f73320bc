"""SIGKILL of the script and of its server at random points: everything is done, and nothing that was recorded twice."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from .conftest import HERE, finish, start, until

KILLS = 6
#: Steps that can be in flight when a kill comes.
AT_ONCE = 4
COUNT = 40


def kill_server(data: Path) -> None:
    """Kills the server of a data folder, if it has come up."""
    try:
        pid = json.loads((data / "server.json").read_text())["pid"]
        os.kill(pid, signal.SIGKILL)
    except (OSError, ValueError, KeyError):
        pass


def held_to_its_promise(effects: Path, kills: int) -> None:
    counts = Counter(effects.read_text().split())
    assert len(counts) == 2 * COUNT, f"{len(counts)} of {2 * COUNT} effects were made"
    again = sum(counts.values()) - len(counts)
    assert again <= kills * AT_ONCE, f"{again} effects were made again by {kills} kills"


@pytest.mark.parametrize("how", ["script", "server", "both"])
@pytest.mark.parametrize("kind", ["plain", "coroutine"])
def test_kills_at_random_points_lose_nothing_and_repeat_nothing_that_was_recorded(
    tmp_path: Path, kind: str, how: str
) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    script = tmp_path / "effects.py"
    shutil.copy(HERE / "scripts/effects.py", script)
    (tmp_path / ".everloop").mkdir()
    effects, data = tmp_path / "effects.txt", tmp_path / ".everloop"
    arguments = (str(effects), kind, str(COUNT))
    process = start(script, *arguments, XDG_STATE_HOME=str(tmp_path))
    kills = 0
    for _ in range(KILLS):
        # Until something new was recorded: an attempt that is lost five times without that is poison.
        before = effects.stat().st_size if effects.exists() else 0
        until(
            lambda size=before: process.poll() is not None or (effects.exists() and effects.stat().st_size > size + 130)
        )
        time.sleep(chance.uniform(0, 0.15))
        if process.poll() is not None:
            break
        kills += 1
        if how in ("server", "both"):
            kill_server(data)
        if how in ("script", "both"):
            process.kill()
            process.communicate()
            process = start(script, *arguments, XDG_STATE_HOME=str(tmp_path))
    out = finish(process)
    assert out.split() == ["result", str(2 * sum(range(COUNT)))]
    assert kills >= 2
    held_to_its_promise(effects, kills)
    # The same key: the stored result, and nothing is done again.
    size = effects.stat().st_size
    assert finish(start(script, *arguments, XDG_STATE_HOME=str(tmp_path))) == out
    assert effects.stat().st_size == size
    assert list((data / "workers").iterdir()) == []
