"""The random numbers that Bayesian layers draw."""

import math

import keras
import numpy as np
import pytest

if keras.backend.backend() != "tensorflow":
    pytest.skip(
        "Bayesian layers need TensorFlow Probability, and so the TensorFlow "
        "backend",
        allow_module_level=True,
    )

import tensorflow as tf

from keras_dnc.bayesian import noise

COUNT = 200_000
dtypes = pytest.mark.parametrize(
    "dtype", ["float16", "bfloat16", "float32", "float64"]
)


@pytest.fixture
def generator():
    return keras.random.SeedGenerator(0)


def array(tensor):
    return np.asarray(tf.cast(tensor, "float64"))


@dtypes
def test_normals_are_distributed_as_they_should(generator, dtype):
    draws = noise.normals((COUNT,), dtype, generator)
    assert draws.dtype == dtype
    values = np.sort(array(draws))
    exact = np.array([(1 + math.erf(v / math.sqrt(2))) / 2 for v in values])
    # Kolmogorov's statistic is above 1.95 / √n once in a thousand times; half
    # precision rounds values of one size by up to 2^-9 of it.
    rounding = {"float16": 2e-4, "bfloat16": 2e-3}.get(dtype, 0)
    steps = np.arange(1, COUNT + 1) / COUNT
    assert np.abs(exact - steps).max() < 1.95 / math.sqrt(COUNT) + rounding
    # The fourth moment, 3, tells of the tails; its error is √(96 / n).
    assert abs(np.mean(values**4) - 3) < 4 * math.sqrt(96 / COUNT)
    assert np.isfinite(values).all() and values[-1] > 4 and values[0] < -4


@dtypes
def test_signs_are_fair_and_independent(generator, dtype):
    draws = noise.signs((1_000, 200), dtype, generator)
    assert draws.dtype == dtype
    signs = array(draws)
    assert set(np.unique(signs)) == {-1, 1}
    assert abs(signs.mean()) < 4 / math.sqrt(signs.size)
    # Of two channels, of two rows, and of rows that share a random word.
    for one, other in (
        (signs[:, :-1], signs[:, 1:]),
        (signs[:-1], signs[1:]),
        (signs[:-7], signs[7:]),
        (signs[:-32], signs[32:]),
    ):
        assert abs(np.mean(one * other)) < 4 / math.sqrt(one.size)


@pytest.mark.parametrize("draw", [noise.normals, noise.signs])
@pytest.mark.parametrize("shape", [(7,), (33, 5), (3, 1, 1, 4), (2, 6, 1, 1)])
@pytest.mark.parametrize("jit_compile", [False, True])
def test_each_call_draws_anew(generator, draw, shape, jit_compile):
    @tf.function(jit_compile=jit_compile)
    def several():
        return [draw(shape, "float32", generator) for _ in range(8)]

    first, second = np.stack(several()), np.stack(several())
    assert first.shape == (8, *shape)
    assert not np.array_equal(first, second)
    assert len(np.unique(first.reshape(8, -1), axis=0)) > 4


@pytest.mark.parametrize("draw", [noise.normals, noise.signs])
def test_a_number_of_rows_that_is_not_known(generator, draw):
    @tf.function(input_signature=[tf.TensorSpec((None, 3))])
    def like(x):
        return draw((keras.ops.shape(x)[0], 3), "float32", generator)

    for rows in 1, 32, 45:
        assert like(np.zeros((rows, 3))).shape == (rows, 3)


def test_a_seed_repeats_its_numbers():
    draws = [
        noise.normals((5,), "float32", keras.random.SeedGenerator(seed))
        for seed in (1, 1, 2)
    ]
    assert np.array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], draws[2])
