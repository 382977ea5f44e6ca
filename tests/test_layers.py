"""The sublayers, alone and in place of a cell's own."""

import keras
import numpy as np
import pytest
import reference
from comparison import (
    SIZES,
    TANH,
    all_sizes,
    assert_close,
    assert_states_close,
    each_example,
    flat_state,
    randomize,
    rounded,
    tensor,
    tensors,
)
from keras import ops

import keras_dnc


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def random_state(rng, sizes, dtype, controller=()):
    B, N, W, R, V = sizes
    state = reference.random_state(rng, N, W, R, V, B, controller)
    return rounded(state, dtype)


def random_parts(rng, sizes, dtype):
    """The parts of random interface vectors, of the oracle and as tensors."""
    B, _, W, R, V = sizes
    vectors = rng.normal(size=(B, reference.interface_size(W, R, V)))
    parts = [rounded(reference.interface(xi, W, R, V), dtype) for xi in vectors]
    batch = [np.array(part) for part in zip(*parts, strict=True)]
    batch = [part for part in batch if part.size]
    return parts, keras_dnc.InterfaceVector(*tensors(batch, dtype))


def expected_step(parts, state, similarity=reference.cosine):
    """What the oracle's memory does, for each example of a batch."""
    return reference.stack(
        [
            reference.memory_step(
                parts[b],
                reference.State(*(part[b] for part in state[:-1]), []),
                similarity,
            )
            for b in range(len(parts))
        ]
    )


@all_sizes
def test_content_addressing(rng, sizes, dtype):
    B, N, W, R, _ = sizes
    M = rounded(rng.normal(size=(B, N, W)), dtype)
    k = rounded(rng.normal(size=(B, R, W)), dtype)
    beta = rounded(1 + rng.exponential(5, size=(B, R)), dtype)
    expected = np.zeros((B, R, N))
    for b, i in np.ndindex(B, R):
        expected[b, i] = reference.content_weighting(M[b], k[b, i], beta[b, i])
    layer = keras_dnc.ContentAddressing(dtype=dtype)
    assert_close(layer(*tensors([M, k, beta], dtype)), expected, dtype)


@all_sizes
def test_allocation_addressing(rng, sizes, dtype):
    B, N, _, _, V = sizes
    u = rounded(reference.distinct_usages(rng, B, N), dtype)
    g_a, g_w = rounded(rng.uniform(size=(2, B, V)), dtype)
    expected = each_example(reference.allocation_weightings, u, g_a, g_w)
    layer = keras_dnc.AllocationAddressing(dtype=dtype)
    assert_close(layer(*tensors([u, g_a, g_w], dtype)), expected, dtype)


@all_sizes
def test_temporal_linkage(rng, sizes, dtype):
    B, N, _, R, V = sizes
    state = random_state(rng, sizes, dtype)
    w = rounded(reference.random_weightings(rng, B, V, N), dtype)
    L, p = np.zeros((B, V, N, N)), np.zeros((B, V, N))
    forward, backward = np.zeros((2, B, V, R, N))
    for b, v in np.ndindex(B, V):
        L[b, v] = reference.link(state.L[b, v], state.p[b, v], w[b, v])
        p[b, v] = reference.precedence(state.p[b, v], w[b, v])
        for i in range(R):
            one = L[b, v], state.w_r[b, i]
            forward[b, v, i] = reference.forward_weighting(*one)
            backward[b, v, i] = reference.backward_weighting(*one)

    layer = keras_dnc.TemporalLinkage(dtype=dtype)
    actual = layer(*tensors([state.L, state.p, w, state.w_r], dtype))
    for one, other in zip(actual, (L, p, forward, backward), strict=True):
        assert_close(one, other, dtype)


@all_sizes
def test_write_head(rng, sizes, dtype):
    state = random_state(rng, sizes, dtype)
    parts, interface = random_parts(rng, sizes, dtype)
    expected = expected_step(parts, state)
    before = tensors([state.M, state.u, state.w_w, state.w_r], dtype)
    actual = keras_dnc.WriteHead(dtype=dtype)(interface, *before)
    for one, other in zip(
        actual, (expected.M, expected.u, expected.w_w), strict=True
    ):
        assert_close(one, other, dtype)


@all_sizes
def test_read_head(rng, sizes, dtype):
    state = random_state(rng, sizes, dtype)
    parts, interface = random_parts(rng, sizes, dtype)
    expected = expected_step(parts, state)
    # The memory and the write weightings are already those of this step.
    M, w_w = rounded([expected.M, expected.w_w], dtype)
    before = tensors([M, state.L, state.p, w_w, state.w_r], dtype)
    actual = keras_dnc.ReadHead(dtype=dtype)(interface, *before)
    for one, other in zip(
        actual, (expected.r, expected.w_r, expected.L, expected.p), strict=True
    ):
        assert_close(one, other, dtype)


def test_heads_take_the_interface_as_a_plain_list(rng):
    # A functional model that Keras reloads passes the parts so.
    sizes, dtype = SIZES[3], "float32"
    state = random_state(rng, sizes, dtype)
    parts, interface = random_parts(rng, sizes, dtype)
    expected = expected_step(parts, state)
    before = tensors([state.M, state.u, state.w_w, state.w_r], dtype)
    memory, _, w_w = keras_dnc.WriteHead()(list(interface), *before)
    assert_close(memory, expected.M, dtype)
    before = [memory, *tensors([state.L, state.p], dtype), w_w]
    before.append(tensor(state.w_r, dtype))
    reads, *_ = keras_dnc.ReadHead()(list(interface), *before)
    assert_close(reads, expected.r, dtype)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_sublayers_compute_in_float32_under_half_precision(rng, policy):
    sizes, dtype = SIZES[3], "float32"
    state = random_state(rng, sizes, dtype)
    parts, interface = random_parts(rng, sizes, dtype)
    expected = expected_step(parts, state)
    before = tensors([state.M, state.u, state.w_w, state.w_r], dtype)
    written = keras_dnc.WriteHead(dtype=policy)(interface, *before)
    for one, other in zip(
        written, (expected.M, expected.u, expected.w_w), strict=True
    ):
        assert_close(one, other, dtype)
    before = [written[0], *tensors([state.L, state.p], dtype), written[2]]
    before.append(tensor(state.w_r, dtype))
    read = keras_dnc.ReadHead(dtype=policy)(interface, *before)
    for one, other in zip(
        read, (expected.r, expected.w_r, expected.L, expected.p), strict=True
    ):
        assert_close(one, other, dtype)


# Sublayers of a user's own in a cell.


class InnerProductAddressing(keras_dnc.ContentAddressing):
    def similarity(self, memory, keys):
        return ops.einsum("bnw,bhw->bhn", memory, keys)


class WeightedAddressing(keras_dnc.ContentAddressing):
    """A cosine of words and keys that a weight stretches first."""

    def build(self, memory_shape, keys_shape=None, strengths_shape=None):
        self.stretch = self.add_weight(
            shape=(memory_shape[-1],), initializer="ones", name="stretch"
        )

    def similarity(self, memory, keys):
        return super().similarity(memory * self.stretch, keys * self.stretch)


class NoAllocation(keras_dnc.AllocationAddressing):
    def call(self, usage, allocation_gates, write_gates):
        return ops.zeros_like(
            super().call(usage, allocation_gates, write_gates)
        )


class NoLinks(keras_dnc.TemporalLinkage):
    def call(self, link, precedence, write_weightings, read_weightings):
        directional = super().call(
            link, precedence, write_weightings, read_weightings
        )[2:]
        return link, precedence, *map(ops.zeros_like, directional)


def make_cell(sizes, dtype, **sublayers):
    cell = keras_dnc.DNCCell(
        3,
        controller=keras.layers.LSTMCell(
            6, activation=TANH, dtype=dtype, name="controller"
        ),
        memory_size=sizes.N,
        word_size=sizes.W,
        num_reads=sizes.R,
        num_writes=sizes.V,
        dtype=dtype,
        **sublayers,
    )
    cell.build((sizes.B, 4))
    return cell


def heads_with(addressing, dtype):
    """Write and read heads, each with a content addressing of its own."""
    return {
        "write_head": keras_dnc.WriteHead(addressing(dtype=dtype), dtype=dtype),
        "read_head": keras_dnc.ReadHead(addressing(dtype=dtype), dtype=dtype),
    }


def test_a_cell_uses_another_similarity_in_both_heads(rng, dtype):
    sizes = SIZES[3]
    cell = make_cell(sizes, dtype, **heads_with(InnerProductAddressing, dtype))
    weights = randomize(cell, rng, dtype, 0.3)
    state = random_state(rng, sizes, dtype, controller=(6, 6))
    x = rounded(rng.normal(size=(sizes.B, 4)), dtype)

    expected, expected_state = reference.sequence(
        weights, x[:, None], state, similarity=np.dot
    )
    y, states = cell(tensor(x, dtype), flat_state(state, dtype))
    assert_close(y, expected[:, 0], dtype)
    assert_states_close(cell.unpack_state(states), expected_state, dtype)

    # The same with the cosine is something else: the test can tell.
    cosine, _ = reference.sequence(weights, x[:, None], state)
    assert np.max(np.abs(cosine - expected)) > 0.01


def test_a_sublayer_s_own_weight_is_the_cell_s(rng, dtype):
    sizes = SIZES[3]
    heads = heads_with(WeightedAddressing, dtype)
    cell = make_cell(sizes, dtype, **heads)
    plain = make_cell(sizes, dtype)
    assert len(cell.trainable_weights) == len(plain.trainable_weights) + 2
    weights = randomize(cell, rng, dtype, 0.3)
    # One vector in both heads, so that the oracle takes one similarity.
    stretch = rounded(rng.uniform(0.2, 3, size=sizes.W), dtype)
    for head in heads.values():
        head.content_addressing.stretch.assign(stretch)
    state = random_state(rng, sizes, dtype, controller=(6, 6))
    x = rounded(rng.normal(size=(sizes.B, 4)), dtype)

    expected, expected_state = reference.sequence(
        weights,
        x[:, None],
        state,
        similarity=lambda k, m: reference.cosine(k * stretch, m * stretch),
    )
    y, states = cell(tensor(x, dtype), flat_state(state, dtype))
    assert_close(y, expected[:, 0], dtype)
    assert_states_close(cell.unpack_state(states), expected_state, dtype)


def test_a_sublayer_s_own_weight_is_trained(rng):
    sizes, dtype = SIZES[3], "float32"
    heads = heads_with(WeightedAddressing, dtype)
    cell = make_cell(sizes, dtype, **heads)
    model = keras.Sequential([keras.layers.RNN(cell)])
    # Adam moves every weight that has a gradient by its learning rate.
    model.compile(keras.optimizers.Adam(0.1), "mse", run_eagerly=True)
    x = rng.normal(size=(8, 2, 4))
    model.fit(x, np.ones((8, 3)), verbose=0)
    for head in heads.values():
        stretch = ops.convert_to_numpy(head.content_addressing.stretch)
        assert (abs(stretch - 1) > 0.01).all()


def test_a_cell_without_allocation_and_links(rng, dtype):
    sizes = SIZES[3]
    cell = make_cell(
        sizes,
        dtype,
        write_head=keras_dnc.WriteHead(
            allocation_addressing=NoAllocation(dtype=dtype), dtype=dtype
        ),
        read_head=keras_dnc.ReadHead(
            temporal_linkage=NoLinks(dtype=dtype), dtype=dtype
        ),
    )
    randomize(cell, rng, dtype, 0.3)
    state = random_state(rng, sizes, dtype, controller=(6, 6))
    x = rounded(rng.normal(size=(sizes.B, 4)), dtype)
    before = cell.unpack_state(flat_state(state, dtype))
    _, after, interface = cell.step(tensor(x, dtype), before)

    M, k, beta, g_a, g_w = (
        ops.convert_to_numpy(part)
        for part in (
            before.memory,
            interface.write_keys,
            interface.write_strengths,
            interface.allocation_gates,
            interface.write_gates,
        )
    )
    expected = np.zeros(state.w_w.shape)
    for b, v in np.ndindex(sizes.B, sizes.V):
        content = reference.content_weighting(M[b], k[b, v], beta[b, v])
        expected[b, v] = g_w[b, v] * (1 - g_a[b, v]) * content
    assert_close(after.write_weightings, expected, dtype)

    M, k, beta, pi = (
        ops.convert_to_numpy(part)
        for part in (
            after.memory,
            interface.read_keys,
            interface.read_strengths,
            interface.read_modes,
        )
    )
    expected = np.zeros(state.w_r.shape)
    for b, i in np.ndindex(sizes.B, sizes.R):
        content = reference.content_weighting(M[b], k[b, i], beta[b, i])
        expected[b, i] = pi[b, i, sizes.V] * content
    assert_close(after.read_weightings, expected, dtype)
