"""The diagonal Laplace approximation against closed forms."""

import keras
import numpy as np
import pytest
from helpers import arrays, assert_close

from keras_dnc import bayesian

if keras.backend.backend() != "tensorflow":
    pytest.skip(
        "the Laplace approximation takes Jacobians with TensorFlow",
        allow_module_level=True,
    )

INPUTS = np.random.default_rng(0).normal(size=(11, 3)).astype("float32")


def linear(outputs=2, activation=None):
    keras.utils.set_random_seed(1)
    layer = keras.layers.Dense(outputs, activation)
    return keras.Sequential([keras.Input((3,)), layer])


def test_precisions_of_linear_regression():
    # ∂y_k/∂W[i, k] = x[i] and ∂y_k/∂b[k] = 1.
    laplace = bayesian.DiagonalLaplace(
        linear(), "regression", prior_precision=0.5, noise_variance=0.25
    ).fit(INPUTS, batch_size=4)
    kernel, bias = laplace.precisions
    expected = np.sum(INPUTS.astype("float64") ** 2, axis=0) / 0.25 + 0.5
    assert_close(kernel, np.tile(expected[:, None], (1, 2)), 1e-5)
    assert_close(bias, np.full(2, 11 / 0.25 + 0.5))


@pytest.mark.parametrize("from_logits", [False, True])
def test_precisions_of_softmax_regression(from_logits):
    # Of logits z the matrix is diag(p) − p pᵀ: Σ_n x[i]² p_c (1 − p_c).
    model = linear(4, None if from_logits else "softmax")
    laplace = bayesian.DiagonalLaplace(model, from_logits=from_logits)
    kernel, bias = laplace.fit(INPUTS, batch_size=5).precisions
    p = arrays(model(INPUTS)).astype("float64")
    if from_logits:
        p = np.exp(p) / np.exp(p).sum(-1, keepdims=True)
    expected = np.einsum("ni,nc->ic", INPUTS**2.0, p * (1 - p)) + 1
    assert_close(kernel, expected, 1e-5)
    assert_close(bias, np.sum(p * (1 - p), axis=0) + 1, 1e-5)


@pytest.mark.parametrize("from_logits", [False, True])
def test_precisions_of_logistic_regression(from_logits):
    # One output for the second of two classes: Σ_n x[i]² p (1 − p).
    model = linear(1, None if from_logits else "sigmoid")
    laplace = bayesian.DiagonalLaplace(model, from_logits=from_logits)
    kernel, bias = laplace.fit(INPUTS, batch_size=5).precisions
    p = arrays(model(INPUTS)).astype("float64")
    if from_logits:
        p = 1 / (1 + np.exp(-p))
    expected = np.einsum("ni,nc->ic", INPUTS**2.0, p * (1 - p)) + 1
    assert_close(kernel, expected, 1e-5)
    assert_close(bias, np.sum(p * (1 - p), axis=0) + 1, 1e-5)


@pytest.mark.slow
def test_precisions_sum_over_steps_and_outputs_of_a_network():
    keras.utils.set_random_seed(2)
    model = keras.Sequential(
        [
            keras.Input((4, 3)),
            keras.layers.SimpleRNN(3, return_sequences=True),
            keras.layers.Dense(2),
        ]
    )
    inputs = np.random.default_rng(1).normal(size=(2, 4, 3)).astype("float32")
    laplace = bayesian.DiagonalLaplace(model, "regression").fit(inputs)
    step = 1e-2
    for variable, precision in zip(
        model.trainable_variables, laplace.precisions, strict=True
    ):
        value = arrays(variable).copy()
        expected = np.ones(value.shape)
        for index in np.ndindex(value.shape):
            outputs = []
            for sign in (1, -1):
                changed = value.copy()
                changed[index] += sign * step
                variable.assign(changed)
                outputs.append(arrays(model(inputs)).astype("float64"))
            slope = (outputs[0] - outputs[1]) / (2 * step)
            expected[index] += np.sum(slope**2)
        variable.assign(value)
        # Central differences in float32 are off by about step² and 1e-7/step.
        np.testing.assert_allclose(precision, expected, rtol=2e-3)


def test_what_a_mask_hides_is_no_data():
    layers = [
        keras.layers.Embedding(5, 3, mask_zero=True),
        keras.layers.SimpleRNN(3, return_sequences=True),
        keras.layers.Dense(2, "softmax"),
    ]
    model = keras.Sequential([keras.Input((None,)), *layers])
    inputs = np.array([[1, 4, 2], [3, 1, 1]])
    laplace = bayesian.DiagonalLaplace(model).fit(inputs)
    padded = bayesian.DiagonalLaplace(model)
    padded.fit(np.pad(inputs, [(0, 0), (0, 4)]))
    pairs = zip(padded.precisions, laplace.precisions, strict=True)
    for precision, expected in pairs:
        assert_close(precision, expected, 1e-5)


def test_draws_have_the_variance_of_the_weights():
    model = linear()
    laplace = bayesian.DiagonalLaplace(model, "regression", seed=3)
    laplace.fit(INPUTS)
    kernel, bias = laplace.precisions
    samples = 4000
    draws = laplace.draw_outputs(INPUTS, samples, batch_size=4)
    assert draws.shape == (samples, 11, 2)
    variance = INPUTS**2.0 @ (1 / kernel) + 1 / bias
    mean = arrays(model(INPUTS))
    # The error of a mean, and that of a variance of normal draws.
    assert np.all(
        np.abs(draws.mean(0) - mean) < 4.5 * np.sqrt(variance / samples)
    )
    ratio = draws.var(0) / variance
    assert np.all(np.abs(ratio - 1) < 4.5 * np.sqrt(2 / samples))
    # Examples of all batches share a draw: equal inputs, equal outputs.
    twice = laplace.draw_outputs(np.repeat(INPUTS[:1], 5, axis=0), 3, 2)
    assert_close(twice, np.repeat(twice[:, :1], 5, axis=1), 1e-5)


def test_it_predicts_in_place_of_a_model():
    model = linear(4, "softmax")
    laplace = bayesian.DiagonalLaplace(model).fit(INPUTS)
    weights = model.get_weights()
    prediction = bayesian.predict_classes(laplace, INPUTS, samples=50)
    assert prediction.mean.shape == (11, 4)
    assert np.all(prediction.epistemic > 0)
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    with pytest.raises(ValueError, match="`monte_carlo_dropout`"):
        bayesian.predict_classes(laplace, INPUTS, monte_carlo_dropout=True)


@pytest.mark.parametrize(
    "arguments",
    [
        {"likelihood": "poisson"},
        {"prior_precision": 0.0},
        {"noise_variance": -1.0},
        {"from_logits": 1},
    ],
)
def test_bad_arguments(arguments):
    (name,) = arguments
    with pytest.raises(ValueError, match=f"`{name}` must .*{name}="):
        bayesian.DiagonalLaplace(linear(), **arguments)


def test_a_draw_before_fit_and_no_examples():
    laplace = bayesian.DiagonalLaplace(linear())
    with pytest.raises(ValueError, match="`fit` must be called"):
        laplace.draw_outputs(INPUTS)
    with pytest.raises(ValueError, match="at least one example"):
        laplace.fit(INPUTS[:0])


def test_the_precision_of_the_prior_is_set_without_another_fit():
    laplace = bayesian.DiagonalLaplace(linear(), "regression").fit(INPUTS)
    before = laplace.precisions
    laplace.prior_precision = 3.0
    for one, other in zip(laplace.precisions, before, strict=True):
        assert_close(one, other + 2)


def test_outputs_of_another_dtype_than_the_model():
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(4, dtype="mixed_float16"),
            keras.layers.Dense(2, "softmax", dtype="float64"),
        ]
    )
    laplace = bayesian.DiagonalLaplace(model, prior_precision=1e8).fit(INPUTS)
    draws = laplace.draw_outputs(INPUTS, samples=3)
    assert draws.dtype == "float64"
    expected = np.broadcast_to(arrays(model(INPUTS)), (3, 11, 2))
    assert_close(draws, expected, 5e-3)
