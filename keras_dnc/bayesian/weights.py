"""A weight of a layer that is a distribution instead of a number."""

from collections.abc import Callable

import keras
import numpy as np
from keras import ops

from keras_dnc.bayesian.distributions import (
    independent,
    tfd,
    untransformed_scale_of,
)
from keras_dnc.bayesian.estimators import LocalReparameterization
from keras_dnc.bayesian.noise import normals


class RandomWeight(keras.layers.Layer):
    """A random weight: its posterior, its prior and how it is drawn.

    A layer that holds it applies it by `apply` and owes its divergence, times
    `kl_weight`, to the loss: once a batch, however often it is applied. It is
    added as Keras adds a regularizer's loss, and so as long as the weight, or
    a part of it, is trainable.

    Args:
        shape: Shape of the weight.
        posterior_fn: Posterior, see `distributions`.
        tensor_fn: Maps a distribution to a draw; None for a sample.
        prior_fn: Prior, see `distributions`; None for none.
        divergence_fn: Divergence, see `divergences`.
        estimator: How the weight acts on inputs, see `estimators`.
        kl_weight: Returns the present factor of the divergence in the loss.
        groups: Groups of channels of a convolution.
        channel_axis: The axis of channels in inputs and outputs.
        prefix: What the layer's arguments for this weight begin with, for
            messages.
        seed: Seed of the draws.
        trainable: Whether the weight is trained.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name`.
    """

    def __init__(
        self,
        shape,
        posterior_fn: Callable,
        tensor_fn: Callable | None,
        prior_fn: Callable | None,
        divergence_fn: Callable | None,
        estimator,
        kl_weight: Callable,
        groups: int = 1,
        channel_axis: int = -1,
        prefix: str = "kernel",
        seed: int | None = None,
        trainable: bool = True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.shape = tuple(shape)
        self.groups = groups
        self.channel_axis = channel_axis
        self.prefix = prefix
        self.generator = keras.random.SeedGenerator(seed)
        self.estimator = estimator
        self._posterior_fn = posterior_fn
        self._tensor_fn = tensor_fn
        self._prior_fn = prior_fn
        self._divergence_fn = divergence_fn
        self._kl_weight = kl_weight
        self._named = {}
        self._mask = None
        # The draw that is held, a structure of tensors.
        self.held = None
        # The first calls make the variables.
        self._distribution(posterior_fn, "posterior")
        if prior_fn is not None:
            self._distribution(prior_fn, "prior")
        self.built = True
        # Not before: variables that are made for a layer that is not trained
        # can never be.
        self.trainable = trainable
        estimator.check(self)

    @property
    def label(self) -> str:
        """The path of the weight, such as "dense_flipout/kernel"."""
        return next(iter(self._named.values())).path.rpartition("/")[0]

    @property
    def channels_in(self) -> int:
        """Number of channels of the inputs."""
        return self.shape[-2] * self.groups

    @property
    def channels_out(self) -> int:
        """Number of channels of the outputs."""
        return self.shape[-1]

    @property
    def posterior(self):
        """The posterior, with the present values of its variables."""
        return self._distribution(self._posterior_fn, "posterior")

    @property
    def prior(self):
        """The prior, with the present values of its variables, or None."""
        if self._prior_fn is None:
            return None
        return self._distribution(self._prior_fn, "prior")

    @property
    def is_normal(self) -> bool:
        """Whether the elements of the posterior are independent normals."""
        posterior = self.posterior
        return isinstance(posterior, tfd().Independent) and isinstance(
            posterior.distribution, tfd().Normal
        )

    def normal_posterior(self, estimator: str):
        """Returns the `tfd.Normal` of the posterior's elements.

        Args:
            estimator: Who asks, for the message.

        Raises:
            ValueError: If the elements are not independent normals.
        """
        if not self.is_normal:
            raise ValueError(
                f"`{self.prefix}_posterior_fn` must make independent normals "
                f"(tfd.Independent of tfd.Normal) for {estimator}. Received: "
                f"{self.posterior}"
            )
        normal = self.posterior.distribution
        return type(normal)(*_of_one_shape(normal))

    def check_elementwise(self):
        """Raises ValueError if the prior's elements are not independent."""
        prior = self.prior
        if prior is None:
            return
        is_independent = isinstance(prior, tfd().Independent)
        if not is_independent or prior.distribution.event_shape.rank:
            raise ValueError(
                f"`{self.prefix}_prior_fn` must make independent elements, so "
                f"that some can be pruned. Received: {prior}"
            )

    def sample(self, distribution, samples: int):
        """Draws from a distribution of this weight.

        Args:
            distribution: A tfp distribution.
            samples: How many draws; more than one lie along a new first axis.
        """
        if self._tensor_fn is not None:
            draws = [self._tensor_fn(distribution) for _ in range(samples)]
            draws = [ops.convert_to_tensor(draw) for draw in draws]
            return draws[0] if samples == 1 else ops.stack(draws)
        several = () if samples == 1 else (samples,)
        element = distribution
        if isinstance(element, tfd().Independent):
            element = element.distribution
        if isinstance(element, tfd().Normal):
            loc, scale = _of_one_shape(element)
            shape = (*several, *ops.shape(loc))
            return loc + scale * normals(shape, loc.dtype, self.generator)
        seed = ops.cast(self.generator.next(), "int32")
        return distribution.sample(several, seed=seed)

    def divergence(self):
        """Returns the divergence of posterior and prior, a scalar.

        Elements that are pruned have none.
        """
        posterior, prior = self.posterior, self.prior
        sample = self.sample(posterior, 1)
        if self._mask is None:
            return ops.sum(self._divergence_fn(posterior, prior, sample))
        # By element, of distributions of independent elements.
        return ops.sum(
            self.masked(
                self._divergence_fn(
                    posterior.distribution, prior.distribution, sample
                )
            )
        )

    def masked(self, x):
        """Returns a tensor of the weight's shape, zero where it is pruned.

        Args:
            x: Tensor of shape `(..., *shape)`.
        """
        if self._mask is None:
            return x
        return x * ops.cast(ops.convert_to_tensor(self._mask), x.dtype)

    @property
    def mask(self):
        """Array of 1 where the weight is kept, 0 where pruned; or None."""
        if self._mask is None:
            return None
        return ops.convert_to_numpy(self._mask)

    @mask.setter
    def mask(self, value):
        if self._mask is None:
            # Keras locks the variables of a layer that is built.
            self._tracker.unlock()
            self._mask = self.add_weight(
                name="mask",
                shape=self.shape,
                initializer="ones",
                dtype="uint8",
                trainable=False,
                autocast=False,
            )
            self._tracker.lock()
        self._mask.assign(value)

    def set_posterior(self, loc, scale=None):
        """Sets the means of the posterior, and its deviations.

        Args:
            loc: Array of the weight's shape.
            scale: Standard deviations, a number or an array of the weight's
                shape; None to keep them.
        """
        self._named["posterior_loc"].assign(loc)
        if scale is not None and "posterior_untransformed_scale" in self._named:
            variable = self._named["posterior_untransformed_scale"]
            scale = np.broadcast_to(scale, self.shape)
            variable.assign(untransformed_scale_of(scale, variable.dtype))

    def centre_prior(self, loc):
        """Sets the means of a prior that has given ones, and no other's.

        Args:
            loc: Array of the weight's shape.
        """
        if "prior_loc" in self._named:
            self._named["prior_loc"].assign(loc)

    def save_own_variables(self, store):
        """Saves the variables, by name."""
        for name, variable in self._stored().items():
            store[name] = variable

    def load_own_variables(self, store):
        """Loads the variables, with a mask where there was one."""
        # Keras' stores list their keys, and cannot be asked for one.
        stored = list(store.keys())
        if "mask" in stored:
            self.mask = store["mask"]
        elif self._mask is not None:
            self.mask = np.ones(self.shape)
        for name, variable in self._named.items():
            variable.assign(store[name])

    def _stored(self):
        named = {**self._named, "mask": self._mask}
        return {name: v for name, v in named.items() if v is not None}

    @property
    def kl_weight(self) -> float:
        """The present factor of the divergence in the loss."""
        return float(ops.convert_to_numpy(self._kl_weight()))

    @property
    def is_trained(self) -> bool:
        """Whether a variable of posterior or prior is trainable."""
        return bool(self._trained())

    def _trained(self):
        return [name for name, v in self._named.items() if v.trainable]

    @property
    def has_divergence(self) -> bool:
        """Whether the weight owes a divergence to the loss."""
        return self._prior_fn is not None and self._divergence_fn is not None

    def hold(self, batch_size):
        """Draws once, for every `draw` until `release`.

        Args:
            batch_size: Number of examples in the inputs, which are of rank 2.

        Raises:
            ValueError: If the estimator does not draw weights.
        """
        if isinstance(self.estimator, LocalReparameterization):
            raise ValueError(
                "Local reparameterization draws outputs, not weights, and "
                "cannot hold a draw over a sequence; use Flipout or "
                f"reparameterization in a recurrence. Received: {self.label}"
            )
        self.held = self.estimator.draw(
            self, lambda channels: (batch_size, channels)
        )

    def release(self):
        """Ends what `hold` began."""
        self.held = None

    def draw(self, signs_shape: Callable):
        """Returns the draw that is held, or a new one, for `apply`.

        Args:
            signs_shape: Maps a number of channels to the shape of their signs,
                which must broadcast to inputs and outputs.
        """
        if self.held is not None:
            return self.held
        return self.estimator.draw(self, signs_shape)

    def apply(self, operation: Callable, inputs, draw):
        """Applies an operation to inputs and a draw of this weight.

        Args:
            operation: Maps inputs and a weight to outputs, linear in it.
            inputs: Tensor, batch first.
            draw: What `draw` returned.
        """
        # Keras casts real numbers to this dtype, but not integers.
        inputs = ops.cast(inputs, self.compute_dtype)
        return self.estimator.apply(self, operation, inputs, draw)

    def _distribution(self, function, name):
        import tensorflow as tf

        distribution = function(
            tf.as_dtype(self.variable_dtype),
            self.shape,
            name,
            True,
            self._add_or_read_variable,
        )
        shape = (*distribution.batch_shape, *distribution.event_shape)
        if shape != self.shape:
            raise ValueError(
                f"`{self.prefix}_{name}_fn` must make a distribution of "
                f"tensors of shape {self.shape}. Received one of shape {shape}"
            )
        if distribution.batch_shape.rank:
            # A distribution of each element is one of independent elements.
            distribution = independent(distribution, distribution.batch_shape)
        return distribution

    def _add_or_read_variable(
        self, name, shape, dtype=None, regularizer=None, **kwargs
    ):
        """Makes a variable when first called for it; returns its value."""
        if name not in self._named:
            regularizer = keras.regularizers.get(regularizer)
            self._named[name] = self.add_weight(
                name=name,
                shape=tuple(shape),
                dtype=keras.backend.standardize_dtype(dtype),
                autocast=False,
                regularizer=self._loss_of(name, regularizer),
                **{
                    key: value
                    for key, value in kwargs.items()
                    if key in ("initializer", "constraint", "trainable")
                },
            )
        return ops.convert_to_tensor(self._named[name])

    def _loss_of(self, name, regularizer):
        """Returns what a variable owes to the loss, as a regularizer.

        The divergence is owed by the first variable that is trained: Keras
        asks the regularizers of trained variables alone.
        """
        if not self.has_divergence:
            return regularizer

        def loss(value):
            total = ops.zeros((), value.dtype)
            if regularizer is not None:
                total = total + regularizer(value)
            if name != self._trained()[0]:
                return total
            return total + self._kl_weight() * self.divergence()

        return loss


def _of_one_shape(normal):
    """Returns means and deviations, broadcast to each other's shapes."""
    loc, scale = map(ops.convert_to_tensor, (normal.loc, normal.scale))
    if loc.shape == scale.shape:
        return loc, scale
    shape = np.broadcast_shapes(loc.shape, scale.shape)
    return ops.broadcast_to(loc, shape), ops.broadcast_to(scale, shape)


def random_weights(layer: keras.layers.Layer) -> list[RandomWeight]:
    """Returns the random weights of a layer or a model, each once.

    Args:
        layer: Any Keras layer.
    """
    found = {
        id(part): part
        for part in layer._flatten_layers()
        if isinstance(part, RandomWeight)
    }
    return list(found.values())
