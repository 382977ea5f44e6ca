"""The comparison of networks on MNIST."""

import re

import keras
import numpy as np
import pytest
from mnist_files import TEST, TRAIN, write

if keras.backend.backend() != "tensorflow":
    pytest.skip(
        "Bayesian layers need TensorFlow Probability, and so the TensorFlow "
        "backend",
        allow_module_level=True,
    )

from keras_dnc import mnist
from keras_dnc.__main__ import main
from keras_dnc.bayesian import comparison


@pytest.fixture
def folder(tmp_path):
    write(tmp_path)
    return tmp_path


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


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--step-times", "--laplace"], "--step-times must .*--laplace"),
        (["--step-times", "--out", "there"], "--step-times must .*--out"),
        (["--step-times", "--data", "there"], "--step-times must .*--data"),
        (["--step-times", "--overwrite"], "--step-times must .*--overwrite"),
        (
            ["--data", "there", "--laplace", "--networks", "flipout", "local"],
            "--laplace is of the plain .*Received: flipout local",
        ),
    ],
)
def test_what_would_have_no_effect_is_refused(words, message, capsys):
    assert main(["mnist", *words]) == 1
    assert re.search(message, capsys.readouterr().err)


def test_the_command_needs_data(capsys):
    assert main(["mnist"]) == 1
    assert "--data" in capsys.readouterr().err
    assert main(["mnist", "--data", "nowhere"]) == 1
    assert "train-images" in capsys.readouterr().err
