"""A Bayesian DNC on the echo task: what it says when it does not know."""

import dataclasses

import keras
import numpy as np

from keras_dnc.bayesian.metrics import (
    ExpectedCalibrationError,
    NegativeLogLikelihood,
)
from keras_dnc.bayesian.prediction import Prediction, predict_classes
from keras_dnc.bayesian.recurrent import BayesianDNC
from keras_dnc.tasks.echo import Echo
from keras_dnc.tasks.task import Batch, Settings, option


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(Settings):
    """How the DNC is trained, and on what it is asked.

    Raises:
        ValueError: If a setting is not positive.
    """

    epochs: int = option(5, "passes through the training sequences")
    learning_rate: float = option(3e-3, "learning rate of Adam at first")
    samples: int = option(20, "draws for a prediction")
    longest: int = option(14, "most symbols of the sequences to evaluate on")


def train(task: Echo, options: Options, seed: int, **fit_arguments):
    """Trains a Bayesian DNC; returns the `keras.Model`.

    Its outputs are probabilities of the symbols, its loss the negative
    evidence lower bound per symbol.

    Args:
        task: The lengths and the number of training sequences.
        options: The settings.
        seed: Seed of all that is random.
        **fit_arguments: More arguments of `model.fit`.
    """
    keras.utils.set_random_seed(seed)
    data = task.training_data(np.random.default_rng(seed))
    recipe = task.recipe
    inputs = keras.Input((None, len(task.input_labels)))
    x = BayesianDNC(
        len(task.output_labels),
        controller=recipe.controller,
        memory_size=recipe.memory_size,
        word_size=recipe.word_size,
        num_reads=recipe.num_reads,
        normalization=keras.layers.LayerNormalization(),
        kl_weight=1 / float(data.weights.sum()),
        return_sequences=True,
        name="dnc",
    )(inputs)
    outputs = keras.layers.Softmax()(x)
    model = keras.Model(inputs, outputs, name="bayesian_echo")
    steps = options.epochs * -(-task.sequences // recipe.batch_size)
    model.compile(
        keras.optimizers.Adam(
            keras.optimizers.schedules.CosineDecay(
                options.learning_rate, steps
            ),
            clipnorm=recipe.clipnorm,
        ),
        keras.losses.CategoricalCrossentropy(
            reduction="mean_with_sample_weight"
        ),
        weighted_metrics=[
            keras.metrics.CategoricalAccuracy(name="right_symbols")
        ],
        jit_compile=True,
    )
    model.fit(
        data.inputs,
        data.targets,
        sample_weight=data.weights,
        batch_size=recipe.batch_size,
        epochs=options.epochs,
        **fit_arguments,
    )
    return model


def predict(model, batch: Batch, samples: int) -> tuple[Prediction, np.ndarray]:
    """Returns what is predicted of the symbols asked for, and the symbols.

    Args:
        model: A model that `train` returned.
        batch: Sequences.
        samples: Number of draws.
    """
    asked = batch.weights > 0
    prediction = predict_classes(
        model, batch.inputs, samples=samples, batch_size=100
    )
    return (
        Prediction(*(part[asked] for part in prediction)),
        batch.targets.argmax(-1)[asked],
    )


def figures(prediction: Prediction, symbols: np.ndarray) -> dict[str, float]:
    """Returns the figures of a prediction.

    Args:
        prediction: Of each symbol asked for.
        symbols: The right ones.
    """
    likelihood, calibration = (
        NegativeLogLikelihood(),
        ExpectedCalibrationError(),
    )
    for metric in (likelihood, calibration):
        metric.update_state(symbols, prediction.mean)
    wrong = prediction.mean.argmax(-1) != symbols
    return {
        "symbols": len(symbols),
        "wrong symbols": int(wrong.sum()),
        "accuracy in %": 100 * float(1 - wrong.mean()),
        "negative log-likelihood": float(likelihood.result()),
        "calibration error": float(calibration.result()),
        "total uncertainty": float(prediction.total.mean()),
        "epistemic": float(prediction.epistemic.mean()),
    }


def check(task: Echo, options: Options) -> None:
    """Refuses an evaluation of no lengths.

    Args:
        task: The shortest length.
        options: The longest.

    Raises:
        ValueError: If the longest is shorter than the shortest.
    """
    if options.longest < task.min_length:
        raise ValueError(
            f"`longest` must be at least min_length={task.min_length}. "
            f"Received: longest={options.longest}"
        )


def by_length(
    model, task: Echo, options: Options, seed: int
) -> dict[int, dict[str, float]]:
    """Returns the figures on sequences of each length up to the longest.

    Args:
        model: A model that `train` returned.
        task: The shortest length, and how many sequences of each.
        options: The longest length and the number of draws.
        seed: Seed of the sequences.

    Raises:
        ValueError: If the longest is shorter than the shortest.
    """
    check(task, options)
    rows = {}
    for length in range(task.min_length, options.longest + 1):
        of_length = dataclasses.replace(
            task, min_length=length, max_length=length
        )
        batch = of_length.test_data(np.random.default_rng([seed, 1, length]))
        rows[length] = figures(*predict(model, batch, options.samples))
    return rows
