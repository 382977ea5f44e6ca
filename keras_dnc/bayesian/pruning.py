"""Removing the weights that a posterior is least sure of."""

import keras
import numpy as np
from keras import ops

from keras_dnc.bayesian.weights import RandomWeight, random_weights
from keras_dnc.validation import fraction


def signal_to_noise(model: keras.layers.Layer) -> dict[str, np.ndarray]:
    """Returns `|μ|/σ` of the elements of each normal kernel, by its path.

    Source: Blundell et al., [Weight uncertainty in neural networks](
    https://arxiv.org/abs/1505.05424), 2015, section 5.1.

    Args:
        model: A model or layer, built.
    """
    return {weight.label: _ratio(weight) for weight in _prunable_kernels(model)}


def prune(model: keras.Model, fraction_removed: float) -> int:
    """Sets the elements of kernels of least `|μ|/σ` to zero, for good.

    The share is of all kernels of the model together (with their biases those
    of `DenseVariational`); kernels with one scale lose less than others. What
    is removed stays zero in training and in prediction, costs no divergence,
    and is saved with the model's weights. Its means and deviations are kept,
    so that pruning again with another share begins from all elements;
    training on moves them by an optimizer's momentum or weight decay alone.

    Load the weights of a pruned model into one that has not been compiled yet,
    or make it ready by `prune(model, 0)`: what was compiled without masks does
    without them.

    Source: Blundell et al., [Weight uncertainty in neural networks](
    https://arxiv.org/abs/1505.05424), 2015, section 5.1.

    Args:
        model: A model with variational layers, built.
        fraction_removed: The share to remove, from 0 to 1.

    Returns:
        The number of elements removed.

    Raises:
        ValueError: If the share is out of its range, if the model has no
            kernel with a posterior of independent normals, or if the elements
            of such a kernel's prior are not independent.
    """
    fraction("fraction_removed", fraction_removed)
    kernels = _prunable_kernels(model)
    if not kernels:
        raise ValueError(
            "`model` must have a kernel with a posterior of independent "
            f"normals. Received one without: {model}"
        )
    for weight in kernels:
        weight.check_elementwise()
    ratios = [_ratio(weight).reshape(-1) for weight in kernels]
    removed = round(fraction_removed * sum(map(len, ratios)))
    kept = np.ones(sum(map(len, ratios)), "uint8")
    kept[np.argsort(np.concatenate(ratios), kind="stable")[:removed]] = 0
    ends = np.cumsum([len(part) for part in ratios])[:-1]
    for weight, part in zip(kernels, np.split(kept, ends), strict=True):
        weight.mask = part.reshape(weight.shape)
    # What was compiled before knows no masks. Anew at once: a callback prunes
    # while `fit` uses it.
    for kind in ("train", "test", "predict"):
        if getattr(model, f"{kind}_function", None) is not None:
            getattr(model, f"make_{kind}_function")(force=True)
    return removed


def _prunable_kernels(model) -> list[RandomWeight]:
    return [
        weight
        for weight in random_weights(model)
        if weight.prefix != "bias" and weight.is_normal
    ]


def _ratio(weight):
    normal = weight.normal_posterior("pruning")
    loc, scale = map(ops.convert_to_numpy, (normal.loc, normal.scale))
    return np.abs(loc) / scale
