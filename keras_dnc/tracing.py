"""What a DNC does at each time step, as arrays."""

from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from keras_dnc.cell import DNCCell
from keras_dnc.interface import InterfaceVector
from keras_dnc.state import DNCState


class Trace(NamedTuple):
    """The parts of a DNC over time, as arrays of shape `(B, T, ...)`.

    Attributes:
        inputs: The step inputs, shape `(B, T, X)`.
        outputs: The outputs of the DNC, shape `(B, T, units)`.
        state: A `DNCState` of arrays, the state after each step.
        interface: An `InterfaceVector` of arrays.
    """

    inputs: np.ndarray
    outputs: np.ndarray
    state: DNCState
    interface: InterfaceVector


def trace(cell: DNCCell, inputs) -> Trace:
    """Steps a cell through sequences from its initial state.

    Args:
        cell: A built cell, such as that of a trained `DNC`.
        inputs: Array of shape `(B, T, X)`.

    Returns:
        A `Trace`. A sequence's mask is not heeded, and of a
        `BidirectionalDNC` it is the DNC alone.
    """
    sequences = ops.convert_to_tensor(inputs, dtype=cell.compute_dtype)
    state = cell.unpack_state(cell.get_initial_state(sequences.shape[0]))
    steps = []
    for time in range(sequences.shape[1]):
        outputs, state, interface = cell.step(sequences[:, time], state)
        steps.append((outputs, state, interface))
    outputs, state, interface = keras.tree.map_structure(
        lambda *parts: np.stack(
            [ops.convert_to_numpy(part) for part in parts], axis=1
        ),
        *steps,
    )
    return Trace(ops.convert_to_numpy(sequences), outputs, state, interface)
