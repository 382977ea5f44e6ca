"""Dropout in a controller: one mask for a sequence, drawn by Keras' rules.

A memory that is never written leaves the reads zero, and the controller then
sees `[x ; 0]`: it must give exactly what `keras.layers.RNN` makes of it. Keras
is the oracle here, with the same weights and the same seed.
"""

import keras
import numpy as np
import pytest
from helpers import (
    FEATURES,
    UNITS,
    arrays,
    assert_close,
    assert_differ,
    assert_equal,
    build,
    make_cell,
    make_dnc,
    randomize,
    sequences,
    tensorflow_only,
)
from keras import ops

from keras_dnc.dropout import DropoutRNNCell

RATES = {"dropout": 0.5, "recurrent_dropout": 0.5}
READS = 6


@keras.saving.register_keras_serializable(package="keras_dnc_tests")
class MaskProbe(keras.layers.Layer, DropoutRNNCell):
    """A cell whose output is its two masks, as they fall on ones.

    Its state counts the steps, which no mask touches.
    """

    def __init__(self, dropout=0.5, recurrent_dropout=0.5, seed=0, **kwargs):
        super().__init__(**kwargs)
        self.dropout = dropout
        self.recurrent_dropout = recurrent_dropout
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.width = FEATURES + READS
        self.state_size = 4
        self.output_size = self.width + 4

    def call(self, inputs, states, training=False):
        outputs, recurrent = ops.ones_like(inputs), ops.ones_like(states[0])
        if training:
            outputs = outputs * self.get_dropout_mask(inputs)
            recurrent = recurrent * self.get_recurrent_dropout_mask(states[0])
        outputs = ops.concatenate([outputs, recurrent], axis=-1)
        return outputs, [states[0] + 1]


def stack(**arguments):
    return keras.layers.StackedRNNCells(
        [
            keras.layers.LSTMCell(4, seed=1, **arguments),
            keras.layers.GRUCell(5, seed=2, **arguments),
        ]
    )


# The controller for a cell, and the arguments that make it of an int.
CONTROLLERS = {
    "int": lambda rates=RATES: {"controller": 5, "seed": 1, **rates},
    "LSTMCell": lambda rates=RATES: {
        "controller": keras.layers.LSTMCell(5, seed=1, **rates)
    },
    "GRUCell": lambda rates=RATES: {
        "controller": keras.layers.GRUCell(5, seed=1, **rates)
    },
    "StackedRNNCells": lambda rates=RATES: {"controller": stack(**rates)},
}
every_controller = pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=pytest.mark.slow if "Cell" in kind[:8] else ())
        for kind in CONTROLLERS
    ],
)


def silence(cell):
    """Closes the write gates of a built cell: all its reads are zero."""
    interface = cell.interface
    bias = arrays(interface.projection.bias).copy()
    reads, width = cell.num_reads, cell.word_size
    gate = reads * width + 3 * width + 2 * reads + 2
    kernel = arrays(interface.projection.kernel).copy()
    kernel[:, gate], bias[gate] = 0, -1e4
    interface.projection.kernel.assign(kernel)
    interface.projection.bias.assign(bias)


def show_controller(cell):
    """Makes the output of a built cell the controller's, its first units."""
    kernel = np.zeros(cell.output_projection.kernel.shape)
    kernel[: cell.units, : cell.units] = np.eye(cell.units)
    cell.output_projection.kernel.assign(kernel)
    cell.output_projection.bias.assign(np.zeros(cell.units))


def transparent(layer, inputs):
    """Builds a layer whose outputs are its controller's on `[x ; 0]`."""
    build(layer, inputs)
    silence(layer.cell)
    show_controller(layer.cell)
    return layer


def oracle(layer):
    """The controller alone, as a layer of Keras with the same weights."""
    controller = layer.cell.controller
    cell = type(controller).from_config(controller.get_config())
    alone = keras.layers.RNN(cell, return_sequences=True)
    alone.build((None, None, FEATURES + READS))
    cell.set_weights(controller.get_weights())
    return alone


def with_reads(inputs):
    return np.pad(inputs, ((0, 0), (0, 0), (0, READS)))


def wrap_dnc(**arguments):
    return make_dnc(return_sequences=True, **arguments)


def wrap_rnn(**arguments):
    return keras.layers.RNN(make_cell(**arguments), return_sequences=True)


WRAPPERS = {"DNC": wrap_dnc, "RNN": wrap_rnn}


@pytest.mark.parametrize("wrapper", WRAPPERS)
@every_controller
def test_masks_are_those_that_keras_draws(kind, wrapper):
    inputs = sequences(batch=3)
    layer = WRAPPERS[wrapper](units=4, **CONTROLLERS[kind]())
    transparent(layer, inputs)
    alone = oracle(layer)
    for _ in range(2):
        # The second call must draw anew, in both.
        dropped = layer(inputs, training=True)
        expected = alone(with_reads(inputs), training=True)[:, :, :4]
        assert_close(dropped, expected)
    undropped = layer(inputs)
    assert_close(undropped, alone(with_reads(inputs))[:, :, :4])
    assert_differ(dropped, undropped)


@pytest.mark.parametrize("rate", RATES)
@every_controller
def test_each_kind_of_dropout_acts_alone(kind, rate):
    inputs = sequences()
    layer = build(wrap_dnc(**CONTROLLERS[kind]({rate: 0.5})), inputs)
    dropped, plain = layer(inputs, training=True), layer(inputs)
    assert_differ(dropped[:, 1:], plain[:, 1:])
    if rate == "recurrent_dropout" and kind != "StackedRNNCells":
        # At the first step the recurrent state is zero.
        assert_close(dropped[:, 0], plain[:, 0])


def probe(**arguments):
    inputs = np.ones((4, 5, FEATURES), "float32")
    probe = MaskProbe(**arguments)
    layer = wrap_dnc(units=probe.output_size, controller=probe, clip_value=None)
    return transparent(layer, inputs), inputs


def test_a_mask_is_held_over_all_steps_and_drawn_anew_on_each_call():
    layer, inputs = probe()
    first, second = (arrays(layer(inputs, training=True)) for _ in range(2))
    for masks in (first, second):
        assert set(np.unique(masks)) == {0.0, 2.0}
        assert_equal(masks, np.repeat(masks[:, :1], 5, axis=1))
        # Each example has a mask of its own.
        assert len(np.unique(masks[:, 0], axis=0)) == 4
    assert_differ(first, second)
    assert np.all(arrays(layer(inputs)) == 1)


class AlwaysTraining(keras.Model):
    """A model whose `predict` drops."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def call(self, inputs):
        return self.layer(inputs, training=True)


@pytest.mark.parametrize(
    "jit_compile",
    [False, pytest.param(True, marks=tensorflow_only)],
    ids=["graph", "jit"],
)
def test_a_mask_is_held_over_all_steps_of_a_compiled_loop(jit_compile):
    layer, ones = probe()
    model = AlwaysTraining(layer)
    model.compile(jit_compile=jit_compile)
    first, second = (model.predict(ones, verbose=0) for _ in range(2))
    for masks in (first, second):
        assert set(np.unique(masks)) == {0.0, 2.0}
        assert_equal(masks, np.repeat(masks[:, :1], 5, axis=1))
        assert len(np.unique(masks[:, 0], axis=0)) == 4
    assert_differ(first, second)


def test_dropped_fractions_are_the_rates():
    layer, _ = probe(dropout=0.2, recurrent_dropout=0.7)
    masks = arrays(
        layer(np.ones((2000, 1, FEATURES), "float32"), training=True)
    )
    split = FEATURES + READS
    # 18,000 and 8,000 draws: five standard deviations are 0.015 and 0.026.
    assert abs(np.mean(masks[..., :split] == 0) - 0.2) < 0.015
    assert abs(np.mean(masks[..., split:] == 0) - 0.7) < 0.026
    assert np.allclose(np.max(masks[..., :split]), 1 / 0.8)


@every_controller
def test_the_same_seed_gives_the_same_run(kind):
    inputs = sequences()
    one = build(wrap_dnc(**CONTROLLERS[kind]()), inputs)
    other = wrap_dnc(**CONTROLLERS[kind]())
    other.build(inputs.shape)
    other.set_weights(one.get_weights())
    for _ in range(2):
        assert_close(one(inputs, training=True), other(inputs, training=True))


def test_another_seed_gives_another_run():
    inputs = sequences()
    one = build(wrap_dnc(controller=5, seed=1, **RATES), inputs)
    other = wrap_dnc(controller=5, seed=2, **RATES)
    other.build(inputs.shape)
    other.set_weights(one.get_weights())
    assert_close(one(inputs), other(inputs))
    assert_differ(one(inputs, training=True), other(inputs, training=True))


@every_controller
def test_equal_examples_are_dropped_differently(kind):
    inputs = np.repeat(sequences(batch=1), 3, axis=0)
    layer = build(wrap_dnc(**CONTROLLERS[kind]()), inputs)
    outputs = arrays(layer(inputs, training=True))
    assert_differ(outputs[0], outputs[1])
    assert_differ(outputs[1], outputs[2])


def test_in_a_stack_each_cell_has_its_own_masks():
    inputs = sequences(batch=3)
    cells = [
        make_cell(units=4, controller=5, seed=1, **RATES),
        keras.layers.LSTMCell(3, seed=2, **RATES),
    ]
    stacked = keras.layers.RNN(
        keras.layers.StackedRNNCells(cells), return_sequences=True
    )
    build(stacked, inputs)
    silence(cells[0])
    show_controller(cells[0])
    # The same two cells, each in a layer of its own, with fresh seeds.
    lower = wrap_dnc(units=4, controller=5, seed=1, **RATES)
    lower.build(inputs.shape)
    lower.cell.set_weights(cells[0].get_weights())
    upper = keras.layers.RNN(
        keras.layers.LSTMCell(3, seed=2, **RATES), return_sequences=True
    )
    upper.build((None, None, 4))
    upper.cell.set_weights(cells[1].get_weights())
    expected = upper(lower(inputs, training=True), training=True)
    assert_close(stacked(inputs, training=True), expected)
    assert_differ(stacked(inputs, training=True), expected)


def test_both_directions_of_a_bidirectional_drop():
    inputs = sequences()
    layer = keras.layers.Bidirectional(
        wrap_dnc(controller=5, seed=1, **RATES), merge_mode=None
    )
    build(layer, inputs)
    for dropped, plain in zip(
        layer(inputs, training=True), layer(inputs), strict=True
    ):
        assert_differ(dropped, plain)


def assert_works_after_fit(layer, **compile_arguments):
    """Fits, predicts and fits; then the layer must still work by itself.

    A mask that a compiled function drew and left behind would be met by the
    next function, or by the eager calls at the end, as a tensor out of scope.
    """
    inputs = sequences()
    model = keras.Sequential([keras.Input((None, FEATURES)), layer])
    model.compile("adam", "mse", **compile_arguments)
    shape = arrays(model(inputs, training=True)).shape
    targets = np.zeros(shape)
    plain = model.predict(inputs, verbose=0)
    model.fit(inputs, targets, verbose=0)
    predicted = model.predict(inputs, verbose=0)
    assert_differ(predicted, plain, by=1e-5)
    assert_close(model.predict(inputs, verbose=0), predicted)
    history = model.fit(inputs, targets, verbose=0).history
    assert np.isfinite(history["loss"][0])
    assert_close(layer(inputs), model.predict(inputs, verbose=0))
    one, other = layer(inputs, training=True), layer(inputs, training=True)
    assert_differ(one, other, by=1e-5)


def bidirectional(**arguments):
    return keras.layers.Bidirectional(make_dnc(**arguments))


def in_a_stack(**arguments):
    cells = [make_cell(**arguments), keras.layers.LSTMCell(3, dropout=0.5)]
    return keras.layers.RNN(keras.layers.StackedRNNCells(cells))


def feed_forward(**arguments):
    network = keras.Sequential(
        [keras.layers.Dense(8, activation="tanh"), keras.layers.Dropout(0.5)]
    )
    return make_dnc(controller=network, return_sequences=True)


LEAKS = [
    pytest.param(
        wrapper,
        kind,
        jit,
        id=f"{wrapper.__name__}-{kind}-{'jit' if jit else 'graph'}",
        marks=[
            pytest.mark.slow if jit == slow else pytest.mark.exhaustive,
            *([tensorflow_only] if jit else []),
        ],
    )
    # With the compiler that is used in the slow tests, if one is.
    for wrapper, kind, slow in [
        (wrap_dnc, "int", True),
        (wrap_dnc, "StackedRNNCells", None),
        (wrap_rnn, "GRUCell", False),
        (bidirectional, "LSTMCell", False),
        (in_a_stack, "int", None),
        (feed_forward, "int", True),
    ]
    for jit in (False, True)
]


@pytest.mark.parametrize(("wrapper", "kind", "jit_compile"), LEAKS)
def test_no_mask_outlives_its_function(wrapper, kind, jit_compile):
    layer = wrapper(**CONTROLLERS[kind]())
    assert_works_after_fit(layer, jit_compile=jit_compile)


@pytest.mark.parametrize(
    ("wrapper", "jit_compile"),
    [
        pytest.param(bidirectional, False, marks=pytest.mark.exhaustive),
        pytest.param(bidirectional, True, marks=pytest.mark.exhaustive),
        pytest.param(in_a_stack, False, marks=pytest.mark.slow),
        pytest.param(in_a_stack, True, marks=pytest.mark.exhaustive),
    ],
)
def test_no_mask_of_the_bypass_outlives_its_function(wrapper, jit_compile):
    layer = wrapper(controller=5, bypass_dropout=0.25, seed=5)
    assert_works_after_fit(layer, jit_compile=jit_compile)


@every_controller
def test_no_mask_outlives_the_building_of_a_model(kind):
    inputs = keras.Input((None, FEATURES))
    layer = wrap_dnc(**CONTROLLERS[kind]())
    model = keras.Model(inputs, layer(inputs, training=True))
    data = sequences()
    assert np.all(np.isfinite(arrays(layer(data, training=True))))
    assert_differ(model(data), model(data))


class Loop(keras.layers.Layer):
    """A user's own loop over time, around a cell that it builds by calling."""

    def __init__(self, cell):
        super().__init__()
        self.cell = cell

    def call(self, inputs):
        states = self.cell.get_initial_state(inputs.shape[0])
        for time in range(inputs.shape[1]):
            outputs, states = self.cell(inputs[:, time], states)
        return outputs


@pytest.mark.parametrize("rate", RATES)
def test_no_mask_outlives_the_building_of_a_cell(rate):
    loop = Loop(make_cell(controller=5, **{rate: 0.5}))
    outputs = arrays(loop(sequences(), training=True))
    assert np.all(np.isfinite(outputs))


@pytest.mark.parametrize(
    "policy",
    ["mixed_float16", pytest.param("mixed_bfloat16", marks=pytest.mark.slow)],
)
def test_dropout_works_in_mixed_precision(policy):
    layer = wrap_dnc(controller=5, dtype=policy, **RATES)
    model = keras.Sequential([keras.Input((None, FEATURES)), layer])
    model.compile("adam", "mse", run_eagerly=True)
    inputs = sequences()
    model.fit(inputs, np.zeros((2, 4, UNITS)), epochs=2, verbose=0)
    for weight in layer.trainable_variables:
        assert np.all(np.isfinite(arrays(weight))), weight.path
    outputs = layer(inputs, training=True)
    assert keras.backend.standardize_dtype(outputs.dtype) == policy[6:]
    outputs = arrays(ops.cast(outputs, "float32"))
    assert np.all(np.isfinite(outputs))
    assert_differ(outputs, ops.cast(layer(inputs), "float32"), by=1e-2)


def test_a_dropout_layer_in_a_feed_forward_controller_drops():
    inputs = np.ones((3, 6, FEATURES), "float32")
    network = keras.Sequential([keras.layers.Dropout(0.5, seed=3)])
    layer = wrap_dnc(units=FEATURES, controller=network, clip_value=None)
    transparent(layer, inputs)
    assert np.all(arrays(layer(inputs)) == 1)
    masks = arrays(layer(inputs, training=True))
    assert set(np.unique(masks)) == {0.0, 2.0}
    # It knows no sequence: as anywhere in Keras it draws at every call.
    assert len(np.unique(masks[0], axis=0)) > 1
    assert_differ(masks, layer(inputs, training=True))


def test_at_inference_a_rate_changes_nothing():
    inputs = sequences()
    plain = build(wrap_dnc(controller=5), inputs)
    dropping = wrap_dnc(controller=5, seed=1, **RATES)
    dropping.build(inputs.shape)
    dropping.set_weights(plain.get_weights())
    assert_close(dropping(inputs), plain(inputs))
    assert_close(dropping(inputs, training=False), plain(inputs))
    randomize(dropping, seed=4)
    assert_differ(dropping(inputs), plain(inputs))
