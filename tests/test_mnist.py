"""The reader of MNIST's files."""

import gzip
import os
import pathlib

import numpy as np
import pytest
from mnist_files import IMAGES_NAME, TEST, TRAIN, digits, idx, write

from keras_dnc import mnist

DATA = "KERAS_DNC_DATA"


@pytest.fixture
def folder(tmp_path):
    write(tmp_path)
    return tmp_path


def test_files_are_read_compressed_or_not(folder):
    read = mnist.load(folder)
    images, labels = digits(TEST, 1)
    assert np.array_equal(read.test_images, images)
    assert np.array_equal(read.test_labels, labels)
    assert read.train_images.shape == (TRAIN, 28, 28)
    assert read.train_images.dtype == read.train_labels.dtype == "uint8"


@pytest.mark.skipif(DATA not in os.environ, reason=f"{DATA} is not set")
def test_mnist_itself():
    read = mnist.load(pathlib.Path(os.environ[DATA], "mnist"))
    assert read.train_images.shape == (60_000, 28, 28)
    assert read.test_images.shape == (10_000, 28, 28)
    # The first labels of the original order.
    assert read.train_labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert read.test_labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    # The counts of the digits are not equal, and well known.
    assert np.bincount(read.test_labels).tolist() == [
        *(980, 1135, 1032, 1010, 982),
        *(892, 958, 1028, 974, 1009),
    ]
    assert read.train_images.mean() == pytest.approx(33.318, abs=1e-3)


GOOD = idx(2051, np.arange(12).reshape(1, 3, 4))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "magic number 2051.* 0 bytes"),
        (GOOD[:10], "magic number 2051.* 10 bytes"),
        (idx(2049, np.zeros(3)), "magic number 2051.*x08.x01"),
        (GOOD[:-1], r"12 bytes for the shape \(1, 3, 4\).*11"),
        (GOOD + b"0", r"12 bytes for the shape \(1, 3, 4\).*13"),
    ],
)
@pytest.mark.parametrize("ending", ["", ".gz"])
def test_a_damaged_file_is_refused(tmp_path, content, message, ending):
    path = tmp_path / f"images{ending}"
    path.write_bytes(gzip.compress(content) if ending else content)
    with pytest.raises(ValueError, match=f"{path.name}: expected.*{message}"):
        mnist.read_idx(path, 2051)


@pytest.mark.parametrize(
    "content",
    # Compressed data hold the time, and names of tests must be the same in
    # every process.
    [GOOD, gzip.compress(GOOD)[:-9], b"\x1f\x8b" + bytes(20)],
    ids=["not compressed", "truncated", "no data"],
)
def test_a_damaged_compressed_file_is_refused(tmp_path, content):
    path = tmp_path / "images.gz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"images\.gz: expected a complete"):
        mnist.read_idx(path, 2051)


def test_a_missing_file_is_named(folder):
    (folder / IMAGES_NAME).unlink()
    with pytest.raises(FileNotFoundError, match=IMAGES_NAME):
        mnist.load(folder)


def test_images_without_labels_are_refused(folder):
    images, _ = digits(TRAIN + 1, 0)
    (folder / IMAGES_NAME).write_bytes(idx(2051, images))
    with pytest.raises(
        ValueError, match=f"{TRAIN + 1} train images and {TRAIN}"
    ):
        mnist.load(folder)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            IMAGES_NAME,
            idx(2051, np.zeros((TRAIN, 20, 28))),
            "train images of 28 x 28. Received: 20 x 28",
        ),
        (
            "t10k-labels-idx1-ubyte.gz",
            gzip.compress(idx(2049, np.full(TEST, 10)), mtime=0),
            "test labels from 0 to 9. Received: 10",
        ),
    ],
    ids=["size", "label"],
)
def test_other_images_and_labels_are_refused(folder, name, content, message):
    (folder / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        mnist.load(folder)
