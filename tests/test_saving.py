"""A DNC survives saving, cloning, pickling and copying."""

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
    CONTROLLERS,
    EXTENDED,
    FEATURES,
    SIZES,
    TOGETHER,
    UNITS,
    DotProduct,
    arrays,
    assert_close,
    assert_differ,
    assert_equal,
    build,
    how_often,
    make_cell,
    make_dnc,
    randomize,
    save_in_a_subclass,
    sequences,
)

import keras_dnc

initializers, regularizers = keras.initializers, keras.regularizers

# A value for every argument, none of them the default.
SHARED_ARGUMENTS = {
    "units": UNITS,
    "memory_size": 5,
    "word_size": 3,
    "num_reads": 2,
    "num_writes": 2,
    "clip_value": 3.5,
    "kernel_initializer": initializers.RandomNormal(stddev=0.3, seed=1),
    "recurrent_initializer": initializers.RandomNormal(stddev=0.2, seed=2),
    "bias_initializer": initializers.Constant(0.1),
    "kernel_regularizer": regularizers.L2(0.01),
    "bias_regularizer": regularizers.L2(0.03),
    "kernel_constraint": keras.constraints.MaxNorm(1.5),
    "bias_constraint": keras.constraints.MaxNorm(3.5),
    "bypass_dropout": 0.25,
    "memory_initializer": initializers.RandomNormal(stddev=0.1, seed=3),
    "learned_memory": True,
    "seed": 7,
    "name": "own_name",
    "dtype": "float64",
    "trainable": False,
}
# What holds for a controller made from an int alone ...
CONTROLLER_ARGUMENTS = {
    "controller": 6,
    "recurrent_regularizer": regularizers.L1(0.02),
    "recurrent_constraint": keras.constraints.MaxNorm(2.5),
    "dropout": 0.1,
    "recurrent_dropout": 0.2,
}
# ... for sublayers that are the cell's own ...
EXTENSION_ARGUMENTS = {
    "masked_keys": True,
    "mask_minimum": 0.125,
    "deallocation": True,
    "sharpness": True,
    "layer_norm": True,
    "content_only": True,
    "sparse_links": 3,
    "link_storage": "float16",
}
# ... and what stands in their place otherwise.
REPLACED = {
    "controller": lambda: keras.layers.GRUCell(4),
    "normalization": lambda: keras.layers.LayerNormalization(epsilon=0.01),
    "interface": lambda: keras_dnc.Interface(3, 2, 2, name="own_interface"),
    "write_head": lambda: keras_dnc.WriteHead(DotProduct()),
    "read_head": lambda: keras_dnc.ReadHead(DotProduct()),
}
LAYER_ARGUMENTS = {
    "return_sequences": True,
    "return_state": True,
    "go_backwards": True,
    "stateful": True,
    "unroll": True,
    "zero_output_for_mask": True,
    "activity_regularizer": regularizers.L2(0.04),
}
# `unroll` unrolls the loop that `checkpoint_every` cuts.
LOOP_ARGUMENTS = {"checkpoint_every": 3}
LAYER_CONFIGS = {
    "unrolled": LAYER_ARGUMENTS,
    "checkpointed": {**LAYER_ARGUMENTS, **LOOP_ARGUMENTS, "unroll": False},
}
CELL_CONFIGS = {
    "int": lambda: {
        **SHARED_ARGUMENTS,
        **CONTROLLER_ARGUMENTS,
        **EXTENSION_ARGUMENTS,
    },
    "layers": lambda: {
        **SHARED_ARGUMENTS,
        **{name: make() for name, make in REPLACED.items()},
    },
}


def named_arguments(cls):
    """The arguments of a class's constructor and its parents'."""
    names = set()
    for base in cls.__mro__:
        if "__init__" in vars(base) and issubclass(base, keras.layers.Layer):
            names |= set(inspect.signature(base.__init__).parameters)
        if base is keras.layers.Layer:
            break
    return names - {"self", "args", "kwargs", "cell", "autocast"}


def serialized(value):
    """The value as a config holds it."""
    if isinstance(value, (bool, int, float, str)):
        return value
    return keras.saving.serialize_keras_object(value)


def assert_config_holds(layer, arguments):
    config = layer.get_config()
    for name, value in arguments.items():
        if name == "dtype":
            assert layer.dtype_policy.name == value
        else:
            assert config[name] == serialized(value), name
    # A config goes to a JSON file and back.
    revived = type(layer).from_config(json.loads(json.dumps(config)))
    assert revived.get_config() == config
    assert_equal_options(revived, layer, arguments)


def assert_equal_options(one, other, names):
    """The live attributes too, not their record in the config alone."""
    for name in names:
        for holder in (one, getattr(one, "cell", None)):
            if name != "dtype" and holder is not None and hasattr(holder, name):
                twin = other if holder is one else other.cell
                assert serialized(getattr(holder, name)) == serialized(
                    getattr(twin, name)
                ), name


def test_the_arguments_below_are_all_that_there_are():
    activity = {"activity_regularizer"}
    known = {
        *SHARED_ARGUMENTS,
        *CONTROLLER_ARGUMENTS,
        *EXTENSION_ARGUMENTS,
        *REPLACED,
    }
    assert named_arguments(keras_dnc.DNCCell) == known | activity
    of_layer = {*LAYER_ARGUMENTS, *LOOP_ARGUMENTS}
    assert named_arguments(keras_dnc.DNC) | known == known | of_layer
    defaults = {
        name: parameter.default
        for cls in (keras_dnc.DNCCell, keras_dnc.DNC)
        for name, parameter in inspect.signature(cls).parameters.items()
    }
    for config in (
        *(make() for make in CELL_CONFIGS.values()),
        LAYER_ARGUMENTS,
        LOOP_ARGUMENTS,
    ):
        for name, value in config.items():
            assert value != defaults.get(name), name


@pytest.mark.parametrize("kind", CELL_CONFIGS)
def test_the_config_of_a_cell_holds_every_argument(kind):
    arguments = CELL_CONFIGS[kind]()
    assert_config_holds(keras_dnc.DNCCell(**arguments), arguments)


@pytest.mark.parametrize("of_layer", LAYER_CONFIGS.values(), ids=LAYER_CONFIGS)
@pytest.mark.parametrize("kind", CELL_CONFIGS)
def test_the_config_of_a_layer_holds_every_argument(kind, of_layer):
    arguments = {**CELL_CONFIGS[kind](), **of_layer}
    assert_config_holds(keras_dnc.DNC(**arguments), arguments)


SUBLAYERS = {
    keras_dnc.Interface: lambda: {
        "word_size": 3,
        "num_reads": 2,
        "num_writes": 2,
        "projection": keras.layers.Dense(46, use_bias=False),
        "normalization": keras.layers.LayerNormalization(epsilon=0.01),
        "masked_keys": True,
        "mask_minimum": 0.125,
        "sharpness": True,
        "content_only": True,
    },
    keras_dnc.ContentAddressing: dict,
    keras_dnc.AllocationAddressing: dict,
    keras_dnc.TemporalLinkage: lambda: {"storage_dtype": "float16"},
    keras_dnc.SparseTemporalLinkage: lambda: {"num_links": 3},
    keras_dnc.ContentReadHead: lambda: {
        "content_addressing": DotProduct(name="own"),
    },
    keras_dnc.WriteHead: lambda: {
        "content_addressing": DotProduct(name="own"),
        "allocation_addressing": keras_dnc.AllocationAddressing(name="own"),
        "deallocation": True,
    },
    keras_dnc.ReadHead: lambda: {
        "content_addressing": DotProduct(name="own"),
        "temporal_linkage": keras_dnc.TemporalLinkage(name="own"),
    },
}


@pytest.mark.parametrize("cls", SUBLAYERS, ids=lambda cls: cls.__name__)
def test_the_config_of_a_sublayer_holds_every_argument(cls):
    common = {"name": "own_name", "dtype": "float64", "trainable": False}
    arguments = {**SUBLAYERS[cls](), **common}
    assert named_arguments(cls) == {*arguments, "activity_regularizer"}
    assert_config_holds(cls(**arguments), arguments)


@pytest.mark.parametrize("make", [make_cell, make_dnc])
@pytest.mark.parametrize("controller", CONTROLLERS)
def test_from_config_leaves_the_config_as_it_is(make, controller):
    layer = make(controller=CONTROLLERS[controller]())
    config = layer.get_config()
    before = copy.deepcopy(config)
    type(layer).from_config(config)
    assert config == before


def test_a_cell_made_from_a_config_draws_weights_of_its_own():
    inputs = sequences()
    one = make_dnc()
    other = keras_dnc.DNC.from_config(one.get_config())
    assert_differ(one(inputs), other(inputs))


def test_one_initializer_draws_each_weight_anew():
    initializer = initializers.RandomNormal()
    # As many units as the interface vector has elements.
    cell = make_cell(units=28, bias_initializer=initializer)
    cell.build((None, 3))
    interface, output = cell.interface.projection, cell.output_projection
    assert interface.bias.shape == output.bias.shape
    assert_differ(interface.bias, output.bias)


def replaced_layers():
    """A layer with nothing left as it is by default."""
    return keras_dnc.DNC(
        UNITS,
        return_sequences=True,
        **{name: make() for name, make in REPLACED.items()},
        memory_size=4,
        word_size=3,
        num_reads=2,
        num_writes=2,
    )


LAYERS = {
    **{
        name: lambda make=make: make_dnc(
            controller=make(), return_sequences=True
        )
        for name, make in CONTROLLERS.items()
    },
    "replaced": replaced_layers,
    **{
        name: lambda arguments=arguments: make_dnc(
            return_sequences=True, **arguments
        )
        for name, arguments in EXTENDED.items()
    },
    "RNN": lambda: keras.layers.RNN(
        make_cell(controller=keras.layers.GRUCell(4))
    ),
    "Bidirectional": lambda: keras.layers.Bidirectional(make_dnc()),
    "BidirectionalDNC": lambda: keras_dnc.BidirectionalDNC(
        UNITS, 4, backward=3, **SIZES
    ),
    "checkpointed": lambda: make_dnc(checkpoint_every=2, learned_memory=True),
    "in_a_stack": lambda: keras.layers.RNN(
        keras.layers.StackedRNNCells([make_cell(), keras.layers.GRUCell(3)])
    ),
}


@functools.cache
def saved_model(kind):
    """A model with random weights, and its outputs; it is never changed.

    No weight is what it was made with: one that is lost shows.
    """
    model = keras.Sequential([keras.Input((None, FEATURES)), LAYERS[kind]()])
    randomize(model)
    return model, arrays(model(sequences(steps=2)))


def save_whole(model, folder):
    path = folder / "model.keras"
    model.save(path)
    return keras.saving.load_model(path)


def save_weights(model, folder):
    path = folder / "model.weights.h5"
    model.save_weights(path)
    # From its config, as one does who keeps the code and the weights.
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
# By default every kind goes through a file, and these through all else.
OFTEN = {"int", "Sequential", "replaced"}
SELDOM = {*EXTENDED} - TOGETHER


def marks(kind, roundtrip):
    if kind in OFTEN:
        return ()
    if kind in SELDOM:
        return how_often(kind)
    return () if roundtrip is save_whole else pytest.mark.slow


COMBINATIONS = [
    pytest.param(
        kind,
        roundtrip,
        id=f"{kind}-{roundtrip.__name__}",
        marks=marks(kind, roundtrip),
    )
    for kind, roundtrip in itertools.product(LAYERS, ROUNDTRIPS)
]


@pytest.mark.parametrize(("kind", "roundtrip"), COMBINATIONS)
def test_a_model_comes_back_the_same(kind, roundtrip, tmp_path):
    model, expected = saved_model(kind)
    other = roundtrip(model, tmp_path)
    assert_close(other(sequences(steps=2)), expected)
    assert_equal(other.get_weights(), model.get_weights())
    # Nothing is shared: the copy changes, the original stays.
    before = model.get_weights()
    randomize(other, seed=8)
    assert_equal(model.get_weights(), before)


def test_a_layer_alone_is_pickled_and_copied():
    inputs = sequences(steps=2)
    layer = build(make_dnc(), inputs)
    for other in (pickle.loads(pickle.dumps(layer)), copy.deepcopy(layer)):
        assert_close(other(inputs), layer(inputs))


@pytest.mark.slow
def test_training_goes_on_after_loading_as_if_uninterrupted(tmp_path):
    inputs = sequences(steps=2)
    targets = np.ones((2, UNITS))

    def make():
        keras.utils.set_random_seed(4)
        model = keras.Sequential([keras.Input((None, FEATURES)), make_dnc()])
        model.compile(keras.optimizers.Adam(0.1), "mse", run_eagerly=True)
        return model

    def train(model, steps):
        return [model.train_on_batch(inputs, targets) for _ in range(steps)]

    uninterrupted = make()
    expected = train(uninterrupted, 5)
    model = make()
    losses = train(model, 3)
    other = save_whole(model, tmp_path)
    losses += train(other, 2)
    assert_close(np.array(losses), np.array(expected), tolerance=1e-4)
    weights = uninterrupted.get_weights()
    assert_close(other.get_weights(), weights, tolerance=1e-4)
    # The optimizer's momenta matter: without them the run is another.
    forgetful = make()
    train(forgetful, 3)
    forgetful.compile(keras.optimizers.Adam(0.1), "mse", run_eagerly=True)
    train(forgetful, 2)
    assert_differ(weights[0], forgetful.get_weights()[0], by=0.01)


def sublayer_model():
    """The sublayers used alone: one step of memory as a functional model."""
    slots, width, reads = SIZES.values()
    hidden = keras.Input((6,))
    memory = keras.Input((slots, width))
    usage = keras.Input((slots,))
    link = keras.Input((1, slots, slots))
    precedence = keras.Input((1, slots))
    written = keras.Input((1, slots))
    read = keras.Input((reads, slots))
    interface = keras_dnc.Interface(width, reads)(hidden)
    new_memory, new_usage, new_written = keras_dnc.WriteHead(DotProduct())(
        interface, memory, usage, written, read
    )
    outputs = keras_dnc.ReadHead()(
        interface, new_memory, link, precedence, new_written, read
    )
    return keras.Model(
        [hidden, memory, usage, link, precedence, written, read],
        [*outputs, new_usage],
    )


@pytest.mark.parametrize(
    "roundtrip",
    [save_whole, through_pickle, clone],
    ids=lambda roundtrip: roundtrip.__name__,
)
def test_sublayers_in_a_functional_model_come_back(roundtrip, tmp_path):
    model = randomize(sublayer_model())
    rng = np.random.default_rng(0)
    inputs = [
        rng.uniform(size=(2, *tensor.shape[1:])).astype("float32") / 4
        for tensor in model.inputs
    ]
    other = roundtrip(model, tmp_path)
    assert_close(other(inputs), model(inputs), tolerance=0)
    kinds = [type(layer).__name__ for layer in model.layers]
    assert kinds == [type(layer).__name__ for layer in other.layers]
    assert isinstance(
        next(
            x for x in other.layers if isinstance(x, keras_dnc.WriteHead)
        ).content_addressing,
        DotProduct,
    )


def test_a_class_that_is_not_registered_is_named_on_loading(tmp_path):
    class Unregistered(keras_dnc.ContentAddressing):
        pass

    layer = make_dnc(read_head=keras_dnc.ReadHead(Unregistered()))
    config = json.loads(json.dumps(layer.get_config()))
    with pytest.raises(TypeError, match="Unregistered"):
        keras_dnc.DNC.from_config(config)
    revived = keras_dnc.DNC.from_config(
        config, custom_objects={"Unregistered": Unregistered}
    )
    assert isinstance(revived.cell.read_head.content_addressing, Unregistered)


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize`")
def test_a_quantized_model_has_its_dnc_as_it_was(tmp_path):
    layers = [
        make_dnc(return_sequences=True),
        keras_dnc.BidirectionalDNC(3, 4, backward=2, memory_size=4),
        keras.layers.Dense(2),
    ]
    model = keras.Sequential([keras.Input((3, FEATURES)), *layers])
    before = [layer.get_weights() for layer in layers]
    with pytest.warns(UserWarning, match="projection of a DNC is not quant"):
        model.quantize("int8")
    for layer, weights in zip(layers[:2], before, strict=False):
        assert_equal(layer.get_weights(), weights)
    assert layers[2].quantization_mode == "int8"
    path = tmp_path / "model.keras"
    model.save(path)
    inputs = np.random.default_rng(0).normal(size=(2, 3, FEATURES))
    assert_close(keras.saving.load_model(path)(inputs), model(inputs), 0)


REGISTERED = """
import importlib, pkgutil
import keras, keras_dnc

found = {*keras.saving.get_custom_objects()}
for module in pkgutil.walk_packages(keras_dnc.__path__, "keras_dnc."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
late = {*keras.saving.get_custom_objects()} - found
assert found and not late, late
"""


def test_all_that_files_name_is_known_where_the_package_is_imported():
    subprocess.run([sys.executable, "-c", REGISTERED], check=True)
