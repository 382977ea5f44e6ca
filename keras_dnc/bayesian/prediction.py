"""What a model with random weights, or with dropout, predicts."""

import contextlib
from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from keras_dnc.bayesian.estimators import drawing
from keras_dnc.bayesian.laplace import DiagonalLaplace
from keras_dnc.bayesian.metrics import both_classes
from keras_dnc.validation import nonnegative_number, positive_integer

DROPOUT = (
    keras.layers.AdditiveAttention,
    keras.layers.AlphaDropout,
    keras.layers.Attention,
    keras.layers.Dropout,
    keras.layers.GaussianDropout,
    keras.layers.GaussianNoise,
    keras.layers.SpatialDropout1D,
    keras.layers.SpatialDropout2D,
    keras.layers.SpatialDropout3D,
)


class Prediction(NamedTuple):
    """What draws from a predictive distribution say of each example.

    Attributes:
        mean: The mean of the draws; for classes their mean probabilities.
        total: How uncertain the prediction is: for classes the entropy of the
            mean probabilities in nats, of shape `mean.shape[:-1]`; for
            regression a variance, of the shape of `mean`.
        epistemic: The part that comes from not knowing the weights, and would
            vanish with more training examples: for classes the mutual
            information of class and weights; the variance of the draws.
        aleatoric: The part that stays: for classes the mean entropy of the
            draws; the mean of the noise's variances.
    """

    mean: np.ndarray
    total: np.ndarray
    epistemic: np.ndarray
    aleatoric: np.ndarray


def draw_outputs(
    model: keras.Model | DiagonalLaplace,
    inputs,
    samples: int = 100,
    batch_size: int = 32,
    monte_carlo_dropout: bool = False,
) -> np.ndarray:
    """Returns outputs of a model for several draws of its weights.

    All draws of a batch of inputs are computed in one pass, of `samples` times
    as many examples, each draw with random weights of its own.

    Args:
        model: A model of one input and one output, on the TensorFlow backend,
            or a `DiagonalLaplace`, which takes no dropout.
        inputs: Array of shape `(B, ...)`.
        samples: Number `S` of draws.
        batch_size: Number of inputs in a pass.
        monte_carlo_dropout: Whether the dropout layers drop, as in training,
            so that a draw is one of a thinned network (Gal and Ghahramani,
            [Dropout as a Bayesian approximation](
            https://arxiv.org/abs/1506.02142), 2016). Other layers, such as
            batch normalization, predict as always.

    Returns:
        Array of shape `(S, B, ...)`.

    Raises:
        ValueError: If an argument is out of its range.
    """
    import tensorflow as tf

    if isinstance(model, DiagonalLaplace):
        if monte_carlo_dropout:
            raise ValueError(
                "`monte_carlo_dropout` must be False for a DiagonalLaplace. "
                "Received: monte_carlo_dropout=True"
            )
        return model.draw_outputs(inputs, samples, batch_size)
    samples = positive_integer("samples", samples)
    batch_size = positive_integer("batch_size", batch_size)
    inputs = np.asarray(inputs)
    if not inputs.ndim or not len(inputs):
        raise ValueError(
            "`inputs` must hold at least one example. Received an array of "
            f"shape {inputs.shape}"
        )

    @tf.function(reduce_retracing=True)
    def draw(batch):
        shape = ops.shape(batch)
        repeated = ops.reshape(
            ops.broadcast_to(batch, (samples, *shape)), (-1, *shape[1:])
        )
        outputs = model(repeated, training=False)
        return ops.reshape(outputs, (samples, -1, *ops.shape(outputs)[1:]))

    dropping = dropout_at_prediction(model) if monte_carlo_dropout else _as_is()
    with drawing(samples), dropping:
        batches = [
            ops.convert_to_numpy(draw(inputs[i : i + batch_size]))
            for i in range(0, len(inputs), batch_size)
        ]
    return np.concatenate(batches, axis=1)


@contextlib.contextmanager
def dropout_at_prediction(model: keras.Model):
    """Within this context the dropout of a model acts in prediction too.

    `model(inputs)`, `predict` and `evaluate` drop within, and no more outside;
    they are compiled anew for that, but those of a model around this one are
    not.

    Args:
        model: A model; its layers of dropout, of Gaussian noise and of
            attention, and the recurrent cells with a rate of dropout, are
            switched.
    """
    # Kept: a callback does this while `fit` uses them.
    compiled = {
        name: getattr(model, name)
        for name in ("train_function", "test_function", "predict_function")
        if hasattr(model, name)
    }
    # Not what such a context around this one has switched already.
    switched = [
        part
        for part in model._flatten_layers()
        if _drops(part) and "call" not in vars(part)
    ]
    plain = [part.call for part in switched]
    try:
        for part, call in zip(switched, plain, strict=True):
            part.call = _in_training(call)
        for name in compiled:
            setattr(model, name, None)
        yield
    finally:
        for part in switched:
            del part.call
        for name, function in compiled.items():
            setattr(model, name, function)


def _in_training(call):
    def call_in_training(*args, training=None, **kwargs):
        return call(*args, training=True, **kwargs)

    return call_in_training


def _drops(layer):
    rates = (
        getattr(layer, name, 0)
        for name in ("dropout", "recurrent_dropout", "bypass_dropout")
    )
    is_cell = hasattr(layer, "state_size") and any(rates)
    return isinstance(layer, DROPOUT) or is_cell


@contextlib.contextmanager
def _as_is():
    yield


def summarize_classes(
    outputs: np.ndarray, from_logits: bool = False
) -> Prediction:
    """Returns what draws of class probabilities say.

    `H[p̄] = I + E[H[p]]`: the entropy of the mean is the mutual information
    plus the mean entropy.

    Source: Depeweg et al., [Decomposition of uncertainty in Bayesian deep
    learning](https://arxiv.org/abs/1710.07283), 2018.

    Args:
        outputs: Array of shape `(S, ..., classes)` of probabilities, or
            `(S, ..., 1)` of those of the second of two classes.
        from_logits: Whether they are logits instead.
    """
    outputs = np.asarray(outputs, "float64")
    probabilities = np.asarray(both_classes(outputs, from_logits))
    if from_logits:
        shifted = probabilities - probabilities.max(-1, keepdims=True)
        exponentials = np.exp(shifted)
        probabilities = exponentials / exponentials.sum(-1, keepdims=True)
    elif probabilities.min(initial=0) < 0 or not np.allclose(
        # bfloat16 rounds by 0.004 at most.
        probabilities.sum(-1),
        1,
        atol=1e-2,
    ):
        raise ValueError(
            "`outputs` must be probabilities, not negative and of sum 1 along "
            "the last axis; pass from_logits=True for logits. Received sums "
            f"from {probabilities.sum(-1).min()} to "
            f"{probabilities.sum(-1).max()}"
        )
    else:
        probabilities = probabilities / probabilities.sum(-1, keepdims=True)
    mean = probabilities.mean(0)
    total = _entropy(mean)
    aleatoric = _entropy(probabilities).mean(0)
    # Not negative but for rounding.
    epistemic = np.maximum(total - aleatoric, 0)
    return Prediction(mean, total, epistemic, aleatoric)


def _entropy(probabilities):
    safe = np.where(probabilities > 0, probabilities, 1)
    return -np.sum(probabilities * np.log(safe), axis=-1)


def summarize_regression(outputs: np.ndarray, noise_variance=0.0) -> Prediction:
    """Returns what draws of a regression's means say.

    The total variance is that of the draws plus the mean of the noise's.

    Source: Depeweg et al., [Decomposition of uncertainty in Bayesian deep
    learning](https://arxiv.org/abs/1710.07283), 2018.

    Args:
        outputs: Array of shape `(S, ...)` of means.
        noise_variance: Variance of the targets around their mean: a number,
            or an array that broadcasts to `outputs`, if the network predicts
            it.
    """
    outputs = np.asarray(outputs, "float64")
    noise = np.asarray(noise_variance, "float64")
    nonnegative_number("noise_variance", float(noise.min(initial=0)))
    mean = outputs.mean(0)
    epistemic = outputs.var(0)
    aleatoric = np.broadcast_to(noise, outputs.shape).mean(0)
    return Prediction(mean, epistemic + aleatoric, epistemic, aleatoric)


def predict_classes(model, inputs, from_logits=False, **arguments):
    """Returns a `Prediction` of class probabilities.

    Args:
        model: A model whose output is probabilities or logits; one alone is
            that of the second of two classes.
        inputs: Array of shape `(B, ...)`.
        from_logits: Whether the output is logits.
        **arguments: Other arguments of `draw_outputs`.

    Example:
    >>> import keras
    >>> import numpy as np
    >>> from keras_dnc import bayesian
    >>> model = keras.Sequential(
    ...     [keras.Input((4,)), bayesian.DenseFlipout(3, "softmax")]
    ... )
    >>> prediction = bayesian.predict_classes(model, np.ones((2, 4)))
    >>> prediction.mean.shape, prediction.epistemic.shape
    ((2, 3), (2,))
    """
    outputs = draw_outputs(model, inputs, **arguments)
    return summarize_classes(outputs, from_logits)


def predict_regression(model, inputs, noise_variance=0.0, **arguments):
    """Returns a `Prediction` of real numbers.

    Args:
        model: A model whose output is the mean of the targets.
        inputs: Array of shape `(B, ...)`.
        noise_variance: See `summarize_regression`.
        **arguments: Other arguments of `draw_outputs`.
    """
    outputs = draw_outputs(model, inputs, **arguments)
    return summarize_regression(outputs, noise_variance)
