"""What a DNC does at each time step, as arrays."""

import contextlib
import os
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from keras_dnc.cell import DNCCell
from keras_dnc.interface import (
    InterfaceVector,
    as_interface_vector,
    is_present,
)
from keras_dnc.recurrent import DNC
from keras_dnc.sparse_linkage import SparseLink
from keras_dnc.state import DNCState, parts_of


class Trace(NamedTuple):
    """The parts of a DNC over time, as arrays of shape `(B, T, ...)`.

    A part that the DNC does not have, as links where it reads by content
    alone, is the empty tuple.

    Attributes:
        inputs: The step inputs, shape `(B, T, X)`.
        outputs: The outputs of the DNC, shape `(B, T, units)`.
        state: A `DNCState` of arrays, the state after each step.
        interface: An `InterfaceVector` of arrays. At a step that a mask hides
            it is what the state was not changed by.
        allocation_weightings: Where each write head would write new words,
            shape `(B, T, V, N)`.
        mask: Whether each step is read, shape `(B, T)`.
    """

    inputs: np.ndarray
    outputs: np.ndarray
    state: DNCState
    interface: InterfaceVector
    allocation_weightings: np.ndarray | tuple
    mask: np.ndarray

    def save(self, path: Path | str):
        """Writes the arrays to a file, by names such as `state/memory`.

        Args:
            path: The file, which `numpy.load` reads without pickle.
        """
        with Path(path).open("wb") as file:
            np.savez_compressed(file, **dict(named_arrays(self)))

    def to_html(
        self,
        path: Path | str,
        targets: np.ndarray | None = None,
        answers: np.ndarray | None = None,
        input_labels: Sequence[str] | None = None,
        output_labels: Sequence[str] | None = None,
        title: str | None = None,
        examples: Sequence[int] | None = None,
    ):
        """Writes a page that shows each step in a browser, offline.

        Args:
            path: The file.
            targets: What was asked for, shape `(B, T, Y)`, with NaN where
                nothing counts; default none.
            answers: The outputs as they are to be shown, shape `(B, T, Y)`,
                with NaN where nothing is; default the trace's outputs.
            input_labels: The name of each input feature; default its number.
            output_labels: The name of each output feature; default its number.
            title: The page's title.
            examples: The numbers of the sequences to show; default all. What
                the page holds of each: `keras_dnc.viewer.page`.

        Raises:
            ValueError: If targets, answers or labels do not fit the trace, or
                if an example is not in it.
        """
        # The viewer imports this module.
        from keras_dnc.viewer import write_page

        write_page(
            path,
            self,
            targets=targets,
            answers=answers,
            input_labels=input_labels,
            output_labels=output_labels,
            title=title,
            examples=examples,
        )

    @classmethod
    def load(cls, path: Path | str) -> "Trace":
        """Reads a trace that `save` wrote.

        Args:
            path: The file.

        Raises:
            FileNotFoundError: If there is no file.
            ValueError: If it is damaged or of another kind.
        """
        try:
            with np.load(path) as file:
                arrays = dict(file)
            return _trace_of(arrays)
        except FileNotFoundError:
            raise
        except (
            OSError,
            ValueError,
            KeyError,
            EOFError,
            TypeError,
            zipfile.BadZipFile,
            zlib.error,
        ) as error:
            raise ValueError(
                f"{os.fspath(path)}: expected a trace that `Trace.save` wrote. "
                f"Received another file: {error!r}"
            ) from error


def trace(
    layer: keras.layers.Layer,
    inputs,
    mask=None,
    initial_state=None,
    name: str | None = None,
) -> Trace:
    """Shows each step of a DNC on some sequences, and changes nothing.

    Args:
        layer: A `DNC`, a `keras.layers.RNN` over a `DNCCell`, a model or layer
            with one of these in it, or a `DNCCell`; built.
        inputs: What the layer or model is called with: sequences of shape
            `(B, T, X)` for a layer or a cell.
        mask: Array of shape `(B, T)`; a model makes its own.
        initial_state: List of tensors; default what the layer starts from, of
            a stateful one what it has come to. A model has its own.
        name: Which of several DNCs in a model.

    Returns:
        A `Trace`. Of a layer that goes backwards, time runs as it reads. Of a
        `BidirectionalDNC` it is the DNC alone. Of a Bayesian layer it shows
        the draw of weights that its next call makes, or with
        `draw_per_step` others.

    Raises:
        ValueError: If there is no DNC, several and no name, one that is not
            built or is called more than once, or if a model is given a mask
            or states.

    Example:
    >>> import numpy as np
    >>> import keras_dnc
    >>> layer = keras_dnc.DNC(4, memory_size=6, word_size=5)
    >>> outputs = layer(np.ones((1, 3, 2)))
    >>> keras_dnc.trace(layer, np.ones((1, 3, 2))).state.memory.shape
    (1, 3, 6, 5)
    """
    if isinstance(layer, DNCCell):
        sequences = ops.convert_to_tensor(inputs, layer.compute_dtype)
        with _unchanged(layer):
            return _by_steps(layer, sequences, mask, initial_state)
    found = _recurrence(layer, name)
    if found is not layer and not (mask is None and initial_state is None):
        raise ValueError(
            "`mask` and `initial_state` are those of a layer; a model has its "
            f"own. Received a model, {layer.name!r}"
        )
    with _recorded(found) as calls, _unchanged(layer):
        if found is layer:
            layer(inputs, mask=mask, initial_state=initial_state)
        else:
            layer(inputs)
    if len(calls) != 1:
        raise ValueError(
            f"{layer.name!r} must call {found.name!r} once with these inputs. "
            f"It did {len(calls)} times"
        )
    sequences, states, mask = calls[0]
    if found.go_backwards:
        sequences = ops.flip(sequences, axis=1)
        mask = None if mask is None else ops.flip(mask, axis=1)
    one_draw = getattr(found, "one_draw", contextlib.nullcontext)
    # From the same random states: the draw is that of the call above.
    with _unchanged(layer), one_draw(sequences.shape[0]):
        return _by_steps(
            found.cell, sequences, mask, states, found.zero_output_for_mask
        )


def _recurrence(layer, name):
    """Returns the one built layer over a `DNCCell`, or that of a name."""
    found = [
        part
        for part in layer._flatten_layers()
        if isinstance(part, keras.layers.RNN)
        and isinstance(part.cell, DNCCell)
        and name in (None, part.name)
    ]
    if len(found) != 1:
        wanted = "one DNC" if name is None else f"one DNC named {name!r}"
        names = ", ".join(repr(part.name) for part in found)
        raise ValueError(
            f"`layer` must be or have {wanted}. Received: {layer.name!r} with "
            f"{names or 'none'}"
        )
    if not found[0].cell.built:
        raise ValueError(
            "`layer` must have been built, as by calling it. Received: "
            f"{found[0].name!r}, which has not"
        )
    return found[0]


@contextlib.contextmanager
def _recorded(layer):
    """Yields a list of the sequences, states and mask of each loop."""
    calls, loop = [], layer.inner_loop

    def recorded(sequences, initial_state, mask, training=False):
        calls.append((sequences, initial_state, mask))
        return loop(sequences, initial_state, mask, training)

    layer.inner_loop = recorded
    try:
        yield calls
    finally:
        del layer.inner_loop


@contextlib.contextmanager
def _unchanged(layer):
    """Gives variables that are not trained their values back.

    Those of stateful layers are not among the variables of a layer.
    """
    variables = [x for x in layer.variables if not x.trainable]
    for part in layer._flatten_layers():
        if isinstance(part, keras.layers.RNN) and part.stateful:
            variables += keras.tree.flatten(part.states)
        if isinstance(part, DNC):
            variables += part.flags
    values = [(x, ops.convert_to_numpy(x.value)) for x in variables]
    try:
        yield
    finally:
        for variable, value in values:
            variable.assign(value)


def _by_steps(cell, sequences, mask, initial_state, zeros=False):
    """Steps a cell; `zeros` are the outputs of what the mask hides."""
    batch_size, time, _ = sequences.shape
    if initial_state is None:
        initial_state = cell.get_initial_state(batch_size)
    if mask is None:
        mask = ops.ones((batch_size, time), "bool")
    # Keras' loop takes a mask of shape (B, T, 1) too.
    mask = ops.reshape(ops.convert_to_tensor(mask, "bool"), (batch_size, time))
    state = cell.unpack_state(initial_state)
    outputs = ops.zeros((batch_size, cell.units), cell.compute_dtype)
    steps = []
    for step in range(time):
        is_read = mask[:, step]
        new_outputs, new_state, interface = cell.step(sequences[:, step], state)
        # In one structure, whatever those of a controller and an interface of
        # one's own are.
        new_state = cell.unpack_state(parts_of(new_state))
        interface = as_interface_vector(interface)
        state = keras.tree.map_structure(
            lambda new, old, is_read=is_read: _where(is_read, new, old),
            new_state,
            state,
        )
        hidden = ops.zeros_like(outputs) if zeros else outputs
        outputs = _where(is_read, new_outputs, hidden)
        allocation = _allocation(cell, new_state, interface)
        steps.append((outputs, state, interface, allocation))
    outputs, state, interface, allocation = keras.tree.map_structure(
        lambda *parts: np.stack([_array(part) for part in parts], axis=1),
        *steps,
    )
    sequences, mask = _array(sequences), ops.convert_to_numpy(mask)
    return Trace(sequences, outputs, state, interface, allocation, mask)


def _array(x):
    """Returns a tensor as an array of a type that every file holds."""
    if keras.backend.standardize_dtype(x.dtype) == "bfloat16":
        x = ops.cast(x, "float32")
    return ops.convert_to_numpy(x)


def _where(condition, new, old):
    """Returns parts of the examples of a condition `(B,)`, else old ones."""
    shape = (-1, *[1] * (len(new.shape) - 1))
    return ops.where(
        ops.reshape(condition, shape), new, ops.cast(old, new.dtype)
    )


def _allocation(cell, state, interface):
    """Returns allocation weightings, if the write head has such."""
    allocate = getattr(cell.write_head, "allocation_addressing", None)
    if allocate is None:
        return ()
    return allocate(
        state.usage, interface.allocation_gates, interface.write_gates
    )


def named_arrays(
    part: Trace | np.ndarray | tuple | list, prefix: str = ""
) -> Iterator[tuple[str, np.ndarray]]:
    """Yields names such as `state/memory`, and arrays, of what is there.

    Args:
        part: A trace, or a part of it.
        prefix: Where it is.
    """
    if not is_present(part):
        return
    if isinstance(part, np.ndarray):
        yield prefix.removeprefix("/"), part
        return
    names = getattr(part, "_fields", range(len(part)))
    for name, one in zip(names, part, strict=True):
        yield from named_arrays(one, f"{prefix}/{name}")


def _trace_of(arrays):
    """Returns the trace of what `named_arrays` yields."""

    def fields(cls, prefix, **others):
        parts = {
            name: others[name]
            if name in others
            else arrays.pop(f"{prefix}{name}", ())
            for name in cls._fields
        }
        return cls(**parts)

    link = arrays.pop("state/link", ())
    if "state/link/values" in arrays:
        link = fields(SparseLink, "state/link/")
    controller = _numbered(arrays, "state/controller_states")
    state = fields(DNCState, "state/", link=link, controller_states=controller)
    interface = fields(InterfaceVector, "interface/")
    found = fields(Trace, "", state=state, interface=interface)
    if arrays:
        raise ValueError(f"unknown parts: {sorted(arrays)}")
    needed = found.inputs, found.outputs, found.mask, found.state.memory
    if not all(map(is_present, needed)):
        raise ValueError("no inputs, outputs, mask or memory")
    return found


def _numbered(arrays, prefix):
    """Returns the nested list of arrays whose names end in its places."""
    parts = []
    while True:
        name = f"{prefix}/{len(parts)}"
        if name in arrays:
            parts.append(arrays.pop(name))
        elif any(other.startswith(f"{name}/") for other in arrays):
            parts.append(_numbered(arrays, name))
        else:
            return parts
