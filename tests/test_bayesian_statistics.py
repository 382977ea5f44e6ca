"""Random weights as statistics: means, variances, gradients, divergences.

Every comparison allows 4.5 standard errors, which right code exceeds once in
150 000 times; seeds are fixed. Many equal units or filters are as many
independent draws in one call: the columns of a kernel share no noise.
"""

import keras
import numpy as np
import pytest

if keras.backend.backend() != "tensorflow":
    pytest.skip(
        "variational layers need the TensorFlow backend",
        allow_module_level=True,
    )

import tensorflow as tf

from keras_dnc import bayesian
from keras_dnc.bayesian import estimators
from keras_dnc.bayesian.weights import random_weights

ERRORS = 4.5
UNITS, CALLS = 2000, 10
DENSE = [
    "DenseFlipout",
    "DenseReparameterization",
    "DenseLocalReparameterization",
]
CONVOLUTIONS = ["Conv1DFlipout", "Conv1DReparameterization"]
CELLS = ["LSTMCellFlipout", "GRUCellReparameterization"]
TIME, WIDTH, CHANNELS = 3, 2, 4

X = np.array([1.0, -2.0, 0.0, 0.5])
MEAN = np.array([0.3, -0.4, 2.0, 1.0])
DEVIATION = np.array([0.5, 0.3, 1.0, 2.0])

dense_layers = pytest.mark.parametrize("name", DENSE)


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def untransformed(deviation):
    """`softplus⁻¹`."""
    return np.log(np.expm1(deviation))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def set_posterior(weight, mean, deviation):
    """Gives a weight its posterior, the same for every column."""
    loc, rho = weight.trainable_variables[:2]
    for variable, value in [(loc, mean), (rho, untransformed(deviation))]:
        value = np.asarray(value)[..., np.newaxis]
        variable.assign(np.broadcast_to(value, variable.shape))


def make_dense(name, units=UNITS, **options):
    layer = getattr(bayesian, name)(
        units, bias_posterior_fn=None, seed=5, **options
    )
    layer.build((None, len(X)))
    set_posterior(layer.kernel, MEAN, DEVIATION)
    return layer


def outputs_of(layer, inputs, calls=CALLS):
    """Outputs of many calls, the units of all of them along the last axis."""
    call = tf.function(layer)
    inputs = tf.constant(inputs, "float32")
    outputs = [np.asarray(call(inputs), "float64") for _ in range(calls)]
    return np.concatenate(outputs, axis=-1)


def many(gradients):
    """Gradients by mean and by `ρ` of many calls, along the last axis."""
    draws = [gradients() for _ in range(CALLS)]
    return (
        np.concatenate([draw[part] for draw in draws], axis=-1)
        for part in range(2)
    )


def assert_mean(draws, expected, axis=-1):
    """Asserts that draws along an axis have means as expected."""
    draws, expected = np.asarray(draws, "float64"), np.asarray(expected)
    error = draws.std(axis) / np.sqrt(draws.shape[axis])
    difference = np.abs(draws.mean(axis) - expected)
    assert difference.shape == expected.shape
    # Rounding to float32, where nothing is random.
    assert np.all(difference <= ERRORS * error + 1e-5)


def assert_moments(draws, mean, variance):
    """Asserts means and variances of normal draws along the last axis.

    Their standard errors are `σ/√n` and `σ²√(2/n)`.
    """
    mean, variance = np.asarray(mean), np.asarray(variance)
    n = draws.shape[-1]
    error = np.abs(draws.mean(-1) - mean)
    assert np.all(error <= ERRORS * np.sqrt(variance / n) + 1e-5)
    error = np.abs(draws.var(-1) - variance)
    assert np.all(error <= ERRORS * variance * np.sqrt(2 / n) + 1e-8)


# Outputs


@dense_layers
def test_dense_outputs_have_the_mean_and_variance_of_the_weights(name):
    inputs = np.stack([X, -3 * X, np.ones(4), np.zeros(4)])
    draws = outputs_of(make_dense(name), inputs)
    assert_moments(draws, inputs @ MEAN, inputs**2 @ DEVIATION**2)


@dense_layers
def test_inputs_of_higher_rank_have_the_same_mean_and_variance(name):
    inputs = np.stack([X, -3 * X, np.ones(4), np.zeros(4)]).reshape(2, 2, 4)
    draws = outputs_of(make_dense(name), inputs)
    assert_moments(draws, inputs @ MEAN, inputs**2 @ DEVIATION**2)


@pytest.mark.parametrize(
    ("name", "share"),
    [
        ("DenseFlipout", 0),
        ("DenseReparameterization", 1),
        ("DenseLocalReparameterization", 0),
    ],
)
@pytest.mark.parametrize("shape", [(2, 4), (1, 2, 4)], ids=["rank2", "rank3"])
def test_covariance_of_two_examples(name, shape, share):
    # Of equal inputs: one draw of the weight is the whole variance.
    inputs = np.broadcast_to(X, shape)
    draws = outputs_of(make_dense(name), inputs).reshape(2, -1)
    products = np.prod(draws - X @ MEAN, axis=0)
    assert_mean(products, share * (X**2 @ DEVIATION**2))


def test_flipout_draws_its_signs_for_each_example():
    # Signs that all examples shared would leave the covariance as it is; the
    # noise of one call has the same size for all, but not the same signs.
    layer = make_dense("DenseFlipout", units=1)
    inputs = np.broadcast_to([1.0, 0, 0, 0], (1000, 4))
    outputs = outputs_of(layer, inputs, calls=1)[:, 0]
    noise = outputs - MEAN[0]
    np.testing.assert_allclose(np.abs(noise), np.abs(noise[0]), rtol=1e-5)
    assert_mean(np.sign(noise), np.float64(0))


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolution_outputs(rng, name, groups):
    layer = getattr(bayesian, name)(
        UNITS, WIDTH, groups=groups, bias_posterior_fn=None, seed=5
    )
    inputs = rng.normal(size=(1, TIME, CHANNELS))
    inputs = np.concatenate([inputs, inputs])
    layer.build(inputs.shape)
    shape = WIDTH, CHANNELS // groups
    mean = rng.normal(size=shape)
    deviation = rng.uniform(0.5, 2, size=shape)
    set_posterior(layer.kernel, mean, deviation)
    draws = outputs_of(layer, inputs)
    # The filters of the first groups come first, in each call.
    draws = draws.reshape(2, TIME - 1, CALLS, groups, -1)
    draws = np.moveaxis(draws, 3, 0).reshape(groups, 2, TIME - 1, -1)
    for group, part in enumerate(draws):
        channels = slice(group * shape[1], (group + 1) * shape[1])
        windows = np.stack(
            [inputs[0, t : t + WIDTH, channels] for t in range(TIME - 1)]
        )
        center = np.sum(windows * mean, axis=(1, 2))
        # One draw of the kernel, and its signs, for all positions.
        covariance = np.einsum("skc,tkc->st", windows * deviation**2, windows)
        assert_moments(part, center, np.diag(covariance))
        noise = part - center[:, np.newaxis]
        products = np.prod(noise[0], axis=0)
        assert_mean(products, covariance[0, 1])
        share = 0 if "Flipout" in name else 1
        products = noise[0, 0] * noise[1, 0]
        assert_mean(products, share * covariance[0, 0])


@pytest.mark.parametrize("name", [*DENSE, *CONVOLUTIONS])
def test_a_random_bias_is_one_draw_for_all_examples(name):
    sizes = (UNITS, 1) if name in CONVOLUTIONS else (UNITS,)
    layer = getattr(bayesian, name)(
        *sizes, bias_posterior_fn=bayesian.MeanFieldNormal(), seed=5
    )
    inputs = np.zeros((2, 1, 4) if name in CONVOLUTIONS else (2, 4))
    layer.build(inputs.shape)
    set_posterior(layer.bias, MEAN[0], DEVIATION[3])
    draws = outputs_of(layer, inputs).reshape(2, -1)
    np.testing.assert_array_equal(draws[0], draws[1])
    assert_moments(draws, MEAN[0], DEVIATION[3] ** 2)


@dense_layers
def test_groups_with_own_draws(name):
    # As a group of a batch, so a batch of its own.
    samples = 10_000
    inputs = np.broadcast_to(X, (2 * samples, 4))
    with estimators.drawing(samples):
        draws = outputs_of(make_dense(name, units=1), inputs, calls=1)
    draws = draws.reshape(samples, 2).T
    assert_moments(draws, X @ MEAN, X**2 @ DEVIATION**2)
    products = np.prod(draws - X @ MEAN, axis=0)
    share = 1 if name == "DenseReparameterization" else 0
    assert_mean(products, share * (X**2 @ DEVIATION**2))


def test_draws_in_a_loop_are_independent():
    # The generators' states must move on in a compiled loop too.
    layer = make_dense("DenseReparameterization", units=1)

    @tf.function
    def loop():
        x = tf.constant(X[np.newaxis], "float32")
        return tf.map_fn(
            lambda _: layer(x)[0, 0],
            tf.range(2000),
            fn_output_signature="float32",
        )

    draws = np.asarray(loop(), "float64")
    assert_moments(draws, X @ MEAN, X**2 @ DEVIATION**2)
    assert_mean((draws[1:] - X @ MEAN) * (draws[:-1] - X @ MEAN), np.float64(0))


@pytest.mark.parametrize("estimator", ["flipout", "reparameterization"])
@pytest.mark.parametrize("seed", [None, 1])
def test_noise_of_two_weights_of_a_model_is_uncorrelated(estimator, seed):
    # A posterior of independent weights: those of two layers no less than
    # those of one.
    layer = bayesian.BayesianDNC(
        4,
        controller=16,
        memory_size=8,
        estimator=estimator,
        variational_controller=True,
        seed=seed,
    )
    layer.build((None, 3, 3))
    noises = []
    for weight in random_weights(layer):
        posterior = weight.posterior
        if np.all(posterior.stddev() == 0):
            continue
        noise = weight.sample(posterior, 1) - posterior.mean()
        noises.append(np.ravel(noise / posterior.stddev()))
    assert len(noises) == 4
    for i, one in enumerate(noises):
        for other in noises[:i]:
            n = min(len(one), len(other))
            correlation = np.mean(one[:n] * other[:n])
            assert abs(correlation) <= ERRORS / np.sqrt(n)


# Gradients


@dense_layers
def test_gradients_of_the_expected_loss_are_unbiased(rng, name):
    """`E Σ (y − t)² = Σ [(x μ − t)² + x² σ²]`, by `μ` and `ρ`."""
    x = np.stack([X, [0.2, 0.1, -1.0, 0.7], np.zeros(4)])
    target = np.array([0.5, -1.0, 0.3])
    layer = make_dense(name)
    inputs = tf.constant(x, "float32")
    goal = tf.constant(target[:, np.newaxis], "float32")
    variables = layer.trainable_variables

    @tf.function
    def gradients():
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum((layer(inputs) - goal) ** 2)
        return tape.gradient(loss, [v.value for v in variables])

    # A column of the kernel has a part of the loss for itself.
    by_mean, by_rho = many(gradients)
    assert_mean(by_mean, 2 * (x @ MEAN - target) @ x)
    by_deviation = 2 * np.sum(x**2, axis=0) * DEVIATION
    assert_mean(by_rho, by_deviation * sigmoid(untransformed(DEVIATION)))


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_gradients_of_a_convolution_are_unbiased(rng, name):
    inputs = rng.normal(size=(2, TIME, CHANNELS))
    target = 0.7
    layer = getattr(bayesian, name)(
        UNITS, WIDTH, bias_posterior_fn=None, seed=5
    )
    layer.build(inputs.shape)
    mean = rng.normal(size=(WIDTH, CHANNELS))
    deviation = rng.uniform(0.5, 2, size=mean.shape)
    set_posterior(layer.kernel, mean, deviation)
    variables = layer.trainable_variables

    @tf.function
    def gradients():
        with tf.GradientTape() as tape:
            outputs = layer(tf.constant(inputs, "float32"))
            loss = tf.reduce_sum((outputs - target) ** 2)
        return tape.gradient(loss, [v.value for v in variables])

    by_mean, by_rho = many(gradients)
    windows = np.stack(
        [inputs[:, t : t + WIDTH] for t in range(TIME - 1)], axis=1
    )
    errors = np.einsum("btkc,kc->bt", windows, mean) - target
    assert_mean(by_mean, 2 * np.einsum("bt,btkc->kc", errors, windows))
    by_deviation = 2 * np.sum(windows**2, axis=(0, 1)) * deviation
    assert_mean(by_rho, by_deviation * sigmoid(untransformed(deviation)))


# Divergences


def normal_kl(mean, deviation, prior_mean=0.0, prior_deviation=1.0):
    """`KL(q‖p)` of each weight."""
    return (
        np.log(prior_deviation / deviation)
        + (deviation**2 + (mean - prior_mean) ** 2) / (2 * prior_deviation**2)
        - 1 / 2
    )


def normal_log_prob(w, mean, deviation):
    return (
        -np.log(deviation)
        - np.log(2 * np.pi) / 2
        - ((w - mean) / deviation) ** 2 / 2
    )


def mixture_log_prob(w, mixing, scale1, scale2):
    return np.logaddexp(
        np.log(mixing) + normal_log_prob(w, 0, scale1),
        np.log(1 - mixing) + normal_log_prob(w, 0, scale2),
    )


def random_posterior(rng, layer):
    """Gives the kernel a random posterior; returns means and deviations."""
    shape = layer.kernel.shape
    mean = rng.normal(size=shape)
    deviation = rng.uniform(0.05, 3, size=shape)
    loc, rho = layer.kernel.trainable_variables[:2]
    loc.assign(mean)
    rho.assign(untransformed(deviation))
    return mean, deviation


def make_float64(name="DenseReparameterization", **options):
    layer = getattr(bayesian, name)(5, dtype="float64", **options)
    layer.build((None, 4))
    return layer


@pytest.mark.parametrize("divergence", ["kl", "analytic_kl"])
@pytest.mark.parametrize("name", DENSE)
@pytest.mark.parametrize(
    ("prior", "loc", "scale"),
    [
        ("standard_normal", 0, 1),
        (bayesian.NormalPrior(), 0, 1),
        (bayesian.NormalPrior(-0.5, 0.25), -0.5, 0.25),
        (bayesian.NormalPrior(2, 1.7, learned_scale=True), 2, 1.7),
        (
            bayesian.CentredNormalPrior(
                0.375, keras.initializers.Constant(1.5)
            ),
            1.5,
            0.375,
        ),
        (bayesian.default_multivariate_normal_fn, 0, 1),
    ],
    ids=["default", "normal", "moved", "learned", "centred", "tfp"],
)
def test_kl_in_closed_form(rng, prior, loc, scale, name, divergence):
    layer = make_float64(
        name,
        kernel_prior_fn=prior,
        kernel_divergence_fn=divergence,
        kl_weight=0.125,
    )
    mean, deviation = random_posterior(rng, layer)
    expected = 0.125 * np.sum(normal_kl(mean, deviation, loc, scale))
    assert float(sum(layer.losses)) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(
    "prior",
    [
        bayesian.NormalPrior(0.1, 0.3),
        bayesian.NormalPrior(0.1, 0.3, learned_scale=True),
        bayesian.CentredNormalPrior(0.3),
    ],
    ids=["normal", "learned", "centred"],
)
def test_the_scale_of_a_prior_is_not_rounded_in_float64(prior):
    # Keras takes a Python number for a float32 on its way to float64.
    layer = make_float64(kernel_prior_fn=prior)
    np.testing.assert_allclose(layer.kernel.prior.stddev(), 0.3, rtol=1e-14)


def test_gradient_of_the_kl_in_closed_form(rng):
    # eps + softplus(ρ) has the derivative sigmoid(ρ).
    layer = make_float64(
        kernel_prior_fn=bayesian.NormalPrior(0.5, 2, learned_scale=True)
    )
    mean, deviation = random_posterior(rng, layer)
    variables = [v.value for v in layer.kernel.trainable_variables]
    with tf.GradientTape() as tape:
        loss = sum(layer.losses)
    by_mean, by_rho, by_prior = tape.gradient(loss, variables)
    slope = sigmoid(untransformed(deviation))
    np.testing.assert_allclose(by_mean, (mean - 0.5) / 4, rtol=1e-10)
    np.testing.assert_allclose(
        by_rho, (-1 / deviation + deviation / 4) * slope, rtol=1e-10
    )
    squares = deviation**2 + (mean - 0.5) ** 2
    expected = np.sum(1 / 2 - squares / 2**3) * sigmoid(untransformed(2))
    np.testing.assert_allclose(by_prior, expected, rtol=1e-10)


def test_a_learned_prior_learns(rng):
    # The best scale of a prior around 0 is √(mean of μ² + σ²).
    layer = make_float64(
        kernel_prior_fn=bayesian.NormalPrior(learned_scale=True)
    )
    mean, deviation = random_posterior(rng, layer)
    (scale,) = layer.kernel.trainable_variables[2:]
    optimizer = keras.optimizers.Adam(0.1)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = sum(layer.losses)
        optimizer.apply([tape.gradient(loss, scale.value)], [scale])

    for _ in range(300):
        step()
    best = np.sqrt(np.mean(mean**2 + deviation**2))
    assert np.logaddexp(0, float(scale.value)) == pytest.approx(best, rel=1e-3)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "arguments", [(0.5, 1.0, 0.002), (0.25, 2.0, 0.1), (0.9, 0.3, 5.0)]
)
def test_mixture_prior_log_prob(rng, arguments, dtype):
    # Far out, where a density underflows, its logarithm must not.
    w = np.concatenate([rng.normal(size=20), [0, 1e-3, -0.01, 50, -300]])
    w = w.astype(dtype).astype("float64")
    prior = bayesian.ScaleMixturePrior(*arguments)
    distribution = prior(tf.as_dtype(dtype), w.shape, "prior", True, None)
    assert distribution.event_shape == w.shape
    single = distribution.distribution.log_prob(tf.constant(w, dtype))
    expected = mixture_log_prob(w, *arguments)
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(single, expected, tolerance, tolerance)
    total = distribution.log_prob(tf.constant(w, dtype))
    np.testing.assert_allclose(total, expected.sum(), rtol=tolerance)


def estimates(layer, calls):
    """Estimates of a divergence, drawn in one loop."""

    @tf.function
    def loop():
        return tf.map_fn(
            lambda _: sum(layer.losses),
            tf.range(calls),
            fn_output_signature="float64",
        )

    return np.asarray(loop())


@pytest.mark.parametrize("prior", [(0.0, 1.0), (0.5, 2.0)])
def test_estimated_kl_is_the_closed_form_on_average(rng, prior):
    """Of a weight the estimate has the variance that its square has.

    `log q(w) − log p(w)` for `w = μ + σε` is a constant plus `a ε² + b ε` with
    `a = (σ²/σ_p² − 1)/2` and `b = (μ − μ_p) σ/σ_p²`: variance `2a² + b²`.
    """
    layer = make_float64(
        kernel_prior_fn=bayesian.NormalPrior(*prior),
        kernel_divergence_fn="monte_carlo_kl",
        seed=3,
    )
    mean, deviation = random_posterior(rng, layer)
    calls = 500
    draws = estimates(layer, calls)
    loc, scale = prior
    a = (deviation**2 / scale**2 - 1) / 2
    b = (mean - loc) * deviation / scale**2
    variance = np.sum(2 * a**2 + b**2)
    expected = np.sum(normal_kl(mean, deviation, loc, scale))
    error = np.sqrt(variance / calls)
    assert abs(draws.mean() - expected) <= ERRORS * error
    # Not a closed form in disguise. Heavier tails than a normal's: the
    # bound is wide.
    assert 0.6 < draws.var() / variance < 1.6


def test_gradients_of_the_estimated_kl_are_unbiased():
    layer = make_dense(
        "DenseReparameterization",
        kernel_divergence_fn=bayesian.MonteCarloKL(),
    )
    variables = layer.trainable_variables

    @tf.function
    def gradients():
        with tf.GradientTape() as tape:
            loss = sum(layer.losses)
        return tape.gradient(loss, [v.value for v in variables])

    by_mean, by_rho = many(gradients)
    assert_mean(by_mean, MEAN)
    by_deviation = DEVIATION - 1 / DEVIATION
    assert_mean(by_rho, by_deviation * sigmoid(untransformed(DEVIATION)))


@pytest.mark.parametrize("divergence", ["kl", "monte_carlo_kl"])
def test_kl_from_a_mixture_is_estimated(rng, divergence):
    # No closed form: the expectation is an integral over a fine grid.
    arguments = (0.25, 2.0, 0.1)
    layer = make_float64(
        kernel_prior_fn=bayesian.ScaleMixturePrior(*arguments),
        kernel_divergence_fn=divergence,
        seed=3,
    )
    mean, deviation = random_posterior(rng, layer)
    draws = estimates(layer, 500)
    grid, spacing = np.linspace(-10, 10, 20_001, retstep=True)
    density = np.exp(normal_log_prob(grid, 0, 1)) * spacing
    w = mean[..., np.newaxis] + deviation[..., np.newaxis] * grid
    log_q = normal_log_prob(grid, 0, 1) - np.log(deviation)[..., np.newaxis]
    differences = log_q - mixture_log_prob(w, *arguments)
    expected = np.sum(differences * density)
    # Drawn, not computed.
    assert draws.std() > 0
    assert_mean(draws, np.float64(expected))


@pytest.mark.parametrize("size", [1, 1000])
def test_a_weight_is_counted_once_whatever_the_batch(size):
    layer = make_dense("DenseFlipout", units=3)
    layer(np.ones((size, 4), "float32"))
    layer(np.ones((size, 4), "float32"))
    expected = 3 * np.sum(normal_kl(MEAN, DEVIATION))
    assert float(sum(layer.losses)) == pytest.approx(expected, rel=1e-5)


DIVERGENCES = {
    "analytic_kl": {},
    "monte_carlo_kl": {},
    "kl": {"prior_fn": bayesian.ScaleMixturePrior()},
}


@pytest.mark.parametrize("divergence", DIVERGENCES)
@pytest.mark.parametrize("name", [*DENSE, *CONVOLUTIONS, *CELLS])
def test_every_divergence_works_with_every_estimator(rng, name, divergence):
    # In tfp Flipout and local reparameterization have no draw of the weight
    # to estimate from.
    prefixes = ["kernel", "bias"] + ["recurrent"] * (name in CELLS)
    options = {}
    for prefix in prefixes:
        options[f"{prefix}_posterior_fn"] = "mean_field_normal"
        options[f"{prefix}_prior_fn"] = "standard_normal"
        options[f"{prefix}_divergence_fn"] = divergence
        for key, value in DIVERGENCES[divergence].items():
            options[f"{prefix}_{key}"] = value
    sizes = (3, 2) if name.startswith("Conv") else (3,)
    layer = getattr(bayesian, name)(*sizes, **options)
    shape = (2, 4)
    if name in CELLS:
        layer, shape = bayesian.VariationalRNN(layer), (2, 3, 4)
    elif name.startswith("Conv"):
        shape = (2, *[5] * int(name[4]), 4)
    inputs = tf.constant(rng.normal(size=shape), "float32")
    layer(inputs)
    # Away from values such as a mean of 0, where a gradient may vanish.
    for variable in layer.trainable_variables:
        variable.assign(rng.normal(size=variable.shape))
    variables = [v.value for v in layer.trainable_variables]
    with tf.GradientTape(persistent=True) as tape:
        data = tf.reduce_mean(layer(inputs) ** 2)
        losses = tf.stack(layer.losses)
        divergence = tf.reduce_sum(losses)
        total = data + divergence
    gradients = tape.gradient(total, variables)
    gradients += tape.gradient(divergence, variables)
    weights = random_weights(layer)
    assert len(weights) == len(prefixes)
    # A mean and a deviation of each weight, the divergence with one of them.
    assert len(variables) == 2 * len(weights)
    assert np.count_nonzero(losses) == len(weights)
    assert np.all(np.isfinite(losses))
    for gradient in gradients:
        assert np.all(np.isfinite(gradient))
        assert np.all(gradient != 0)


def test_a_closed_form_that_does_not_exist_is_not_made_up():
    layer = make_float64(
        kernel_prior_fn=bayesian.ScaleMixturePrior(),
        kernel_divergence_fn="analytic_kl",
    )
    with pytest.raises(NotImplementedError):
        _ = layer.losses
