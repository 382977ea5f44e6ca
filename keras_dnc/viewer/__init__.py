"""A page that shows a trace in a browser, step by step."""

import base64
import html
import json
import os
import string
import zlib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import numpy as np

from keras_dnc.tracing import Trace
from keras_dnc.validation import feature_names, shapes
from keras_dnc.viewer.parts import Shown, shown

# One module in the page, in this order.
SCRIPTS = (
    "elements.js",
    "data.js",
    "colors.js",
    "heatmap.js",
    "timeline.js",
    "memory.js",
    "interface.js",
    "slot.js",
    "viewer.js",
)


def page(
    trace: Trace,
    targets: np.ndarray | None = None,
    answers: np.ndarray | None = None,
    input_labels: Sequence[str] | None = None,
    output_labels: Sequence[str] | None = None,
    title: str | None = None,
    examples: Sequence[int] | None = None,
) -> str:
    """Returns a page of HTML that shows a trace, with all that it needs.

    The page plays through time: memory, weightings, gates, read modes and
    links of each step, and the history of each slot. It loads nothing, and
    forbids itself to. Its numbers are the trace's own in float32; links are
    rounded to three decimals, the most that is shown of them. An example takes
    up to 16/3 bytes for each number of its memory, `T · N · W`, and what does
    not change takes little.

    Links of more than `keras_dnc.viewer.parts.MOST_LINKS` numbers an example,
    `T · V · N²`, are left out, and so are parts of another shape than the
    paper's; the page names what it leaves out.

    Args:
        trace: A `Trace`.
        targets: What was asked for, shape `(B, T, Y)`, with NaN where nothing
            counts; default none.
        answers: The outputs as they are to be shown, shape `(B, T, Y)`, with
            NaN where nothing is; default the trace's outputs.
        input_labels: The name of each input feature; default its number.
        output_labels: The name of each output feature; default its number.
        title: The page's title; default "Trace of a DNC".
        examples: The numbers of the sequences to show; default all.

    Raises:
        ValueError: If targets, answers or labels do not fit the trace, or if
            an example is not in it.
    """
    answers = trace.outputs if answers is None else np.asarray(answers)
    checked = {"inputs": (trace.inputs, "BTX"), "answers": (answers, "BTY")}
    if targets is not None:
        targets = np.asarray(targets)
        checked["targets"] = (targets, "BTY")
    shapes(**checked)
    title = "Trace of a DNC" if title is None else _title(title)
    numbers = _examples(examples, len(trace.inputs))
    found = [shown(trace, targets, answers, number) for number in numbers]
    description = {
        "sizes": found[0].sizes,
        "inputLabels": feature_names(
            "input_labels", input_labels, trace.inputs.shape[2]
        ),
        "outputLabels": feature_names(
            "output_labels", output_labels, answers.shape[2]
        ),
        "examples": [
            {"number": number, "parts": one.table}
            for number, one in zip(numbers, found, strict=True)
        ],
        "leftOut": found[0].left_out,
    }
    return string.Template(_file("page.html")).substitute(
        title=html.escape(title),
        style=_file("viewer.css"),
        description=_json(description),
        data="\n".join(map(_data_element, numbers, found)),
        script="\n".join(map(_file, SCRIPTS)),
    )


def write_page(path: Path | str, trace: Trace, **options):
    """Writes the page to a file, which is there when all of it is.

    Args:
        path: The file.
        trace: A `Trace`.
        **options: Arguments of `page`.
    """
    path = Path(path)
    text = page(trace, **options)
    unfinished = path.with_name(f"{path.name}.unfinished")
    unfinished.write_text(text, encoding="utf-8")
    os.replace(unfinished, path)


def _title(title):
    if not isinstance(title, str):
        raise ValueError(f"`title` must be a string. Received: title={title!r}")
    return title


def _examples(examples, batch_size):
    """Returns the numbers of the examples that the page shows."""
    numbers = np.arange(batch_size) if examples is None else np.array(examples)
    is_list = numbers.ndim == 1 and np.issubdtype(numbers.dtype, np.integer)
    if (
        not is_list
        or not numbers.size
        or not np.isin(numbers, np.arange(batch_size)).all()
        or len(np.unique(numbers)) < numbers.size
    ):
        raise ValueError(
            "`examples` must be one or several different numbers from 0 to "
            f"{batch_size - 1}. Received: examples={examples}"
        )
    return numbers.tolist()


def _file(name):
    return resources.files(__package__).joinpath(name).read_text("utf-8")


def _json(value):
    """Returns JSON that may stand in an element of a page."""
    # With the signs of tags as escapes nothing ends the element.
    text = json.dumps(value)
    return text.replace("<", "\\u003c").replace(">", "\\u003e")


def _data_element(number, found: Shown):
    """Returns an example's numbers as an element that no browser runs."""
    data = base64.b64encode(zlib.compress(found.data)).decode("ascii")
    return f'<script type="text/plain" id="example-{number}">{data}</script>'
