"""A dense layer whose kernel and bias have one joint posterior."""

import math
from typing import ClassVar

import keras
from keras import activations, initializers, ops, regularizers

from keras_dnc.bayesian.distributions import (
    MeanFieldNormal,
    independent,
    tfd,
)
from keras_dnc.bayesian.divergences import AnalyticKL, MonteCarloKL
from keras_dnc.bayesian.estimators import Reparameterization
from keras_dnc.bayesian.variational import Variational
from keras_dnc.bayesian.weights import RandomWeight
from keras_dnc.initialization import fresh, seed_of
from keras_dnc.validation import boolean, positive_integer

register = keras.saving.register_keras_serializable(package="keras_dnc")


@register
class VariableDistribution:
    """A posterior or prior made of a vector of learned numbers.

    Takes the place of a Sequential of tfp's `VariableLayer` and
    `DistributionLambda`.

    Args:
        size: How many numbers.
        make_distribution_fn: Maps the numbers, a tensor of shape `(size,)`, to
            a tfp distribution of weights.
        initializer: Initializer of the numbers.
    """

    def __init__(self, size, make_distribution_fn, initializer="zeros"):
        self.size = positive_integer("size", size)
        self.make_distribution_fn = _function(
            "make_distribution_fn", make_distribution_fn
        )
        self.initializer = initializers.get(initializer)

    def __call__(self, dtype, shape, name, trainable, add_variable_fn):
        """Returns the distribution, as `tfp.layers` calls for it."""
        numbers = add_variable_fn(
            name=f"{name}_variables",
            shape=(self.size,),
            dtype=dtype,
            initializer=fresh(self.initializer),
            trainable=trainable,
        )
        return self.make_distribution_fn(numbers)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {
            "size": self.size,
            "make_distribution_fn": keras.saving.serialize_keras_object(
                self.make_distribution_fn
            ),
            "initializer": initializers.serialize(self.initializer),
        }

    @classmethod
    def from_config(cls, config):
        """Makes the object from what `get_config` returned."""
        return cls(**config)


@register
def posterior_mean_field(kernel_size, bias_size=0, dtype=None):
    """Returns a posterior of independent normals, for `DenseVariational`.

    Args:
        kernel_size: Number of elements of the kernel.
        bias_size: Number of elements of the bias.
        dtype: Dtype of the weights.
    """
    return MeanFieldNormal()


@register
def prior_trainable(kernel_size, bias_size=0, dtype=None):
    """Returns a prior `N(m, 1)` whose means are learned, at first zero.

    Args:
        kernel_size: Number of elements of the kernel.
        bias_size: Number of elements of the bias.
        dtype: Dtype of the weights.
    """
    return VariableDistribution(kernel_size + bias_size, _unit_normals)


@register
def _unit_normals(loc):
    return independent(tfd().Normal(loc, ops.ones_like(loc)), loc.shape)


@register
class DenseVariational(Variational, keras.layers.Layer):
    """A dense layer with one joint posterior of kernel and bias.

    `y = activation(x W + b)`, the vector `w` of the elements of `W`, row by
    row, and of `b` drawn once a call, for all examples. Its elements need not
    be independent: a full covariance serves as well.

    Source: `tfp.layers.DenseVariational`; Blundell et al., [Weight uncertainty
    in neural networks](https://arxiv.org/abs/1505.05424), 2015.

    Args:
        units: Width of an output.
        make_posterior_fn: Function of `kernel_size`, `bias_size` and `dtype`
            that returns the posterior of `kernel_size + bias_size` weights: a
            `VariableDistribution`, or any function as in
            `keras_dnc.bayesian.distributions`. `posterior_mean_field` is one.
        make_prior_fn: Function of the same arguments that returns the prior;
            it may have variables that are learned, as that of
            `prior_trainable` has.
        kl_weight: Factor of the divergence in the loss; 1 / (number of
            training examples) makes the loss the negative evidence lower bound
            per example. None for 1.
        kl_use_exact: Whether the divergence is tfp's closed form and not an
            estimate from a draw.
        activation: Activation function.
        use_bias: Whether there is a bias.
        activity_regularizer: Regularizer of the outputs.
        seed: Seed of the draws.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape `(B, ..., I)`.

    Returns:
        Tensor of shape `(B, ..., units)`.

    Raises:
        ValueError: If an argument is out of its range, if a distribution is
            of another number of weights, or if the backend is not TensorFlow.

    Example:
    >>> import numpy as np
    >>> from keras_dnc import bayesian
    >>> layer = bayesian.DenseVariational(
    ...     3,
    ...     bayesian.posterior_mean_field,
    ...     bayesian.prior_trainable,
    ...     kl_weight=1 / 60_000,
    ... )
    >>> layer(np.zeros((2, 4))).shape
    TensorShape([2, 3])
    """

    random: ClassVar[dict[str, str]] = {}

    def __init__(
        self,
        units,
        make_posterior_fn,
        make_prior_fn,
        kl_weight=None,
        kl_use_exact=False,
        activation=None,
        use_bias=True,
        activity_regularizer=None,
        seed=None,
        **kwargs,
    ):
        super().__init__(
            kl_weight=1.0 if kl_weight is None else kl_weight,
            seed=seed,
            activity_regularizer=activity_regularizer,
            **kwargs,
        )
        self.units = positive_integer("units", units)
        self.make_posterior_fn = _function(
            "make_posterior_fn", make_posterior_fn
        )
        self.make_prior_fn = _function("make_prior_fn", make_prior_fn)
        self.kl_use_exact = boolean("kl_use_exact", kl_use_exact)
        self.activation = activations.get(activation)
        self.use_bias = boolean("use_bias", use_bias)
        self.input_spec = keras.layers.InputSpec(min_ndim=2)
        self.supports_masking = True

    def build(self, input_shape):
        """Builds the joint weight."""
        width = input_shape[-1]
        if width is None:
            raise ValueError(
                "The last axis of the inputs must have a known width. "
                f"Received: input_shape={input_shape}"
            )
        super().build(input_shape)
        self._kernel_shape = (width, self.units)
        sizes = (math.prod(self._kernel_shape), self.units * self.use_bias)
        self.kernel_and_bias = RandomWeight(
            (sum(sizes),),
            posterior_fn=self.make_posterior_fn(*sizes, self.variable_dtype),
            tensor_fn=None,
            prior_fn=self.make_prior_fn(*sizes, self.variable_dtype),
            divergence_fn=AnalyticKL() if self.kl_use_exact else MonteCarloKL(),
            estimator=Reparameterization(),
            kl_weight=self.present_kl_weight,
            prefix="make",
            seed=seed_of(self.seed, "kernel_and_bias"),
            dtype=self.dtype_policy,
            trainable=self.trainable,
            name="kernel_and_bias",
        )
        self.input_spec = keras.layers.InputSpec(min_ndim=2, axes={-1: width})

    def call(self, inputs):
        """Returns the outputs, with weights drawn anew."""
        outputs = self.kernel_and_bias.apply(
            self._dense, inputs, self.kernel_and_bias.draw(None)
        )
        return self.activation(outputs)

    def _dense(self, inputs, kernel_and_bias):
        kernel, bias = self.split(kernel_and_bias)
        outputs = ops.matmul(inputs, kernel)
        return outputs if bias is None else outputs + bias

    def split(self, kernel_and_bias):
        """Returns kernel and bias of a joint vector, None for no bias.

        Args:
            kernel_and_bias: Tensor of shape `(I · units + units,)`, or of
                `(I · units,)` without a bias.
        """
        size = math.prod(self._kernel_shape)
        kernel = ops.reshape(kernel_and_bias[:size], self._kernel_shape)
        return kernel, kernel_and_bias[size:] if self.use_bias else None

    def compute_output_shape(self, input_shape):
        """Returns the shape of the outputs."""
        return (*input_shape[:-1], self.units)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "units": self.units,
            "make_posterior_fn": serialize(self.make_posterior_fn),
            "make_prior_fn": serialize(self.make_prior_fn),
            "kl_use_exact": self.kl_use_exact,
            "activation": activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "activity_regularizer": regularizers.serialize(
                self.activity_regularizer
            ),
        }


def _function(name, value):
    if isinstance(value, dict):
        value = keras.saving.deserialize_keras_object(value)
    if not callable(value):
        raise ValueError(
            f"`{name}` must be a function. Received: {name}={value!r}"
        )
    return value
