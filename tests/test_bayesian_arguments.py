"""Bad arguments of variational layers: what was expected, and what came."""

import functools
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from helpers import assert_differ

from keras_dnc import bayesian

if keras.backend.backend() != "tensorflow":
    pytest.skip(
        "TensorFlow Probability needs the TensorFlow backend",
        allow_module_level=True,
    )

# How each class is made, with nothing but what it needs.
MAKE = {
    name: functools.partial(
        getattr(bayesian, name), *((4, 3) if "Conv" in name else (4,))
    )
    for name in (
        "BayesianDNC",
        "BayesianDNCCell",
        "Conv1DFlipout",
        "Conv1DReparameterization",
        "Conv2DFlipout",
        "Conv2DReparameterization",
        "Conv3DFlipout",
        "Conv3DReparameterization",
        "DenseFlipout",
        "DenseLocalReparameterization",
        "DenseReparameterization",
        "GRUCellFlipout",
        "GRUCellReparameterization",
        "LSTMCellFlipout",
        "LSTMCellReparameterization",
    )
}
VARIATIONAL = [name for name in MAKE if "DNC" not in name]
CELLS = [name for name in VARIATIONAL if "Cell" in name]
ALL = pytest.mark.parametrize("cls", MAKE)
EACH = pytest.mark.parametrize("cls", VARIATIONAL)


def own_normal(shape_of=tuple):
    """A posterior or prior of one's own, of the shape that one likes."""

    def function(dtype, shape, name, trainable, add_variable_fn):
        from tensorflow_probability import distributions as tfd

        shape = shape_of(shape)
        return tfd.Independent(
            tfd.Normal(np.zeros(shape, "float32"), np.float32(1)), len(shape)
        )

    return function


def own_laplace(dtype, shape, name, trainable, add_variable_fn):
    """A posterior with another form than the normal."""
    from tensorflow_probability import distributions as tfd

    loc = add_variable_fn(
        name=f"{name}_loc",
        shape=shape,
        dtype=dtype,
        initializer="zeros",
        regularizer=None,
        constraint=None,
        trainable=trainable,
    )
    return tfd.Independent(tfd.Laplace(loc, np.float32(1)), len(shape))


@ALL
@pytest.mark.parametrize(
    "value", [-0.5, float("nan"), float("inf"), "1", None, True]
)
def test_a_kl_weight_that_is_no_nonnegative_number(cls, value):
    with pytest.raises(ValueError, match=r"`kl_weight` must be") as error:
        MAKE[cls](kl_weight=value)
    assert f"kl_weight={value!r}" in str(error.value)


@EACH
def test_a_kl_weight_may_be_zero_or_of_numpy(cls):
    assert MAKE[cls](kl_weight=0).kl_weight == 0
    assert MAKE[cls](kl_weight=np.float32(0.5)).kl_weight == 0.5


@pytest.mark.parametrize("built", [False, True])
@pytest.mark.parametrize("value", [-1, float("nan"), "1"])
def test_a_kl_weight_that_is_set_later(value, built):
    layer = bayesian.DenseFlipout(4)
    if built:
        layer.build((2, 3))
    with pytest.raises(ValueError, match=r"`kl_weight` must be") as error:
        layer.kl_weight = value
    assert f"kl_weight={value!r}" in str(error.value)
    assert layer.kl_weight == 1


KINDS = {
    "posterior_fn": '"mean_field_normal" or "deterministic"',
    "posterior_tensor_fn": "function",
    "prior_fn": '"standard_normal"',
    "divergence_fn": '"kl" or "analytic_kl" or "monte_carlo_kl"',
}


@EACH
@pytest.mark.parametrize("kind", KINDS)
def test_a_name_of_no_function(cls, kind):
    prefixes = ["kernel", "bias"] + ["recurrent"] * (cls in CELLS)
    for prefix in prefixes:
        name = f"{prefix}_{kind}"
        with pytest.raises(
            ValueError, match=f"`{name}` must be a function"
        ) as error:
            MAKE[cls](**{name: "no_such_name"})
        assert KINDS[kind] in str(error.value)
        assert f"{name}='no_such_name'" in str(error.value)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [3, 0.5, ["kl"], True])
def test_a_value_that_is_no_function(kind, value):
    name = f"kernel_{kind}"
    with pytest.raises(
        ValueError, match=f"`{name}` must be a function"
    ) as error:
        bayesian.DenseFlipout(4, **{name: value})
    assert f"{name}={value!r}" in str(error.value)


@pytest.mark.parametrize("name", ["kernel", "recurrent"])
def test_a_kernel_must_have_a_posterior(name):
    # None stands for no bias, but there is no layer without a kernel.
    name = f"{name}_posterior_fn"
    with pytest.raises(ValueError, match=f"`{name}` .*Received.*None"):
        layer = bayesian.LSTMCellFlipout(4, **{name: None})
        layer.build((2, 3))


def test_no_posterior_of_the_bias_is_no_bias():
    layer = bayesian.DenseFlipout(4, bias_posterior_fn=None)
    layer.build((2, 3))
    assert layer.bias is None


@pytest.mark.parametrize("kind", ["initializer", "regularizer", "constraint"])
@EACH
def test_an_argument_of_means_beside_a_posterior_of_ones_own(cls, kind):
    values = {
        "initializer": "zeros",
        "regularizer": "l2",
        "constraint": "unit_norm",
    }
    prefixes = ["kernel", "bias"] + ["recurrent"] * (cls in CELLS)
    for prefix in prefixes:
        name, function = f"{prefix}_{kind}", f"{prefix}_posterior_fn"
        with pytest.raises(
            ValueError, match=f"`{name}` holds for .*{name}={values[kind]}"
        ) as error:
            MAKE[cls](
                **{name: values[kind], function: bayesian.MeanFieldNormal()}
            )
        assert function in str(error.value)


SHAPES = {
    "too long": lambda shape: (*shape[:-1], shape[-1] + 1),
    "another rank": lambda shape: (1, *shape),
    "scalar": lambda shape: (),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["posterior", "prior"])
@pytest.mark.parametrize("cls", ["DenseReparameterization", "DenseFlipout"])
def test_a_distribution_of_another_shape(cls, kind, shape):
    name = f"kernel_{kind}_fn"
    layer = MAKE[cls](**{name: own_normal(SHAPES[shape])})
    with pytest.raises(ValueError, match=f"`{name}` must make") as error:
        layer(np.zeros((2, 3)))
    assert "(3, 4)" in str(error.value)
    assert str(SHAPES[shape]((3, 4))) in str(error.value)


def test_a_recurrent_prior_of_another_shape():
    layer = bayesian.VariationalRNN(
        bayesian.LSTMCellFlipout(
            4, recurrent_prior_fn=own_normal(SHAPES["too long"])
        )
    )
    with pytest.raises(ValueError, match=r"`recurrent_prior_fn` .*\(4, 16\)"):
        layer(np.zeros((2, 5, 3)))


@pytest.mark.parametrize("value", ["", "Flipout", "local", None, 1, ["x"]])
@pytest.mark.parametrize("cls", ["BayesianDNC", "BayesianDNCCell"])
def test_an_unknown_estimator(cls, value):
    with pytest.raises(
        ValueError,
        match="`estimator` must be one of flipout, reparameterization",
    ) as error:
        MAKE[cls](estimator=value)
    assert f"estimator={value!r}" in str(error.value)


@pytest.mark.parametrize(
    ("cls", "name"),
    [
        ("BayesianDNC", "draw_per_step"),
        ("BayesianDNC", "variational_controller"),
    ],
)
@pytest.mark.parametrize("value", [1, None, "yes"])
def test_a_switch_that_is_neither_true_nor_false(cls, name, value):
    with pytest.raises(ValueError, match=f"`{name}` must be True or False"):
        MAKE[cls](**{name: value})


def test_the_switch_of_a_recurrent_layer():
    with pytest.raises(ValueError, match=r"`draw_per_step` .*draw_per_step=1"):
        bayesian.VariationalRNN(keras.layers.GRUCell(2), draw_per_step=1)


@pytest.mark.parametrize(
    "value", [0, 0.0, -1.0, float("nan"), float("inf"), "1", None, True]
)
@pytest.mark.parametrize(
    ("cls", "name"),
    [
        (bayesian.NormalPrior, "scale"),
        (bayesian.CentredNormalPrior, "scale"),
        (bayesian.ScaleMixturePrior, "scale1"),
        (bayesian.ScaleMixturePrior, "scale2"),
    ],
)
def test_a_scale_that_is_not_positive(cls, name, value):
    with pytest.raises(ValueError, match=f"`{name}` must be a pos") as error:
        cls(**{name: value})
    assert f"{name}={value!r}" in str(error.value)


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), "0.5", None, True])
def test_a_mixing_weight_outside_0_to_1(value):
    with pytest.raises(
        ValueError, match=r"`mixing` must be a number from 0 to 1"
    ) as error:
        bayesian.ScaleMixturePrior(mixing=value)
    assert f"mixing={value!r}" in str(error.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "0", None])
def test_a_mean_of_a_prior_that_is_no_number(value):
    with pytest.raises(ValueError, match=r"`loc` must be a finite") as error:
        bayesian.NormalPrior(loc=value)
    assert f"loc={value!r}" in str(error.value)


@pytest.mark.parametrize("value", [0, None, "no"])
def test_a_learned_scale_that_is_neither_true_nor_false(value):
    with pytest.raises(ValueError, match="`learned_scale` must be True or Fal"):
        bayesian.NormalPrior(learned_scale=value)


NEED_NORMALS = [
    name
    for name in VARIATIONAL
    if "Flipout" in name or name == "DenseLocalReparameterization"
]


@pytest.mark.parametrize("posterior", ["laplace", "deterministic"])
@pytest.mark.parametrize("cls", NEED_NORMALS)
def test_an_estimator_that_needs_normals(cls, posterior):
    value = {"laplace": own_laplace, "deterministic": "deterministic"}
    prefixes = ["kernel"] + ["recurrent"] * (cls in CELLS)
    rank = int(cls[4]) if cls.startswith("Conv") else 0
    for prefix in prefixes:
        name = f"{prefix}_posterior_fn"
        layer = MAKE[cls](**{name: value[posterior]})
        with pytest.raises(
            ValueError, match=rf"`{name}` must make independent normals"
        ) as error:
            layer.build((2, *(8,) * rank, 3))
        needs = "Flipout" if "Flipout" in cls else "LocalReparameterization"
        assert needs in str(error.value)
        assert "Received" in str(error.value)


@pytest.mark.parametrize(
    "cls", [name for name in VARIATIONAL if name not in NEED_NORMALS]
)
def test_reparameterization_takes_any_posterior(cls):
    from tensorflow_probability import distributions as tfd

    layer = MAKE[cls](kernel_posterior_fn=own_laplace)
    rank = int(cls[4]) if cls.startswith("Conv") else 0
    layer.build((2, *(8,) * rank, 3))
    assert isinstance(layer.kernel.posterior.distribution, tfd.Laplace)
    assert_differ(layer.kernel.draw(None), layer.kernel.draw(None))


@ALL
def test_an_unknown_argument(cls):
    with pytest.raises((TypeError, ValueError), match="kernel_priro_fn"):
        MAKE[cls](kernel_priro_fn="standard_normal")


def test_an_unknown_argument_of_a_recurrent_layer():
    with pytest.raises((TypeError, ValueError), match="draw_per_stpe"):
        bayesian.VariationalRNN(keras.layers.GRUCell(2), draw_per_stpe=True)


# The cells alone have a recurrent kernel.
@pytest.mark.parametrize(
    "cls", [name for name in VARIATIONAL if name not in CELLS]
)
def test_a_recurrent_argument_of_a_layer_without_recurrence(cls):
    with pytest.raises((TypeError, ValueError), match="recurrent_prior_fn"):
        MAKE[cls](recurrent_prior_fn="standard_normal")


@pytest.mark.parametrize("cls", ["BayesianDNC", "BayesianDNCCell"])
@pytest.mark.parametrize("value", ["normal", 3])
def test_a_prior_of_a_dnc_that_is_none(cls, value):
    with pytest.raises(
        ValueError, match="`kernel_prior_fn` must be a function"
    ) as error:
        MAKE[cls](kernel_prior_fn=value)
    assert f"kernel_prior_fn={value!r}" in str(error.value)


ON_JAX = """
import sys
import keras
import keras_dnc
from keras_dnc import bayesian

assert keras.backend.backend() == "jax"
for call in sys.argv[1:]:
    name, arguments = call.split(":")
    try:
        arguments = map(int, arguments.split(","))
        if name == "DenseVariational":
            arguments = *arguments, print, print
        getattr(bayesian, name)(*arguments)
    except ValueError as error:
        message = str(error)
        assert "TensorFlow" in message and "jax" in message, (name, message)
    else:
        raise SystemExit(f"{name} can be constructed")
# What is not Bayesian works.
keras_dnc.DNC(2, controller=3, memory_size=2, word_size=2)
"""


def test_on_jax_construction_names_the_backend():
    pytest.importorskip("jax")
    calls = [
        f"{name}:{'4,3' if name.startswith('Conv') else '4'}"
        for name in (*MAKE, "DenseVariational")
    ]
    done = subprocess.run(
        [sys.executable, "-c", ON_JAX, *calls],
        env={**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_the_classes_above_are_all_that_there_are():
    layers = {
        name
        for name in bayesian.__all__
        if isinstance(getattr(bayesian, name), type)
        and issubclass(getattr(bayesian, name), keras.layers.Layer)
    }
    # tests/test_bayesian_dense_variational.py has the arguments of the last.
    assert layers == {*MAKE, "VariationalRNN", "DenseVariational"}
