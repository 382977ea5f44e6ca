"""A DNC beside a network that reads from the end."""

import json

import keras
import numpy as np
import pytest
from helpers import (
    FEATURES,
    SIZES,
    UNITS,
    arrays,
    assert_close,
    assert_differ,
    assert_equal,
    randomize,
    sequences,
)
from keras import ops

import keras_dnc

LENGTHS = [4, 2, 1]


def make(**arguments):
    arguments = {
        "controller": 5,
        "backward": 4,
        "return_sequences": True,
        **SIZES,
        **arguments,
    }
    return keras_dnc.BidirectionalDNC(UNITS, **arguments)


def built(**arguments):
    layer = make(**arguments)
    layer.build((None, None, FEATURES))
    return randomize(layer)


def parts_alone(layer, **options):
    """A DNC, an LSTM and a kernel with the weights of the parts."""
    dnc = keras_dnc.DNC(UNITS, 5, **SIZES, **options)
    dnc.build((None, None, FEATURES))
    dnc.set_weights(layer.cell.get_weights())
    lstm = keras.layers.LSTM(4, **options)
    lstm.build((None, None, FEATURES))
    lstm.set_weights(layer.backward.get_weights())
    (kernel,) = layer.join.get_weights()
    return dnc, lstm, kernel


def test_the_mask_of_a_layer_before_is_that_of_both_directions():
    layer = built()
    steps = np.pad(sequences(), [(0, 0), (0, 3), (0, 0)])
    masked = keras.layers.Masking()(steps)
    mask = np.any(steps != 0, axis=-1)
    start = layer.get_initial_state(len(steps))
    expected = layer(steps, mask=mask, initial_state=start)
    assert_close(layer(masked, initial_state=start), expected)
    assert_differ(layer(steps, initial_state=start), expected)


def test_an_integer_is_what_the_cell_makes_its_controller_of():
    class GRUDNCCell(keras_dnc.DNCCell):
        def make_controller(self, units):
            return keras.layers.GRUCell(units)

    class GRUDNC(keras_dnc.BidirectionalDNC):
        cell_class = GRUDNCCell

    layer = GRUDNC(UNITS, 5, backward=4, return_sequences=True, **SIZES)
    assert layer(sequences()).shape == (*sequences().shape[:2], UNITS)
    assert isinstance(layer.backward.cell, keras.layers.GRUCell)
    again = GRUDNC.from_config(layer.get_config())
    again.build((None, None, FEATURES))
    again.set_weights(layer.get_weights())
    assert_close(again(sequences()), layer(sequences()))


def test_the_two_directions_share_one_output():
    # [h ; r] W_y + b_y + g W is [h ; r ; g] by a matrix of both.
    inputs = sequences()
    layer = built()
    dnc, lstm, kernel = parts_alone(layer, return_sequences=True)
    later = arrays(lstm(inputs[:, ::-1]))[:, ::-1]
    expected = arrays(dnc(inputs)) + later @ kernel
    assert_close(layer(inputs), expected)
    assert_differ(layer(inputs), dnc(inputs))


def test_the_last_output_has_read_all_in_both_directions():
    inputs = sequences()
    layer = built(return_sequences=False)
    dnc, lstm, kernel = parts_alone(layer)
    expected = arrays(dnc(inputs)) + arrays(lstm(inputs[:, ::-1])) @ kernel
    assert_close(layer(inputs), expected)


def test_going_backwards_turns_both_directions():
    inputs = sequences()
    layer = built()
    other = make(go_backwards=True)
    other.build((None, None, FEATURES))
    other.set_weights(layer.get_weights())
    assert_close(other(inputs), layer(inputs[:, ::-1]))


@pytest.mark.parametrize("zero", [False, True], ids=["repeat", "zero"])
def test_a_padded_sequence_gets_what_it_gets_alone(zero):
    if keras.backend.backend() == "jax" and not zero:
        pytest.skip("on JAX a mask needs zero_output_for_mask")
    inputs = sequences(batch=3)
    mask = np.arange(4) < np.array(LENGTHS)[:, None]
    inputs = np.where(mask[..., None], inputs, 50.0).astype("float32")
    layer = built(zero_output_for_mask=zero)
    outputs = arrays(layer(inputs, mask=ops.convert_to_tensor(mask)))
    for row, length in enumerate(LENGTHS):
        alone = layer(inputs[row : row + 1, :length])
        assert_close(outputs[row, :length], arrays(alone)[0], 1e-5)
    if zero:
        assert not outputs[~mask].any()


def test_states_are_those_of_the_dnc():
    inputs = sequences()
    layer = built(return_state=True)
    output, *states = layer(inputs)
    dnc, _, _ = parts_alone(layer, return_sequences=True)
    dnc.return_state = True
    _, *expected = dnc(inputs)
    assert_close(states, expected)
    # And continue the DNC, beside a network that reads the rest.
    again, *_ = layer(inputs, initial_state=states)
    assert again.shape == output.shape
    assert_differ(again, output)


@pytest.mark.parametrize(
    "backward",
    [lambda: 4, lambda: keras.layers.GRU(3, name="own")],
    ids=["int", "GRU"],
)
def test_it_is_saved_and_loaded(backward, tmp_path):
    inputs = sequences()
    layer = make(backward=backward())
    config = json.loads(json.dumps(layer.get_config()))
    model = keras.Sequential([keras.Input((None, FEATURES)), layer])
    randomize(model)
    assert keras_dnc.BidirectionalDNC.from_config(config).get_config() == config
    model.save(tmp_path / "model.keras")
    other = keras.saving.load_model(tmp_path / "model.keras")
    assert_equal(other.get_weights(), model.get_weights())
    assert_close(other(inputs), model(inputs))


@pytest.mark.slow
def test_it_learns_what_comes_later():
    # The first input from the last step on: a DNC alone has not seen it.
    rng = np.random.default_rng(0)
    inputs = rng.choice([-1.0, 1.0], size=(64, 3, 1)).astype("float32")
    targets = np.repeat(inputs[:, -1:], 3, axis=1)
    model = keras.Sequential(
        [
            keras.Input((3, 1)),
            keras_dnc.BidirectionalDNC(
                1, 4, backward=8, return_sequences=True, **SIZES
            ),
        ]
    )
    model.compile(keras.optimizers.Adam(0.03), "mse")
    history = model.fit(inputs, targets, epochs=60, verbose=0)
    # Without a look ahead the error of the first two steps is 1.
    assert history.history["loss"][-1] < 0.1


def test_the_layer_that_is_handed_in_stays_as_it_is():
    gru = keras.layers.GRU(3, stateful=True, name="own")
    layer = make(backward=gru)
    assert not gru.go_backwards
    assert not gru.return_sequences
    assert layer.backward.name == "own"
    assert not layer.backward.stateful
    assert layer.backward.go_backwards


def test_an_lstm_of_an_integer_has_the_arguments_of_the_layer():
    regularizer = keras.regularizers.L2(0.5)
    layer = make(kernel_regularizer=regularizer, dropout=0.25, seed=3)
    cell = layer.backward.cell
    assert cell.kernel_regularizer.get_config() == regularizer.get_config()
    assert cell.dropout == 0.25
    assert cell.seed != layer.cell.controller.seed


@pytest.mark.parametrize("backward", [0, "LSTM", keras.layers.LSTMCell(3)])
def test_another_backward_is_refused(backward):
    with pytest.raises(ValueError, match="`backward` must be a positive int"):
        make(backward=backward)
