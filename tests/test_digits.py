"""Digits in order: images as sequences of rows."""

import dataclasses

import keras
import mnist_files
import numpy as np
import pytest

from keras_dnc import runs, training
from keras_dnc.__main__ import main
from keras_dnc.tasks import Digits


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "mnist"
    folder.mkdir()
    mnist_files.write(folder)
    return folder


@pytest.fixture
def task(folder):
    return Digits(data=str(folder))


@pytest.mark.parametrize("part", ["training", "test"])
def test_an_image_is_its_rows_and_the_digit_comes_last(task, part):
    count, seed = {
        "training": (mnist_files.TRAIN, 0),
        "test": (mnist_files.TEST, 1),
    }[part]
    images, labels = mnist_files.digits(count, seed)
    batch = getattr(task, f"{part}_data")(None)
    assert batch.inputs.shape == (count, 28, len(task.input_labels))
    np.testing.assert_allclose(batch.inputs, images / 255, rtol=1e-6)
    for targets, weights, label in zip(*batch[1:], labels, strict=True):
        assert targets[27] == label
        np.testing.assert_array_equal(weights, [0] * 27 + [1])


def test_wrong_digits_are_counted(task):
    batch = task.test_data(None)
    outputs = np.eye(10)[batch.targets]
    assert task.score(outputs, batch)["wrong digits"] == 0
    outputs[3, -1] = np.roll(outputs[3, -1], 1)
    # What is said before the last row does not count.
    outputs[5, :-1] = np.eye(10)[9]
    figures = task.score(outputs, batch)
    assert figures["wrong digits"] == 1
    assert figures["error in %"] == pytest.approx(1)


def test_an_image_is_shown_in_shades(task):
    batch = task.test_data(None)
    digit = int(batch.targets[0, -1])
    batch.inputs[0, 0, :3] = [0, 0.5, 1]
    outputs = np.eye(10)[batch.targets]
    lines = task.text(outputs, batch, example=0).splitlines()
    assert len(lines) == 1 + 28
    assert lines[1].split(maxsplit=1) == ["0", "=@"]
    assert lines[1 + 2 * digit + 4].split() == [str(2 * digit + 4), "@" * 28]
    assert lines[-1].split() == ["27", str(digit), str(digit)]


def test_a_folder_must_be_named():
    with pytest.raises(ValueError, match="`data` must be the folder"):
        Digits()


def test_a_missing_file_is_named_before_a_folder_is_made(
    folder, tmp_path, capsys
):
    (folder / mnist_files.IMAGES_NAME).unlink()
    words = [f"--data={folder}", f"--out={tmp_path / 'out'}", "--no-picture"]
    assert main(["train", "digits", *words]) == 1
    assert mnist_files.IMAGES_NAME in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mnist"]


@pytest.mark.parametrize("part", ["train", "t10k"])
def test_files_without_an_image_are_named(folder, part, tmp_path, capsys):
    images, labels = mnist_files.digits(0, 0)
    files = mnist_files.contents(part, images, labels)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    words = [f"--data={folder}", f"--out={tmp_path / 'out'}", "--no-picture"]
    assert main(["train", "digits", *words]) == 1
    assert "images. Received none" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mnist"]


def test_a_model_of_ones_own_trains_on_a_data_set(task):
    pytest.importorskip("tensorflow")
    count = mnist_files.TRAIN
    data = task.dataset(batch_size=count)
    first, second = ([part.numpy() for part in batch] for batch in data.take(2))
    _, labels = mnist_files.digits(count, seed=0)
    for images, digits, weights in (first, second):
        # Each image is there, with its digit and in an order of the pass.
        np.testing.assert_array_equal(sorted(digits[:, -1]), sorted(labels))
        np.testing.assert_array_equal(
            images[np.arange(count), 2 * digits[:, -1] + 4, 0],
            np.float32(250 / 255),
        )
        np.testing.assert_array_equal(weights.sum(-1), 1)
        assert (digits[:, -1] != labels).any()
    assert (first[1] != second[1]).any()
    assert data.element_spec[0].shape == (None, None, 28)
    inputs = keras.Input((None, 28))
    model = keras.Model(inputs, keras.layers.Dense(10)(inputs))
    model.compile("sgd", **task.compile_arguments())
    # In a pass of batches of 250 the third is smaller.
    data = task.dataset(batch_size=250)
    assert [len(inputs) for inputs, *_ in data.take(4)] == [250, 250, 100, 250]
    model.fit(data, steps_per_epoch=4, verbose=0)


@pytest.mark.slow
def test_it_is_trained_and_evaluated_as_a_command(folder, tmp_path, capsys):
    out = tmp_path / "out"
    words = ["--controller=8", "--epochs=2", "--learning-rate=0.01"]
    words += [f"--data={folder}", f"--out={out}", "--no-picture"]
    assert main(["train", "digits", *words]) == 0
    assert main(["evaluate", "digits", str(out)]) == 0
    rows = dict(
        line.rsplit(maxsplit=1) for line in capsys.readouterr().out.splitlines()
    )
    assert int(rows["digits"]) == mnist_files.TEST
    task = runs.load_task(out, "digits")
    assert task == Digits(data=str(folder))
    figures = training.evaluate(runs.load_model(out), task, seed=0)
    assert figures["wrong digits"] == int(rows["wrong digits"])
    # The bright row tells the digit: chance is 90.
    assert figures["error in %"] < 70
    assert dataclasses.asdict(task) == {"data": str(folder)}
