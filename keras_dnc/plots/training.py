"""Pictures of how a training went."""

import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import keras
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from keras_dnc.plots.drawing import axes_of

# Of the palette of Okabe and Ito; the marks tell them apart in gray print.
LINES = (
    ("black", "o"),
    ("#d55e00", "s"),
    ("#0072b2", "^"),
    ("#009e73", "D"),
    ("#cc79a7", "v"),
)


def training_curves(
    log: Path | str | keras.callbacks.History | Mapping[str, Sequence[float]],
    names: str | Sequence[str] = "loss",
    ax: Axes | None = None,
) -> Axes:
    """Draws figures of a training over its epochs.

    The figure of the same name on validation data, as `val_loss`, is the
    dashed line of the same color, if there is one.

    Args:
        log: The `log.csv` of a training, what `fit` returns, or for each name
            a figure of each epoch. "epoch" is the number of each epoch;
            default from 1.
        names: The names of the figures.
        ax: Where to draw; default a new Figure.

    Returns:
        The `matplotlib.axes.Axes`.

    Raises:
        FileNotFoundError: If there is no file.
        ValueError: If there is no such figure, or the log is damaged.

    Example:
    >>> from keras_dnc import plots
    >>> log = {"loss": [0.9, 0.4, 0.3], "val_loss": [1.0, 0.6, 0.5]}
    >>> axes = plots.training_curves(log)
    >>> [line.get_label() for line in axes.lines]
    ['loss', 'val_loss']
    """
    figures = _figures(log)
    names = [names] if isinstance(names, str) else list(names)
    epochs = figures.pop("epoch")
    for name in names:
        if name not in figures:
            raise ValueError(
                f"`names` must be of {sorted(figures)}. Received: {name!r}"
            )
    if not 0 < len(names) <= len(LINES):
        raise ValueError(
            f"`names` must be 1 to {len(LINES)} names. Received: {names}"
        )
    axes = axes_of(ax, 6, 3.5)
    marks = {"markersize": 4, "markevery": max(1, len(epochs) // 20)}
    for name, (color, marker) in zip(names, LINES, strict=False):
        style = {"color": color, "marker": marker, **marks}
        axes.plot(epochs, figures[name], label=name, **style)
        on_validation = f"val_{name}"
        if on_validation in figures:
            axes.plot(
                epochs,
                figures[on_validation],
                "--",
                label=on_validation,
                markerfacecolor="white",
                **style,
            )
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(color="0.9")
    axes.legend()
    return axes


def _figures(log):
    """Returns a log's figures by name, with "epoch" among them."""
    if isinstance(log, (str, os.PathLike)):
        return _read(Path(log))
    if isinstance(log, keras.callbacks.History):
        # One that no training has used has no attribute `epoch`.
        epochs = getattr(log, "epoch", ())
        log = {"epoch": [1 + epoch for epoch in epochs], **log.history}
    if not isinstance(log, Mapping):
        raise ValueError(
            "`log` must be the path of a log.csv, a keras.callbacks.History or "
            f"a mapping of names to figures. Received: log={log!r}"
        )
    try:
        figures = {
            name: np.asarray(column, "float64") for name, column in log.items()
        }
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"`log` must hold a number for each epoch: {error}. Received: "
            f"log={log!r}"
        ) from error
    shapes = {name: column.shape for name, column in figures.items()}
    if len(set(shapes.values())) != 1 or len(next(iter(shapes.values()))) != 1:
        raise ValueError(
            "`log` must hold as many numbers of one name as of another. "
            f"Received the shapes {shapes}"
        )
    epochs = np.arange(1, 1 + len(next(iter(figures.values()))))
    if not len(epochs):
        raise ValueError(
            "`log` must hold the figures of at least one epoch. Received none: "
            f"log={log!r}"
        )
    return {"epoch": epochs, **figures}


def _read(path):
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.reader(file)
        header = next(reader, [])
        if "epoch" not in header or len(set(header)) < len(header):
            raise ValueError(
                f"{path}, line 1: expected the names of figures, one of them "
                f"epoch. Received: {header}"
            )
        rows = []
        for row in reader:
            try:
                rows.append([float(cell) for cell in row])
            except ValueError as error:
                raise ValueError(
                    f"{path}, line {reader.line_num}: expected numbers. "
                    f"Received: {row}"
                ) from error
            if len(row) != len(header):
                raise ValueError(
                    f"{path}, line {reader.line_num}: expected {len(header)} "
                    f"numbers, {header}. Received {len(row)}: {row}"
                )
    if not rows:
        raise ValueError(
            f"{path}, line 2: expected the figures of an epoch. Received none"
        )
    return dict(zip(header, np.transpose(rows), strict=True))
