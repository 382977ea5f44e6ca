"""From ordinary models to Bayesian ones, and back."""

import keras

from keras_dnc.bayesian import cells, layers
from keras_dnc.bayesian.dense_variational import DenseVariational
from keras_dnc.bayesian.distributions import CentredNormalPrior
from keras_dnc.bayesian.recurrent import (
    ESTIMATORS,
    BayesianDNC,
    BayesianDNCCell,
    VariationalRNN,
)
from keras_dnc.bayesian.variational import Variational
from keras_dnc.bayesian.weights import RandomWeight, random_weights
from keras_dnc.cell import DNCCell
from keras_dnc.interface import Interface
from keras_dnc.recurrent import DNC
from keras_dnc.validation import nonnegative_number, positive_number

# The variational class of an ordinary one, without the estimator's name.
KINDS = {
    keras.layers.Dense: (layers, "Dense"),
    keras.layers.Conv1D: (layers, "Conv1D"),
    keras.layers.Conv2D: (layers, "Conv2D"),
    keras.layers.Conv3D: (layers, "Conv3D"),
    keras.layers.LSTMCell: (cells, "LSTMCell"),
    keras.layers.GRUCell: (cells, "GRUCell"),
}
# The layers of a cell that are made by giving them the cell.
RECURRENT = (
    keras.layers.GRU,
    keras.layers.LSTM,
    keras.layers.RNN,
    VariationalRNN,
)
NAMES = {"flipout": "Flipout", "reparameterization": "Reparameterization"}
# Arguments of an ordinary layer that a variational one has not.
ONLY_BAYESIAN_DNC = (
    "draw_per_step",
    "estimator",
    "kernel_prior_fn",
    "kl_weight",
    "variational_controller",
)
ONLY_DENSE_VARIATIONAL = (
    "kl_use_exact",
    "kl_weight",
    "make_posterior_fn",
    "make_prior_fn",
    "seed",
)
ONLY_ORDINARY = ("lora_rank", "lora_alpha", "quantization_config")


def to_bayesian(
    model: keras.Model,
    estimator: str = "flipout",
    scale: float = 0.05,
    prior_scale: float | None = None,
    kl_weight: float = 1.0,
) -> keras.Model:
    """Returns a Bayesian model whose posteriors are centred on a model's.

    Dense, convolution, LSTM, GRU and DNC layers become variational ones with
    the model's weights as posterior means; other layers stay as they are.

    Args:
        model: A functional or Sequential model, built. It is left as it is.
        estimator: "flipout" or "reparameterization".
        scale: Initial standard deviation of the posteriors.
        prior_scale: Standard deviation of a prior centred on the model's
            weights; None for the standard normal.
        kl_weight: Factor of the divergences in the loss.

    Raises:
        ValueError: If an argument is out of its range, if the model is
            neither functional nor Sequential, or if it holds a kind of DNC
            that has no variational form.
    """
    if estimator not in ESTIMATORS:
        raise ValueError(
            f"`estimator` must be one of {', '.join(ESTIMATORS)}. Received: "
            f"estimator={estimator!r}"
        )
    positive_number("scale", scale)
    prior = "standard_normal"
    if prior_scale is not None:
        prior = CentredNormalPrior(positive_number("prior_scale", prior_scale))
    arguments = {
        "kernel_prior_fn": prior,
        "kl_weight": nonnegative_number("kl_weight", kl_weight),
    }

    def convert(layer):
        return _variational(layer, estimator, arguments)

    bayesian = _clone(model, convert)
    for old, new in _pairs(model, bayesian):
        known = _by_path(new)
        for path, value in _by_path(old).items():
            weight = _counterpart(known, path)
            if isinstance(weight, RandomWeight):
                weight.set_posterior(value, scale)
                weight.centre_prior(value)
            else:
                weight.assign(value)
    return bayesian


def to_deterministic(model: keras.Model) -> keras.Model:
    """Returns the mean network of a Bayesian model.

    Variational layers become ordinary ones with the posterior means as
    weights; what is pruned is zero.

    Args:
        model: A functional or Sequential model, built. It is left as it is.

    Raises:
        ValueError: If the model is neither functional nor Sequential.
    """
    ordinary = _clone(model, _ordinary)
    for old, new in _pairs(model, ordinary):
        known = _means(old)
        for path, variable in _by_path(new).items():
            variable.assign(_counterpart(known, path))
    return ordinary


def _counterpart(weights, path):
    """Returns the weight of a path, among those of the other model's layer."""
    if path not in weights:
        raise ValueError(
            "`model` must name its weights as a model does that is made from "
            "its config; one with a model inside an RNN cell does not. "
            f"Received the weight {path!r}, beside {', '.join(weights)}"
        )
    return weights[path]


def _clone(model, convert):
    if not (isinstance(model, keras.Model) and model.built):
        raise ValueError(
            "`model` must be a functional or Sequential model that is built. "
            f"Received: {model}"
        )
    return keras.models.clone_model(
        model, clone_function=convert, recursive=True
    )


def _pairs(old, new):
    """Yields the layers of two models of one topology that correspond."""
    for one, other in zip(old.layers, new.layers, strict=True):
        if isinstance(one, keras.layers.Wrapper):
            one, other = one.layer, other.layer
        if isinstance(one, keras.Model):
            yield from _pairs(one, other)
        else:
            yield one, other


def _by_path(layer):
    """Returns a layer's weights, random ones whole, by the path inside it."""
    weights = random_weights(layer)
    of_random = {id(v) for weight in weights for v in weight.weights}
    found = {weight.label: weight for weight in weights} | {
        variable.path: variable
        for variable in layer.weights
        if id(variable) not in of_random and variable.name != "kl_weight"
    }
    start = f"{layer.name}/"
    return {path.split(start, 1)[-1]: part for path, part in found.items()}


def _means(layer):
    """Returns a layer's weights, of random ones the means, by path."""
    joint = {
        id(part.kernel_and_bias): part
        for part in layer._flatten_layers()
        if isinstance(part, DenseVariational)
    }
    means = {}
    for path, weight in _by_path(layer).items():
        if not isinstance(weight, RandomWeight):
            means[path] = weight
            continue
        mean = weight.masked(weight.posterior.mean())
        if id(weight) not in joint:
            means[path] = mean
            continue
        start = path.removesuffix(weight.name)
        kernel, bias = joint[id(weight)].split(mean)
        means |= {f"{start}kernel": kernel, f"{start}bias": bias}
    return means


def _variational(layer, estimator, arguments):
    """Returns the variational form of a layer or cell, or another like it."""
    if type(layer) in KINDS:
        module, kind = KINDS[type(layer)]
        cls = getattr(module, kind + NAMES[estimator])
        config = _without(layer.get_config(), ONLY_ORDINARY)
        config |= arguments
        if kind.endswith("Cell"):
            config["recurrent_prior_fn"] = arguments["kernel_prior_fn"]
        return cls.from_config(config)
    if type(layer) in (DNC, DNCCell):
        cls = BayesianDNC if type(layer) is DNC else BayesianDNCCell
        return cls.from_config(
            {**layer.get_config(), **arguments, "estimator": estimator}
        )
    is_dnc = isinstance(layer, (DNC, DNCCell))
    if is_dnc and not isinstance(layer, (BayesianDNC, BayesianDNCCell)):
        raise ValueError(
            "`model` must hold no DNC but `DNC` and `DNCCell` themselves, the "
            "others have no variational form. Received a model with "
            f"{type(layer).__name__} {layer.name!r}"
        )
    return _inside(
        layer,
        lambda part: _variational(part, estimator, arguments),
        VariationalRNN,
    )


def _ordinary(layer):
    """Returns the ordinary form of a layer or cell, or another like it."""
    if isinstance(layer, DenseVariational):
        return keras.layers.Dense.from_config(
            _without(layer.get_config(), ONLY_DENSE_VARIATIONAL)
        )
    if isinstance(layer, Variational):
        cls = next(cls for cls in KINDS if isinstance(layer, cls))
        return cls.from_config(
            _without(layer.get_config(), _only_variational(layer))
        )
    if type(layer) in (BayesianDNC, BayesianDNCCell):
        cls = DNC if type(layer) is BayesianDNC else DNCCell
        config = _without(layer.get_config(), ONLY_BAYESIAN_DNC)
        return cls.from_config(
            config | _ordinary_parts(getattr(layer, "cell", layer), config)
        )
    if isinstance(layer, Interface):
        config = layer.get_config()
        return type(layer).from_config(config | _ordinary_parts(layer, config))
    return _inside(layer, _ordinary, keras.layers.RNN)


def _ordinary_parts(layer, config):
    """Returns the ordinary forms of the layers that a config names."""
    return {
        name: _ordinary(getattr(layer, name))
        for name in ("controller", "interface", "projection")
        if isinstance(config.get(name), dict)
    }


def _inside(layer, convert, recurrent):
    """Converts what a layer holds, or returns a copy of the layer."""
    if isinstance(layer, keras.Model):
        return keras.models.clone_model(
            layer, clone_function=convert, recursive=True
        )
    if isinstance(layer, keras.layers.Bidirectional):
        return keras.layers.Bidirectional(
            convert(layer.forward_layer),
            merge_mode=layer.merge_mode,
            backward_layer=convert(layer.backward_layer),
            name=layer.name,
        )
    if isinstance(layer, keras.layers.StackedRNNCells):
        return keras.layers.StackedRNNCells(
            [convert(cell) for cell in layer.cells], name=layer.name
        )
    if isinstance(layer, keras.layers.Wrapper):
        part = keras.saving.serialize_keras_object(convert(layer.layer))
        return type(layer).from_config({**layer.get_config(), "layer": part})
    if type(layer) in RECURRENT:
        arguments = {
            name: getattr(layer, name)
            for name in (
                "return_sequences",
                "return_state",
                "go_backwards",
                "stateful",
                "unroll",
                "zero_output_for_mask",
                "activity_regularizer",
                "name",
                "trainable",
            )
        }
        return recurrent(
            convert(layer.cell), dtype=layer.dtype_policy, **arguments
        )
    return type(layer).from_config(layer.get_config())


def _only_variational(layer):
    """The arguments that the ordinary layer has not."""
    names = ["kl_weight", *layer.function_defaults()]
    # Of the ordinary layers, the cells have a seed too, of their dropout.
    return names if hasattr(layer, "state_size") else [*names, "seed"]


def _without(config, names):
    return {key: value for key, value in config.items() if key not in names}
