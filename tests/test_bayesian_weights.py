"""A random weight: posteriors and priors of other forms, dtypes, freezing."""

import keras
import ml_dtypes
import numpy as np
import pytest
from helpers import assert_close

from keras_dnc import bayesian

if keras.backend.backend() != "tensorflow":
    pytest.skip(
        "Bayesian layers need TensorFlow Probability, and so the TensorFlow "
        "backend",
        allow_module_level=True,
    )

import tensorflow as tf
import tensorflow_probability as tfp

tfd = tfp.distributions

FEATURES, UNITS = 4, 3
LAYERS = {
    name: getattr(bayesian, f"Dense{name}")
    for name in ("Flipout", "Reparameterization", "LocalReparameterization")
}
layers = pytest.mark.parametrize("name", LAYERS)


def loss(layer):
    return float(sum(layer.losses))


def elementwise(dtype, shape, name, trainable, add_variable_fn):
    """A standard normal of each element: a batch of distributions."""
    return tfd.Normal(tf.zeros(shape, dtype), tf.ones([], dtype))


@layers
def test_a_batch_of_elements_is_a_prior_of_independent_ones(name):
    layer = LAYERS[name](UNITS, kernel_prior_fn=elementwise, seed=1)
    layer.build((None, FEATURES))
    twin = LAYERS[name](UNITS, seed=1)
    twin.build((None, FEATURES))
    twin.set_weights(layer.get_weights())
    assert_close(loss(layer), loss(twin), 1e-5)
    assert loss(twin) > 1
    # Half of the elements cost something still.
    bayesian.prune(layer, 0.5)
    assert 0 < loss(layer) < loss(twin)


def test_a_prior_of_dependent_elements_cannot_be_pruned():
    def prior(dtype, shape, name, trainable, add_variable_fn):
        size = int(np.prod(shape))
        normal = tfd.MultivariateNormalTriL(tf.zeros(size), tf.eye(size))
        return tfd.TransformedDistribution(normal, tfp.bijectors.Reshape(shape))

    layer = bayesian.DenseReparameterization(
        UNITS, kernel_prior_fn=prior, kernel_divergence_fn="monte_carlo_kl"
    )
    layer.build((None, FEATURES))
    assert np.isfinite(loss(layer))
    with pytest.raises(ValueError, match="independent elements"):
        bayesian.prune(layer, 0.5)


def log_normal(dtype, shape, name, trainable, add_variable_fn):
    return tfd.Independent(tfd.LogNormal(tf.zeros(shape), 0.5), len(shape))


def test_draws_are_those_of_the_posterior_itself():
    layer = bayesian.DenseReparameterization(
        100, kernel_posterior_fn=log_normal, kernel_prior_fn=None
    )
    layer.build((None, 100))
    draw = np.asarray(layer.kernel.draw(None))
    assert draw.min() > 0
    error = 0.5 / np.sqrt(draw.size)
    assert abs(np.log(draw).mean()) < 4 * error


def one_mean(dtype, shape, name, trainable, add_variable_fn):
    """Deviations of each element around one mean of all."""
    scale = add_variable_fn(
        name=f"{name}_scale", shape=shape, dtype=dtype, initializer="ones"
    )
    return tfd.Independent(tfd.Normal(tf.zeros([], dtype), scale), len(shape))


@layers
def test_parameters_of_smaller_shape_are_for_all_elements(name):
    layer = LAYERS[name](50, kernel_posterior_fn=one_mean)
    outputs = np.asarray(layer(np.eye(40, dtype="float32")))
    # A row for each row of the kernel: all elements differ.
    assert len(np.unique(np.round(outputs, 6))) > 0.99 * outputs.size
    assert abs(outputs.std() - 1) < 4 / np.sqrt(2 * outputs.size)


@layers
def test_integers_are_cast(name):
    numbers = np.array([[1, 2, 3, 4], [5, 6, 7, 8]])
    layer = LAYERS[name](UNITS, bias_posterior_fn="mean_field_normal")
    outputs = layer(numbers)
    assert outputs.dtype == "float32"
    assert outputs.shape == (2, UNITS)
    # As real numbers, which are drawn from the same posterior.
    with bayesian.estimators.drawing(500):
        draws = np.asarray(layer(np.repeat(numbers[:1], 500, axis=0)))
    bias = np.asarray(layer.bias.posterior.mean())
    mean = numbers[0] @ np.asarray(layer.kernel.posterior.mean()) + bias
    error = draws.std(0) / np.sqrt(500)
    assert np.all(np.abs(draws.mean(0) - mean) < 4 * error)


def model_of(layer, dtype="float32"):
    return keras.Sequential([keras.Input((FEATURES,), dtype=dtype), layer])


@pytest.mark.parametrize(
    "cell", [bayesian.LSTMCellFlipout, bayesian.LSTMCellReparameterization]
)
def test_sequences_of_integers_are_cast(cell):
    outputs = bayesian.VariationalRNN(cell(UNITS))(np.ones((2, 5, 3), "int32"))
    assert outputs.dtype == "float32"


@layers
def test_a_layer_can_be_frozen_first_and_trained_later(name, tmp_path):
    layer = LAYERS[name](UNITS, trainable=False)
    model = model_of(layer)
    assert layer.trainable_variables == [] and not loss(layer)
    path = tmp_path / "model.keras"
    model.save(path)
    loaded = keras.saving.load_model(path)
    for frozen in layer, loaded.layers[0]:
        frozen.trainable = True
        # Mean and deviation of the kernel, and the bias.
        assert len(frozen.trainable_variables) == 3
        assert loss(frozen) > 1


def test_weights_of_before_pruning_undo_it(tmp_path):
    model = model_of(bayesian.DenseFlipout(UNITS))
    path = tmp_path / "before.weights.h5"
    model.save_weights(path)
    before = loss(model)
    bayesian.prune(model, 0.5)
    assert loss(model) < before
    model.load_weights(path)
    assert_close(loss(model), before, 1e-6)


@pytest.mark.parametrize("kind", ["Flipout", "Reparameterization"])
def test_channels_that_come_first_keep_their_signs_over_time(kind):
    cls = getattr(bayesian, f"Conv2D{kind}")

    class Cell(keras.layers.Layer):
        state_size = 1

        def __init__(self):
            super().__init__()
            self.convolution = cls(
                2, 1, data_format="channels_first", bias_posterior_fn=None
            )

        def build(self, input_shape):
            self.convolution.build(input_shape)

        def call(self, inputs, states):
            return self.convolution(inputs), states

    layer = bayesian.VariationalRNN(Cell())
    # An image without change in space has outputs without change in space.
    outputs = tf.function(layer, jit_compile=True)(tf.ones((2, 4, 3, 5, 6)))
    outputs = np.asarray(outputs)
    assert outputs.shape == (2, 2, 5, 6)
    assert_close(outputs, np.broadcast_to(outputs[..., :1, :1], (2, 2, 5, 6)))
    differ = np.abs(outputs[0] - outputs[1]).max() > 1e-4
    assert differ == (kind == "Flipout")


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_the_scale_that_is_set_is_that_of_the_posterior(dtype):
    layer = bayesian.DenseFlipout(UNITS, dtype=dtype)
    layer.build((None, FEATURES))
    # The dtype's rounding of ρ = -3, times dσ/dρ = 0.05.
    bound = 4 * float(ml_dtypes.finfo(dtype).eps) * 0.05
    layer.kernel.set_posterior(np.zeros((FEATURES, UNITS)), 0.05)
    scale = tf.cast(layer.kernel.posterior.stddev(), "float64")
    assert abs(np.asarray(scale) - 0.05).max() < bound
    # As small as the dtype has it.
    layer.kernel.set_posterior(np.zeros((FEATURES, UNITS)), 1e-12)
    scale = tf.cast(layer.kernel.posterior.stddev(), "float64")
    eps = float(ml_dtypes.finfo(dtype).eps)
    np.testing.assert_allclose(scale, np.full((FEATURES, UNITS), eps))


def test_bfloat16_alone():
    layer = bayesian.DenseFlipout(UNITS, dtype="bfloat16")
    outputs = layer(np.ones((2, FEATURES)))
    assert outputs.dtype == "bfloat16"
    assert np.isfinite(np.asarray(tf.cast(outputs, "float32"))).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seed": -1}, "`seed`"),
        ({"seed": 1.5}, "`seed`"),
        ({"seed": "a"}, "`seed`"),
        ({"lora_rank": 2}, "`lora_rank`"),
    ],
)
def test_bad_arguments_are_refused_at_once(arguments, message):
    with pytest.raises(ValueError, match=message):
        bayesian.DenseFlipout(UNITS, **arguments)


def test_a_variational_controller_is_made_from_an_integer_alone():
    with pytest.raises(ValueError, match="`variational_controller`"):
        bayesian.BayesianDNC(
            2, controller=keras.layers.LSTMCell(3), variational_controller=True
        )


def test_what_is_set_is_in_the_config():
    layer = bayesian.DenseFlipout(UNITS, kl_weight=1.0)
    model = model_of(layer)
    layer.kl_weight = 0.25
    copy = keras.models.clone_model(model)
    assert copy.layers[0].kl_weight == 0.25
