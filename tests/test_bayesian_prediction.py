"""Draws of predictions, and what is said of them.

A linear layer without bias draws `y ~ N(x μ, x² σ²)` for each example,
whatever the estimator: means and variances of draws are held against that, in
units of their standard errors.
"""

import keras
import ml_dtypes
import numpy as np
import pytest
from keras import ops

if keras.backend.backend() != "tensorflow":
    pytest.skip(
        "variational layers need the TensorFlow backend",
        allow_module_level=True,
    )

import keras_dnc
from keras_dnc import bayesian
from keras_dnc.bayesian.weights import random_weights

# Of a correct mean one in 150,000 is off by more.
STANDARD_ERRORS = 4.5
DRAWS = 4000
FEATURES, UNITS = 4, 2

DENSE = {
    "flipout": bayesian.DenseFlipout,
    "reparameterization": bayesian.DenseReparameterization,
    "local": bayesian.DenseLocalReparameterization,
}
estimators = pytest.mark.parametrize("estimator", DENSE)


@pytest.fixture
def rng():
    return np.random.default_rng(5)


@pytest.fixture
def x(rng):
    """Five examples, the first and the last the same."""
    x = rng.normal(size=(5, FEATURES)).astype("float32")
    x[-1] = x[0]
    return x


def set_posterior(weight, loc, scale):
    """Sets means and deviations of a random weight."""
    values = {
        "posterior_loc": loc,
        "posterior_untransformed_scale": np.log(np.expm1(scale)),
    }
    for variable in weight.trainable_variables:
        variable.assign(values[variable.name])


def randomize(rng, weight):
    """Gives a random weight a posterior, and returns it.

    The deviations differ, and are of the size of the means.
    """
    loc = rng.normal(size=weight.shape).astype("float32")
    scale = rng.uniform(0.5, 1.5, size=weight.shape).astype("float32")
    set_posterior(weight, loc, scale)
    return loc, scale


def make_sharp(model):
    """Leaves the random weights no deviation but the smallest."""
    for variable in model.trainable_variables:
        if variable.name.endswith("untransformed_scale"):
            variable.assign(ops.full(variable.shape, -50.0))


def linear(rng, estimator, shape=(FEATURES,)):
    """A layer without bias as a model, and its posterior."""
    layer = DENSE[estimator](UNITS, bias_posterior_fn=None)
    model = keras.Sequential([keras.Input(shape), layer])
    return model, *randomize(rng, layer.kernel)


def assert_moments(draws, mean, variance):
    """Asserts that independent normal draws have these moments."""
    count = len(draws)
    errors = np.sqrt(variance / count)
    assert np.all(np.abs(draws.mean(0) - mean) < STANDARD_ERRORS * errors)
    errors = variance * np.sqrt(2 / (count - 1))
    found = draws.var(0, ddof=1)
    assert np.all(np.abs(found - variance) < STANDARD_ERRORS * errors)


def correlation(one, other):
    """The correlation of draws along the first axis, by element."""
    one = (one - one.mean(0)) / one.std(0)
    other = (other - other.mean(0)) / other.std(0)
    return (one * other).mean(0)


def assert_uncorrelated(one, other):
    largest = np.max(np.abs(correlation(one, other)))
    assert largest < STANDARD_ERRORS / np.sqrt(len(one))


# draw_outputs


@estimators
@pytest.mark.parametrize("batch_size", [32, 2], ids=["one_pass", "uneven"])
def test_draws_have_the_moments_of_the_outputs(rng, x, estimator, batch_size):
    model, loc, scale = linear(rng, estimator)
    draws = bayesian.draw_outputs(model, x, DRAWS, batch_size=batch_size)
    assert draws.shape == (DRAWS, 5, UNITS)
    assert isinstance(draws, np.ndarray)
    assert_moments(draws, x @ loc, x**2 @ scale**2)


@estimators
def test_successive_draws_are_independent(rng, x, estimator):
    model, _, _ = linear(rng, estimator)
    draws = bayesian.draw_outputs(model, x, DRAWS)
    for lag in 1, 2:
        assert_uncorrelated(draws[:-lag], draws[lag:])
    # Nor do two calls draw the same.
    again = bayesian.draw_outputs(model, x, DRAWS)
    assert_uncorrelated(draws, again)


@estimators
def test_what_two_equal_examples_share_within_a_draw(rng, x, estimator):
    model, _, _ = linear(rng, estimator)
    draws = bayesian.draw_outputs(model, x, DRAWS)
    if estimator == "reparameterization":
        np.testing.assert_allclose(draws[:, 0], draws[:, 4], rtol=1e-5)
    else:
        assert_uncorrelated(draws[:, 0], draws[:, 4])


def test_one_draw_and_one_example(rng, x):
    for estimator in DENSE:
        model, _, _ = linear(rng, estimator)
        assert bayesian.draw_outputs(model, x, 1).shape == (1, 5, UNITS)
        draws = bayesian.draw_outputs(model, x[:1], 3, batch_size=1)
        assert draws.shape == (3, 1, UNITS)
        assert len(np.unique(draws)) == draws.size


@pytest.mark.parametrize("estimator", ["flipout", "reparameterization"])
def test_draws_of_a_layer_on_inputs_of_rank_3(rng, estimator):
    # A unit matrix as input makes the output the kernel.
    model, loc, scale = linear(rng, estimator, (None, FEATURES))
    x = np.stack([np.eye(FEATURES, dtype="float32")] * 3)
    draws = bayesian.draw_outputs(model, x, DRAWS, batch_size=2)
    assert draws.shape == (DRAWS, 3, FEATURES, UNITS)
    for example in range(3):
        assert_moments(draws[:, example], loc, scale**2)
    assert_uncorrelated(draws[:-1], draws[1:])
    # The first two are of one pass, and the third of another.
    assert_uncorrelated(draws[:, 0], draws[:, 2])
    if estimator == "reparameterization":
        np.testing.assert_allclose(draws[:, 0], draws[:, 1], rtol=1e-5)
    else:
        assert_uncorrelated(draws[:, 0], draws[:, 1])


@pytest.mark.parametrize(
    "kind", [bayesian.Conv2DFlipout, bayesian.Conv2DReparameterization]
)
def test_draws_of_a_convolution(rng, kind):
    # Images with one pixel set make the outputs the elements of the kernel.
    shape = (2, 3, 2)
    layer = kind(UNITS, shape[:2], bias_posterior_fn=None)
    model = keras.Sequential([keras.Input(shape), layer])
    loc, scale = randomize(rng, layer.kernel)
    x = np.eye(np.prod(shape), dtype="float32").reshape(-1, *shape)
    pair = x[:1] + x[1:2]
    draws = bayesian.draw_outputs(
        model, np.concatenate([x, pair]), 2000, batch_size=len(x) + 1
    )
    kernels = draws[:, :-1, 0, 0].reshape(-1, *shape, UNITS)
    assert_moments(kernels, loc, scale**2)
    assert_uncorrelated(kernels[:-1], kernels[1:])
    total, sums = draws[:, -1], draws[:, 0] + draws[:, 1]
    if kind is bayesian.Conv2DReparameterization:
        np.testing.assert_allclose(total, sums, rtol=1e-4, atol=1e-5)
    else:
        assert_uncorrelated(total, sums)


def test_a_recurrent_layer_holds_one_kernel_a_draw(rng):
    # Closed forget gates, and no recurrent weights, leave a function of the
    # present input: equal inputs then show whether the kernel stays.
    cell = bayesian.LSTMCellReparameterization(3)
    layer = bayesian.VariationalRNN(cell, return_sequences=True)
    model = keras.Sequential([keras.Input((5, FEATURES)), layer])
    randomize(rng, cell.kernel)
    set_posterior(cell.recurrent_kernel, np.zeros((3, 12)), np.full((3, 12), 1))
    make_sharp(cell.recurrent_kernel)
    bias = np.zeros(12)
    bias[3:6] = -50
    (variable,) = cell.bias.trainable_variables
    variable.assign(bias)

    step = rng.normal(size=FEATURES).astype("float32")
    draws = bayesian.draw_outputs(model, np.tile(step, (4, 5, 1)), 50)
    assert draws.shape == (50, 4, 5, 3)
    same = np.broadcast_to(draws[:, :1, :1], draws.shape)
    np.testing.assert_allclose(draws, same, atol=1e-5)
    assert len(np.unique(draws[:, 0, 0, 0].round(5))) > 45


@pytest.mark.parametrize("estimator", ["flipout", "reparameterization"])
def test_draws_of_a_recurrent_layer_whose_steps_sum(rng, estimator):
    # The layer is linear in its inputs, of which each example has one: over
    # the steps it adds up outputs of the same kernel, of variance T² σ².
    @keras.saving.register_keras_serializable(package="keras_dnc_tests")
    class Sum(keras.layers.Layer):
        def __init__(self, layer, **kwargs):
            super().__init__(**kwargs)
            self.layer = layer
            self.state_size = UNITS

        def build(self, input_shape):
            self.layer.build(input_shape)

        def call(self, inputs, states):
            total = states[0] + self.layer(inputs)
            return total, [total]

    layer = DENSE[estimator](UNITS, bias_posterior_fn=None)
    model = keras.Sequential(
        [keras.Input((3, FEATURES)), bayesian.VariationalRNN(Sum(layer))]
    )
    loc, scale = randomize(rng, layer.kernel)
    x = np.eye(FEATURES, dtype="float32")[:, None].repeat(3, axis=1)
    draws = bayesian.draw_outputs(model, x, DRAWS)
    assert_moments(draws, 3 * loc, 9 * scale**2)
    assert_uncorrelated(draws[:-1], draws[1:])


def dnc(estimator):
    layer = bayesian.BayesianDNC(
        2,
        controller=5,
        memory_size=4,
        word_size=3,
        num_reads=1,
        estimator=estimator,
        variational_controller=True,
    )
    return keras.Sequential([keras.Input((4, FEATURES)), layer])


@pytest.mark.parametrize(
    "estimator",
    ["flipout", pytest.param("reparameterization", marks=pytest.mark.slow)],
)
def test_draws_of_a_bayesian_dnc(rng, estimator):
    model = dnc(estimator)
    for weight in random_weights(model):
        if weight.name != "bias":
            randomize(rng, weight)
    x = rng.normal(size=(3, 4, FEATURES)).astype("float32")
    x[2] = x[0]
    draws = bayesian.draw_outputs(model, x, 40)
    assert draws.shape == (40, 3, 2)
    assert len(np.unique(draws[:, 0, 0].round(4))) > 35
    difference = np.abs(draws[:, 0] - draws[:, 2])
    if estimator == "reparameterization":
        assert difference.max() < 1e-3
    else:
        assert np.median(difference) > 0.1


def test_a_model_that_is_not_random_gives_equal_draws(rng, x):
    model = keras.Sequential(
        [keras.Input((FEATURES,)), keras.layers.Dense(3, "tanh")]
    )
    draws = bayesian.draw_outputs(model, x, 6, batch_size=2)
    expected = np.broadcast_to(ops.convert_to_numpy(model(x)), (6, 5, 3))
    np.testing.assert_allclose(draws, expected, rtol=1e-5, atol=1e-6)
    draws = bayesian.draw_outputs(lambda batch, training: 2 * batch, x, 2)
    np.testing.assert_array_equal(draws, np.stack([2 * x, 2 * x]))


SHARP = {
    **{
        name: (lambda kind=kind: kind(3, "tanh"), (FEATURES,))
        for name, kind in DENSE.items()
    },
    "conv2d_flipout": (lambda: bayesian.Conv2DFlipout(3, 2), (4, 4, 2)),
    "conv2d": (lambda: bayesian.Conv2DReparameterization(3, 2), (4, 4, 2)),
    "lstm_flipout": (
        lambda: bayesian.VariationalRNN(bayesian.LSTMCellFlipout(3)),
        (4, FEATURES),
    ),
    "gru": (
        lambda: bayesian.VariationalRNN(bayesian.GRUCellReparameterization(3)),
        (4, FEATURES),
    ),
    "dnc": (lambda: dnc("flipout").layers[0], (4, FEATURES)),
}


@pytest.mark.parametrize("name", SHARP)
def test_draws_of_weights_that_are_certain_are_the_prediction(rng, name):
    make, shape = SHARP[name]
    model = keras.Sequential([keras.Input(shape), make()])
    make_sharp(model)
    x = rng.normal(size=(5, *shape)).astype("float32")
    draws = bayesian.draw_outputs(model, x, 4, batch_size=3)
    expected = ops.convert_to_numpy(model(x))
    assert np.std(expected) > 1e-3
    for draw in draws:
        np.testing.assert_allclose(draw, expected, atol=1e-4)


def test_the_model_draws_once_a_call_after_the_draws(rng, x):
    model, _, _ = linear(rng, "reparameterization")
    bayesian.draw_outputs(model, x, 7)
    # Five examples are no multiple of seven.
    outputs = ops.convert_to_numpy(model(x))
    np.testing.assert_allclose(outputs[0], outputs[4], rtol=1e-5)


def test_bad_arguments_of_draw_outputs_are_refused(x):
    model = keras.Sequential([keras.Input((FEATURES,))])
    for bad in 0, -1, 2.5, True, None:
        with pytest.raises(ValueError, match="`samples`"):
            bayesian.draw_outputs(model, x, samples=bad)
        with pytest.raises(ValueError, match="`batch_size`"):
            bayesian.draw_outputs(model, x, batch_size=bad)
    for bad in x[:0], np.float32(3):
        with pytest.raises(ValueError, match="`inputs` must hold at least"):
            bayesian.draw_outputs(model, bad)


# Dropout in prediction

RATE = 0.3


def draw_dropped(model, x, samples):
    return bayesian.draw_outputs(model, x, samples, monte_carlo_dropout=True)


def assert_fraction(kept, rate=RATE):
    """Asserts the fraction that independent drops of a rate leave."""
    error = np.sqrt(rate * (1 - rate) / kept.size)
    assert abs(kept.mean() - (1 - rate)) < STANDARD_ERRORS * error


def test_dropout_drops_its_rate_anew_in_each_draw():
    model = keras.Sequential([keras.Input((500,)), keras.layers.Dropout(RATE)])
    x = np.ones((5, 500), "float32")
    draws = draw_dropped(model, x, 20)
    kept = draws > 0
    np.testing.assert_allclose(draws[kept], 1 / (1 - RATE), rtol=1e-6)
    assert_fraction(kept)
    masks = kept.reshape(100, 500)
    assert len(np.unique(masks, axis=0)) == 100
    # Without the argument nothing is dropped.
    np.testing.assert_array_equal(bayesian.draw_outputs(model, x, 1)[0], x)


@pytest.mark.parametrize("name", ["Attention", "AdditiveAttention"])
def test_the_dropout_of_attention(rng, name):
    inputs = keras.Input((3, 2))
    layer = getattr(keras.layers, name)(dropout=RATE)
    model = keras.Model(inputs, layer([inputs, inputs]))
    x = rng.normal(size=(2, 3, 2)).astype("float32")
    assert draw_dropped(model, x, 20).std(axis=0).min() > 0


def test_spatial_dropout_drops_whole_channels():
    layer = keras.layers.SpatialDropout1D(RATE)
    model = keras.Sequential([keras.Input((3, 200)), layer])
    kept = draw_dropped(model, np.ones((4, 3, 200), "float32"), 20) > 0
    assert np.array_equal(kept, np.repeat(kept[:, :, :1], 3, axis=2))
    assert_fraction(kept[:, :, 0])
    assert len(np.unique(kept[:, :, 0].reshape(80, 200), axis=0)) == 80


def test_gaussian_dropout_multiplies_by_its_noise():
    layer = keras.layers.GaussianDropout(RATE)
    model = keras.Sequential([keras.Input((3,)), layer])
    draws = draw_dropped(model, np.ones((2, 3), "float32"), DRAWS)
    assert_moments(draws, np.ones((2, 3)), np.full((2, 3), RATE / (1 - RATE)))
    assert_uncorrelated(draws[:-1], draws[1:])


def assert_two_outcomes(draws, kept, dropped):
    """Asserts that each draw of an example is one of two sequences."""
    is_kept = np.all(np.abs(draws - kept) < 1e-5, axis=(2, 3))
    is_dropped = np.all(np.abs(draws - dropped) < 1e-5, axis=(2, 3))
    assert np.all(is_kept ^ is_dropped)
    assert_fraction(is_kept)
    assert_fraction(is_kept[:-1] ^ is_kept[1:], 1 - 2 * RATE * (1 - RATE))


def test_the_dropout_of_an_lstm_layer(rng):
    # One feature is there, or not, for all time steps.
    def make(rate):
        layer = keras.layers.LSTM(2, return_sequences=True, dropout=rate)
        return keras.Sequential([keras.Input((4, 1)), layer])

    model, plain = make(RATE), make(0)
    plain.set_weights(model.get_weights())
    x = rng.normal(size=(1, 4, 1)).astype("float32").repeat(3, axis=0)
    kept = ops.convert_to_numpy(plain(x / np.float32(1 - RATE)))
    dropped = ops.convert_to_numpy(plain(0 * x))
    assert np.min(np.max(np.abs(kept - dropped), axis=(1, 2))) > 1e-2
    assert_two_outcomes(draw_dropped(model, x, 400), kept, dropped)


def test_the_recurrent_dropout_of_a_gru_cell(rng):
    # Of the recurrent weights only the candidate's is not zero: its one state
    # is there, or not, for all time steps.
    def make(rate):
        cell = keras.layers.GRUCell(1, recurrent_dropout=rate)
        layer = keras.layers.RNN(cell, return_sequences=True)
        return keras.Sequential([keras.Input((4, 1)), layer])

    model, plain = make(RATE), make(0)
    x = rng.normal(size=(1, 4, 1)).astype("float32").repeat(3, axis=0)
    kernel, _, bias = model.get_weights()

    def with_recurrence(value):
        return [kernel, np.array([[0, 0, value]], "float32"), bias]

    model.set_weights(with_recurrence(3))
    plain.set_weights(with_recurrence(3 / (1 - RATE)))
    kept = ops.convert_to_numpy(plain(x))
    plain.set_weights(with_recurrence(0))
    dropped = ops.convert_to_numpy(plain(x))
    assert np.min(np.max(np.abs(kept - dropped), axis=(1, 2))) > 1e-3
    assert_two_outcomes(draw_dropped(model, x, 400), kept, dropped)


def test_the_bypass_dropout_of_a_dnc(rng):
    # Two units on the way past the memory, of which each is there or not.
    layer = keras_dnc.DNC(
        2, controller=2, memory_size=4, word_size=3, bypass_dropout=RATE
    )
    model = keras.Sequential([keras.Input((3, 1)), layer])
    x = rng.normal(size=(1, 3, 1)).astype("float32").repeat(3, axis=0)
    outputs = draw_dropped(model, x, 200).reshape(-1, 2)
    assert len(np.unique(np.round(outputs, 5), axis=0)) == 4


def test_batch_normalization_stays_as_it_is_in_prediction(rng):
    norm = keras.layers.BatchNormalization()
    model = keras.Sequential(
        [keras.Input((FEATURES,)), norm, keras.layers.Dropout(RATE)]
    )
    moving = [rng.uniform(1, 2, size=FEATURES) for _ in range(4)]
    norm.set_weights(moving)
    x = rng.normal(size=(6, FEATURES)).astype("float32")
    gamma, beta, mean, variance = moving
    expected = gamma * (x - mean) / np.sqrt(variance + norm.epsilon) + beta
    draws = draw_dropped(model, x, 30)
    expected = np.broadcast_to(expected / (1 - RATE), draws.shape)
    kept = draws != 0
    assert 0 < kept.mean() < 1
    np.testing.assert_allclose(draws[kept], expected[kept], rtol=1e-4)
    for now, before in zip(norm.get_weights(), moving, strict=True):
        np.testing.assert_array_equal(now, before.astype("float32"))


def dropping_model():
    """A model with dropout of every kind, at the top and within layers."""
    inner = keras.Sequential(
        [keras.layers.SpatialDropout1D(0.5), keras.layers.GaussianNoise(1.0)]
    )
    cell = keras.layers.GRUCell(3, recurrent_dropout=0.5)
    return keras.Sequential(
        [
            keras.Input((5, FEATURES)),
            inner,
            keras.layers.LSTM(8, return_sequences=True, dropout=0.5),
            keras.layers.TimeDistributed(keras.layers.Dropout(0.5)),
            keras.layers.RNN(cell),
            keras.layers.GaussianDropout(0.5),
        ]
    )


def assert_deterministic(model, x, expected):
    for _ in range(2):
        outputs = ops.convert_to_numpy(model(x))
        np.testing.assert_allclose(outputs, expected, atol=1e-6)
    draws = bayesian.draw_outputs(model, x, 2)
    np.testing.assert_allclose(draws[0], expected, atol=1e-5)
    np.testing.assert_allclose(draws[1], expected, atol=1e-5)
    for layer in model._flatten_layers():
        assert "call" not in vars(layer)


def test_after_dropout_in_prediction_all_is_as_before(rng):
    model = dropping_model()
    x = rng.normal(size=(3, 5, FEATURES)).astype("float32")
    expected = ops.convert_to_numpy(model(x))
    config = model.get_config()
    with bayesian.dropout_at_prediction(model):
        one, other = (ops.convert_to_numpy(model(x)) for _ in range(2))
        explicit = ops.convert_to_numpy(model(x, training=False))
    assert np.abs(one - other).max() > 1e-2
    assert np.abs(one - explicit).max() > 1e-2
    assert_deterministic(model, x, expected)
    assert model.get_config() == config
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, atol=1e-5)
    # In training it drops as ever.
    assert np.abs(ops.convert_to_numpy(model(x, training=True))).max() > 0
    one, other = (model(x, training=True) for _ in range(2))
    assert float(ops.max(ops.abs(one - other))) > 1e-2


def test_after_an_exception_all_is_as_before(rng):
    model = dropping_model()
    x = rng.normal(size=(3, 5, FEATURES)).astype("float32")
    expected = ops.convert_to_numpy(model(x))
    with (
        pytest.raises(KeyError, match="mine"),
        bayesian.dropout_at_prediction(model),
    ):
        raise KeyError("mine")
    assert_deterministic(model, x, expected)
    with pytest.raises(Exception, match="expected|incompatible|shape"):
        draw_dropped(model, x[..., :-1], 2)
    assert_deterministic(model, x, expected)


def test_draws_with_dropout_within_the_context_of_dropout(rng):
    # Twice the same must not be an error, nor end it early.
    model = dropping_model()
    x = rng.normal(size=(3, 5, FEATURES)).astype("float32")
    expected = ops.convert_to_numpy(model(x))
    with bayesian.dropout_at_prediction(model):
        draw_dropped(model, x, 2)
        one, other = (ops.convert_to_numpy(model(x)) for _ in range(2))
    assert np.abs(one - other).max() > 1e-2
    assert_deterministic(model, x, expected)


# summarize_classes

LN2, LN3 = np.log(2), np.log(3)


def entropy(*probabilities):
    return -sum(p * np.log(p) for p in probabilities if p > 0)


def test_what_draws_of_classes_say():
    outputs = np.array(
        [
            # Draws agree on a guess; on a class; each on another; neither.
            [[0.5, 0.5], [1, 0], [1, 0], [0.9, 0.1]],
            [[0.5, 0.5], [1, 0], [0, 1], [0.6, 0.4]],
        ]
    )
    prediction = bayesian.summarize_classes(outputs)
    mixed = (entropy(0.9, 0.1) + entropy(0.6, 0.4)) / 2
    total = [LN2, 0, LN2, entropy(0.75, 0.25)]
    aleatoric = [LN2, 0, 0, mixed]
    epistemic = [0, 0, LN2, entropy(0.75, 0.25) - mixed]
    mean = [[0.5, 0.5], [1, 0], [0.5, 0.5], [0.75, 0.25]]
    np.testing.assert_allclose(prediction.mean, mean, rtol=1e-12)
    np.testing.assert_allclose(prediction.total, total, atol=1e-12)
    np.testing.assert_allclose(prediction.aleatoric, aleatoric, atol=1e-12)
    np.testing.assert_allclose(prediction.epistemic, epistemic, atol=1e-12)


def test_the_total_is_the_sum_and_neither_part_is_negative(rng):
    outputs = rng.dirichlet([0.3] * 5, size=(7, 4, 3))
    prediction = bayesian.summarize_classes(outputs)
    assert prediction.mean.shape == (4, 3, 5)
    assert prediction.total.shape == (4, 3)
    np.testing.assert_allclose(
        prediction.total, prediction.epistemic + prediction.aleatoric
    )
    assert np.all(prediction.epistemic > 0)
    assert np.all(prediction.aleatoric > 0)
    # One draw says nothing of the weights, not even less than nothing.
    single = bayesian.summarize_classes(outputs[:1])
    np.testing.assert_array_equal(single.epistemic, np.zeros((4, 3)))


def test_uniform_and_certain_predictions():
    uniform = bayesian.summarize_classes(np.full((4, 2, 3), 1 / 3))
    np.testing.assert_allclose(uniform.total, [LN3, LN3])
    np.testing.assert_allclose(uniform.epistemic, [0, 0], atol=1e-12)
    apart = bayesian.summarize_classes(np.eye(3)[:, None])
    np.testing.assert_allclose(apart.total, [LN3])
    np.testing.assert_allclose(apart.epistemic, [LN3])
    assert apart.aleatoric[0] == 0


def test_logits(rng):
    logits = rng.normal(scale=3, size=(5, 4, 3))
    exponentials = np.exp(logits)
    probabilities = exponentials / exponentials.sum(-1, keepdims=True)
    expected = bayesian.summarize_classes(probabilities)
    # Softmax does not mind a shift, however far.
    for shift in 0, 1e3, -1e3:
        actual = bayesian.summarize_classes(logits + shift, from_logits=True)
        for one, other in zip(actual, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("from_logits", [False, True])
def test_one_output_is_that_of_the_second_class(rng, from_logits):
    logits = rng.normal(scale=3, size=(5, 4, 1))
    second = 1 / (1 + np.exp(-logits))
    both = np.concatenate([1 - second, second], axis=-1)
    actual = bayesian.summarize_classes(
        logits if from_logits else second, from_logits
    )
    assert np.all(actual.epistemic > 1e-3)
    expected = bayesian.summarize_classes(both)
    for one, other in zip(actual, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


def test_rounded_probabilities_are_taken_for_what_they_are(rng):
    exact = rng.dirichlet(np.ones(10), size=(4, 5))
    rounded = exact.astype(ml_dtypes.bfloat16).astype("float64")
    assert abs(rounded.sum(-1) - 1).max() > 1e-3
    of_rounded = bayesian.summarize_classes(rounded)
    for one, other in zip(
        of_rounded, bayesian.summarize_classes(exact), strict=True
    ):
        np.testing.assert_allclose(one, other, atol=0.01)
    np.testing.assert_allclose(of_rounded.mean.sum(-1), 1, rtol=1e-12)


def test_outputs_that_are_no_probabilities_are_refused(rng):
    for wrong in np.full((3, 2, 4), 0.3), rng.normal(size=(3, 2, 4)):
        with pytest.raises(ValueError, match="`outputs` must be probabilities"):
            bayesian.summarize_classes(wrong)


# summarize_regression


def test_what_draws_of_a_regression_say():
    outputs = np.array([[[1.0], [2.0]], [[3.0], [2.0]]])
    prediction = bayesian.summarize_regression(outputs)
    np.testing.assert_array_equal(prediction.mean, [[2], [2]])
    np.testing.assert_array_equal(prediction.epistemic, [[1], [0]])
    np.testing.assert_array_equal(prediction.aleatoric, [[0], [0]])
    np.testing.assert_array_equal(prediction.total, [[1], [0]])


@pytest.mark.parametrize(
    ("noise", "aleatoric"),
    [
        (0.5, [[0.5], [0.5]]),
        ([[0.5], [0.25]], [[0.5], [0.25]]),
        ([[[1.0], [2.0]], [[2.0], [6.0]]], [[1.5], [4]]),
        ([[[1.0]], [[2.0]]], [[1.5], [1.5]]),
    ],
    ids=["number", "by_example", "by_draw_and_example", "by_draw"],
)
def test_noise_adds_its_mean_variance(noise, aleatoric):
    outputs = np.array([[[1.0], [2.0]], [[3.0], [2.0]]])
    prediction = bayesian.summarize_regression(outputs, noise)
    np.testing.assert_array_equal(prediction.aleatoric, aleatoric)
    np.testing.assert_array_equal(prediction.epistemic, [[1], [0]])
    total = np.add(aleatoric, [[1], [0]])
    np.testing.assert_array_equal(prediction.total, total)


def test_bad_noise_is_refused():
    outputs = np.zeros((2, 3))
    for bad in -0.1, [0.5, -1e-6, 0.5], float("nan"), [0.5, np.nan, 0.5]:
        with pytest.raises(ValueError, match="`noise_variance`"):
            bayesian.summarize_regression(outputs, bad)


# Both together


def test_predictions_summarize_the_draws(rng, x):
    model, loc, scale = linear(rng, "flipout")
    prediction = bayesian.predict_regression(
        model, x, noise_variance=0.25, samples=DRAWS, batch_size=2
    )
    variance = x**2 @ scale**2
    errors = np.sqrt(variance / DRAWS)
    assert np.all(np.abs(prediction.mean - x @ loc) < STANDARD_ERRORS * errors)
    errors = variance * np.sqrt(2 / DRAWS)
    gap = np.abs(prediction.epistemic - variance)
    assert np.all(gap < STANDARD_ERRORS * errors)
    np.testing.assert_allclose(prediction.total, prediction.epistemic + 0.25)

    # Certain weights: the draws are all the model's own probabilities.
    make_sharp(model)
    logits = ops.convert_to_numpy(model(x)).astype("float64")
    expected = 1 / (1 + np.exp(logits[:, ::-1] - logits))
    actual = bayesian.predict_classes(model, x, from_logits=True, samples=3)
    np.testing.assert_allclose(actual.mean, expected, atol=1e-5)
    np.testing.assert_allclose(actual.epistemic, np.zeros(5), atol=1e-5)


def test_predictions_take_dropout():
    model = keras.Sequential([keras.Input((9,)), keras.layers.Dropout(RATE)])
    x = np.ones((4, 9), "float32")
    prediction = bayesian.predict_regression(
        model, x, samples=200, monte_carlo_dropout=True
    )
    # Of x times 0 or 1 / (1 − rate).
    error = np.sqrt(RATE / (1 - RATE) / (200 * 36))
    assert abs(prediction.mean.mean() - 1) < STANDARD_ERRORS * error
    assert np.all(prediction.epistemic > 0)


def test_predict_and_evaluate_drop_within_the_context_alone():
    model = keras.Sequential([keras.Input((50,)), keras.layers.Dropout(0.5)])
    model.compile(loss="mse")
    ones = np.ones((4, 50))

    def dropped():
        predicted = np.mean(model.predict(ones, verbose=0) == 0)
        return predicted, model.evaluate(ones, ones, verbose=0)

    assert dropped() == (0, 0)
    with bayesian.dropout_at_prediction(model):
        share, error = dropped()
    # 200 elements, each dropped with the chance 1/2; (1 - 2)² = (1 - 0)² = 1.
    assert abs(share - 0.5) < 4 * 0.5 / np.sqrt(200)
    assert error == 1
    assert dropped() == (0, 0)


def test_a_callback_drops_while_the_model_is_trained():
    layers = [keras.layers.Dropout(0.5), keras.layers.Dense(2, "softmax")]
    model = keras.Sequential([keras.Input((50,)), *layers])
    model.compile("sgd", "sparse_categorical_crossentropy")
    ones, seen = np.ones((4, 50)), []

    def watch(epoch, logs):
        prediction = bayesian.predict_classes(
            model, ones, samples=10, monte_carlo_dropout=True
        )
        seen.append(prediction.epistemic.min())

    watching = keras.callbacks.LambdaCallback(on_epoch_end=watch)
    model.fit(ones, np.zeros(4), epochs=2, callbacks=[watching], verbose=0)
    assert len(seen) == 2 and min(seen) > 0
