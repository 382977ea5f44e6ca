"""A DNC beside a plain recurrent network that reads from the end."""

import keras
from keras import ops

from keras_dnc.initialization import seed_of
from keras_dnc.recurrent import DNC, mask_of
from keras_dnc.serialization import deserialize_layers
from keras_dnc.validation import positive_integer
from keras_dnc.variables import pass_on_frozen


@keras.saving.register_keras_serializable(package="keras_dnc")
class BidirectionalDNC(DNC):
    """A DNC whose outputs know what comes later in the sequence.

    A plain recurrent network reads the sequence from its end, and its output
    `g` joins the DNC's:

        y = W_y [h ; r ; g] + b_y

    The network costs little beside a second DNC in the other direction, as
    `keras.layers.Bidirectional(keras_dnc.DNC(...))` makes it.

    Source: Franke et al., [Robust and scalable differentiable neural computer
    for question answering](https://arxiv.org/abs/1807.02658), 2018. In the
    authors' code the memory's interface is made of `[h ; g]` too; here the
    memory knows what was read so far, and the output alone what comes later.

    Args:
        units: Width of an output step.
        controller: See `DNCCell`.
        backward: An integer for a `keras.layers.LSTM` of that many units, with
            the arguments that a controller made from an integer has; or any
            `keras.layers.RNN`, such as `keras.layers.GRU(64)`. A layer with
            its config, and weights of its own, is made of it, whose direction
            and what it returns fit.
        **kwargs: Every other argument of `DNC`. `checkpoint_every` is of the
            DNC alone.

    Call arguments:
        sequences: Inputs `x`, shape `(B, T, X)`.
        initial_state: That of the DNC. The network that reads from the end
            has none, and none is kept if the layer is stateful.
        mask: Boolean tensor of shape `(B, T)`.
        training: Whether units are dropped.

    Returns:
        What `DNC` returns. Without `return_sequences` the output is made of
        the last of each direction: of the DNC's after the last time step, and
        of the other network's after the first. Where the last time step is
        masked and `zero_output_for_mask` is set, the DNC's is zero.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
    >>> import numpy as np
    >>> import keras_dnc
    >>> layer = keras_dnc.BidirectionalDNC(
    ...     4, controller=16, backward=8, memory_size=8, return_sequences=True
    ... )
    >>> layer(np.zeros((2, 7, 3))).shape
    TensorShape([2, 7, 4])
    """

    def __init__(
        self,
        units: int,
        controller: int | keras.layers.Layer = 128,
        *,
        backward: int | keras.layers.RNN = 128,
        **kwargs,
    ):
        super().__init__(units, controller, **kwargs)
        self._backward_units = None
        if not isinstance(backward, keras.layers.Layer):
            self._backward_units = positive_integer(
                "backward", backward, "a positive integer or a recurrent layer"
            )
            backward = self._make_backward(self._backward_units)
        if not isinstance(backward, keras.layers.RNN):
            raise ValueError(
                "`backward` must be a positive integer or a recurrent layer, "
                f"such as `keras.layers.LSTM(64)`. Received: {backward}"
            )
        # One of its own: the caller's stays as it is.
        self.backward = type(backward).from_config(
            {
                **backward.get_config(),
                "go_backwards": not self.go_backwards,
                "return_sequences": self.return_sequences,
                "return_state": False,
                "stateful": False,
                "zero_output_for_mask": self.zero_output_for_mask,
            }
        )
        self.join = self.cell.make_projection(
            self.cell.units, name="join", use_bias=False
        )

    def _make_backward(self, units):
        """Returns the layer that an integer stands for."""
        cell = self.cell.make_controller(units)
        if type(cell) is not keras.layers.LSTMCell:
            # Of a subclass that makes another.
            return keras.layers.RNN(cell, unroll=self.unroll, name="backward")
        return keras.layers.LSTM.from_config(
            {
                **cell.get_config(),
                "seed": seed_of(self.cell.seed, "backward"),
                "unroll": self.unroll,
                "name": "backward",
            }
        )

    def build(self, sequences_shape, initial_state_shape=None):
        """Builds the cell, the network that reads backward and their join."""
        super().build(sequences_shape, initial_state_shape)
        if not self.backward.built:
            self.backward.build(sequences_shape)
        self.join.build(self.backward.compute_output_shape(sequences_shape))
        pass_on_frozen(self)

    def call(self, sequences, initial_state=None, mask=None, training=False):
        """Returns the outputs, and the DNC's final states if wanted."""
        mask = mask_of(sequences, mask)
        results = super().call(sequences, initial_state, mask, training)
        later = self.backward(sequences, mask=mask, training=training)
        if self.return_sequences:
            later = ops.flip(later, axis=1)
        joined = self.join(later)
        if self.return_state:
            output, *states = results
            return output + joined, *states
        return results + joined

    def get_config(self):
        """Returns the constructor's arguments."""
        backward = self._backward_units
        if backward is None:
            backward = keras.saving.serialize_keras_object(self.backward)
        return {**super().get_config(), "backward": backward}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Makes a layer from what `get_config` returned."""
        return super().from_config(
            deserialize_layers(config, ["backward"], custom_objects),
            custom_objects,
        )
