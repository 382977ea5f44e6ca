"""Each formula of addressing against the NumPy loops."""

import keras
import numpy as np
import pytest
import reference
from comparison import (
    all_sizes,
    assert_close,
    each_example,
    rounded,
    tensor,
    tensors,
)
from keras import ops

from keras_dnc import addressing


@pytest.fixture
def rng():
    return np.random.default_rng(1)


def random_state(rng, sizes, dtype):
    B, N, W, R, V = sizes
    return rounded(reference.random_state(rng, N, W, R, V, B), dtype)


def check(function, expected, arguments, dtype):
    assert_close(function(*tensors(arguments, dtype)), expected, dtype)


@all_sizes
def test_complement_product_multiplies_over_the_heads(rng, sizes, dtype):
    x = rounded(rng.uniform(size=(sizes.B, sizes.V, sizes.N)), dtype)
    expected = np.ones((sizes.B, sizes.N))
    for b, v, n in np.ndindex(x.shape):
        expected[b, n] *= 1 - x[b, v, n]
    check(addressing.complement_product, expected, [x], dtype)


@all_sizes
def test_unit_vectors(rng, sizes, dtype):
    x = rounded(rng.normal(size=(sizes.B, sizes.N, sizes.W)), dtype)
    x[0, 0] = 0
    expected = np.array(
        [[reference.unit_vector(row) for row in rows] for rows in x]
    )
    check(addressing.unit_vectors, expected, [x], dtype)


@all_sizes
def test_cosine_similarity(rng, sizes, dtype):
    B, N, W, R, _ = sizes
    M = rounded(rng.normal(size=(B, N, W)), dtype)
    k = rounded(rng.normal(size=(B, R, W)), dtype)
    expected = np.zeros((B, R, N))
    for b, i, n in np.ndindex(expected.shape):
        expected[b, i, n] = reference.cosine(k[b, i], M[b, n])
    check(addressing.cosine_similarity, expected, [M, k], dtype)


def test_zero_keys_and_zero_slots_are_similar_to_nothing():
    M = np.array([[[1.0, 2.0], [0.0, 0.0], [-3.0, 4.0]]])
    k = np.array([[[0.0, 0.0], [0.6, 0.8]]])
    similarity = addressing.cosine_similarity(*tensors([M, k], "float32"))
    similarity = ops.convert_to_numpy(similarity)
    assert not similarity[0, 0].any()
    assert similarity[0, 1, 1] == 0
    # (0.6 + 1.6) / √5 and (−1.8 + 3.2) / 5
    np.testing.assert_allclose(
        similarity[0, 1, [0, 2]], [0.983870, 0.28], rtol=2e-6
    )


def test_a_formula_of_own_gradient_takes_named_and_symbolic_tensors(rng):
    M, k = rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 1, 4))
    expected = addressing.cosine_similarity(*tensors([M, k], "float32"))
    named = addressing.cosine_similarity(
        keys=tensor(k, "float32"), memory=tensor(M, "float32")
    )
    inputs = [keras.Input((3, 4)), keras.Input((1, 4))]
    model = keras.Model(inputs, addressing.cosine_similarity(*inputs))
    for actual in named, model([M, k]):
        np.testing.assert_allclose(
            ops.convert_to_numpy(actual),
            ops.convert_to_numpy(expected),
            rtol=1e-6,
        )


@all_sizes
def test_content_weighting(rng, sizes, dtype):
    B, N, W, R, _ = sizes
    M = rounded(rng.normal(size=(B, N, W)), dtype)
    k = rounded(rng.normal(size=(B, R, W)), dtype)
    beta = rounded(1 + rng.exponential(5, size=(B, R)), dtype)
    expected = np.zeros((B, R, N))
    for b, i in np.ndindex(B, R):
        expected[b, i] = reference.content_weighting(M[b], k[b, i], beta[b, i])
    check(addressing.content_weighting, expected, [M, k, beta], dtype)


def test_content_weighting_takes_another_similarity(rng, dtype):
    def inner_product(memory, keys):
        return ops.einsum("bnw,bhw->bhn", memory, keys)

    M = rounded(rng.normal(size=(2, 5, 3)), dtype)
    k = rounded(rng.normal(size=(2, 2, 3)), dtype)
    beta = rounded(1 + rng.exponential(1, size=(2, 2)), dtype)
    expected = np.zeros((2, 2, 5))
    for b, i in np.ndindex(2, 2):
        expected[b, i] = reference.content_weighting(
            M[b], k[b, i], beta[b, i], np.dot
        )
    actual = addressing.content_weighting(
        *tensors([M, k, beta], dtype), similarity=inner_product
    )
    assert_close(actual, expected, dtype)


def test_content_weighting_of_a_zero_memory_is_uniform(dtype):
    M, k, beta = np.zeros((1, 4, 3)), np.ones((1, 2, 3)), np.full((1, 2), 9.0)
    expected = np.full((1, 2, 4), 0.25)
    check(addressing.content_weighting, expected, [M, k, beta], dtype)


@all_sizes
def test_retention(rng, sizes, dtype):
    state = random_state(rng, sizes, dtype)
    f = rounded(rng.uniform(size=(sizes.B, sizes.R)), dtype)
    expected = each_example(reference.retention, f, state.w_r)
    check(addressing.retention, expected, [f, state.w_r], dtype)


@all_sizes
def test_usage(rng, sizes, dtype):
    state = random_state(rng, sizes, dtype)
    psi = rounded(rng.uniform(size=(sizes.B, sizes.N)), dtype)
    expected = each_example(reference.usage, state.u, state.w_w, psi)
    check(addressing.usage, expected, [state.u, state.w_w, psi], dtype)


def test_usage_known_by_hand(dtype):
    # Two heads: 0.5 and 0.5 together write 0.75 of slot 1. Slot 2 is freed.
    u = np.array([[0.2, 0.4, 1.0]])
    w_w = np.array([[[0.0, 0.5, 0.0], [0.0, 0.5, 0.0]]])
    psi = np.array([[1.0, 1.0, 0.0]])
    expected = [[0.2, 0.4 + 0.75 - 0.3, 0.0]]
    check(addressing.usage, expected, [u, w_w, psi], dtype)


@all_sizes
def test_allocation_weighting(rng, sizes, dtype):
    u = rounded(reference.distinct_usages(rng, sizes.B, sizes.N), dtype)
    expected = each_example(reference.allocation_weighting, u)
    check(addressing.allocation_weighting, expected, [u], dtype)


def test_allocation_weighting_known_by_hand(dtype):
    # In the order 2, 0, 1: 1 − 0.1; (1 − 0.5) · 0.1; (1 − 0.8) · 0.1 · 0.5
    actual = addressing.allocation_weighting(tensor([[0.5, 0.8, 0.1]], dtype))
    expected = [[0.05, 0.01, 0.9]]
    # The paper's formula has no 1e-6, which is seen in the fifth digit here.
    np.testing.assert_allclose(
        ops.convert_to_numpy(actual), expected, rtol=0, atol=2e-6
    )


TIES = {
    "two of three": [0.3, 0.7, 0.3],
    "all": [0.4] * 7,
    "all free": [0.0] * 7,
    "all used": [1.0] * 7,
    "one slot": [0.0],
    "pairs": [0.9, 0.1, 0.9, 0.1, 0.5, 0.5],
    "free behind used": [1.0, 1.0, 0.0, 0.0, 0.0],
}


@pytest.mark.parametrize("jitted", [False, True], ids=["eager", "jitted"])
@pytest.mark.parametrize("usage", TIES.values(), ids=TIES)
def test_of_equal_usages_the_lower_slot_is_allocated_first(
    usage, jitted, dtype
):
    function = addressing.allocation_weighting
    if jitted:
        function = under_xla(function)
    u = rounded(np.array([usage]), dtype)
    expected = each_example(reference.allocation_weighting, u)
    check(function, expected, [u], dtype)


def test_many_equal_usages_are_allocated_in_order(dtype):
    # Sorting networks and quick sorts are stable on few elements by chance.
    u = np.full((1, 301), 0.99)
    u[0, 100:] = 0.98
    expected = each_example(reference.allocation_weighting, rounded(u, dtype))
    check(addressing.allocation_weighting, expected, [u], dtype)


def under_xla(function):
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.function(function, jit_compile=True)
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(function)
    pytest.skip("PyTorch has no XLA here")


@all_sizes
def test_allocation_weightings_of_heads_in_turn(rng, sizes, dtype):
    B, N, _, _, V = sizes
    u = rounded(reference.distinct_usages(rng, B, N), dtype)
    g_a, g_w = rounded(rng.uniform(size=(2, B, V)), dtype)
    expected = each_example(reference.allocation_weightings, u, g_a, g_w)
    check(addressing.allocation_weightings, expected, [u, g_a, g_w], dtype)


def test_heads_that_allocate_fully_take_different_slots():
    u = tensor([[0.0, 1.0, 0.0, 0.0]], "float32")
    gates = tensor([[1.0, 1.0, 1.0]], "float32")
    actual = addressing.allocation_weightings(u, gates, gates)
    slots = ops.convert_to_numpy(actual)[0].argmax(axis=-1)
    assert sorted(slots) == [0, 2, 3]


def test_a_head_that_does_not_allocate_leaves_the_slot_to_the_next():
    u = tensor([[0.9, 0.1]], "float32")
    g_w = tensor([[1.0, 1.0, 1.0]], "float32")
    # The second head writes by content alone.
    g_a = tensor([[1.0, 0.0, 1.0]], "float32")
    actual = ops.convert_to_numpy(addressing.allocation_weightings(u, g_a, g_w))
    np.testing.assert_array_equal(actual[0, 1], actual[0, 2])
    assert actual[0, 0].argmax() == 1
    assert actual[0, 1].argmax() == 0


@all_sizes
def test_write_weighting(rng, sizes, dtype):
    B, N, _, _, V = sizes
    a, c = rounded(rng.uniform(size=(2, B, V, N)), dtype)
    g_a, g_w = rounded(rng.uniform(size=(2, B, V)), dtype)
    expected = np.zeros((B, V, N))
    for b, v in np.ndindex(B, V):
        expected[b, v] = reference.write_weighting(
            a[b, v], c[b, v], g_a[b, v], g_w[b, v]
        )
    check(addressing.write_weighting, expected, [a, c, g_a, g_w], dtype)


@all_sizes
def test_precedence(rng, sizes, dtype):
    state = random_state(rng, sizes, dtype)
    w = rounded(reference.random_weightings(rng, *state.p.shape), dtype)
    expected = np.zeros_like(state.p)
    for b, v in np.ndindex(sizes.B, sizes.V):
        expected[b, v] = reference.precedence(state.p[b, v], w[b, v])
    check(addressing.precedence, expected, [state.p, w], dtype)


@all_sizes
def test_link(rng, sizes, dtype):
    state = random_state(rng, sizes, dtype)
    w = rounded(reference.random_weightings(rng, *state.p.shape), dtype)
    expected = np.zeros_like(state.L)
    for b, v in np.ndindex(sizes.B, sizes.V):
        expected[b, v] = reference.link(state.L[b, v], state.p[b, v], w[b, v])
    check(addressing.link, expected, [state.L, state.p, w], dtype)


def test_link_known_by_hand(dtype):
    L = np.array([[[[0.0, 0.4], [0.2, 0.0]]]])
    p = np.array([[[0.25, 0.5]]])
    w = np.array([[[0.1, 0.6]]])
    # (1 − 0.1 − 0.6) · 0.4 + 0.1 · 0.5 and 0.3 · 0.2 + 0.6 · 0.25
    expected = [[[[0.0, 0.17], [0.21, 0.0]]]]
    check(addressing.link, expected, [L, p, w], dtype)


def test_link_never_points_from_a_slot_to_itself(dtype):
    # A slot that was written last and is written again.
    p = w = np.array([[[1.0, 0.0]]])
    expected = np.zeros((1, 1, 2, 2))
    check(addressing.link, expected, [np.zeros((1, 1, 2, 2)), p, w], dtype)


@all_sizes
def test_directional_weightings(rng, sizes, dtype):
    B, N, _, R, V = sizes
    state = random_state(rng, sizes, dtype)
    forward, backward = np.zeros((2, B, V, R, N))
    for b, v, i in np.ndindex(B, V, R):
        one = state.L[b, v], state.w_r[b, i]
        forward[b, v, i] = reference.forward_weighting(*one)
        backward[b, v, i] = reference.backward_weighting(*one)
    actual = addressing.directional_weightings(
        *tensors([state.L, state.w_r], dtype)
    )
    assert_close(actual[0], forward, dtype)
    assert_close(actual[1], backward, dtype)


def test_directional_weightings_known_by_hand(dtype):
    # Slot 2 was written after slot 0: L[2, 0] = 1.
    L = np.zeros((1, 1, 3, 3))
    L[0, 0, 2, 0] = 1
    w_r = np.array([[[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]])
    forward, backward = addressing.directional_weightings(
        *tensors([L, w_r], dtype)
    )
    assert_close(forward, [[[[0, 0, 1], [0, 0, 0]]]], dtype)
    assert_close(backward, [[[[0, 0, 0], [1, 0, 0]]]], dtype)


@all_sizes
def test_link_and_directional_weightings_are_those_of_the_formulas(
    rng, sizes, dtype
):
    B, N, _, R, V = sizes
    state = random_state(rng, sizes, dtype)
    w = rounded(reference.random_weightings(rng, *state.p.shape), dtype)
    L = np.zeros_like(state.L)
    forward, backward = np.zeros((2, B, V, R, N))
    for b, v in np.ndindex(B, V):
        L[b, v] = reference.link(state.L[b, v], state.p[b, v], w[b, v])
        for i in range(R):
            one = L[b, v], state.w_r[b, i]
            forward[b, v, i] = reference.forward_weighting(*one)
            backward[b, v, i] = reference.backward_weighting(*one)
    actual = addressing.link_and_directional_weightings(
        *tensors([state.L, state.p, w, state.w_r], dtype)
    )
    for part, expected in zip(actual, (L, forward, backward), strict=True):
        assert_close(part, expected, dtype)


def test_links_of_symbolic_tensors(rng):
    shapes = (1, 4, 4), (1, 4), (1, 4), (2, 4)
    inputs = [keras.Input(shape) for shape in shapes]
    formula = addressing.link_and_directional_weightings
    model = keras.Model(inputs, formula(*inputs))
    arrays = [rng.random((3, *shape)).astype("float32") for shape in shapes]
    for actual, expected in zip(
        model(arrays), formula(*tensors(arrays, "float32")), strict=True
    ):
        np.testing.assert_allclose(
            ops.convert_to_numpy(actual),
            ops.convert_to_numpy(expected),
            rtol=1e-6,
        )


@all_sizes
def test_read_weighting(rng, sizes, dtype):
    B, N, _, R, V = sizes
    b, f = rounded(rng.uniform(size=(2, B, V, R, N)), dtype)
    c = rounded(rng.uniform(size=(B, R, N)), dtype)
    pi = rounded(rng.dirichlet(np.ones(1 + 2 * V), size=(B, R)), dtype)
    expected = np.zeros((B, R, N))
    for example, i in np.ndindex(B, R):
        expected[example, i] = reference.read_weighting(
            b[example, :, i], c[example, i], f[example, :, i], pi[example, i]
        )
    check(addressing.read_weighting, expected, [b, c, f, pi], dtype)


@pytest.mark.parametrize("V", [1, 2, 3])
def test_read_modes_are_backward_then_content_then_forward(rng, V, dtype):
    b, f = rounded(rng.uniform(size=(2, 1, V, 1, 4)), dtype)
    c = rounded(rng.uniform(size=(1, 1, 4)), dtype)
    choices = [*b[0, :, 0], c[0, 0], *f[0, :, 0]]
    for mode, expected in enumerate(choices):
        pi = np.eye(1 + 2 * V)[None, None, mode]
        check(
            addressing.read_weighting,
            expected[None, None],
            [b, c, f, pi],
            dtype,
        )
