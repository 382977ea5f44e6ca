"""Ordinary models made Bayesian, and the mean network taken back out."""

import keras
import numpy as np
import pytest
from helpers import assert_close, assert_differ, assert_equal, randomize
from helpers import sequences as make_sequences

import keras_dnc
from keras_dnc import bayesian
from keras_dnc.bayesian.weights import random_weights

if keras.backend.backend() != "tensorflow":
    pytest.skip(
        "Bayesian layers need TensorFlow Probability, and so the TensorFlow "
        "backend",
        allow_module_level=True,
    )

layers = keras.layers
sequences = make_sequences(batch=2, steps=6)


def convolutional():
    inputs = keras.Input((6, 3))
    x = layers.Conv1D(3, 3, padding="causal", activation="relu")(inputs)
    return keras.Model(inputs, layers.Dense(2)(layers.LSTM(4)(x)))


def bidirectional():
    inputs = keras.Input((6, 3))
    directions = layers.Bidirectional(layers.LSTM(3, return_sequences=True))
    x = layers.GRU(4, reset_after=False)(directions(inputs))
    return keras.Model(inputs, layers.Dense(2)(x))


def stacked():
    cells = [layers.LSTMCell(3), layers.GRUCell(4)]
    return keras.Sequential(
        [
            keras.Input((6, 3)),
            layers.RNN(layers.StackedRNNCells(cells)),
            layers.BatchNormalization(),
            layers.Dense(2, use_bias=False),
        ]
    )


def dnc():
    layer = keras_dnc.DNC(
        3, controller=4, memory_size=4, word_size=3, num_reads=1
    )
    return keras.Sequential([keras.Input((6, 3)), layer])


def dnc_with(**arguments):
    """A model of a DNC with parts of its own."""
    layer = keras_dnc.DNC(3, memory_size=4, word_size=3, **arguments)
    return keras.Sequential([keras.Input((6, 3)), layer])


def dnc_of_cells():
    cells = [layers.LSTMCell(3), layers.GRUCell(4)]
    return dnc_with(
        controller=layers.StackedRNNCells(cells),
        normalization=layers.LayerNormalization(),
    )


def dnc_of_a_layer():
    return dnc_with(controller=layers.Dense(4, "tanh"), layer_norm=True)


def nested():
    inputs = keras.Input((6, 3))
    inner = keras.Sequential([keras.Input((6, 3)), layers.Dense(4)])
    return keras.Model(inputs, layers.Dense(2)(inner(inputs)))


# Each with the number of its random weights, kernels and biases.
MODELS = {
    convolutional: 7,
    bidirectional: 11,
    stacked: 7,
    dnc: 4,
    dnc_of_cells: 4,
    dnc_of_a_layer: 4,
    nested: 4,
}
every_model = pytest.mark.parametrize(
    "make", MODELS, ids=lambda make: make.__name__
)


@every_model
@pytest.mark.parametrize(
    "estimator",
    ["flipout", pytest.param("reparameterization", marks=pytest.mark.slow)],
)
def test_there_and_back_a_model_answers_the_same(make, estimator):
    model = randomize(make())
    expected = model(sequences)
    converted = bayesian.to_bayesian(model, estimator, scale=1e-6)
    assert len(random_weights(converted)) == MODELS[make]
    assert_close(converted(sequences), expected, 1e-4)
    back = bayesian.to_deterministic(converted)
    assert not random_weights(back)
    assert_close(back(sequences), expected)
    assert_equal(model(sequences), expected)


def test_a_scale_and_a_prior_around_the_weights():
    model = randomize(nested())
    converted = bayesian.to_bayesian(
        model, scale=0.25, prior_scale=0.5, kl_weight=0.125
    )
    kernels = [w for w in random_weights(converted) if w.prefix == "kernel"]
    for weight, layer in zip(
        kernels, [model.layers[1].layers[0], model.layers[2]], strict=True
    ):
        normal = weight.posterior.distribution
        assert_equal(normal.loc, layer.kernel)
        assert_close(normal.scale, np.full(weight.shape, 0.25))
    # For equal means KL = ln(0.5 / 0.25) + 0.25² / (2 · 0.5²) − 1/2.
    count = sum(np.prod(weight.shape) for weight in kernels)
    divergence = count * (np.log(2) + 0.125 - 0.5)
    assert_close(sum(converted.losses), 0.125 * divergence, 1e-5)
    assert_differ(converted(sequences), converted(sequences))


def test_a_prior_around_the_weights_stays_in_training():
    converted = bayesian.to_bayesian(nested(), scale=0.1, prior_scale=0.5)
    trained = {v.path for v in converted.trainable_variables}
    priors = [w for w in converted.weights if w.path.endswith("prior_loc")]
    assert len(priors) == 2
    assert not trained & {variable.path for variable in priors}


def test_pruned_weights_are_zero_in_the_mean_network():
    converted = bayesian.to_bayesian(randomize(nested()), scale=0.1)
    bayesian.prune(converted, 0.5)
    back = bayesian.to_deterministic(converted)
    kernels = [w for w in back.weights if w.path.endswith("kernel")]
    zeros = sum(np.sum(keras.ops.convert_to_numpy(w) == 0) for w in kernels)
    assert zeros == (3 * 4 + 4 * 2) / 2


def test_a_model_that_cannot_be_converted():
    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(2)

        def call(self, inputs):
            return self.dense(inputs)

    subclassed = Subclassed()
    subclassed(sequences)
    unbuilt = keras.Sequential([layers.Dense(3)])
    for convert in bayesian.to_bayesian, bayesian.to_deterministic:
        with pytest.raises(ValueError, match="Functional"):
            convert(subclassed)
        for model in unbuilt, "a model":
            with pytest.raises(ValueError, match="`model` must be .* built"):
                convert(model)


@pytest.mark.parametrize(
    "arguments",
    [
        {"estimator": "local"},
        {"scale": 0.0},
        {"prior_scale": -1.0},
        {"kl_weight": -1.0},
    ],
)
def test_bad_arguments(arguments):
    (name,) = arguments
    with pytest.raises(ValueError, match=f"`{name}`.*{arguments[name]}"):
        bayesian.to_bayesian(nested(), **arguments)


def test_what_a_wrapper_holds_is_converted_too():
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(4)])
    model = keras.Sequential(
        [
            keras.Input((6, 3)),
            layers.TimeDistributed(layers.Dense(4, name="one")),
            layers.TimeDistributed(inner),
            layers.SimpleRNN(3, return_sequences=True),
            layers.LSTM(2, trainable=False),
        ]
    )
    bayes = bayesian.to_bayesian(model, scale=1e-6)
    kinds = {type(part) for part in bayesian.variational_layers(bayes)}
    assert kinds == {bayesian.DenseFlipout, bayesian.LSTMCellFlipout}
    assert len(bayesian.variational_layers(bayes)) == 3
    assert not bayes.layers[-1].trainable
    inputs = np.random.default_rng(0).normal(size=(2, 6, 3))
    assert_close(bayes(inputs), model(inputs), 1e-4)
    assert_close(bayesian.to_deterministic(bayes)(inputs), model(inputs), 1e-5)


def test_a_convolution_over_time_stays_as_it_is():
    model = keras.Sequential(
        [keras.Input((4, 5, 5, 1)), layers.ConvLSTM2D(2, 3), layers.Flatten()]
    )
    bayes = bayesian.to_bayesian(model)
    assert type(bayes.layers[0]) is layers.ConvLSTM2D
    inputs = np.ones((1, 4, 5, 5, 1))
    assert_close(bayes(inputs), model(inputs), 1e-6)


def test_what_is_bayesian_in_a_dnc_is_converted_too():
    layer = bayesian.BayesianDNC(
        3,
        controller=bayesian.GRUCellFlipout(4),
        memory_size=4,
        word_size=3,
        num_reads=1,
        interface=keras_dnc.Interface(
            3,
            num_reads=1,
            projection=bayesian.DenseReparameterization(
                keras_dnc.Interface(3, num_reads=1).size
            ),
        ),
    )
    model = keras.Sequential([keras.Input((6, 3)), layer])
    back = bayesian.to_deterministic(model)
    assert not random_weights(back)
    cell = back.layers[0].cell
    assert type(cell.controller) is layers.GRUCell
    assert type(cell.interface.projection) is layers.Dense
    # Of posteriors that are all but certain the draws are the means.
    for weight in random_weights(model):
        weight.set_posterior(weight.posterior.mean(), 1e-6)
    assert_close(back(sequences), model(sequences), 1e-4)


def test_a_dnc_that_has_no_variational_form_is_refused():
    layer = keras_dnc.BidirectionalDNC(3, 4, backward=2, name="both")
    model = keras.Sequential([keras.Input((6, 3)), layer])
    with pytest.raises(ValueError, match="BidirectionalDNC 'both'"):
        bayesian.to_bayesian(model)


def test_a_model_inside_a_cell_is_refused():
    model = dnc_with(controller=keras.Sequential([layers.Dense(4)]))
    with pytest.raises(ValueError, match="a model inside an RNN cell"):
        bayesian.to_bayesian(model)
