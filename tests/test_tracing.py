"""A trace shows what the layer does, and changes nothing."""

import keras
import numpy as np
import pytest
from extensions import COMBINATIONS
from helpers import LeakyCell
from keras import ops

import keras_dnc
from keras_dnc import Trace, trace


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


def test_the_arrays_make_those_of_the_next_step_and_the_outputs():
    layer = keras_dnc.DNC(
        3, controller=8, memory_size=6, word_size=5, return_sequences=True
    )
    inputs = np.random.default_rng(2).normal(size=(2, 7, 4)).astype("float32")
    outputs = ops.convert_to_numpy(layer(inputs))
    state, interface = (found := trace(layer, inputs)).state, found.interface

    # Of the step before; the first begins from zeros.
    before = keras.tree.map_structure(
        lambda part: (
            np.roll(part, 1, axis=1)
            * (np.arange(7) > 0).reshape(1, 7, *[1] * (part.ndim - 2))
        ),
        state,
    )
    w = state.write_weightings[:, :, 0]
    expected = {}
    erased = 1 - w[..., None] * interface.erase_vectors
    expected["memory"] = (
        before.memory * erased + w[..., None] * interface.write_vectors
    )
    freed = interface.free_gates[..., None] * before.read_weightings
    kept = np.prod(1 - freed, axis=2)
    w_before = before.write_weightings[:, :, 0]
    expected["usage"] = (
        before.usage + w_before - before.usage * w_before
    ) * kept
    p = before.precedence[:, :, 0]
    links = (1 - w[..., None] - w[..., None, :]) * before.link[:, :, 0]
    links += w[..., None] * p[..., None, :]
    links *= 1 - np.eye(6)
    expected["link"] = links[:, :, None]
    precedence = (1 - w.sum(-1, keepdims=True)) * p + w
    expected["precedence"] = precedence[:, :, None]
    expected["reads"] = state.read_weightings @ state.memory
    for name, array in expected.items():
        np.testing.assert_allclose(getattr(state, name), array, atol=1e-6)

    hidden, _ = state.controller_states
    kernel, bias = layer.cell.output_projection.get_weights()
    reads = state.reads.reshape(2, 7, -1)
    features = np.concatenate([hidden, reads], axis=-1)
    np.testing.assert_allclose(features @ kernel + bias, outputs, atol=1e-6)
    np.testing.assert_allclose(found.outputs, outputs, atol=1e-6)


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


SIZES = {"controller": 8, "memory_size": 6, "word_size": 5, "num_writes": 2}


def sequences(batch=3, steps=5):
    rng = np.random.default_rng(2)
    return rng.normal(size=(batch, steps, 4)).astype("float32")


def arrays(parts):
    return [ops.convert_to_numpy(part) for part in keras.tree.flatten(parts)]


def assert_all_close(actual, expected):
    for one, other in zip(actual, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def last(traced):
    """The state after the last step."""
    return [part[:, -1] for part in keras.tree.flatten(traced.state)]


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("zeros", [False, True])
def test_a_masked_layer_is_traced_as_it_runs(zeros, backwards):
    if keras.backend.backend() == "jax" and not zeros:
        pytest.skip("on JAX a mask needs zero_output_for_mask")
    layer = keras_dnc.DNC(
        3,
        return_sequences=True,
        return_state=True,
        zero_output_for_mask=zeros,
        go_backwards=backwards,
        **SIZES,
    )
    inputs = sequences()
    mask = np.array([[1] * 5, [1, 1, 0, 0, 0], [0, 1, 0, 1, 1]], bool)
    outputs, *states = layer(inputs, mask=mask)
    traced = trace(layer, inputs, mask=mask)
    assert_all_close([traced.outputs], arrays([outputs]))
    assert_all_close(last(traced), arrays(layer.cell.unpack_state(states)))
    order = slice(None, None, -1 if backwards else 1)
    np.testing.assert_array_equal(traced.mask, mask[:, order])
    np.testing.assert_array_equal(traced.inputs, inputs[:, order])
    with_features = trace(layer, inputs, mask=mask[..., None])
    np.testing.assert_array_equal(with_features.mask, traced.mask)
    np.testing.assert_array_equal(with_features.outputs, traced.outputs)
    # A hidden step changes nothing.
    hidden = ~traced.mask[2]
    usage = traced.state.usage[2]
    np.testing.assert_array_equal(usage[1:][hidden[1:]], usage[:-1][hidden[1:]])


def test_a_stateful_layer_is_traced_from_where_it_is_and_stays_there():
    layer = keras_dnc.DNC(
        3, stateful=True, return_sequences=True, learned_memory=True, **SIZES
    )
    inputs = sequences()
    layer(inputs)
    before = arrays(layer.states)
    traced = trace(layer, inputs)
    assert_all_close(arrays(layer.states), before)
    assert_all_close([traced.outputs], arrays([layer(inputs)]))


def test_a_sequence_goes_on_from_an_initial_state():
    layer = keras_dnc.DNC(3, return_sequences=True, return_state=True, **SIZES)
    inputs = sequences()
    _, *states = layer(inputs[:, :2])
    whole, rest = (
        trace(layer, inputs),
        trace(layer, inputs[:, 2:], initial_state=states),
    )
    assert_all_close([rest.outputs], [whole.outputs[:, 2:]])
    of_cell = trace(layer.cell, inputs[:, 2:], initial_state=states)
    assert_all_close([of_cell.outputs], [rest.outputs])


def test_a_stateful_layer_stays_at_its_start():
    layers = [
        keras_dnc.DNC(
            3,
            stateful=True,
            return_sequences=True,
            learned_memory=True,
            **SIZES,
        )
        for _ in range(2)
    ]
    inputs = sequences()
    for layer in layers:
        layer.build(inputs.shape)
    rng = np.random.default_rng(5)
    weights = [rng.normal(size=x.shape) for x in layers[0].get_weights()]
    for layer in layers:
        layer.set_weights(weights)
    trace(layers[0], inputs)
    outputs = [layer(inputs) for layer in layers]
    assert_all_close(arrays(outputs[0]), arrays(outputs[1]))


def test_what_is_not_built_is_refused():
    with pytest.raises(ValueError, match="must have been built.*'unbuilt'"):
        trace(keras_dnc.DNC(3, name="unbuilt", **SIZES), sequences())


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="needs tfp's backend"
)
@pytest.mark.parametrize(
    "per_step", [False, pytest.param(True, marks=pytest.mark.slow)]
)
def test_a_bayesian_layer_is_traced_as_its_next_call_draws(per_step):
    from keras_dnc import bayesian

    layer = bayesian.BayesianDNC(
        3, return_sequences=True, draw_per_step=per_step, seed=3, **SIZES
    )
    inputs = sequences()
    first = layer(inputs)
    traced = trace(layer, inputs)
    again = trace(layer, inputs)
    np.testing.assert_array_equal(again.outputs, traced.outputs)
    assert np.abs(traced.outputs - first).max() > 1e-3
    if not per_step:
        # Keras' loop calls a cell once more, to see what it returns.
        assert_all_close([traced.outputs], arrays([layer(inputs)]))


def test_a_wrapper_has_its_two_layers_by_name():
    layer = keras.layers.Bidirectional(
        keras_dnc.DNC(3, return_sequences=True, **SIZES)
    )
    inputs = sequences()
    outputs = arrays([layer(inputs)])[0]
    forward = trace(layer, inputs, name=layer.forward_layer.name)
    backward = trace(layer, inputs, name=layer.backward_layer.name)
    assert_all_close([forward.outputs], [outputs[..., :3]])
    assert_all_close([backward.outputs], [outputs[:, ::-1, 3:]])
    with pytest.raises(ValueError, match="forward_dnc.*backward_dnc"):
        trace(layer, inputs)
    with pytest.raises(ValueError, match="a model has its own"):
        trace(layer, inputs, np.ones((3, 5)), name=layer.forward_layer.name)


def test_a_layer_that_is_called_twice_is_refused():
    inputs = keras.Input((5, 3))
    layer = keras_dnc.DNC(3, return_sequences=True, **SIZES)
    model = keras.Model(inputs, layer(layer(inputs)))
    with pytest.raises(ValueError, match="once.* It did 2 times"):
        trace(model, sequences()[..., :3])


def two_layers():
    inputs = keras.Input((None, 4))
    hidden = keras.layers.Masking()(inputs)
    hidden = keras.layers.Dense(4)(hidden)
    cell = keras_dnc.DNCCell(3, **SIZES)
    hidden = keras.layers.RNN(cell, return_sequences=True, name="first")(hidden)
    outputs = keras_dnc.DNC(2, return_sequences=True, name="second", **SIZES)(
        hidden
    )
    return keras.Model(inputs, [hidden, outputs])


@pytest.mark.skipif(
    keras.backend.backend() == "jax", reason="masks need zeros there"
)
def test_one_of_several_layers_of_a_saved_model_is_named(tmp_path):
    model = two_layers()
    model.save(tmp_path / "model.keras")
    model = keras.saving.load_model(tmp_path / "model.keras")
    inputs = sequences()
    inputs[1, 3:] = 0
    before, expected = arrays(model.get_weights()), arrays(model(inputs))
    for name, outputs in zip(("first", "second"), expected, strict=True):
        traced = trace(model, inputs, name=name)
        assert_all_close([traced.outputs], [outputs])
        np.testing.assert_array_equal(
            traced.mask, [[1] * 5, [1, 1, 1, 0, 0], [1] * 5]
        )
    assert_all_close(arrays(model(inputs)), expected)
    assert_all_close(arrays(model.get_weights()), before)
    with pytest.raises(ValueError, match="one DNC.*'first', 'second'"):
        trace(model, inputs)
    with pytest.raises(ValueError, match="named 'third'.*none"):
        trace(model, inputs, name="third")


def test_what_has_no_dnc_is_refused():
    with pytest.raises(ValueError, match="one DNC. Received: 'lstm' with none"):
        trace(keras.layers.LSTM(3, name="lstm"), sequences())


def test_allocation_is_where_the_write_head_allocates():
    layer = keras_dnc.DNC(3, return_sequences=True, **SIZES)
    inputs = sequences()
    layer(inputs)
    traced = trace(layer, inputs)
    assert traced.allocation_weightings.shape == (3, 5, 2, 6)
    # The paper's formula for the first head, slot by slot.
    for usage, allocation in zip(
        traced.state.usage.reshape(-1, 6),
        traced.allocation_weightings[:, :, 0].reshape(-1, 6),
        strict=True,
    ):
        usage = 1e-6 + (1 - 1e-6) * usage.astype("float64")
        order = np.argsort(usage, kind="stable")
        expected, product = np.zeros(6), 1.0
        for slot in order:
            expected[slot] = (1 - usage[slot]) * product
            product *= usage[slot]
        np.testing.assert_allclose(allocation, expected, atol=1e-5)


def controllers():
    return {
        "LSTM": 8,
        "stack": keras.layers.StackedRNNCells(
            [keras.layers.LSTMCell(3), keras.layers.GRUCell(4)]
        ),
        "leaky": LeakyCell(8),
        "feed-forward": keras.Sequential([keras.layers.Dense(5, "tanh")]),
    }


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        pytest.param(
            kind,
            name,
            marks=pytest.mark.slow if name or kind == "stack" else (),
        )
        for kind in controllers()
        for name in (None, "content_only", "all_with_links")
    ],
)
def test_a_trace_is_saved_and_loaded(kind, name, tmp_path):
    layer = keras_dnc.DNC(
        3,
        **{**SIZES, "controller": controllers()[kind]},
        **COMBINATIONS.get(name, {}),
    )
    inputs = sequences()
    layer(inputs)
    traced = trace(layer, inputs)
    path = tmp_path / "trace.npz"
    traced.save(path)
    loaded = Trace.load(path)
    assert isinstance(loaded, Trace)
    keras.tree.assert_same_structure(
        keras.tree.map_structure(np.shape, tuple(loaded)),
        keras.tree.map_structure(np.shape, tuple(traced)),
    )
    for one, other in zip(
        keras.tree.flatten(loaded), keras.tree.flatten(traced), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    with np.load(path) as file:
        assert "state/memory" in file and "interface/read_keys" in file


@pytest.mark.parametrize(
    "kind", ["missing", "text", "another", "more", "less", "damaged"]
)
def test_a_file_that_is_no_trace_is_named(kind, tmp_path):
    path = tmp_path / "trace.npz"
    if kind == "text":
        path.write_text("no trace")
    if kind == "another":
        np.savez(path, memory=np.zeros(3))
    if kind == "more":
        np.savez(path, outputs=np.zeros(3), more=np.zeros(3))
    if kind == "less":
        np.savez(path, outputs=np.zeros(3))
    if kind == "damaged":
        layer = keras_dnc.DNC(3, **SIZES)
        layer(sequences())
        trace(layer, sequences()).save(path)
        content = bytearray(path.read_bytes())
        content[200:260] = bytes(60)
        path.write_bytes(content)
    error = FileNotFoundError if kind == "missing" else ValueError
    with pytest.raises(error, match=r"trace\.npz"):
        Trace.load(path)


def test_half_precision_is_saved_as_numbers(tmp_path):
    layer = keras_dnc.DNC(
        3, return_sequences=True, dtype="mixed_bfloat16", **SIZES
    )
    inputs = sequences()
    outputs = ops.convert_to_numpy(ops.cast(layer(inputs), "float32"))
    trace(layer, inputs).save(tmp_path / "trace.npz")
    loaded = Trace.load(tmp_path / "trace.npz")
    assert loaded.outputs.dtype == "float32"
    np.testing.assert_allclose(loaded.outputs, outputs, atol=2e-2)
