"""The examples of README and docs run as they stand there.

Each block that is marked as Python, in the order of the page. The tutorials
are notebooks, which run when the documentation is built.
"""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[1]
# What is made there when the documentation is built.
BUILT = [ROOT / "docs/_build", ROOT / "docs/tutorials"]


def python_blocks(page):
    text = page.read_text("utf-8")
    return re.findall(r"^```python\n(.*?)^```", text, re.S | re.M)


PAGES = {
    page.relative_to(ROOT).as_posix(): page
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    if not any(page.is_relative_to(folder) for folder in BUILT)
    and python_blocks(page)
}


def test_pages_with_examples_are_found():
    assert {
        "README.md",
        "docs/using.md",
        "docs/howto/state.md",
        "docs/design/link-gradient.md",
    } <= set(PAGES)


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
def test_the_examples_of_a_page_run_in_turn(name):
    names = {}
    for block in python_blocks(PAGES[name]):
        exec(compile(block, name, "exec"), names)
