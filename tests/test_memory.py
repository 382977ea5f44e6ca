"""Writing and reading against the NumPy loops."""

import numpy as np
import pytest
import reference
from comparison import (
    all_sizes,
    assert_close,
    each_example,
    rounded,
    tensors,
)

from keras_dnc import memory


@pytest.fixture
def rng():
    return np.random.default_rng(2)


def check(function, expected, arguments, dtype):
    assert_close(function(*tensors(arguments, dtype)), expected, dtype)


@all_sizes
def test_erase_and_write(rng, sizes, dtype):
    B, N, W, _, V = sizes
    M = rounded(rng.normal(size=(B, N, W)), dtype)
    w = rounded(reference.random_weightings(rng, B, V, N), dtype)
    e = rounded(rng.uniform(size=(B, V, W)), dtype)
    nu = rounded(rng.normal(size=(B, V, W)), dtype)
    expected = each_example(reference.erase_and_write, M, w, e, nu)
    check(memory.erase_and_write, expected, [M, w, e, nu], dtype)


def test_erase_and_write_known_by_hand(dtype):
    M = np.array([[[2.0, 4.0], [6.0, 8.0]]])
    w = np.array([[[0.5, 0.0]]])
    e = np.array([[[1.0, 0.5]]])
    nu = np.array([[[10.0, -10.0]]])
    expected = [[[1 + 5, 3 - 5], [6, 8]]]
    check(memory.erase_and_write, expected, [M, w, e, nu], dtype)


def test_all_heads_erase_before_any_adds(dtype):
    # Both write to the only slot: what the first adds the second keeps.
    M = np.array([[[7.0]]])
    w = e = np.ones((1, 2, 1))
    nu = np.array([[[2.0], [3.0]]])
    check(memory.erase_and_write, [[[5.0]]], [M, w, e, nu], dtype)


@all_sizes
def test_read(rng, sizes, dtype):
    B, N, W, R, _ = sizes
    M = rounded(rng.normal(size=(B, N, W)), dtype)
    w = rounded(reference.random_weightings(rng, B, R, N), dtype)
    expected = np.zeros((B, R, W))
    for b, i in np.ndindex(B, R):
        expected[b, i] = reference.read(M[b], w[b, i])
    check(memory.read, expected, [M, w], dtype)


def test_read_known_by_hand(dtype):
    M = np.array([[[1.0, 2.0], [3.0, -4.0], [100.0, 100.0]]])
    w = np.array([[[0.5, 0.25, 0.0], [0.0, 1.0, 0.0]]])
    expected = [[[1.25, 0.0], [3.0, -4.0]]]
    check(memory.read, expected, [M, w], dtype)
