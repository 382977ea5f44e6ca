"""From models of `tfp.layers` under tf_keras to Keras 3."""

import inspect

import keras
import numpy as np

from keras_dnc.bayesian import layers
from keras_dnc.bayesian.weights import random_weights

KINDS = {
    "DenseFlipout": layers.DenseFlipout,
    "DenseReparameterization": layers.DenseReparameterization,
    "DenseLocalReparameterization": layers.DenseLocalReparameterization,
    **{
        f"Conv{rank}D{estimator}": getattr(layers, f"Conv{rank}D{estimator}")
        for rank in (1, 2, 3)
        for estimator in ("Flipout", "Reparameterization")
    },
}
CONVOLUTION = (
    "filters",
    "kernel_size",
    "strides",
    "padding",
    "data_format",
    "dilation_rate",
)


def from_tfp(model) -> keras.Sequential:
    """Returns a Keras 3 model like one of tf_keras with `tfp.layers`.

    Dense and convolution layers of `tfp.layers` become those of `keras_dnc`,
    with their posteriors' values; other layers become Keras' own of the same
    class, with their weights. tfp adds each divergence in full: pass its
    `kl_weight` to the layers afterwards.

    Args:
        model: A `tf_keras.Sequential`, or a `tf_keras.Model` whose layers
            follow one another, built. Its variational layers have tfp's
            default kinds of distributions: normal posteriors and standard
            normal priors of kernels, point estimates or normal posteriors of
            biases.

    Raises:
        ValueError: If the model is of another kind or holds something that
            has no counterpart.
    """
    import tf_keras

    if not isinstance(model, tf_keras.Model) or not model.built:
        raise ValueError(
            "`model` must be a tf_keras model that is built. Received: "
            f"{model!r}"
        )
    old_layers = [
        layer
        for layer in model.layers
        if not isinstance(layer, tf_keras.layers.InputLayer)
    ]
    _check_order(model, old_layers)
    new_layers = [_convert(layer) for layer in old_layers]
    converted = keras.Sequential(
        [keras.Input(tuple(model.input_shape[1:])), *new_layers],
        name=model.name,
    )
    for old, new in zip(old_layers, new_layers, strict=True):
        _copy_weights(old, new)
    return converted


def _check_order(model, old_layers):
    tensor = model.inputs[0]
    for layer in old_layers:
        if len(layer.inbound_nodes) != 1 or layer.input is not tensor:
            raise ValueError(
                "`model` must be of layers that follow one another. Received "
                f"a model whose layer {layer.name!r} does not"
            )
        tensor = layer.output


def _convert(layer):
    name = type(layer).__name__.replace("Convolution", "Conv")
    if name in KINDS:
        return KINDS[name](**_arguments(layer, name))
    cls = getattr(keras.layers, name, None)
    if cls is None:
        raise ValueError(
            f"`model` must be of layers that Keras has too. Received: {layer}"
        )
    for argument in ("activation", "recurrent_activation"):
        if callable(getattr(layer, argument, None)):
            _activation(layer, argument)
    config = layer.get_config()
    config.pop("batch_input_shape", None)
    if not config.get("time_major", True):
        # Keras has no other layout than this.
        del config["time_major"]
    if isinstance(config.get("axis"), list) and len(config["axis"]) == 1:
        # Batch normalization in tf_keras.
        (config["axis"],) = config["axis"]
    try:
        return cls.from_config(config)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"`model` must be of layers that Keras has too. Received the "
            f"layer {layer.name!r}, whose arguments Keras refuses: {error}"
        ) from error


def _arguments(layer, name):
    from tensorflow_probability import distributions as tfd

    _check_defaults(layer)
    arguments = {
        "name": layer.name,
        "dtype": layer.dtype_policy.name,
        "trainable": layer.trainable,
        "activation": _activation(layer, "activation"),
        "kernel_prior_fn": _prior(layer, "kernel"),
        "bias_prior_fn": _prior(layer, "bias"),
    }
    if not isinstance(_element(layer.kernel_posterior), tfd.Normal):
        raise ValueError(
            "`model` must have normal posteriors of its kernels. Received the "
            f"layer {layer.name!r} with {layer.kernel_posterior}"
        )
    if layer.bias_posterior is None:
        arguments["bias_posterior_fn"] = None
    elif isinstance(_element(layer.bias_posterior), tfd.Normal):
        arguments["bias_posterior_fn"] = "mean_field_normal"
    if name.startswith("Dense"):
        return {**arguments, "units": layer.units}
    return {**arguments, **{key: getattr(layer, key) for key in CONVOLUTION}}


def _activation(layer, argument):
    """Returns Keras' activation that is the one of a layer."""
    activation = getattr(layer, argument)
    if activation is None:
        return None
    try:
        found = keras.activations.get(getattr(activation, "__name__", None))
    except ValueError:
        found = None
    # A name is not enough: the hard sigmoid, for one, is another in Keras 3.
    numbers = keras.ops.linspace(-4.0, 4.0, 33)[None]
    if found is None or not np.allclose(
        found(numbers), activation(numbers), atol=1e-5
    ):
        raise ValueError(
            "`model` must have activations that Keras has too. Received the "
            f"layer {layer.name!r} with {argument}={activation}"
        )
    return found


def _check_defaults(layer):
    """Refuses functions that no layer here takes over."""
    parameters = inspect.signature(type(layer).__init__).parameters
    for name in (
        "kernel_divergence_fn",
        "bias_divergence_fn",
        "kernel_posterior_tensor_fn",
        "bias_posterior_tensor_fn",
        "activity_regularizer",
    ):
        value = getattr(layer, name)
        if value is not None and value is not parameters[name].default:
            raise ValueError(
                "`model` must have tfp's own divergences and draws, and no "
                "regularizer of activities; scale divergences by the "
                "`kl_weight` of the new layers instead. Received the layer "
                f"{layer.name!r} with {name}={value}"
            )


def _element(distribution):
    return getattr(distribution, "distribution", distribution)


def _prior(layer, weight):
    from tensorflow_probability import distributions as tfd

    prior = getattr(layer, f"{weight}_prior")
    if prior is None:
        return None
    element = _element(prior)
    if (
        not isinstance(element, tfd.Normal)
        or np.any(element.loc != 0)
        or np.any(element.scale != 1)
    ):
        raise ValueError(
            "`model` must have standard normal priors. Received the layer "
            f"{layer.name!r} with the {weight}'s prior {prior}"
        )
    return "standard_normal"


def _copy_weights(old, new):
    weights = random_weights(new)
    if not weights:
        new.set_weights(old.get_weights())
        return
    for weight in weights:
        element = _element(getattr(old, f"{weight.prefix}_posterior"))
        scale = getattr(element, "scale", None)
        weight.set_posterior(element.loc, scale)
