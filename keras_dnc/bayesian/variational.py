"""What makes a layer of Keras variational."""

from collections.abc import Callable
from typing import ClassVar

import keras
import numpy as np

from keras_dnc.bayesian.distributions import (
    Deterministic,
    MeanFieldNormal,
    NormalPrior,
)
from keras_dnc.bayesian.divergences import (
    AnalyticKL,
    KLDivergence,
    MonteCarloKL,
)
from keras_dnc.bayesian.estimators import Reparameterization
from keras_dnc.bayesian.weights import RandomWeight
from keras_dnc.initialization import seed_of
from keras_dnc.validation import nonnegative_integer, nonnegative_number

POSTERIORS = {
    "mean_field_normal": MeanFieldNormal,
    "deterministic": Deterministic,
}
PRIORS = {"standard_normal": NormalPrior}
DIVERGENCES = {
    "kl": KLDivergence,
    "analytic_kl": AnalyticKL,
    "monte_carlo_kl": MonteCarloKL,
}
# The names that an argument may have, by the end of the argument.
KNOWN = {
    "_posterior_fn": POSTERIORS,
    "_posterior_tensor_fn": {},
    "_prior_fn": PRIORS,
    "_divergence_fn": DIVERGENCES,
}

# For the documentation of each variational layer.
ARGUMENTS = """
        kernel_posterior_fn: Posterior of the kernel: a function as in
            `keras_dnc.bayesian.distributions`; "mean_field_normal", its
            means initialized, regularized and constrained as the arguments
            of the kernel say; or "deterministic".
        kernel_posterior_tensor_fn: Maps a tfp distribution to a draw. None
            for a sample, drawn with `seed`.
        kernel_prior_fn: Prior of the kernel: a function as for the posterior,
            "standard_normal", or None for no divergence.
        kernel_divergence_fn: Divergence of posterior, prior and a draw: a
            function as in `keras_dnc.bayesian.divergences`; "kl", in closed
            form where there is one, else estimated; "analytic_kl",
            "monte_carlo_kl", or None for none.
        bias_posterior_fn: As for the kernel; None for no bias.
        bias_posterior_tensor_fn: As for the kernel.
        bias_prior_fn: As for the kernel.
        bias_divergence_fn: As for the kernel.
        kl_weight: Factor of the divergences in the loss. With the mean
            negative log-likelihood of a batch as loss, 1 / (number of
            training examples) makes it the negative evidence lower bound per
            example.
        seed: Seed of the draws."""


class _Untracked:
    """Holds a variable that is no weight of the layer, and so is not saved."""

    def __init__(self, variable):
        self.variable = variable


class Variational:
    """Mixin of a layer of Keras whose weights are random.

    Where the layer adds a weight that is named in `random`, it gets a
    `RandomWeight` in its place. A subclass implements `call`.

    Class attributes:
        random: Names of the random weights, and for each the prefix of its
            arguments.
        estimator: How the kernels act on inputs. A bias is one draw for all
            examples.
        means: Initializers of the posteriors' means, by the name of the
            layer's argument, where they are tfp's and not the layer's own.
    """

    random: ClassVar[dict[str, str]] = {"kernel": "kernel", "bias": "bias"}
    estimator: ClassVar[object]
    means: ClassVar[dict[str, Callable]] = {}

    def __init__(
        self,
        *args,
        kl_weight: float = 1.0,
        seed: int | None = None,
        **kwargs,
    ):
        require_tensorflow(type(self).__name__)
        if kwargs.get("lora_rank") is not None:
            raise ValueError(
                "`lora_rank` is for kernels that are numbers, not "
                f"distributions. Received: lora_rank={kwargs['lora_rank']}"
            )
        functions = {
            name: kwargs.pop(name, default)
            for name, default in self.function_defaults().items()
        }
        for prefix in self.random.values():
            posterior_fn = functions[f"{prefix}_posterior_fn"]
            if not (posterior_fn is None or isinstance(posterior_fn, str)):
                _refuse_arguments_of_means(prefix, posterior_fn, kwargs)
        if functions.get("bias_posterior_fn", True) is None:
            kwargs["use_bias"] = False
        for name, initializer in self.means.items():
            kwargs.setdefault(name, initializer())
        super().__init__(*args, **kwargs)
        self.seed = seed
        if seed is not None:
            nonnegative_integer("seed", seed)
        self._initial_kl_weight = nonnegative_number("kl_weight", kl_weight)
        for name, value in functions.items():
            setattr(self, name, function_argument(name, value))

    @classmethod
    def function_defaults(cls):
        """The default of each posterior, prior and divergence."""
        defaults = {}
        for prefix in cls.random.values():
            is_bias = prefix == "bias"
            defaults |= {
                f"{prefix}_posterior_fn": "deterministic"
                if is_bias
                else "mean_field_normal",
                f"{prefix}_posterior_tensor_fn": None,
                f"{prefix}_prior_fn": None if is_bias else "standard_normal",
                f"{prefix}_divergence_fn": "kl",
            }
        return defaults

    @property
    def kl_weight(self) -> float:
        """The factor of the divergences in the loss; it can be set."""
        if not self.built:
            return self._initial_kl_weight
        return float(keras.ops.convert_to_numpy(self._kl_weight))

    @kl_weight.setter
    def kl_weight(self, value: float):
        value = nonnegative_number("kl_weight", value)
        if self.built:
            self._kl_weight.assign(value)
        else:
            self._initial_kl_weight = value

    @property
    def kl_factor(self) -> float:
        """What `kl_weight` is multiplied by for the time being; it can be set.

        Unlike `kl_weight` it is not saved with the layer.
        """
        if not self.built:
            return 1.0
        return float(keras.ops.convert_to_numpy(self._kl_factor.variable))

    @kl_factor.setter
    def kl_factor(self, value: float):
        value = nonnegative_number("kl_factor", value)
        if not self.built:
            raise ValueError(
                "`kl_factor` can be set when the layer is built. Received: "
                f"kl_factor={value}, for {self.name}"
            )
        self._kl_factor.variable.assign(value)

    def present_kl_weight(self):
        """Returns `kl_weight · kl_factor`, a tensor."""
        return self._kl_weight * self._kl_factor.variable

    def build(self, input_shape):
        """Builds the layer, its named weights as random ones."""
        self._kl_weight = super().add_weight(
            name="kl_weight",
            shape=(),
            initializer=keras.initializers.Constant(
                # As a number of Python it would be rounded to float32.
                np.float64(self._initial_kl_weight)
            ),
            trainable=False,
            autocast=False,
        )
        self._kl_factor = _Untracked(
            keras.Variable(
                # A number could not be set while a layer around this is built.
                "ones",
                shape=(),
                dtype=self._kl_weight.dtype,
                trainable=False,
            )
        )
        super().build(input_shape)

    def add_weight(self, *args, name=None, **kwargs):
        """Adds a weight, a random one if its name is in `random`."""
        if name not in self.random:
            return super().add_weight(*args, name=name, **kwargs)
        prefix = self.random[name]

        def function(kind):
            return getattr(self, f"{prefix}_{kind}")

        return RandomWeight(
            kwargs["shape"],
            posterior_fn=_posterior(function("posterior_fn"), kwargs),
            tensor_fn=function("posterior_tensor_fn"),
            prior_fn=_made(function("prior_fn"), PRIORS),
            divergence_fn=_made(function("divergence_fn"), DIVERGENCES),
            estimator=Reparameterization()
            if name == "bias"
            else self.estimator(),
            kl_weight=self.present_kl_weight,
            groups=getattr(self, "groups", 1),
            channel_axis=1
            if getattr(self, "data_format", None) == "channels_first"
            else -1,
            prefix=prefix,
            seed=seed_of(self.seed, name),
            dtype=self.dtype_policy,
            trainable=self.trainable,
            name=name,
        )

    def add_bias(self, outputs, channel_axis: int = -1):
        """Returns outputs with the bias added, if there is one.

        Args:
            outputs: Tensor, batch first.
            channel_axis: Its axis of channels.
        """
        if self.bias is None:
            return outputs
        shape = [1] * len(outputs.shape)
        shape[channel_axis] = -1
        return self.bias.apply(
            lambda x, bias: x + keras.ops.reshape(bias, shape),
            outputs,
            self.bias.draw(None),
        )

    # Layers of Keras that save what they call their kernel would find a
    # `RandomWeight`, which saves itself.
    def save_own_variables(self, store):
        """Saves the layer's own variables."""
        keras.layers.Layer.save_own_variables(self, store)

    def load_own_variables(self, store):
        """Loads the layer's own variables."""
        keras.layers.Layer.load_own_variables(self, store)

    def get_config(self):
        """Returns the constructor's arguments."""
        config = super().get_config()
        for prefix in self.random.values():
            if not isinstance(getattr(self, f"{prefix}_posterior_fn"), str):
                for kind in ("initializer", "regularizer", "constraint"):
                    config.pop(f"{prefix}_{kind}", None)
        functions = {
            name: keras.saving.serialize_keras_object(getattr(self, name))
            for name in self.function_defaults()
        }
        return {
            **config,
            **functions,
            "kl_weight": self.kl_weight,
            "seed": self.seed,
        }


def require_tensorflow(name: str) -> None:
    """Raises ValueError if the backend is not TensorFlow.

    Args:
        name: Who needs it, for the message.
    """
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise ValueError(
            f"`{name}` needs the TensorFlow backend, on which TensorFlow "
            f"Probability works. Received the backend: {backend}"
        )


def _refuse_arguments_of_means(prefix, posterior_fn, kwargs):
    for kind in ("initializer", "regularizer", "constraint"):
        name = f"{prefix}_{kind}"
        if kwargs.get(name) is not None:
            raise ValueError(
                f"`{name}` holds for the means of a posterior that the layer "
                "makes; give it to your own posterior itself. Received: "
                f"{name}={kwargs[name]}, {prefix}_posterior_fn={posterior_fn}"
            )


def function_argument(name, value):
    """Returns a posterior, prior or divergence as a name or a function.

    Args:
        name: The argument's name.
        value: A name, a function, its serialized form, or None.

    Raises:
        ValueError: If it is none of them.
    """
    if isinstance(value, dict):
        value = keras.saving.deserialize_keras_object(value)
    known = next(
        names for ending, names in KNOWN.items() if name.endswith(ending)
    )
    is_required = name.endswith("_posterior_fn") and name != "bias_posterior_fn"
    if callable(value) or (isinstance(value, str) and value in known):
        return value
    if value is None and not is_required:
        return value
    expected = " or ".join(f'"{known_name}"' for known_name in known)
    raise ValueError(
        f"`{name}` must be a function{' or ' if known else ''}{expected}"
        f"{'' if is_required else ', or None'}. Received: {name}={value!r}"
    )


def _made(value, known):
    return known[value]() if isinstance(value, str) else value


def _posterior(value, arguments):
    """Returns the posterior, with the arguments of an ordinary weight."""
    if not isinstance(value, str):
        return value
    return POSTERIORS[value](
        loc_initializer=arguments.get("initializer"),
        loc_regularizer=arguments.get("regularizer"),
        loc_constraint=arguments.get("constraint"),
    )
