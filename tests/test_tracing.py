"""A trace shows what the layer does, and changes nothing."""

import keras
import numpy as np
import pytest
from extensions import COMBINATIONS
from keras import ops

import keras_dnc
from keras_dnc.tracing import trace


def test_a_trace_ends_where_the_layer_ends():
    layer = keras_dnc.DNC(
        3,
        controller=8,
        memory_size=6,
        word_size=5,
        num_reads=2,
        num_writes=2,
        normalization=keras.layers.LayerNormalization(),
        return_sequences=True,
        return_state=True,
    )
    inputs = np.random.default_rng(0).normal(size=(2, 7, 4)).astype("float32")
    outputs, *states = layer(inputs)
    traced = trace(layer.cell, inputs)

    np.testing.assert_allclose(
        traced.outputs, ops.convert_to_numpy(outputs), atol=1e-6
    )
    final = keras.tree.flatten(layer.cell.unpack_state(states))
    last = keras.tree.map_structure(lambda part: part[:, -1], traced.state)
    for expected, part in zip(final, keras.tree.flatten(last), strict=True):
        np.testing.assert_allclose(
            part, ops.convert_to_numpy(expected), atol=1e-6
        )
    np.testing.assert_array_equal(traced.inputs, inputs)
    assert traced.state.link.shape == (2, 7, 2, 6, 6)
    assert traced.interface.read_modes.shape == (2, 7, 2, 5)
    again, *_ = layer(inputs)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(again), ops.convert_to_numpy(outputs)
    )


def test_the_interface_of_a_step_is_what_the_write_head_used():
    layer = keras_dnc.DNC(3, controller=8, memory_size=6, word_size=5)
    inputs = np.random.default_rng(1).normal(size=(1, 4, 4)).astype("float32")
    layer(inputs)
    traced = trace(layer.cell, inputs)
    # A write weighting sums to its write gate, up to what allocation leaves.
    gate = traced.interface.write_gates[..., 0]
    allocated = traced.interface.allocation_gates[..., 0]
    written = traced.state.write_weightings.sum(-1)[..., 0]
    assert (written <= gate + 1e-6).all()
    assert (written >= gate * (1 - allocated) - 1e-6).all()


@pytest.mark.parametrize("name", ["content_only", "all_with_links"])
def test_a_trace_shows_the_parts_that_extensions_have(name):
    layer = keras_dnc.DNC(
        3,
        controller=8,
        memory_size=6,
        word_size=5,
        num_reads=2,
        return_sequences=True,
        **COMBINATIONS[name],
    )
    inputs = np.random.default_rng(0).normal(size=(2, 7, 4)).astype("float32")
    outputs = layer(inputs)
    traced = trace(layer.cell, inputs)
    np.testing.assert_allclose(
        traced.outputs, ops.convert_to_numpy(outputs), atol=1e-6
    )
    if name == "content_only":
        assert traced.state.link == traced.interface.read_modes == ()
    else:
        assert traced.state.link.values.shape == (2, 7, 1, 6, 2)
        assert traced.interface.read_masks.shape == (2, 7, 2, 5)
        assert traced.interface.forward_sharpness.shape == (2, 7, 1, 2)
