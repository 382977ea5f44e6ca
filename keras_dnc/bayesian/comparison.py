"""Bayesian networks beside ordinary ones on handwritten digits.

Networks of two hidden layers, as in Blundell et al., [Weight uncertainty in
neural networks](https://arxiv.org/abs/1505.05424), 2015, section 5.1: pixels
divided by 126, 50,000 images to train on in batches of 128. Other than there
the optimizer is Adam, its learning rate falling to zero along a cosine.
"""

import dataclasses
import math
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

from keras_dnc import mnist
from keras_dnc.bayesian.distributions import (
    MeanFieldNormal,
    NormalPrior,
    ScaleMixturePrior,
)
from keras_dnc.bayesian.laplace import DiagonalLaplace
from keras_dnc.bayesian.layers import (
    DenseFlipout,
    DenseLocalReparameterization,
    DenseReparameterization,
)
from keras_dnc.bayesian.metrics import (
    ExpectedCalibrationError,
    NegativeLogLikelihood,
)
from keras_dnc.bayesian.prediction import Prediction, predict_classes
from keras_dnc.bayesian.pruning import prune
from keras_dnc.tasks.task import Settings, option
from keras_dnc.validation import positive_integer

PIXEL_SCALE = 126
WARM_UP = 2


class Network(NamedTuple):
    """What the layers of a network are.

    Attributes:
        layer: Their class.
        prior: The prior of their kernels, if they are random.
        dropout: The rates of dropout of inputs and of hidden units.
    """

    layer: type = keras.layers.Dense
    prior: Callable | None = None
    dropout: tuple[float, float] = (0.0, 0.0)


GAUSSIAN = NormalPrior()
# Of the ranges that Blundell et al. searched, section 5.1.
MIXTURE = ScaleMixturePrior(0.25, 1.0, math.exp(-6))
NETWORKS = {
    "plain": Network(),
    "dropout": Network(dropout=(0.2, 0.5)),
    "gaussian": Network(DenseReparameterization, GAUSSIAN),
    "mixture": Network(DenseReparameterization, MIXTURE),
    "flipout": Network(DenseFlipout, GAUSSIAN),
    "local": Network(DenseLocalReparameterization, GAUSSIAN),
}
# Deviations of 0.0067 at first: with those of tfp, 0.049, the means are still
# behind after 20 epochs.
INITIAL_RHO = -5.0
# Precisions of the Laplace approximation's prior to choose from.
PRECISIONS = (1e1, 1e2, 1e3, 1e4, 1e5)
# Shares of the weights.
REMOVED = (0, 0.5, 0.75, 0.95, 0.98)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Protocol(Settings):
    """How the networks are trained and evaluated.

    Raises:
        ValueError: If a setting is not positive.
    """

    units: int = option(400, "units of each of the two hidden layers")
    epochs: int = option(10, "passes through the training images")
    train_images: int = option(50_000, "of the first images, to train on")
    held_out: int = option(10_000, "of the last training images, to test on")
    batch_size: int = option(128, "images in a batch")
    learning_rate: float = option(1e-3, "learning rate of Adam at first")
    samples: int = option(20, "draws for a prediction")


class Images(NamedTuple):
    """Scaled images and the labels of those that have one.

    Attributes:
        train: Array of shape `(train_images, 28, 28)`.
        train_labels: Array of shape `(train_images,)`.
        held_out: Array of shape `(held_out, 28, 28)`.
        held_out_labels: Array of shape `(held_out,)`.
        test: Array of shape `(10000, 28, 28)`.
        test_labels: Array of shape `(10000,)`.
        turned: The test images, turned by a right angle.
        noise: As many images of random bytes.
    """

    train: np.ndarray
    train_labels: np.ndarray
    held_out: np.ndarray
    held_out_labels: np.ndarray
    test: np.ndarray
    test_labels: np.ndarray
    turned: np.ndarray
    noise: np.ndarray


def load(folder: Path | str, protocol: Protocol, seed: int) -> Images:
    """Reads MNIST.

    Args:
        folder: Where its four files are.
        protocol: How many images to take.
        seed: Seed of the noise.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a file is damaged, or has not as many images.
    """
    digits = mnist.load(folder)
    wanted = protocol.train_images + protocol.held_out
    if wanted > len(digits.train_images):
        raise ValueError(
            "`train_images` and `held_out` must be at most "
            f"{len(digits.train_images):,} together, as many as there are in "
            f"{folder}. Received: train_images={protocol.train_images}, "
            f"held_out={protocol.held_out}"
        )
    train, held_out = (
        slice(protocol.train_images),
        slice(-protocol.held_out, None),
    )
    noise = np.random.default_rng(seed).integers(
        0, 256, digits.test_images.shape
    )

    def scaled(images):
        return (images / PIXEL_SCALE).astype("float32")

    return Images(
        train=scaled(digits.train_images[train]),
        train_labels=digits.train_labels[train],
        held_out=scaled(digits.train_images[held_out]),
        held_out_labels=digits.train_labels[held_out],
        test=scaled(digits.test_images),
        test_labels=digits.test_labels,
        turned=scaled(np.rot90(digits.test_images, axes=(1, 2))),
        noise=scaled(noise),
    )


def make_network(network: Network, protocol: Protocol) -> keras.Model:
    """Returns a compiled network of two hidden layers.

    Args:
        network: What its layers are.
        protocol: How it is trained.
    """
    of_input, of_hidden = network.dropout

    def layer(width, activation):
        arguments = {"kernel_initializer": "he_normal"}
        if network.prior is not None:
            arguments = {
                "kernel_posterior_fn": MeanFieldNormal(
                    "he_normal", keras.initializers.Constant(INITIAL_RHO)
                ),
                "kernel_prior_fn": network.prior,
                "kl_weight": 1 / protocol.train_images,
            }
        return network.layer(width, activation, **arguments)

    layers = [keras.Input((28, 28)), keras.layers.Flatten()]
    for rate in (of_input, of_hidden):
        if rate:
            layers.append(keras.layers.Dropout(rate))
        layers.append(layer(protocol.units, "relu"))
    if of_hidden:
        layers.append(keras.layers.Dropout(of_hidden))
    layers.append(layer(mnist.CLASSES, "softmax"))
    model = keras.Sequential(layers)
    batches = math.ceil(protocol.train_images / protocol.batch_size)
    learning_rate = keras.optimizers.schedules.CosineDecay(
        protocol.learning_rate, protocol.epochs * batches
    )
    model.compile(
        keras.optimizers.Adam(learning_rate),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        # Compiled for a CPU, Keras' dropout takes five times as long, and the
        # mixture's divergence longer too.
        jit_compile=False,
    )
    return model


def train(
    network: Network,
    protocol: Protocol,
    images: Images,
    seed: int,
    **fit_arguments,
) -> tuple[keras.Model, float]:
    """Trains a network; returns it and the seconds that it took.

    Args:
        network: What its layers are.
        protocol: How it is trained.
        images: What it is trained on.
        seed: Seed of weights, draws and the order of the images.
        **fit_arguments: More arguments of `model.fit`.
    """
    keras.utils.set_random_seed(seed)
    model = make_network(network, protocol)
    start = time.perf_counter()
    model.fit(
        images.train,
        images.train_labels,
        batch_size=protocol.batch_size,
        epochs=protocol.epochs,
        **fit_arguments,
    )
    return model, time.perf_counter() - start


def predictors(
    name: str, model: keras.Model, protocol: Protocol, laplace_of=None
) -> Iterator[tuple[str, Callable[[np.ndarray], Prediction]]]:
    """Yields the ways in which a trained network predicts, with their names.

    A network with dropout predicts with it too, and the plain one by its
    Laplace approximation.

    Args:
        name: The network's name in `NETWORKS`.
        model: The trained network.
        protocol: How it is evaluated.
        laplace_of: The `Images` to fit the approximation to, if wanted.
    """
    network = NETWORKS[name]

    def by(subject, samples, **options):
        return lambda images: predict_classes(
            subject, images, samples=samples, batch_size=500, **options
        )

    draws = network.prior is not None
    yield name, by(model, protocol.samples if draws else 1)
    if any(network.dropout):
        yield (
            "mc-dropout",
            by(model, protocol.samples, monte_carlo_dropout=True),
        )
    if name == "plain" and laplace_of is not None:
        yield "laplace", by(fit_laplace(model, laplace_of), protocol.samples)


def fit_laplace(model: keras.Model, images: Images) -> DiagonalLaplace:
    """Returns the approximation whose prior is best on the images held out.

    Its precision is that, of `PRECISIONS`, with the least negative
    log-likelihood.

    Args:
        model: A trained network.
        images: What it was trained on, and what was held out.
    """
    laplace = DiagonalLaplace(model, seed=0).fit(images.train)

    def of_held_out(precision):
        laplace.prior_precision = precision
        predicted = predict_classes(
            laplace, images.held_out, samples=10, batch_size=500
        )
        metric = NegativeLogLikelihood()
        metric.update_state(images.held_out_labels, predicted.mean)
        return float(metric.result())

    laplace.prior_precision = min(PRECISIONS, key=of_held_out)
    return laplace


def figures(
    predict: Callable[[np.ndarray], Prediction], images: Images
) -> dict[str, float]:
    """Returns what a way to predict is worth.

    Args:
        predict: Maps images to a `Prediction`.
        images: What to predict.
    """
    of_test = predict(images.test)
    metrics = {
        "nll": NegativeLogLikelihood(),
        "calibration error": ExpectedCalibrationError(),
    }
    for metric in metrics.values():
        metric.update_state(images.test_labels, of_test.mean)
    of_held_out = error(predict(images.held_out), images.held_out_labels)
    return {
        "held-out error in %": of_held_out,
        "error in %": error(of_test, images.test_labels),
        **{name: float(metric.result()) for name, metric in metrics.items()},
        "entropy": float(of_test.total.mean()),
        "of turned digits": float(predict(images.turned).total.mean()),
        "of noise": float(predict(images.noise).total.mean()),
    }


def error(predicted: Prediction, labels: np.ndarray) -> float:
    """Returns how many labels of a hundred are wrong.

    Args:
        predicted: What was predicted.
        labels: What is right.
    """
    return 100 * float(np.mean(predicted.mean.argmax(-1) != labels))


def errors_when_pruned(
    name: str, model: keras.Model, protocol: Protocol, images: Images
) -> list[float]:
    """Returns the test error with each share in `REMOVED` removed.

    Args:
        name: The network's name in `NETWORKS`.
        model: The trained network, which is left pruned.
        protocol: How it is evaluated.
        images: What to predict.
    """
    errors = []
    for removed in REMOVED:
        prune(model, removed)
        ((_, predict),) = predictors(name, model, protocol)
        errors.append(error(predict(images.test), images.test_labels))
    return errors


def run(
    networks: list[str],
    folder: Path | str,
    protocol: Protocol,
    laplace: bool = False,
    out: Path | str | None = None,
    seed: int = 0,
    **fit_arguments,
) -> None:
    """Trains networks and prints a table, then one of the pruned networks.

    Args:
        networks: Names in `NETWORKS`.
        folder: MNIST's files.
        protocol: How they are trained and evaluated.
        laplace: Whether to add the Laplace approximation of the plain network.
        out: Folder in which to save the networks, if any.
        seed: Seed of all that is random.
        **fit_arguments: More arguments of `model.fit`.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a file is damaged.
    """
    images = load(folder, protocol, seed)
    settings = dataclasses.asdict(protocol).items()
    print(", ".join(f"{k}={v}" for k, v in settings) + f", seed={seed}")
    rows, pruned = [], {}
    for name in networks:
        model, seconds = train(
            NETWORKS[name], protocol, images, seed, **fit_arguments
        )
        if out is not None:
            Path(out).mkdir(parents=True, exist_ok=True)
            model.save(Path(out, f"{name}.keras"))
        laplace_of = images if laplace else None
        for shown, predict in predictors(name, model, protocol, laplace_of):
            row = {**figures(predict, images), "seconds": round(seconds)}
            if not rows:
                print(" | ".join(["", *row]))
            rows.append(row)
            _print_row(shown, row.values())
        if NETWORKS[name].prior is not None:
            pruned[name] = errors_when_pruned(name, model, protocol, images)
    if pruned:
        print("Test error in % with the weights of least |mean|/σ removed")
        print(" | ".join(["", *(f"{100 * share:g} %" for share in REMOVED)]))
        for name, errors in pruned.items():
            _print_row(name, errors)


def step_times(networks: list[str], protocol: Protocol, repeats: int) -> None:
    """Prints how long a training step takes, in ratio to the plain network's.

    The networks take turns, so that all see the same machine.

    Args:
        networks: Names in `NETWORKS`.
        protocol: Their width and the size of a batch.
        repeats: How many steps of each to time, after two that are not.
    """
    positive_integer("repeats", repeats)
    rng = np.random.default_rng(0)
    images = rng.random((protocol.batch_size, 28, 28)).astype("float32")
    labels = rng.integers(0, mnist.CLASSES, protocol.batch_size)
    print(
        f"Training step, two hidden layers of {protocol.units} units, batches "
        f"of {protocol.batch_size}, median of {repeats} in ms"
    )
    print(" | ".join(["", "graph", "/ plain", "XLA", "/ plain"]))
    names = ["plain", *(name for name in networks if name != "plain")]
    cells = {name: [] for name in names}
    for jit_compile in (False, True):
        seconds = {name: [] for name in names}
        models = {n: make_network(NETWORKS[n], protocol) for n in names}
        for model in models.values():
            model.jit_compile = jit_compile
        for _ in range(WARM_UP + repeats):
            for name, model in models.items():
                start = time.perf_counter()
                model.train_on_batch(images, labels)
                seconds[name].append(time.perf_counter() - start)
        medians = {
            name: statistics.median(times[WARM_UP:])
            for name, times in seconds.items()
        }
        for name, median in medians.items():
            cells[name] += [1e3 * median, median / medians["plain"]]
    for name, row in cells.items():
        _print_row(name, row)


def _print_row(name, numbers):
    cells = [f"{number:.4g}" for number in numbers]
    print(" | ".join([name, *cells]), flush=True)
