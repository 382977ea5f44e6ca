"""TensorBoard is told what a DNC does, and the training stays the same."""

import io
import sys

import keras
import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="needs the extra `plots`")


import tensorflow as tf
from matplotlib.image import imread

import keras_dnc
from keras_dnc.plots import memory_at_work

TIME = 3
INPUTS = np.random.default_rng(0).random((2, TIME, 3)).astype("float32")
# The second sequence is of two steps.
INPUTS[1, 2] = 0


def a_model(**arguments):
    keras.utils.set_random_seed(1)
    inputs = keras.Input((TIME, 3))
    x = keras.layers.Masking()(inputs)
    x = keras_dnc.DNC(
        2, controller=4, memory_size=4, word_size=3, name="dnc", **arguments
    )(x)
    x = keras.layers.Dropout(0.5)(x)
    model = keras.Model(inputs, x)
    model.compile("sgd", "mse", run_eagerly=True)
    return model


def fit(model, callbacks, epochs):
    model.fit(
        INPUTS,
        np.ones((2, 2), "float32"),
        batch_size=2,
        epochs=epochs,
        callbacks=callbacks,
        verbose=0,
    )


class Weights(keras.callbacks.Callback):
    """Keeps the weights after each epoch."""

    def __init__(self):
        super().__init__()
        self.of_epochs = []

    def on_epoch_end(self, epoch, logs=None):
        self.of_epochs.append(self.model.get_weights())


def events(folder):
    """What the one event file in a folder holds: `{(tag, step): tensor}`."""
    (path,) = folder.glob("events*")
    found = {}
    for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
        event = tf.compat.v1.Event.FromString(record)
        for value in event.summary.value:
            key = value.tag, event.step
            assert key not in found
            found[key] = tf.make_ndarray(value.tensor)
    return found


def gates_and_modes(model, num_reads, num_writes):
    """Each gate and mode of the steps that are read, by stepping the cell."""
    cell = model.get_layer("dnc").cell
    found = {}

    def keep(name, value):
        found.setdefault(name, []).append(float(value))

    for sequence, length in zip(INPUTS, (3, 2), strict=True):
        state = cell.unpack_state(cell.get_initial_state(1))
        for step in range(length):
            _, state, parts = cell.step(sequence[None, step], state)
            for r in range(num_reads):
                keep(f"free gate {r + 1}", parts.free_gates[0, r])
                for i, mode in enumerate(
                    ["backward", "content", "forward"]
                    if num_writes == 1
                    else [
                        "backward 1",
                        "backward 2",
                        "content",
                        "forward 1",
                        "forward 2",
                    ]
                ):
                    name = f"read mode {mode} of head {r + 1}"
                    keep(name, parts.read_modes[0, r, i])
            for v in range(num_writes):
                keep(f"allocation gate {v + 1}", parts.allocation_gates[0, v])
                keep(f"write gate {v + 1}", parts.write_gates[0, v])
    return found


@pytest.mark.parametrize(
    ("reads", "writes", "epochs"),
    [(1, 2, 3), pytest.param(2, 1, 5, marks=pytest.mark.slow)],
)
def test_every_kth_epoch_is_logged_as_it_was(tmp_path, reads, writes, epochs):
    model = a_model(num_reads=reads, num_writes=writes)
    weights = Weights()
    traces = keras_dnc.TensorBoardTraces(tmp_path, INPUTS, every=2, examples=2)
    fit(model, [traces, weights], epochs)
    logged = range(1, epochs, 2)
    found = events(tmp_path)
    expected_tags = set()
    for epoch in logged:
        model.set_weights(weights.of_epochs[epoch])
        for name, values in gates_and_modes(model, reads, writes).items():
            assert len(values) == 5
            mean = found[f"dnc/mean {name}", epoch]
            np.testing.assert_allclose(mean, np.mean(values), rtol=1e-5)
            # Rows of left and right edge and number.
            histogram = found[f"dnc/{name}", epoch]
            assert histogram[:, 2].sum() == 5
            np.testing.assert_allclose(histogram[0, 0], min(values), rtol=1e-5)
            np.testing.assert_allclose(histogram[-1, 1], max(values), rtol=1e-5)
            expected_tags |= {f"dnc/mean {name}", f"dnc/{name}"}
        traced = keras_dnc.trace(model, INPUTS)
        for example in range(2):
            tag = f"dnc/memory at work {example + 1}"
            width, height, png = found[tag, epoch]
            picture = imread(io.BytesIO(png))
            file = io.BytesIO()
            figure = memory_at_work(traced, example=example)
            figure.savefig(file, format="png")
            file.seek(0)
            drawn = imread(file)[..., :3]
            assert (int(height), int(width)) == drawn.shape[:2]
            np.testing.assert_array_equal(picture, drawn)
            expected_tags.add(tag)
    assert set(found) == {
        (tag, step) for tag in expected_tags for step in logged
    }


def test_the_training_is_the_same_without(tmp_path):
    trained = []
    for traces in ([], [keras_dnc.TensorBoardTraces(tmp_path, INPUTS)]):
        model = a_model(dropout=0.5)
        fit(model, traces, epochs=1)
        # With the states of the random generators.
        trained.append([variable.numpy() for variable in model.variables])
    before = a_model(dropout=0.5).variables
    for start, one, other in zip(before, *trained, strict=True):
        assert not np.array_equal(start.numpy(), one), start.path
        np.testing.assert_array_equal(one, other, err_msg=start.path)


def test_what_is_logged_is_named_after_the_dnc(tmp_path):
    inputs = keras.Input((TIME, 3))
    x = inputs
    for name in ("first", "second"):
        x = keras_dnc.DNC(
            2,
            controller=4,
            memory_size=4,
            word_size=3,
            num_reads=1,
            content_only=name == "second",
            return_sequences=True,
            name=name,
        )(x)
    model = keras.Model(inputs, x[:, -1])
    model.compile("sgd", "mse", run_eagerly=True)
    fit(
        model,
        [
            keras_dnc.TensorBoardTraces(
                tmp_path, INPUTS[:1], name="second", examples=1
            )
        ],
        epochs=1,
    )
    tags = {tag for tag, _ in events(tmp_path)}
    assert tags == {
        "second/free gate 1",
        "second/mean free gate 1",
        "second/allocation gate 1",
        "second/mean allocation gate 1",
        "second/write gate 1",
        "second/mean write gate 1",
        "second/memory at work 1",
    }
    # Before the first epoch.
    weights = model.get_weights()
    with pytest.raises(ValueError, match="one DNC"):
        fit(model, [keras_dnc.TensorBoardTraces(tmp_path, INPUTS)], epochs=1)
    for old, new in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_model_may_be_built_by_its_first_batch(tmp_path):
    layer = keras_dnc.DNC(2, controller=4, memory_size=4, word_size=3)
    model = keras.Sequential([layer])
    model.compile("sgd", "mse", run_eagerly=True)
    fit(model, [keras_dnc.TensorBoardTraces(tmp_path, INPUTS)], epochs=1)
    assert ("dnc/memory at work 1", 0) in events(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"log_dir": None}, "`log_dir` must be a path"),
        ({"inputs": None}, "`inputs` must hold"),
        ({"inputs": INPUTS[:0]}, "`inputs` must hold"),
        ({"inputs": [INPUTS, INPUTS[:1]]}, "`inputs` must hold"),
        ({"every": 0}, "every=0"),
        ({"examples": 0}, "examples=0"),
        ({"examples": 3}, "at most the number of sequences, 2.*examples=3"),
        ({"name": 1}, "name=1"),
    ],
)
def test_bad_arguments_are_refused_at_once(tmp_path, arguments, match):
    good = {"log_dir": tmp_path, "inputs": INPUTS}
    with pytest.raises(ValueError, match=match):
        keras_dnc.TensorBoardTraces(**{**good, **arguments})
    assert not list(tmp_path.iterdir())


def test_without_matplotlib_it_is_refused_at_once(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for name in [*sys.modules]:
        if name.startswith("keras_dnc.plots"):
            monkeypatch.delitem(sys.modules, name)
    # Else the package still has it as an attribute.
    monkeypatch.delattr(keras_dnc, "plots", raising=False)
    with pytest.raises(ModuleNotFoundError, match="pip install matplotlib"):
        keras_dnc.TensorBoardTraces(tmp_path, INPUTS)
