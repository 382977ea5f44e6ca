"""The interface vector and its parts against the NumPy loops."""

import keras
import numpy as np
import pytest
import reference
from comparison import (
    SIZES,
    all_sizes,
    assert_close,
    rounded,
    tensor,
    with_sizes,
)
from keras import ops

import keras_dnc
from keras_dnc.interface import interface_size, is_present, oneplus


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def bare_interface(sizes, dtype, **extensions):
    """An interface whose input is the interface vector itself."""
    return keras_dnc.Interface(
        sizes.W,
        sizes.R,
        sizes.V,
        projection=keras.layers.Identity(dtype=dtype),
        dtype=dtype,
        **extensions,
    )


def assert_parts_close(actual, vectors, sizes, dtype, **extensions):
    """Compares an `InterfaceVector` with the oracle's, part by part."""
    expected = [
        reference.interface(xi, sizes.W, sizes.R, sizes.V, **extensions)
        for xi in vectors
    ]
    for part, expected_part in zip(
        actual, zip(*expected, strict=True), strict=True
    ):
        if is_present(part):
            assert_close(part, np.array(expected_part), dtype)
        else:
            assert set(expected_part) == {()}


@pytest.mark.parametrize(
    ("W", "R", "V", "size"),
    # R·W + 3W + 5R + 3 for one write head.
    [
        (1, 1, 1, 12),
        (5, 2, 1, 10 + 15 + 10 + 3),
        (64, 4, 1, 256 + 192 + 20 + 3),
        (5, 4, 3, 20 + 45 + 8 + 9 + 28),
    ],
)
def test_size(W, R, V, size):
    assert interface_size(W, R, V) == size
    assert keras_dnc.Interface(W, R, V).size == size
    assert reference.interface_size(W, R, V) == size


def test_oneplus(dtype):
    x = rounded(np.array([-1e4, -50, -1, 0, 0.5, 1, 30, 1e4]), dtype)
    expected = [reference.oneplus(x_i) for x_i in x]
    assert_close(oneplus(tensor(x, dtype)), expected, dtype)


def test_oneplus_known_by_hand(dtype):
    # 1 + log 2 and 1 + log(1 + e)
    expected = [1.693147180559945, 2.313261687518223]
    assert_close(oneplus(tensor([0.0, 1.0], dtype)), expected, dtype)


@all_sizes
@pytest.mark.parametrize("scale", [1, 30], ids=["small", "large"])
def test_parts_of_the_vector(rng, sizes, scale, dtype):
    interface = bare_interface(sizes, dtype)
    vectors = scale * rng.normal(size=(sizes.B, interface.size))
    vectors = rounded(vectors, dtype)
    actual = interface(tensor(vectors, dtype))
    assert isinstance(actual, keras_dnc.InterfaceVector)
    assert_parts_close(actual, vectors, sizes, dtype)


EXTENSIONS = [
    {"masked_keys": True},
    {"masked_keys": True, "mask_minimum": 0.25},
    {"sharpness": True},
    {"content_only": True},
    {"masked_keys": True, "sharpness": True},
    {"masked_keys": True, "sharpness": True, "content_only": True},
]


@pytest.mark.parametrize("extensions", EXTENSIONS, ids="-".join)
@pytest.mark.parametrize("scale", [1, 30], ids=["small", "large"])
@with_sizes(SIZES[0], SIZES[6])
def test_parts_of_extensions(rng, sizes, extensions, scale, dtype):
    interface = bare_interface(sizes, dtype, **extensions)
    parts = {k: v for k, v in extensions.items() if k != "mask_minimum"}
    size = reference.interface_size(sizes.W, sizes.R, sizes.V, **parts)
    assert interface.size == size
    assert interface_size(sizes.W, sizes.R, sizes.V, **parts) == size
    vectors = scale * rng.normal(size=(sizes.B, size))
    vectors = rounded(vectors, dtype)
    actual = interface(tensor(vectors, dtype))
    assert_parts_close(actual, vectors, sizes, dtype, **extensions)


def test_parts_stand_in_the_paper_s_order():
    # The linear parts of 0, 1, 2 … show which element went where.
    interface = keras_dnc.Interface(word_size=2, num_reads=2, num_writes=1)
    assert interface.size == 23
    parts = interface.split(tensor([np.arange(23.0)], "float32"))
    parts = {
        name: ops.convert_to_numpy(part)[0].tolist()
        for name, part in parts._asdict().items()
        if is_present(part)
    }
    assert parts == {
        "read_keys": [[0, 1], [2, 3]],
        "read_strengths": [4, 5],
        "write_keys": [[6, 7]],
        "write_strengths": [8],
        "erase_vectors": [[9, 10]],
        "write_vectors": [[11, 12]],
        "free_gates": [13, 14],
        "allocation_gates": [15],
        "write_gates": [16],
        "read_modes": [[17, 18, 19], [20, 21, 22]],
    }


@all_sizes
def test_projection_is_a_dense_map_of_the_hidden_vector(rng, sizes, dtype):
    interface = keras_dnc.Interface(sizes.W, sizes.R, sizes.V, dtype=dtype)
    interface.build((None, 5))
    assert len(interface.weights) == 2
    kernel = rounded(rng.normal(size=(5, interface.size)), dtype)
    bias = rounded(rng.normal(size=interface.size), dtype)
    interface.projection.set_weights([kernel, bias])
    hidden = rounded(rng.normal(size=(sizes.B, 5)), dtype)
    vectors = [reference.dense(h, kernel, bias) for h in hidden]
    assert_parts_close(interface(tensor(hidden, dtype)), vectors, sizes, dtype)


def test_a_projection_needs_no_methods_but_call():
    class Composite(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.hidden = keras.layers.Dense(4, "tanh")
            self.linear = keras.layers.Dense(23)

        def call(self, inputs):
            return self.linear(self.hidden(inputs))

    projection = Composite()
    interface = keras_dnc.Interface(
        2,
        2,
        projection=projection,
        normalization=keras.layers.LayerNormalization(),
    )
    keys = interface(np.ones((3, 5))).read_keys
    assert keys.shape == (3, 2, 2)
    assert len(projection.trainable_variables) == 4
    assert len(interface.trainable_variables) == 6


def test_projection_with_another_number_of_outputs_is_refused():
    interface = keras_dnc.Interface(2, 2, projection=keras.layers.Dense(7))
    with pytest.raises(ValueError, match=r"must have 23 outputs.*with 7"):
        interface.build((None, 5))
