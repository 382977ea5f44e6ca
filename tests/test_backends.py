"""What a DNC does on whichever backend runs the tests.

The values of the core are tested on each backend by the modules of their
names; here it is used as a layer.
"""

import keras
import numpy as np
import pytest
import reference
from keras import ops

import keras_dnc
from keras_dnc import addressing

# On TensorFlow other modules look at the same more closely.
pytestmark = pytest.mark.slow if keras.backend.backend() == "tensorflow" else []

SIZES = {"controller": 6, "memory_size": 5, "word_size": 4, "num_reads": 2}


def sequences(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def test_training_lowers_the_loss():
    model = keras.Sequential(
        [
            keras.Input((6, 3)),
            keras_dnc.DNC(3, **SIZES, num_writes=2, return_sequences=True),
        ]
    )
    model.compile(keras.optimizers.Adam(0.03), "mse", jit_compile=False)
    inputs = sequences(4, 6, 3)
    losses = model.fit(inputs, inputs, epochs=15, verbose=0).history["loss"]
    assert np.isfinite(losses).all()
    assert losses[-1] < 0.8 * losses[0]


def test_the_layer_is_the_cell_step_by_step():
    layer = keras_dnc.DNC(3, **SIZES, return_sequences=True, return_state=True)
    inputs = sequences(2, 4, 3)
    outputs, *states = layer(inputs)
    cell = layer.cell
    by_hand = cell.get_initial_state(batch_size=2)
    for time in range(4):
        output, by_hand = cell(ops.convert_to_tensor(inputs[:, time]), by_hand)
        np.testing.assert_allclose(
            ops.convert_to_numpy(outputs[:, time]),
            ops.convert_to_numpy(output),
            atol=1e-6,
        )
    for state, expected in zip(states, by_hand, strict=True):
        np.testing.assert_allclose(
            ops.convert_to_numpy(state),
            ops.convert_to_numpy(expected),
            atol=1e-6,
        )


def test_a_masked_step_changes_nothing():
    layer = keras_dnc.DNC(
        3, **SIZES, return_state=True, zero_output_for_mask=True
    )
    inputs = sequences(2, 6, 3)
    mask = np.arange(6) < np.array([[6], [3]])
    _, *padded = layer(inputs, mask=mask)
    _, *alone = layer(inputs[1:, :3])
    for state, expected in zip(padded, alone, strict=True):
        np.testing.assert_allclose(
            ops.convert_to_numpy(state)[1:],
            ops.convert_to_numpy(expected),
            atol=1e-6,
        )


@pytest.mark.parametrize("unroll", [False, True])
def test_a_masked_step_repeats_the_output_or_says_that_it_cannot(unroll):
    layer = keras_dnc.DNC(3, **SIZES, unroll=unroll)
    inputs = sequences(2, 6, 3)
    mask = np.arange(6) < np.array([[6], [3]])
    if keras.backend.backend() == "jax" and not unroll:
        with pytest.raises(ValueError, match="needs `zero_output_for_mask"):
            layer(inputs, mask=mask)
        return
    padded = ops.convert_to_numpy(layer(inputs, mask=mask))
    alone = ops.convert_to_numpy(layer(inputs[1:, :3]))
    np.testing.assert_allclose(padded[1:], alone, atol=1e-6)


def test_a_stateful_layer_goes_on_where_it_ended():
    plain = keras_dnc.DNC(3, **SIZES)
    inputs = sequences(2, 6, 3)
    whole = ops.convert_to_numpy(plain(inputs))
    stateful = keras_dnc.DNC(3, **SIZES, stateful=True)
    stateful.build((2, 6, 3))
    stateful.set_weights(plain.get_weights())
    for _ in range(2):
        stateful(inputs[:, :2])
        np.testing.assert_allclose(
            ops.convert_to_numpy(stateful(inputs[:, 2:])), whole, atol=1e-5
        )
        stateful.reset_state()


def test_dropout_of_the_controller_trains():
    model = keras.Sequential(
        [
            keras.Input((5, 3)),
            keras_dnc.DNC(3, **SIZES, dropout=0.5, recurrent_dropout=0.5),
        ]
    )
    model.compile("sgd", "mse", jit_compile=False)
    inputs = sequences(4, 5, 3)
    history = model.fit(inputs, inputs[:, 0], epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()


@pytest.mark.parametrize(
    "make_controller",
    [
        lambda: 6,
        lambda: keras.layers.GRUCell(6),
        lambda: keras.layers.Dense(6, activation="tanh"),
    ],
    ids=["int", "cell", "feed-forward"],
)
def test_a_saved_model_answers_the_same(make_controller, tmp_path):
    sizes = {**SIZES, "controller": make_controller()}
    model = keras.Sequential(
        [keras.Input((None, 3)), keras_dnc.DNC(3, **sizes)]
    )
    inputs = sequences(2, 4, 3)
    expected = model.predict(inputs, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(
        loaded.predict(inputs, verbose=0), expected, atol=1e-6
    )


@pytest.mark.skipif(
    keras.backend.backend() == "tensorflow",
    reason="tests/test_checkpointing.py takes the gradients on TensorFlow",
)
def test_states_that_are_kept_now_and_then_train_the_same_weights():
    inputs = sequences(3, 11, 4)
    inputs[0, 6:] = inputs[1, :2] = 0

    def trained(checkpoint_every):
        keras.utils.set_random_seed(0)
        layer = keras_dnc.DNC(
            4,
            **SIZES,
            return_sequences=True,
            zero_output_for_mask=True,
            checkpoint_every=checkpoint_every,
        )
        model = keras.Sequential(
            [keras.Input((11, 4)), keras.layers.Masking(), layer]
        )
        before = model.get_weights()
        model.compile(keras.optimizers.SGD(1.0), "mse", jit_compile=False)
        model.train_on_batch(inputs, inputs)
        return before, model.get_weights()

    before, expected = trained(None)
    assert all((x != y).any() for x, y in zip(before, expected, strict=True))
    _, actual = trained(4)
    for one, other in zip(actual, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.skipif(
    keras.backend.backend() != "jax", reason="takes gradients with JAX"
)
@pytest.mark.parametrize("V", [1, 3])
def test_the_links_own_gradient_is_that_of_the_plain_formulas(V):
    import jax

    def plain(L, p, w, w_r):
        L = addressing.link(L, p, w)
        return L, *addressing.directional_weightings(L, w_r)

    state = reference.random_state(np.random.default_rng(0), 6, 1, 3, V, 2)
    arguments = state.L, state.p, state.w_w, state.w_r
    rng = np.random.default_rng(1)
    weights = [rng.normal(size=x.shape) for x in plain(*arguments)]

    def gradients(formula):
        def loss(*arguments):
            results = zip(weights, formula(*arguments), strict=True)
            return sum(ops.sum(weight * x) for weight, x in results)

        return jax.grad(loss, argnums=(0, 1, 2, 3))(*arguments)

    for actual, expected in zip(
        gradients(addressing.link_and_directional_weightings),
        gradients(plain),
        strict=True,
    ):
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)
