"""`checkpoint_every`: the same results from fewer states."""

import functools

import keras
import numpy as np
import pytest
from extensions import COMBINATIONS
from helpers import SIZES, randomize
from keras import ops

import keras_dnc
from keras_dnc import bayesian
from keras_dnc.benchmark.measuring import measure
from keras_dnc.benchmark.sizes import Size
from keras_dnc.benchmark.subjects import Subject
from keras_dnc.processes import in_own_process

if keras.backend.backend() != "tensorflow":
    pytest.skip(
        "takes gradients with tf.GradientTape: needs the TensorFlow backend",
        allow_module_level=True,
    )

import tensorflow as tf

BATCH, STEPS, FEATURES, UNITS = 3, 11, 4, 2
MASK = np.ones((BATCH, STEPS), bool)
MASK[0, 6:] = False
MASK[1, :5] = False
MASK[2, 4:6] = False


def data(steps=STEPS):
    rng = np.random.default_rng(0)
    return rng.normal(size=(BATCH, steps, FEATURES)).astype("float32")


def made(cls=keras_dnc.DNC, **arguments):
    keras.utils.set_random_seed(0)
    layer = cls(UNITS, 5, num_writes=2, return_state=True, **SIZES, **arguments)
    layer.build((None, None, FEATURES))
    randomize(layer)
    return layer


def results(layer, mask, jit_compile, time=STEPS):
    """Outputs, final states and all gradients of a layer."""
    rng = np.random.default_rng(1)
    state = layer.cell.unpack_state(layer.cell.get_initial_state(BATCH))
    state = keras.tree.map_structure(
        lambda part: tf.constant(rng.random(part.shape, "float32") / 10), state
    )
    state = state._replace(link=state.link * (1 - np.eye(state.link.shape[-1])))
    initial = layer.cell.pack_state(state)
    weights = [variable.value for variable in layer.trainable_variables]

    @tf.function(
        jit_compile=jit_compile,
        input_signature=[tf.TensorSpec((None, time, FEATURES))],
    )
    def function(inputs):
        with tf.GradientTape() as tape:
            tape.watch([inputs, initial])
            output, *states = layer(inputs, initial_state=initial, mask=mask)
            loss = tf.reduce_mean(tf.sin(output))
            for part in states:
                loss += tf.reduce_mean(tf.square(part))
        gradients = tape.gradient(loss, [inputs, *initial, *weights])
        return output, states, gradients

    return [part.numpy() for part in tf.nest.flatten(function(data()))]


WAYS = {
    "last": {},
    "sequences": {"return_sequences": True},
    "backwards": {"return_sequences": True, "go_backwards": True},
    "zeros": {"return_sequences": True, "zero_output_for_mask": True},
}


def often(*values, slow):
    """A case of the slow tests, or of the exhaustive ones."""
    mark = pytest.mark.slow if slow else pytest.mark.exhaustive
    return pytest.param(*values, marks=mark)


@pytest.mark.parametrize(
    "way", [often(way, slow=way == "last") for way in WAYS]
)
def test_outputs_states_and_gradients_are_the_same(way):
    assert_same(way, masked=False, jit_compile=False)


# In segments of 4 steps three are left, in those of 11 none; one of 20 would
# be longer than the sequence.
@pytest.mark.parametrize(
    ("way", "every"),
    [
        often(way, every, slow=way == "sequences" or every == 4)
        for way in WAYS
        for every in (1, 4, 5, STEPS, 20)
    ],
)
def test_they_are_the_same_for_segments_of_any_length(way, every):
    assert_same(way, masked=True, jit_compile=False, every=every)


# XLA takes a minute for each.
@pytest.mark.parametrize(
    ("way", "masked"),
    [
        often(way, masked, slow=masked and way == "sequences")
        for way in WAYS
        for masked in (False, True)
    ],
)
def test_they_are_the_same_compiled_by_xla(way, masked):
    assert_same(way, masked, jit_compile=True)


def test_a_mask_may_have_an_axis_of_features():
    layer = made(checkpoint_every=4, **WAYS["sequences"])
    one, other = (results(layer, m, False) for m in (MASK, MASK[..., None]))
    for flat, with_axis in zip(one, other, strict=True):
        np.testing.assert_array_equal(flat, with_axis)


def assert_same(way, masked, jit_compile, every=4):
    plain = plain_results(way, masked, jit_compile)
    few = results(
        made(checkpoint_every=every, **WAYS[way]),
        MASK if masked else None,
        jit_compile,
    )
    for one, other in zip(few, plain, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6)


@functools.cache
def plain_results(way, masked, jit_compile):
    layer = made(**WAYS[way])
    return results(layer, MASK if masked else None, jit_compile)


# XLA knows it when it compiles, and compiles what never runs.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("every", "jit_compile"),
    [(4, False), (STEPS, False), (20, False), (20, True)],
)
def test_the_number_of_steps_need_not_be_known(every, jit_compile):
    layers = made(), made(checkpoint_every=every)
    plain, few = (
        results(layer, MASK, jit_compile, time=None) for layer in layers
    )
    for one, other in zip(few, plain, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6)


def test_gradients_are_taken_eagerly():
    gradients = []
    for layer in (made(), made(checkpoint_every=3)):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(data())[0])
        gradients.append(tape.gradient(loss, layer.trainable_variables))
    for one, other in zip(*gradients, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_stateful_model_trains_the_same(jit_compile):
    losses = []
    for every in (None, 4):
        keras.utils.set_random_seed(0)
        layer = keras_dnc.DNC(
            UNITS,
            5,
            stateful=True,
            dropout=0.5,
            seed=3,
            checkpoint_every=every,
            **SIZES,
        )
        model = keras.Sequential(
            [
                keras.Input((STEPS, FEATURES), batch_size=BATCH),
                keras.layers.Masking(),
                layer,
            ]
        )
        model.compile("sgd", "mse", jit_compile=jit_compile)
        targets = np.ones((BATCH, UNITS))
        losses.append([model.train_on_batch(data(), targets) for _ in range(4)])
        assert np.asarray(layer.states[0]).any()
    np.testing.assert_allclose(*losses, rtol=1e-5)
    assert len(set(losses[0])) == 4


@pytest.mark.parametrize(
    ("name", "jit_compile"),
    [
        often(name, jit, slow=jit == (name == "all_with_links"))
        for name in ("all", "all_with_links")
        for jit in (False, True)
    ],
)
def test_a_model_with_extensions_trains_the_same(name, jit_compile):
    losses = []
    for every in (None, 4):
        keras.utils.set_random_seed(0)
        layer = keras_dnc.DNC(
            UNITS,
            5,
            seed=3,
            checkpoint_every=every,
            **SIZES,
            **COMBINATIONS[name],
        )
        model = keras.Sequential([keras.Input((STEPS, FEATURES)), layer])
        model.compile("sgd", "mse", jit_compile=jit_compile)
        targets = np.ones((BATCH, UNITS))
        losses.append([model.train_on_batch(data(), targets) for _ in range(4)])
    np.testing.assert_allclose(*losses, rtol=1e-5)
    # The mask of the bypass is drawn anew for each batch.
    assert len(set(losses[0])) == 4


@pytest.mark.slow
@pytest.mark.parametrize("estimator", ["flipout", "reparameterization"])
def test_gradients_reach_posteriors_through_the_draw_that_is_held(estimator):
    gradients = []
    for every in (None, 4):
        layer = made(
            bayesian.BayesianDNC,
            estimator=estimator,
            variational_controller=True,
            seed=7,
            checkpoint_every=every,
        )

        @tf.function
        def gradient(layer=layer):
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(tf.square(layer(data())[0]))
            return tape.gradient(
                loss, [v.value for v in layer.trainable_variables]
            )

        gradients.append(gradient())
        assert layer.held() == []
    # Means and deviations of four kernels, and three biases.
    assert len(gradients[0]) == 11
    for one, other in zip(*gradients, strict=True):
        assert np.abs(one).max() > 0
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


def saved_bytes(layer, steps):
    """The bytes of all lists of tensors that a gradient's loops fill."""
    specs = tf.TensorSpec((BATCH, steps, FEATURES))

    @tf.function(input_signature=[specs], jit_compile=False)
    def gradients(inputs):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(inputs)[0])
        return tape.gradient(loss, [v.value for v in layer.trainable_variables])

    hlo = tf.function(gradients, jit_compile=True).experimental_get_compiler_ir(
        tf.constant(data(steps))
    )(stage="hlo")
    # Every list is a tensor with a first axis of its length that is made of
    # one number.
    total = 0
    for line in hlo.splitlines():
        if " broadcast(" in line and "f32[" in line:
            shape = line.split("f32[")[1].split("]")[0]
            sizes = [int(size) for size in shape.split(",") if size]
            total += 4 * int(np.prod(sizes)) if len(sizes) > 2 else 0
    return total


@pytest.mark.slow
def test_memory_grows_as_the_segments_and_their_length():
    plain = {n: saved_bytes(made(), n) for n in (64, 256)}
    few = {
        n: saved_bytes(made(checkpoint_every=every), n)
        for n, every in {64: 8, 256: 16}.items()
    }
    assert plain[256] / plain[64] == pytest.approx(4, rel=0.1)
    # T/k + k doubles: 16 to 32.
    assert few[256] / few[64] < 2.2
    assert few[256] < 0.2 * plain[256]


@pytest.mark.slow
def test_links_in_half_precision_take_half_the_memory():
    half = saved_bytes(made(link_storage="float16"), 64)
    plain = saved_bytes(made(), 64)
    V, N = 2, SIZES["memory_size"]
    of_links = 64 * BATCH * V * N * N
    # They are no longer among the lists of float32.
    assert plain - half == 4 * of_links


@pytest.mark.slow
def test_a_graph_computes_no_segment_ahead_of_its_turn():
    peaks = [
        in_own_process(
            measure,
            Subject("training", "graph", arguments),
            Size(8, 512, 8, 128, 64, 2, 32),
            1,
            environment={"KERAS_BACKEND": "tensorflow"},
        ).peak_bytes
        for arguments in ((), (("checkpoint_every", 16),))
    ]
    # What TensorFlow holds besides is some 200 MB of both.
    assert peaks[1] < 0.5 * peaks[0]


@keras.saving.register_keras_serializable(package="keras_dnc_tests")
class Noisy(keras.layers.Layer):
    """A controller that changes a variable at each step, as random ones do."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.generator = keras.random.SeedGenerator(0)

    def call(self, inputs):
        noise = keras.random.normal(ops.shape(inputs), seed=self.generator)
        return inputs + noise


@pytest.mark.slow
def test_the_dropout_of_a_cell_within_the_controller_is_drawn_once():
    inner = {"units": 4, "controller": 5, "dropout": 0.5, "bypass_dropout": 0.5}
    gradients = []
    for every in (None, 4):
        controller = keras_dnc.DNCCell(**inner, seed=1, **SIZES)
        layer = keras_dnc.DNC(
            UNITS, controller, checkpoint_every=every, **SIZES
        )
        layer.build((None, None, FEATURES))
        randomize(layer)

        @tf.function
        def gradient(layer=layer):
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(tf.square(layer(data(), training=True)))
            return loss, *tape.gradient(
                loss, [v.value for v in layer.trainable_variables]
            )

        gradients.append(gradient())
        assert layer.held() == []
    for one, other in zip(*gradients, strict=True):
        assert np.abs(one).max() > 0
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_a_step_that_changes_variables_is_refused():
    layer = keras_dnc.DNC(UNITS, Noisy(), checkpoint_every=4, **SIZES)
    with pytest.raises(ValueError, match="must not change variables"):
        tf.function(layer)(data())


def test_without_it_each_step_changes_variables():
    layer = keras_dnc.DNC(UNITS, Noisy(), **SIZES)
    layer(data())
    generator = layer.cell.controller.generator
    before = np.array(generator.state)
    tf.function(layer)(data())
    # The first of the steps is there twice, for the shapes.
    assert np.array(generator.state)[1] - before[1] == STEPS + 1


class Lossy(keras.layers.Dense):
    """A controller that adds a loss at each step."""

    def call(self, inputs):
        outputs = super().call(inputs)
        self.add_loss(ops.mean(outputs))
        return outputs


def test_a_loss_of_a_step_is_refused_in_a_compiled_loop():
    layer = keras_dnc.DNC(UNITS, Lossy(5), **SIZES)
    layer.build((None, None, FEATURES))
    with pytest.raises(ValueError, match="added a loss at a time step"):
        tf.function(layer)(data())


def test_the_loop_keeps_no_weights():
    layer = made()
    kernel = layer.cell.controller.kernel
    hlo = tf.function(
        lambda x: tf.gradients(tf.reduce_sum(layer(x)[0]), kernel.value),
        jit_compile=True,
    ).experimental_get_compiler_ir(tf.constant(data(64)))(stage="hlo")
    rows, columns = kernel.shape
    assert f"f32[64,{rows},{columns}]" not in hlo


@pytest.mark.parametrize("every", [0, -1, 2.5, "4"])
def test_it_must_be_a_positive_integer(every):
    with pytest.raises(ValueError, match="`checkpoint_every` must be a positi"):
        keras_dnc.DNC(2, checkpoint_every=every)


def test_it_does_not_go_with_unroll():
    with pytest.raises(ValueError, match="unroll=True"):
        keras_dnc.DNC(2, checkpoint_every=4, unroll=True)
