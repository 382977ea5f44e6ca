"""Pictures of a memory at work, of training and of uncertainty.

They need matplotlib. What is drawn on one Axes is returned as that; `.figure`
of it is the whole picture.
"""

try:
    import matplotlib  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "keras_dnc.plots needs matplotlib: pip install matplotlib"
    ) from error

from keras_dnc.plots.traces import (
    gates,
    link,
    memory,
    memory_at_work,
    read_modes,
    usage,
    weightings,
)
from keras_dnc.plots.training import training_curves
from keras_dnc.plots.uncertainty import (
    reliability_diagram,
    uncertainty_along,
    uncertainty_by_length,
)

__all__ = [
    "gates",
    "link",
    "memory",
    "memory_at_work",
    "read_modes",
    "reliability_diagram",
    "training_curves",
    "uncertainty_along",
    "uncertainty_by_length",
    "usage",
    "weightings",
]
