"""The README's examples run as they stand there."""

import pathlib
import re

import pytest

README = pathlib.Path(__file__).parents[1] / "README.md"


@pytest.mark.slow
def test_the_examples_run_in_turn():
    blocks = re.findall(
        r"^```python\n(.*?)^```", README.read_text("utf-8"), re.S | re.M
    )
    assert len(blocks) >= 3
    names = {}
    for block in blocks:
        exec(compile(block, str(README), "exec"), names)
    assert names["state"].link.shape == (3, 2, 64, 64)
