"""Variational dense and convolution layers."""

import keras
from keras import initializers, ops

from keras_dnc.bayesian.estimators import (
    Flipout,
    LocalReparameterization,
    Reparameterization,
)
from keras_dnc.bayesian.variational import ARGUMENTS, Variational

# What the docstrings below have in common.
CONVOLUTION = """
        filters: Number of filters.
        kernel_size: Size of the kernel.
        strides: Strides.
        padding: "valid" or "same"; in one dimension "causal" too.
        data_format: "channels_last" or "channels_first".
        dilation_rate: Dilation.
        activation: Activation function."""

register = keras.saving.register_keras_serializable(package="keras_dnc")


def documented(cls):
    """Class decorator: fills in the arguments that docstrings share."""
    cls.__doc__ = cls.__doc__.replace(
        "{convolution}", CONVOLUTION.strip()
    ).replace("{arguments}", ARGUMENTS.strip())
    return cls


def _small():
    return initializers.RandomNormal(stddev=0.1)


TFP_MEANS = {"kernel_initializer": _small, "bias_initializer": _small}


class _Dense(Variational, keras.layers.Dense):
    means = TFP_MEANS

    def __init__(self, units, activation=None, **kwargs):
        super().__init__(units, activation=activation, **kwargs)

    def call(self, inputs, training=None):
        """Returns the outputs, with weights drawn anew."""

        def signs_shape(channels):
            return (*ops.shape(inputs)[:-1], channels)

        outputs = self.kernel.apply(
            ops.matmul, inputs, self.kernel.draw(signs_shape)
        )
        return self.activation(self.add_bias(outputs))


class _Convolution(Variational):
    means = TFP_MEANS

    def __init__(
        self,
        filters,
        kernel_size,
        strides=1,
        padding="valid",
        data_format=None,
        dilation_rate=1,
        activation=None,
        **kwargs,
    ):
        super().__init__(
            filters,
            kernel_size,
            strides=strides,
            padding=padding,
            data_format=data_format,
            dilation_rate=dilation_rate,
            activation=activation,
            **kwargs,
        )

    def call(self, inputs):
        """Returns the outputs, with weights drawn anew."""
        is_last = self.data_format == "channels_last"
        space = (1,) * self.rank

        def signs_shape(channels):
            rest = (*space, channels) if is_last else (channels, *space)
            return (ops.shape(inputs)[0], *rest)

        outputs = self.kernel.apply(
            self._convolve, inputs, self.kernel.draw(signs_shape)
        )
        return self.activation(self.add_bias(outputs, -1 if is_last else 1))

    def _convolve(self, inputs, kernel):
        padding = self.padding
        if padding == "causal":
            before = self.dilation_rate[0] * (self.kernel_size[0] - 1)
            time = 1 if self.data_format == "channels_last" else 2
            pads = [(0, 0)] * 3
            pads[time] = (before, 0)
            inputs, padding = ops.pad(inputs, pads), "valid"
        return ops.conv(
            inputs,
            kernel,
            strides=list(self.strides),
            padding=padding,
            dilation_rate=self.dilation_rate,
            data_format=self.data_format,
        )


@register
@documented
class DenseFlipout(_Dense):
    """`keras.layers.Dense` with a random kernel, by the Flipout estimator.

    `y = activation(x μ + ((x∘s_in) (σ∘ε))∘s_out + b)`: `ε` is drawn once a
    call, the signs `s` for each example (and each position of an input of
    higher rank). The divergence of the kernel from its prior, times
    `kl_weight`, is added to the loss.

    Source: Wen et al., [Flipout: Efficient pseudo-independent weight
    perturbations on mini-batches](https://arxiv.org/abs/1803.04386), 2018;
    `tfp.layers.DenseFlipout`.

    Args:
        units: Width of an output.
        activation: Activation function.
        {arguments}
        **kwargs: Every other argument of `keras.layers.Dense`; those of the
            kernel and the bias hold for the means of their posteriors.

    Call arguments:
        inputs: Tensor of shape `(B, ..., I)`.

    Returns:
        Tensor of shape `(B, ..., units)`.

    Raises:
        ValueError: If an argument is out of its range, or if the backend is
            not TensorFlow.

    Example:
    >>> import numpy as np
    >>> from keras_dnc import bayesian
    >>> layer = bayesian.DenseFlipout(3, kl_weight=1 / 60_000)
    >>> layer(np.zeros((2, 4))).shape
    TensorShape([2, 3])
    >>> len(layer.losses)
    2
    """

    estimator = Flipout


@register
@documented
class DenseReparameterization(_Dense):
    """`keras.layers.Dense` with a random kernel, drawn once a call.

    `y = activation(x (μ + σ∘ε) + b)`, one `ε` for all examples.

    Source: Blundell et al., [Weight uncertainty in neural networks](
    https://arxiv.org/abs/1505.05424), 2015;
    `tfp.layers.DenseReparameterization`.

    Args:
        units: Width of an output.
        activation: Activation function.
        {arguments}
        **kwargs: Every other argument of `keras.layers.Dense`; those of the
            kernel and the bias hold for the means of their posteriors.

    Call arguments:
        inputs: Tensor of shape `(B, ..., I)`.

    Returns:
        Tensor of shape `(B, ..., units)`.

    Raises:
        ValueError: If an argument is out of its range, or if the backend is
            not TensorFlow.
    """

    estimator = Reparameterization


@register
@documented
class DenseLocalReparameterization(_Dense):
    """`keras.layers.Dense` whose outputs are drawn, for each example.

    `y = activation(z + b)`, `z ~ N(x μ, x² σ²)`.

    Source: Kingma et al., [Variational dropout and the local
    reparameterization trick](https://arxiv.org/abs/1506.02557), 2015;
    `tfp.layers.DenseLocalReparameterization`.

    Args:
        units: Width of an output.
        activation: Activation function.
        {arguments}
        **kwargs: Every other argument of `keras.layers.Dense`; those of the
            kernel and the bias hold for the means of their posteriors.

    Call arguments:
        inputs: Tensor of shape `(B, ..., I)`.

    Returns:
        Tensor of shape `(B, ..., units)`.

    Raises:
        ValueError: If an argument is out of its range, or if the backend is
            not TensorFlow.
    """

    estimator = LocalReparameterization


@register
@documented
class Conv1DFlipout(_Convolution, keras.layers.Conv1D):
    """`keras.layers.Conv1D` with a random kernel, by the Flipout estimator.

    `y = activation(x ∗ μ + ((x∘s_in) ∗ (σ∘ε))∘s_out + b)`: `ε` is drawn once a
    call, the signs of channels and filters for each example, shared over
    time.

    Source: Wen et al., [Flipout: Efficient pseudo-independent weight
    perturbations on mini-batches](https://arxiv.org/abs/1803.04386), 2018;
    `tfp.layers.Convolution1DFlipout`.

    Args:
        {convolution}
        {arguments}
        **kwargs: Every other argument of `keras.layers.Conv1D`; those of the
            kernel and the bias hold for the means of their posteriors.

    Call arguments:
        inputs: Tensor of shape `(B, T, C)`, or with `C` after `B`,
            as `data_format` says.

    Returns:
        Tensor of the shape that `keras.layers.Conv1D` returns.

    Raises:
        ValueError: If an argument is out of its range, or if the backend is
            not TensorFlow.
    """

    estimator = Flipout


@register
@documented
class Conv1DReparameterization(_Convolution, keras.layers.Conv1D):
    """`keras.layers.Conv1D` with a random kernel, drawn once a call.

    `y = activation(x ∗ (μ + σ∘ε) + b)`, one `ε` for all examples.

    Source: Blundell et al., [Weight uncertainty in neural networks](
    https://arxiv.org/abs/1505.05424), 2015;
    `tfp.layers.Convolution1DReparameterization`.

    Args:
        {convolution}
        {arguments}
        **kwargs: Every other argument of `keras.layers.Conv1D`; those of the
            kernel and the bias hold for the means of their posteriors.

    Call arguments:
        inputs: Tensor of shape `(B, T, C)`, or with `C` after `B`,
            as `data_format` says.

    Returns:
        Tensor of the shape that `keras.layers.Conv1D` returns.

    Raises:
        ValueError: If an argument is out of its range, or if the backend is
            not TensorFlow.
    """

    estimator = Reparameterization


@register
@documented
class Conv2DFlipout(_Convolution, keras.layers.Conv2D):
    """`keras.layers.Conv2D` with a random kernel, by the Flipout estimator.

    `y = activation(x ∗ μ + ((x∘s_in) ∗ (σ∘ε))∘s_out + b)`: `ε` is drawn once a
    call, the signs of channels and filters for each example, shared over
    space.

    Source: Wen et al., [Flipout: Efficient pseudo-independent weight
    perturbations on mini-batches](https://arxiv.org/abs/1803.04386), 2018;
    `tfp.layers.Convolution2DFlipout`.

    Args:
        {convolution}
        {arguments}
        **kwargs: Every other argument of `keras.layers.Conv2D`; those of the
            kernel and the bias hold for the means of their posteriors.

    Call arguments:
        inputs: Tensor of shape `(B, x, y, C)`, or with `C` after `B`,
            as `data_format` says.

    Returns:
        Tensor of the shape that `keras.layers.Conv2D` returns.

    Raises:
        ValueError: If an argument is out of its range, or if the backend is
            not TensorFlow.
    """

    estimator = Flipout


@register
@documented
class Conv2DReparameterization(_Convolution, keras.layers.Conv2D):
    """`keras.layers.Conv2D` with a random kernel, drawn once a call.

    `y = activation(x ∗ (μ + σ∘ε) + b)`, one `ε` for all examples.

    Source: Blundell et al., [Weight uncertainty in neural networks](
    https://arxiv.org/abs/1505.05424), 2015;
    `tfp.layers.Convolution2DReparameterization`.

    Args:
        {convolution}
        {arguments}
        **kwargs: Every other argument of `keras.layers.Conv2D`; those of the
            kernel and the bias hold for the means of their posteriors.

    Call arguments:
        inputs: Tensor of shape `(B, x, y, C)`, or with `C` after `B`,
            as `data_format` says.

    Returns:
        Tensor of the shape that `keras.layers.Conv2D` returns.

    Raises:
        ValueError: If an argument is out of its range, or if the backend is
            not TensorFlow.
    """

    estimator = Reparameterization


@register
@documented
class Conv3DFlipout(_Convolution, keras.layers.Conv3D):
    """`keras.layers.Conv3D` with a random kernel, by the Flipout estimator.

    `y = activation(x ∗ μ + ((x∘s_in) ∗ (σ∘ε))∘s_out + b)`: `ε` is drawn once a
    call, the signs of channels and filters for each example, shared over
    space.

    Source: Wen et al., [Flipout: Efficient pseudo-independent weight
    perturbations on mini-batches](https://arxiv.org/abs/1803.04386), 2018;
    `tfp.layers.Convolution3DFlipout`.

    Args:
        {convolution}
        {arguments}
        **kwargs: Every other argument of `keras.layers.Conv3D`; those of the
            kernel and the bias hold for the means of their posteriors.

    Call arguments:
        inputs: Tensor of shape `(B, x, y, z, C)`, or with `C` after `B`,
            as `data_format` says.

    Returns:
        Tensor of the shape that `keras.layers.Conv3D` returns.

    Raises:
        ValueError: If an argument is out of its range, or if the backend is
            not TensorFlow.
    """

    estimator = Flipout


@register
@documented
class Conv3DReparameterization(_Convolution, keras.layers.Conv3D):
    """`keras.layers.Conv3D` with a random kernel, drawn once a call.

    `y = activation(x ∗ (μ + σ∘ε) + b)`, one `ε` for all examples.

    Source: Blundell et al., [Weight uncertainty in neural networks](
    https://arxiv.org/abs/1505.05424), 2015;
    `tfp.layers.Convolution3DReparameterization`.

    Args:
        {convolution}
        {arguments}
        **kwargs: Every other argument of `keras.layers.Conv3D`; those of the
            kernel and the bias hold for the means of their posteriors.

    Call arguments:
        inputs: Tensor of shape `(B, x, y, z, C)`, or with `C` after `B`,
            as `data_format` says.

    Returns:
        Tensor of the shape that `keras.layers.Conv3D` returns.

    Raises:
        ValueError: If an argument is out of its range, or if the backend is
            not TensorFlow.
    """

    estimator = Reparameterization
