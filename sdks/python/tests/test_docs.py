"""Every block of Python in docs/python.md does what the page says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from .conftest import ROOT, finish, start

PAGE = (ROOT / "docs/python.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", PAGE, re.DOTALL)


def test_every_block_says_what_it_prints() -> None:
    assert len(BLOCKS) == PAGE.count("```python\n") >= 9


@pytest.mark.parametrize(("code", "said"), BLOCKS, ids=[str(n) for n in range(len(BLOCKS))])
def test_a_block_prints_what_the_page_says(tmp_path: Path, server: Any, code: str, said: str) -> None:
    script = tmp_path / "page.py"
    script.write_text(code, encoding="utf-8")
    (tmp_path / ".everloop").mkdir()
    more = {"EVERLOOP_URL": server.url} if "Client(" in code else {}
    assert finish(start(script, XDG_STATE_HOME=str(tmp_path), **more)) == said
    if "run(" in code:
        # The same key: the same result, and no step is run again.
        again = finish(start(script, XDG_STATE_HOME=str(tmp_path), **more))
        assert said.endswith(again)
