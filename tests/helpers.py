"""What the tests of Keras' features share: small layers, data, comparisons."""

import keras
import numpy as np
import pytest
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


def make_cell(**arguments):
    """A tiny cell; arguments replace those that make it tiny."""
    arguments = {"units": UNITS, "controller": 5, **SIZES, **arguments}
    return keras_dnc.DNCCell(**arguments)


def make_dnc(**arguments):
    """A tiny layer; arguments replace those that make it tiny."""
    arguments = {"units": UNITS, "controller": 5, **SIZES, **arguments}
    return keras_dnc.DNC(**arguments)


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
    rng = np.random.default_rng(seed)
    slots, reads, writes = cell.memory_size, cell.num_reads, cell.num_writes

    def weightings(*shape):
        weights = rng.uniform(size=shape)
        return 0.9 * weights / weights.sum(-1, keepdims=True)

    link = rng.uniform(size=(batch, writes, slots, slots)) / (2 * slots)
    state = keras_dnc.DNCState(
        memory=rng.normal(size=(batch, slots, cell.word_size)),
        usage=rng.uniform(size=(batch, slots)),
        precedence=weightings(batch, writes, slots),
        link=link * (1 - np.eye(slots)),
        write_weightings=weightings(batch, writes, slots),
        read_weightings=weightings(batch, reads, slots),
        reads=rng.normal(size=(batch, reads, cell.word_size)),
        controller_states=[
            rng.normal(size=(batch, size)) for size in cell.state_size[7:]
        ],
    )
    tensors = [
        ops.convert_to_tensor(part, dtype=cell.compute_dtype)
        for part in keras.tree.flatten(state)
    ]
    return [
        ops.reshape(part, (batch, size))
        for part, size in zip(tensors, cell.state_size, strict=True)
    ]


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
