"""A SavedModel runs where there is TensorFlow and no keras_dnc."""

import subprocess
import sys

import keras
import numpy as np
import pytest
from extensions import COMBINATIONS

import keras_dnc

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow",
    reason="a SavedModel is a TensorFlow format",
)

SERVE = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "keras_dnc":
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocker())
try:
    import keras_dnc
except ImportError:
    pass
else:
    raise SystemExit("keras_dnc can be imported")

import numpy as np
import tensorflow as tf

folder, arrays = sys.argv[1:]
served = tf.saved_model.load(folder)
inputs = np.load(arrays)
outputs = {name: served.serve(inputs[name]).numpy() for name in inputs}
np.savez(arrays + ".outputs.npz", **outputs)
"""


def serve(folder, tmp_path, **inputs):
    """Runs an exported model in a process without keras_dnc."""
    np.savez(tmp_path / "arrays.npz", **inputs)
    done = subprocess.run(
        [sys.executable, "-I", "-c", SERVE, folder, tmp_path / "arrays.npz"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return np.load(tmp_path / "arrays.npz.outputs.npz")


def model_of(layer, mask_value=None):
    inputs = keras.Input((None, 3))
    masked = inputs
    if mask_value is not None:
        masked = keras.layers.Masking(mask_value)(inputs)
    return keras.Model(inputs, keras.layers.Dense(2)(layer(masked)))


SIZES = {"controller": 5, "memory_size": 6, "word_size": 4, "num_reads": 2}
MODELS = {
    "sequences": lambda: model_of(
        keras_dnc.DNC(4, **SIZES, num_writes=2, return_sequences=True)
    ),
    "last output, masked, normalized": lambda: model_of(
        keras_dnc.DNC(
            4, **SIZES, normalization=keras.layers.LayerNormalization()
        ),
        mask_value=0.0,
    ),
    "all extensions": lambda: model_of(
        keras_dnc.DNC(
            4, **SIZES, return_sequences=True, **COMBINATIONS["all_with_links"]
        )
    ),
    "without links": lambda: model_of(
        keras_dnc.BidirectionalDNC(4, **SIZES, **COMBINATIONS["all"])
    ),
    "bidirectional over stacked cells": lambda: model_of(
        keras.layers.Bidirectional(
            keras.layers.RNN(
                keras.layers.StackedRNNCells(
                    [keras_dnc.DNCCell(4, **SIZES), keras.layers.GRUCell(3)]
                )
            )
        )
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_an_exported_model_answers_as_the_model(make, tmp_path):
    model = make()
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if "seed" not in weight.path:
            weight.assign(rng.normal(scale=0.3, size=weight.shape))
    inputs = {
        name: rng.normal(size=(*shape, 3)).astype("float32")
        for name, shape in {
            "few": (2, 4),
            "one": (1, 1),
            "many": (5, 9),
        }.items()
    }
    # A masked step for the model that masks zeros.
    inputs["many"][2, 5:] = 0
    model.export(tmp_path / "exported", verbose=False)
    served = serve(tmp_path / "exported", tmp_path, **inputs)
    for name, array in inputs.items():
        expected = model.predict(array, verbose=0)
        assert np.abs(expected).max() > 1e-2
        np.testing.assert_allclose(
            served[name], expected, atol=1e-6, rtol=0, err_msg=name
        )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["plain", "all_with_links", "all"])
def test_a_model_converted_to_onnx_answers_as_the_model(name, tmp_path):
    import onnxruntime

    extensions = COMBINATIONS.get(name, {})
    layer = keras_dnc.DNC(
        4, **SIZES, num_writes=2, return_sequences=True, **extensions
    )
    model = model_of(layer, mask_value=0.0)
    inputs = np.random.default_rng(0).normal(size=(3, 7, 3)).astype("float32")
    inputs[0, 5:] = 0
    expected = model(inputs)
    model.export(tmp_path / "model.onnx", format="onnx", verbose=False)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    (name,) = (part.name for part in session.get_inputs())
    (actual,) = session.run(None, {name: inputs})
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)
    # Another batch size and length.
    (actual,) = session.run(None, {name: inputs[:1, :4]})
    np.testing.assert_allclose(
        actual, model(inputs[:1, :4]), rtol=1e-5, atol=1e-6
    )
