"""MNIST's handwritten digits, from files in the IDX format."""

import gzip
import math
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

IMAGES, LABELS = 2051, 2049
FILES = {
    "train_images": ("train-images-idx3-ubyte", IMAGES),
    "train_labels": ("train-labels-idx1-ubyte", LABELS),
    "test_images": ("t10k-images-idx3-ubyte", IMAGES),
    "test_labels": ("t10k-labels-idx1-ubyte", LABELS),
}
CLASSES = 10


class Mnist(NamedTuple):
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


def files(folder: Path | str) -> dict[str, Path]:
    """Finds the four files of MNIST, in their original names.

    Args:
        folder: Where they are, compressed (`.gz`) or not.

    Returns:
        The path of each part of `Mnist`.

    Raises:
        FileNotFoundError: If a file is missing.
    """
    found = {}
    for part, (name, _) in FILES.items():
        paths = [Path(folder, name + ending) for ending in (".gz", "")]
        found[part] = next(filter(Path.is_file, paths), None)
        if found[part] is None:
            raise FileNotFoundError(
                f"{paths[0]}: expected MNIST's file. There is none"
            )
    return found


def load(folder: Path | str) -> Mnist:
    """Reads the four files of MNIST, in their original names.

    Args:
        folder: Where they are, compressed (`.gz`) or not.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a file is damaged, if there is no image, if images are
            of another size than 28 x 28, if labels are no digits, or if the
            two are not as many.
    """
    arrays = {
        part: read_idx(path, FILES[part][1])
        for part, path in files(folder).items()
    }
    for part in ("train", "test"):
        images, labels = arrays[f"{part}_images"], arrays[f"{part}_labels"]
        if not len(images):
            raise ValueError(f"{folder}: expected {part} images. Received none")
        if images.shape[1:] != (28, 28):
            raise ValueError(
                f"{folder}: expected {part} images of 28 x 28. Received: "
                f"{' x '.join(map(str, images.shape[1:]))}"
            )
        if np.any(labels >= CLASSES):
            raise ValueError(
                f"{folder}: expected {part} labels from 0 to {CLASSES - 1}. "
                f"Received: {labels.max()}"
            )
        if len(images) != len(labels):
            raise ValueError(
                f"{folder}: expected as many labels as images. Received "
                f"{len(images)} {part} images and {len(labels)} labels"
            )
    return Mnist(**arrays)
