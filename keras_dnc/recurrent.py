"""The Differentiable Neural Computer as a layer over sequences."""

from contextlib import contextmanager, nullcontext

import keras
from keras import ops

from keras_dnc.cell import DNCCell
from keras_dnc.checkpointing import scan
from keras_dnc.dropout import dropout_masks
from keras_dnc.sparse_linkage import SparseLink
from keras_dnc.state import DNCState, parts_of
from keras_dnc.validation import positive_integer
from keras_dnc.variables import ReadOnce, read_before_loop

# Arguments of a layer of Keras that are not of its cell.
OF_LAYER = ("autocast", "input_dim", "input_shape")


@keras.saving.register_keras_serializable(package="keras_dnc")
class DNC(keras.layers.RNN):
    """Differentiable Neural Computer, used as `keras.layers.LSTM` is.

    `DNC(units, ...)` is equivalent to `keras.layers.RNN(DNCCell(units,
    ...))`; `DNCCell` has the formulas.

    Source: Graves et al., [Hybrid computing using a neural network with
    dynamic external memory](https://doi.org/10.1038/nature20101), Nature 538
    (2016).

    Args:
        units: Width of an output step.
        controller: See `DNCCell`.
        return_sequences: Whether to return every output, or the last alone.
        return_state: Whether to return the final states too.
        go_backwards: Whether to read the sequence from its end.
        stateful: Whether the states at the end of a batch are the initial
            states of the next; `reset_state` sets them to the initial states.
        unroll: Whether to unroll the loop over time.
        zero_output_for_mask: Whether the output at a masked step is zero, or
            that of the step before.
        checkpoint_every: Number `k` of time steps, for long sequences: in
            training the state is kept at every `k`-th step alone, and what
            the gradient needs of the steps between is computed again. Memory
            grows as `T/k + k` instead of `T`, and is least for `k = √T`.
            Gradients are the same. The cell must then hold no layers that
            change variables at a step, as `keras.layers.Dropout` does.
            Default: everything is kept.
        **kwargs: Every other argument of `DNCCell`, and of
            `keras.layers.Layer`.

    Call arguments:
        sequences: Inputs `x`, shape `(B, T, X)`.
        initial_state: List of tensors of shape `(B, size)`, with the widths
            `cell.state_size`; `cell.pack_state` makes it from a `DNCState`.
            The diagonal of its links must be zero. Default: that of
            `get_initial_state`, zeros but for an initial memory.
        mask: Boolean tensor of shape `(B, T)`; where it is False a step
            changes no state.
        training: Whether units are dropped.

    Returns:
        The outputs, of shape `(B, T, units)` with `return_sequences`, else
        `(B, units)`; with `return_state`, followed by the final states.

    Raises:
        ValueError: If an argument is out of its range; if states in half
            precision would round sparse links; on JAX, if there is a
            mask without `zero_output_for_mask` or `unroll`.

    Example:
    >>> import numpy as np
    >>> import keras_dnc
    >>> layer = keras_dnc.DNC(
    ...     4, controller=16, memory_size=8, word_size=5, return_state=True
    ... )
    >>> output, *states = layer(np.zeros((2, 7, 3)))
    >>> output.shape
    TensorShape([2, 4])
    >>> layer.cell.unpack_state(states).memory.shape
    TensorShape([2, 8, 5])
    """

    cell_class = DNCCell

    def __init__(
        self,
        units: int,
        controller: int | keras.layers.Layer = 128,
        *,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        zero_output_for_mask: bool = False,
        checkpoint_every: int | None = None,
        activity_regularizer=None,
        name: str | None = None,
        **kwargs,
    ):
        of_layer = {
            argument: kwargs.pop(argument)
            for argument in OF_LAYER
            if argument in kwargs
        }
        cell = self.cell_class(units, controller, name="cell", **kwargs)
        super().__init__(
            cell,
            return_sequences=return_sequences,
            return_state=return_state,
            go_backwards=go_backwards,
            stateful=stateful,
            unroll=unroll,
            zero_output_for_mask=zero_output_for_mask,
            activity_regularizer=activity_regularizer,
            name=name,
            dtype=cell.dtype_policy,
            trainable=cell.trainable,
            **of_layer,
        )
        self.input_spec = keras.InputSpec(ndim=3)
        if checkpoint_every is not None:
            checkpoint_every = positive_integer(
                "checkpoint_every", checkpoint_every
            )
            if unroll:
                raise ValueError(
                    "`checkpoint_every` is for the loop over time, which "
                    "`unroll` unrolls. Received: "
                    f"checkpoint_every={checkpoint_every}, unroll={unroll}"
                )
        self.checkpoint_every = checkpoint_every
        self._at_start = None
        if stateful or return_state:
            self._check_precision()

    def _check_precision(self):
        """Refuses sparse links whose columns would be rounded in a state."""
        exact = {"float16": 2**11, "bfloat16": 2**8}.get(self.compute_dtype)
        cell = self.cell
        link, _ = cell.read_head.state_shapes(cell.num_writes, cell.memory_size)
        is_sparse = isinstance(link, SparseLink)
        if exact and is_sparse and cell.memory_size > exact:
            raise ValueError(
                "Sparse links keep numbers of slots in the state, which "
                f"Keras rounds to {self.compute_dtype} in a stateful layer and "
                f"where it takes or returns states: exact up to {exact}. "
                "Received: "
                f"memory_size={cell.memory_size}"
            )

    def build(self, sequences_shape, initial_state_shape=None):
        """Builds the cell, and the states of a stateful layer."""
        super().build(sequences_shape, initial_state_shape)
        self.input_spec = keras.InputSpec(
            ndim=3, axes={-1: sequences_shape[-1]}
        )
        if self.stateful and self.cell.has_initial_memory:
            self._at_start = _Flag()

    def call(self, sequences, initial_state=None, mask=None, training=False):
        """Returns the outputs, and the final states if they are wanted."""
        if initial_state is not None:
            self._check_precision()
            if isinstance(initial_state, DNCState):
                raise ValueError(
                    "`initial_state` must be a list of flat tensors, which "
                    "`cell.pack_state(state)` makes of a DNCState. Received a "
                    "DNCState"
                )
        mask = mask_of(sequences, mask)
        if self._at_start is None:
            return super().call(sequences, initial_state, mask, training)
        if initial_state is None:
            # What the initial memory is now: it may have been learned, or
            # loaded, since the states were set to it.
            initial = self.get_initial_state(self.states[0].shape[0])
            # A copy, since PyTorch needs it after the flag has changed.
            at_start = ops.copy(self._at_start.variable.value)
            initial_state = [
                ops.where(at_start, start, state.value)
                for start, state in zip(initial, self.states, strict=True)
            ]
        outputs = super().call(sequences, initial_state, mask, training)
        self._at_start.variable.assign(False)
        return outputs

    @property
    def flags(self) -> list[keras.Variable]:
        """What a stateful layer keeps beside its states."""
        return [] if self._at_start is None else [self._at_start.variable]

    @property
    def units(self) -> int:
        """Width of an output step."""
        return self.cell.units

    def reset_state(self):
        """Sets the states of a stateful layer to the initial states."""
        if self.states is None:
            return
        initial = self.get_initial_state(self.states[0].shape[0])
        for state, value in zip(self.states, initial, strict=True):
            state.assign(value)
        if self._at_start is not None:
            self._at_start.variable.assign(True)

    def inner_loop(self, sequences, initial_state, mask, training=False):
        """Steps through the sequences, as `keras.layers.RNN` does.

        With each part of the state in its true shape, whose elements a
        compiler finds faster than those of a flat one.
        """
        repeats_outputs = not (self.zero_output_for_mask or self.unroll)
        on_jax = keras.backend.backend() == "jax"
        if on_jax and mask is not None and repeats_outputs:
            # Keras' loop there takes the first state for the last output,
            # which is silently wrong where the two are of one width.
            raise ValueError(
                "On JAX a mask needs `zero_output_for_mask=True`, or "
                "`unroll=True`. Received: zero_output_for_mask=False"
            )
        states = initial_state
        if not (on_jax and mask is not None):
            # Keras' loop there masks flat states alone.
            states = parts_of(self.cell.unpack_state(initial_state))
        steps = self._steps if self.checkpoint_every is None else self._segments
        last_output, outputs, states = steps(sequences, states, mask, training)
        state = self.cell.unpack_state(states)
        return last_output, outputs, self.cell.pack_state(state)

    def _steps(self, sequences, states, mask, training):
        """Runs Keras' loop over the sequences."""
        with nullcontext() if self.unroll else read_before_loop(self.cell):
            return super().inner_loop(sequences, states, mask, training)

    def _segments(self, sequences, states, mask, training):
        """Runs Keras' loop over segments, of which the states are kept."""
        every = self.checkpoint_every
        variables = [
            variable
            for variable in self.cell.variables
            if keras.backend.is_float_dtype(variable.dtype)
        ]
        with ReadOnce(variables) as read:
            weights = read.values
        held = self.held()
        draws = [getattr(*attribute) for attribute in held]
        constants = [*weights, *keras.tree.flatten(draws)]
        inputs = [sequences]
        if mask is not None:
            # Keras' loop takes a mask of shape (B, T, 1) too.
            inputs.append(ops.reshape(mask, ops.shape(sequences)[:2]))
        if self.go_backwards:
            inputs = [ops.flip(part, axis=1) for part in inputs]

        def segment(constants, states, inputs):
            values, others = (
                constants[: len(weights)],
                constants[len(weights) :],
            )
            with (
                ReadOnce(variables, values, updates=False),
                _attributes(held, keras.tree.pack_sequence_as(draws, others)),
            ):
                return self._segment(states, inputs, training)

        # What is left of whole segments is the first one. Where the number of
        # time steps is not known it is there at any rate.
        time = sequences.shape[1]
        rest = (ops.shape(sequences)[1] - 1) % every + 1
        if time is not None:
            rest = time % every
        batch_size = ops.shape(sequences)[0]
        last = ops.zeros((batch_size, self.cell.units), self.compute_dtype)
        states, outputs = [*states, last], []
        if time is None or rest:
            first = [part[:, :rest] for part in inputs]
            outputs, states = segment(constants, states, first)
        if time is None or time >= every:
            whole = [_in_segments(part[:, rest:], every) for part in inputs]
            shape = (sequences.shape[0], every, self.cell.units)
            shapes = [keras.KerasTensor(shape, self.compute_dtype)]
            of_segments, states = scan(
                segment,
                constants,
                states,
                whole,
                shapes if self.return_sequences else [],
            )
            outputs = [*outputs, *map(_from_segments, of_segments)]
        *states, last = states
        if self.return_sequences:
            outputs = ops.concatenate(outputs, axis=1)
        else:
            outputs = last[:, None]
        return last, outputs, states

    def _segment(self, states, inputs, training):
        """Returns a segment's outputs, if they are wanted, and new states.

        The last of the states is the output of the step before.
        """
        *states, before = states
        if self.go_backwards:
            # Keras' loop begins at the end.
            inputs = [ops.flip(part, axis=1) for part in inputs]
        sequences, mask = inputs if len(inputs) == 2 else (*inputs, None)
        last, outputs, states = super().inner_loop(
            sequences, states, mask, training
        )
        last, outputs = (
            ops.cast(part, self.compute_dtype) for part in (last, outputs)
        )
        if mask is not None and not self.zero_output_for_mask:
            if self.go_backwards:
                mask = ops.flip(mask, axis=1)
            # Where no step was taken yet, Keras' loop repeats zeros.
            taken = ops.cumsum(ops.cast(mask, "int32"), axis=1) > 0
            last = ops.where(taken[:, -1:], last, before)
            if self.return_sequences:
                outputs = ops.where(taken[:, :, None], outputs, before[:, None])
        return [outputs] if self.return_sequences else [], [*states, last]

    def held(self) -> list[tuple[object, str]]:
        """Returns objects and names of their attributes that hold draws.

        What is drawn before the loop for all its steps, and forgotten after.
        """
        return dropout_masks(self.cell)

    def get_config(self):
        """Returns the constructor's arguments."""
        config = super().get_config()
        del config["cell"]
        return {
            **self.cell.get_config(),
            **config,
            "checkpoint_every": self.checkpoint_every,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Makes a layer from what `get_config` returned."""
        return cls(
            **cls.cell_class.deserialize_arguments(config, custom_objects)
        )


def mask_of(sequences, mask):
    """Returns the mask that was given, or that of a layer before.

    Keras finds the latter only where a layer is called with sequences alone.

    Args:
        sequences: Tensor of shape `(B, T, X)`.
        mask: Tensor of shape `(B, T)`, or None.
    """
    return getattr(sequences, "_keras_mask", None) if mask is None else mask


class _Flag:
    """A boolean variable, at first true, that is not among a layer's weights.

    Nor are the states of a stateful layer.
    """

    def __init__(self):
        self.variable = keras.Variable(True, dtype="bool", trainable=False)


@contextmanager
def _attributes(attributes, values):
    """Within this context attributes have other values."""
    before = [getattr(*attribute) for attribute in attributes]
    try:
        for attribute, value in zip(attributes, values, strict=True):
            setattr(*attribute, value)
        yield
    finally:
        for attribute, value in zip(attributes, before, strict=True):
            setattr(*attribute, value)


def _in_segments(x, length):
    """Cuts `(B, T, ...)` into segments, of shape `(S, B, length, ...)`."""
    x = ops.reshape(x, (ops.shape(x)[0], -1, length, *x.shape[2:]))
    return ops.swapaxes(x, 0, 1)


def _from_segments(x):
    """Joins segments, of shape `(S, B, length, ...)`, to `(B, T, ...)`."""
    count, batch_size, length, *rest = ops.shape(x)
    return ops.reshape(
        ops.swapaxes(x, 0, 1), (batch_size, count * length, *rest)
    )
