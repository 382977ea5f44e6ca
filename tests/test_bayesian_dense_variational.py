"""The dense layer with one joint posterior, beside tfp's."""

import keras
import numpy as np
import pytest
from helpers import assert_close, assert_differ

from keras_dnc import bayesian

if keras.backend.backend() != "tensorflow":
    pytest.skip(
        "Bayesian layers need TensorFlow Probability, and so the TensorFlow "
        "backend",
        allow_module_level=True,
    )

import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

tfd = tfp.distributions

BATCH, FEATURES, UNITS = 5, 3, 2
SIZE = (FEATURES + 1) * UNITS
KERNEL = np.array([[1.0, -1.0], [0.5, 2.0], [0.0, 1.0]])
BIAS = np.array([0.5, -0.5])


def inputs(seed=0, shape=(BATCH, FEATURES)):
    return np.random.default_rng(seed).normal(size=shape)


def normals(numbers):
    """Independent normals of means and logarithms of deviations."""
    loc, log_scale = tf.split(numbers, 2)
    return tfd.Independent(tfd.Normal(loc, tf.exp(log_scale)), 1)


def correlated(numbers):
    """A normal distribution with any covariance."""
    loc, triangle = tf.split(numbers, [SIZE, SIZE * (SIZE + 1) // 2])
    return tfd.MultivariateNormalTriL(loc, tfp.math.fill_triangular(triangle))


def of_numbers(make, size, **options):
    """A `make_..._fn` of ours for a vector of that many numbers."""
    return lambda kernel_size, bias_size, dtype: bayesian.VariableDistribution(
        size, make, **options
    )


def of_tfp(make, size, value):
    """The same for tfp's layer, the numbers given."""
    return lambda kernel_size, bias_size, dtype: tf_keras.Sequential(
        [
            tfp.layers.VariableLayer(
                size,
                dtype=dtype,
                initializer=tf_keras.initializers.Constant(value),
            ),
            tfp.layers.DistributionLambda(make, dtype=dtype),
        ]
    )


def points(numbers):
    return tfd.Independent(tfd.Deterministic(numbers), 1)


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("shape", [(BATCH, FEATURES), (2, 3, FEATURES)])
def test_outputs_are_tfps(use_bias, shape):
    size = (FEATURES + use_bias) * UNITS
    value = inputs(1, (size,))
    arguments = {"activation": "tanh", "use_bias": use_bias, "dtype": "float64"}
    layer = bayesian.DenseVariational(
        UNITS,
        of_numbers(
            points, size, initializer=lambda *_, **__: tf.constant(value)
        ),
        lambda *_: bayesian.NormalPrior(),
        **arguments,
    )
    oracle = tfp.layers.DenseVariational(
        UNITS,
        of_tfp(points, size, value),
        of_tfp(points, size, value),
        **arguments,
    )
    assert_close(layer(inputs(shape=shape)), oracle(inputs(shape=shape)), 1e-12)


@pytest.mark.parametrize("kl_weight", [None, 0.25])
def test_the_exact_divergence_is_tfps(kl_weight):
    value, of_prior = inputs(1, (2 * SIZE,)), inputs(2, (2 * SIZE,))
    arguments = {
        "kl_weight": kl_weight,
        "kl_use_exact": True,
        "dtype": "float64",
    }
    layer = bayesian.DenseVariational(
        UNITS,
        of_numbers(normals, 2 * SIZE),
        of_numbers(normals, 2 * SIZE),
        **arguments,
    )
    layer.build((None, FEATURES))
    posterior, prior = layer.trainable_variables
    posterior.assign(value)
    prior.assign(of_prior)
    oracle = tfp.layers.DenseVariational(
        UNITS,
        of_tfp(normals, 2 * SIZE, value),
        of_tfp(normals, 2 * SIZE, of_prior),
        **arguments,
    )
    oracle(inputs())
    assert_close(sum(layer.losses), sum(oracle.losses), 1e-9)


@pytest.mark.slow
def test_the_estimated_divergence_is_unbiased():
    layer = bayesian.DenseVariational(
        UNITS,
        of_numbers(normals, 2 * SIZE),
        bayesian.prior_trainable,
        kl_weight=1.0,
        dtype="float64",
    )
    layer.build((None, FEATURES))
    mean, log_scale = inputs(1, (2, SIZE)) - [[0], [1]]
    layer.trainable_variables[0].assign(np.concatenate([mean, log_scale]))
    estimates = np.array([float(sum(layer.losses)) for _ in range(400)])
    exact = np.sum(-log_scale + (np.exp(2 * log_scale) + mean**2) / 2 - 1 / 2)
    error = np.std(estimates) / np.sqrt(len(estimates))
    assert error < exact / 20
    assert abs(np.mean(estimates) - exact) < 4 * error


def make_correlated(**options):
    layer = bayesian.DenseVariational(
        UNITS,
        of_numbers(correlated, SIZE * (SIZE + 3) // 2),
        lambda *_: bayesian.NormalPrior(),
        dtype="float64",
        **options,
    )
    layer.build((None, FEATURES))
    layer.trainable_variables[0].assign(inputs(4, (SIZE * (SIZE + 3) // 2,)))
    return layer


def test_draws_have_the_covariance_of_the_posterior():
    layer = make_correlated()
    samples = 20_000
    x = inputs()[:1]
    with bayesian.estimators.drawing(samples):
        draws = np.asarray(layer(np.repeat(x, samples, axis=0)))
    # One output is a linear map of the joint vector: rows of the kernel come
    # first, then the bias.
    maps = np.zeros((UNITS, SIZE))
    for unit in range(UNITS):
        maps[unit, : FEATURES * UNITS].reshape(FEATURES, UNITS)[:, unit] = x
        maps[unit, FEATURES * UNITS + unit] = 1
    posterior = layer.kernel_and_bias.posterior
    mean = maps @ np.asarray(posterior.mean())
    covariance = maps @ np.asarray(posterior.covariance()) @ maps.T
    deviation = np.sqrt(np.diag(covariance))
    assert np.all(
        np.abs(draws.mean(0) - mean) < 4 * deviation / np.sqrt(samples)
    )
    # The error of a sampled covariance is at most √(2 / S) of the variances.
    scale = np.outer(deviation, deviation) * np.sqrt(2 / samples)
    assert np.all(np.abs(np.cov(draws.T) - covariance) < 4 * scale)
    assert abs(covariance[0, 1]) > 8 * scale[0, 1]


def test_examples_share_a_draw_and_calls_do_not():
    layer = make_correlated()
    x = np.repeat(inputs()[:1], 3, axis=0)
    first, second = np.asarray(layer(x)), np.asarray(layer(x))
    assert_close(first, np.repeat(first[:1], 3, axis=0), 1e-12)
    assert_differ(first, second)


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.slow
def test_it_learns(jit_compile):
    x = inputs(shape=(256, FEATURES))
    y = x @ KERNEL + BIAS
    layer = bayesian.DenseVariational(
        UNITS,
        bayesian.posterior_mean_field,
        bayesian.prior_trainable,
        kl_weight=1e-4,
    )
    model = keras.Sequential([keras.Input((FEATURES,)), layer])
    model.compile(keras.optimizers.Adam(0.05), "mse", jit_compile=jit_compile)
    model.fit(x, y, batch_size=64, epochs=40, verbose=0)
    kernel, bias = layer.split(layer.kernel_and_bias.posterior.mean())
    assert_close(kernel, KERNEL, 0.1)
    assert_close(bias, BIAS, 0.1)
    # The prior's means are learned: they follow the posterior's.
    prior_loc = layer.kernel_and_bias.prior.mean()
    assert np.abs(prior_loc).max() > 0.1


@pytest.mark.parametrize("use_bias", [True, False])
def test_the_mean_network(use_bias):
    layer = bayesian.DenseVariational(
        UNITS,
        bayesian.posterior_mean_field,
        bayesian.prior_trainable,
        activation="tanh",
        use_bias=use_bias,
        name="own_name",
    )
    model = keras.Sequential([keras.Input((FEATURES,)), layer])
    ordinary = bayesian.to_deterministic(model)
    (dense,) = ordinary.layers
    assert type(dense) is keras.layers.Dense
    assert dense.name == "own_name"
    kernel, bias = layer.split(
        np.asarray(layer.kernel_and_bias.posterior.mean())
    )
    x = inputs()
    expected = np.tanh(x @ kernel + (bias if use_bias else 0))
    assert_close(ordinary(x), expected, 1e-5)


def test_pruned_elements_are_zero():
    layer = bayesian.DenseVariational(
        UNITS, bayesian.posterior_mean_field, bayesian.prior_trainable
    )
    model = keras.Sequential([keras.Input((FEATURES,)), layer])
    bayesian.prune(model, 0.5)
    kernel, bias = layer.split(np.asarray(layer.kernel_and_bias.draw(None)))
    assert np.sum(kernel == 0) + np.sum(bias == 0) == SIZE // 2


def test_annealing_and_logs_know_the_layer():
    layer = bayesian.DenseVariational(
        UNITS,
        bayesian.posterior_mean_field,
        bayesian.prior_trainable,
        kl_weight=0.5,
        kl_use_exact=True,
    )
    model = keras.Sequential([keras.Input((FEATURES,)), layer])
    assert bayesian.variational_layers(model) == [layer]
    full = float(sum(model.losses))
    layer.kl_weight = 0.25
    assert_close(float(sum(model.losses)), full / 2, 1e-6)


GOOD = {
    "units": 2,
    "make_posterior_fn": bayesian.posterior_mean_field,
    "make_prior_fn": bayesian.prior_trainable,
}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"units": 0}, "`units`"),
        ({"make_posterior_fn": None}, "`make_posterior_fn`"),
        ({"make_prior_fn": "standard_normal"}, "`make_prior_fn`"),
        ({"kl_weight": -1}, "`kl_weight`"),
        ({"kl_use_exact": "yes"}, "`kl_use_exact`"),
        ({"use_bias": 1}, "`use_bias`"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        bayesian.DenseVariational(**{**GOOD, **arguments})


def test_inputs_of_unknown_width_are_refused():
    layer = bayesian.DenseVariational(**GOOD)
    with pytest.raises(ValueError, match=r"last axis.*\(None, None\)"):
        layer.build((None, None))


def test_a_distribution_of_another_size_is_refused():
    layer = bayesian.DenseVariational(
        **{**GOOD, "make_prior_fn": of_numbers(normals, 6)}
    )
    with pytest.raises(ValueError, match=r"`make_prior_fn`.*\(8,\).*\(3,\)"):
        layer.build((None, FEATURES))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 0}, "`size`"),
        ({"make_distribution_fn": 3}, "`make_distribution_fn`"),
    ],
)
def test_bad_arguments_of_a_distribution_are_refused(arguments, message):
    good = {"size": 2, "make_distribution_fn": normals}
    with pytest.raises(ValueError, match=message):
        bayesian.VariableDistribution(**{**good, **arguments})
