"""What the tests of Keras' features share: small layers, data, comparisons."""

import keras
import numpy as np
import pytest
import reference
from extensions import COMBINATIONS, EXTENSIONS, state_tensors
from keras import ops

import keras_dnc

FEATURES, UNITS = 3, 2
SIZES = {"memory_size": 4, "word_size": 3, "num_reads": 2}

tensorflow_only = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow",
    reason="jit_compile means XLA, and SavedModel exists, on TensorFlow alone",
)


@keras.saving.register_keras_serializable(package="keras_dnc_tests")
class LeakyCell(keras.layers.Layer):
    """A user's own cell, of the barest kind that Keras allows.

    One state, given as an int and returned bare; neither `output_size` nor
    `get_initial_state`.
    """

    def __init__(self, units, leak=0.5, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.leak = leak
        self.state_size = units

    def build(self, input_shape):
        self.kernel = self.add_weight(
            shape=(input_shape[-1], self.units), name="kernel"
        )

    def call(self, inputs, states):
        state = states[0] if isinstance(states, (list, tuple)) else states
        state = self.leak * state + ops.tanh(ops.matmul(inputs, self.kernel))
        return state, state

    def get_config(self):
        config = {"units": self.units, "leak": self.leak}
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable(package="keras_dnc_tests")
class DotProduct(keras_dnc.ContentAddressing):
    """Another similarity than the cosine."""

    def similarity(self, memory, keys):
        return ops.matmul(keys, ops.transpose(memory, (0, 2, 1)))


@keras.saving.register_keras_serializable(package="keras_dnc_tests")
class Subclassed(keras.Model):
    """A model that makes its layer itself, and that Keras builds by tracing."""

    def __init__(self, kind, config, **kwargs):
        super().__init__(**kwargs)
        self.kind = kind
        self.config = config
        cls = keras.saving.get_registered_object(kind) or getattr(
            keras.layers, kind
        )
        self.layer = cls.from_config(config)

    def call(self, inputs):
        return self.layer(inputs)

    def get_config(self):
        return {"kind": self.kind, "config": self.config}


def save_in_a_subclass(model, folder):
    """Saves a Sequential's last layer in a `Subclassed`; returns it loaded."""
    path = folder / "subclassed.keras"
    layer = model.layers[-1]
    kind = keras.saving.get_registered_name(type(layer))
    outer = Subclassed(kind, layer.get_config())
    outer(np.zeros([2 if size is None else size for size in model.input_shape]))
    outer.set_weights(model.get_weights())
    outer.save(path)
    return keras.saving.load_model(path)


def _stack():
    return keras.layers.StackedRNNCells(
        [keras.layers.LSTMCell(4), keras.layers.GRUCell(5)]
    )


def _network():
    return keras.Sequential(
        [keras.layers.Dense(6, activation="relu"), keras.layers.Dense(4)]
    )


# Every kind of controller that the cell's documentation names.
CONTROLLERS = {
    "int": lambda: 5,
    "LSTMCell": lambda: keras.layers.LSTMCell(4),
    "GRUCell": lambda: keras.layers.GRUCell(4),
    "SimpleRNNCell": lambda: keras.layers.SimpleRNNCell(4),
    "StackedRNNCells": _stack,
    "own_cell": lambda: LeakyCell(4, leak=0.25),
    "Dense": lambda: keras.layers.Dense(4, activation="tanh"),
    "Sequential": _network,
}


# Arguments of the cells and layers that are made below.
TINY = {"units": UNITS, "controller": 5, **SIZES}


def make_cell(**arguments):
    """A tiny cell; arguments replace those that make it tiny."""
    return keras_dnc.DNCCell(**{**TINY, **arguments})


def make_dnc(**arguments):
    """A tiny layer; arguments replace those that make it tiny."""
    return keras_dnc.DNC(**{**TINY, **arguments})


# Of single ones those that change the layout of a state.
EXTENDED = {
    name: arguments
    for name, arguments in COMBINATIONS.items()
    if name in ("content_only", "sparse_links") or name not in EXTENSIONS
}
TOGETHER = {"all", "all_with_links"}


def how_often(name):
    """Marks the tests of a combination of extensions."""
    return pytest.mark.slow if name in TOGETHER else pytest.mark.exhaustive


def extended():
    """A fixture that makes every test of a module run with extensions too.

    With all of them, with and without links, in the slow tests; with the other
    combinations in the exhaustive ones; what is a slow test of itself with all
    that goes together alone.
    """

    @pytest.fixture(
        autouse=True,
        params=[
            pytest.param({}, id="plain"),
            *(
                pytest.param(arguments, id=name, marks=how_often(name))
                for name, arguments in EXTENDED.items()
            ),
        ],
    )
    def extensions(request, monkeypatch):
        marks = getattr(request.function, "pytestmark", [])
        is_slow = any(mark.name == "slow" for mark in marks)
        together = COMBINATIONS["all_with_links"]
        if is_slow and request.param and request.param != together:
            pytest.skip("runs with all extensions together")
        for name, value in request.param.items():
            # What trains a few steps alone must be seen to learn.
            if is_slow and name == "bypass_dropout":
                continue
            monkeypatch.setitem(TINY, name, value)

    return extensions


def sequences(batch=2, steps=4, features=FEATURES, seed=0):
    """Random inputs of shape `(batch, steps, features)`."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(batch, steps, features)).astype("float32")


def randomize(layer, seed=1):
    """Gives every weight of a built layer random values; returns the layer.

    Biases that start at zero, say, would hide that they were lost.
    """
    rng = np.random.default_rng(seed)
    for variable in layer.trainable_variables:
        variable.assign(rng.normal(scale=0.5, size=variable.shape))
    return layer


def build(layer, inputs, seed=1):
    """Builds a layer on some inputs, and gives it random weights."""
    layer.build(inputs.shape)
    return randomize(layer, seed)


def twin(layer, like, inputs):
    """Builds a layer and gives it the weights of another."""
    layer.build(inputs.shape)
    layer.set_weights(like.get_weights())
    return layer


def random_states(cell, batch=2, seed=2):
    """A state that a cell could be in, as flat tensors.

    Its usages are distinct. From the zero state slots stay equally unused up
    to rounding, and then two right computations may fill them in another
    order, which changes no output but every state.
    """
    shapes = cell.unpack_state(cell.get_initial_state(1))
    state = reference.random_state(
        np.random.default_rng(seed),
        cell.memory_size,
        cell.word_size,
        cell.num_reads,
        cell.num_writes,
        batch,
        [
            part.shape[1]
            for part in keras.tree.flatten(shapes.controller_states)
        ],
    )
    return state_tensors(cell, state, cell.compute_dtype)


def arrays(structure):
    """NumPy arrays in place of tensors."""
    return keras.tree.map_structure(ops.convert_to_numpy, structure)


def assert_close(actual, expected, tolerance=1e-6):
    """Asserts equal shapes, and values within `tolerance` of each other.

    The default is room for rounding alone: the same operations on arrays that
    lie differently in memory need not round the same.
    """
    actual = [arrays(part) for part in keras.tree.flatten(actual)]
    expected = [arrays(part) for part in keras.tree.flatten(expected)]
    assert len(actual) == len(expected)
    for one, other in zip(actual, expected, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


def assert_equal(actual, expected):
    """Asserts equal shapes and the very same values."""
    assert_close(actual, expected, tolerance=0)


def assert_differ(one, other, by=1e-3):
    """Asserts that two arrays are not the same, by more than rounding."""
    assert np.max(np.abs(arrays(one) - arrays(other))) > by
