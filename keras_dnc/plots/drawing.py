"""What the pictures have in common: Axes, scales of color, ticks."""

import numbers
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator

from keras_dnc.validation import positive_integer

# One hue from light to dark, readable in print and to every eye.
COLORS = "Blues"
# A panel grows with its rows up to this many; more share the height.
MOST_ROWS = 24


def axes_of(ax: Axes | None, width: float, height: float) -> Axes:
    """Returns the Axes to draw on, if none is given those of a new Figure.

    Args:
        ax: What the caller passed.
        width: Width of a new Figure in inches.
        height: Its height.

    Raises:
        ValueError: If `ax` is something else.
    """
    if ax is None:
        figure = Figure(figsize=(width, height), layout="constrained")
        return figure.add_subplot()
    if not isinstance(ax, Axes):
        raise ValueError(
            f"`ax` must be a matplotlib Axes or None. Received: ax={ax!r}"
        )
    return ax


def place(name: str, value, size: int) -> int:
    """Returns the place that an index means, from 0 to below `size`.

    Args:
        name: The argument's name, for the message.
        value: What the caller passed; -1 is the last place.
        size: The number of places.

    Raises:
        ValueError: If there is no such place.
    """
    is_integer = isinstance(value, numbers.Integral)
    if not is_integer or isinstance(value, bool) or not -size <= value < size:
        raise ValueError(
            f"`{name}` must be an integer from 0 to {size - 1}, or from "
            f"{-size} to -1 counted from the end. Received: {name}={value!r}"
        )
    return int(value) % size


def first_steps(steps: int | None, size: int) -> slice:
    """Returns the first `steps` steps, all without a number.

    Args:
        steps: What the caller passed.
        size: The number of steps that there are.

    Raises:
        ValueError: If it is not a number of steps that there are, or None.
    """
    if steps is None:
        return slice(size)
    expected = f"an integer from 1 to {size}"
    if positive_integer("steps", steps, expected) > size:
        raise ValueError(
            f"`steps` must be {expected}. Received: steps={steps!r}"
        )
    return slice(steps)


def height_of(rows: int) -> float:
    """Returns the height in inches of a Figure with so many rows."""
    return 1.2 + 0.17 * max(8, min(rows, MOST_ROWS))


def width_of(steps: int) -> float:
    """Returns the width in inches of a Figure with so many time steps."""
    return max(6, 2.5 + 0.11 * steps)


def heat_map(axes: Axes, array: np.ndarray, **arguments) -> AxesImage:
    """Draws a matrix, its first row on top.

    Args:
        axes: The Axes.
        array: Array of shape `(rows, columns)`.
        **arguments: Arguments of `imshow`; default a scale from 0 to 1.
    """
    arguments = {"cmap": COLORS, "vmin": 0, "vmax": 1, **arguments}
    return axes.imshow(
        array, aspect="auto", interpolation="nearest", **arguments
    )


def name_rows(axis, labels: Sequence[str]):
    """Names the rows or columns of a heat map, every k-th if there are many.

    Args:
        axis: `axes.xaxis` or `axes.yaxis`.
        labels: A name for each.
    """
    every = -(-len(labels) // MOST_ROWS)
    axis.set_ticks(
        range(0, len(labels), every), labels[::every], fontsize="x-small"
    )


def time_axis(axes: Axes, steps: int):
    """Makes the x axis that of time, each step as wide as 1.

    Args:
        axes: The Axes.
        steps: The number of steps.
    """
    axes.set_xlim(-0.5, steps - 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlabel("time step")


def band(axes: Axes, below, above, **arguments):
    """Draws what lies between two values at each time step.

    Args:
        axes: The Axes.
        below: Array of shape `(T,)`.
        above: Array of shape `(T,)`.
        **arguments: Arguments of `stairs`.
    """
    edges = np.arange(len(above) + 1) - 0.5
    return axes.stairs(above, edges, baseline=below, fill=True, **arguments)
