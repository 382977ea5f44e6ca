"""Recurrent layers that draw random weights once for a sequence."""

import contextlib
import numbers

import keras
from keras import ops

from keras_dnc.bayesian.annealing import variational_layers
from keras_dnc.bayesian.cells import LSTMCellFlipout, LSTMCellReparameterization
from keras_dnc.bayesian.layers import DenseFlipout, DenseReparameterization
from keras_dnc.bayesian.variational import (
    function_argument,
    require_tensorflow,
)
from keras_dnc.bayesian.weights import random_weights
from keras_dnc.cell import DNCCell
from keras_dnc.initialization import seed_of
from keras_dnc.recurrent import DNC
from keras_dnc.validation import boolean, nonnegative_number

register = keras.saving.register_keras_serializable(package="keras_dnc")


class HoldsDraws:
    """Mixin of `keras.layers.RNN`: one draw of the cell's random weights.

    They are drawn before the first time step and held to the last. With
    `draw_per_step` they are drawn at each step instead.
    """

    def inner_loop(self, sequences, initial_state, mask, training=False):
        """Steps through the sequences with random weights that are held."""
        with self.one_draw(ops.shape(sequences)[0]):
            return super().inner_loop(sequences, initial_state, mask, training)

    @contextlib.contextmanager
    def one_draw(self, batch_size):
        """Within this context every random weight is the same at each use.

        So it is in several calls that are the parts of a sequence. What a
        context around this one holds stays as it is.

        Args:
            batch_size: Number `B` of examples.

        Raises:
            ValueError: If the layer is not built, and so has no weights.
        """
        if not self.built:
            raise ValueError(
                f"The layer must be built before it can hold a draw. Received: "
                f"{self.name}, which is not"
            )
        weights = [] if self.draw_per_step else random_weights(self.cell)
        weights = [weight for weight in weights if weight.held is None]
        try:
            for weight in weights:
                weight.hold(batch_size)
            yield
        finally:
            for weight in weights:
                weight.release()

    def get_config(self):
        """Returns the constructor's arguments."""
        return {**super().get_config(), "draw_per_step": self.draw_per_step}


@register
class VariationalRNN(HoldsDraws, keras.layers.RNN):
    """`keras.layers.RNN` over a cell that holds variational layers.

    Random weights anywhere in the cell are drawn once for all time steps of a
    sequence, anew at each call, in training and in prediction; their
    divergences count once a batch. The signs of Flipout differ between the
    examples of a batch, and are held too. In `keras.layers.Bidirectional` a
    cell's `seed` is that of both directions, and so are its draws: give the
    `backward_layer` another.

    Source: Fortunato et al., [Bayesian recurrent neural networks](
    https://arxiv.org/abs/1704.02798), 2017.

    Args:
        cell: An RNN cell, or a list of them to be stacked.
        draw_per_step: Whether to draw at each time step instead, for
            comparison.
        **kwargs: Every other argument of `keras.layers.RNN`.

    Raises:
        ValueError: When called, if a layer in the cell draws outputs instead
            of weights (local reparameterization).

    Example:
    >>> import numpy as np
    >>> from keras_dnc import bayesian
    >>> layer = bayesian.VariationalRNN(bayesian.GRUCellFlipout(4))
    >>> layer(np.zeros((2, 7, 3))).shape
    TensorShape([2, 4])
    """

    def __init__(self, cell, *args, draw_per_step: bool = False, **kwargs):
        super().__init__(cell, *args, **kwargs)
        self.draw_per_step = boolean("draw_per_step", draw_per_step)


ESTIMATORS = {
    "flipout": (DenseFlipout, LSTMCellFlipout),
    "reparameterization": (
        DenseReparameterization,
        LSTMCellReparameterization,
    ),
}


@register
class BayesianDNCCell(DNCCell):
    """A `DNCCell` whose projections to interface and output are variational.

    Use it in a `VariationalRNN`, or write `BayesianDNC(...)`.

    Args:
        units: Width of an output step.
        controller: See `DNCCell`.
        estimator: "flipout" or "reparameterization".
        variational_controller: Whether an LSTM controller made from an
            integer is variational too.
        kernel_prior_fn: Prior of every kernel, as for `DenseFlipout`.
        kl_weight: Factor of the divergences in the loss.
        **kwargs: Every other argument of `DNCCell`. Initializers, regularizers
            and constraints hold for the means of the posteriors.

    Raises:
        ValueError: If an argument is out of its range, or if the backend is
            not TensorFlow.
    """

    def __init__(
        self,
        units: int,
        controller: int | keras.layers.Layer = 128,
        *,
        estimator: str = "flipout",
        variational_controller: bool = False,
        kernel_prior_fn="standard_normal",
        kl_weight: float = 1.0,
        **kwargs,
    ):
        require_tensorflow(type(self).__name__)
        if not isinstance(estimator, str) or estimator not in ESTIMATORS:
            raise ValueError(
                f"`estimator` must be one of {', '.join(ESTIMATORS)}. "
                f"Received: estimator={estimator!r}"
            )
        # `DNCCell` calls `make_projection` and `make_controller`.
        self.estimator = estimator
        self.variational_controller = boolean(
            "variational_controller", variational_controller
        )
        is_own = not isinstance(controller, numbers.Integral)
        if self.variational_controller and is_own:
            raise ValueError(
                "`variational_controller` holds for an LSTM made from an "
                "integer; make your own controller of variational layers "
                "instead. Received: variational_controller=True, controller="
                f"{controller}"
            )
        self.kernel_prior_fn = function_argument(
            "kernel_prior_fn", kernel_prior_fn
        )
        self._initial_kl_weight = nonnegative_number("kl_weight", kl_weight)
        super().__init__(units, controller, **kwargs)

    @property
    def kl_weight(self) -> float:
        """The factor of the divergences in the loss.

        It can be set, for every variational layer in the cell.
        """
        return self.output_projection.kl_weight

    @kl_weight.setter
    def kl_weight(self, value: float):
        for layer in variational_layers(self):
            layer.kl_weight = value

    def make_projection(
        self, units: int, name: str, use_bias: bool = True
    ) -> keras.layers.Layer:
        """Returns the variational layer for one of the two linear maps.

        Args:
            units: The width of the map's output.
            name: The layer's name.
            use_bias: Whether it has a bias.
        """
        projection = super().make_projection(units, name, use_bias)
        return self._variational(projection, 0)

    def make_controller(self, units: int) -> keras.layers.Layer:
        """Returns the controller that an integer stands for.

        Args:
            units: The width of its output.
        """
        controller = super().make_controller(units)
        if not self.variational_controller:
            return controller
        return self._variational(
            controller, 1, recurrent_prior_fn=self.kernel_prior_fn
        )

    def _variational(self, layer, kind, **arguments):
        """Returns the variational layer with the arguments of a layer."""
        return ESTIMATORS[self.estimator][kind].from_config(
            {
                **layer.get_config(),
                **arguments,
                "kernel_prior_fn": self.kernel_prior_fn,
                "kl_weight": self._initial_kl_weight,
                "seed": seed_of(self.seed, layer.name),
            }
        )

    def get_config(self):
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "estimator": self.estimator,
            "variational_controller": self.variational_controller,
            "kernel_prior_fn": keras.saving.serialize_keras_object(
                self.kernel_prior_fn
            ),
            "kl_weight": self.kl_weight,
        }


@register
class BayesianDNC(HoldsDraws, DNC):
    """A `DNC` with random weights, drawn once for a sequence.

    `BayesianDNC(units, ...)` is equivalent to
    `VariationalRNN(BayesianDNCCell(units, ...))`.

    Args:
        units: Width of an output step.
        controller: See `DNCCell`.
        draw_per_step: Whether to draw at each time step instead, for
            comparison.
        **kwargs: Every other argument of `BayesianDNCCell` and of `DNC`.

    Example:
    >>> import numpy as np
    >>> from keras_dnc import bayesian
    >>> layer = bayesian.BayesianDNC(4, controller=16, memory_size=8)
    >>> layer(np.zeros((2, 7, 3))).shape
    TensorShape([2, 4])
    """

    cell_class = BayesianDNCCell

    def __init__(
        self,
        units: int,
        controller: int | keras.layers.Layer = 128,
        *,
        draw_per_step: bool = False,
        **kwargs,
    ):
        super().__init__(units, controller, **kwargs)
        self.draw_per_step = boolean("draw_per_step", draw_per_step)

    def held(self) -> list[tuple[object, str]]:
        """Returns objects and names of their attributes that hold draws."""
        weights = [w for w in random_weights(self.cell) if w.held is not None]
        return [*super().held(), *((weight, "held") for weight in weights)]

    @property
    def kl_weight(self) -> float:
        """The factor of the divergences in the loss; it can be set."""
        return self.cell.kl_weight

    @kl_weight.setter
    def kl_weight(self, value: float):
        self.cell.kl_weight = value
