"""Puts the program into the wheel where EVERLOOP_WHEEL_BIN names one: then the wheel is for one platform only.

EVERLOOP_WHEEL_PLATFORM is that platform's tag (`manylinux_2_28_x86_64`, `macosx_11_0_arm64`); that of this machine when not set.
"""

from __future__ import annotations

import os
import sysconfig
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg,misc,unused-ignore]
    """The hook that hatchling calls."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Adds the program and the tag."""
        program = os.environ.get("EVERLOOP_WHEEL_BIN")
        if not program:
            return
        if not os.path.isfile(program):
            raise FileNotFoundError(f"EVERLOOP_WHEEL_BIN names no file: {program}")
        platform = os.environ.get("EVERLOOP_WHEEL_PLATFORM") or sysconfig.get_platform()
        tag = platform.replace("-", "_").replace(".", "_")
        name = "everloop.exe" if tag.startswith("win") else "everloop"
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{tag}"
        build_data["force_include"][os.path.abspath(program)] = f"everloop/bin/{name}"
