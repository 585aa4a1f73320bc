"""Finding the server and the binary: an address that was given, the data folder of the project, those that servers listed."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import sysconfig
import urllib.parse
from pathlib import Path
from typing import Any

from .errors import EverloopError
from .transport import Transport

SERVER_FILE = "server.json"
KEY_FILE = "api-key"
DATA_FOLDER = ".everloop"
DEFAULT_URL = "http://127.0.0.1:7420"
#: How long a look whether somebody listens may take, in seconds.
LOOK = 0.3
#: What makes a folder the project's own.
MARKS = (DATA_FOLDER, "pyproject.toml", ".git")


def project_folder(start: Path) -> Path:
    """The nearest folder upwards that has an .everloop, a pyproject.toml or a .git; the start itself where none has."""
    for folder in (start, *start.parents):
        if any((folder / mark).exists() for mark in MARKS):
            return folder
    return start


def data_folder(script: str | None) -> Path:
    """The data folder for a script: EVERLOOP_DATA_DIR, else `.everloop` in its project's folder."""
    given = os.environ.get("EVERLOOP_DATA_DIR")
    if given:
        return Path(given).absolute()
    start = Path(script).absolute().parent if script is not None and os.path.exists(script) else Path.cwd()
    return project_folder(start) / DATA_FOLDER


def read_server(folder: Path) -> dict[str, Any] | None:
    """What a data folder says about its server."""
    try:
        found = json.loads((folder / SERVER_FILE).read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and "url" in found else None


def read_key(folder: Path) -> str | None:
    """The local key of a data folder, where this user may read it."""
    try:
        return (folder / KEY_FILE).read_text().strip()
    except OSError:
        return None


def listens(url: str) -> bool:
    """Whether somebody listens there."""
    parts = urllib.parse.urlsplit(url)
    if not parts.hostname:
        return False
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname, port), timeout=LOOK).close()
    except OSError:
        return False
    return True


def _state_folder() -> Path | None:
    home = os.environ.get("XDG_STATE_HOME")
    if home:
        return Path(home) / "everloop"
    home = os.environ.get("HOME")
    return Path(home) / ".local/state/everloop" if home else None


def _candidates() -> list[Path]:
    folders = [Path.cwd() / DATA_FOLDER]
    state = _state_folder()
    if state is not None:
        try:
            listed = sorted((state / "servers").iterdir(), key=lambda entry: entry.stat().st_mtime, reverse=True)
            folders += [Path(entry.read_text().rstrip("\n")) for entry in listed]
        except OSError:
            pass
    return folders


def found_server(url: str | None = None, api_key: str | None = None) -> tuple[str, str | None]:
    """The address of the server to talk to and the key to show: what is given, EVERLOOP_URL, `./.everloop`, the servers that
    this user has running, the usual port."""
    url = url or os.environ.get("EVERLOOP_URL") or None
    api_key = api_key or os.environ.get("EVERLOOP_API_KEY") or None
    for folder in _candidates():
        server = read_server(folder)
        if server is None or (url is not None and server["url"].rstrip("/") != url.rstrip("/")):
            continue
        if url is not None or listens(server["url"]):
            return str(server["url"]), api_key or read_key(folder)
    return url or DEFAULT_URL, api_key


def found_transport(url: str | None = None, api_key: str | None = None) -> Transport:
    """A way to that server."""
    return Transport(*found_server(url, api_key))


def binary() -> str:
    """The program: EVERLOOP_BIN, the one that the wheel brought along, else the one on PATH."""
    given = os.environ.get("EVERLOOP_BIN")
    if given:
        return given
    name = "everloop.exe" if sys.platform == "win32" else "everloop"
    packaged = Path(__file__).parent / "bin" / name
    if packaged.is_file():
        return str(packaged)
    own = Path(sysconfig.get_path("scripts")) / name
    for folder in os.get_exec_path():
        found = shutil.which(name, path=folder)
        # The script of this package would only look for the program again.
        if found is not None and Path(found).resolve() != own.resolve():
            return found
    raise EverloopError(
        "the program `everloop` is not here: install a wheel that has it, put it on PATH, or name it in EVERLOOP_BIN; "
        "or set EVERLOOP_URL to use a server",
        code="no_binary",
    )
