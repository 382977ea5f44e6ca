"""Bayesian networks beside ordinary ones on MNIST's handwritten digits.

Networks of two hidden layers, as in Blundell et al., [Weight uncertainty in
neural networks](https://arxiv.org/abs/1505.05424), 2015, section 5.1: pixels
divided by 126, the first of the 60,000 training images to train on, those that
are left over held out.
"""

import gzip
import math
import time
import zlib
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

from keras_dnc.bayesian.distributions import NormalPrior, ScaleMixturePrior
from keras_dnc.bayesian.layers import (
    DenseFlipout,
    DenseLocalReparameterization,
    DenseReparameterization,
)
from keras_dnc.bayesian.metrics import (
    ExpectedCalibrationError,
    NegativeLogLikelihood,
)
from keras_dnc.bayesian.prediction import predict_classes
from keras_dnc.validation import positive_integer, positive_number

IMAGES, LABELS = 2051, 2049
FILES = {
    "train_images": ("train-images-idx3-ubyte", IMAGES),
    "train_labels": ("train-labels-idx1-ubyte", LABELS),
    "test_images": ("t10k-images-idx3-ubyte", IMAGES),
    "test_labels": ("t10k-labels-idx1-ubyte", LABELS),
}
CLASSES = 10
PIXEL_SCALE = 126


class Digits(NamedTuple):
    """Images and their labels.

    Attributes:
        train_images: Array of shape `(60000, 28, 28)`, of bytes.
        train_labels: Array of shape `(60000,)`.
        test_images: Array of shape `(10000, 28, 28)`.
        test_labels: Array of shape `(10000,)`.
    """

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray


def read_idx(path: Path | str, magic: int) -> np.ndarray:
    """Reads an array of bytes in the IDX format, compressed or not.

    Source: [the format's description](http://yann.lecun.com/exdb/mnist/).

    Args:
        path: A file, compressed if its name ends in `.gz`.
        magic: The number that the file must begin with: 2051 for images, 2049
            for labels.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged or of another kind.
    """
    path = Path(path)
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
            content = file.read()
    except FileNotFoundError:
        raise
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(
            f"{path}: expected a complete gzip file. Received one that cannot "
            f"be read: {error}"
        ) from error
    # The number of axes is the magic number's last byte.
    start = 4 + 4 * (magic % 256)
    if len(content) < start or int.from_bytes(content[:4], "big") != magic:
        raise ValueError(
            f"{path}: expected the magic number {magic}, and sizes. Received "
            f"{len(content):,} bytes that begin with {content[:4]!r}"
        )
    shape = np.frombuffer(content[4:start], ">i4")
    size = math.prod(map(int, shape))
    if len(content) - start != size:
        raise ValueError(
            f"{path}: expected {size:,} bytes for the shape "
            f"{tuple(map(int, shape))}. Received {len(content) - start:,}"
        )
    return np.frombuffer(content[start:], "uint8").reshape(shape)


def load(folder: Path | str) -> Digits:
    """Reads the four files of MNIST, in their original names.

    Args:
        folder: Where they are, compressed (`.gz`) or not.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a file is damaged, or images and labels are not as many.
    """
    arrays = {}
    for part, (name, magic) in FILES.items():
        paths = [Path(folder, name + ending) for ending in (".gz", "")]
        found = [path for path in paths if path.is_file()]
        if not found:
            raise FileNotFoundError(
                f"{paths[0]}: expected MNIST's file. There is none"
            )
        arrays[part] = read_idx(found[0], magic)
    for part in ("train", "test"):
        images, labels = arrays[f"{part}_images"], arrays[f"{part}_labels"]
        if len(images) != len(labels):
            raise ValueError(
                f"{folder}: expected as many labels as images. Received "
                f"{len(images)} {part} images and {len(labels)} labels"
            )
    return Digits(**arrays)


class Method(NamedTuple):
    """How a network is trained, and how it predicts.

    Attributes:
        layer: The class of its layers.
        arguments: Their arguments.
        dropout: The rates of dropout of input and hidden layers.
        monte_carlo_dropout: Whether it drops in prediction.
    """

    layer: type = keras.layers.Dense
    arguments: dict | None = None
    dropout: tuple[float, float] = (0.0, 0.0)
    monte_carlo_dropout: bool = False

    @property
    def draws(self) -> bool:
        """Whether two predictions of the network differ."""
        return self.layer is not keras.layers.Dense or self.monte_carlo_dropout


GAUSSIAN = {"kernel_prior_fn": NormalPrior(scale=0.1)}
MIXTURE = {
    "kernel_prior_fn": ScaleMixturePrior(0.5, math.exp(-1), math.exp(-6))
}
METHODS = {
    "plain": Method(),
    "dropout": Method(dropout=(0.2, 0.5)),
    "mc-dropout": Method(dropout=(0.2, 0.5), monte_carlo_dropout=True),
    "gaussian": Method(DenseReparameterization, GAUSSIAN),
    "mixture": Method(DenseReparameterization, MIXTURE),
    "flipout": Method(DenseFlipout, GAUSSIAN),
    "local": Method(DenseLocalReparameterization, GAUSSIAN),
}


def make_network(
    method: Method, units: int, examples: int, learning_rate: float
) -> keras.Model:
    """Returns a compiled network of two hidden layers.

    Args:
        method: How it is trained.
        units: The width of a hidden layer.
        examples: The number of training examples.
        learning_rate: Learning rate of Adam.
    """
    arguments = dict(method.arguments or {})
    if method.layer is not keras.layers.Dense:
        arguments["kl_weight"] = 1 / examples
    of_input, of_hidden = method.dropout
    network = [keras.Input((28, 28)), keras.layers.Flatten()]
    for rate in (of_input, of_hidden):
        if rate:
            network.append(keras.layers.Dropout(rate))
        network.append(method.layer(units, "relu", **arguments))
    if of_hidden:
        network.append(keras.layers.Dropout(of_hidden))
    network.append(method.layer(CLASSES, "softmax", **arguments))
    model = keras.Sequential(network)
    model.compile(
        keras.optimizers.Adam(learning_rate),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=True,
    )
    return model


def figures(model, method: Method, images, labels, samples: int) -> dict:
    """Returns error in %, negative log-likelihood and calibration error.

    Args:
        model: A trained network.
        method: How it was trained.
        images: Scaled images.
        labels: Their labels.
        samples: Number of draws, if the network draws.
    """
    probabilities = predict_classes(
        model,
        images,
        samples=samples if method.draws else 1,
        batch_size=1_000,
        monte_carlo_dropout=method.monte_carlo_dropout,
    ).mean
    metrics = {
        "nll": NegativeLogLikelihood(),
        "calibration error": ExpectedCalibrationError(),
    }
    for metric in metrics.values():
        metric.update_state(labels, probabilities)
    wrong = np.mean(probabilities.argmax(-1) != labels)
    return {
        "error in %": 100 * wrong,
        **{name: float(metric.result()) for name, metric in metrics.items()},
    }


def run(
    folder: Path | str,
    methods: list[str],
    units: int = 400,
    epochs: int = 10,
    train_images: int = 50_000,
    held_out: int = 10_000,
    batch_size: int = 128,
    learning_rate: float = 1e-3,
    samples: int = 10,
    seed: int = 0,
) -> None:
    """Trains networks and prints a table.

    Args:
        folder: MNIST's files.
        methods: Names in `METHODS`.
        units: The width of the two hidden layers.
        epochs: Passes through the training images.
        train_images: How many of the first training images to train on.
        held_out: How many of the last training images to evaluate on.
        batch_size: Images in a batch.
        learning_rate: Learning rate of Adam.
        samples: Draws for a prediction.
        seed: Seed of weights, draws and the order of the images.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a file is damaged or an argument out of its range.
    """
    for name in ("units", "epochs", "train_images", "held_out"):
        positive_integer(name, locals()[name])
    positive_integer("batch_size", batch_size)
    positive_integer("samples", samples)
    positive_number("learning_rate", learning_rate)
    digits = load(folder)
    if train_images + held_out > len(digits.train_images):
        raise ValueError(
            "`train_images` and `held_out` must be at most "
            f"{len(digits.train_images)} together. Received: train_images="
            f"{train_images}, held_out={held_out}"
        )
    images = (digits.train_images / PIXEL_SCALE).astype("float32")
    test_images = (digits.test_images / PIXEL_SCALE).astype("float32")
    print(
        f"Two hidden layers of {units} units, {train_images:,} training "
        f"images, {epochs} epochs, seed {seed}; {held_out:,} images held out"
    )
    names = ["error in %", "nll", "calibration error"]
    print(" | ".join(["method", "held-out error in %", *names, "seconds"]))
    for name in methods:
        method = METHODS[name]
        keras.utils.set_random_seed(seed)
        model = make_network(method, units, train_images, learning_rate)
        start = time.perf_counter()
        model.fit(
            images[:train_images],
            digits.train_labels[:train_images],
            batch_size=batch_size,
            epochs=epochs,
            verbose=0,
        )
        seconds = time.perf_counter() - start
        of_held_out = figures(
            model,
            method,
            images[-held_out:],
            digits.train_labels[-held_out:],
            samples,
        )
        of_test = figures(
            model, method, test_images, digits.test_labels, samples
        )
        row = [of_held_out["error in %"], *(of_test[n] for n in names)]
        cells = [f"{figure:.4g}" for figure in row]
        print(" | ".join([name, *cells, f"{seconds:.0f}"]), flush=True)
