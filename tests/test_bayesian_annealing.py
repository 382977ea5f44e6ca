"""The weight of the divergences in the loss, and the log of them.

The data loss is a known number and the learning rate is zero, so that what a
batch's loss holds beyond it is the weighted divergence, here in closed form.
"""

import math

import keras
import numpy as np
import pytest
from keras import ops

if keras.backend.backend() != "tensorflow":
    pytest.skip(
        "variational layers need the TensorFlow backend",
        allow_module_level=True,
    )

import tensorflow as tf

from keras_dnc import bayesian

EXAMPLES, FEATURES, BATCH = 12, 3, 2
STEPS = EXAMPLES // BATCH


class Batches(keras.utils.PyDataset):
    """Batches of a list, the last of which may be smaller."""

    def __init__(self, x, size, length=True):
        super().__init__()
        self.x, self.size, self.length = x, size, length

    @property
    def num_batches(self):
        return math.ceil(len(self.x) / self.size) if self.length else None

    def __getitem__(self, i):
        batch = self.x[i * self.size : (i + 1) * self.size]
        return batch, batch


def data(examples=EXAMPLES):
    """Inputs and targets of so many examples."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(examples, FEATURES)).astype("float32")
    return x, np.zeros((examples, 1), "float32")


def constant_loss(value):
    """A data loss that is one number, whatever the weights drawn."""

    def loss(y_true, y_pred):
        return value + 0 * ops.sum(y_pred, axis=-1)

    return loss


def make_model(kl_weights=(0.5, 0.01), loss=0.0, **arguments):
    """A compiled model of layers with these weights, that learns nothing."""
    kinds = [bayesian.DenseFlipout, bayesian.DenseReparameterization]
    layers = [
        kind(2, kl_weight=weight)
        for kind, weight in zip(kinds, kl_weights, strict=False)
    ]
    model = keras.Sequential([keras.Input((FEATURES,)), *layers])
    model.compile(keras.optimizers.SGD(0.0), constant_loss(loss), **arguments)
    return model


def closed_form(layer):
    """`Σ [−ln σ + (σ² + μ²) / 2 − 1/2]` of a layer's kernel."""
    values = {v.name: v.numpy().astype("float64") for v in layer.kernel.weights}
    loc = values["posterior_loc"]
    rho = values["posterior_untransformed_scale"]
    scale = np.finfo("float32").eps + np.log1p(np.exp(rho))
    return np.sum(-np.log(scale) + (scale**2 + loc**2) / 2 - 0.5)


def weighted_kl(model):
    """What the divergences add to the loss when nothing is annealed."""
    return sum(
        layer.get_config()["kl_weight"] * closed_form(layer)
        for layer in model.layers
    )


class Record(keras.callbacks.Callback):
    """Records the loss of each batch alone, and the layers' weights.

    Keras logs the mean since the metrics were last reset.
    """

    def __init__(self):
        super().__init__()
        self.losses, self.weights = [], []

    def on_train_batch_begin(self, batch, logs=None):
        self.model.reset_metrics()

    def on_train_batch_end(self, batch, logs=None):
        self.losses.append(float(logs["loss"]))
        self.weights.append(
            [layer.kl_weight * layer.kl_factor for layer in self.model.layers]
        )


def fit(model, *callbacks, examples=EXAMPLES, **arguments):
    arguments = {"batch_size": BATCH, "verbose": 0, **arguments}
    x, y = data(examples)
    return model.fit(x, y, callbacks=list(callbacks), **arguments).history


# kl_weight_for


@pytest.mark.parametrize(
    "arrays",
    [
        np.zeros((7, 2)),
        np.zeros(7),
        tf.zeros((7, 2, 3)),
        (np.zeros((7, 2)), np.zeros(7)),
        {"a": np.zeros((7, 2)), "b": [np.zeros((7, 1))]},
        (None, np.zeros((7, 2))),
    ],
    ids=["matrix", "vector", "tensor", "tuple", "nested", "none_first"],
)
def test_the_examples_of_arrays_are_counted(arrays):
    assert bayesian.kl_weight_for(arrays) == 1 / 7


def test_the_examples_of_data_sets_are_counted_not_their_batches():
    x = np.zeros((7, 2), "float32")
    pairs = tf.data.Dataset.from_tensor_slices((x, x)).batch(3)
    assert bayesian.kl_weight_for(pairs) == 1 / 7
    named = tf.data.Dataset.from_tensor_slices({"x": x}).batch(4)
    assert bayesian.kl_weight_for(named) == 1 / 7
    dropped = tf.data.Dataset.from_tensor_slices(x).batch(3, True)
    assert bayesian.kl_weight_for(dropped) == 1 / 6
    assert bayesian.kl_weight_for(Batches(x, 3)) == 1 / 7


def test_data_of_unknown_or_infinite_length_are_refused():
    x = np.zeros((7, 2), "float32")
    batches = tf.data.Dataset.from_tensor_slices(x).batch(3)
    endless = [batches.repeat(), batches.filter(lambda _: True)]
    for unknown in [*endless, Batches(x, 3, length=False)]:
        with pytest.raises(ValueError, match="`data` must be .* finite length"):
            bayesian.kl_weight_for(unknown)


def test_data_without_examples_are_refused():
    x = np.zeros((0, 2), "float32")
    batches = tf.data.Dataset.from_tensor_slices(x).batch(3)
    for empty in x, batches, Batches(x, 3):
        with pytest.raises(ValueError, match="at least one training example"):
            bayesian.kl_weight_for(empty)


@pytest.mark.parametrize("nothing", [None, 3, (), np.float32(3), "text"])
def test_what_has_no_first_axis_is_refused(nothing):
    with pytest.raises(ValueError, match="`data` must be arrays"):
        bayesian.kl_weight_for(nothing)


# KLAnnealing: the factors


def test_linear_factors():
    annealing = bayesian.KLAnnealing("linear", batches=4)
    factors = [annealing.factor(seen) for seen in range(7)]
    assert factors == [0, 0.25, 0.5, 0.75, 1, 1, 1]
    assert bayesian.KLAnnealing(batches=4).factor(1) == 0.25


def test_cosine_factors():
    annealing = bayesian.KLAnnealing("cosine", batches=6)
    factors = [annealing.factor(seen) for seen in range(9)]
    half = math.sqrt(3) / 2
    expected = [0, (1 - half) / 2, 0.25, 0.5, 0.75, (1 + half) / 2, 1, 1, 1]
    np.testing.assert_allclose(factors, expected, rtol=1e-12, atol=1e-15)


def test_cyclical_factors():
    annealing = bayesian.KLAnnealing("cyclical", batches=8)
    factors = [annealing.factor(seen) for seen in range(17)]
    cycle = [0, 0.25, 0.5, 0.75, 1, 1, 1, 1]
    assert factors == [*cycle, *cycle, 0]
    rising = bayesian.KLAnnealing("cyclical", batches=4, rising=1)
    factors = [rising.factor(seen) for seen in range(5)]
    assert factors == [0, 0.25, 0.5, 0.75, 0]


def blundell(batches):
    """An annealing that was told the number of batches, as `fit` does."""
    annealing = bayesian.KLAnnealing("blundell")
    annealing.set_params({"steps": batches})
    annealing.set_model(make_model())
    annealing.on_train_begin()
    return annealing


def test_blundell_factors():
    # π = 8/15, 4/15, 2/15, 1/15
    factors = [blundell(4).factor(seen) for seen in range(4)]
    expected = [32 / 15, 16 / 15, 8 / 15, 4 / 15]
    np.testing.assert_allclose(factors, expected, rtol=1e-12)
    assert blundell(1).factor(0) == 1


@pytest.mark.parametrize("batches", [1, 3, 60, 5000])
def test_blundell_factors_sum_to_the_number_of_batches(batches):
    annealing = blundell(batches)
    factors = np.array([annealing.factor(seen) for seen in range(batches)])
    assert np.all(np.isfinite(factors)) and np.all(factors >= 0)
    assert math.fsum(factors) == pytest.approx(batches, rel=1e-12)
    # The first batch gets half of it, or the whole if it is alone.
    first = 1 if batches == 1 else batches / (2 - 2 ** (1 - batches))
    assert factors[0] == pytest.approx(first, rel=1e-12)


# KLAnnealing: in training

EXPECTED = {
    "linear": ({"batches": 4}, [0, 0.25, 0.5, 0.75, 1, 1, 1, 1]),
    "cosine": ({"batches": 2}, [0, 0.5, 1, 1, 1, 1, 1, 1]),
    "cyclical": (
        {"batches": 4, "rising": 0.5},
        [0, 0.5, 1, 1, 0, 0.5, 1, 1],
    ),
    # Anew in each of two epochs of four batches.
    "blundell": ({}, 2 * [32 / 15, 16 / 15, 8 / 15, 4 / 15]),
}


# XLA must not take the weight for a constant; two schedules show it.
@pytest.mark.parametrize(
    ("schedule", "jit_compile"),
    [
        *((schedule, False) for schedule in EXPECTED),
        ("linear", True),
        ("blundell", True),
    ],
)
def test_the_loss_of_each_batch_has_the_weight(schedule, jit_compile):
    arguments, factors = EXPECTED[schedule]
    model = make_model(jit_compile=jit_compile)
    record = Record()
    annealing = bayesian.KLAnnealing(schedule, **arguments)
    fit(model, annealing, record, examples=8, epochs=2)
    expected = np.array(factors) * weighted_kl(model)
    np.testing.assert_allclose(record.losses, expected, rtol=1e-5, atol=1e-6)


def test_every_layer_keeps_its_ratio_and_gets_its_weight_back():
    model = make_model(kl_weights=(0.5, 0.01))
    record = Record()
    fit(model, bayesian.KLAnnealing("linear", batches=4), record)
    factors = np.array([0, 0.25, 0.5, 0.75, 1, 1])
    weights = np.array(record.weights)
    np.testing.assert_allclose(weights[:, 0], 0.5 * factors, rtol=1e-6)
    np.testing.assert_allclose(weights[:, 1], 0.01 * factors, rtol=1e-6)

    # Training ends at a factor that is not 1.
    fit(model, bayesian.KLAnnealing("linear", batches=100))
    after = [layer.kl_weight * layer.kl_factor for layer in model.layers]
    np.testing.assert_allclose(after, [0.5, 0.01], rtol=1e-6)


def test_what_is_saved_in_training_has_the_full_weights(tmp_path):
    model, path = make_model(kl_weights=(0.5,)), tmp_path / "model.keras"
    full = float(sum(model.losses))
    fit(
        model,
        bayesian.KLAnnealing("linear", batches=100),
        keras.callbacks.ModelCheckpoint(path),
    )
    loaded = keras.saving.load_model(path, compile=False)
    (layer,) = loaded.layers
    assert layer.kl_weight == layer.kl_weight * layer.kl_factor == 0.5
    np.testing.assert_allclose(float(sum(loaded.losses)), full, rtol=1e-5)


def test_restored_weights_leave_the_full_weight():
    model = make_model(kl_weights=(0.5,))
    stopping = keras.callbacks.EarlyStopping(
        "loss", patience=0, restore_best_weights=True
    )
    annealing = bayesian.KLAnnealing("linear", batches=4)
    # It stops when the rising divergence has made the loss worse.
    fit(model, annealing, stopping, epochs=9)
    assert stopping.stopped_epoch
    assert [model.layers[0].kl_weight, model.layers[0].kl_factor] == [0.5, 1]


def test_a_factor_of_a_layer_that_is_not_built_is_refused():
    layer = bayesian.DenseFlipout(2)
    assert layer.kl_factor == 1
    with pytest.raises(ValueError, match="when the layer is built"):
        layer.kl_factor = 0.5


def test_a_second_fit_begins_anew_from_the_full_weights():
    model, records = make_model(), [Record(), Record()]
    annealing = bayesian.KLAnnealing("linear", batches=100)
    for record in records:
        fit(model, annealing, record)
    assert records[0].weights == records[1].weights
    assert records[0].weights[0] == [0, 0]


def test_batches_are_counted_where_several_make_an_execution():
    # Keras then calls back before and after an execution alone.
    model, record = make_model(steps_per_execution=2), Record()
    fit(model, bayesian.KLAnnealing("linear", batches=8), record)
    weights = np.array(record.weights)[:, 0] / 0.5
    np.testing.assert_allclose(weights, [0, 0.25, 0.5], rtol=1e-6)


def test_layers_within_layers_and_shared_layers_are_annealed_once():
    shared = bayesian.DenseFlipout(FEATURES, kl_weight=0.5)
    inner = keras.Sequential([keras.Input((FEATURES,)), shared])
    recurrent = bayesian.VariationalRNN(
        bayesian.LSTMCellFlipout(2, kl_weight=0.25)
    )
    inputs = keras.Input((FEATURES,))
    outputs = keras.layers.RepeatVector(2)(shared(inner(inputs)))
    model = keras.Model(inputs, recurrent(outputs))
    assert set(bayesian.variational_layers(model)) == {shared, recurrent.cell}
    model.compile(keras.optimizers.SGD(0.0), constant_loss(0.0))
    seen = []

    class Look(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(
                tuple(
                    layer.kl_weight * layer.kl_factor
                    for layer in (shared, recurrent.cell)
                )
            )

    fit(model, bayesian.KLAnnealing("linear", batches=4), Look(), examples=6)
    assert seen == [(0, 0), (0.125, 0.0625), (0.25, 0.125)]
    assert (shared.kl_weight, recurrent.cell.kl_weight) == (0.5, 0.25)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"schedule": "quadratic", "batches": 3}, "schedule"),
        ({"schedule": None, "batches": 3}, "schedule"),
        ({"schedule": "linear"}, "batches"),
        ({"schedule": "blundell", "batches": 3}, "batches"),
        ({"batches": 0}, "batches"),
        ({"batches": -3}, "batches"),
        ({"batches": 2.5}, "batches"),
        ({"batches": True}, "batches"),
        ({"batches": 3, "rising": 0}, "rising"),
        ({"batches": 3, "rising": 1.5}, "rising"),
        ({"batches": 3, "rising": -0.5}, "rising"),
        ({"batches": 3, "rising": "half"}, "rising"),
    ],
)
def test_bad_arguments_are_refused(arguments, name):
    with pytest.raises(ValueError, match=f"`{name}`"):
        bayesian.KLAnnealing(**arguments)


def test_blundell_needs_the_number_of_batches():
    def endless():
        while True:
            yield data(BATCH)

    annealing = bayesian.KLAnnealing("blundell")
    batches = tf.data.Dataset.from_generator(
        endless,
        output_signature=(
            tf.TensorSpec((BATCH, FEATURES)),
            tf.TensorSpec((BATCH, 1)),
        ),
    ).take(4)
    with pytest.raises(ValueError, match="steps_per_epoch"):
        make_model().fit(batches, callbacks=[annealing], verbose=0)

    model, record = make_model(), Record()
    model.fit(
        endless(), steps_per_epoch=2, callbacks=[annealing, record], verbose=0
    )
    # M π = 2 · 2/3 and 2 · 1/3
    np.testing.assert_allclose(
        np.array(record.weights)[:, 0], [2 / 3, 1 / 3], rtol=1e-6
    )


# KLLog


@pytest.mark.parametrize("jit_compile", [False, True], ids=["no_jit", "jit"])
@pytest.mark.slow
def test_the_log_parts_the_loss(jit_compile):
    model = make_model(loss=2.5, jit_compile=jit_compile)
    history = fit(model, bayesian.KLLog(), epochs=2, validation_data=data(4))
    expected = weighted_kl(model)
    np.testing.assert_allclose(history["kl"], [expected] * 2, rtol=1e-5)
    np.testing.assert_allclose(history["data_loss"], [2.5] * 2, rtol=1e-5)
    np.testing.assert_allclose(history["val_data_loss"], [2.5] * 2, rtol=1e-5)


def test_the_log_needs_each_batch_for_itself():
    model = make_model()
    model.compile("sgd", steps_per_execution=2)
    with pytest.raises(ValueError, match="KLLog weighs.*steps_per_execution=2"):
        fit(model, bayesian.KLLog())


def test_without_validation_data_nothing_is_logged_of_them():
    history = fit(make_model(), bayesian.KLLog())
    assert set(history) == {"loss", "kl", "data_loss"}


@pytest.mark.parametrize("log_first", [False, True])
def test_the_log_before_and_after_annealing(log_first):
    model = make_model(loss=2.5)
    callbacks = [bayesian.KLAnnealing("linear", batches=8), bayesian.KLLog()]
    if log_first:
        callbacks.reverse()
    history = fit(model, *callbacks, epochs=2, validation_data=data(4))
    # Of batches 0 to 5 and 6 to 11.
    factors = [(0 + 1 + 2 + 3 + 4 + 5) / 6 / 8, (6 / 8 + 7 / 8 + 4) / 6]
    expected = np.array(factors) * weighted_kl(model)
    np.testing.assert_allclose(history["kl"], expected, rtol=1e-5)
    np.testing.assert_allclose(history["data_loss"], [2.5] * 2, rtol=1e-5)
    np.testing.assert_allclose(history["val_data_loss"], [2.5] * 2, rtol=1e-5)


def test_a_smaller_last_batch_is_left_out_of_the_data_loss_too():
    # Keras' loss is a mean over examples: the last batch, of one example,
    # weighs half as much as the others.
    model = make_model(loss=2.5)
    annealing = bayesian.KLAnnealing("linear", batches=4)
    history = fit(model, annealing, bayesian.KLLog(), examples=5)
    np.testing.assert_allclose(history["data_loss"], [2.5], rtol=1e-5)


def test_the_log_while_the_model_learns():
    # The divergence that a batch sees is that before its update.
    model, seen = make_model(kl_weights=(0.5, 0.25)), []
    model.compile(keras.optimizers.SGD(0.1), constant_loss(1.0))

    class Look(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            seen.append(weighted_kl(self.model))

    history = fit(model, bayesian.KLLog(), Look())
    assert seen[-1] < 0.95 * seen[0]
    np.testing.assert_allclose(history["kl"], [np.mean(seen)], rtol=1e-5)
    np.testing.assert_allclose(history["data_loss"], [1], rtol=1e-5)


def test_frozen_layers_count_nothing():
    model = make_model(loss=2.5)
    model.layers[0].trainable = False
    model.compile(keras.optimizers.SGD(0.0), constant_loss(2.5))
    history = fit(model, bayesian.KLLog())
    expected = 0.01 * closed_form(model.layers[1])
    np.testing.assert_allclose(history["kl"], [expected], rtol=1e-5)
    np.testing.assert_allclose(history["data_loss"], [2.5], rtol=1e-5)


def test_the_log_leaves_the_draws_of_training_as_they_are():
    def trained(*callbacks):
        keras.utils.set_random_seed(4)
        layer = bayesian.DenseFlipout(
            2, seed=3, kernel_divergence_fn="monte_carlo_kl"
        )
        model = keras.Sequential([keras.Input((FEATURES,)), layer])
        model.compile(keras.optimizers.SGD(0.1), "mse")
        fit(model, *callbacks, validation_data=data(4))
        return model.get_weights()

    for one, other in zip(trained(), trained(bayesian.KLLog()), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_model_without_divergences_logs_none():
    model = keras.Sequential([keras.Input((FEATURES,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.0), constant_loss(2.5))
    history = fit(model, bayesian.KLLog())
    assert history["kl"] == [0]
    np.testing.assert_allclose(history["data_loss"], [2.5], rtol=1e-6)
