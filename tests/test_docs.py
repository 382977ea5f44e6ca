"""The documentation: how it is made, and its pages as a browser shows them."""

import dataclasses
import importlib
import json
import pathlib
import shutil
import sys
import types

import pytest

from keras_dnc import DNCState
from keras_dnc.tasks import TASKS, Recipe

DOCS = pathlib.Path(__file__).parents[1] / "docs"
PAGES = DOCS / "_build" / "html"
WIDTH = 1280
# Of a picture, as of any output of a tutorial.
MOST_BYTES = 200_000


@pytest.fixture
def extension(monkeypatch):
    """Returns a function that imports an extension of Sphinx from docs."""
    pytest.importorskip("sphinx", reason="needs the extra 'docs'")
    pytest.importorskip("latex2mathml", reason="needs the extra 'docs'")
    monkeypatch.syspath_prepend(str(DOCS / "_sphinx"))
    yield importlib.import_module
    for name in ("docstrings", "mathml", "reference"):
        sys.modules.pop(name, None)


def converted(extension, text):
    lines = text.split("\n")
    extension("docstrings").convert(None, "class", "x", None, None, lines)
    return "\n".join(lines)


def test_links_of_markdown_over_several_lines(extension):
    text = (
        "See Graves et al., [Hybrid\n  computing](\n  https://x.org/1), 2016."
    )
    expected = (
        "See Graves et al., `Hybrid computing <https://x.org/1>`__, 2016."
    )
    assert converted(extension, text) == expected


def test_a_link_with_parentheses(extension):
    text = "[Title](https://x.org/a(07)b;2)."
    assert converted(extension, text) == "`Title <https://x.org/a(07)b;2>`__."


def test_a_formula_on_lines_of_its_own_keeps_them(extension):
    text = "The output:\n\n    y = 1\n    z = 2\n\nArgs:\n    x: A number."
    assert converted(extension, text) == text.replace("output:", "output::")


def test_a_class_of_options_has_them_as_arguments(extension):
    lines = ["A recipe.", "", "Raises:", "    ValueError: If it is none."]
    convert = extension("docstrings").convert
    convert(None, "class", "x", Recipe, None, lines)
    assert lines[:3] == ["A recipe.", "", "Args:"]
    assert "    word_size: width of a slot." in lines
    assert lines[-3:] == ["", "Raises:", "    ValueError: If it is none."]
    assert len(lines) == 6 + len(dataclasses.fields(Recipe))
    lines = ["Where to write."]
    convert(None, "class", "x", DNCState, None, lines)
    assert lines == ["Where to write."]


def test_an_example_is_no_running_text(extension):
    text = "Text.\n\nExample:\n>>> f(*x)\n1"
    expected = "Text.\n\n.. rubric:: Example\n\n>>> f(*x)\n1"
    assert converted(extension, text) == expected


class Messages:
    """Takes the place of a module's logger."""

    def __init__(self):
        self.texts = []

    def warning(self, text, *arguments, **kwargs):
        self.texts.append(text % arguments)


@pytest.mark.parametrize(
    ("latex", "warnings"),
    [
        (r"\frac{a}{b}", 0),
        (r"\begin{aligned} a &= b \\ c &= d \end{aligned}", 0),
        (r"\unknown{a}", 1),
        (r"a &= b \\ c &= d", 1),
    ],
)
def test_latex_that_is_not_understood_is_told(extension, latex, warnings):
    nodes = importlib.import_module("docutils.nodes")
    mathml = extension("mathml")
    mathml.logger = Messages()
    found = mathml.mathml(nodes.math(latex, latex), "inline")
    assert found.startswith("<math") and found.endswith("</math>")
    assert len(mathml.logger.texts) == warnings


def test_a_public_name_without_reference_or_docstring_is_told(
    extension, monkeypatch
):
    module = types.ModuleType("example")
    exec(
        "def known():\n    'Says.'\n"
        "def forgotten():\n    'Says.'\n"
        "def silent():\n    pass\n"
        "def _hidden():\n    pass\n"
        "from math import sqrt\n",
        vars(module),
    )
    monkeypatch.setitem(sys.modules, "example", module)
    documented = {"example.known": None, "example.silent": None}
    reference = extension("reference")
    reference.logger = Messages()
    app = types.SimpleNamespace(
        config=types.SimpleNamespace(reference_modules=["example"])
    )
    domain = types.SimpleNamespace(objects=documented)
    reference.check(app, types.SimpleNamespace(get_domain=lambda _: domain))
    assert reference.logger.texts == [
        "not in the reference: example.forgotten",
        "no docstring: example.silent",
    ]


@pytest.fixture(scope="module")
def browser():
    """A Chromium of 1280 pixels width that finds no host."""
    webdriver = pytest.importorskip("selenium.webdriver")
    service = importlib.import_module("selenium.webdriver.chrome.service")
    names = ("chromium", "chromium-browser", "google-chrome")
    chromium = next(filter(None, map(shutil.which, names)), None)
    chromedriver = shutil.which("chromedriver")
    if not chromium or not chromedriver:
        pytest.skip("needs chromium and chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in (
        "headless=new",
        "no-sandbox",
        "disable-gpu",
        "disable-quic",
        "no-first-run",
        "disable-background-networking",
        "disable-component-update",
        "disable-sync",
        "hide-scrollbars",
        "host-resolver-rules=MAP * ~NOTFOUND",
        f"window-size={WIDTH},900",
    ):
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    driver = webdriver.Chrome(options, service.Service(chromedriver))
    yield driver
    driver.quit()


# What a reader would see amiss in a page, in words.
FAULTS = """
const faults = [];
const root = document.documentElement;
if (window.innerWidth !== arguments[0])
  faults.push(`the window has ${window.innerWidth} pixels`);
if (root.scrollWidth > root.clientWidth)
  faults.push(`scrolls to ${root.scrollWidth} of ${root.clientWidth} pixels`);
for (const image of document.images)
  if (!image.complete || !image.naturalWidth)
    faults.push(`broken image ${image.src}`);
for (const equation of document.querySelectorAll("math")) {
  const box = equation.getBoundingClientRect();
  if (!box.width || !box.height || equation.querySelector("merror"))
    faults.push(`equation not drawn: ${equation.textContent}`);
}
for (const place of document.querySelectorAll(".math"))
  if (!place.querySelector("math"))
    faults.push(`no equation: ${place.textContent}`);
for (const place of document.querySelectorAll(".problematic, .system-message"))
  faults.push(`not understood: ${place.textContent}`);
for (const place of document.querySelectorAll("p, td"))
  if (/\\]\\(\\s*http/.test(place.textContent))
    faults.push(`a link of Markdown: ${place.textContent}`);
return faults;
"""


def requests_elsewhere(browser):
    """Returns the addresses beyond the file system that were asked for."""
    for entry in browser.get_log("performance"):
        event = json.loads(entry["message"])["message"]
        if event["method"] == "Network.requestWillBeSent":
            address = event["params"]["request"]["url"]
            if not address.startswith(("file:", "data:", "blob:")):
                yield address


@pytest.mark.slow
def test_each_page_in_a_browser(browser):
    pages = sorted(PAGES.rglob("*.html"))
    if not pages:
        pytest.skip(f"needs the pages: sphinx-build -W docs {PAGES}")
    found, equations = {}, {}
    for page in pages:
        browser.get(page.as_uri())
        name = page.relative_to(PAGES).as_posix()
        faults = browser.execute_script(FAULTS, WIDTH)
        faults += [f"asks for {x}" for x in requests_elsewhere(browser)]
        if faults:
            found[name] = faults
        equations[name] = browser.execute_script(
            "return document.querySelectorAll('math').length"
        )
    assert found == {}
    assert equations["notation.html"] > 50
    assert equations["design/link-gradient.html"] > 50


@pytest.mark.slow
def test_the_sizes_of_recipes_are_theirs():
    rows = [
        f"| {name} | {recipe.memory_size} | {recipe.word_size} | "
        f"{recipe.num_reads} | {recipe.controller} |"
        for name, recipe in (
            (name, task.recipe) for name, task in TASKS.items()
        )
    ]
    page = (DOCS / "howto" / "sizes.md").read_text("utf-8")
    assert "\n".join(["|---|---|---|---|---|", *rows, ""]) in page


def test_no_picture_is_large():
    pictures = sorted((PAGES / "_images").glob("*"))
    if not pictures:
        pytest.skip(f"needs the pages: sphinx-build -W docs {PAGES}")
    assert max(x.stat().st_size for x in pictures) < MOST_BYTES
