"""What always holds, under Hypothesis: random and extreme inputs."""

import functools
import math
from typing import NamedTuple

import hypothesis
import keras
import numpy as np
import pytest
import reference
from comparison import (
    SPECIAL_STATES,
    TANH,
    Sizes,
    assert_close,
    dense,
    flat_state,
    randomize,
    rounded,
    tensor,
    tensors,
)
from extensions import EXTENSIONS, reachable, state_tensors, together
from hypothesis import strategies as st
from keras import ops

import keras_dnc
from keras_dnc import addressing, memory, sparse_linkage
from keras_dnc.interface import is_present, part_shapes

# Keras warns of a softmax over a single slot, which is meant here.
pytestmark = pytest.mark.filterwarnings("ignore:You are using a softmax")
tensorflow_only = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow",
    reason="takes gradients with tf.GradientTape: needs TensorFlow",
)
# The same examples in every run.
settings = hypothesis.settings(
    max_examples=60, deadline=None, derandomize=True, database=None
)

# Rounding may carry a sum of some numbers a few units beyond its bound.
UNITS_IN_THE_LAST_PLACE = 16


def slack(dtype):
    return UNITS_IN_THE_LAST_PLACE * np.finfo(dtype).eps


# A memory that is told by raw logits what to do.

SOME_SIZES = [
    Sizes(B=2, N=5, W=3, R=2, V=1),
    Sizes(B=1, N=4, W=2, R=1, V=3),
    Sizes(B=1, N=1, W=1, R=1, V=1),
]
STEPS = 3


class Situation(NamedTuple):
    """A state and the interface vectors (steps, B, size) that follow it."""

    sizes: Sizes
    state: reference.State
    logits: np.ndarray


@st.composite
def situations(draw, of_sizes=SOME_SIZES):
    """Any valid state; each part of the interface random or extreme."""
    sizes = draw(st.sampled_from(of_sizes))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    B, N, W, R, V = sizes
    state = reference.random_state(rng, N, W, R, V, B)
    change = draw(st.sampled_from([None, *SPECIAL_STATES]))
    state = state if change is None else change(state)

    scale = draw(st.sampled_from([1.0, 10.0, 1e4]))
    logits = scale * rng.normal(
        size=(STEPS, B, reference.interface_size(W, R, V))
    )
    end = 0
    for shape in filter(None, part_shapes(W, R, V)):
        start, end = end, end + math.prod(shape)
        value = draw(st.sampled_from([None, None, -1e4, 0.0, 1e4]))
        if value is not None:
            logits[..., start:end] = value
    return Situation(sizes, state, logits)


@functools.cache
def sublayers(sizes, dtype):
    """An interface of raw logits, a write head and a read head."""
    return (
        keras_dnc.Interface(
            sizes.W,
            sizes.R,
            sizes.V,
            projection=keras.layers.Identity(dtype=dtype),
            dtype=dtype,
        ),
        keras_dnc.WriteHead(dtype=dtype),
        keras_dnc.ReadHead(dtype=dtype),
    )


def memory_step(sizes, dtype, logits, state):
    """One step without controller: the parts of the interface, the state."""
    interface, write_head, read_head = sublayers(sizes, dtype)
    M, u, p, L, w_w, w_r, _ = state
    parts = interface(logits)
    M, u, w_w = write_head(parts, M, u, w_w, w_r)
    r, w_r, L, p = read_head(parts, M, L, p, w_w, w_r)
    return parts, [M, u, p, L, w_w, w_r, r]


@functools.cache
def compiled_step(sizes, dtype):
    """`memory_step` as a graph, which runs many examples fast."""

    def step(logits, state):
        return memory_step(sizes, dtype, logits, state)

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.function(step)
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(step)
    return step


def run(situation, dtype):
    """Yields the state after each step, its parts in float64."""
    step = compiled_step(situation.sizes, dtype)
    state = tensors(situation.state[:-1], dtype)
    for logits in situation.logits:
        _, state = step(tensor(logits, dtype), state)
        yield reference.State(*(as_float64(part) for part in state), [])


def as_float64(x):
    return ops.convert_to_numpy(x).astype("float64")


def assert_between(x, lower, upper, dtype):
    # NaN is in no interval.
    assert np.all(x >= lower - slack(dtype))
    assert np.all(x <= upper + slack(dtype))


def assert_weightings(w, dtype):
    """Not negative, of sum at most 1."""
    assert_between(w, 0, 1, dtype)
    assert_between(w.sum(axis=-1), 0, 1, dtype)


# Bounds


@settings
@hypothesis.given(situation=situations(), sharpness=st.floats(1, 1e4))
def test_content_weightings_sum_to_1(widest_dtype, situation, sharpness):
    M, w_w = situation.state.M, situation.state.w_w
    W, V = situation.sizes.W, situation.sizes.V
    keys = situation.logits[0, :, : V * W].reshape(-1, V, W)
    strengths = np.full(w_w.shape[:2], sharpness)
    actual = addressing.content_weighting(
        *tensors([M, keys, strengths], widest_dtype)
    )
    actual = as_float64(actual)
    assert_weightings(actual, widest_dtype)
    assert_between(actual.sum(axis=-1), 1, 1, widest_dtype)


@settings
@hypothesis.given(situation=situations())
def test_allocation_weightings_sum_to_1_at_most(widest_dtype, situation):
    u = situation.state.u
    g_a, g_w = np.random.default_rng(0).uniform(
        size=(2, *situation.state.w_w.shape[:2])
    )
    actual = addressing.allocation_weightings(
        *tensors([u, g_a, g_w], widest_dtype)
    )
    assert_weightings(as_float64(actual), widest_dtype)


@settings
@hypothesis.given(situation=situations())
def test_write_weightings_sum_to_1_at_most(widest_dtype, situation):
    for state in run(situation, widest_dtype):
        assert_weightings(state.w_w, widest_dtype)


@settings
@hypothesis.given(situation=situations())
def test_read_weightings_sum_to_1_at_most(widest_dtype, situation):
    for state in run(situation, widest_dtype):
        assert_weightings(state.w_r, widest_dtype)


@settings
@hypothesis.given(situation=situations())
def test_usage_lies_between_0_and_1(widest_dtype, situation):
    for state in run(situation, widest_dtype):
        assert_between(state.u, 0, 1, widest_dtype)


@settings
@hypothesis.given(situation=situations())
def test_precedences_sum_to_1_at_most(widest_dtype, situation):
    for state in run(situation, widest_dtype):
        assert_weightings(state.p, widest_dtype)


@settings
@hypothesis.given(situation=situations())
def test_links_lie_between_0_and_1(widest_dtype, situation):
    for state in run(situation, widest_dtype):
        assert_between(state.L, 0, 1, widest_dtype)


@settings
@hypothesis.given(situation=situations())
def test_links_have_a_diagonal_of_zeros(widest_dtype, situation):
    for state in run(situation, widest_dtype):
        assert not np.diagonal(state.L, axis1=-2, axis2=-1).any()


@settings
@hypothesis.given(situation=situations())
def test_rows_of_links_sum_to_1_at_most(widest_dtype, situation):
    for state in run(situation, widest_dtype):
        assert_between(state.L.sum(axis=-1), 0, 1, widest_dtype)


@settings
@hypothesis.given(situation=situations())
def test_columns_of_links_and_precedence_sum_to_1_at_most(
    widest_dtype, situation
):
    for state in run(situation, widest_dtype):
        assert_between(state.L.sum(axis=-2) + state.p, 0, 1, widest_dtype)


@settings
@hypothesis.given(situation=situations())
def test_everything_is_finite(widest_dtype, situation):
    for state in run(situation, widest_dtype):
        assert all(np.isfinite(part).all() for part in state[:-1])


# Writing and freeing


@settings
@hypothesis.given(situation=situations(), head=st.integers(0, 2))
def test_a_closed_gate_leaves_precedence_and_links(
    widest_dtype, situation, head
):
    head = head % situation.sizes.V
    close(situation, [head])
    before = situation.state
    *_, after = run(situation, widest_dtype)
    for name in ("p", "L"):
        np.testing.assert_array_equal(
            getattr(after, name)[:, head],
            getattr(before, name)[:, head].astype(widest_dtype),
        )


@settings
@hypothesis.given(situation=situations())
def test_closed_gates_leave_the_memory(widest_dtype, situation):
    close(situation, range(situation.sizes.V))
    *_, after = run(situation, widest_dtype)
    np.testing.assert_array_equal(
        after.M, situation.state.M.astype(widest_dtype)
    )
    assert not after.w_w.any()


def close(situation, heads):
    """Closes the write gates of some heads in every step."""
    _, _, W, R, V = situation.sizes
    start = R * W + R + 3 * V * W + V + R + V
    for head in heads:
        situation.logits[..., start + head] = -1e4


# Backends may take a subnormal number for zero.
usages = st.lists(
    st.floats(0, 1, allow_subnormal=False, width=32), min_size=2, max_size=6
)


@settings
@hypothesis.given(u=usages, slot=st.integers(0, 5), V=st.integers(1, 3))
def test_a_full_write_makes_a_slot_used(widest_dtype, u, slot, V):
    # Whatever the usage before, of the empty slot and of the others.
    N = len(u)
    slot = slot % N
    u[slot] = 0.0
    w_w = np.zeros((1, V, N))
    w_w[0, 0, slot] = 1
    new = addressing.usage(*tensors([[u], w_w, np.ones((1, N))], widest_dtype))
    expected = rounded(np.array([u]), widest_dtype)
    expected[0, slot] = 1
    np.testing.assert_array_equal(as_float64(new), expected)


@settings
@hypothesis.given(u=usages, slot=st.integers(0, 5), R=st.integers(1, 3))
def test_a_full_free_makes_a_slot_empty(widest_dtype, u, slot, R):
    # Even one that has just been written.
    N = len(u)
    slot = slot % N
    w_w = np.full((1, 1, N), 1 / N)
    w_r = np.zeros((1, R, N))
    w_r[0, R - 1, slot] = 1
    f = np.zeros((1, R))
    f[0, R - 1] = 1
    psi = addressing.retention(*tensors([f, w_r], widest_dtype))
    new = addressing.usage(*tensors([[u], w_w], widest_dtype), psi)
    freed = as_float64(new)[0]
    assert freed[slot] == 0
    assert all(freed[n] > 0 for n in range(N) if n != slot)


# Links


@pytest.mark.slow
@settings
@hypothesis.given(
    N=st.just(6),
    order=st.permutations(range(6)),
    V=st.integers(1, 2),
    links=st.sampled_from([None, 1, 2]),
)
@hypothesis.example(N=3, order=[0, 1, 2], V=1, links=None)
def test_links_lead_through_the_slots_in_the_order_of_writing(
    widest_dtype, N, order, V, links
):
    one_hot = np.eye(N)
    # The last head writes; another one, if there is, keeps still.
    w_w = np.zeros((1, V, N))
    linkage = keras_dnc.TemporalLinkage(dtype=widest_dtype)
    if links:
        linkage = keras_dnc.SparseTemporalLinkage(links, dtype=widest_dtype)
    L, p = keras.tree.map_shape_structure(
        lambda shape: tensor(np.zeros((1, *shape)), widest_dtype),
        linkage.state_shapes(V, N),
    )
    nowhere = tensor(np.zeros((1, 1, N)), widest_dtype)
    for slot in order:
        w_w[0, V - 1] = one_hot[slot]
        L, p, _, _ = linkage(L, p, tensor(w_w, widest_dtype), nowhere)

    still = tensor(np.zeros((1, V, N)), widest_dtype)
    for direction, path in ((2, order), (3, order[::-1])):
        w_r = tensor(one_hot[None, None, path[0]], widest_dtype)
        for slot in path[1:]:
            weightings = linkage(L, p, still, w_r)[direction]
            # Of the head that wrote, for the one read head.
            w_r = weightings[:, V - 1]
            np.testing.assert_array_equal(
                as_float64(w_r), one_hot[None, None, slot]
            )
        # There is nothing after the last slot, nor before the first.
        end = linkage(L, p, still, w_r)[direction]
        assert not as_float64(end).any()


def test_a_memory_plays_back_what_was_written(widest_dtype):
    # The same through the heads: three words written by allocation, then
    # found by content once and followed forward, then backward.
    sizes = Sizes(B=1, N=5, W=3, R=1, V=1)
    N, W = sizes.N, sizes.W
    words = 10 * np.eye(W)
    state = reference.random_state(np.random.default_rng(0), N, W, R=1, V=1)
    state = [np.zeros_like(part) for part in state[:-1]]
    state = tensors(state, widest_dtype)
    on, off = 1e4, -1e4

    def logits(read_key=None, word=None, mode=1):
        """Parts of the interface vector, in its order."""
        key = np.zeros(W) if read_key is None else read_key
        write = off if word is None else on
        word = np.zeros(W) if word is None else word
        modes = np.full(3, off)
        modes[mode] = on
        # Read key and strength; write key and strength; erase and write
        # vectors; free, allocation and write gate; modes.
        parts = [key, [on], np.zeros(W), [0], np.full(W, on), word]
        parts += [[off], [on], [write], modes]
        return tensor(np.concatenate(parts)[None], widest_dtype)

    for word in words:
        _, state = memory_step(
            sizes, widest_dtype, logits(word=word, mode=1), state
        )
    reads = []
    backward, content, forward = 0, 1, 2
    for mode in (content, forward, forward, backward, backward):
        _, state = memory_step(
            sizes, widest_dtype, logits(read_key=words[0], mode=mode), state
        )
        reads.append(as_float64(state[-1])[0, 0])
    # Allocation leaves a millionth of a word to the other slots.
    np.testing.assert_allclose(reads, words[[0, 1, 2, 1, 0]], atol=1e-4)


# Slots have no order of their own


def full_cell(sizes, dtype, **arguments):
    cell = keras_dnc.DNCCell(
        2,
        controller=keras.layers.LSTMCell(4, activation=TANH, dtype=dtype),
        memory_size=sizes.N,
        word_size=sizes.W,
        num_reads=sizes.R,
        num_writes=sizes.V,
        dtype=dtype,
        **arguments,
    )
    cell.build((sizes.B, 3))
    return cell


EXTENSIONS_BY_SLOT = {"none": {}, **EXTENSIONS}
del EXTENSIONS_BY_SLOT["learned_memory"]


@pytest.mark.parametrize(
    ("V", "name"),
    [
        pytest.param(
            V, name, marks=pytest.mark.slow if V > 1 and name != "none" else ()
        )
        for V in (1, 2)
        for name in EXTENSIONS_BY_SLOT
    ],
)
def test_permuting_the_slots_leaves_the_output(V, name, widest_dtype):
    sizes = Sizes(B=2, N=6, W=3, R=2, V=V)
    arguments = EXTENSIONS_BY_SLOT[name]
    cell = full_cell(sizes, widest_dtype, **arguments)

    @hypothesis.settings(settings, max_examples=3 if arguments else 10)
    @hypothesis.given(
        seed=st.integers(0, 2**32 - 1), order=st.permutations(range(sizes.N))
    )
    def check(seed, order):
        rng = np.random.default_rng(seed)
        randomize(cell, rng, widest_dtype, deviation=0.3)
        # Distinct usages: between equal ones the slots' order decides.
        state = reference.random_state(rng, *sizes[1:], sizes.B, (4, 4))
        state = reachable(rounded(state, widest_dtype), arguments)
        states = state_tensors(cell, state, widest_dtype)
        permuted = state_tensors(cell, permute(state, order), widest_dtype)
        for x in tensors(rng.normal(size=(STEPS, sizes.B, 3)), widest_dtype):
            y, states = cell(x, states)
            permuted_y, permuted = cell(x, permuted)
            assert_close(permuted_y, as_float64(y), widest_dtype)

        expected = permute(unpacked(cell, states), order)
        actual = unpacked(cell, permuted)
        for one, other in zip(actual, expected, strict=True):
            np.testing.assert_allclose(
                one, other, rtol=0, atol=1e3 * np.finfo(widest_dtype).eps
            )

    check()


def unpacked(cell, states):
    """The state's parts but the controller's, its links dense ones."""
    state = cell.unpack_state(states)
    link = state.link
    if isinstance(link, keras_dnc.SparseLink):
        link = tensor(dense(link), link.values.dtype)
    parts = state._replace(link=link)[:-1]
    return reference.State(
        *(as_float64(part) if is_present(part) else part for part in parts), []
    )


def permute(state, order):
    order = list(order)
    if is_present(state.L):
        state = state._replace(
            p=state.p[..., order], L=state.L[..., order, :][..., order]
        )
    return state._replace(
        M=state.M[:, order],
        u=state.u[:, order],
        w_w=state.w_w[..., order],
        w_r=state.w_r[..., order],
    )


# One write head


def with_small_numbers(rng, *shape):
    """Numbers of many sizes, of which float32 holds the product of three."""
    exponents = rng.integers(-11, 1, size=shape)
    return rng.uniform(0.1, 1, size=shape) * 10.0**exponents


@settings
@hypothesis.given(seed=st.integers(0, 2**32 - 1))
@pytest.mark.parametrize("dtype_name", ["float32", "float64"])
def test_one_write_head_is_the_paper_s_single_head(dtype_name, request, seed):
    # In NumPy of the same dtype, up to the last places of each number: with
    # 1 − (1 − w) in place of w this fails.
    if dtype_name == "float64":
        request.getfixturevalue("float64")
    rng = np.random.default_rng(seed)
    N, W = 5, 3
    exact = {"rtol": 4 * np.finfo(dtype_name).eps, "atol": 0}

    def draw(*shape):
        return with_small_numbers(rng, *shape).astype(dtype_name)

    def compare(actual, expected):
        assert expected.dtype == dtype_name
        actual = ops.convert_to_numpy(actual)
        np.testing.assert_allclose(actual, expected[None], **exact)

    def call(function, *arguments):
        """The formula of a batch of one."""
        batch = [argument[None] for argument in arguments]
        return function(*tensors(batch, dtype_name))

    u, w, psi, p = draw(4, N)
    compare(call(addressing.usage, u, w[None], psi), (u + w - u * w) * psi)

    g_a, g_w, c, a = draw(1), draw(1), draw(N), draw(N)
    compare(
        call(addressing.write_weighting, a[None], c[None], g_a, g_w),
        (g_w * (g_a * a + (1 - g_a) * c))[None],
    )
    allocation = call(addressing.allocation_weighting, u)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(
            call(addressing.allocation_weightings, u, g_a, g_w)
        )[:, 0],
        ops.convert_to_numpy(allocation),
    )

    M, e, nu = draw(N, W), draw(W), draw(W)
    compare(
        call(memory.erase_and_write, M, w[None], e[None], nu[None]),
        M * (1 - np.outer(w, e)) + np.outer(w, nu),
    )

    L = draw(N, N)
    expected = (1 - w[:, None] - w) * L + np.outer(w, p)
    # 1 − w[i] − w[j] may lose all of its places, so the bound is absolute.
    expected[np.diag_indices(N)] = 0
    actual = ops.convert_to_numpy(
        call(addressing.link, L[None], p[None], w[None])
    )
    np.testing.assert_allclose(
        actual[0, 0], expected, rtol=exact["rtol"], atol=exact["rtol"]
    )

    b, f = draw(2, N)
    pi = draw(3)
    compare(
        call(
            addressing.read_weighting,
            b[None, None],
            c[None],
            f[None, None],
            pi[None],
        ),
        (pi[0] * b + pi[1] * c + pi[2] * f)[None],
    )


# Gradients are finite wherever values are


@functools.cache
def compiled_gradients(sizes, dtype):
    """Gradients of all states after `STEPS` steps, by everything."""
    import tensorflow as tf

    @tf.function
    def gradients(logits, state):
        with tf.GradientTape() as tape:
            tape.watch([logits, *state])
            loss, new = 0.0, state
            for t in range(STEPS):
                _, new = memory_step(sizes, dtype, logits[t], new)
                loss += sum(tf.reduce_sum(part) for part in new)
        # The reads are the controller's input, and there is none here.
        return tape.gradient(loss, [logits, *state[:-1]])

    return gradients


@pytest.mark.slow
@tensorflow_only
@hypothesis.settings(settings, max_examples=150)
@hypothesis.given(situation=situations())
def test_gradients_are_finite(situation):
    # Zeros, logits of ±1e4 and so saturated gates, identical rows, ties.
    gradients = compiled_gradients(situation.sizes, "float32")(
        tensor(situation.logits, "float32"),
        tensors(situation.state[:-1], "float32"),
    )
    for gradient in gradients:
        assert np.isfinite(gradient.numpy()).all()


def all_zero_cell(sizes, dtype):
    cell = full_cell(sizes, dtype)
    for variable in cell.weights:
        variable.assign(np.zeros(variable.shape))
    return cell


@pytest.mark.parametrize("V", [1, 3])
def test_a_step_with_everything_zero_is_finite(V, dtype):
    sizes = Sizes(B=2, N=5, W=3, R=2, V=V)
    cell = all_zero_cell(sizes, dtype)
    y, states = cell(tensor(np.zeros((2, 3)), dtype), cell.get_initial_state(2))
    assert all(np.isfinite(as_float64(part)).all() for part in [y, *states])


@tensorflow_only
@pytest.mark.parametrize("V", [1, 3])
def test_a_step_with_everything_zero_has_finite_gradients(V, dtype):
    import tensorflow as tf

    sizes = Sizes(B=2, N=5, W=3, R=2, V=V)
    cell = all_zero_cell(sizes, dtype)
    states = cell.get_initial_state(2)
    x = tf.zeros((2, 3), dtype)
    with tf.GradientTape() as tape:
        tape.watch([x, states])
        y, new = cell(x, states)
        loss = sum(tf.reduce_sum(part) for part in [y, *new])
    sources = [x, *states, *(v.value for v in cell.trainable_weights)]
    gradients = tape.gradient(loss, sources)
    assert not any(gradient is None for gradient in gradients)
    assert all(np.isfinite(gradient.numpy()).all() for gradient in gradients)
    # The memory's read path lets gradients through, even from nothing.
    assert any(gradient.numpy().any() for gradient in gradients)


# Long sequences


def long_model(policy, steps):
    inputs = keras.Input((steps, 3))
    layer = keras_dnc.DNC(
        2,
        controller=8,
        memory_size=12,
        word_size=4,
        num_reads=2,
        num_writes=2,
        return_state=True,
        dtype=policy,
    )
    return layer, keras.Model(inputs, layer(inputs))


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["float32", "float64"])
def test_bounds_hold_after_2000_steps(policy, request):
    if policy == "float64":
        request.getfixturevalue("float64")
    layer, model = long_model(policy, 2000)
    randomize(layer.cell, np.random.default_rng(0), policy, deviation=1)
    x = np.random.default_rng(1).normal(size=(2, 2000, 3))
    y, *states = model.predict(x, verbose=0)
    state = unpacked(layer.cell, tensors(states, policy))
    assert np.isfinite(y).all()
    assert np.isfinite(state.M).all()
    assert_between(state.u, 0, 1, policy)
    for weightings in (state.p, state.w_w, state.w_r):
        assert_weightings(weightings, policy)
    assert_between(state.L, 0, 1, policy)
    assert_between(state.L.sum(axis=-1), 0, 1, policy)
    assert_between(state.L.sum(axis=-2) + state.p, 0, 1, policy)
    assert not np.diagonal(state.L, axis1=-2, axis2=-1).any()
    # Something was written and linked.
    assert state.u.max() > 0.5
    assert state.L.max() > 0.05


@tensorflow_only
@pytest.mark.slow
@pytest.mark.parametrize(
    "policy", ["float32", "mixed_float16", "mixed_bfloat16"]
)
def test_gradients_are_finite_after_2000_steps(policy):
    import tensorflow as tf

    _, model = long_model(policy, 2000)
    x = np.random.default_rng(1).normal(size=(2, 2000, 3)).astype("float32")

    @tf.function
    def gradients():
        with tf.GradientTape() as tape:
            y, *states = model(x)
            loss = tf.reduce_sum(tf.cast(y, "float32"))
            for part in states:
                loss += tf.reduce_sum(tf.cast(part, "float32"))
        weights = [v.value for v in model.trainable_weights]
        return loss, tape.gradient(loss, weights)

    loss, gradients = gradients()
    assert np.isfinite(loss.numpy())
    for gradient in gradients:
        assert np.isfinite(gradient.numpy()).all()
        assert gradient.numpy().any()


# Half precision

HALF = [
    "mixed_float16",
    pytest.param("mixed_bfloat16", marks=pytest.mark.slow),
]
# The distance from 1 to the next number.
EPSILONS = {"mixed_float16": 2.0**-10, "mixed_bfloat16": 2.0**-7}


@pytest.mark.slow
@pytest.mark.parametrize("policy", HALF)
def test_training_in_half_precision_stays_finite(policy):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(32, 5, 3))
    y = rng.normal(size=(32, 2))
    model = keras.Sequential(
        [
            keras.Input((5, 3)),
            keras_dnc.DNC(
                2, 6, memory_size=5, word_size=3, num_reads=2, dtype=policy
            ),
        ]
    )
    before = [as_float64(weight) for weight in model.trainable_weights]
    # `compile` puts a LossScaleOptimizer around it under mixed_float16.
    model.compile(keras.optimizers.Adam(0.01), "mse")
    history = model.fit(x, y, batch_size=8, epochs=3, verbose=0)
    losses = history.history["loss"]
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]
    for old, weight in zip(before, model.trainable_weights, strict=True):
        assert np.isfinite(as_float64(weight)).all()
        assert (as_float64(weight) != old).any()


def half_and_single(policy, sizes):
    """Two cells with the same weights, the second in float32."""
    cells = []
    for dtype in (policy, "float32"):
        cell = keras_dnc.DNCCell(
            2,
            controller=4,
            memory_size=sizes.N,
            word_size=sizes.W,
            num_reads=sizes.R,
            num_writes=sizes.V,
            dtype=dtype,
        )
        cell.build((sizes.B, 3))
        cells.append(cell)
    return cells


def run_cell(cell, x, states):
    """The structured state after the steps of x (B, T, X)."""
    for t in range(x.shape[1]):
        _, states = cell(tensor(x[:, t], "float32"), states)
    return unpacked(cell, states)


@pytest.mark.parametrize("policy", HALF)
def test_half_precision_addresses_in_float32(policy):
    # The interface vector is the same in both cells: constant, with values
    # that half precision has. All that is left is the memory.
    sizes = Sizes(B=2, N=6, W=3, R=2, V=2)
    rng = np.random.default_rng(3)
    cells = half_and_single(policy, sizes)
    bias = tensor(
        rng.normal(size=cells[0].interface.size), policy.removeprefix("mixed_")
    )
    for cell in cells:
        kernel = cell.interface.projection.kernel
        kernel.assign(np.zeros(kernel.shape))
        cell.interface.projection.bias.assign(ops.cast(bias, "float32"))
    state = reference.random_state(rng, *sizes[1:], sizes.B, (4, 4))
    states = flat_state(state, "float32")
    x = np.zeros((sizes.B, 24, 3))
    half, single = (run_cell(cell, x, states) for cell in cells)
    for name in ("M", "u", "p", "L", "w_w", "w_r", "r"):
        error = np.abs(getattr(half, name) - getattr(single, name))
        # What one rounding to half precision would do is over 1e-4.
        assert error.max() < 1e-6, name


@pytest.mark.parametrize("policy", HALF)
def test_small_writes_add_up_under_half_precision(policy):
    # One slot; the write gate lets σ(−7) ≈ 9e-4 through, by content, at each
    # of T steps, so that usage and precedence are 1 − (1 − σ(−7))^T: for the
    # usage less one step, for it counts what was written the step before.
    # bfloat16 has no number between 0.5 and 0.5039: sums would stand still.
    T = 500
    layer = keras_dnc.DNC(
        1,
        controller=2,
        memory_size=1,
        word_size=1,
        num_reads=1,
        return_state=True,
        dtype=policy,
    )
    inputs = keras.Input((T, 1))
    model = keras.Model(inputs, layer(inputs))
    projection = layer.cell.interface.projection
    projection.kernel.assign(np.zeros(projection.kernel.shape))
    parts = layer.cell.interface.part_shapes._asdict()
    logits = {name: np.zeros(shape) for name, shape in parts.items() if shape}
    logits["free_gates"][:] = -100
    logits["allocation_gates"][:] = -100
    logits["write_gates"][:] = -7
    projection.bias.assign(
        np.concatenate([part.ravel() for part in logits.values()])
    )
    _, *states = model.predict(np.zeros((1, T, 1)), verbose=0)
    state = unpacked(layer.cell, tensors(states, "float32"))
    gate = reference.sigmoid(-7.0)
    # Keras rounds the final states to the layer's compute dtype, at a cost of
    # half its epsilon; 500 roundings in float32 cost 500 · 6e-8.
    bound = EPSILONS[policy] / 2 + T * 6e-8
    assert abs(state.u[0, 0] - (1 - (1 - gate) ** (T - 1))) < bound
    assert abs(state.p[0, 0, 0] - (1 - (1 - gate) ** T)) < bound


@pytest.mark.parametrize("policy", HALF)
def test_half_precision_stays_close_to_float32(policy):
    # The controller and the interface vector are in half precision. Its
    # elements, of size 1 and the sum of a few roundings, are off by about one
    # epsilon; gates and modes change by at most a quarter of that, and each
    # step adds its part: after T steps T epsilon is a bound.
    T = 12
    sizes = Sizes(B=4, N=6, W=3, R=2, V=2)
    rng = np.random.default_rng(4)
    half, single = half_and_single(policy, sizes)
    randomize(half, rng, "float32", deviation=0.3)
    single.set_weights(half.get_weights())
    state = reference.random_state(rng, *sizes[1:], sizes.B, (4, 4))
    states = flat_state(state, "float32")
    x = rng.normal(size=(sizes.B, T, 3))
    half, single = run_cell(half, x, states), run_cell(single, x, states)
    for name in ("u", "p", "L"):
        error = np.abs(getattr(half, name) - getattr(single, name))
        assert error.max() < T * EPSILONS[policy], name


# Extensions

EXTENSIONS_HERE = {
    name: EXTENSIONS[name]
    for name in (
        "masked_keys",
        "deallocation",
        "sharpness",
        "content_only",
        "sparse_links",
    )
}
EXTENSIONS_HERE["together"] = together(
    ["masked_keys", "deallocation", "sharpness", "sparse_links"]
)


@functools.cache
def extended(name, sizes, dtype):
    """A cell with extensions and its interface of raw logits."""
    arguments = EXTENSIONS_HERE[name]
    _, N, W, R, V = sizes
    cell = keras_dnc.DNCCell(1, 1, N, W, R, V, dtype=dtype, **arguments)
    parts = {
        argument: value
        for argument, value in arguments.items()
        if argument not in ("deallocation", "sparse_links")
    }
    interface = keras_dnc.Interface(
        W,
        R,
        V,
        projection=keras.layers.Identity(dtype=dtype),
        dtype=dtype,
        **parts,
    )

    def step(logits, flat):
        state = cell.unpack_state(flat)
        parts = interface(logits)
        M, u, w_w = cell.write_head(parts, *written(state))
        r, w_r, L, p = cell.read_head(
            parts, M, state.link, state.precedence, w_w, state.read_weightings
        )
        new = keras_dnc.DNCState(
            M, u, p, L, w_w, w_r, r, state.controller_states
        )
        return cell.pack_state(new)

    def written(state):
        return (
            state.memory,
            state.usage,
            state.write_weightings,
            state.read_weightings,
        )

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        step = tf.function(step)
    return cell, interface, step


def run_extended(name, situation, dtype):
    """Yields the state after each step, its links as dense ones."""
    B, _, W, R, V = situation.sizes
    cell, interface, step = extended(name, situation.sizes, dtype)
    state = reachable(situation.state, EXTENSIONS_HERE[name])
    state = state._replace(controller=[np.zeros((B, 1))] * 2)
    flat = state_tensors(cell, state, dtype)
    size = reference.interface_size(W, R, V)
    # Modes are left out, or there are logits of extensions beside the others.
    more = np.resize(situation.logits[..., ::-1], (STEPS, B, 2 * size))
    logits = np.concatenate([situation.logits, more], axis=-1)
    for of_step in logits[..., : interface.size]:
        flat = step(tensor(of_step, dtype), flat)
        yield unpacked(cell, flat)


@settings
@hypothesis.given(
    situation=situations(SOME_SIZES[:2]),
    name=st.sampled_from([*EXTENSIONS_HERE]),
)
def test_what_holds_with_extensions(widest_dtype, situation, name):
    dtype = widest_dtype
    for state in run_extended(name, situation, dtype):
        assert_between(state.u, 0, 1, dtype)
        assert_weightings(state.w_w, dtype)
        total = state.w_r.sum(axis=-1)
        if name in ("content_only", "sharpness", "together"):
            # All that a read weighting is made of sums to 1.
            assert_between(total, 1, 1, dtype)
        assert_weightings(state.w_r, dtype)
        assert all(np.isfinite(part).all() for part in state if len(part))
        if name == "content_only":
            continue
        assert_weightings(state.p, dtype)
        assert_between(state.L, 0, 1, dtype)
        assert_between(state.L.sum(axis=-1), 0, 1, dtype)
        assert not np.diagonal(state.L, axis1=-2, axis2=-1).any()
        columns = state.L.sum(axis=-2) + state.p
        assert_between(columns, 0, 1, dtype)


def test_a_slot_that_is_never_among_the_largest_keeps_the_bound(widest_dtype):
    # Slot 0 is written a little at each step, another slot more: links to it
    # are made, and what is written of it alone lets them decay.
    N = 10
    link = keras_dnc.SparseLink(
        *tensors([np.zeros((1, 1, N, 1))] * 2, widest_dtype)
    )
    p = tensor(np.zeros((1, 1, N)), widest_dtype)
    for step in range(90):
        w = np.zeros((1, 1, N))
        w[..., 0], w[..., 1 + step % 9] = 0.24, 0.26
        w = tensor(w, widest_dtype)
        link = sparse_linkage.sparse_link(link, p, w)
        p = addressing.precedence(p, w)
        columns = dense(link).sum(axis=-2) + as_float64(p)
        assert_between(columns, 0, 1, widest_dtype)
