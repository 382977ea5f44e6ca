"""The metrics of probabilities against loops over examples and classes."""

import keras
import numpy as np
import pytest
from helpers import tensorflow_only
from keras import ops

from keras_dnc import bayesian

CLASSES = 4
# The sums are of some dozens of float32 numbers of the size of 1.
TOLERANCE = 2e-6

METRICS = {
    "nll": bayesian.NegativeLogLikelihood,
    "brier": bayesian.BrierScore,
    "ece": bayesian.ExpectedCalibrationError,
}
metrics = pytest.mark.parametrize("name", METRICS)


@pytest.fixture
def rng():
    return np.random.default_rng(9)


def softmax(logits):
    exponentials = np.exp(logits - logits.max())
    return exponentials / exponentials.sum()


def mean_over_examples(value, targets, probabilities, weights):
    total = sum(
        w * value(t, p)
        for t, p, w in zip(targets, probabilities, weights, strict=True)
    )
    return total / sum(weights)


def nll_of_example(target, probabilities):
    return -sum(
        t * np.log(p) for t, p in zip(target, probabilities, strict=True) if t
    )


def brier_of_example(target, probabilities):
    return sum((p - t) ** 2 for t, p in zip(target, probabilities, strict=True))


def calibration_error(targets, probabilities, weights, bins=15):
    """`Σ_b (n_b / n) |accuracy_b − confidence_b|`, a bin after the other."""
    error = 0
    for b in range(bins):
        weight = confidence = accuracy = 0
        for t, p, w in zip(targets, probabilities, weights, strict=True):
            if b / bins < max(p) <= (b + 1) / bins:
                weight += w
                confidence += w * max(p)
                accuracy += w * (np.argmax(p) == np.argmax(t))
        if weight:
            gap = abs(accuracy / weight - confidence / weight)
            error += weight / sum(weights) * gap
    return error


def expected(name, targets, probabilities, weights=None, bins=15):
    """The metric of one-hot targets and probabilities `(..., classes)`."""
    targets = np.reshape(targets, (-1, CLASSES))
    probabilities = np.reshape(probabilities, (-1, CLASSES)).astype("float64")
    if weights is None:
        weights = np.ones(len(targets))
    weights = np.ravel(weights)
    if name == "ece":
        return calibration_error(targets, probabilities, weights, bins)
    value = {"nll": nll_of_example, "brier": brier_of_example}[name]
    return mean_over_examples(value, targets, probabilities, weights)


def examples(rng, *shape):
    """Class numbers, and probabilities and logits of a classifier."""
    numbers = rng.integers(CLASSES, size=shape)
    logits = rng.normal(scale=2, size=(*shape, CLASSES)).astype("float32")
    # Better than chance, so that accuracies are not all alike.
    logits += 2 * np.eye(CLASSES, dtype="float32")[numbers]
    probabilities = np.apply_along_axis(softmax, -1, logits)
    return numbers, probabilities.astype("float32"), logits


def one_hot(numbers):
    return np.eye(CLASSES, dtype="float32")[numbers]


def result(metric):
    return float(ops.convert_to_numpy(metric.result()))


def value_of(metric, *arguments, **keywords):
    metric.update_state(*arguments, **keywords)
    return result(metric)


def close(value):
    return pytest.approx(value, rel=TOLERANCE, abs=TOLERANCE)


# Values


@metrics
@pytest.mark.parametrize("kind", ["numbers", "column", "one_hot", "floats"])
@pytest.mark.parametrize("from_logits", [False, True])
def test_every_kind_of_targets_and_predictions(rng, name, kind, from_logits):
    numbers, probabilities, logits = examples(rng, 60)
    targets = {
        "numbers": numbers,
        "column": numbers[:, None],
        "one_hot": one_hot(numbers),
        "floats": numbers.astype("float32"),
    }[kind]
    metric = METRICS[name](from_logits=from_logits)
    value = value_of(metric, targets, logits if from_logits else probabilities)
    wanted = expected(name, one_hot(numbers), probabilities)
    assert wanted > 0.01
    assert value == close(wanted)


@pytest.mark.parametrize("name", ["nll", "brier"])
def test_targets_that_are_probabilities(rng, name):
    _, probabilities, _ = examples(rng, 20)
    targets = rng.dirichlet(np.ones(CLASSES), size=20).astype("float32")
    value = value_of(METRICS[name](), targets, probabilities)
    assert value == close(expected(name, targets, probabilities))


@metrics
@pytest.mark.parametrize("kind", ["numbers", "column", "one_hot"])
def test_sequences(rng, name, kind):
    numbers, probabilities, _ = examples(rng, 8, 5)
    targets = {
        "numbers": numbers,
        "column": numbers[..., None],
        "one_hot": one_hot(numbers),
    }[kind]
    wanted = expected(name, one_hot(numbers), probabilities)
    assert value_of(METRICS[name](), targets, probabilities) == close(wanted)
    weights = rng.uniform(size=(8, 5)).astype("float32")
    wanted = expected(name, one_hot(numbers), probabilities, weights)
    value = value_of(METRICS[name](), targets, probabilities, weights)
    assert value == close(wanted)


@metrics
def test_sample_weights(rng, name):
    numbers, probabilities, _ = examples(rng, 50)
    weights = rng.uniform(0, 3, size=50).astype("float32")
    weights[::4] = 0
    wanted = expected(name, one_hot(numbers), probabilities, weights)
    metric = METRICS[name]()
    value = value_of(metric, numbers, probabilities, sample_weight=weights)
    assert value == close(wanted)
    assert value != close(expected(name, one_hot(numbers), probabilities))
    # A weight of 2 is the example twice.
    twice = np.repeat(np.arange(50), 2)
    doubled = value_of(METRICS[name](), numbers[twice], probabilities[twice])
    ones = value_of(METRICS[name](), numbers, probabilities, np.full(50, 2.0))
    assert ones == close(doubled)


@metrics
@pytest.mark.parametrize("steps", [3, 8], ids=["oblong", "square"])
def test_a_weight_of_a_whole_sequence_holds_for_its_steps(rng, name, steps):
    # So Keras passes weights of examples, and as many steps as examples must
    # not make them weights of steps.
    numbers, probabilities, _ = examples(rng, 8, steps)
    weights = rng.uniform(size=8).astype("float32")
    every = np.repeat(weights[:, None], steps, axis=1)
    wanted = expected(name, one_hot(numbers), probabilities, every)
    for given in every, weights[:, None], weights:
        value = value_of(METRICS[name](), numbers, probabilities, given)
        assert value == close(wanted)


@metrics
@pytest.mark.parametrize("given", [None, "examples", "steps"])
def test_masked_steps_do_not_count(rng, name, given):
    numbers, probabilities, _ = examples(rng, 6, 5)
    mask = rng.uniform(size=(6, 5)) < 0.6
    weights = {
        None: np.ones((6, 1)),
        "examples": rng.uniform(size=(6, 1)),
        "steps": rng.uniform(size=(6, 5)),
    }[given].astype("float32")
    predictions = ops.convert_to_tensor(probabilities)
    predictions._keras_mask = ops.convert_to_tensor(mask)
    value = value_of(
        METRICS[name](),
        numbers,
        predictions,
        None if given is None else weights,
    )
    wanted = expected(name, one_hot(numbers), probabilities, mask * weights)
    assert value == close(wanted)
    assert value != close(expected(name, one_hot(numbers), probabilities))


@metrics
@tensorflow_only
def test_evaluate_passes_masks(rng, name):
    numbers, _, _ = examples(rng, 6, 5)
    inputs = rng.normal(size=(6, 5, 3)).astype("float32")
    inputs[:, 3:] = 0
    model = keras.Sequential(
        [
            keras.Input((5, 3)),
            keras.layers.Masking(),
            keras.layers.Dense(CLASSES, "softmax"),
        ]
    )
    model.compile(
        loss="sparse_categorical_crossentropy", metrics=[METRICS[name]()]
    )
    value = model.evaluate(inputs, numbers, verbose=0)[1]
    wanted = expected(
        name, one_hot(numbers[:, :3]), np.asarray(model(inputs))[:, :3]
    )
    assert value == close(wanted)


@metrics
def test_batches_are_as_one_and_reset_forgets_them(rng, name):
    numbers, probabilities, _ = examples(rng, 50)
    weights = rng.uniform(size=50).astype("float32")
    metric = METRICS[name]()
    for part in slice(0, 7), slice(7, 40), slice(40, 50):
        metric.update_state(numbers[part], probabilities[part], weights[part])
    wanted = expected(name, one_hot(numbers), probabilities, weights)
    assert result(metric) == close(wanted)
    metric.reset_state()
    assert result(metric) == 0
    wanted = expected(name, one_hot(numbers[:9]), probabilities[:9])
    value = value_of(metric, numbers[:9], probabilities[:9])
    assert value == close(wanted)


def test_no_probability_of_the_class_is_finite():
    value = value_of(
        bayesian.NegativeLogLikelihood(),
        np.array([0, 1]),
        np.array([[0.0, 1.0], [0.0, 1.0]]),
    )
    assert value == pytest.approx(-np.log(keras.config.epsilon()) / 2, 1e-5)


def test_scores_by_hand():
    targets, predictions = [0, 1], [[0.5, 0.5], [0.75, 0.25]]
    arguments = np.array(targets), np.array(predictions, "float32")
    nll = value_of(bayesian.NegativeLogLikelihood(), *arguments)
    assert nll == close(1.5 * np.log(2))
    brier = value_of(bayesian.BrierScore(), *arguments)
    assert brier == close((0.5 + 2 * 0.75**2) / 2)
    worst = np.array([1]), np.array([[1.0, 0.0]])
    assert value_of(bayesian.BrierScore(), *worst) == 2
    best = np.array([0]), np.array([[1.0, 0.0]])
    assert value_of(bayesian.BrierScore(), *best) == 0
    assert value_of(bayesian.NegativeLogLikelihood(), *best) == 0


# The calibration error by hand


def two_classes(confidences):
    """Predictions of class 0 with these probabilities, of at least 1/2."""
    confidences = np.array(confidences, "float32")
    return np.stack([confidences, 1 - confidences], axis=-1)


def test_perfect_calibration():
    # Of four examples at 0.75 three are right, of two at 1 both.
    predictions = two_classes([0.75] * 4 + [1] * 2)
    targets = np.array([0, 1, 0, 0, 0, 0])
    metric = bayesian.ExpectedCalibrationError()
    assert value_of(metric, targets, predictions) == close(0)


def test_always_confident_and_always_wrong():
    metric = bayesian.ExpectedCalibrationError()
    assert value_of(metric, np.ones(5, int), two_classes([1] * 5)) == close(1)


def test_gaps_of_two_bins():
    # At 0.6 two of two are right; at 0.9 one of three.
    predictions = two_classes([0.6, 0.6, 0.9, 0.9, 0.9])
    targets = np.array([0, 0, 0, 1, 1])
    value = value_of(bayesian.ExpectedCalibrationError(), targets, predictions)
    assert value == close(2 / 5 * 0.4 + 3 / 5 * (0.9 - 1 / 3))
    # In one bin they cancel: 0.78 confident, and 3/5 right.
    metric = bayesian.ExpectedCalibrationError(bins=1)
    assert value_of(metric, targets, predictions) == close(0.78 - 0.6)


@pytest.mark.parametrize(
    ("bins", "edge", "below", "above"),
    [(4, 0.75, 0.625, 0.875), (10, 0.7, 0.65, 0.75)],
)
def test_a_bin_holds_its_upper_edge(bins, edge, below, above):
    # The example at the edge is wrong and its neighbours are right: gaps of
    # both signs, which cancel within a bin alone.
    targets = np.array([0, 1, 0])
    predictions = two_classes([below, edge, above])
    value = value_of(
        bayesian.ExpectedCalibrationError(bins), targets, predictions
    )
    lower = abs((below - 1) + edge)
    assert value == close((lower + 1 - above) / 3)
    other = (1 - below + abs(edge + above - 1)) / 3
    assert value != close(other)


@pytest.mark.parametrize("bins", [1, 7, 15, 100])
def test_numbers_of_bins(rng, bins):
    numbers, probabilities, _ = examples(rng, 80)
    metric = bayesian.ExpectedCalibrationError(bins=bins)
    wanted = expected("ece", one_hot(numbers), probabilities, bins=bins)
    assert value_of(metric, numbers, probabilities) == close(wanted)


# Within Keras


def make_model(*shape, jit_compile=False, **arguments):
    """A compiled model whose output is its input."""
    model = keras.Sequential(
        [keras.Input((*shape, CLASSES)), keras.layers.Activation("linear")]
    )
    model.compile(
        loss="categorical_crossentropy", jit_compile=jit_compile, **arguments
    )
    return model


def all_metrics(**arguments):
    return [kind(**arguments) for kind in METRICS.values()]


NAMES = {
    "nll": "negative_log_likelihood",
    "brier": "brier_score",
    "ece": "expected_calibration_error",
}


def assert_logged(logs, targets, probabilities, weights=None):
    for name, logged in NAMES.items():
        wanted = expected(name, targets, probabilities, weights)
        assert logs[logged] == close(wanted)


@pytest.mark.parametrize(
    "jit_compile",
    [
        pytest.param(False, id="no_jit"),
        pytest.param(True, id="jit", marks=tensorflow_only),
    ],
)
@pytest.mark.parametrize("shape", [(), (3,)], ids=["examples", "sequences"])
def test_evaluation(rng, shape, jit_compile):
    numbers, probabilities, _ = examples(rng, 22, *shape)
    targets = one_hot(numbers)
    model = make_model(*shape, jit_compile=jit_compile, metrics=all_metrics())
    # The last batch is smaller.
    arguments = {"batch_size": 8, "verbose": 0, "return_dict": True}
    logs = model.evaluate(probabilities, targets, **arguments)
    assert_logged(logs, targets, probabilities)


def test_evaluation_with_class_numbers_and_weights(rng):
    numbers, probabilities, logits = examples(rng, 22)
    weights = rng.uniform(size=22).astype("float32")
    for targets in numbers, numbers[:, None]:
        model = make_model()
        model.compile(
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            weighted_metrics=all_metrics(from_logits=True),
        )
        logs = model.evaluate(
            logits,
            targets,
            sample_weight=weights,
            batch_size=8,
            verbose=0,
            return_dict=True,
        )
        assert_logged(logs, one_hot(numbers), probabilities, weights)


def test_evaluation_of_sequences_with_a_weight_each(rng):
    numbers, probabilities, _ = examples(rng, 6, 3)
    weights = rng.uniform(size=6).astype("float32")
    targets = one_hot(numbers)
    model = make_model(3, weighted_metrics=all_metrics())
    logs = model.evaluate(
        probabilities,
        targets,
        sample_weight=weights,
        batch_size=3,
        verbose=0,
        return_dict=True,
    )
    assert_logged(logs, targets, probabilities, np.repeat(weights, 3))


@metrics
def test_config_round_trip(rng, name):
    arguments = {"from_logits": True, "name": "mine", "dtype": "float32"}
    if name == "ece":
        arguments["bins"] = 6
    metric = METRICS[name](**arguments)
    config = keras.saving.serialize_keras_object(metric)
    twin = keras.saving.deserialize_keras_object(config)
    assert type(twin) is METRICS[name]
    assert twin.get_config() == metric.get_config()
    assert twin.name == "mine" and twin.from_logits is True
    if name == "ece":
        assert twin.bins == 6
    numbers, _, logits = examples(rng, 30)
    wanted = value_of(metric, numbers, logits)
    assert value_of(twin, numbers, logits) == wanted


def test_metrics_are_saved_with_a_compiled_model(rng, tmp_path):
    numbers, probabilities, _ = examples(rng, 12)
    chosen = [
        bayesian.NegativeLogLikelihood(),
        bayesian.BrierScore(),
        bayesian.ExpectedCalibrationError(bins=5),
    ]
    model = make_model(metrics=chosen)
    arguments = {"verbose": 0, "return_dict": True}
    before = model.evaluate(probabilities, one_hot(numbers), **arguments)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    after = loaded.evaluate(probabilities, one_hot(numbers), **arguments)
    assert set(after) == {"loss", *NAMES.values()}
    assert after == pytest.approx(before)
    wanted = expected("ece", one_hot(numbers), probabilities, bins=5)
    assert after["expected_calibration_error"] == close(wanted)


@metrics
def test_bad_logits_arguments_are_refused(name):
    for bad in "yes", 1, None:
        with pytest.raises(ValueError, match="`from_logits`"):
            METRICS[name](from_logits=bad)


@pytest.mark.parametrize("bad", [0, -1, 2.5, True, None, "many"])
def test_bad_numbers_of_bins_are_refused(bad):
    with pytest.raises(ValueError, match="`bins`"):
        bayesian.ExpectedCalibrationError(bins=bad)


@metrics
def test_one_prediction_is_that_of_the_second_of_two_classes(rng, name):
    second = rng.uniform(0.02, 0.98, size=(30, 1)).astype("float32")
    numbers = rng.integers(0, 2, 30)
    both = np.concatenate([1 - second, second], axis=-1)
    wanted = value_of(METRICS[name](), numbers, both)
    for targets in numbers, numbers[:, None]:
        assert value_of(METRICS[name](), targets, second) == close(wanted)
    logits = np.log(second / (1 - second))
    metric = METRICS[name](from_logits=True)
    assert value_of(metric, numbers, logits) == pytest.approx(wanted, rel=1e-4)


def test_logits_far_apart_are_not_clipped():
    metric = bayesian.NegativeLogLikelihood(from_logits=True)
    value = value_of(metric, np.array([1]), np.array([[50.0, 0.0]]))
    assert value == close(50)


@metrics
def test_weights_may_have_an_axis_for_the_classes(rng, name):
    numbers, probabilities, _ = examples(rng, 9)
    weights = rng.uniform(size=9).astype("float32")
    wanted = expected(name, one_hot(numbers), probabilities, weights)
    value = value_of(METRICS[name](), numbers, probabilities, weights[:, None])
    assert value == close(wanted)
