"""Every public Bayesian layer goes through the same checks.

Those of tests/test_conformance.py, for layers whose outputs are random: where
values are compared the deviations are next to zero.
"""

from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
import pytest
from helpers import SIZES, arrays, assert_close, randomize

import keras_dnc
from keras_dnc import bayesian
from keras_dnc.bayesian.weights import random_weights

if keras.backend.backend() != "tensorflow":
    pytest.skip(
        "Bayesian layers need TensorFlow Probability, and so the TensorFlow "
        "backend",
        allow_module_level=True,
    )

BATCH, STEPS, FEATURES, UNITS, SPACE = 3, 4, 5, 2, 6


class Case(NamedTuple):
    """A public layer, how to make one, and its shapes without the batch.

    Attributes:
        cls: The class.
        make: Makes a layer of `UNITS` outputs from the arguments of all.
        inputs: The shape of its inputs.
        outputs: The shape of its outputs.
        around: What makes a layer of a cell.
    """

    cls: type
    make: Callable
    inputs: tuple
    outputs: tuple
    around: Callable | None = None


def of_units(cls):
    return lambda **arguments: cls(UNITS, **arguments)


def of_convolution(cls):
    return lambda **arguments: cls(UNITS, 3, **arguments)


SEQUENCE = (STEPS, FEATURES)
CASES = [
    *(
        Case(cls, of_units(cls), (FEATURES,), (UNITS,))
        for cls in (
            bayesian.DenseFlipout,
            bayesian.DenseLocalReparameterization,
            bayesian.DenseReparameterization,
        )
    ),
    Case(
        bayesian.DenseVariational,
        lambda **arguments: bayesian.DenseVariational(
            UNITS,
            bayesian.posterior_mean_field,
            bayesian.prior_trainable,
            **arguments,
        ),
        (FEATURES,),
        (UNITS,),
    ),
    *(
        Case(
            cls,
            of_convolution(cls),
            (*(SPACE,) * rank, FEATURES),
            (*(SPACE - 2,) * rank, UNITS),
        )
        for rank in (1, 2, 3)
        for cls in (
            getattr(bayesian, f"Conv{rank}DFlipout"),
            getattr(bayesian, f"Conv{rank}DReparameterization"),
        )
    ),
    *(
        Case(cls, of_units(cls), SEQUENCE, (UNITS,), bayesian.VariationalRNN)
        for cls in (
            bayesian.GRUCellFlipout,
            bayesian.GRUCellReparameterization,
            bayesian.LSTMCellFlipout,
            bayesian.LSTMCellReparameterization,
        )
    ),
    Case(
        bayesian.VariationalRNN,
        lambda **arguments: bayesian.VariationalRNN(
            [
                bayesian.LSTMCellFlipout(3, **arguments),
                keras.layers.GRUCell(UNITS, **arguments),
            ],
            **arguments,
        ),
        SEQUENCE,
        (UNITS,),
    ),
    Case(
        bayesian.BayesianDNCCell,
        lambda **arguments: bayesian.BayesianDNCCell(
            UNITS, 6, **SIZES, **arguments
        ),
        SEQUENCE,
        (UNITS,),
        bayesian.VariationalRNN,
    ),
    Case(
        bayesian.BayesianDNC,
        lambda **arguments: bayesian.BayesianDNC(
            UNITS, 6, variational_controller=True, **SIZES, **arguments
        ),
        SEQUENCE,
        (UNITS,),
    ),
]
every_layer = pytest.mark.parametrize(
    "case", CASES, ids=lambda case: case.cls.__name__
)
# A graph over a whole DNC takes longest to make.
every_layer_compiled = pytest.mark.parametrize(
    "case",
    [
        pytest.param(
            case,
            id=case.cls.__name__,
            marks=pytest.mark.slow
            if issubclass(case.cls, (bayesian.BayesianDNC, keras_dnc.DNCCell))
            else (),
        )
        for case in CASES
    ],
)


def data(case):
    rng = np.random.default_rng(3)
    return rng.normal(size=(BATCH, *case.inputs)) / 2


def made(case, **arguments):
    layer = case.make(**arguments)
    if case.around is None:
        return layer
    return case.around(layer, dtype=arguments.get("dtype"))


def certain(case, **arguments):
    """A layer with random means, all but without deviations."""
    layer = made(case, **arguments)
    layer(data(case))
    randomize(layer)
    for weight in random_weights(layer):
        weight.set_posterior(weight.posterior.mean(), scale=1e-7)
    return layer


def as_model(case, layer):
    return keras.Sequential([keras.Input(case.inputs), layer])


def test_no_public_layer_is_missing_here():
    public = (getattr(bayesian, name) for name in bayesian.__all__)
    layers = {
        cls
        for cls in public
        if isinstance(cls, type) and issubclass(cls, keras.layers.Layer)
    }
    assert layers == {case.cls for case in CASES}


@every_layer
def test_it_is_registered_under_the_name_of_the_package(case):
    name = f"keras_dnc>{case.cls.__name__}"
    assert keras.saving.get_registered_object(name) is case.cls


@every_layer
def test_shapes_are_known_before_the_data(case):
    layer = made(case)
    expected = (None, *case.outputs)
    assert layer.compute_output_shape((None, *case.inputs)) == expected
    symbolic = layer(keras.Input(case.inputs))
    assert symbolic.shape == expected
    assert tuple(layer(data(case)).shape) == (BATCH, *case.outputs)


@every_layer
def test_it_computes_in_float64(case):
    layer = certain(case, dtype="float64")
    floats = {w.dtype for w in layer.weights if w.dtype.startswith("float")}
    assert floats == {"float64"}
    outputs = layer(data(case))
    assert outputs.dtype == "float64"
    assert_close(
        arrays(outputs).astype("float32"), certain(case)(data(case)), 2e-5
    )


@every_layer
@pytest.mark.parametrize(
    "half", ["float16", pytest.param("bfloat16", marks=pytest.mark.slow)]
)
def test_it_computes_in_mixed_precision(case, half):
    layer = made(case, dtype=f"mixed_{half}")
    outputs = layer(data(case))
    assert outputs.dtype == half
    floats = {w.dtype for w in layer.weights if w.dtype.startswith("float")}
    assert floats == {"float32"}
    assert np.isfinite(arrays(keras.ops.cast(outputs, "float32"))).all()
    assert np.isfinite(float(sum(layer.losses)))


@every_layer_compiled
@pytest.mark.parametrize(
    "jit_compile",
    [False, pytest.param(True, marks=pytest.mark.slow)],
    ids=["graph", "jit"],
)
def test_compiled_it_computes_the_same(case, jit_compile):
    layer = certain(case)
    model = as_model(case, layer)
    model.compile(jit_compile=jit_compile)
    # Two of the three examples at a time: the batch size is then unknown.
    outputs = model.predict(data(case), batch_size=2, verbose=0)
    assert_close(outputs, layer(data(case)), 2e-5)


@pytest.mark.slow
@every_layer
def test_it_learns_with_all_its_weights(case):
    layer = made(case)
    model = as_model(case, layer)
    model.compile("adam", "mse", jit_compile=False)
    before = [np.array(variable) for variable in layer.trainable_variables]
    model.fit(data(case), np.ones((BATCH, *case.outputs)), verbose=0)
    for one, other in zip(before, layer.trainable_variables, strict=True):
        assert not np.array_equal(one, other), other.path
