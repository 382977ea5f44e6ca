"""Pictures of how sure a model is, and of how right it is to be."""

import numbers
from collections.abc import Mapping

import numpy as np
from keras import ops
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from keras_dnc.bayesian.metrics import ExpectedCalibrationError
from keras_dnc.bayesian.prediction import Prediction
from keras_dnc.plots.drawing import (
    axes_of,
    band,
    first_steps,
    place,
    time_axis,
    width_of,
)
from keras_dnc.validation import positive_integer, real_number

# What `uncertainty_by_length` draws of each length.
FIGURES = (
    "accuracy in %",
    "calibration error",
    "total uncertainty",
    "epistemic",
)
EPISTEMIC_COLOR = "tab:blue"
ALEATORIC_COLOR = "lightsteelblue"


def uncertainty_by_length(
    rows: Mapping[int, Mapping[str, float]], trained: int
) -> Figure:
    """Draws accuracy and uncertainty over the length of sequences.

    Args:
        rows: For each length, from the shortest on, the figures "accuracy in
            %", "calibration error", and, in nats, "total uncertainty" and
            "epistemic"; others are not drawn.
        trained: The longest length of training.

    Returns:
        The `matplotlib.figure.Figure`.

    Raises:
        ValueError: If there is no length, if they are not in their order, if a
            figure is missing or not a finite number, or if `trained` is not a
            positive integer.
    """
    trained = positive_integer("trained", trained)
    lengths = _lengths(rows)
    right, error, total, epistemic = (
        np.array(
            [
                real_number(f"rows[{n}][{name!r}]", rows[n][name])
                for n in lengths
            ]
        )
        for name in FIGURES
    )
    figure = Figure(figsize=(7, 5.5), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    above.plot(lengths, right / 100, "o-", color="black", label="share right")
    above.plot(
        lengths,
        error,
        "s--",
        color="tab:red",
        label="calibration error",
    )
    above.set_ylim(-0.03, 1.03)
    below.fill_between(
        lengths, epistemic, color=EPISTEMIC_COLOR, label="epistemic (weights)"
    )
    below.fill_between(
        lengths, epistemic, total, color=ALEATORIC_COLOR, label="aleatoric"
    )
    below.plot(lengths, total, "o-", color="black", label="total")
    below.set_ylim(0)
    below.set_ylabel("uncertainty in nats")
    below.set_xlabel("symbols in a sequence")
    below.set_xticks(lengths)
    for axes in (above, below):
        axes.axvspan(lengths[0], trained, color="0.93", zorder=0)
        axes.set_xlim(lengths[0] - 0.3, lengths[-1] + 0.3)
    above.legend(loc="upper right")
    below.legend(loc="upper left")
    above.set_title("lengths of training shaded", fontsize="small")
    return figure


def _lengths(rows):
    """Returns the lengths of rows that have all figures."""
    lengths = [*rows] if isinstance(rows, Mapping) else []
    are_numbers = all(isinstance(x, numbers.Integral) for x in lengths)
    if not lengths or not are_numbers or lengths != sorted(lengths):
        raise ValueError(
            "`rows` must have the figures of one length or more, integers in "
            f"their order. Received: rows={rows!r}"
        )
    for length, row in rows.items():
        if not isinstance(row, Mapping) or not row.keys() >= {*FIGURES}:
            raise ValueError(
                f"`rows` must have the figures {FIGURES} of each length. "
                f"Received: rows[{length}]={row!r}"
            )
    return lengths


def reliability_diagram(
    probabilities: np.ndarray,
    labels: np.ndarray,
    bins: int = 10,
    ax: Axes | None = None,
) -> Axes:
    """Draws the share of right predictions over their confidence.

    Predictions are put into bins of equal width by their confidence, the
    largest probability. A bar is as high as the share of its bin that is
    right, a dot is at the bin's mean confidence and that share, and the number
    above says how many there are. Dots below the diagonal are too confident.

    The expected calibration error in the title is that of
    `bayesian.ExpectedCalibrationError`, and so are the bins.

    Source: Guo et al., [On calibration of modern neural networks](
    https://arxiv.org/abs/1706.04599), 2017, section 2.

    Args:
        probabilities: Array of shape `(..., classes)`, or `(..., 1)` of the
            second of two classes.
        labels: Class numbers, of shape `(...)`.
        bins: Number of bins.
        ax: Where to draw; default a new Figure.

    Returns:
        The `matplotlib.axes.Axes`.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
    >>> import numpy as np
    >>> from keras_dnc import plots
    >>> probabilities = np.array([[0.75, 0.25], [0.75, 0.25]])
    >>> axes = plots.reliability_diagram(probabilities, np.array([0, 1]))
    >>> axes.get_title()
    'expected calibration error 0.250'
    """
    error = ExpectedCalibrationError(bins)
    probabilities, labels = _checked(probabilities, labels)
    error.update_state(labels, probabilities)
    counts, confidences, right = (
        ops.convert_to_numpy(total.value)
        for total in (
            error.weights_in_bins,
            error.confidences,
            error.accuracies,
        )
    )
    there = counts > 0
    counts, confidences, right = (
        total[there] for total in (counts, confidences, right)
    )
    edges = np.arange(bins)[there] / bins
    shares = right / counts
    axes = axes_of(ax, 4.5, 4.5)
    axes.bar(
        edges,
        shares,
        width=1 / bins,
        align="edge",
        color="lightsteelblue",
        edgecolor="black",
        linewidth=0.5,
        label="share right",
    )
    axes.plot([0, 1], [0, 1], "--", color="0.4", label="as confident as right")
    axes.plot(
        confidences / counts,
        shares,
        "o",
        color="black",
        markersize=4,
        label="mean confidence",
    )
    for edge, share, count in zip(edges, shares, counts, strict=True):
        axes.annotate(
            f"{count:.0f}",
            (edge + 0.5 / bins, share),
            (0, 4),
            textcoords="offset points",
            ha="center",
            fontsize="x-small",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
        )
    axes.set_title(f"expected calibration error {float(error.result()):.3f}")
    axes.set_xlabel("confidence")
    axes.set_ylabel("share right")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.06)
    axes.set_aspect("equal")
    # Below: a bar of few can be high at any confidence.
    axes.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, -0.12),
        ncols=3,
        frameon=False,
        fontsize="x-small",
    )
    return axes


def _checked(probabilities, labels):
    """Returns arrays of probabilities and class numbers that fit together."""
    probabilities, labels = np.asarray(probabilities), np.asarray(labels)
    classes = probabilities.shape[-1] if probabilities.ndim else 0
    if labels.shape != probabilities.shape[:-1] or not labels.size:
        raise ValueError(
            "`labels` must be class numbers, one for each of at least one "
            f"prediction. Received: labels of shape {labels.shape}, "
            f"probabilities of shape {probabilities.shape}"
        )
    sums = probabilities.sum(-1)
    if not (probabilities.min() >= 0 and probabilities.max() <= 1) or (
        classes > 1 and not np.allclose(sums, 1, atol=1e-3)
    ):
        raise ValueError(
            "`probabilities` must be from 0 to 1, and of sum 1 along the last "
            f"axis. Received numbers from {probabilities.min()} to "
            f"{probabilities.max()}, sums from {sums.min()} to {sums.max()}"
        )
    _check_classes(labels, max(classes, 2))
    return probabilities, labels


def _check_classes(labels, classes):
    is_class = np.isin(labels, np.arange(classes))
    if labels.dtype.kind not in "iu" or not is_class.all():
        raise ValueError(
            f"`labels` must be integers from 0 to {classes - 1}. Received: "
            f"{labels.dtype}, {labels[~is_class][:5]}"
        )


def uncertainty_along(
    prediction: Prediction,
    labels: np.ndarray | None = None,
    mask: np.ndarray | None = None,
    example: int = 0,
    steps: int | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draws the uncertainty of each step of a sequence, and what was wrong.

    The entropy of the prediction is the sum of what comes from not knowing the
    weights (epistemic) and what stays (aleatoric).

    Args:
        prediction: A `bayesian.Prediction` of classes: `mean` of shape
            `(B, T, classes)` with two classes or more, the rest of shape
            `(B, T)`.
        labels: The right class numbers, of shape `(B, T)`. Where another class
            is the most probable, the step is marked.
        mask: Whether each step counts, of shape `(B, T)`; others are left
            blank. Default all.
        example: The sequence's number in the batch.
        steps: How many steps to draw; default all.
        ax: Where to draw; default a new Figure.

    Returns:
        The `matplotlib.axes.Axes`.

    Raises:
        ValueError: If an argument is out of its range or of another shape.
    """
    mean, *uncertainties = (np.asarray(part) for part in prediction)
    shape = mean.shape[:-1]
    if (
        len(shape) != 2
        or mean.shape[2] < 2
        or any(part.shape != shape for part in uncertainties)
    ):
        raise ValueError(
            "`prediction` must be of classes along sequences: a mean of shape "
            "(B, T, classes) with the probability of each of two classes or "
            "more, and the uncertainties of shape (B, T). Received the shapes "
            f"{[np.shape(part) for part in prediction]}"
        )
    mask = np.ones(shape, bool) if mask is None else np.asarray(mask) > 0
    for name, array in (("mask", mask), ("labels", labels)):
        if array is not None and np.shape(array) != shape:
            raise ValueError(
                f"`{name}` must be of shape (B, T)={shape}. Received: {name} "
                f"of shape {np.shape(array)}"
            )
    if labels is not None:
        _check_classes(np.asarray(labels)[mask], mean.shape[-1])
    example = place("example", example, shape[0])
    time = first_steps(steps, shape[1])
    counts = mask[example, time]
    total, epistemic, aleatoric = (
        np.where(counts, part[example, time], np.nan) for part in uncertainties
    )
    axes = axes_of(ax, width_of(len(total)), 3)
    none = np.where(counts, 0.0, np.nan)
    for below, above, color, label in (
        (none, epistemic, EPISTEMIC_COLOR, "epistemic (weights)"),
        (epistemic, epistemic + aleatoric, ALEATORIC_COLOR, "aleatoric"),
    ):
        band(axes, below, above, facecolor=color, label=label)
    axes.stairs(
        total,
        np.arange(len(total) + 1) - 0.5,
        baseline=None,
        color="black",
        label="total",
    )
    if labels is not None:
        answers = mean[example, time].argmax(-1)
        wrong = counts & (answers != np.asarray(labels)[example, time])
        axes.plot(
            np.flatnonzero(wrong),
            total[wrong],
            "X",
            color="black",
            markeredgecolor="white",
            markersize=9,
            label="wrong",
            clip_on=False,
        )
    axes.set_ylabel("uncertainty in nats")
    axes.set_ylim(0)
    time_axis(axes, len(total))
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    return axes
