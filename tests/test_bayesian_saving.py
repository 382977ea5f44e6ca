"""Variational layers survive saving, cloning, pickling and copying."""

import copy
import functools
import inspect
import itertools
import json
import pickle
import subprocess
import sys

import keras
import numpy as np
import pytest
from helpers import (
    FEATURES,
    SIZES,
    arrays,
    assert_close,
    assert_differ,
    assert_equal,
    randomize,
    save_in_a_subclass,
    sequences,
)
from keras import ops

import keras_dnc
from keras_dnc import bayesian
from keras_dnc.bayesian import distributions, divergences

if keras.backend.backend() != "tensorflow":
    pytest.skip(
        "TensorFlow Probability needs the TensorFlow backend",
        allow_module_level=True,
    )

initializers, regularizers = keras.initializers, keras.regularizers
constraints = keras.constraints


@keras.saving.register_keras_serializable(package="keras_dnc_tests")
def mode_of(distribution):
    """A draw that is none."""
    return distribution.mode()


# Configs.

COMMON = {"name": "own_name", "dtype": "float64", "trainable": False}


def posterior():
    return bayesian.MeanFieldNormal(
        loc_initializer=initializers.Constant(0.25),
        untransformed_scale_regularizer=regularizers.L2(0.5),
    )


def functions_of(*prefixes):
    """Functions of one's own in place of each default."""
    functions = {
        "posterior_fn": posterior,
        "posterior_tensor_fn": lambda: mode_of,
        "prior_fn": lambda: bayesian.ScaleMixturePrior(0.25, 2.0, 0.5),
        "divergence_fn": bayesian.MonteCarloKL,
    }
    return {
        f"{prefix}_{kind}": make()
        for prefix in prefixes
        for kind, make in functions.items()
    }


def names_of(*prefixes):
    """Other names in place of each default, and what means take."""
    names = {
        "prior_fn": "standard_normal",
        "divergence_fn": "monte_carlo_kl",
        "initializer": initializers.RandomNormal(stddev=0.3, seed=1),
        "regularizer": regularizers.L2(0.01),
        "constraint": constraints.MaxNorm(1.5),
    }
    return {
        f"{prefix}_{kind}": value
        for prefix in prefixes
        for kind, value in names.items()
    }


DRAWS = {"kl_weight": 0.25, "seed": 7, **COMMON}
ACTIVITY = {"activity_regularizer": regularizers.L1(0.02)}
KERNEL = ("kernel", "bias")
DENSE = {"units": 5, "activation": "tanh", **ACTIVITY, **DRAWS}
RECURRENCE = {
    "units": 5,
    "activation": "relu",
    "recurrent_activation": "tanh",
    "dropout": 0.1,
    "recurrent_dropout": 0.2,
    **ACTIVITY,
    **DRAWS,
}
LSTM = {**RECURRENCE, "unit_forget_bias": False}
GRU = {**RECURRENCE, "reset_after": False}
DNC = {
    "units": 2,
    "controller": 6,
    "memory_size": 5,
    "word_size": 3,
    "num_reads": 2,
    "num_writes": 2,
    "normalization": keras.layers.LayerNormalization(epsilon=0.01),
    "clip_value": 3.5,
    "interface": None,
    "write_head": None,
    "read_head": None,
    "kernel_initializer": initializers.RandomNormal(stddev=0.3, seed=1),
    "recurrent_initializer": initializers.RandomNormal(stddev=0.2, seed=2),
    "bias_initializer": initializers.Constant(0.1),
    "kernel_regularizer": regularizers.L2(0.01),
    "recurrent_regularizer": regularizers.L1(0.02),
    "bias_regularizer": regularizers.L2(0.03),
    "kernel_constraint": constraints.MaxNorm(1.5),
    "recurrent_constraint": constraints.MaxNorm(2.5),
    "bias_constraint": constraints.MaxNorm(3.5),
    "dropout": 0.1,
    "recurrent_dropout": 0.2,
    "estimator": "reparameterization",
    "variational_controller": True,
    "kernel_prior_fn": bayesian.NormalPrior(0.5, 2.0, True),
    **DRAWS,
}
RNN = {
    "return_sequences": True,
    "return_state": True,
    "go_backwards": True,
    "stateful": True,
    "unroll": True,
    "zero_output_for_mask": True,
    "draw_per_step": True,
}


def convolution(rank):
    return {
        "filters": 4,
        "kernel_size": (3,) * rank,
        "strides": (2,) * rank,
        "padding": "same",
        "data_format": "channels_first",
        "dilation_rate": (1,) * rank,
        "groups": 2,
        "activation": "tanh",
        **ACTIVITY,
        **DRAWS,
    }


BASES = {
    "Dense": (DENSE, KERNEL),
    "Conv1D": (convolution(1), KERNEL),
    "Conv2D": (convolution(2), KERNEL),
    "Conv3D": (convolution(3), KERNEL),
    "LSTMCell": (LSTM, (*KERNEL, "recurrent")),
    "GRUCell": (GRU, (*KERNEL, "recurrent")),
}
ESTIMATORS = ("Flipout", "Reparameterization", "LocalReparameterization")
# For each class two sets of arguments, which together leave no default.
ARGUMENTS = {
    getattr(bayesian, base + estimator): [
        {**arguments, **functions_of(*prefixes)},
        {
            **arguments,
            **names_of(*prefixes),
            "bias_posterior_fn": "mean_field_normal",
        },
        {**arguments, "bias_posterior_fn": None},
    ]
    for (base, (arguments, prefixes)), estimator in itertools.product(
        BASES.items(), ESTIMATORS
    )
    if hasattr(bayesian, base + estimator)
} | {
    bayesian.DenseVariational: [
        {
            **DENSE,
            "make_posterior_fn": bayesian.posterior_mean_field,
            "make_prior_fn": bayesian.prior_trainable,
            "kl_use_exact": True,
        }
    ],
    bayesian.BayesianDNCCell: [
        DNC,
        {
            **{k: v for k, v in DNC.items() if "recurrent" not in k},
            "dropout": 0.0,
            "variational_controller": False,
            "controller": keras.layers.GRUCell(4),
            "interface": keras_dnc.Interface(3, 2, 2, name="own_interface"),
            "write_head": keras_dnc.WriteHead(name="own_head"),
            "read_head": keras_dnc.ReadHead(name="own_head"),
            "kernel_prior_fn": None,
        },
        {
            **DNC,
            "masked_keys": True,
            "mask_minimum": 0.125,
            "deallocation": True,
            "sharpness": True,
            "layer_norm": True,
            "content_only": True,
            "sparse_links": 3,
            "link_storage": "float16",
            "bypass_dropout": 0.25,
            "memory_initializer": initializers.RandomNormal(seed=3),
            "learned_memory": True,
        },
    ],
    bayesian.BayesianDNC: [
        {**DNC, **RNN, **ACTIVITY},
        {**DNC, "checkpoint_every": 3},
    ],
    bayesian.VariationalRNN: [
        {
            "cell": bayesian.GRUCellFlipout(3, kl_weight=0.25),
            **RNN,
            **ACTIVITY,
            **COMMON,
        }
    ],
}
FUNCTIONS = {
    bayesian.MeanFieldNormal: {
        "loc_initializer": initializers.Constant(0.25),
        "untransformed_scale_initializer": initializers.Constant(-2.0),
        "loc_regularizer": regularizers.L2(0.01),
        "untransformed_scale_regularizer": regularizers.L1(0.02),
        "loc_constraint": constraints.MaxNorm(1.5),
        "untransformed_scale_constraint": constraints.MaxNorm(2.5),
    },
    bayesian.Deterministic: {
        "loc_initializer": initializers.Constant(0.25),
        "loc_regularizer": regularizers.L2(0.01),
        "loc_constraint": constraints.MaxNorm(1.5),
    },
    bayesian.NormalPrior: {"loc": 0.5, "scale": 2.0, "learned_scale": True},
    bayesian.ScaleMixturePrior: {"mixing": 0.25, "scale1": 2.0, "scale2": 0.5},
    bayesian.CentredNormalPrior: {
        "scale": 2.0,
        "loc_initializer": initializers.RandomNormal(stddev=0.3, seed=1),
    },
    bayesian.AnalyticKL: {},
    bayesian.MonteCarloKL: {},
    bayesian.KLDivergence: {},
}


def public_classes(accepts):
    members = [getattr(bayesian, name) for name in bayesian.__all__]
    return {cls for cls in members if isinstance(cls, type) and accepts(cls)}


@pytest.mark.slow
def test_the_classes_of_this_file_are_all_that_there_are():
    layers = public_classes(lambda cls: issubclass(cls, keras.layers.Layer))
    assert set(ARGUMENTS) == layers
    # Each has a model below, which is saved.
    in_models = {type(layer) for model in MODELS for layer in parts_of(model)}
    assert layers <= in_models
    modules = {distributions.__name__, divergences.__name__}
    functions = public_classes(lambda cls: cls.__module__ in modules)
    assert set(FUNCTIONS) == functions


def named_arguments(cls):
    """The arguments of a class's constructor and its parents'."""
    names = set()
    for base in cls.__mro__:
        if "__init__" in vars(base) and issubclass(base, keras.layers.Layer):
            names |= set(inspect.signature(base.__init__).parameters)
        if base is keras.layers.Layer:
            break
    if hasattr(cls, "_function_defaults"):
        names |= set(cls._function_defaults())
    # What is no argument of the class, or says what another does.
    return names - {"self", "args", "kwargs", "autocast", "use_bias"}


def serialized(value):
    """The value as a config holds it."""
    if isinstance(value, (bool, int, float, str, tuple, list)):
        return value
    return keras.saving.serialize_keras_object(value)


CASES = [
    pytest.param(cls, arguments, id=f"{cls.__name__}-{number}")
    for cls, several in ARGUMENTS.items()
    for number, arguments in enumerate(several)
]


@pytest.mark.parametrize("cls", ARGUMENTS, ids=lambda cls: cls.__name__)
def test_no_argument_is_left_at_its_default(cls):
    several = ARGUMENTS[cls]
    changed = set()
    defaults = {
        name: parameter.default
        for base in cls.__mro__
        if "__init__" in vars(base)
        for name, parameter in inspect.signature(
            base.__init__
        ).parameters.items()
    }
    if hasattr(cls, "_function_defaults"):
        defaults |= cls._function_defaults()
    for arguments in several:
        changed |= {
            name
            for name, value in arguments.items()
            if value is not defaults.get(name) and value != defaults.get(name)
        }
    known = named_arguments(cls)
    ignored = {
        # Of the layer around the cell.
        bayesian.BayesianDNC: {"cell", "activity_regularizer"},
        bayesian.BayesianDNCCell: {"activity_regularizer"},
    }.get(cls, set())
    # Strides exclude dilations, which a test below looks at; low ranks and
    # quantization are Keras' own, of kernels that are numbers.
    ignored = ignored | {
        "rank",
        "dilation_rate",
        "lora_rank",
        "lora_alpha",
        "quantization_config",
    }
    assert known - ignored <= changed


def listed(value):
    """Tuples as lists: JSON knows no others."""
    return json.loads(json.dumps(value))


@pytest.mark.parametrize(("cls", "arguments"), CASES)
def test_the_config_holds_every_argument(cls, arguments):
    layer = cls(**arguments)
    config = layer.get_config()
    for name, value in arguments.items():
        if name == "dtype":
            assert layer.dtype_policy.name == value
        else:
            assert listed(config[name]) == listed(serialized(value)), name
    # A config goes to a JSON file and back.
    revived = cls.from_config(json.loads(json.dumps(config)))
    again = revived.get_config()
    assert json.dumps(again) == json.dumps(config)
    # The live attributes too, not their record in the config alone.
    for name in arguments:
        if name != "dtype" and hasattr(layer, name):
            assert serialized(getattr(revived, name)) == serialized(
                getattr(layer, name)
            ), name


def test_a_dilation_is_in_the_config():
    for rank in (1, 2, 3):
        cls = getattr(bayesian, f"Conv{rank}DFlipout")
        layer = cls(2, 3, dilation_rate=2)
        revived = cls.from_config(layer.get_config())
        assert tuple(revived.dilation_rate) == (2,) * rank


@pytest.mark.parametrize("cls", FUNCTIONS, ids=lambda cls: cls.__name__)
def test_a_function_comes_back_with_its_arguments(cls):
    arguments = FUNCTIONS[cls]
    names = set(inspect.signature(cls).parameters)
    assert names == set(arguments)
    function = cls(**arguments)
    through = json.loads(
        json.dumps(keras.saving.serialize_keras_object(function))
    )
    revived = keras.saving.deserialize_keras_object(through)
    assert type(revived) is cls
    for name, value in arguments.items():
        assert serialized(getattr(revived, name)) == serialized(value), name
    assert revived.get_config() == function.get_config()


def test_the_functions_of_tfp_s_names_come_back():
    arguments = FUNCTIONS[bayesian.MeanFieldNormal]
    for is_singular, cls in (
        (False, bayesian.MeanFieldNormal),
        (True, bayesian.Deterministic),
    ):
        function = bayesian.default_mean_field_normal_fn(
            is_singular=is_singular, **arguments
        )
        assert type(function) is cls
        for name in FUNCTIONS[cls]:
            assert getattr(function, name) is arguments[name]
    layer = bayesian.DenseFlipout(
        2, kernel_prior_fn=bayesian.default_multivariate_normal_fn
    )
    config = json.loads(json.dumps(layer.get_config()))
    revived = bayesian.DenseFlipout.from_config(config)
    assert revived.kernel_prior_fn is bayesian.default_multivariate_normal_fn


def test_from_config_leaves_the_config_as_it_is():
    # `keras.layers.RNN.from_config` takes its config apart.
    for cls in ARGUMENTS.keys() - {bayesian.VariationalRNN}:
        config = cls(**ARGUMENTS[cls][0]).get_config()
        before = copy.deepcopy(config)
        cls.from_config(config)
        assert config == before, cls


# Models.


def priors(*prefixes):
    """Priors with variables of their own."""
    prior = bayesian.CentredNormalPrior(
        0.5, initializers.RandomNormal(stddev=0.2)
    )
    return {
        "kernel_prior_fn": prior,
        **{f"{prefix}_prior_fn": prior for prefix in prefixes},
        "kl_weight": 0.5,
    }


def bias_too():
    return {
        "bias_posterior_fn": "mean_field_normal",
        "bias_prior_fn": bayesian.NormalPrior(scale=2.0, learned_scale=True),
    }


def over(shape, layer):
    return keras.Sequential([keras.Input(shape), layer])


def over_sequences(layer):
    return over((None, FEATURES), layer)


TINY_DNC = {
    "units": 2,
    "controller": 4,
    "kernel_prior_fn": bayesian.CentredNormalPrior(
        0.5, initializers.RandomNormal(stddev=0.2)
    ),
    "kl_weight": 0.5,
    **SIZES,
}
MODELS = {
    **{
        cls.__name__: lambda cls=cls: over(
            (FEATURES,), cls(2, "tanh", **priors(), **bias_too())
        )
        for cls in ARGUMENTS
        if cls.__name__.startswith("Dense")
        and cls is not bayesian.DenseVariational
    },
    "DenseVariational": lambda: over(
        (FEATURES,),
        bayesian.DenseVariational(
            2,
            bayesian.posterior_mean_field,
            bayesian.prior_trainable,
            kl_weight=0.5,
            kl_use_exact=True,
            use_bias=False,
        ),
    ),
    **{
        cls.__name__: lambda cls=cls: over(
            (*(4,) * int(cls.__name__[4]), FEATURES), cls(2, 3, **priors())
        )
        for cls in ARGUMENTS
        if cls.__name__.startswith("Conv")
    },
    **{
        cls.__name__: lambda cls=cls: over_sequences(
            bayesian.VariationalRNN(cls(3, **priors("recurrent")))
        )
        for cls in ARGUMENTS
        if cls.__name__.startswith(("LSTM", "GRU"))
    },
    "BayesianDNC": lambda: over_sequences(bayesian.BayesianDNC(**TINY_DNC)),
    "BayesianDNC, variational controller": lambda: over_sequences(
        bayesian.BayesianDNC(
            **TINY_DNC,
            estimator="reparameterization",
            variational_controller=True,
        )
    ),
    "BayesianDNCCell": lambda: over_sequences(
        bayesian.VariationalRNN(bayesian.BayesianDNCCell(**TINY_DNC))
    ),
    "RNN of BayesianDNCCell": lambda: over_sequences(
        keras.layers.RNN(bayesian.BayesianDNCCell(**TINY_DNC))
    ),
    "Bidirectional stack": lambda: over_sequences(
        keras.layers.Bidirectional(
            bayesian.VariationalRNN(
                [
                    bayesian.LSTMCellFlipout(3, **priors()),
                    bayesian.GRUCellReparameterization(2, **priors()),
                ]
            )
        )
    ),
    "functions": lambda: over(
        (FEATURES,),
        bayesian.DenseFlipout(
            2,
            kernel_posterior_fn=bayesian.default_mean_field_normal_fn(),
            kernel_prior_fn=bayesian.default_multivariate_normal_fn,
        ),
    ),
}
# The smallest deviation is 1e-7 of a unit, and outputs are of up to 10.
TOLERANCE = 5e-5


def parts_of(kind):
    return saved_model(kind)[0]._flatten_layers()


def scale_to_zero(model):
    for variable in model.weights:
        if variable.name == "posterior_untransformed_scale":
            variable.assign(ops.full(variable.shape, -50.0))


def inputs_of(model, batch=3):
    shape = [2 if size is None else size for size in model.input_shape[1:]]
    rng = np.random.default_rng(0)
    return rng.normal(size=(batch, *shape)).astype("float32")


def total_loss(model):
    return sum(float(loss) for loss in model.losses)


def set_kl_weights(model):
    """Gives each layer a factor that its config does not hold."""
    for number, variable in enumerate(
        v for v in model.weights if v.name == "kl_weight"
    ):
        variable.assign(0.25 + number)


@functools.cache
def saved_model(kind):
    """A model with random weights, and its outputs; it is never changed.

    Its posteriors have no deviation, so that its outputs are not random.
    """
    model = MODELS[kind]()
    randomize(model)
    scale_to_zero(model)
    set_kl_weights(model)
    return model, arrays(model(inputs_of(model)))


def save_whole(model, folder):
    path = folder / "model.keras"
    model.save(path)
    return keras.saving.load_model(path)


def save_weights(model, folder):
    path = folder / "model.weights.h5"
    model.save_weights(path)
    other = keras.Sequential.from_config(model.get_config())
    other.load_weights(path)
    return other


def through_pickle(model, folder):
    return pickle.loads(pickle.dumps(model))


def through_deepcopy(model, folder):
    return copy.deepcopy(model)


def clone(model, folder):
    other = keras.models.clone_model(model)
    other.set_weights(model.get_weights())
    return other


ROUNDTRIPS = [
    save_whole,
    save_in_a_subclass,
    save_weights,
    through_pickle,
    through_deepcopy,
    clone,
]
# By default these go through everything; another process, below, loads every
# kind from a file.
OFTEN = {"DenseFlipout", "LSTMCellFlipout", "BayesianDNC"}
COMBINATIONS = [
    pytest.param(
        kind,
        roundtrip,
        id=f"{kind}-{roundtrip.__name__}",
        marks=() if kind in OFTEN else pytest.mark.slow,
    )
    for kind, roundtrip in itertools.product(MODELS, ROUNDTRIPS)
]


@pytest.mark.parametrize(("kind", "roundtrip"), COMBINATIONS)
def test_a_model_comes_back_the_same(kind, roundtrip, tmp_path):
    model, expected = saved_model(kind)
    other = roundtrip(model, tmp_path)
    names = {weight.name for weight in model.weights}
    assert {"posterior_loc", "kl_weight"} <= names
    if kind != "functions":
        # Variables of the prior, which are saved as well.
        assert {"prior_loc", "prior_variables"} & names
    assert [w.name for w in other.weights] == [w.name for w in model.weights]
    assert_equal(other.get_weights(), model.get_weights())
    assert_close(other(inputs_of(model)), expected, TOLERANCE)
    assert np.isclose(total_loss(other), total_loss(model), rtol=1e-5)
    # Nothing is shared: the copy changes, the original stays.
    before, loss = model.get_weights(), total_loss(model)
    randomize(other, seed=8)
    assert_equal(model.get_weights(), before)
    assert total_loss(model) == loss
    # The loss of the copy is of the copy's weights, and so is its output.
    assert abs(total_loss(other) - loss) > 1
    assert_differ(other(inputs_of(model)), expected)
    assert_differ(*[other(inputs_of(model)) for _ in range(2)], by=1e-6)


def test_a_layer_alone_is_pickled_and_copied():
    layer = bayesian.DenseFlipout(3, **priors())
    inputs = sequences()[:, 0]
    layer(inputs)
    layer.kl_weight = 0.125
    randomize(layer)
    for other in (pickle.loads(pickle.dumps(layer)), copy.deepcopy(layer)):
        assert_equal(other.get_weights(), layer.get_weights())
        assert other.kl_weight == 0.125
        scale_to_zero(other)
        assert total_loss(other) > 1.5 * total_loss(layer)


def test_a_layer_copied_before_it_is_built():
    for layer in (bayesian.DenseFlipout(3), bayesian.BayesianDNC(2, 4)):
        other = copy.deepcopy(layer)
        inputs = sequences()
        assert_differ(other(inputs), layer(inputs))


LOAD = """
import pathlib
import sys

import keras_dnc

import keras
import numpy as np

for folder in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    model = keras.saving.load_model(folder / "model.keras")
    data = np.load(folder / "data.npz")
    outputs = model(data["inputs"])
    np.testing.assert_allclose(
        outputs, data["outputs"], rtol=5e-5, atol=5e-5, err_msg=folder.name
    )
    loss = sum(float(loss) for loss in model.losses)
    np.testing.assert_allclose(loss, data["loss"], rtol=1e-5)
    print("loaded", folder.name)
assert not any(name.startswith("tests") for name in sys.modules)
"""


def run(code, *arguments, **options):
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        **options,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
def test_a_process_that_knows_keras_dnc_alone_loads_every_model(tmp_path):
    for number, kind in enumerate(MODELS):
        model, outputs = saved_model(kind)
        folder = tmp_path / f"{number:02}"
        folder.mkdir()
        model.save(folder / "model.keras")
        np.savez(
            folder / "data.npz",
            inputs=inputs_of(model),
            outputs=outputs,
            loss=total_loss(model),
        )
    printed = run(LOAD, tmp_path, cwd=tmp_path)
    assert printed.count("loaded") == len(MODELS)


# SavedModels.

SERVE = """
import pathlib
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "keras_dnc":
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocker())
try:
    import keras_dnc
except ImportError:
    pass
else:
    raise SystemExit("keras_dnc can be imported")

import numpy as np
import tensorflow as tf

for folder in pathlib.Path(sys.argv[1]).iterdir():
    served = tf.saved_model.load(folder / "exported")
    inputs = np.load(folder / "inputs.npz")
    np.savez(
        folder / "outputs.npz",
        **{
            name: np.stack(
                [served.serve(inputs[name]).numpy() for _ in range(3)]
            )
            for name in inputs
        },
    )
"""


def exported_models():
    """Pairs of a model and what its inputs have between batch and features."""
    dense = keras.Sequential(
        [
            keras.Input((FEATURES,)),
            bayesian.DenseFlipout(4, "tanh"),
            bayesian.DenseReparameterization(2),
        ]
    )
    dnc = over_sequences(bayesian.BayesianDNC(2, 4, **SIZES))
    return {"dense": (dense, ()), "dnc": (dnc, (5,))}


@pytest.mark.slow
def test_a_saved_model_draws_anew_at_each_call(tmp_path):
    batches = (1, 2, 5)
    expected = {}
    for kind, (model, steps) in exported_models().items():
        folder = tmp_path / kind
        folder.mkdir()
        model.export(folder / "exported", verbose=False)
        rng = np.random.default_rng(0)
        inputs = {
            str(batch): rng.normal(size=(batch, *steps, FEATURES))
            for batch in batches
        }
        inputs = {k: v.astype("float32") for k, v in inputs.items()}
        np.savez(folder / "inputs.npz", **inputs)
        scale_to_zero(model)
        expected[kind] = {k: arrays(model(v)) for k, v in inputs.items()}
    run(SERVE, tmp_path, cwd=tmp_path)
    for kind, means in expected.items():
        outputs = np.load(tmp_path / kind / "outputs.npz")
        for batch, mean in means.items():
            draws = outputs[batch]
            assert draws.shape == (3, *mean.shape)
            assert np.all(np.isfinite(draws))
            for one, other in itertools.combinations(draws, 2):
                assert_differ(one, other, by=1e-4)
            # Around what the means say: the deviations are of 0.05.
            assert np.max(np.abs(draws - mean)) < 1


def test_importing_keras_dnc_imports_no_tfp():
    loaded = run(
        "import keras_dnc, sys\n"
        "print([name for name in sys.modules if name.partition('.')[0]"
        " in ('tensorflow_probability', 'tf_keras')])"
    )
    assert loaded.strip() == "[]"
