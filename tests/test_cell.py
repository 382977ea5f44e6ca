"""The cell: single steps and sequences against the NumPy loops."""

import functools

import keras
import numpy as np
import pytest
import reference
from comparison import (
    SIZES,
    SPECIAL_STATES,
    TANH,
    Sizes,
    all_sizes,
    assert_close,
    assert_states_close,
    flat_state,
    lstm_of,
    randomize,
    rounded,
    tensor,
    with_sizes,
)
from keras import ops

import keras_dnc
from keras_dnc.interface import is_present

X, UNITS, HIDDEN = 4, 3, 5


@pytest.fixture
def rng():
    return np.random.default_rng(6)


def make_cell(sizes, dtype, controller=None, **arguments):
    cell = keras_dnc.DNCCell(
        UNITS,
        controller=controller or lstm_of(HIDDEN, dtype),
        memory_size=sizes.N,
        word_size=sizes.W,
        num_reads=sizes.R,
        num_writes=sizes.V,
        dtype=dtype,
        name="cell",
        **arguments,
    )
    cell.build((sizes.B, X))
    return cell


@functools.cache
def plain_cell(sizes, dtype):
    """A cell with an LSTM, built once: each test gives it weights anew."""
    return make_cell(sizes, dtype)


def random_state(rng, sizes, dtype, controller=(HIDDEN, HIDDEN)):
    B, N, W, R, V = sizes
    state = reference.random_state(rng, N, W, R, V, B, controller)
    return rounded(state, dtype)


def random_inputs(rng, sizes, dtype, steps):
    return rounded(rng.normal(size=(sizes.B, steps, X)), dtype)


def run_eagerly(cell, x, state, dtype):
    """The outputs (B, T, Y) and the final flat states, step by step."""
    states, outputs = flat_state(state, dtype), []
    for t in range(x.shape[1]):
        y, states = cell(tensor(x[:, t], dtype), states)
        outputs.append(y)
    return ops.stack(outputs, axis=1), states


def assert_runs_as_the_oracle(cell, weights, x, state, dtype, **how):
    """Compares every output and the final state, which is returned."""
    expected, expected_state = reference.sequence(weights, x, state, **how)
    actual, states = run_eagerly(cell, x, state, dtype)
    assert_close(actual, expected, dtype)
    assert_states_close(cell.unpack_state(states), expected_state, dtype)
    return expected_state


# Single steps


@all_sizes
def test_step_from_a_random_state(rng, sizes, dtype):
    cell = plain_cell(sizes, dtype)
    weights = randomize(cell, rng, dtype, deviation=1)
    x = random_inputs(rng, sizes, dtype, steps=1)
    state = random_state(rng, sizes, dtype)
    assert_runs_as_the_oracle(cell, weights, x, state, dtype)


# Two heads with three slots at most: the first head leaves usages of 1, 1e-6,
# 1e-12 and so on, of which float32 cannot tell more apart beside 1e-6.
@pytest.mark.parametrize(
    "change", SPECIAL_STATES, ids=lambda change: change.__name__
)
@with_sizes(Sizes(B=2, N=7, W=3, R=3, V=1), Sizes(B=2, N=3, W=5, R=2, V=2))
def test_step_from_a_special_state(rng, sizes, change, dtype):
    cell = plain_cell(sizes, dtype)
    weights = randomize(cell, rng, dtype, deviation=1)
    x = random_inputs(rng, sizes, dtype, steps=1)
    state = change(random_state(rng, sizes, dtype))
    assert_runs_as_the_oracle(cell, weights, x, state, dtype)


@with_sizes(Sizes(B=1, N=1, W=2, R=1, V=1))
def test_first_step_from_zeros_known_by_hand(sizes, dtype):
    # With weights of zero every gate and every erase vector is 1/2, every
    # mode 1/3, and what is written is zero. One slot: allocation is 1 − 1e-6.
    cell = make_cell(sizes, dtype)
    for variable in cell.weights:
        variable.assign(np.zeros(variable.shape))
    y, states = cell(np.zeros((1, X)), cell.get_initial_state(1))
    state = cell.unpack_state(states)
    write = 0.5 * (0.5 * (1 - 1e-6) + 0.5 * 1)
    assert_close(y, np.zeros((1, UNITS)), dtype)
    assert_close(state.usage, [[0]], dtype)
    assert_close(state.write_weightings, [[[write]]], dtype)
    assert_close(state.precedence, [[[write]]], dtype)
    assert_close(state.link, [[[[0]]]], dtype)
    assert_close(state.read_weightings, [[[1 / 3]]], dtype)
    assert_close(state.memory, [[[0, 0]]], dtype)
    assert_close(state.reads, [[[0, 0]]], dtype)


def test_step_shows_the_interface_that_it_used(rng, dtype):
    sizes = SIZES[3]
    cell = plain_cell(sizes, dtype)
    weights = randomize(cell, rng, dtype, deviation=0.3)
    x = random_inputs(rng, sizes, dtype, steps=1)
    state = random_state(rng, sizes, dtype)
    flat = flat_state(state, dtype)
    y, new_state, interface = cell.step(
        tensor(x[:, 0], dtype), cell.unpack_state(flat)
    )
    called_y, called = cell(tensor(x[:, 0], dtype), flat)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(y), ops.convert_to_numpy(called_y)
    )
    for one, other in zip(cell.pack_state(new_state), called, strict=True):
        np.testing.assert_array_equal(
            ops.convert_to_numpy(one), ops.convert_to_numpy(other)
        )

    for b in range(sizes.B):
        h, _ = reference.lstm_controller(weights)(
            np.concatenate([x[b, 0], *state.r[b]]),
            [part[b] for part in state.controller],
        )
        xi = reference.dense(
            h,
            weights["interface/projection/kernel"],
            weights["interface/projection/bias"],
        )
        expected = reference.interface(xi, sizes.W, sizes.R, sizes.V)
        for part, expected_part in zip(
            filter(is_present, interface),
            filter(is_present, expected),
            strict=True,
        ):
            assert_close(part[b], expected_part, dtype)


# Sequences


@all_sizes
def test_sequence_of_twelve_steps(rng, sizes, dtype):
    cell = plain_cell(sizes, dtype)
    weights = randomize(cell, rng, dtype, deviation=0.3)
    x = random_inputs(rng, sizes, dtype, steps=12)
    state = random_state(rng, sizes, dtype)
    final = assert_runs_as_the_oracle(cell, weights, x, state, dtype)
    if sizes.N > 1:
        # Had the steps done nothing, the test would not see an error.
        assert np.max(np.abs(final.L - state.L)) > 0.05
        assert np.max(np.abs(final.M - state.M)) > 0.05


@with_sizes(*SIZES[:7])
def test_sequence_with_large_weights(rng, sizes, float64):
    # Saturated gates and sharp weightings, which float32 cannot follow.
    cell = plain_cell(sizes, float64)
    weights = randomize(cell, rng, float64, deviation=1.5)
    x = random_inputs(rng, sizes, float64, steps=12)
    state = random_state(rng, sizes, float64)
    assert_runs_as_the_oracle(cell, weights, x, state, float64)


def through_dnc(sizes, dtype):
    return keras_dnc.DNC(
        UNITS,
        lstm_of(HIDDEN, dtype),
        memory_size=sizes.N,
        word_size=sizes.W,
        num_reads=sizes.R,
        num_writes=sizes.V,
        return_sequences=True,
        return_state=True,
        dtype=dtype,
    )


def through_rnn(sizes, dtype):
    return keras.layers.RNN(
        make_cell(sizes, dtype),
        return_sequences=True,
        return_state=True,
        dtype=dtype,
    )


@pytest.mark.parametrize("make", [through_dnc, through_rnn])
def test_layer_over_twelve_steps(rng, make, dtype):
    sizes = SIZES[3]
    layer = make(sizes, dtype)
    layer.build((None, 12, X))
    weights = randomize(layer.cell, rng, dtype, deviation=0.3)
    weights = {
        name.removeprefix(f"{layer.name}/cell/"): value
        for name, value in weights.items()
    }
    x = random_inputs(rng, sizes, dtype, steps=12)
    state = random_state(rng, sizes, dtype)
    expected, expected_state = reference.sequence(weights, x, state)
    actual, *states = layer(
        tensor(x, dtype), initial_state=flat_state(state, dtype)
    )
    assert_close(actual, expected, dtype)
    assert_states_close(layer.cell.unpack_state(states), expected_state, dtype)


# Between controller and interface


def layer_normalization(dtype):
    if keras.backend.backend() == "jax" and dtype == "float64":
        pytest.skip("LayerNormalization is in float32 on JAX (Keras 3.15)")
    return keras.layers.LayerNormalization(dtype=dtype, name="normalization")


@pytest.mark.parametrize("clip_value", [None, 20.0, 0.1])
def test_clipping_of_the_hidden_vector(rng, clip_value, dtype):
    sizes = SIZES[3]
    cell = make_cell(
        sizes,
        dtype,
        # Reaches beyond 20, as an LSTM's output never does.
        controller=keras.layers.Dense(HIDDEN, dtype=dtype, name="dense"),
        clip_value=clip_value,
    )
    weights = randomize(cell, rng, dtype, deviation=0.3)
    weights["dense/kernel"] = rounded(weights["dense/kernel"] * 40, dtype)
    cell.controller.kernel.assign(weights["dense/kernel"])
    how = {"controller": dense_controller(weights), "clip_value": clip_value}
    x = random_inputs(rng, sizes, dtype, steps=1)
    state = random_state(rng, sizes, dtype, controller=())
    assert_runs_as_the_oracle(cell, weights, x, state, dtype, **how)

    hidden = [
        how["controller"](np.concatenate([x[b, 0], *state.r[b]]), [])[0]
        for b in range(sizes.B)
    ]
    assert np.max(np.abs(hidden)) > 30


def test_default_clips_at_20():
    assert keras_dnc.DNCCell(1).clip_value == 20


def test_recurrent_state_is_neither_clipped_nor_normalized(rng, dtype):
    sizes = SIZES[3]
    cell = make_cell(
        sizes,
        dtype,
        normalization=layer_normalization(dtype),
        clip_value=0.5,
    )
    weights = randomize(cell, rng, dtype, deviation=0.3)
    x = random_inputs(rng, sizes, dtype, steps=12)
    state = random_state(rng, sizes, dtype)

    def normalization(h):
        return reference.layer_normalization(
            h, weights["normalization/gamma"], weights["normalization/beta"]
        )

    final = assert_runs_as_the_oracle(
        cell,
        weights,
        x,
        state,
        dtype,
        normalization=normalization,
        clip_value=0.5,
    )

    # The controller's states are those of an LSTM cell that stands alone.
    controller = reference.lstm_controller(weights)
    for b in range(sizes.B):
        one = state._replace(
            **{name: getattr(state, name)[b] for name in state._fields[:-1]},
            controller=[part[b] for part in state.controller],
        )
        for t in range(12):
            _, states = controller(
                np.concatenate([x[b, t], *one.r]), one.controller
            )
            _, one = reference.step(
                weights,
                x[b, t],
                one,
                normalization=normalization,
                clip_value=0.5,
            )
            one = one._replace(controller=states)
        for part, expected in zip(final.controller, states, strict=True):
            np.testing.assert_allclose(part[b], expected, rtol=1e-12)


@pytest.mark.parametrize("clip_value", [None, 0.05])
def test_normalization_comes_before_the_clip(rng, clip_value, dtype):
    sizes = SIZES[1]
    cell = make_cell(
        sizes,
        dtype,
        normalization=keras.layers.Rescaling(3.0, 0.25, dtype=dtype),
        clip_value=clip_value,
    )
    weights = randomize(cell, rng, dtype, deviation=0.3)
    assert_runs_as_the_oracle(
        cell,
        weights,
        random_inputs(rng, sizes, dtype, steps=1),
        random_state(rng, sizes, dtype),
        dtype,
        normalization=lambda h: 3 * h + 0.25,
        clip_value=clip_value,
    )


# Other controllers: (layer, widths of its states, oracle from the weights)


def dense_controller(weights, name="dense", activation=lambda x: x):
    def controller(x, states):
        kernel, bias = weights[f"{name}/kernel"], weights[f"{name}/bias"]
        return activation(reference.dense(x, kernel, bias)), []

    return controller


def recurrent_controller(function, weights, name):
    return lambda x, states: function(
        x,
        states,
        weights[f"{name}/kernel"],
        weights[f"{name}/recurrent_kernel"],
        weights[f"{name}/bias"],
    )


def dense(dtype):
    layer = keras.layers.Dense(
        HIDDEN, activation=TANH, dtype=dtype, name="dense"
    )
    return (
        layer,
        (),
        lambda weights: dense_controller(weights, activation=np.tanh),
    )


def sequential(dtype):
    layer = keras.Sequential(
        [
            keras.layers.Dense(6, "relu", dtype=dtype, name="first"),
            keras.layers.Dense(HIDDEN, dtype=dtype, name="second"),
        ],
        name="sequential",
    )

    def make(weights):
        first = dense_controller(
            weights, "sequential/first", lambda x: np.maximum(x, 0)
        )
        second = dense_controller(weights, "sequential/second")
        return lambda x, states: second(first(x, [])[0], [])

    return layer, (), make


def gru(dtype):
    layer = keras.layers.GRUCell(
        HIDDEN, activation=TANH, dtype=dtype, name="gru"
    )
    return (
        layer,
        (HIDDEN,),
        lambda weights: recurrent_controller(reference.gru, weights, "gru"),
    )


def lstm(dtype):
    layer = keras.layers.LSTMCell(
        HIDDEN, activation=TANH, dtype=dtype, name="lstm"
    )
    return (
        layer,
        (HIDDEN, HIDDEN),
        lambda weights: recurrent_controller(reference.lstm, weights, "lstm"),
    )


def stacked(dtype):
    layer = keras.layers.StackedRNNCells(
        [
            keras.layers.LSTMCell(6, TANH, dtype=dtype, name="lstm"),
            keras.layers.GRUCell(
                HIDDEN, activation=TANH, dtype=dtype, name="gru"
            ),
        ],
        dtype=dtype,
        name="stacked",
    )

    def make(weights):
        lstm = recurrent_controller(reference.lstm, weights, "stacked/lstm")
        gru = recurrent_controller(reference.gru, weights, "stacked/gru")

        def controller(x, states):
            *lstm_states, gru_state = states
            x, lstm_states = lstm(x, lstm_states)
            h, gru_states = gru(x, [gru_state])
            return h, [*lstm_states, *gru_states]

        return controller

    return layer, (6, 6, HIDDEN), make


CONTROLLERS = [dense, sequential, gru, lstm, stacked]


@pytest.mark.parametrize(
    "kind", CONTROLLERS, ids=lambda controller: controller.__name__
)
def test_sequence_with_a_controller_of_the_user_s_own(rng, kind, dtype):
    sizes = SIZES[3]
    layer, state_sizes, make_oracle = kind(dtype)
    cell = make_cell(sizes, dtype, controller=layer)
    weights = randomize(cell, rng, dtype, deviation=0.3)
    assert_runs_as_the_oracle(
        cell,
        weights,
        random_inputs(rng, sizes, dtype, steps=12),
        random_state(rng, sizes, dtype, controller=state_sizes),
        dtype,
        controller=make_oracle(weights),
    )


def test_output_has_no_bound(rng, dtype):
    # y is linear in [h ; r]: neither clipped nor squashed.
    sizes = SIZES[0]
    cell = plain_cell(sizes, dtype)
    weights = randomize(cell, rng, dtype, deviation=0.3)
    bias = np.array([0.0, 150.0, -150.0])
    cell.output_projection.bias.assign(bias)
    weights["output_projection/bias"] = bias
    assert_runs_as_the_oracle(
        cell,
        weights,
        random_inputs(rng, sizes, dtype, steps=1),
        random_state(rng, sizes, dtype),
        dtype,
    )


def test_several_at_once(rng, dtype):
    sizes = Sizes(B=3, N=6, W=5, R=3, V=3)
    layer, state_sizes, make_oracle = stacked(dtype)
    cell = make_cell(
        sizes,
        dtype,
        controller=layer,
        normalization=layer_normalization(dtype),
        clip_value=0.4,
    )
    weights = randomize(cell, rng, dtype, deviation=0.3)
    assert_runs_as_the_oracle(
        cell,
        weights,
        random_inputs(rng, sizes, dtype, steps=12),
        random_state(rng, sizes, dtype, controller=state_sizes),
        dtype,
        controller=make_oracle(weights),
        normalization=lambda h: reference.layer_normalization(
            h, weights["normalization/gamma"], weights["normalization/beta"]
        ),
        clip_value=0.4,
    )
