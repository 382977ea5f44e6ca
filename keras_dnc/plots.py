"""Pictures of a memory at work and of uncertainty. They need matplotlib."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from keras_dnc.tracing import Trace

# One hue from light to dark, readable in print and to every eye.
COLORS = "Blues"
# A panel grows with its rows up to this many; more share the height.
MOST_ROWS = 24


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
    Values outside [0, 1] are drawn as its ends.

    Args:
        trace: A `Trace`.
        targets: What was asked for, shape `(T, Y)`; no panel without.
        answers: The outputs as they are to be shown, shape `(T, units)`, with
            NaN where nothing is; default the trace's outputs.
        example: The sequence's number in the batch.
        steps: How many steps to draw; default all.
        input_labels: The name of each input feature; default its number.
        output_labels: The name of each output feature; default its number.

    Returns:
        The `matplotlib.figure.Figure`.
    """
    time = slice(steps)
    state, interface = trace.state, trace.interface
    answers = trace.outputs[example] if answers is None else answers
    panels = [("input", trace.inputs[example], input_labels)]
    if targets is not None:
        panels.append(("target", targets, output_labels))
    panels.append(("output", answers, output_labels))
    slots = [f"slot {n}" for n in range(state.memory.shape[2])]
    for title, weightings in (
        ("write weighting", state.write_weightings[example]),
        ("read weighting", state.read_weightings[example]),
    ):
        for head in range(weightings.shape[1]):
            panels.append((f"{title} {head + 1}", weightings[:, head], slots))
    gates = {
        "free": interface.free_gates[example],
        "allocation": interface.allocation_gates[example],
        "write": interface.write_gates[example],
    }
    labels = [
        f"{name} {head + 1}"
        for name, gate in gates.items()
        for head in range(gate.shape[-1])
    ]
    panels.append(("gates", np.concatenate([*gates.values()], -1), labels))
    return _over_time(
        [
            (
                title,
                array[time],
                rows or [str(i) for i in range(array.shape[1])],
            )
            for title, array, rows in panels
        ]
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
        image = axes.imshow(
            array.T,
            aspect="auto",
            interpolation="nearest",
            cmap=COLORS,
            vmin=0,
            vmax=1,
        )
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


def uncertainty_by_length(
    rows: Mapping[int, Mapping[str, float]], trained: int
) -> Figure:
    """Draws accuracy and uncertainty over the length of sequences.

    Args:
        rows: For each length the figures "accuracy in %", "calibration error",
            and, in nats, "total uncertainty" and "epistemic".
        trained: The longest length of training.
    """
    lengths = [*rows]

    def column(name):
        return np.array([row[name] for row in rows.values()])

    figure = Figure(figsize=(7, 5.5), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    right = column("accuracy in %") / 100
    above.plot(lengths, right, "o-", color="black", label="share right")
    above.plot(
        lengths,
        column("calibration error"),
        "s--",
        color="tab:red",
        label="calibration error",
    )
    above.set_ylim(-0.03, 1.03)
    total, epistemic = column("total uncertainty"), column("epistemic")
    below.fill_between(
        lengths, epistemic, color="tab:blue", label="epistemic (weights)"
    )
    below.fill_between(
        lengths, epistemic, total, color="lightsteelblue", label="aleatoric"
    )
    below.plot(lengths, total, "o-", color="black", label="total")
    below.set_ylim(0)
    below.set_ylabel("uncertainty in nats")
    below.set_xlabel("symbols in a sequence")
    below.set_xticks(lengths)
    for axes in (above, below):
        axes.axvspan(lengths[0], trained, color="0.93", zorder=0)
        axes.set_xlim(lengths[0], lengths[-1])
    above.legend(loc="upper right")
    below.legend(loc="upper left")
    above.set_title("lengths of training shaded", fontsize="small")
    return figure
