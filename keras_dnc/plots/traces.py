"""Pictures of a memory at work, drawn from a `Trace`."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from keras_dnc.interface import is_present
from keras_dnc.plots.drawing import (
    MOST_ROWS,
    axes_of,
    band,
    first_steps,
    heat_map,
    height_of,
    name_rows,
    place,
    time_axis,
    width_of,
)
from keras_dnc.sparse_linkage import SparseLink, dense_links
from keras_dnc.tracing import Trace
from keras_dnc.validation import feature_names, shapes

# From dark blue over gray to yellow, ever lighter: the sign of a number shows
# in gray print too.
SIGNED_COLORS = "cividis"
# Blue and orange of the palette of Okabe and Ito, and a gray; dark, light and
# between in gray print. The viewer has the same, in `viewer.css`.
MODE_COLORS = {
    "backward": "#0072b2",
    "content": "#d0d0d0",
    "forward": "#e69f00",
}
# The weighting from which a slot counts as written.
WRITTEN = 0.1
# Of the first write head, the second, and so on.
HATCHES = ("", "///", "...", "xxx")


def memory_at_work(
    trace: Trace,
    targets: np.ndarray | None = None,
    answers: np.ndarray | None = None,
    example: int = 0,
    steps: int | None = None,
    input_labels: Sequence[str] | None = None,
    output_labels: Sequence[str] | None = None,
) -> Figure:
    """Draws what one sequence did with the memory, panel under panel.

    Input, target and answer, the write and the read weightings of each head,
    and the gates, all over the same time axis and on one scale of color.
    Values outside [0, 1] are drawn as its ends. The gates of steps that a mask
    hides are left blank.

    Args:
        trace: A `Trace`.
        targets: What was asked for, shape `(T, Y)`; no panel without.
        answers: The outputs as they are to be shown, shape `(T, Y)`, with
            NaN where nothing is; default the trace's outputs.
        example: The sequence's number in the batch.
        steps: How many steps to draw; default all.
        input_labels: The name of each input feature; default its number.
        output_labels: The name of each output feature; default its number.

    Returns:
        The `matplotlib.figure.Figure`.

    Raises:
        ValueError: If there is no such sequence, no number of steps, or if
            targets, answers or labels do not fit the trace.
    """
    example = place("example", example, len(trace.outputs))
    time = first_steps(steps, trace.outputs.shape[1])
    state = trace.state
    inputs, outputs = trace.inputs[example], trace.outputs[example]
    answers = outputs if answers is None else np.asarray(answers)
    checked = {"inputs": (inputs, "TX"), "answers": (answers, "TY")}
    of_outputs = {"output": answers}
    if targets is not None:
        targets = np.asarray(targets)
        checked["targets"] = (targets, "TY")
        of_outputs = {"target": targets, **of_outputs}
    shapes(**checked)
    input_labels = feature_names("input_labels", input_labels, inputs.shape[1])
    output_labels = feature_names(
        "output_labels", output_labels, answers.shape[1]
    )
    panels = [
        ("input", inputs, input_labels),
        *((title, array, output_labels) for title, array in of_outputs.items()),
    ]
    slots = [f"slot {n}" for n in range(state.memory.shape[2])]
    for title, of_heads in (
        ("write weighting", state.write_weightings[example]),
        ("read weighting", state.read_weightings[example]),
    ):
        for head in range(of_heads.shape[1]):
            panels.append((f"{title} {head + 1}", of_heads[:, head], slots))
    by_name = gate_rows(trace, example)
    panels.append(("gates", np.stack([*by_name.values()], -1), [*by_name]))
    return _over_time(
        [(title, array[time], rows) for title, array, rows in panels]
    )


def _over_time(panels):
    """Draws arrays of shape `(T, rows)` under each other, time to the right."""
    heights = [max(4, min(array.shape[1], MOST_ROWS)) for _, array, _ in panels]
    length = len(panels[0][1])
    width, height = max(7, 3 + 0.11 * length), 1 + 0.17 * sum(heights)
    figure = Figure(figsize=(width, height), layout="constrained")
    all_axes = figure.subplots(
        len(panels), 1, sharex=True, height_ratios=heights, squeeze=False
    )[:, 0]
    for axes, (title, array, labels) in zip(all_axes, panels, strict=True):
        image = heat_map(axes, array.T)
        axes.set_ylabel(title, rotation=0, ha="right", va="center")
        axes.yaxis.tick_right()
        rows = range(array.shape[1])
        # More labels than a panel is high would lie on each other.
        ticks = rows if len(rows) <= MOST_ROWS else [0, len(rows) - 1]
        axes.set_yticks(ticks, [labels[i] for i in ticks], fontsize="x-small")
    all_axes[-1].set_xlabel("time step")
    figure.colorbar(
        image,
        ax=[*all_axes],
        location="bottom",
        shrink=0.4,
        fraction=0.15 / height,
        pad=0.15 / height,
        aspect=0.4 * width / 0.15,
        label="0 or below to 1 or above",
    )
    return figure


def weightings(
    trace: Trace,
    kind: str = "write",
    head: int = 0,
    example: int = 0,
    steps: int | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draws where a head writes or reads: a row for each slot.

    Args:
        trace: A `Trace`.
        kind: "write" or "read".
        head: The head's number, from 0.
        example: The sequence's number in the batch.
        steps: How many steps to draw; default all.
        ax: Where to draw; default a new Figure.

    Returns:
        The `matplotlib.axes.Axes`.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
    >>> import numpy as np
    >>> import keras_dnc
    >>> from keras_dnc import plots
    >>> layer = keras_dnc.DNC(4, memory_size=6, word_size=5)
    >>> outputs = layer(np.ones((1, 3, 2)))
    >>> axes = plots.weightings(keras_dnc.trace(layer, np.ones((1, 3, 2))))
    >>> axes.get_title()
    'write weighting of head 1'
    """
    if kind not in ("write", "read"):
        raise ValueError(
            f'`kind` must be "write" or "read". Received: kind={kind!r}'
        )
    array = getattr(trace.state, f"{kind}_weightings")
    example, head = _places(array, example, head)
    array = array[example, first_steps(steps, array.shape[1]), head]
    title = f"{kind} weighting of head {1 + head}"
    return _slots(array, title, ax)


def usage(
    trace: Trace,
    example: int = 0,
    steps: int | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draws how much each slot is in use: a row for each.

    Args:
        trace: A `Trace`.
        example: The sequence's number in the batch.
        steps: How many steps to draw; default all.
        ax: Where to draw; default a new Figure.

    Returns:
        The `matplotlib.axes.Axes`.

    Raises:
        ValueError: If an argument is out of its range.
    """
    array = trace.state.usage
    example = place("example", example, len(array))
    array = array[example, first_steps(steps, array.shape[1])]
    return _slots(array, "usage", ax)


def _slots(array, title, ax):
    """Draws an array of shape `(T, N)`, time to the right."""
    axes = axes_of(ax, width_of(len(array)), height_of(array.shape[1]))
    image = heat_map(axes, array.T)
    axes.set_title(title)
    axes.set_ylabel("slot")
    name_rows(axes.yaxis, [str(n) for n in range(array.shape[1])])
    time_axis(axes, len(array))
    axes.figure.colorbar(image, ax=axes)
    return axes


def gates(
    trace: Trace,
    example: int = 0,
    steps: int | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draws the gates: a row for each free, allocation and write gate.

    Steps that a mask hides are left blank.

    Args:
        trace: A `Trace`.
        example: The sequence's number in the batch.
        steps: How many steps to draw; default all.
        ax: Where to draw; default a new Figure.

    Returns:
        The `matplotlib.axes.Axes`.

    Raises:
        ValueError: If an argument is out of its range.
    """
    example = place("example", example, len(trace.outputs))
    rows = gate_rows(trace, example)
    array = np.stack([*rows.values()])
    array = array[:, first_steps(steps, array.shape[1])]
    axes = axes_of(ax, width_of(array.shape[1]), height_of(len(array)))
    image = heat_map(axes, array)
    axes.set_title("gates")
    name_rows(axes.yaxis, [*rows])
    time_axis(axes, array.shape[1])
    axes.figure.colorbar(image, ax=axes)
    return axes


def gate_rows(trace: Trace, example) -> dict[str, np.ndarray]:
    """Returns each gate over time by its name, such as "free 1".

    Args:
        trace: A `Trace`.
        example: What to take of the batch: a number, or a slice.

    Returns:
        Arrays of shape `(T,)`, or `(B, T)` for a slice, with NaN at steps that
        the mask hides.
    """
    interface = trace.interface
    of_kinds = {
        "free": interface.free_gates,
        "allocation": interface.allocation_gates,
        "write": interface.write_gates,
    }
    return {
        f"{kind} {head + 1}": np.where(
            trace.mask[example], array[example, ..., head], np.nan
        )
        for kind, array in of_kinds.items()
        for head in range(array.shape[-1])
    }


def read_modes(
    trace: Trace,
    head: int = 0,
    example: int = 0,
    steps: int | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draws a read head's modes as bands that add up to 1.

    From below: backward along the links of each write head, by content,
    forward. Steps that a mask hides are left blank.

    Args:
        trace: A `Trace`.
        head: The read head's number, from 0.
        example: The sequence's number in the batch.
        steps: How many steps to draw; default all.
        ax: Where to draw; default a new Figure.

    Returns:
        The `matplotlib.axes.Axes`.

    Raises:
        ValueError: If the DNC has no read modes, or an argument is out of its
            range.
    """
    modes = trace.interface.read_modes
    _refuse_absent("read modes", modes)
    example, head = _places(modes, example, head)
    time = first_steps(steps, modes.shape[1])
    is_read = trace.mask[example, time, np.newaxis]
    modes = np.where(is_read, modes[example, time, head], np.nan)
    axes = axes_of(ax, width_of(len(modes)) + 1, 2.6)
    edges = np.cumsum(modes, axis=1)
    for i, name in enumerate(mode_names(modes.shape[1])):
        kind, _, number = name.partition(" ")
        band(
            axes,
            edges[:, i] - modes[:, i],
            edges[:, i],
            facecolor=MODE_COLORS[kind],
            hatch=HATCHES[(int(number or 1) - 1) % len(HATCHES)],
            edgecolor="black",
            linewidth=0.5,
            label=name,
        )
    axes.set_title(f"read modes of head {1 + head}")
    axes.set_ylim(0, 1)
    time_axis(axes, len(modes))
    # In the order in which the bands lie.
    axes.legend(
        reverse=True, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False
    )
    return axes


def mode_names(count: int) -> list[str]:
    """Returns the names of `1 + 2V` read modes, in their order.

    Args:
        count: The number of modes.
    """
    heads = (count - 1) // 2
    numbers = [""] if heads == 1 else [f" {v + 1}" for v in range(heads)]
    return [
        *(f"backward{number}" for number in numbers),
        "content",
        *(f"forward{number}" for number in numbers),
    ]


def link(
    trace: Trace,
    step: int = -1,
    head: int = 0,
    example: int = 0,
    order: str = "written",
    ax: Axes | None = None,
) -> Axes:
    """Draws the temporal link matrix of a write head after one step.

    `L[i, j]`, row `i` and column `j`, is how far slot `i` was written
    right after `j`. With the slots in the order of writing, each of which
    was written once, the links are next to the diagonal, below it.

    Args:
        trace: A `Trace`.
        step: The step, from 0; -1 is the last.
        head: The write head's number, from 0.
        example: The sequence's number in the batch.
        order: "written" puts the slots in the order of the steps, up to
            this one, at which the head wrote to them most strongly, those
            that it never wrote to with a weighting of 0.1 at the end;
            "number" in that of their numbers.
        ax: Where to draw; default a new Figure.

    Returns:
        The `matplotlib.axes.Axes`.

    Raises:
        ValueError: If the DNC has no links, or an argument is out of its
            range.
    """
    if order not in ("written", "number"):
        raise ValueError(
            f'`order` must be "written" or "number". Received: order={order!r}'
        )
    links = trace.state.link
    _refuse_absent("links", links)
    written = trace.state.write_weightings
    example, head = _places(written, example, head)
    step = place("step", step, written.shape[1])
    written = written[example, : step + 1, head]
    matrix = _dense_link(links, (example, step, head))
    slots, names = np.arange(len(matrix)), [str(n) for n in range(len(matrix))]
    rows = names
    if order == "written":
        slots = _written_order(written)
        names = [names[n] for n in slots]
        rows = [
            f"{n} (step {written[:, n].argmax()})"
            if written[:, n].max() >= WRITTEN
            else f"{n} (never)"
            for n in slots
        ]
    side = height_of(len(matrix)) + 1
    axes = axes_of(ax, side + 1.2, side)
    image = heat_map(axes, matrix[np.ix_(slots, slots)])
    axes.set_title(f"temporal links of write head {1 + head} after step {step}")
    also = ", in the order of writing" if order == "written" else ""
    axes.set_ylabel(f"slot i{also}")
    axes.set_xlabel(f"slot j, written before i{also and ', in that order'}")
    name_rows(axes.yaxis, rows)
    name_rows(axes.xaxis, names)
    axes.figure.colorbar(image, ax=axes, label="L[i, j]")
    return axes


def _written_order(written):
    """Returns the slots of weightings `(T, N)` by their strongest step."""
    strength = written.max(0)
    # The last key counts most; of one step the strongest comes first.
    never = strength < WRITTEN
    return np.lexsort((-strength, written.argmax(0), never))


def _dense_link(links, place_of):
    """Returns the `(N, N)` matrix of one example, step and head."""
    if not isinstance(links, SparseLink):
        return links[place_of]
    return dense_links(SparseLink(*(part[place_of] for part in links)))


def memory(
    trace: Trace,
    step: int = -1,
    example: int = 0,
    ax: Axes | None = None,
) -> Axes:
    """Draws the words in the memory after one step: a row for each slot.

    The scale of color has 0 in its middle; darker is negative.

    Args:
        trace: A `Trace`.
        step: The step, from 0; -1 is the last.
        example: The sequence's number in the batch.
        ax: Where to draw; default a new Figure.

    Returns:
        The `matplotlib.axes.Axes`.

    Raises:
        ValueError: If an argument is out of its range.
    """
    array = trace.state.memory
    example = place("example", example, len(array))
    step = place("step", step, array.shape[1])
    array = array[example, step]
    axes = axes_of(
        ax, 2 + 0.25 * min(array.shape[1], 32), height_of(len(array)) + 0.5
    )
    largest = float(np.abs(array).max()) or 1.0
    image = heat_map(
        axes, array, cmap=SIGNED_COLORS, vmin=-largest, vmax=largest
    )
    axes.set_title(f"memory after step {step}")
    axes.set_ylabel("slot")
    axes.set_xlabel("element of the word")
    name_rows(axes.yaxis, [str(n) for n in range(len(array))])
    name_rows(axes.xaxis, [str(n) for n in range(array.shape[1])])
    axes.figure.colorbar(image, ax=axes)
    return axes


def _places(array, example, head):
    """Returns the numbers of an example and a head of `(B, T, heads, ...)`."""
    return (
        place("example", example, len(array)),
        place("head", head, array.shape[2]),
    )


def _refuse_absent(name, part):
    if not is_present(part):
        raise ValueError(
            f"`trace` must be of a DNC with {name}. Received one without"
        )
