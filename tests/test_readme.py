"""The examples of README and docs run as they stand there."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def python_blocks(page):
    text = page.read_text("utf-8")
    return re.findall(r"^```python\n(.*?)^```", text, re.S | re.M)


def test_pages_with_examples_are_found():
    pages = {page.name for page in PAGES if python_blocks(page)}
    assert {"README.md", "using.md"} <= pages


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_examples_of_a_page_run_in_turn(page):
    names = {}
    for block in python_blocks(page):
        exec(compile(block, str(page), "exec"), names)
