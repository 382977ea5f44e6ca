"""The reader of MNIST's files, and the comparison of networks on them."""

import gzip
import os
import pathlib

import keras
import numpy as np
import pytest

if keras.backend.backend() != "tensorflow":
    pytest.skip(
        "Bayesian layers need TensorFlow Probability, and so the TensorFlow "
        "backend",
        allow_module_level=True,
    )

from keras_dnc.__main__ import main
from keras_dnc.bayesian import comparison, mnist

DATA = "KERAS_DNC_DATA"
IMAGES_NAME = "train-images-idx3-ubyte"
TRAIN, TEST = 600, 100


def idx(magic, array):
    """The bytes of an array in the IDX format."""
    header = np.array([magic, *array.shape], ">i4").tobytes()
    return header + array.astype("uint8").tobytes()


def digits(count, seed):
    """Images that tell their label: its row alone is bright."""
    labels = np.random.default_rng(seed).integers(0, 10, count)
    images = np.zeros((count, 28, 28))
    images[np.arange(count), 2 * labels + 4] = 250
    return images, labels


@pytest.fixture
def folder(tmp_path):
    for name, count, seed in (("train", TRAIN, 0), ("t10k", TEST, 1)):
        images, labels = digits(count, seed)
        (tmp_path / f"{name}-images-idx3-ubyte").write_bytes(idx(2051, images))
        compressed = gzip.compress(idx(2049, labels))
        (tmp_path / f"{name}-labels-idx1-ubyte.gz").write_bytes(compressed)
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


def test_the_parts_of_the_images(folder):
    protocol = comparison.Protocol(train_images=500, held_out=15)
    images = comparison.load(folder, protocol, seed=0)
    read = mnist.load(folder)
    assert np.array_equal(images.train_labels, read.train_labels[:500])
    assert np.array_equal(images.held_out_labels, read.train_labels[585:])
    np.testing.assert_allclose(
        images.held_out, read.train_images[585:] / 126, rtol=1e-6
    )
    # The bright row of each image has become a column.
    bright = images.turned.max(axis=1) > 0
    assert bright.sum() == TEST
    assert np.all(images.turned[:, :, bright.any(0)].shape[1] == 28)
    assert 0.9 < images.noise.mean() < 1.1


def test_too_many_images_are_refused(folder):
    protocol = comparison.Protocol(train_images=590, held_out=11)
    with pytest.raises(ValueError, match=f"{TRAIN} together"):
        comparison.load(folder, protocol, seed=0)


@pytest.mark.parametrize(
    "arguments", [{"units": 0}, {"samples": -1}, {"learning_rate": 0.0}]
)
def test_settings_must_be_positive(arguments):
    (name,) = arguments
    with pytest.raises(ValueError, match=f"`{name}`"):
        comparison.Protocol(**arguments)


def table(lines):
    """The rows of a printed table, by their names."""
    rows = [line.split(" | ") for line in lines]
    return {name: list(map(float, cells)) for name, *cells in rows}


@pytest.mark.slow
def test_the_command_compares_and_prunes(folder, tmp_path, capsys):
    out = tmp_path / "networks"
    words = "--units 8 --epochs 10 --train-images 500 --held-out 20 --samples 2"
    names = ["plain", "dropout", "flipout"]
    status = main(
        [
            *("mnist", "--data", str(folder), "--laplace", "--out", str(out)),
            *words.split(),
            *("--batch-size", "10", "--learning-rate", "0.02"),
            *("--networks", *names),
        ]
    )
    assert status == 0
    lines = capsys.readouterr().out.splitlines()
    assert "units=8" in lines[0] and "seed=0" in lines[0]
    # Between the lines of the table are those of `fit`.
    columns, *lines = [line for line in lines if " | " in line]
    assert columns.split(" | ")[1:3] == ["held-out error in %", "error in %"]
    rows = table(lines[:5])
    assert [*rows] == ["plain", "laplace", "dropout", "mc-dropout", "flipout"]
    # A bright row is learned at once, and by no chance.
    assert rows["plain"][1] < 20
    assert rows["flipout"][1] < 20
    pruned = table(lines[6:])
    assert [*pruned] == ["flipout"]
    assert pruned["flipout"][0] < 20 < pruned["flipout"][-1]
    for name in names:
        model = keras.saving.load_model(out / f"{name}.keras")
        assert model.output_shape == (None, 10)


@pytest.mark.slow
def test_the_command_times_steps(capsys):
    words = "mnist --step-times --units 3 --batch-size 4 --repeats 2"
    assert main([*words.split(), "--networks", "local"]) == 0
    _, columns, *lines = capsys.readouterr().out.splitlines()
    assert columns == " | graph | / plain | XLA | / plain"
    rows = table(lines)
    assert rows["plain"][1] == rows["plain"][3] == 1
    for cells in rows.values():
        assert cells[1] == pytest.approx(cells[0] / rows["plain"][0], rel=2e-3)
        assert cells[3] == pytest.approx(cells[2] / rows["plain"][2], rel=2e-3)


def test_the_command_needs_data(capsys):
    assert main(["mnist"]) == 1
    assert "--data" in capsys.readouterr().err
    assert main(["mnist", "--data", "nowhere"]) == 1
    assert "train-images" in capsys.readouterr().err
