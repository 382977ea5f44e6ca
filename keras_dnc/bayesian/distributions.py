"""Posteriors and priors of weights, over the distributions of tfp.

A posterior or prior is a function with the signature of those of `tfp.layers`,

    function(dtype, shape, name, trainable, add_variable_fn)

that makes the variables that it needs by `add_variable_fn`, named `name +
"_..."`, and returns a distribution of tensors of the given shape. Those here
can be saved with a model; any callable of that signature serves as well.

In tfp a layer calls the function once and the distribution holds variables. A
layer of `keras_dnc` calls it whenever it needs the distribution, and
`add_variable_fn` then returns the present value of the variable of that name:
a tfp distribution that holds a Keras variable would keep a copy of its first
value.
"""

import keras
import ml_dtypes
import numpy as np
from keras import constraints, initializers, ops, regularizers

from keras_dnc.initialization import fresh
from keras_dnc.validation import (
    boolean,
    fraction,
    positive_number,
    real_number,
)


def tfd():
    """Returns tfp's distributions, imported when they are first needed.

    With them come TensorFlow and tf_keras.
    """
    from tensorflow_probability import distributions

    return distributions


def independent(distribution, shape):
    """Returns the distribution of a tensor of independent elements.

    Args:
        distribution: A distribution of each element, of that batch shape.
        shape: The shape of the tensor.
    """
    return tfd().Independent(distribution, reinterpreted_batch_ndims=len(shape))


def scale_of(untransformed_scale):
    """Returns the standard deviation `σ = eps + softplus(ρ)`.

    `eps` is the distance from 1 to the next number of the dtype.

    Source: `tfp.layers.default_loc_scale_fn`.

    Args:
        untransformed_scale: Tensor `ρ` of any shape.
    """
    eps = _eps(ops.dtype(untransformed_scale))
    return eps + ops.softplus(untransformed_scale)


def untransformed_scale_of(scale, dtype: str):
    """Returns the `ρ` whose `scale_of` is a standard deviation.

    `ρ = ln(e^(σ − eps) − 1)`, with a very small number in place of `σ − eps`
    where `σ` is less than `eps`.

    Args:
        scale: A positive number or an array of them.
        dtype: The dtype of `ρ`.
    """
    scale = np.asarray(scale, "float64")
    x = np.maximum(scale - _eps(dtype), np.finfo("float64").tiny)
    return x + np.log(-np.expm1(-x))


def _eps(dtype):
    return float(ml_dtypes.finfo(dtype).eps)


class _Function:
    """A posterior or prior that is saved by its arguments."""

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {
            name: keras.saving.serialize_keras_object(value)
            for name, value in vars(self).items()
        }

    @classmethod
    def from_config(cls, config):
        """Makes the function from what `get_config` returned."""
        return cls(
            **{
                name: keras.saving.deserialize_keras_object(value)
                if isinstance(value, dict)
                else value
                for name, value in config.items()
            }
        )


@keras.saving.register_keras_serializable(package="keras_dnc")
class MeanFieldNormal(_Function):
    """Independent normal weights with means and deviations that are learned.

    `q = N(μ, σ²)`, `σ = eps + softplus(ρ)`, `μ` and `ρ` variables named
    `..._loc` and `..._untransformed_scale`. Initially `μ` is drawn from
    `N(0, 0.1²)` and `ρ` from `N(−3, 0.1²)`.

    Source: Blundell et al., [Weight uncertainty in neural networks](
    https://arxiv.org/abs/1505.05424), 2015; initial values as in
    `tfp.layers.default_mean_field_normal_fn`.

    Args:
        loc_initializer: Initializer of `μ`.
        untransformed_scale_initializer: Initializer of `ρ`.
        loc_regularizer: Regularizer of `μ`.
        untransformed_scale_regularizer: Regularizer of `ρ`.
        loc_constraint: Constraint of `μ`.
        untransformed_scale_constraint: Constraint of `ρ`.
    """

    def __init__(
        self,
        loc_initializer=None,
        untransformed_scale_initializer=None,
        loc_regularizer=None,
        untransformed_scale_regularizer=None,
        loc_constraint=None,
        untransformed_scale_constraint=None,
    ):
        if loc_initializer is None:
            loc_initializer = initializers.RandomNormal(stddev=0.1)
        if untransformed_scale_initializer is None:
            untransformed_scale_initializer = initializers.RandomNormal(
                mean=-3.0, stddev=0.1
            )
        self.loc_initializer = initializers.get(loc_initializer)
        self.untransformed_scale_initializer = initializers.get(
            untransformed_scale_initializer
        )
        self.loc_regularizer = regularizers.get(loc_regularizer)
        self.untransformed_scale_regularizer = regularizers.get(
            untransformed_scale_regularizer
        )
        self.loc_constraint = constraints.get(loc_constraint)
        self.untransformed_scale_constraint = constraints.get(
            untransformed_scale_constraint
        )

    def __call__(self, dtype, shape, name, trainable, add_variable_fn):
        """Returns the distribution, as `tfp.layers` calls for it."""
        loc = add_variable_fn(
            name=f"{name}_loc",
            shape=shape,
            dtype=dtype,
            initializer=fresh(self.loc_initializer),
            regularizer=self.loc_regularizer,
            constraint=self.loc_constraint,
            trainable=trainable,
        )
        untransformed_scale = add_variable_fn(
            name=f"{name}_untransformed_scale",
            shape=shape,
            dtype=dtype,
            initializer=fresh(self.untransformed_scale_initializer),
            regularizer=self.untransformed_scale_regularizer,
            constraint=self.untransformed_scale_constraint,
            trainable=trainable,
        )
        normal = tfd().Normal(loc, scale_of(untransformed_scale))
        return independent(normal, shape)


@keras.saving.register_keras_serializable(package="keras_dnc")
class Deterministic(_Function):
    """Weights that are learned as points, as ordinary layers learn them.

    The variable is named `..._loc`. Initially it is drawn from `N(0, 0.1²)`.

    Source: `tfp.layers.default_mean_field_normal_fn(is_singular=True)`.

    Args:
        loc_initializer: Initializer of the weights.
        loc_regularizer: Regularizer of the weights.
        loc_constraint: Constraint of the weights.
    """

    def __init__(
        self, loc_initializer=None, loc_regularizer=None, loc_constraint=None
    ):
        if loc_initializer is None:
            loc_initializer = initializers.RandomNormal(stddev=0.1)
        self.loc_initializer = initializers.get(loc_initializer)
        self.loc_regularizer = regularizers.get(loc_regularizer)
        self.loc_constraint = constraints.get(loc_constraint)

    def __call__(self, dtype, shape, name, trainable, add_variable_fn):
        """Returns the distribution, as `tfp.layers` calls for it."""
        loc = add_variable_fn(
            name=f"{name}_loc",
            shape=shape,
            dtype=dtype,
            initializer=fresh(self.loc_initializer),
            regularizer=self.loc_regularizer,
            constraint=self.loc_constraint,
            trainable=trainable,
        )
        return independent(tfd().Deterministic(loc), shape)


@keras.saving.register_keras_serializable(package="keras_dnc")
class NormalPrior(_Function):
    """Independent normal weights around one mean with one deviation.

    `p = N(loc, scale²)` for every element, standard normal by default.

    Args:
        loc: Mean.
        scale: Standard deviation, or with `learned_scale` its initial value.
        learned_scale: Whether the standard deviation is learned (empirical
            Bayes), as a variable `..._untransformed_scale`.
    """

    def __init__(
        self, loc: float = 0.0, scale: float = 1.0, learned_scale: bool = False
    ):
        self.loc = real_number("loc", loc)
        self.scale = positive_number("scale", scale)
        self.learned_scale = boolean("learned_scale", learned_scale)

    def __call__(self, dtype, shape, name, trainable, add_variable_fn):
        """Returns the distribution, as `tfp.layers` calls for it."""
        scale = self.scale
        if self.learned_scale:
            untransformed_scale = add_variable_fn(
                name=f"{name}_untransformed_scale",
                shape=(),
                dtype=dtype,
                initializer=initializers.Constant(
                    untransformed_scale_of(scale, _name(dtype))
                ),
                regularizer=None,
                constraint=None,
                trainable=trainable,
            )
            scale = scale_of(untransformed_scale)
        loc = ops.full(tuple(shape), self.loc, dtype=_name(dtype))
        # `ops.cast` would round a number of Python to float32 first.
        scale = ops.convert_to_tensor(scale, _name(dtype))
        return independent(tfd().Normal(loc, scale), shape)


@keras.saving.register_keras_serializable(package="keras_dnc")
class ScaleMixturePrior(_Function):
    """Independent weights of which some are wide and the rest are near zero.

    `p = π N(0, σ₁²) + (1 − π) N(0, σ₂²)` for every element.

    Source: Blundell et al., [Weight uncertainty in neural networks](
    https://arxiv.org/abs/1505.05424), 2015, equation (7).

    Args:
        mixing: `π`, the weight of the first component.
        scale1: `σ₁`.
        scale2: `σ₂`.
    """

    def __init__(
        self,
        mixing: float = 0.5,
        scale1: float = 1.0,
        scale2: float = 0.002,
    ):
        self.mixing = fraction("mixing", mixing)
        self.scale1 = positive_number("scale1", scale1)
        self.scale2 = positive_number("scale2", scale2)

    def __call__(self, dtype, shape, name, trainable, add_variable_fn):
        """Returns the distribution, as `tfp.layers` calls for it."""
        dtype = _name(dtype)
        weights = ops.convert_to_tensor([self.mixing, 1 - self.mixing], dtype)
        # Not MixtureSameFamily, whose last axis of two components takes three
        # times as long.
        components = [
            tfd().Normal(
                ops.zeros(shape, dtype), ops.convert_to_tensor(scale, dtype)
            )
            for scale in (self.scale1, self.scale2)
        ]
        mixture = tfd().Mixture(
            tfd().Categorical(probs=ops.broadcast_to(weights, (*shape, 2))),
            components,
        )
        return independent(mixture, shape)


@keras.saving.register_keras_serializable(package="keras_dnc")
class CentredNormalPrior(_Function):
    """Independent normal weights around values that are given and stay.

    `p = N(m, scale²)`, `m` a variable `..._loc` that is not trained, so that
    it is saved with the model: a model's earlier weights, for instance.

    Args:
        scale: Standard deviation.
        loc_initializer: Initializer of `m`.
    """

    def __init__(self, scale: float = 1.0, loc_initializer="zeros"):
        self.scale = positive_number("scale", scale)
        self.loc_initializer = initializers.get(loc_initializer)

    def __call__(self, dtype, shape, name, trainable, add_variable_fn):
        """Returns the distribution, as `tfp.layers` calls for it."""
        loc = add_variable_fn(
            name=f"{name}_loc",
            shape=shape,
            dtype=dtype,
            initializer=fresh(self.loc_initializer),
            regularizer=None,
            constraint=None,
            trainable=False,
        )
        scale = ops.convert_to_tensor(self.scale, _name(dtype))
        return independent(tfd().Normal(loc, scale), shape)


def default_mean_field_normal_fn(
    is_singular: bool = False,
    loc_initializer=None,
    untransformed_scale_initializer=None,
    loc_regularizer=None,
    untransformed_scale_regularizer=None,
    loc_constraint=None,
    untransformed_scale_constraint=None,
):
    """Returns a `MeanFieldNormal`, or a `Deterministic` if it is singular.

    The arguments are those of `tfp.layers.default_mean_field_normal_fn`.

    Args:
        is_singular: Whether the weights are points.
        loc_initializer: Initializer of the means.
        untransformed_scale_initializer: Initializer of `ρ`.
        loc_regularizer: Regularizer of the means.
        untransformed_scale_regularizer: Regularizer of `ρ`.
        loc_constraint: Constraint of the means.
        untransformed_scale_constraint: Constraint of `ρ`.
    """
    if is_singular:
        return Deterministic(loc_initializer, loc_regularizer, loc_constraint)
    return MeanFieldNormal(
        loc_initializer,
        untransformed_scale_initializer,
        loc_regularizer,
        untransformed_scale_regularizer,
        loc_constraint,
        untransformed_scale_constraint,
    )


@keras.saving.register_keras_serializable(package="keras_dnc")
def default_multivariate_normal_fn(
    dtype, shape, name, trainable, add_variable_fn
):
    """Returns independent standard normals, as tfp's function of that name.

    Args:
        dtype: The dtype of the weights.
        shape: Their shape.
        name: Not used.
        trainable: Not used.
        add_variable_fn: Not used.
    """
    return NormalPrior()(dtype, shape, name, trainable, add_variable_fn)


def _name(dtype) -> str:
    return keras.backend.standardize_dtype(dtype)
