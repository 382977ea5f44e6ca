"""What the tests of values share: sizes, tensors and the bounds of error."""

from typing import NamedTuple

import keras
import numpy as np
import pytest
from keras import ops

import keras_dnc
from keras_dnc.interface import is_present

# Largest error of a value, in units of max(1, |value|).
TOLERANCES = {"float32": 1e-5, "float64": 1e-10}


def exact_tanh(x):
    return 2 * ops.sigmoid(2 * x) - 1


# On JAX `keras.ops.tanh` rounds float64 to float32 (Keras 3.15).
TANH = exact_tanh if keras.backend.backend() == "jax" else "tanh"


def lstm_of(units, dtype):
    """The default controller: where its float64 is exact, the number alone."""
    if TANH == "tanh":
        return units
    return keras.layers.LSTMCell(
        units, activation=TANH, dtype=dtype, name="controller"
    )


class Sizes(NamedTuple):
    """A batch of examples, slots, their width, read heads and write heads."""

    B: int
    N: int
    W: int
    R: int
    V: int


SIZES = [
    *(Sizes(2, 5, 3, R, V) for V in (1, 2, 3) for R in (1, 4)),
    Sizes(B=3, N=9, W=7, R=3, V=2),
    Sizes(B=2, N=1, W=3, R=2, V=2),
    Sizes(B=2, N=5, W=1, R=2, V=1),
    Sizes(B=1, N=1, W=1, R=1, V=1),
]


def with_sizes(*choices):
    """Runs a test for each of some sizes, named like `B2-N5-W3-R1-V1`."""
    # Keras warns of a softmax over a single slot, which is meant here.
    quiet = pytest.mark.filterwarnings("ignore:You are using a softmax")
    names = [
        "-".join(f"{name}{size}" for name, size in sizes._asdict().items())
        for sizes in choices
    ]
    return pytest.mark.parametrize(
        "sizes",
        [
            pytest.param(sizes, id=name, marks=quiet if sizes.N == 1 else ())
            for sizes, name in zip(choices, names, strict=True)
        ],
    )


all_sizes = with_sizes(*SIZES)


def assert_close(actual, expected, dtype):
    """Asserts that a tensor of `dtype` has the expected shape and values."""
    assert ops.dtype(actual) == dtype
    actual = ops.convert_to_numpy(actual).astype("float64")
    expected = np.asarray(expected, dtype="float64")
    assert actual.shape == expected.shape
    error = np.abs(actual - expected) / np.maximum(1, np.abs(expected))
    assert np.max(error, initial=0) <= TOLERANCES[dtype]


def rounded(arrays, dtype):
    """Rounds arrays, in any structure, to `dtype`; the result is float64.

    The oracle and the code under test then start from the same numbers.
    """
    if isinstance(arrays, np.ndarray):
        return arrays.astype(dtype).astype("float64")
    if isinstance(arrays, dict):
        return {name: rounded(array, dtype) for name, array in arrays.items()}
    if arrays == ():
        return arrays
    parts = [rounded(array, dtype) for array in arrays]
    return type(arrays)(*parts) if hasattr(arrays, "_fields") else parts


def tensor(array, dtype):
    """A tensor of the backend."""
    return ops.convert_to_tensor(np.asarray(array), dtype=dtype)


def tensors(arrays, dtype):
    """A list of tensors."""
    return [tensor(array, dtype) for array in arrays]


def each_example(function, *batches):
    """Applies a formula of one example to each of a batch."""
    return np.array(
        [function(*example) for example in zip(*batches, strict=True)]
    )


def randomize(cell, rng, dtype, deviation):
    """Gives a built cell random weights; returns them by name.

    The names are those of the oracle, such as "controller/kernel".
    """
    weights = {}
    for variable in cell.weights:
        value = deviation * rng.normal(size=variable.shape)
        value = rounded(value, dtype)
        variable.assign(value)
        weights[variable.path.removeprefix(f"{cell.name}/")] = value
    return weights


def dense(link):
    """Links (B, V, N, N) of a `SparseLink`."""
    values, columns = (ops.convert_to_numpy(part) for part in link)
    slots = values.shape[-2]
    one_hot = columns[..., None] == np.arange(1, slots + 1)
    return np.sum(values[..., None] * one_hot, axis=-2, dtype=values.dtype)


def assert_states_close(actual, expected, dtype):
    """Compares a `DNCState` with the oracle's state, part by part."""
    for part, expected_part in zip(actual[:-1], expected[:-1], strict=True):
        if isinstance(part, keras_dnc.SparseLink):
            part = tensor(dense(part), dtype)
        if is_present(part):
            assert_close(part, expected_part, dtype)
    controller = keras.tree.flatten(actual.controller_states)
    for part, expected_part in zip(
        controller, expected.controller, strict=True
    ):
        assert_close(part, expected_part, dtype)


def flat_state(state, dtype):
    """The flat tensors of an oracle's batch of states, for a cell."""
    return [
        tensor(part.reshape(len(part), -1), dtype)
        for part in [*state[:-1], *state.controller]
    ]


# States that a random one does not show: each changes a batch of the oracle's.


def zero_state(state):
    return keras.tree.map_structure(np.zeros_like, state)


def full_memory(state):
    return state._replace(u=np.ones_like(state.u))


def equal_usages(state):
    return state._replace(
        u=np.full_like(state.u, 0.375),
        w_w=np.zeros_like(state.w_w),
        w_r=np.zeros_like(state.w_r),
    )


def identical_rows(state):
    return state._replace(M=np.broadcast_to(state.M[:, :1], state.M.shape))


def zero_rows(state):
    M = state.M.copy()
    M[:, ::2] = 0
    return state._replace(M=M)


def one_hot_weightings(state):
    """Every head wrote to and read from one slot, and no link exists yet."""
    w_w, w_r = np.zeros_like(state.w_w), np.zeros_like(state.w_r)
    w_w[..., -1] = w_r[..., -1] = 1
    return state._replace(w_w=w_w, w_r=w_r, p=w_w, L=np.zeros_like(state.L))


SPECIAL_STATES = [
    zero_state,
    full_memory,
    equal_usages,
    identical_rows,
    zero_rows,
    one_hot_weightings,
]
