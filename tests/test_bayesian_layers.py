"""Variational layers against those of TensorFlow Probability.

Both get the same weights, noise and signs, and must return the same outputs
and losses. Cells, which tfp does not have, are compared with those of Keras.
"""

import keras
import numpy as np
import pytest
from comparison import rounded, tensor, tensors

if keras.backend.backend() != "tensorflow":
    pytest.skip(
        "variational layers need the TensorFlow backend",
        allow_module_level=True,
    )

import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability.python import random as tfp_random

from keras_dnc import bayesian
from keras_dnc.bayesian import estimators

tfd = tfp.distributions

# Largest error, in units of the largest value that was expected, or of 1.
TOLERANCES = {"float32": 1e-6, "float64": 1e-10}

BATCH, FEATURES, UNITS = 2, 3, 4

DENSE = ["DenseFlipout", "DenseReparameterization"]
DENSE.append("DenseLocalReparameterization")
RANKS = {
    f"Conv{rank}D{estimator}": rank
    for rank in (1, 2, 3)
    for estimator in ("Flipout", "Reparameterization")
}
SPACES = {1: (9,), 2: (7, 6), 3: (5, 6, 4)}
KERNELS = {1: (3,), 2: (3, 2), 3: (2, 3, 2)}
CELLS = [
    f"{kind}Cell{estimator}"
    for kind in ("LSTM", "GRU")
    for estimator in ("Flipout", "Reparameterization")
]

dense_layers = pytest.mark.parametrize("name", DENSE)
convolutions = pytest.mark.parametrize("name", RANKS)
# The convolutions share their code; one dimension is enough for the rest.
layers = pytest.mark.parametrize(
    "name", [*DENSE, *(name for name, rank in RANKS.items() if rank == 1)]
)
cells = pytest.mark.parametrize("name", CELLS)


@pytest.fixture
def rng():
    return np.random.default_rng(3)


@pytest.fixture
def given_signs(monkeypatch):
    """Makes both packages draw the same signs, if they ask for as many."""

    def draw(shape, dtype, seed=None):
        shape = [int(size) for size in shape]
        rng = np.random.default_rng(np.prod(shape))
        return tf.constant(rng.choice([-1.0, 1.0], size=shape), dtype)

    monkeypatch.setattr(estimators, "signs", draw)
    monkeypatch.setattr(tfp_random, "rademacher", draw)


def given_noise(seed):
    """A function of a distribution: a draw with the same noise each time."""

    def draw(distribution):
        mean = distribution.mean()
        noise = np.random.default_rng(seed).normal(size=mean.shape)
        return mean + distribution.stddev() * tf.cast(noise, mean.dtype)

    return draw


def wide_prior(dtype, shape, name, trainable, add_variable_fn):
    """`N(1/2, 2²)` in the terms of tfp alone."""
    loc = tf.fill(shape, tf.cast(0.5, dtype))
    return tfd.Independent(tfd.Normal(loc, tf.cast(2, dtype)), len(shape))


def point_kl(posterior, prior, sample):
    """The Monte-Carlo divergence in the terms of tfp alone."""
    return posterior.log_prob(sample) - prior.log_prob(sample)


# What is done with the bias: the arguments of our layer, and those of tfp's.
BIASES = {
    "point": ({}, {}),
    "none": ({"bias_posterior_fn": None}, {"bias_posterior_fn": None}),
    "random": (
        {
            "bias_posterior_fn": "mean_field_normal",
            "bias_posterior_tensor_fn": given_noise(2),
            "bias_prior_fn": bayesian.NormalPrior(0.5, 2),
        },
        {
            "bias_posterior_fn": tfp.layers.default_mean_field_normal_fn(),
            "bias_posterior_tensor_fn": given_noise(2),
            "bias_prior_fn": wide_prior,
        },
    ),
}
biases = pytest.mark.parametrize("bias", BIASES)


def make_layer(name, **options):
    """A small layer of ours, its kind and size as the name says."""
    sizes = (UNITS, KERNELS[RANKS[name]]) if name in RANKS else (UNITS,)
    return getattr(bayesian, name)(*sizes, **options)


def make_oracle(name, **options):
    """The layer of tfp of the same name."""
    rank = RANKS.get(name)
    if rank is None:
        return getattr(tfp.layers, name)(UNITS, **options)
    name = name.replace("Conv", "Convolution")
    return getattr(tfp.layers, name)(UNITS, KERNELS[rank], **options)


def input_shape(name):
    """A shape of inputs that the layer of that name takes."""
    return BATCH, *SPACES.get(RANKS.get(name), ()), FEATURES


def random_inputs(rng, shape, dtype):
    return rounded(rng.normal(size=shape), dtype)


def randomize(rng, layer, oracle=None):
    """Gives a built layer, and its oracle, the same weights.

    The deviations are of the size of the means: noise that is left out, or
    multiplied wrongly, cannot hide.
    """
    for i, variable in enumerate(layer.trainable_variables):
        value = rng.normal(size=variable.shape)
        variable.assign(value)
        if oracle is not None:
            twin = oracle.trainable_variables[i]
            assert variable.path.split("/")[-2:] == twin.name.removesuffix(
                ":0"
            ).split("/")[-1].split("_", 1)
            twin.assign(value)


def assert_close(actual, expected, dtype, tolerance=None):
    assert keras.backend.standardize_dtype(actual.dtype) == dtype
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape
    scale = max(1, np.max(np.abs(expected)))
    error = np.max(np.abs(actual.astype("float64") - expected)) / scale
    assert error <= (tolerance or TOLERANCES[dtype])


def check(
    rng, name, inputs, dtype, options=(), ours=(), theirs=(), jit_compile=False
):
    """Compares losses, returns outputs; some options are not of both packages.

    Where `theirs` holds inputs, the oracle is called with those.
    """
    common = {"kernel_posterior_tensor_fn": given_noise(1), "dtype": dtype}
    common |= dict(options)
    theirs = dict(theirs)
    oracle_inputs = theirs.pop("inputs", inputs)
    layer = make_layer(name, **common, **dict(ours))
    oracle = make_oracle(name, **common, **theirs)
    layer.build(inputs.shape)
    oracle.build(oracle_inputs.shape)
    randomize(rng, layer, oracle)
    call = tf.function(layer, jit_compile=True) if jit_compile else layer
    outputs = call(tensor(inputs, dtype))
    expected = oracle(tensor(oracle_inputs, dtype))
    loss, expected_loss = sum(layer.losses), sum(oracle.losses)
    error = abs(float(loss) / float(expected_loss) - 1)
    assert error <= TOLERANCES[dtype]
    return outputs, expected


@biases
@dense_layers
def test_dense_is_tfps(rng, given_signs, name, bias, dtype):
    inputs = random_inputs(rng, (5, FEATURES), dtype)
    ours, theirs = BIASES[bias]
    outputs, expected = check(rng, name, inputs, dtype, (), ours, theirs)
    assert_close(outputs, expected, dtype)


@pytest.mark.parametrize("rank", [3, 4])
@dense_layers
def test_dense_of_higher_rank_is_tfps(rng, given_signs, name, rank, dtype):
    shape = (2, 5, 2, FEATURES)[-rank:]
    inputs = random_inputs(rng, shape, dtype)
    options = {"activation": "tanh"}
    ours, theirs = BIASES["random"]
    outputs, expected = check(rng, name, inputs, dtype, options, ours, theirs)
    assert outputs.shape == (*shape[:-1], UNITS)
    assert_close(outputs, expected, dtype)


@biases
@convolutions
def test_convolution_is_tfps(rng, given_signs, name, bias, dtype):
    inputs = random_inputs(rng, input_shape(name), dtype)
    ours, theirs = BIASES[bias]
    outputs, expected = check(rng, name, inputs, dtype, (), ours, theirs)
    assert_close(outputs, expected, dtype)


@pytest.mark.parametrize(
    "options",
    [
        {"strides": 2},
        {"padding": "same"},
        {"padding": "same", "strides": 2},
        {"dilation_rate": 2},
        {"padding": "same", "dilation_rate": 2},
        {"activation": "relu"},
    ],
    ids=lambda options: "-".join(f"{k}={v}" for k, v in options.items()),
)
@convolutions
def test_convolution_options_are_tfps(rng, given_signs, name, options, dtype):
    inputs = random_inputs(rng, input_shape(name), dtype)
    outputs, expected = check(rng, name, inputs, dtype, options)
    assert_close(outputs, expected, dtype)


@convolutions
def test_channels_first(rng, given_signs, name, dtype):
    # TensorFlow's convolutions refuse channels_first on a CPU unless XLA
    # compiles them. The layer of tfp gets the inputs with the channels last.
    inputs = random_inputs(rng, input_shape(name), dtype)
    first = np.moveaxis(inputs, -1, 1)
    ours, theirs = BIASES["random"]
    ours = {**ours, "data_format": "channels_first"}
    theirs = {**theirs, "inputs": inputs}
    outputs, expected = check(
        rng, name, first, dtype, {"padding": "same"}, ours, theirs, True
    )
    assert_close(outputs, np.moveaxis(expected, -1, 1), dtype)


@pytest.mark.parametrize("dilation_rate", [1, 2])
@pytest.mark.parametrize("name", ["Conv1DFlipout", "Conv1DReparameterization"])
def test_causal_padding(rng, given_signs, name, dilation_rate, dtype):
    inputs = random_inputs(rng, input_shape(name), dtype)
    before = dilation_rate * (KERNELS[1][0] - 1)
    padded = np.pad(inputs, [(0, 0), (before, 0), (0, 0)])
    options = {"dilation_rate": dilation_rate}
    outputs, expected = check(
        rng,
        name,
        inputs,
        dtype,
        options,
        {"padding": "causal"},
        {"inputs": padded},
    )
    assert outputs.shape[1] == inputs.shape[1]
    assert_close(outputs, expected, dtype)


@pytest.mark.parametrize(
    "name", [name for name in [*DENSE, *RANKS] if name[-8:] != "DFlipout"]
)
def test_monte_carlo_divergence_is_tfps(rng, given_signs, name, dtype):
    # With the same draw. Flipout and local reparameterization of tfp have no
    # draw of the weight to give, so there the bias alone is estimated.
    inputs = random_inputs(rng, input_shape(name), dtype)
    ours, theirs = ({**part} for part in BIASES["random"])
    ours["bias_divergence_fn"] = "monte_carlo_kl"
    theirs["bias_divergence_fn"] = point_kl
    if "Local" not in name and "Flipout" not in name:
        ours["kernel_divergence_fn"] = bayesian.MonteCarloKL()
        theirs["kernel_divergence_fn"] = point_kl
    outputs, expected = check(rng, name, inputs, dtype, (), ours, theirs)
    assert_close(outputs, expected, dtype)


@dense_layers
def test_kl_weight_multiplies_the_losses(rng, name):
    inputs = tensor(random_inputs(rng, (5, FEATURES), "float32"), "float32")
    options = {**BIASES["random"][0], "seed": 1}
    layer, weighted = (
        make_layer(name, kl_weight=weight, **options) for weight in (1, 0.25)
    )
    for part in (layer, weighted):
        part.build(inputs.shape)
    randomize(rng, layer)
    weighted.set_weights(layer.get_weights())
    # The factor is a weight itself.
    weighted.kl_weight = 0.25
    expected = layer(inputs)
    np.testing.assert_array_equal(weighted(inputs), expected)
    assert float(sum(weighted.losses)) == pytest.approx(
        0.25 * float(sum(layer.losses)), rel=1e-6
    )


# Initial values


def assert_normal(values, mean, deviation):
    """Asserts that values could be draws from `N(mean, deviation²)`.

    Mean and deviation of n draws have the standard errors σ/√n and σ/√(2n);
    right values fail, at 4.5 of them, once in 150 000 times.
    """
    values = np.asarray(values, "float64").reshape(-1)
    error = deviation / np.sqrt(values.size)
    assert abs(values.mean() - mean) <= 4.5 * error
    assert abs(values.std() - deviation) <= 4.5 * error / np.sqrt(2)


def own_layer(name, units, shape):
    sizes = (units, 5) if name in RANKS else (units,)
    layer = getattr(bayesian, name)(
        *sizes, bias_posterior_fn="mean_field_normal"
    )
    layer.build(shape)
    return layer


def tfp_layer(name, units, shape):
    sizes = (units, 5) if name in RANKS else (units,)
    layer = getattr(tfp.layers, name.replace("Conv", "Convolution"))(
        *sizes, bias_posterior_fn=tfp.layers.default_mean_field_normal_fn()
    )
    layer.build(shape)
    return layer


@pytest.mark.parametrize("make", [own_layer, tfp_layer])
@layers
def test_initial_values_are_drawn_as_tfps(name, make):
    # The same bounds hold for tfp, so they are tfp's.
    shape = (None, 9, 40) if name in RANKS else (None, 200)
    layer = make(name, 500, shape)
    kernel_loc, kernel_rho, bias_loc, bias_rho = layer.trainable_variables
    assert np.size(kernel_loc) == 100_000
    for loc, rho in [(kernel_loc, kernel_rho), (bias_loc, bias_rho)]:
        assert_normal(loc, 0, 0.1)
        assert_normal(rho, -3, 0.1)


@layers
def test_the_posterior_has_the_scale_of_tfp(rng, name, dtype):
    layer = make_layer(name, dtype=dtype)
    layer.build(input_shape(name))
    rho = np.linspace(-60, 60, layer.kernel.shape[-1])
    layer.trainable_variables[1].assign(
        np.broadcast_to(rho, layer.kernel.shape)
    )
    expected = np.finfo(dtype).eps + np.logaddexp(0, rho)
    scale = np.asarray(layer.kernel.posterior.stddev())
    np.testing.assert_allclose(
        scale, np.broadcast_to(expected, scale.shape), rtol=1e-6
    )


def flat_variables(model):
    return [np.asarray(v).reshape(-1) for v in model.trainable_variables]


def assert_all_differ(values):
    """Asserts that no two begin with the same numbers.

    Equal seeds give tensors of two shapes the same numbers, as far as they
    go; loc and rho then differ by a shift alone.
    """
    values = [value - value.mean() for value in values]
    for i, one in enumerate(values):
        for other in values[:i]:
            size = min(len(one), len(other))
            assert size >= 4
            correlation = np.corrcoef(one[:size], other[:size])[0, 1]
            assert abs(correlation) < 0.99


@pytest.mark.parametrize("shared", [None, bayesian.MeanFieldNormal()])
@layers
def test_no_two_weights_start_identical(name, shared):
    # With one instance for all of them, too: Keras' initializers repeat
    # themselves.
    posterior_fn = "mean_field_normal" if shared is None else shared
    options = {
        "kernel_posterior_fn": posterior_fn,
        "bias_posterior_fn": posterior_fn,
    }
    sizes = (8, 1) if name in RANKS else (8,)
    shape = (4, 8) if name in RANKS else (8,)
    cls = getattr(bayesian, name)
    model = keras.Sequential(
        [
            keras.Input(shape),
            cls(*sizes, **options),
            cls(*sizes, **options),
            # A kernel of as many elements as a bias.
            keras.layers.Lambda(lambda x: x[..., :1]),
            cls(*sizes, **options),
        ]
    )
    values = flat_variables(model)
    assert len(values) == 12
    assert_all_differ(values)


@cells
def test_no_two_weights_of_a_cell_start_identical(name):
    cls = getattr(bayesian, name)
    options = {"bias_posterior_fn": bayesian.MeanFieldNormal()}
    model = keras.Sequential(
        [
            keras.Input((2, 4)),
            keras.layers.RNN(
                [cls(4, **options), cls(4, **options)], return_sequences=True
            ),
        ]
    )
    values = flat_variables(model)
    assert len(values) == 12
    assert_all_differ(values)


@layers
def test_draws_of_two_layers_and_calls_differ(rng, name):
    inputs = tensor(random_inputs(rng, input_shape(name), "float32"), "float32")
    one, other = make_layer(name), make_layer(name)
    one.build(inputs.shape)
    other.build(inputs.shape)
    other.set_weights(one.get_weights())
    draws = [one(inputs), one(inputs), other(inputs)]
    noises = [np.asarray(draw).reshape(-1) for draw in draws]
    for i, j in [(0, 1), (0, 2), (1, 2)]:
        assert np.max(np.abs(noises[i] - noises[j])) > 1e-3


# Functions that were written for tfp

TFP_FUNCTIONS = {
    "kernel_posterior_fn": tfp.layers.default_mean_field_normal_fn(),
    "kernel_prior_fn": tfp.layers.default_multivariate_normal_fn,
    "bias_posterior_fn": tfp.layers.default_mean_field_normal_fn(),
    "bias_prior_fn": tfp.layers.default_multivariate_normal_fn,
}
RECURRENT_TFP_FUNCTIONS = {
    **TFP_FUNCTIONS,
    "recurrent_posterior_fn": tfp.layers.default_mean_field_normal_fn(),
    "recurrent_prior_fn": tfp.layers.default_multivariate_normal_fn,
}


def gradients_of(layer, inputs, losses=True):
    """Gradients of outputs and losses, by every variable and the inputs."""
    variables = [v.value for v in layer.trainable_variables]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = layer(inputs)
        # A mean: half precision has no room for the gradient of a sum.
        loss = tf.reduce_mean(tf.cast(outputs, "float32") ** 2)
        if losses:
            loss += sum(layer.losses)
    return outputs, loss, tape.gradient(loss, [*variables, inputs])


def make_trained(name, **functions):
    """A layer of any kind, a recurrent cell in a layer."""
    if name in CELLS:
        cell = getattr(bayesian, name)(UNITS, **functions)
        return bayesian.VariationalRNN(cell), (BATCH, 5, FEATURES)
    return make_layer(name, **functions), input_shape(name)


@pytest.mark.parametrize("name", [*DENSE, *RANKS, *CELLS])
def test_gradients_reach_the_variables_of_tfps_functions(rng, name):
    functions = RECURRENT_TFP_FUNCTIONS if name in CELLS else TFP_FUNCTIONS
    layer, shape = make_trained(name, **functions)
    inputs = tensor(random_inputs(rng, shape, "float32"), "float32")
    layer(inputs)
    assert len(layer.trainable_variables) == (6 if name in CELLS else 4)
    _, _, gradients = gradients_of(layer, inputs, losses=False)
    for gradient in gradients:
        assert np.all(np.isfinite(gradient))
        assert np.max(np.abs(gradient)) > 0


@pytest.mark.parametrize(
    ("name", "jit_compile"),
    [
        ("DenseFlipout", False),
        ("DenseFlipout", True),
        ("DenseReparameterization", False),
        ("DenseLocalReparameterization", False),
        ("Conv2DFlipout", False),
        ("LSTMCellFlipout", False),
        ("GRUCellReparameterization", False),
    ],
)
def test_layers_with_tfps_functions_train(rng, name, jit_compile):
    functions = RECURRENT_TFP_FUNCTIONS if name in CELLS else TFP_FUNCTIONS
    layer, shape = make_trained(name, **functions)
    inputs = random_inputs(rng, shape, "float32").astype("float32")
    model = keras.Sequential([layer])
    model.compile("sgd", "mse", jit_compile=jit_compile)
    outputs = np.zeros(model(inputs).shape, "float32")
    before = flat_variables(model)
    model.fit(inputs, outputs, epochs=2, verbose=0)
    for one, other in zip(before, flat_variables(model), strict=True):
        assert np.max(np.abs(one - other)) > 0


@pytest.mark.parametrize("singular", [False, True])
@layers
def test_tfps_functions_give_the_outputs_of_tfp(
    rng, given_signs, name, singular, dtype
):
    # The very same functions in both. The distributions of ours must follow
    # their variables: weights are set after the layer was built.
    options = {**TFP_FUNCTIONS, "bias_posterior_tensor_fn": given_noise(2)}
    if singular:
        options["bias_posterior_fn"] = tfp.layers.default_mean_field_normal_fn(
            is_singular=True
        )
        options["bias_prior_fn"] = None
    inputs = random_inputs(rng, input_shape(name), dtype)
    outputs, expected = check(rng, name, inputs, dtype, options)
    assert_close(outputs, expected, dtype)


# Values at the edges


@pytest.mark.parametrize("scale", [0, 1], ids=["zeros", "inputs"])
@pytest.mark.parametrize("rho", [-50, 50])
@pytest.mark.parametrize(
    ("name", "policy"),
    [
        *((name, "mixed_float16") for name in [*DENSE, "Conv1DFlipout"]),
        ("DenseLocalReparameterization", "float32"),
    ],
)
def test_extremes_are_finite(rng, name, rho, scale, policy):
    layer = make_layer(name, dtype=policy, **BIASES["random"][0])
    inputs = tensor(scale * rng.normal(size=input_shape(name)), "float32")
    inputs = tf.cast(inputs, layer.compute_dtype)
    layer.build(inputs.shape)
    for variable in layer.trainable_variables:
        if "untransformed" in variable.path:
            variable.assign(np.full(variable.shape, rho))
    outputs, loss, gradients = gradients_of(layer, inputs)
    assert keras.ops.dtype(outputs) == layer.compute_dtype
    assert np.all(np.isfinite(outputs))
    assert np.isfinite(loss)
    assert all(np.isfinite(part) for part in layer.losses)
    assert all(loss.dtype == "float32" for loss in layer.losses)
    for gradient in gradients:
        assert np.all(np.isfinite(gradient))


@pytest.mark.parametrize("rho", [-50, 50])
@pytest.mark.parametrize("name", DENSE)
def test_extreme_estimates_of_the_divergence_are_finite(rng, name, rho):
    layer = make_layer(
        name,
        kernel_divergence_fn="monte_carlo_kl",
        kernel_prior_fn=bayesian.ScaleMixturePrior(),
    )
    inputs = tensor(rng.normal(size=(BATCH, FEATURES)), "float32")
    layer.build(inputs.shape)
    layer.trainable_variables[1].assign(np.full((FEATURES, UNITS), rho))
    _, loss, gradients = gradients_of(layer, inputs)
    assert np.isfinite(loss)
    assert all(np.all(np.isfinite(gradient)) for gradient in gradients)


def test_local_reparameterization_of_large_inputs_in_half_precision():
    # Their squares are beyond it, the outputs are not.
    layer = make_layer("DenseLocalReparameterization", dtype="mixed_float16")
    inputs = tf.fill((BATCH, FEATURES), tf.constant(2000, "float16"))
    layer.build(inputs.shape)
    outputs, _, gradients = gradients_of(layer, inputs, losses=False)
    assert np.all(np.isfinite(outputs))
    assert all(np.all(np.isfinite(gradient)) for gradient in gradients)


def test_local_reparameterization_of_zeros_has_no_noise(rng):
    # A deviation of 0: without a guard the gradients are NaN.
    layer = make_layer("DenseLocalReparameterization")
    inputs = tf.zeros((BATCH, FEATURES))
    layer.build(inputs.shape)
    randomize(rng, layer)
    outputs, _, gradients = gradients_of(layer, inputs, losses=False)
    loc, rho, bias, _ = gradients
    bias_value = np.asarray(layer.trainable_variables[2])
    np.testing.assert_array_equal(outputs, np.tile(bias_value, (BATCH, 1)))
    assert not np.any(loc)
    assert not np.any(rho)
    np.testing.assert_allclose(bias, 2 / UNITS * bias_value, rtol=1e-6)


# Cells


def cell_pair(name, dtype, **options):
    """A cell of ours and the one of Keras, both built."""
    kind = "LSTMCell" if name.startswith("LSTM") else "GRUCell"
    cell = getattr(bayesian, name)(UNITS, dtype=dtype, **options)
    for argument in list(options):
        if argument.endswith("tensor_fn"):
            del options[argument]
    twin = getattr(keras.layers, kind)(UNITS, dtype=dtype, **options)
    cell.build((None, FEATURES))
    twin.build((None, FEATURES))
    return cell, twin


def posterior_arrays(cell):
    """Means and deviations, by the names of a cell's weights."""
    weights = [cell.kernel, cell.recurrent_kernel]
    weights += [cell.bias] if cell.use_bias else []
    return {
        weight.name: (
            np.asarray(weight.posterior.mean()),
            np.asarray(weight.posterior.stddev()),
        )
        for weight in weights
    }


def remove_noise(rng, cell, twin):
    """Gives a cell random means of hardly any deviation; its twin those."""
    for variable in cell.trainable_variables:
        variable.assign(
            np.full(variable.shape, -50.0)
            if "untransformed" in variable.path
            else 0.5 * rng.normal(size=variable.shape)
        )
    twin.set_weights([mean for mean, _ in posterior_arrays(cell).values()])


def step(cell, inputs, states):
    outputs, states = cell(inputs, states)
    return [outputs, *keras.tree.flatten(states)]


def random_step(rng, name, dtype):
    """Inputs and states, the states not zero."""
    sizes = [FEATURES, UNITS, UNITS][: 3 if name.startswith("LSTM") else 2]
    arrays = [
        rounded(rng.normal(size=(BATCH + 1, size)), dtype) for size in sizes
    ]
    return arrays[0], arrays[1:]


OTHERS = {"activation": "relu", "recurrent_activation": "hard_sigmoid"}
CELL_OPTIONS = {
    "LSTM": {"defaults": {}, "others": {**OTHERS, "unit_forget_bias": False}},
    "GRU": {
        "reset_after": {},
        "reset_before": {"reset_after": False},
        "others": OTHERS,
    },
}
all_cells = pytest.mark.parametrize(
    ("name", "options"),
    [
        pytest.param(name, options, id=f"{name}-{option}")
        for name in CELLS
        for option, options in CELL_OPTIONS[name.split("Cell")[0]].items()
    ],
)


@pytest.mark.parametrize("use_bias", [False, True])
@all_cells
def test_cell_without_noise_is_kerass(rng, name, options, use_bias, dtype):
    cell, twin = cell_pair(name, dtype, use_bias=use_bias, **options)
    remove_noise(rng, cell, twin)
    inputs, states = random_step(rng, name, dtype)
    inputs, states = tensor(inputs, dtype), tensors(states, dtype)
    actual, expected = step(cell, inputs, states), step(twin, inputs, states)
    for one, other in zip(actual, expected, strict=True):
        assert_close(one, other, dtype, 1e-5)


@cells
def test_sequence_without_noise_is_kerass(rng, name, dtype):
    cell, twin = cell_pair(name, dtype)
    remove_noise(rng, cell, twin)
    sequences = tensor(rng.normal(size=(BATCH, 5, FEATURES)), dtype)
    options = {"return_sequences": True, "dtype": dtype}
    assert_close(
        bayesian.VariationalRNN(cell, **options)(sequences),
        keras.layers.RNN(twin, **options)(sequences),
        dtype,
        1e-5,
    )


@pytest.mark.parametrize("use_bias", [False, True])
@all_cells
def test_cell_is_kerass_with_the_weights_that_were_drawn(
    rng, given_signs, name, options, use_bias, dtype
):
    # The one weight of all gates: before the reset and after it, too.
    noises = {"kernel": 1, "recurrent_kernel": 2, "bias": 3}
    cell, twin = cell_pair(
        name,
        dtype,
        use_bias=use_bias,
        kernel_posterior_tensor_fn=given_noise(1),
        recurrent_posterior_tensor_fn=given_noise(2),
        bias_posterior_tensor_fn=given_noise(3),
        **options,
    )
    randomize(rng, cell)
    inputs, states = random_step(rng, name, dtype)
    actual = step(cell, tensor(inputs, dtype), tensors(states, dtype))
    for example in range(BATCH + 1):
        drawn = []
        for weight, (mean, deviation) in posterior_arrays(cell).items():
            noise = np.random.default_rng(noises[weight]).normal(
                size=mean.shape
            )
            if "Flipout" in name and weight != "bias":
                sign_in, sign_out = (
                    np.asarray(
                        estimators.signs((BATCH + 1, size), dtype, None)
                    )[example]
                    for size in mean.shape
                )
                noise = noise * np.outer(sign_in, sign_out)
            drawn.append(mean + deviation * noise)
        twin.set_weights(drawn)
        row = slice(example, example + 1)
        expected = step(
            twin,
            tensor(inputs[row], dtype),
            tensors([state[row] for state in states], dtype),
        )
        for one, other in zip(actual, expected, strict=True):
            assert_close(one[row], other, dtype, 1e-5)


@cells
def test_cell_starts_with_kerass_bias(name):
    cell, twin = cell_pair(name, "float32")
    (bias,) = (
        variable
        for variable in cell.trainable_variables
        if "bias" in variable.path
    )
    np.testing.assert_array_equal(bias, twin.weights[-1])


@pytest.mark.parametrize("reset_after", [False, True])
@pytest.mark.parametrize("name", CELLS[2:])
def test_gru_draws_its_recurrent_kernel_once_a_step(rng, name, reset_after):
    # It is applied twice where the reset comes before it.
    draws = []

    def draw(distribution):
        draws.append(distribution)
        return distribution.sample()

    cell, _ = cell_pair(
        name,
        "float32",
        reset_after=reset_after,
        recurrent_posterior_tensor_fn=draw,
    )
    inputs, states = random_step(rng, name, "float32")
    step(cell, tensor(inputs, "float32"), tensors(states, "float32"))
    assert len(draws) == 1
