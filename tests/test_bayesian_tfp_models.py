"""Models of `tfp.layers` under tf_keras, taken to Keras 3."""

import keras
import numpy as np
import pytest
from helpers import arrays, assert_close

from keras_dnc import bayesian
from keras_dnc.bayesian.weights import random_weights

if keras.backend.backend() != "tensorflow":
    pytest.skip(
        "Bayesian layers need TensorFlow Probability, and so the TensorFlow "
        "backend",
        allow_module_level=True,
    )

# tfp warns of its own use of tf_keras.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.fixture(scope="module")
def tfpl():
    from tensorflow_probability import layers

    return layers


@pytest.fixture(scope="module")
def tf_layers():
    import tf_keras

    return tf_keras.layers


def sequential(*layers):
    import tf_keras

    model = tf_keras.Sequential(list(layers))
    # Not zero, one or equal, as many initial values are.
    rng = np.random.default_rng(0)
    model.set_weights(
        [rng.uniform(0.1, 0.9, w.shape) for w in model.get_weights()]
    )
    return model


def images(tfpl, tf_layers):
    return sequential(
        tf_layers.Input((8, 8, 2)),
        tfpl.Convolution2DFlipout(
            3, (3, 2), strides=2, padding="same", activation="relu"
        ),
        tf_layers.BatchNormalization(),
        tf_layers.Flatten(),
        tfpl.DenseReparameterization(
            5,
            activation="tanh",
            bias_posterior_fn=tfpl.default_mean_field_normal_fn(),
            bias_prior_fn=tfpl.default_multivariate_normal_fn,
        ),
        tf_layers.Dropout(0.5),
        tf_layers.Dense(2, activation="softmax"),
    )


def sequences(tfpl, tf_layers):
    return sequential(
        tf_layers.Input((9, 2)),
        tfpl.Convolution1DReparameterization(4, 3, dilation_rate=2),
        tf_layers.LSTM(3, return_sequences=True),
        tfpl.DenseLocalReparameterization(3, bias_posterior_fn=None),
        tfpl.DenseFlipout(2),
    )


def volumes(tfpl, tf_layers):
    return sequential(
        tf_layers.Input((4, 4, 4, 1)),
        tfpl.Convolution3DFlipout(2, 2, padding="valid"),
        tf_layers.GlobalAveragePooling3D(),
    )


def without_noise(model, converted):
    """Makes the deviations of both models all but zero."""
    for layer in model.layers:
        for name in ("kernel_posterior", "bias_posterior"):
            posterior = getattr(layer, name, None)
            normal = getattr(posterior, "distribution", None)
            if hasattr(normal, "scale"):
                variable = normal.scale.pretransformed_input
                variable.assign(np.full(variable.shape, -60.0))
    for weight in random_weights(converted):
        weight.set_posterior(weight.posterior.mean(), scale=1e-7)


@pytest.mark.parametrize("make", [images, sequences, volumes])
def test_weights_divergences_and_outputs_are_the_same(make, tfpl, tf_layers):
    model = make(tfpl, tf_layers)
    converted = bayesian.from_tfp(model)
    inputs = np.random.default_rng(1).normal(size=(3, *model.input_shape[1:]))
    inputs = inputs.astype("float32")
    model(inputs)
    assert_close(sum(converted.losses), float(sum(model.losses)), 1e-5)
    for old, new in zip(
        [layer for layer in model.layers if hasattr(layer, "kernel_posterior")],
        bayesian.variational_layers(converted),
        strict=True,
    ):
        assert type(new).__name__ == type(old).__name__.replace(
            "Convolution", "Conv"
        )
        normal = old.kernel_posterior.distribution
        ours = new.kernel.posterior.distribution
        assert_close(ours.loc, np.asarray(normal.loc))
        assert_close(ours.scale, arrays(normal.scale + 0.0), 1e-6)
    without_noise(model, converted)
    assert_close(converted(inputs), model(inputs).numpy(), 1e-5)


def test_what_has_no_counterpart(tfpl, tf_layers):
    import tf_keras
    from tensorflow_probability import distributions as tfd

    inputs = tf_layers.Input((4,))
    dense = tf_layers.Dense(4)(inputs)
    branched = tf_keras.Model(inputs, tf_layers.Add()([dense, inputs]))
    with pytest.raises(ValueError, match="follow one another"):
        bayesian.from_tfp(branched)
    for model in (
        keras.Sequential([keras.Input((2,))]),
        tf_keras.Sequential([tf_layers.Dense(2)]),
        None,
    ):
        with pytest.raises(ValueError, match="must be a tf_keras model"):
            bayesian.from_tfp(model)

    def wide(dtype, shape, name, trainable, add_variable_fn):
        normal = tfd.Normal(np.zeros(shape, "float32"), 2.0)
        return tfd.Independent(normal, len(shape))

    layer = tfpl.DenseFlipout(2, kernel_prior_fn=wide, name="wide")
    model = tf_keras.Sequential([inputs, layer])
    with pytest.raises(ValueError, match="standard normal priors.*'wide'"):
        bayesian.from_tfp(model)

    point = tfpl.default_mean_field_normal_fn(is_singular=True)
    layer = tfpl.DenseReparameterization(2, kernel_posterior_fn=point)
    model = tf_keras.Sequential([inputs, layer])
    with pytest.raises(ValueError, match="normal posteriors"):
        bayesian.from_tfp(model)

    model = tf_keras.Sequential([inputs, tfpl.DistributionLambda(tfd.Poisson)])
    with pytest.raises(ValueError, match="layers that Keras has"):
        bayesian.from_tfp(model)


def test_an_activation_without_a_name_is_refused(tfpl, tf_layers):
    leaky = tfpl.DenseFlipout(2, activation=tf_layers.LeakyReLU())
    with pytest.raises(ValueError, match="activations that Keras has"):
        bayesian.from_tfp(sequential(tf_layers.Input((3,)), leaky))


def relu(x):
    return x + 7


@pytest.mark.parametrize("variational", [False, True])
def test_an_activation_of_the_same_name_alone_is_refused(
    tfpl, tf_layers, variational
):
    kind = tfpl.DenseFlipout if variational else tf_layers.Dense
    for activation in (relu, "hard_sigmoid"):
        layer = kind(2, activation=activation)
        with pytest.raises(ValueError, match="activations that Keras has"):
            bayesian.from_tfp(sequential(tf_layers.Input((3,)), layer))


def test_draws_and_regularizers_of_ones_own_are_refused(tfpl, tf_layers):
    for name, value in (
        ("kernel_posterior_tensor_fn", lambda d: d.mean()),
        ("bias_posterior_tensor_fn", lambda d: d.mean()),
        ("activity_regularizer", "l2"),
    ):
        layer = tfpl.DenseFlipout(2, **{name: value})
        with pytest.raises(ValueError, match=f"with {name}="):
            bayesian.from_tfp(sequential(tf_layers.Input((3,)), layer))


def test_a_frozen_layer_stays_frozen_and_keeps_its_dtype(tfpl, tf_layers):
    frozen = tfpl.DenseFlipout(2, trainable=False, dtype="float64")
    model = sequential(tf_layers.Input((3,), dtype="float64"), frozen)
    (layer,) = bayesian.from_tfp(model).layers
    assert not layer.trainable_variables
    assert layer.variable_dtype == "float64"


@pytest.mark.parametrize("weight", ["kernel", "bias"])
def test_a_scaled_divergence_is_refused(tfpl, tf_layers, weight):
    from tensorflow_probability import distributions as tfd

    layer = tfpl.DenseFlipout(
        2,
        **{
            f"{weight}_divergence_fn": lambda q, p, ignore: (
                tfd.kl_divergence(q, p) / 100
            )
        },
    )
    with pytest.raises(ValueError, match=f"kl_weight.*{weight}_divergence_fn"):
        bayesian.from_tfp(sequential(tf_layers.Input((3,)), layer))
