"""Every public layer goes through the same checks, as Keras' own layers do."""

import inspect
import json
import pickle
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest
from extensions import LINKED, together
from helpers import (
    FEATURES,
    SIZES,
    UNITS,
    arrays,
    assert_close,
    assert_equal,
    randomize,
    tensorflow_only,
)
from keras import ops

import keras_dnc
from keras_dnc.interface import part_shapes

BATCH, STEPS, HIDDEN = 3, 4, 6
N, W, R = SIZES.values()
V = 2


class Case(NamedTuple):
    """A public layer, how to make one, and what to call it with.

    Attributes:
        cls: The class.
        arguments: The constructor's arguments.
        inputs: The shapes of the call's arguments, without the batch: a dict
            of a tuple, or a list of tuples, for each.
        trainable: The number of trainable weights.
        variables: The number of all variables, seeds included.
        outputs: The shapes of the outputs, without the batch.
        dtype: Under a half-precision policy, the dtype of the outputs: that
            of the policy, or float32 where memory is addressed.
        kind: What tells the case from others of the class.
    """

    cls: type
    arguments: Callable[[], dict]
    inputs: dict[str, Any]
    trainable: int
    variables: int
    outputs: list[tuple]
    dtype: str
    kind: str = ""

    @property
    def name(self):
        return f"{self.cls.__name__} {self.kind}".strip()


INTERFACE = list(filter(None, part_shapes(W, R, V)))
EXTENDED = {"masked_keys": True, "sharpness": True}
EXTENDED_INTERFACE = list(part_shapes(W, R, V, **EXTENDED))
K = 2
STATE = [
    *(N * W, N, V * N, V * N * N, V * N, R * N, R * W),
    *(HIDDEN, HIDDEN),
]
CONTENT_STATE = [N * W, N, V * N, R * N, R * W, HIDDEN, HIDDEN]

CASES = [
    Case(
        keras_dnc.DNC,
        lambda: {
            "units": UNITS,
            "controller": HIDDEN,
            "num_writes": V,
            "return_sequences": True,
            "dropout": 0.5,
            "seed": 1,
            **SIZES,
        },
        {"sequences": (STEPS, FEATURES)},
        trainable=7,
        variables=8,
        outputs=[(STEPS, UNITS)],
        dtype="half",
    ),
    Case(
        keras_dnc.DNCCell,
        lambda: {
            "units": UNITS,
            "controller": HIDDEN,
            "num_writes": V,
            "normalization": keras.layers.LayerNormalization(),
            **SIZES,
        },
        {"inputs": (FEATURES,), "states": [(size,) for size in STATE]},
        trainable=9,
        variables=10,
        outputs=[(UNITS,), *((size,) for size in STATE)],
        dtype="mixed",
    ),
    Case(
        keras_dnc.Interface,
        lambda: {"word_size": W, "num_reads": R, "num_writes": V},
        {"hidden": (HIDDEN,)},
        trainable=2,
        variables=2,
        outputs=INTERFACE,
        dtype="float32",
    ),
    Case(
        keras_dnc.ContentAddressing,
        dict,
        {"memory": (N, W), "keys": (R, W), "strengths": (R,)},
        trainable=0,
        variables=0,
        outputs=[(R, N)],
        dtype="float32",
    ),
    Case(
        keras_dnc.AllocationAddressing,
        dict,
        {"usage": (N,), "allocation_gates": (V,), "write_gates": (V,)},
        trainable=0,
        variables=0,
        outputs=[(V, N)],
        dtype="float32",
    ),
    Case(
        keras_dnc.TemporalLinkage,
        dict,
        {
            "link": (V, N, N),
            "precedence": (V, N),
            "write_weightings": (V, N),
            "read_weightings": (R, N),
        },
        trainable=0,
        variables=0,
        outputs=[(V, N, N), (V, N), (V, R, N), (V, R, N)],
        dtype="float32",
    ),
    Case(
        keras_dnc.WriteHead,
        dict,
        {
            "interface": INTERFACE,
            "memory": (N, W),
            "usage": (N,),
            "write_weightings": (V, N),
            "read_weightings": (R, N),
        },
        trainable=0,
        variables=0,
        outputs=[(N, W), (N,), (V, N)],
        dtype="float32",
    ),
    Case(
        keras_dnc.ReadHead,
        dict,
        {
            "interface": INTERFACE,
            "memory": (N, W),
            "link": (V, N, N),
            "precedence": (V, N),
            "write_weightings": (V, N),
            "read_weightings": (R, N),
        },
        trainable=0,
        variables=0,
        outputs=[(R, W), (R, N), (V, N, N), (V, N)],
        dtype="float32",
    ),
]
# With the extensions of the DNC.
CASES += [
    Case(
        keras_dnc.DNC,
        lambda: {
            "units": UNITS,
            "controller": HIDDEN,
            "num_writes": V,
            "return_sequences": True,
            **together(LINKED),
            **SIZES,
        },
        {"sequences": (STEPS, FEATURES)},
        trainable=10,
        variables=12,
        outputs=[(STEPS, UNITS)],
        dtype="half",
        kind="extended",
    ),
    Case(
        keras_dnc.DNCCell,
        lambda: {
            "units": UNITS,
            "controller": HIDDEN,
            "num_writes": V,
            "masked_keys": True,
            "content_only": True,
            "bypass_dropout": 0.5,
            **SIZES,
        },
        {"inputs": (FEATURES,), "states": [(n,) for n in CONTENT_STATE]},
        trainable=7,
        variables=9,
        outputs=[(UNITS,), *((n,) for n in CONTENT_STATE)],
        dtype="mixed",
        kind="extended",
    ),
    Case(
        keras_dnc.Interface,
        lambda: {
            "word_size": W,
            "num_reads": R,
            "num_writes": V,
            "mask_minimum": 0.1,
            "normalization": keras.layers.LayerNormalization(),
            **EXTENDED,
        },
        {"hidden": (HIDDEN,)},
        trainable=4,
        variables=4,
        outputs=EXTENDED_INTERFACE,
        dtype="float32",
        kind="extended",
    ),
    Case(
        keras_dnc.Interface,
        lambda: {
            "word_size": W,
            "num_reads": R,
            "num_writes": V,
            "content_only": True,
        },
        {"hidden": (HIDDEN,)},
        trainable=2,
        variables=2,
        outputs=INTERFACE[:-1],
        dtype="float32",
        kind="content_only",
    ),
    Case(
        keras_dnc.ContentAddressing,
        dict,
        {
            "memory": (N, W),
            "keys": (R, W),
            "strengths": (R,),
            "masks": (R, W),
        },
        trainable=0,
        variables=0,
        outputs=[(R, N)],
        dtype="float32",
        kind="masked",
    ),
    Case(
        keras_dnc.BidirectionalDNC,
        lambda: {
            "units": UNITS,
            "controller": HIDDEN,
            "backward": 3,
            "return_sequences": True,
            **SIZES,
        },
        {"sequences": (STEPS, FEATURES)},
        trainable=11,
        variables=13,
        outputs=[(STEPS, UNITS)],
        dtype="half",
    ),
    Case(
        keras_dnc.SparseTemporalLinkage,
        lambda: {"num_links": K},
        {
            "link": [(V, N, K), (V, N, K)],
            "precedence": (V, N),
            "write_weightings": (V, N),
            "read_weightings": (R, N),
        },
        trainable=0,
        variables=0,
        outputs=[(V, N, K), (V, N, K), (V, N), (V, R, N), (V, R, N)],
        dtype="float32",
    ),
    Case(
        keras_dnc.WriteHead,
        lambda: {"deallocation": True},
        {
            "interface": EXTENDED_INTERFACE,
            "memory": (N, W),
            "usage": (N,),
            "write_weightings": (V, N),
            "read_weightings": (R, N),
        },
        trainable=0,
        variables=0,
        outputs=[(N, W), (N,), (V, N)],
        dtype="float32",
        kind="extended",
    ),
    Case(
        keras_dnc.ReadHead,
        dict,
        {
            "interface": EXTENDED_INTERFACE,
            "memory": (N, W),
            "link": (V, N, N),
            "precedence": (V, N),
            "write_weightings": (V, N),
            "read_weightings": (R, N),
        },
        trainable=0,
        variables=0,
        outputs=[(R, W), (R, N), (V, N, N), (V, N)],
        dtype="float32",
        kind="extended",
    ),
    Case(
        keras_dnc.ContentReadHead,
        dict,
        {"interface": INTERFACE, "memory": (N, W)},
        trainable=0,
        variables=0,
        outputs=[(R, W), (R, N)],
        dtype="float32",
    ),
]


def parametrized(cases):
    """Runs a test for each case; the longest ones are slow tests."""
    longest = (
        keras_dnc.DNC,
        keras_dnc.DNCCell,
        keras_dnc.BidirectionalDNC,
    )
    return pytest.mark.parametrize(
        "case",
        [
            pytest.param(
                case,
                id=case.name,
                marks=pytest.mark.slow
                if case.cls in longest and case not in CASES[:2]
                else (),
            )
            for case in cases
        ],
    )


every_layer = parametrized(CASES)
with_weights = parametrized([case for case in CASES if case.trainable])


def public_classes():
    objects = [getattr(keras_dnc, name) for name in keras_dnc.__all__]
    return [thing for thing in objects if inspect.isclass(thing)]


def map_shapes(function, shapes):
    """Applies a function to each shape in a list, or to the one."""
    if isinstance(shapes, list):
        return [function(shape) for shape in shapes]
    return function(shapes)


def without_shapes(config):
    """A config without the shapes that Keras notes of sublayers once built."""
    if isinstance(config, dict):
        return {
            key: without_shapes(value)
            for key, value in config.items()
            if key != "build_config"
        }
    return config


def data(case, batch=BATCH):
    """Call arguments: small positive numbers, distinct, diagonals of zero."""
    rng = np.random.default_rng(3)

    def draw(shape):
        values = rng.uniform(0.01, 0.25, size=(batch, *shape))
        if shape == (V, N, N):
            values = values * (1 - np.eye(N))
        return values.astype("float32")

    return {
        name: map_shapes(draw, shapes) for name, shapes in case.inputs.items()
    }


def symbolic_data(case, batch):
    """Call arguments of which only the shapes are known."""
    return {
        name: map_shapes(
            lambda shape: keras.KerasTensor((batch, *shape)), shapes
        )
        for name, shapes in case.inputs.items()
    }


def make(case, **arguments):
    return case.cls(**case.arguments(), **arguments)


def made_and_built(case, **arguments):
    """A layer with random weights, built by its first call."""
    layer = make(case, **arguments)
    layer(**data(case))
    return randomize(layer)


def outputs_of(layer, inputs):
    return keras.tree.flatten(layer(**inputs))


def as_model(case, layer, batch=None):
    """A functional model around a layer, all its outputs in one tensor."""
    inputs = {
        name: map_shapes(
            lambda shape: keras.Input(batch_shape=(batch, *shape)), shapes
        )
        for name, shapes in case.inputs.items()
    }
    parts = [keras.layers.Flatten()(part) for part in outputs_of(layer, inputs)]
    outputs = parts[0]
    if len(parts) > 1:
        outputs = keras.layers.Concatenate()(parts)
    return keras.Model(keras.tree.flatten(inputs), outputs)


def flat(outputs):
    """The outputs of a layer as `as_model` joins them."""
    return np.concatenate(
        [arrays(part).reshape(len(part), -1) for part in outputs], axis=1
    )


def test_no_public_layer_is_missing_here():
    layers = {
        cls for cls in public_classes() if issubclass(cls, keras.layers.Layer)
    }
    assert layers == {case.cls for case in CASES}


@every_layer
def test_it_is_registered_under_the_name_of_the_package(case):
    name = f"keras_dnc>{case.cls.__name__}"
    assert keras.saving.get_registered_name(case.cls) == name
    assert keras.saving.get_registered_object(name) is case.cls


def test_every_public_class_with_a_config_is_registered():
    for cls in public_classes():
        if hasattr(cls, "get_config"):
            name = keras.saving.get_registered_name(cls)
            assert name == f"keras_dnc>{cls.__name__}"


@every_layer
def test_call_arguments_have_the_names_that_are_documented(case):
    documented = case.cls.__doc__.split("Call arguments:")[1]
    for name in case.inputs:
        assert f"\n        {name}: " in documented


@every_layer
@pytest.mark.parametrize("built", [False, True], ids=["new", "built"])
def test_its_config_makes_it_again(case, built):
    layer = made_and_built(case) if built else make(case)
    config = layer.get_config()
    revived = case.cls.from_config(config)
    assert type(revived) is case.cls
    assert without_shapes(revived.get_config()) == without_shapes(config)
    text = json.dumps(keras.saving.serialize_keras_object(layer))
    revived = keras.saving.deserialize_keras_object(json.loads(text))
    assert type(revived) is case.cls
    assert without_shapes(revived.get_config()) == without_shapes(config)
    revived(**data(case))


@every_layer
def test_it_has_the_weights_that_it_should(case):
    layer = made_and_built(case)
    assert layer.built
    assert len(layer.trainable_weights) == case.trainable
    assert len(layer.non_trainable_weights) == 0
    assert len(layer.variables) == case.variables
    paths = [variable.path for variable in layer.variables]
    assert len(set(paths)) == len(paths)
    layer.trainable = False
    assert layer.trainable_weights == []


@with_weights
def test_made_as_frozen_it_trains_nothing_until_it_may(case):
    layer = made_and_built(case)
    layer.trainable = False
    copy = case.cls.from_config(layer.get_config())
    copy(**data(case))
    assert not any(weight.trainable for weight in copy.weights)
    copy.trainable = True
    assert len(copy.trainable_weights) == case.trainable


@every_layer
def test_shapes_are_known_before_the_data(case):
    expected = [(BATCH, *shape) for shape in case.outputs]
    layer = made_and_built(case)
    eager = outputs_of(layer, data(case))
    assert [tuple(part.shape) for part in eager] == expected

    for batch in (BATCH, None):
        tensors = symbolic_data(case, batch)
        expected = [(batch, *shape) for shape in case.outputs]
        for outputs in (
            layer.compute_output_spec(**tensors),
            # A layer that was never built knows as much.
            make(case)(**tensors),
        ):
            outputs = keras.tree.flatten(outputs)
            assert [part.shape for part in outputs] == expected


@every_layer
def test_compute_output_shape_agrees(case):
    if len(case.inputs) > 1:
        pytest.skip("Keras has no shapes of several inputs in one argument")
    (shape,) = case.inputs.values()
    shapes = make(case).compute_output_shape((None, *shape))
    if isinstance(shapes[0], tuple):
        # Parts that an interface does not have have no shape.
        shapes = [shape for shape in shapes if shape]
    else:
        shapes = [shapes]
    assert shapes == [(None, *output) for output in case.outputs]


@every_layer
def test_symbolic_and_eager_dtypes_agree(case):
    layer = made_and_built(case, dtype="mixed_bfloat16")
    eager = outputs_of(layer, data(case))
    spec = keras.tree.flatten(
        layer.compute_output_spec(**symbolic_data(case, BATCH))
    )
    for part, symbolic in zip(eager, spec, strict=True):
        dtype = keras.backend.standardize_dtype(part.dtype)
        assert keras.backend.standardize_dtype(symbolic.dtype) == dtype


@every_layer
def test_it_computes_in_float64(case, float64):
    layer = made_and_built(case, dtype=float64)
    # A layer that is handed in keeps a dtype of its own.
    handed_in = "layer_normalization"
    own = [weight for weight in layer.weights if handed_in not in weight.path]
    assert {weight.dtype for weight in own} <= {"float64"}
    outputs = outputs_of(layer, data(case))
    for part in outputs:
        assert keras.backend.standardize_dtype(part.dtype) == "float64"
    # The same numbers as in float32, up to that one's rounding.
    other = made_and_built(case)
    assert_close(
        [arrays(part).astype("float32") for part in outputs],
        outputs_of(other, data(case)),
        tolerance=1e-5,
    )
    assert np.any(flat(outputs) != flat(outputs).astype("float32"))


@every_layer
@pytest.mark.parametrize(
    "half", ["float16", pytest.param("bfloat16", marks=pytest.mark.slow)]
)
def test_it_computes_in_mixed_precision(case, half):
    layer = made_and_built(case, dtype=f"mixed_{half}")
    assert {weight.dtype for weight in layer.weights} <= {"float32"}
    outputs = outputs_of(layer, data(case))
    dtypes = [keras.backend.standardize_dtype(part.dtype) for part in outputs]
    expected = {
        "half": [half],
        "mixed": [half] + ["float32"] * (len(outputs) - 1),
        "float32": ["float32"] * len(outputs),
    }[case.dtype]
    assert dtypes == expected
    other = made_and_built(case)
    assert_close(
        [arrays(ops.cast(part, "float32")) for part in outputs],
        outputs_of(other, data(case)),
        tolerance=0.1 if half == "bfloat16" else 0.02,
    )


def test_half_precision_stays_out_of_the_memory():
    # Rounded to float16 these usages would be equal, and 1e-6 be zero.
    usage = np.array([[0.50001, 0.50003, 0.50002, 0.5]], "float32")
    gates = np.ones((1, 1), "float32")
    half, full = (
        keras_dnc.AllocationAddressing(dtype=dtype)(usage, gates, gates)
        for dtype in ("mixed_float16", "float32")
    )
    assert_equal(half, full)
    order = np.argsort(-arrays(half)[0, 0])
    assert list(order) == [3, 0, 2, 1]


@every_layer
@pytest.mark.parametrize(
    "jit_compile",
    [
        False,
        pytest.param(True, marks=[tensorflow_only, pytest.mark.slow]),
    ],
    ids=["graph", "jit"],
)
def test_compiled_it_computes_the_same(case, jit_compile):
    layer = made_and_built(case)
    expected = flat(outputs_of(layer, data(case)))
    model = as_model(case, layer)
    model.compile(jit_compile=jit_compile)
    inputs = keras.tree.flatten(data(case))
    # Two of the three examples at a time: the batch size is then unknown.
    outputs = model.predict(inputs, batch_size=2, verbose=0)
    assert_close(outputs, expected, tolerance=1e-5)


@every_layer
def test_it_is_saved_and_loaded(case, tmp_path):
    layer = made_and_built(case)
    model = as_model(case, layer)
    path = tmp_path / "model.keras"
    model.save(path)
    loaded = keras.saving.load_model(path)
    inputs = keras.tree.flatten(data(case))
    assert_equal(loaded.get_weights(), model.get_weights())
    assert_close(loaded(inputs), model(inputs))
    assert case.cls in {type(layer) for layer in loaded.layers}


@every_layer
def test_it_is_pickled(case):
    layer = made_and_built(case)
    other = pickle.loads(pickle.dumps(layer))
    assert type(other) is case.cls
    assert_equal(other.get_weights(), layer.get_weights())
    assert_close(outputs_of(other, data(case)), outputs_of(layer, data(case)))


@with_weights
def test_it_learns_with_all_its_weights(case):
    layer = made_and_built(case)
    model = as_model(case, layer)
    inputs = keras.tree.flatten(data(case))
    targets = np.zeros(model(inputs).shape)
    model.compile(keras.optimizers.Adam(0.03), "mse", run_eagerly=True)
    before = layer.get_weights()
    losses = [model.train_on_batch(inputs, targets) for _ in range(6)]
    assert losses[-1] < losses[0]
    changed = [
        not np.array_equal(one, other)
        for one, other in zip(before, layer.get_weights(), strict=True)
    ]
    assert all(changed)


@with_weights
def test_it_adds_the_losses_of_its_regularizers(case):
    arguments = case.arguments()
    regularizer = keras.regularizers.L2(0.5)
    if case.cls is keras_dnc.Interface:
        size = make(case).size
        arguments["projection"] = keras.layers.Dense(
            size, kernel_regularizer=regularizer, name="projection"
        )
        kernels = ["projection/kernel"]
    else:
        arguments["kernel_regularizer"] = regularizer
        kernels = [
            "controller/kernel",
            "projection/kernel",
            "output_projection/kernel",
        ]
        if case.cls is keras_dnc.BidirectionalDNC:
            kernels += ["join/kernel", "lstm_cell/kernel"]
    layer = case.cls(**arguments)
    layer(**data(case))
    regularized = [
        weight for weight in layer.weights if weight.regularizer is not None
    ]
    assert all(
        any(weight.path.endswith(kernel) for kernel in kernels)
        for weight in regularized
    )
    assert len(regularized) == len(kernels)
    expected = sum(0.5 * np.sum(arrays(w) ** 2) for w in regularized)
    # Once, whatever the number of time steps.
    assert_close(sum(float(loss) for loss in layer.losses), expected, 1e-5)


@every_layer
def test_it_leaves_its_inputs_as_they_are(case):
    inputs = data(case)
    made_and_built(case)(**inputs)
    assert_equal(keras.tree.flatten(inputs), keras.tree.flatten(data(case)))


@every_layer
def test_positional_and_named_arguments_are_the_same(case):
    layer = made_and_built(case)
    positional = keras.tree.flatten(layer(*data(case).values()))
    assert_close(positional, outputs_of(layer, data(case)))
