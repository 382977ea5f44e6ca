"""Variables that are read before a loop."""

import keras
import numpy as np
import pytest
from helpers import SIZES

import keras_dnc
from keras_dnc.variables import ReadOnce

if keras.backend.backend() != "tensorflow":
    pytest.skip(
        "variables are read before a loop on TensorFlow alone",
        allow_module_level=True,
    )

import tensorflow as tf

# Of half precision it is 1.
ALMOST_ONE = 1 + 2**-12


class Reader(keras.layers.Layer):
    """Returns its weight as it is read, and as it is read before a loop."""

    def build(self, input_shape):
        self.scale = self.add_weight(
            initializer=keras.initializers.Constant(ALMOST_ONE)
        )

    def call(self, inputs):
        with ReadOnce([self.scale]) as read:
            return self.scale.value, read.values[0]


def test_what_is_read_is_not_cast_to_half_precision():
    layer = Reader(dtype="mixed_float16")
    layer.build(())
    layer.scale.assign(ALMOST_ONE)
    with ReadOnce([layer.scale]) as read:
        assert read.values[0].dtype == "float32"
    _, before = tf.function(layer)(np.zeros(1))
    assert before.dtype == "float32"
    assert float(before) == ALMOST_ONE


class Counter(keras.layers.Layer):
    """Counts its calls, in a weight that may be cast when it is read."""

    def build(self, input_shape):
        self.calls = self.add_weight(initializer="zeros", trainable=False)

    def call(self, inputs):
        self.calls.assign(self.calls + 1)
        return inputs


def test_a_step_may_change_a_variable_that_is_cast():
    layer = keras_dnc.DNC(
        2, 5, normalization=Counter(dtype="mixed_float16"), **SIZES
    )
    x = np.ones((1, 7, 4), "float32")
    layer(x)
    before = float(layer.cell.normalization.calls.numpy())
    tf.function(layer)(x)
    # The first of the steps is there twice, for the shapes.
    assert float(layer.cell.normalization.calls.numpy()) == before + 7 + 1


def test_a_step_that_changes_a_weight_read_before_is_refused():
    x = np.ones((1, 3, 4), "float32")
    for unroll in (True, False):
        controller = keras.layers.SpectralNormalization(keras.layers.Dense(6))
        layer = keras_dnc.DNC(2, controller, unroll=unroll, **SIZES)
        layer(x)
        kernel = layer.cell.controller.layer.kernel
        before = np.array(kernel)
        if unroll:
            tf.function(layer)(x, training=True)
            assert np.abs(np.array(kernel) - before).max() > 0.01
        else:
            with pytest.raises(ValueError, match="changes.* weight.*kernel"):
                tf.function(layer)(x, training=True)


@pytest.mark.parametrize(
    "every", [None, pytest.param(3, marks=pytest.mark.slow)]
)
def test_values_from_outside_take_the_place_of_variables(every):
    layer = keras_dnc.DNC(2, 5, checkpoint_every=every, **SIZES)
    x = np.random.default_rng(0).normal(size=(3, 7, 4)).astype("float32")
    own = layer(x).numpy()
    doubled = [2 * variable.value for variable in layer.trainable_variables]
    outputs, _ = tf.function(layer.stateless_call)(
        doubled, layer.non_trainable_variables, x
    )
    np.testing.assert_array_equal(layer(x), own)
    for variable, value in zip(layer.trainable_variables, doubled, strict=True):
        variable.assign(value)
    np.testing.assert_allclose(outputs, layer(x), rtol=1e-5, atol=1e-6)
    assert np.abs(outputs - own).max() > 0.01


@pytest.mark.slow
def test_the_variables_of_a_layer_that_is_not_trained_are_read_too():
    layer = keras_dnc.DNC(2, 5, checkpoint_every=3, **SIZES)
    x = np.ones((3, 7, 4), "float32")
    layer(x)
    layer.trainable = False

    @tf.function
    def gradient(inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            loss = tf.reduce_sum(layer(inputs))
        return tape.gradient(loss, inputs)

    assert np.abs(gradient(tf.constant(x))).max() > 0
