"""The first tensor that went wrong in a training is found."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_dnc
from keras_dnc import diagnosis


class Root(keras.layers.Layer):
    """A controller whose outputs are NaN where its inputs are below -2."""

    def call(self, inputs):
        return ops.sqrt(inputs + 2)


def model_of(layer, optimizer="sgd"):
    inputs = keras.Input((None, 3))
    model = keras.Model(inputs, layer(inputs))
    model.compile(optimizer, "mse", jit_compile=False)
    return model


def batches(count=3, low=None):
    rng = np.random.default_rng(0)
    for step in range(count):
        inputs = rng.random((2, 5, 3)).astype("float32")
        if low and step == low[0]:
            inputs[low[1:]] = -3
        yield inputs, rng.random((2, 5, 2)).astype("float32"), np.ones((2, 5))


def dnc(**options):
    return keras_dnc.DNC(
        2, memory_size=4, word_size=3, return_sequences=True, **options
    )


def test_a_tensor_of_a_time_step_is_found():
    model = model_of(dnc(controller=Root()))
    found = diagnosis.first_not_finite(model, batches(low=(1, 1, 2)))
    assert "in step 2: interface/" in found
    assert found.endswith("of example 1 at time step 2")


def test_a_gradient_is_found():
    model = model_of(dnc(), keras.optimizers.SGD(float("inf")))
    found = diagnosis.first_not_finite(model, batches())
    assert "in step 1: the gradient, which made " in found
    assert found.split()[-2] in {x.path for x in model.trainable_variables}


@pytest.mark.parametrize(
    ("rate", "steps", "message"),
    [
        (1e30, 9, r"the loss is (inf|nan) after step [23] of epoch 1\. A sm"),
        # The loss of the last step is that before its update.
        (float("inf"), 1, r"dense.*/kernel is not finite after epoch 1\. A sm"),
    ],
)
def test_a_training_that_comes_to_nan_ends(rate, steps, message):
    model = model_of(keras.layers.Dense(2), keras.optimizers.SGD(rate))
    with pytest.raises(FloatingPointError, match=message):
        model.fit(
            batches(steps),
            steps_per_epoch=steps,
            shuffle=False,
            callbacks=[diagnosis.CheckFinite()],
            verbose=0,
        )


def test_another_network_is_searched_too():
    model = model_of(keras.layers.Dense(2), keras.optimizers.SGD(1e30))
    found = diagnosis.first_not_finite(model, batches(9))
    assert "the gradient, which made dense" in found


def test_outputs_of_another_network_are_searched_too():
    class Below(keras.layers.Layer):
        def call(self, inputs):
            return ops.sqrt(inputs - 2)

    inputs = keras.Input((None, 3))
    model = keras.Model(
        inputs,
        keras.layers.LSTM(2, return_sequences=True)(Below()(inputs)),
        name="below",
    )
    model.compile("sgd", "mse", jit_compile=False)
    found = diagnosis.first_not_finite(model, batches())
    assert found == "First to go wrong, in step 1: the outputs of 'below'"


@pytest.mark.parametrize("place", [0, 1, 2])
def test_what_it_is_trained_on_may_be_wrong(place):
    data = [[*parts] for parts in batches()]
    data[1][place] = data[1][place] * np.nan
    found = diagnosis.first_not_finite(model_of(keras.layers.Dense(2)), data)
    name = ("inputs", "targets", "weights")[place]
    assert found == f"First to go wrong: the {name} of step 2"


def test_nothing_may_be_wrong():
    found = diagnosis.first_not_finite(model_of(dnc()), batches())
    assert found == "Trained again from there, nothing went wrong"
