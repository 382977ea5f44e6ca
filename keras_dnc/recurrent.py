"""The Differentiable Neural Computer as a layer over sequences."""

import keras

from keras_dnc.cell import DNCCell


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
            states of the next; `reset_state` sets them to zero.
        unroll: Whether to unroll the loop over time.
        zero_output_for_mask: Whether the output at a masked step is zero, or
            that of the step before.
        **kwargs: Every other argument of `DNCCell`, and of
            `keras.layers.Layer`.

    Call arguments:
        sequences: Inputs `x`, shape `(B, T, X)`.
        initial_state: List of tensors of shape `(B, size)`, with the widths
            `cell.state_size`; `cell.pack_state` makes it from a `DNCState`.
            The diagonal of its links must be zero. Default: zeros.
        mask: Boolean tensor of shape `(B, T)`; where it is False a step
            changes no state.
        training: Whether the controller drops units.

    Returns:
        The outputs, of shape `(B, T, units)` with `return_sequences`, else
        `(B, units)`; with `return_state`, followed by the final states.

    Raises:
        ValueError: If an argument is out of its range; on JAX, if there is a
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
        activity_regularizer=None,
        name: str | None = None,
        **kwargs,
    ):
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
        )
        self.input_spec = keras.InputSpec(ndim=3)

    def build(self, sequences_shape, initial_state_shape=None):
        """Builds the cell, and the states of a stateful layer."""
        super().build(sequences_shape, initial_state_shape)
        self.input_spec = keras.InputSpec(
            ndim=3, axes={-1: sequences_shape[-1]}
        )

    def inner_loop(self, sequences, initial_state, mask, training=False):
        """Steps through the sequences, as `keras.layers.RNN` does."""
        repeats_outputs = not (self.zero_output_for_mask or self.unroll)
        on_jax = keras.backend.backend() == "jax"
        if on_jax and mask is not None and repeats_outputs:
            # Keras' loop there takes the first state for the last output,
            # which is silently wrong where the two are of one width.
            raise ValueError(
                "On JAX a mask needs `zero_output_for_mask=True`, or "
                "`unroll=True`. Received: zero_output_for_mask=False"
            )
        return super().inner_loop(sequences, initial_state, mask, training)

    def get_config(self):
        """Returns the constructor's arguments."""
        config = super().get_config()
        del config["cell"]
        return {**self.cell.get_config(), **config}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Makes a layer from what `get_config` returned."""
        return cls(
            **cls.cell_class.deserialize_arguments(config, custom_objects)
        )
