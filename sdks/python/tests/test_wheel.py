"""The wheel: pure without the program, and for one platform with it."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

from .conftest import SDK, binary


def built(folder: Path, **more: str) -> Path:
    """A wheel, made as `pip wheel` makes it, by the backend that is installed here."""
    code = "import sys, hatchling.build as build; print(build.build_wheel(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        cwd=SDK,
        env={**os.environ, **more},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder / done.stdout.split()[-1]


def test_a_wheel_without_the_program_is_for_every_platform(tmp_path: Path) -> None:
    wheel = built(tmp_path)
    assert wheel.name.endswith("-py3-none-any.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "everloop/py.typed" in names
    assert not [name for name in names if "/bin/" in name]


def test_a_wheel_with_the_program_runs_it(tmp_path: Path) -> None:
    program = tmp_path / "everloop-to-pack"
    # A small program stands for the large one: what is shown is that it is packed, found and run.
    program.write_text('#!/bin/sh\necho "packed $1"\n')
    program.chmod(0o755)
    wheel = built(tmp_path, EVERLOOP_WHEEL_BIN=str(program))
    tag = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    assert wheel.name.endswith(f"-py3-none-{tag}.whl")
    home = tmp_path / "installed"
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--target",
        str(home),
        str(wheel),
    ]
    subprocess.run(pip, check=True)
    env = {**os.environ, "PYTHONPATH": str(home)}
    env.pop("EVERLOOP_BIN")
    script = home / "bin/everloop"
    done = subprocess.run([sys.executable, str(script), "dev"], env=env, capture_output=True, text=True, check=True)
    assert done.stdout == "packed dev\n"


def test_the_command_runs_the_program_that_is_named(tmp_path: Path) -> None:
    code = "import sys; sys.argv = ['everloop', '--version']; from everloop._script import main; main()"
    env = {**os.environ, "PYTHONPATH": str(SDK / "src"), "EVERLOOP_BIN": binary()}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("everloop ")
