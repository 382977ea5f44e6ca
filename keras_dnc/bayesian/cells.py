"""Variational recurrent cells."""

from typing import ClassVar

import keras
from keras import ops

from keras_dnc.bayesian.estimators import Flipout, Reparameterization
from keras_dnc.bayesian.variational import ARGUMENTS, Variational

register = keras.saving.register_keras_serializable(package="keras_dnc")


class _Cell(Variational):
    random: ClassVar[dict[str, str]] = {
        "kernel": "kernel",
        "recurrent_kernel": "recurrent",
        "bias": "bias",
    }

    def __init__(self, units, seed=None, **kwargs):
        super().__init__(units, seed=seed, **kwargs)
        # The dropout of Keras' cell, whose constructor got no seed.
        self.seed_generator = keras.random.SeedGenerator(seed)
        # One dropout mask for all gates, as the kernel is applied at once.
        self.dropout_mask_count = None

    def _dropped(self, inputs, state, training):
        """Returns inputs and state with dropout, in training."""
        if training and 0 < self.dropout < 1:
            inputs = inputs * self.get_dropout_mask(inputs)
        if training and 0 < self.recurrent_dropout < 1:
            state = state * self.get_recurrent_dropout_mask(state)
        return inputs, state


def _project(weight, inputs, draw=None):
    """Returns `x W`, with a draw of the weight."""
    if draw is None:
        draw = _draw(weight, inputs)
    return weight.apply(ops.matmul, inputs, draw)


def _draw(weight, inputs):
    return weight.draw(lambda channels: (ops.shape(inputs)[0], channels))


class _LSTMCell(_Cell, keras.layers.LSTMCell):
    def call(self, inputs, states, training=False):
        """Returns the output and the new states."""
        state, carry = states
        inputs, state = self._dropped(inputs, state, training)
        gates = _project(self.kernel, inputs)
        gates = gates + _project(self.recurrent_kernel, state)
        enter, forget, candidate, leave = ops.split(
            self.add_bias(gates), 4, axis=-1
        )
        activate = self.recurrent_activation
        carry = activate(forget) * carry + activate(enter) * self.activation(
            candidate
        )
        output = activate(leave) * self.activation(carry)
        return output, [output, carry]


class _GRUCell(_Cell, keras.layers.GRUCell):
    def call(self, inputs, states, training=False):
        """Returns the output and the new state."""
        previous = states[0] if keras.tree.is_nested(states) else states
        inputs, state = self._dropped(inputs, previous, training)
        recurrent_draw = _draw(self.recurrent_kernel, state)
        gates = _project(self.kernel, inputs)
        recurrent = _project(self.recurrent_kernel, state, recurrent_draw)
        if self.reset_after:
            gates, recurrent = self._add_biases(gates, recurrent)
        else:
            gates = self.add_bias(gates)
        update, reset, candidate = ops.split(gates, 3, axis=-1)
        old_update, old_reset, old = ops.split(recurrent, 3, axis=-1)
        update = self.recurrent_activation(update + old_update)
        reset = self.recurrent_activation(reset + old_reset)
        if self.reset_after:
            old = reset * old
        else:
            recurrent = _project(
                self.recurrent_kernel, reset * state, recurrent_draw
            )
            old = ops.split(recurrent, 3, axis=-1)[2]
        candidate = self.activation(candidate + old)
        output = update * previous + (1 - update) * candidate
        return output, [output] if keras.tree.is_nested(states) else output

    def _add_biases(self, gates, recurrent):
        """Adds the biases of kernel and recurrent kernel, from one draw."""
        if self.bias is None:
            return gates, recurrent
        draw = self.bias.draw(None)
        return tuple(
            self.bias.apply(lambda x, bias, row=row: x + bias[row], part, draw)
            for row, part in enumerate((gates, recurrent))
        )


RECURRENT_ARGUMENTS = """
        recurrent_posterior_fn: As for the kernel, of the recurrent kernel.
        recurrent_posterior_tensor_fn: As for the kernel.
        recurrent_prior_fn: As for the kernel.
        recurrent_divergence_fn: As for the kernel."""


def documented(cls):
    """Class decorator: fills in what the docstrings share."""
    cls.__doc__ = cls.__doc__.replace(
        "{arguments}", (ARGUMENTS + RECURRENT_ARGUMENTS).strip()
    )
    return cls


@register
@documented
class LSTMCellFlipout(_LSTMCell):
    """`keras.layers.LSTMCell` with random kernels, by the Flipout estimator.

    Use it in a `VariationalRNN`, which draws the kernels once for all time
    steps of a sequence (Fortunato et al., [Bayesian recurrent neural
    networks](https://arxiv.org/abs/1704.02798), 2017), or as the controller of
    a `BayesianDNC`. In a `keras.layers.RNN` they are drawn at each time step,
    which understates how far sequences may differ.

    Args:
        units: Width of the output.
        {arguments}
        **kwargs: Every other argument of `keras.layers.LSTMCell`; those of the
            kernels and the bias hold for the means of their posteriors, and
            dropout draws one mask for all gates.

    Call arguments:
        inputs: Tensor of shape `(B, X)`.
        states: The states of the last step.
        training: Whether to drop inputs and states.

    Returns:
        Tuple of the output, of shape `(B, units)`, and the new states.

    Raises:
        ValueError: If an argument is out of its range, or if the backend is
            not TensorFlow.
    """

    estimator = Flipout


@register
@documented
class LSTMCellReparameterization(_LSTMCell):
    """`keras.layers.LSTMCell` with random kernels, one draw a batch.

    Use it in a `VariationalRNN`, which draws the kernels once for all time
    steps of a sequence (Fortunato et al., [Bayesian recurrent neural
    networks](https://arxiv.org/abs/1704.02798), 2017), or as the controller of
    a `BayesianDNC`. In a `keras.layers.RNN` they are drawn at each time step,
    which understates how far sequences may differ.

    Args:
        units: Width of the output.
        {arguments}
        **kwargs: Every other argument of `keras.layers.LSTMCell`; those of the
            kernels and the bias hold for the means of their posteriors, and
            dropout draws one mask for all gates.

    Call arguments:
        inputs: Tensor of shape `(B, X)`.
        states: The states of the last step.
        training: Whether to drop inputs and states.

    Returns:
        Tuple of the output, of shape `(B, units)`, and the new states.

    Raises:
        ValueError: If an argument is out of its range, or if the backend is
            not TensorFlow.
    """

    estimator = Reparameterization


@register
@documented
class GRUCellFlipout(_GRUCell):
    """`keras.layers.GRUCell` with random kernels, by the Flipout estimator.

    Use it in a `VariationalRNN`, which draws the kernels once for all time
    steps of a sequence (Fortunato et al., [Bayesian recurrent neural
    networks](https://arxiv.org/abs/1704.02798), 2017), or as the controller of
    a `BayesianDNC`. In a `keras.layers.RNN` they are drawn at each time step,
    which understates how far sequences may differ.

    Args:
        units: Width of the output.
        {arguments}
        **kwargs: Every other argument of `keras.layers.GRUCell`; those of the
            kernels and the bias hold for the means of their posteriors, and
            dropout draws one mask for all gates.

    Call arguments:
        inputs: Tensor of shape `(B, X)`.
        states: The states of the last step.
        training: Whether to drop inputs and states.

    Returns:
        Tuple of the output, of shape `(B, units)`, and the new states.

    Raises:
        ValueError: If an argument is out of its range, or if the backend is
            not TensorFlow.
    """

    estimator = Flipout


@register
@documented
class GRUCellReparameterization(_GRUCell):
    """`keras.layers.GRUCell` with random kernels, one draw a batch.

    Use it in a `VariationalRNN`, which draws the kernels once for all time
    steps of a sequence (Fortunato et al., [Bayesian recurrent neural
    networks](https://arxiv.org/abs/1704.02798), 2017), or as the controller of
    a `BayesianDNC`. In a `keras.layers.RNN` they are drawn at each time step,
    which understates how far sequences may differ.

    Args:
        units: Width of the output.
        {arguments}
        **kwargs: Every other argument of `keras.layers.GRUCell`; those of the
            kernels and the bias hold for the means of their posteriors, and
            dropout draws one mask for all gates.

    Call arguments:
        inputs: Tensor of shape `(B, X)`.
        states: The states of the last step.
        training: Whether to drop inputs and states.

    Returns:
        Tuple of the output, of shape `(B, units)`, and the new states.

    Raises:
        ValueError: If an argument is out of its range, or if the backend is
            not TensorFlow.
    """

    estimator = Reparameterization
