"""The examples of README and docs run as they stand there.

Each block that is marked as Python, in the order of the page. Commands may
take hours: they are read as the command line reads them. The tutorials are
notebooks, which run when the documentation is built.
"""

import pathlib
import re
import shlex

import pytest

from keras_dnc import settings
from keras_dnc.__main__ import parser
from keras_dnc.tasks import TASKS, Recipe

ROOT = pathlib.Path(__file__).parents[1]
# What is made there when the documentation is built.
BUILT = [ROOT / "docs/_build", ROOT / "docs/tutorials"]


def blocks(page, kind):
    text = page.read_text("utf-8")
    return re.findall(rf"^```{kind}\n(.*?)^```", text, re.S | re.M)


FILES = [
    page
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    if not any(page.is_relative_to(folder) for folder in BUILT)
]
PAGES = {
    page.relative_to(ROOT).as_posix(): page
    for page in FILES
    if blocks(page, "python")
}
COMMANDS = {
    command
    for page in FILES
    for block in blocks(page, "bash")
    for command in re.findall(r"python -m keras_dnc (.*)", block)
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
    for block in blocks(PAGES[name], "python"):
        exec(compile(block, name, "exec"), names)


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_a_command_is_one(command):
    words = shlex.split(command)
    assert parser().parse_args(words).run


def test_settings_of_a_page_are_of_a_task(tmp_path):
    (text,) = (block for page in FILES for block in blocks(page, "yaml"))
    path = tmp_path / "copy.yaml"
    path.write_text(text)
    loaded = settings.load(path, TASKS["copy"], Recipe)
    assert loaded["curriculum"] == 0.98
    assert len(loaded) == len(text.splitlines())
