"""The page holds the numbers of a trace, and a browser shows them."""

import base64
import html.parser
import json
import re
import shutil
import statistics
import zlib

import numpy as np
import pytest

import keras_dnc
from keras_dnc import DNCState, InterfaceVector, SparseLink, Trace, viewer
from keras_dnc.viewer import parts

HOSTILE = "</script><b id='harm'>$title &amp;"


def random_trace(
    batch=3, steps=7, slots=6, width=5, reads=2, writes=2, units=3, seed=0
):
    """A trace of random numbers, each part of the paper's shape."""
    rng = np.random.default_rng(seed)

    def normal(*shape):
        return rng.normal(size=(batch, steps, *shape)).astype("float32")

    def fractions(*shape):
        return rng.random((batch, steps, *shape)).astype("float32")

    modes = fractions(reads, 1 + 2 * writes)
    state = DNCState(
        memory=normal(slots, width),
        usage=fractions(slots),
        precedence=fractions(writes, slots),
        link=fractions(writes, slots, slots),
        write_weightings=fractions(writes, slots) ** 8,
        read_weightings=fractions(reads, slots) ** 8,
        reads=normal(reads, width),
        controller_states=[normal(4)],
    )
    interface = InterfaceVector(
        read_keys=normal(reads, width),
        read_strengths=1 + 9 * fractions(reads),
        write_keys=normal(writes, width),
        write_strengths=1 + 9 * fractions(writes),
        erase_vectors=fractions(writes, width),
        write_vectors=normal(writes, width),
        free_gates=fractions(reads),
        allocation_gates=fractions(writes),
        write_gates=fractions(writes),
        read_modes=modes / modes.sum(-1, keepdims=True),
    )
    return Trace(
        inputs=normal(4),
        outputs=normal(units),
        state=state,
        interface=interface,
        allocation_weightings=fractions(writes, slots),
        mask=np.ones((batch, steps), bool),
    )


class Elements(html.parser.HTMLParser):
    """The tags of a page, and the texts of elements with an id."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.texts, self.inside = [], {}, None
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.inside = dict(attributes).get("id")

    def handle_data(self, data):
        if self.inside:
            self.texts[self.inside] = self.texts.get(self.inside, "") + data

    def handle_endtag(self, tag):
        self.inside = None


def held(page):
    """The description in a page, and the arrays of each example by name."""
    texts = Elements(page).texts
    description = json.loads(texts["description"])
    found = {}
    for example in description["examples"]:
        data = texts[f"example-{example['number']}"]
        data = zlib.decompress(base64.b64decode(data))
        found[example["number"]] = {
            part["name"]: array_at(data, part, description["sizes"]["T"])
            for part in example["parts"]
        }
    return description, found


def array_at(data, part, steps):
    """An array of shape (T, ...) from bytes with the time as last axis."""
    shape = (*part["shape"], steps)
    array = np.frombuffer(
        data, part["type"], int(np.prod(shape)), part["start"]
    )
    return np.moveaxis(array.reshape(shape), -1, 0)


def expected_parts(traced, example, **others):
    """The arrays that a page should hold of an example."""
    everything = {
        "inputs": traced.inputs,
        "answers": traced.outputs,
        "mask": traced.mask,
        "allocation_weightings": traced.allocation_weightings,
        **traced.state._asdict(),
        **traced.interface._asdict(),
        **others,
    }
    del everything["controller_states"], everything["link"]
    return {
        name: array[example]
        for name, array in everything.items()
        if not isinstance(array, tuple)
    }


def test_the_page_holds_every_number_of_every_example():
    traced = random_trace()
    targets = traced.outputs + 1
    answers = traced.outputs + 2
    description, found = held(viewer.page(traced, targets, answers))
    assert description["sizes"] == {
        **{"B": 3, "T": 7, "X": 4, "Y": 3},
        **{"N": 6, "W": 5, "V": 2, "R": 2, "M": 5},
    }
    assert sorted(found) == [0, 1, 2]
    for example, arrays in found.items():
        thousandths = arrays.pop("link")
        np.testing.assert_allclose(
            thousandths / 1000, traced.state.link[example], atol=5.01e-4
        )
        expected = expected_parts(
            traced, example, targets=targets, answers=answers
        )
        assert arrays.keys() == expected.keys()
        for name, array in expected.items():
            np.testing.assert_array_equal(arrays[name], array, err_msg=name)


def test_chosen_examples_are_in_the_page_alone():
    traced = random_trace()
    description, found = held(viewer.page(traced, examples=[2, 0]))
    assert [one["number"] for one in description["examples"]] == [2, 0]
    assert found.keys() == {0, 2}
    np.testing.assert_array_equal(found[2]["memory"], traced.state.memory[2])


def test_what_is_not_finite_stays_so():
    traced = random_trace(batch=1)
    traced.state.memory[0, 1, 2, :3] = np.nan, np.inf, -np.inf
    traced.state.link[0, 3, 0, 1, 2] = np.nan
    _, found = held(viewer.page(traced))
    np.testing.assert_array_equal(found[0]["memory"], traced.state.memory[0])
    np.testing.assert_array_equal(found[0]["link"], traced.state.link[0])


def test_sparse_links_are_shown_where_they_lead():
    traced = random_trace(batch=2)
    rng = np.random.default_rng(1)
    shape = (2, 7, 2, 6, 2)
    values = rng.random(shape).astype("float32")
    # Of each row two different columns, or none.
    columns = 1 + np.argsort(rng.random((*shape[:-1], 6)))[..., :2]
    columns = np.where(values > 0.4, columns, 0).astype("float32")
    values = np.where(values > 0.4, values, 0)
    expected = np.zeros((2, 7, 2, 6, 6))
    for place in np.argwhere(columns > 0):
        row = tuple(place[:-1])
        expected[(*row, int(columns[tuple(place)]) - 1)] = values[tuple(place)]
    state = traced.state._replace(link=SparseLink(values, columns))
    _, found = held(viewer.page(traced._replace(state=state)))
    for example in range(2):
        np.testing.assert_allclose(
            found[example]["link"] / 1000, expected[example], atol=5.01e-4
        )


def test_parts_that_are_not_there_are_not_in_the_page():
    layer = keras_dnc.DNC(
        3, controller=8, memory_size=6, word_size=5, content_only=True
    )
    inputs = np.ones((1, 3, 4), "float32")
    layer(inputs)
    traced = keras_dnc.trace(layer, inputs)
    description, found = held(viewer.page(traced))
    assert not {"link", "precedence", "read_modes"} & found[0].keys()
    assert {"memory", "read_weightings", "write_gates"} <= found[0].keys()
    assert description["leftOut"] == ["The controller's states are not shown."]


def test_links_that_are_too_many_are_left_out_by_name(monkeypatch):
    traced = random_trace()
    count = 7 * 2 * 6 * 6
    monkeypatch.setattr(parts, "MOST_LINKS", count)
    assert "link" in held(viewer.page(traced))[1][0]
    monkeypatch.setattr(parts, "MOST_LINKS", count - 1)
    description, found = held(viewer.page(traced))
    assert "link" not in found[0]
    assert description["leftOut"][0] == (
        "Links are not shown: T · V · N² is 504 numbers an example, more than "
        "503."
    )


def test_a_part_of_another_shape_is_left_out_by_name():
    traced = random_trace()
    interface = traced.interface._replace(
        free_gates=traced.interface.free_gates[..., None]
    )
    description, found = held(viewer.page(traced._replace(interface=interface)))
    assert "free_gates" not in found[0]
    assert description["leftOut"][0] == (
        "Free gates are not shown: their shape is (3, 7, 2, 1), the paper's "
        "would be (3, 7, 2)."
    )


def test_no_label_and_no_title_becomes_a_tag():
    page = viewer.page(
        random_trace(),
        input_labels=[HOSTILE, "<!--", "b", "c"],
        output_labels=["d", "e", HOSTILE],
        title=HOSTILE,
    )
    elements = Elements(page)
    assert not [tag for tag, _ in elements.tags if tag == "b"]
    description = json.loads(elements.texts["description"])
    assert description["inputLabels"][:2] == [HOSTILE, "<!--"]
    assert description["outputLabels"][2] == HOSTILE
    assert "<title>&lt;/script&gt;&lt;b id=&#x27;harm&#x27;&gt;$title" in page


def test_the_page_asks_for_nothing():
    page = viewer.page(random_trace())
    for _, attributes in Elements(page).tags:
        assert not {"src", "href", "srcset", "action"} & attributes.keys()
    assert not re.search(r"https?:|url\(|@import|fetch\(", page)
    assert "default-src 'none'" in page


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("targets", np.zeros((3, 6, 3)), "`targets` must have.*B, T, Y"),
        ("targets", np.zeros((3, 7, 2)), "`targets` must have.*Y=3"),
        ("answers", np.zeros((7, 3)), "`answers` must have.*B, T, Y"),
        ("input_labels", ["a"], "`input_labels` must be 4 strings"),
        ("input_labels", "abcd", "`input_labels` must be 4 strings"),
        ("output_labels", ["a", "b", 3], "`output_labels` must be 3 strings"),
        ("title", 3, "`title` must be a string. Received: title=3"),
        ("input_labels", 4, "`input_labels` must be 4 strings"),
        ("examples", 1, "`examples` must be one or several"),
        ("examples", [], "`examples` must be one or several"),
        ("examples", [0, 3], "`examples` must be one.* from 0 to 2"),
        ("examples", [-1], "`examples` must be one.* from 0 to 2"),
        ("examples", [1, 1], "`examples` must be one or several different"),
        ("examples", [True], "`examples` must be one or several"),
    ],
)
def test_what_does_not_fit_is_refused(name, value, message, tmp_path):
    path = tmp_path / "trace.html"
    with pytest.raises(ValueError, match=message):
        random_trace().to_html(path, **{name: value})
    assert not path.exists()


def test_the_file_is_the_whole_page_or_the_old_one(tmp_path, monkeypatch):
    traced = random_trace()
    path = tmp_path / "trace.html"
    labels = {"input_labels": [*"abcd"], "output_labels": [*"äöü"]}
    traced.to_html(path, title="one", examples=[1], **labels)
    expected = viewer.page(traced, title="one", examples=[1], **labels)
    assert path.read_text("utf-8") == expected
    assert [*tmp_path.iterdir()] == [path]

    def fail(*_):
        raise OSError("no space")

    monkeypatch.setattr(viewer.os, "replace", fail)
    with pytest.raises(OSError, match="no space"):
        traced.to_html(path, title="two")
    assert path.read_text("utf-8") == expected


# In a browser.

BROWSER, DRIVER = map(shutil.which, ("chromium", "chromedriver"))
ARGUMENTS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic"),
    *("--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
    "--window-size=1280,800",
)


@pytest.fixture(scope="module")
def browser():
    if not (BROWSER and DRIVER):
        pytest.skip("needs chromium and chromedriver on the path")
    webdriver = pytest.importorskip(
        "selenium.webdriver", reason="needs selenium, of the extra `test`"
    )
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for argument in ARGUMENTS:
        options.add_argument(argument)
    options.set_capability(
        "goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"}
    )
    service = webdriver.ChromeService(DRIVER)
    driver = webdriver.Chrome(options=options, service=service)
    driver.set_script_timeout(60)
    yield driver
    driver.quit()


class Page:
    """A page in a browser, read and used as a reader would."""

    def __init__(self, browser, path):
        self.browser = browser
        for log in ("browser", "performance"):
            browser.get_log(log)
        browser.get(path.as_uri())
        self.wait_for("document.body.dataset.example !== undefined")

    def run(self, script, *arguments):
        return self.browser.execute_script(script, *arguments)

    def wait_for(self, condition):
        from selenium.webdriver.support.ui import WebDriverWait

        WebDriverWait(self.browser, 30, 0.05).until(
            lambda _: self.run(f"return {condition}")
        )

    def find(self, selector):
        return self.browser.find_element("css selector", selector)

    def text(self, selector):
        return self.find(selector).text

    def set(self, selector, value, event="change"):
        self.run(
            "const found = document.querySelector(arguments[0]);"
            "found.value = arguments[1];"
            "found.dispatchEvent(new Event(arguments[2]));",
            selector,
            value,
            event,
        )

    def go(self, step):
        self.set("#step", step, "input")

    def choose_example(self, place, number):
        self.set("#example", place)
        self.wait_for(f"document.body.dataset.example === '{number}'")

    def press(self, key):
        self.find("body").send_keys(key)

    def hover(self, label, row, column, rows, columns, within=0.5):
        """Points at a cell of the heat map of a label, returns the tooltip."""
        from selenium.webdriver import ActionChains

        canvas = self.find(f'canvas[aria-label="{label}"]')
        self.run("arguments[0].scrollIntoView({block: 'center'})", canvas)
        width, height = canvas.size["width"], canvas.size["height"]
        x = (column + within) / columns * width - width / 2
        y = (row + within) / rows * height - height / 2
        ActionChains(self.browser, 0).move_to_element_with_offset(
            canvas, round(x), round(y)
        ).perform()
        return self.text("#tooltip")

    def numbers(self, selector):
        """The numbers that elements show, by one of their attributes."""
        return {
            tuple(names): number(text)
            for *names, text in self.run(
                "return [...document.querySelectorAll(arguments[0])].map("
                "found => [found.dataset.part, found.dataset.row ||"
                " found.dataset.label, found.textContent])",
                selector,
            )
        }

    def assert_quiet(self):
        """Nothing was reported, and nothing asked for but the file."""
        assert self.browser.get_log("browser") == []
        messages = [
            json.loads(entry["message"])["message"]
            for entry in self.browser.get_log("performance")
        ]
        requests = {
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        }
        assert {url.split(":")[0] for url in requests} <= {"file", "data"}
        assert len(requests) <= 1


def number(text):
    return float(text.replace("−", "-"))


def assert_shown(text, value):
    """A text is the number, to its three decimals."""
    assert re.fullmatch(r"−?\d+\.\d{3}", text)
    assert abs(number(text) - value) < 5.01e-4


GATES_AND_STRENGTHS = (
    *("free_gates", "allocation_gates", "write_gates"),
    *("read_modes", "read_strengths", "write_strengths"),
)


def assert_interface_is_shown(page, traced, example, step):
    expected = {
        (name, str(row)): value
        for name in GATES_AND_STRENGTHS
        for row, value in enumerate(
            getattr(traced.interface, name)[example, step].ravel()
        )
    }
    found = page.numbers("#bars [data-part]")
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert abs(found[name] - value) < 5.01e-4, name


def assert_slot_is_shown(page, traced, example, step, slot):
    state = traced.state
    expected = {("usage", "usage"): state.usage[example, step, slot]}
    for name, title, part in (
        ("allocation_weightings", "allocation", traced.allocation_weightings),
        ("write_weightings", "write", state.write_weightings),
        ("precedence", "precedence", state.precedence),
        ("read_weightings", "read", state.read_weightings),
    ):
        for head, value in enumerate(part[example, step, :, slot]):
            expected[name, f"{title} {head + 1}"] = value
    found = page.numbers("#slot-now [data-part]")
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert abs(found[name] - value) < 5.01e-4, name


def history(page, kind):
    return [
        button.text
        for button in page.browser.find_elements(
            "css selector", f'[data-history="{kind}"] button'
        )
    ]


@pytest.mark.slow
def test_a_browser_shows_what_the_trace_holds(browser, tmp_path):
    from selenium.webdriver.common.keys import Keys

    traced = random_trace(batch=3)
    traced.mask[0, 4:6] = False
    targets = np.full((3, 7, 3), np.nan)
    targets[:, 2:] = np.eye(3)[[0, 1, 2, 0, 1]]
    labels = {"input_labels": [*"abcd"], "output_labels": [*"xyz"]}
    traced.to_html(
        tmp_path / "a.html", targets, title="A & B", examples=[0, 2], **labels
    )
    page = Page(browser, tmp_path / "a.html")
    assert page.text("h1") == browser.title == "A & B"
    assert page.text("#step-number") == "step 0 of 0 to 6"
    assert page.text('[data-feature="target"]') == "does not count"
    assert_interface_is_shown(page, traced, 0, 0)

    # Slider and keys.
    page.go(3)
    assert_interface_is_shown(page, traced, 0, 3)
    assert page.text('[data-feature="target"]') == "y"
    largest = int(np.abs(traced.inputs[0, 3]).argmax())
    name, value = re.match(
        r"(.) \((.*?)\)", page.text('[data-feature="input"]')
    ).groups()
    assert name == "abcd"[largest]
    assert_shown(value, traced.inputs[0, 3, largest])
    for key, step in (
        (Keys.ARROW_RIGHT, 4),
        (Keys.END, 6),
        (Keys.ARROW_RIGHT, 6),
        (Keys.ARROW_LEFT, 5),
        (Keys.HOME, 0),
        (Keys.ARROW_LEFT, 0),
    ):
        page.press(key)
        assert page.text("#step-number") == f"step {step} of 0 to 6"
        assert page.find("#step").get_property("value") == str(step)
    page.go(5)
    assert page.find("#hidden-step").is_displayed()
    page.go(6)
    assert not page.find("#hidden-step").is_displayed()

    # Another example, at the same step.
    page.choose_example(1, 2)
    assert_interface_is_shown(page, traced, 2, 6)

    # A slot under the pointer.
    for within in (0.2, 0.8):
        tooltip = page.hover("memory", 4, 3, 6, 5, within)
        prefix, value = tooltip.split(": ")
        assert prefix == "memory, slot 4, element 3"
        assert_shown(value, traced.state.memory[2, 6, 4, 3])
    assert page.find("#slot-number").get_property("value") == "4"
    assert_slot_is_shown(page, traced, 2, 6, 4)
    page.go(2)
    assert_slot_is_shown(page, traced, 2, 2, 4)

    # Cells of the other maps.
    link = traced.state.link[2, 2, 1, 3, 5]
    prefix, value = page.hover("Links of write head 2", 3, 5, 6, 6).split(": ")
    assert prefix == "slot 3 was written after slot 5"
    assert_shown(value, link)
    prefix, value = page.hover("read key 2", 0, 1, 1, 5).split(": ")
    assert_shown(value, traced.interface.read_keys[2, 2, 1, 1])
    prefix, value = page.hover("read weighting 2 over time", 1, 5, 6, 7).split(
        ": "
    )
    assert prefix == "read weighting 2, slot 1, step 5"
    assert_shown(value, traced.state.read_weightings[2, 5, 1, 1])
    assert_slot_is_shown(page, traced, 2, 2, 1)

    # A click there goes to the step.
    from selenium.webdriver import ActionChains

    ActionChains(browser).click().perform()
    assert page.text("#step-number") == "step 5 of 0 to 6"
    page.assert_quiet()


@pytest.mark.slow
def test_a_slot_has_its_history(browser, tmp_path):
    traced = random_trace(batch=1)
    state = traced.state
    for part in (state.write_weightings, state.read_weightings):
        part[:] = 0.05
    traced.mask[0, 2] = False
    # At a step that is hidden the state is that of the step before.
    state.write_weightings[0, 1:3, 1, 3] = 0.75
    state.write_weightings[0, 5, 0, 3] = 0.2
    state.read_weightings[0, 6, 1, 3] = 0.5
    traced.inputs[:] = np.eye(4)[np.array([0, 1, 2, 3, 0, 1, 2])]
    traced.to_html(tmp_path / "a.html", input_labels=[*"abcd"])
    page = Page(browser, tmp_path / "a.html")
    page.set("#slot-number", 3)
    assert history(page, "written") == [
        "step 1 by head 2: 0.750, input b",
        "step 5 by head 1: 0.200, input b",
    ]
    assert history(page, "read") == ["step 6 by head 2: 0.500"]
    page.set("#threshold", 0.3)
    assert history(page, "written") == ["step 1 by head 2: 0.750, input b"]
    page.find('[data-history="read"] button').click()
    assert page.text("#step-number") == "step 6 of 0 to 6"
    page.set("#slot-number", 2)
    assert page.text('[data-history="written"]') == "never"

    # The arrows move from slot to slot while the memory has the focus.
    from selenium.webdriver.common.keys import Keys

    page.find("#slots").send_keys(Keys.ARROW_DOWN)
    assert page.find("#slot-number").get_property("value") == "3"
    page.assert_quiet()


@pytest.mark.slow
def test_colors_tell_sign_and_size(browser, tmp_path):
    traced = random_trace(batch=1, writes=1)
    traced.state.write_weightings[0, 2:4, 0, 2] = 0, 1
    traced.to_html(tmp_path / "a.html")
    page = Page(browser, tmp_path / "a.html")
    page.go(4)

    def pixels(label):
        rows, columns, data = page.run(
            "const found = document.querySelector("
            "'canvas[aria-label=\"' + arguments[0] + '\"]');"
            "return [found.height, found.width, [...found.getContext('2d')"
            ".getImageData(0, 0, found.width, found.height).data]]",
            label,
        )
        return np.reshape(data, (rows, columns, 4)).astype(int)

    memory = traced.state.memory[0, 4]
    red, _, blue, _ = np.moveaxis(pixels("memory"), -1, 0)
    is_clear = np.abs(memory) > 0.1 * np.abs(traced.state.memory).max()
    assert is_clear.sum() > 10
    np.testing.assert_array_equal(
        np.sign(blue - red)[is_clear], np.sign(memory)[is_clear]
    )
    # The more, the darker.
    weightings = traced.state.write_weightings[0, :, 0]
    shade = pixels("write weighting 1 over time")[..., :3].sum(-1).T
    order = np.argsort(weightings, axis=None)
    assert (np.diff(shade.ravel()[order]) <= 0).all()
    assert shade.min() < 250 < 700 < shade.max()
    page.assert_quiet()


@pytest.mark.slow
def test_it_plays_to_the_end(browser, tmp_path):
    random_trace(batch=1).to_html(tmp_path / "a.html")
    page = Page(browser, tmp_path / "a.html")
    page.set("#speed", "30")
    page.press(" ")
    page.wait_for("document.getElementById('step').value === '6'")
    assert page.text("#play") == "Play"
    page.set("#speed", "1")
    page.find("#play").click()
    assert page.text("#play") == "Pause"
    page.wait_for("document.getElementById('step').value === '0'")
    page.find("#play").click()
    assert page.text("#play") == "Play"
    page.assert_quiet()


@pytest.mark.slow
def test_hostile_labels_and_no_numbers_break_nothing(browser, tmp_path):
    traced = random_trace(batch=1)
    memory, gates = traced.state.memory, traced.interface.write_gates
    memory[0, 3, 1, :3] = np.nan, np.inf, -np.inf
    gates[0, 3] = np.nan, np.inf
    traced.inputs[0, 3] = 0, 0, 1, 0
    traced.interface.read_keys[:] = np.nan
    traced.to_html(
        tmp_path / "a.html",
        input_labels=["a", "b", HOSTILE, "d"],
        title=HOSTILE,
    )
    page = Page(browser, tmp_path / "a.html")
    page.go(3)
    assert page.text("h1") == page.text('[data-feature="input"]') == HOSTILE
    assert page.hover("input over time", 2, 3, 4, 7) == (
        f"input, {HOSTILE}, step 3: 1.000"
    )
    assert not browser.find_elements("css selector", "b")
    assert page.text('[data-part="write_gates"]') == "not a number"
    for i, expected in enumerate(("not a number", "∞", "−∞")):
        tooltip = page.hover("memory", 1, i, 6, 5)
        assert tooltip == f"memory, slot 1, element {i}: {expected}"
    page.assert_quiet()


@pytest.mark.slow
def test_what_is_not_there_leaves_no_gap(browser, tmp_path):
    traced = random_trace(batch=1, writes=1)
    state = traced.state._replace(link=(), precedence=())
    interface = traced.interface._replace(
        read_modes=(), free_gates=traced.interface.free_gates[..., None]
    )
    traced._replace(state=state, interface=interface).to_html(
        tmp_path / "a.html"
    )
    page = Page(browser, tmp_path / "a.html")
    shown = page.text("main")
    assert "weighting 1" in shown and "precedence" not in shown
    assert "Links" not in shown and "Read modes" not in shown
    assert "Free gates are not shown" in page.text("footer")
    page.assert_quiet()


@pytest.mark.slow
def test_a_large_trace_moves_smoothly(browser, tmp_path):
    traced = random_trace(
        batch=2, steps=200, slots=128, width=64, reads=4, writes=1
    )
    path = tmp_path / "large.html"
    traced.to_html(path)
    page = Page(browser, path)
    times = page.run(
        "const slider = document.getElementById('step'), times = [];"
        "for (let step = 0; step < 200; step++) {"
        "  const start = performance.now();"
        "  slider.value = step;"
        "  slider.dispatchEvent(new Event('input'));"
        "  document.body.offsetHeight;"
        "  times.push(performance.now() - start);"
        "} return times"
    )
    assert len(times) == 200
    assert_interface_is_shown(page, traced, 0, 199)
    width = page.run("return document.documentElement.scrollWidth")
    print(
        f"\n{path.stat().st_size / 2e6:.1f} MB an example, a step in "
        f"{statistics.median(times):.1f} ms, at most {max(times):.1f} ms"
    )
    assert statistics.median(times) < 100
    assert width <= 1280
    page.assert_quiet()
