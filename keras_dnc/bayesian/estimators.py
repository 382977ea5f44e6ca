"""How a random weight acts on inputs: three estimators of its gradient.

Each draws noise and applies an operation that is linear in a weight, such as
a matrix product or a convolution, to inputs and the weight. In expectation
over the noise all three compute the same; they differ in what the examples of
a batch share, and so in the variance of gradients.

With `drawing(samples)` a batch is taken as that many equal groups of examples
one after another, each of which gets draws of its own.
"""

import contextlib
import contextvars

from keras import ops

from keras_dnc.bayesian.noise import signs
from keras_dnc.validation import positive_integer

_samples = contextvars.ContextVar("samples", default=1)


@contextlib.contextmanager
def drawing(samples: int):
    """Within this context a batch holds `samples` groups with own draws.

    Args:
        samples: The number of groups; the batch size is a multiple of it.
    """
    token = _samples.set(positive_integer("samples", samples))
    try:
        yield
    finally:
        _samples.reset(token)


def square_root(x):
    """Returns `√x` with the gradient 0 at 0, where that of the root is not.

    Args:
        x: Tensor of any shape, not negative.
    """
    positive = x > 0
    return ops.where(positive, ops.sqrt(ops.where(positive, x, 1)), 0)


def _in_groups(operation, inputs, weight, rank):
    """Applies an operation whose weight may differ between groups.

    Args:
        operation: Maps inputs and a weight to outputs, batch first.
        inputs: Tensor of shape `(groups · B, ...)`.
        weight: Tensor of rank `rank`, or of `rank` + 1, its first axis the
            groups.
        rank: The rank of one weight.
    """
    if len(weight.shape) == rank:
        return operation(inputs, weight)
    groups = weight.shape[0]
    shape = ops.shape(inputs)
    outputs = ops.vectorized_map(
        lambda pair: operation(*pair),
        (ops.reshape(inputs, (groups, -1, *shape[1:])), weight),
    )
    return ops.reshape(outputs, (-1, *ops.shape(outputs)[2:]))


class Reparameterization:
    """One draw of the weight for all examples: `y = x (μ + σ∘ε)`.

    Source: Blundell et al., [Weight uncertainty in neural networks](
    https://arxiv.org/abs/1505.05424), 2015, after Kingma and Welling,
    [Auto-encoding variational Bayes](https://arxiv.org/abs/1312.6114), 2014.
    """

    def check(self, weight):
        """Accepts every posterior."""

    def draw(self, weight, signs_shape):
        """Returns a draw of the weight.

        Args:
            weight: A `RandomWeight`.
            signs_shape: Not used.
        """
        return weight.masked(weight.sample(weight.posterior, _samples.get()))

    def apply(self, weight, operation, inputs, draw):
        """Returns `operation(inputs, draw)`.

        Args:
            weight: A `RandomWeight`.
            operation: Maps inputs and a weight to outputs, linear in it.
            inputs: Tensor, batch first.
            draw: What `draw` returned.
        """
        draw = ops.cast(draw, inputs.dtype)
        return _in_groups(operation, inputs, draw, len(weight.shape))


class Flipout:
    """One draw for all examples, with signs of each example's own.

    `y = x μ + ((x∘s_in) (σ∘ε))∘s_out`: every example sees a weight of the same
    distribution, and those of two examples are uncorrelated.

    Source: Wen et al., [Flipout: Efficient pseudo-independent weight
    perturbations on mini-batches](https://arxiv.org/abs/1803.04386), 2018,
    equation (4).
    """

    def check(self, weight):
        """Refuses a posterior that is not of independent normals."""
        weight.normal_posterior(type(self).__name__)

    def draw(self, weight, signs_shape):
        """Returns `μ`, `σ∘ε`, `s_in` and `s_out`.

        Args:
            weight: A `RandomWeight`.
            signs_shape: Maps a number of channels to the shape of their signs.
        """
        normal = weight.normal_posterior(type(self).__name__)
        centred = type(normal)(ops.zeros_like(normal.loc), normal.scale)
        perturbation = weight.sample(centred, _samples.get())
        return (
            weight.masked(ops.convert_to_tensor(normal.loc)),
            weight.masked(perturbation),
            signs(
                signs_shape(weight.channels_in), weight.dtype, weight.generator
            ),
            signs(
                signs_shape(weight.channels_out), weight.dtype, weight.generator
            ),
        )

    def apply(self, weight, operation, inputs, draw):
        """Returns `y`.

        Args:
            weight: A `RandomWeight`.
            operation: Maps inputs and a weight to outputs, linear in it.
            inputs: Tensor, batch first.
            draw: What `draw` returned.
        """
        loc, perturbation, signs_in, signs_out = (
            ops.cast(part, inputs.dtype) for part in draw
        )
        if len(signs_in.shape) == 2 < len(inputs.shape):
            # Held over a sequence they are of shape (B, channels).
            axes = [*range(len(inputs.shape))]
            del axes[weight.channel_axis], axes[0]
            signs_in, signs_out = (
                ops.expand_dims(part, axes) for part in (signs_in, signs_out)
            )
        perturbed = _in_groups(
            operation, inputs * signs_in, perturbation, len(weight.shape)
        )
        return operation(inputs, loc) + perturbed * signs_out


class LocalReparameterization:
    """A draw of the outputs for each example: `y ~ N(x μ, x² σ²)`.

    Outputs are drawn anew at each call: unlike weights they cannot be held
    over the time steps of a sequence.

    Source: Kingma et al., [Variational dropout and the local
    reparameterization trick](https://arxiv.org/abs/1506.02557), 2015,
    equation (6).
    """

    def check(self, weight):
        """Refuses a posterior that is not of independent normals."""
        weight.normal_posterior(type(self).__name__)

    def draw(self, weight, signs_shape):
        """Returns the posterior's means and deviations.

        Args:
            weight: A `RandomWeight`.
            signs_shape: Not used.
        """
        return weight.normal_posterior(type(self).__name__)

    def apply(self, weight, operation, inputs, draw):
        """Returns a draw of the outputs.

        Args:
            weight: A `RandomWeight`.
            operation: Maps inputs and a weight to outputs, linear in it.
            inputs: Tensor, batch first.
            draw: What `draw` returned.
        """
        # In the dtype of the weight: squares leave the range of float16.
        x = ops.cast(inputs, weight.dtype)
        scale = weight.masked(ops.convert_to_tensor(draw.scale))
        variance = operation(ops.square(x), ops.square(scale))
        loc = weight.masked(ops.convert_to_tensor(draw.loc))
        loc = operation(x, loc)
        outputs = weight.sample(type(draw)(loc, square_root(variance)), 1)
        return ops.cast(outputs, inputs.dtype)
