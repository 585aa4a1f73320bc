"""`run`: its own server, another script's, or one that is given."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from everloop import Client
from everloop.discover import data_folder, listens, project_folder
from everloop.embedded import _is_alive, note_worker
from everloop.transport import Transport

from .conftest import HERE, Server, finish, start, until


@pytest.fixture
def script(tmp_path: Path) -> Path:
    made = tmp_path / "together.py"
    shutil.copy(HERE / "scripts/together.py", made)
    (tmp_path / ".everloop").mkdir()
    return made


def begin(script: Path, *arguments: str, **more: str) -> subprocess.Popen[str]:
    return start(script, *arguments, XDG_STATE_HOME=str(script.parent), **more)


def server_of(script: Path) -> dict[str, object]:
    try:
        found = json.loads((script.parent / ".everloop/server.json").read_text())
    except OSError:
        return {"pid": None, "url": ""}
    assert isinstance(found, dict)
    return found


def test_the_same_key_gives_the_stored_result(script: Path) -> None:
    assert finish(begin(script, "together", "5", "a")) == "10\n"
    begun = time.monotonic()
    assert finish(begin(script, "together", "5", "a")) == "10\n"
    assert time.monotonic() - begun < 5
    # Who started the server has stopped it.
    assert not (script.parent / ".everloop/server.json").exists() or not listens(str(server_of(script)["url"]))
    assert list((script.parent / ".everloop/workers").iterdir()) == []


def test_scripts_that_start_at_once_share_a_server(script: Path) -> None:
    scripts = [begin(script, "together", "20", f"key-{n}") for n in range(4)]
    assert [finish(process) for process in scripts] == ["190\n"] * 4


def test_a_script_goes_on_when_the_owner_of_its_server_ends(script: Path) -> None:
    owner = begin(script, "gate", str(script.parent))
    until(lambda: (script.parent / "here").exists())
    before = server_of(script)
    guest = begin(script, "together", "100", "guest")
    client = Client(transport=Transport(str(before["url"])))
    until(lambda: any(item["kind"] == "together" and item["steps"] > 5 for item in client.list_tasks()["items"]))
    (script.parent / "go").touch()
    assert finish(owner) == "passed\n"
    assert guest.poll() is None
    after = until(lambda: server_of(script) if server_of(script)["pid"] not in (before["pid"], None) else None)
    assert finish(guest) == "4950\n"
    assert after is not None
    assert after["pid"] != before["pid"]


def test_a_failure_is_raised_again_unless_it_shall_be_done_again(script: Path) -> None:
    folder = str(script.parent)
    assert finish(begin(script, "failing", folder)) == "LookupError not mended\n"
    assert finish(begin(script, "failing", folder)) == "LookupError not mended\n"
    (script.parent / "mended").touch()
    assert finish(begin(script, "failing", folder)) == "LookupError not mended\n"
    assert finish(begin(script, "failing", folder, "retry")) == "mended\n"
    assert finish(begin(script, "failing", folder)) == "mended\n"
    assert len(list(script.parent.glob("good-*"))) == 1


def test_code_that_does_not_follow_raises_both_sides_and_goes_on_when_mended(script: Path) -> None:
    first = begin(script, "changing", "one")
    until(lambda: (script.parent / ".everloop/server.json").exists())
    client = Client(transport=Transport(str(server_of(script)["url"])))
    until(lambda: any(item["state"] == "waiting" for item in client.list_tasks()["items"]))
    first.kill()
    first.communicate()
    changed = begin(script, "changing", "two")
    _, err = changed.communicate(timeout=60)
    assert changed.returncode != 0
    assert "Mismatch" in err
    assert "recorded" in err
    assert "in the code" in err
    assert finish(begin(script, "changing", "one")) == "first value\n"


def test_with_a_url_the_same_file_runs_against_a_server(script: Path, server: Server, client: Client) -> None:
    assert finish(begin(script, "together", "5", "by-url", EVERLOOP_URL=server.url)) == "10\n"
    assert client.get_task("key:by-url")["state"] == "completed"
    assert not (script.parent / ".everloop/server.json").exists()


def test_the_data_folder_is_that_of_the_nearest_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = tmp_path / "project/src/tools"
    inner.mkdir(parents=True)
    (tmp_path / "project/pyproject.toml").touch()
    assert project_folder(inner) == tmp_path / "project"
    (tmp_path / "project/src/.everloop").mkdir()
    assert project_folder(inner) == tmp_path / "project/src"
    script = inner / "script.py"
    script.touch()
    assert data_folder(str(script)) == tmp_path / "project/src/.everloop"
    monkeypatch.setenv("EVERLOOP_DATA_DIR", str(tmp_path / "elsewhere"))
    assert data_folder(str(script)) == tmp_path / "elsewhere"


def test_another_process_with_the_same_number_is_not_taken_for_a_worker(tmp_path: Path) -> None:
    record = json.loads(note_worker(tmp_path, "wkr_x").read_text())
    assert record["pid"] == os.getpid()
    assert _is_alive(record)
    assert not _is_alive({**record, "start": "1"})
    assert not _is_alive({**record, "boot": "another"})
    gone = subprocess.Popen(["true"])
    gone.wait()
    assert not _is_alive({"pid": gone.pid, "worker": "wkr_x"})
