"""The extensions of the DNC: values against the NumPy loops, and rules."""

import json

import keras
import numpy as np
import pytest
import reference
from comparison import (
    Sizes,
    all_sizes,
    assert_close,
    assert_states_close,
    dense,
    lstm_of,
    randomize,
    rounded,
    tensor,
    tensors,
)
from extensions import (
    COMBINATIONS,
    EXTENSIONS,
    oracle_arguments,
    reachable,
    sparse,
    state_tensors,
    together,
)
from helpers import arrays
from keras import ops

import keras_dnc
from keras_dnc import addressing, sparse_linkage

X, UNITS, HIDDEN = 4, 3, 5
ONE_HEAD, TWO_HEADS = Sizes(2, 5, 3, 2, 1), Sizes(2, 4, 3, 2, 2)

combinations = pytest.mark.parametrize(
    "arguments", COMBINATIONS.values(), ids=COMBINATIONS
)
# Two heads show what one does not.
numbers_of_heads = pytest.mark.parametrize(
    "sizes",
    [pytest.param(ONE_HEAD, marks=pytest.mark.slow), TWO_HEADS],
    ids=["V=1", "V=2"],
)


@pytest.fixture
def rng():
    return np.random.default_rng(8)


def make_cell(sizes, dtype="float32", **arguments):
    cell = keras_dnc.DNCCell(
        UNITS,
        controller=lstm_of(HIDDEN, dtype),
        memory_size=sizes.N,
        word_size=sizes.W,
        num_reads=sizes.R,
        num_writes=sizes.V,
        dtype=dtype,
        name="cell",
        **arguments,
    )
    cell.build((sizes.B, X))
    return cell


def random_state(rng, sizes, dtype):
    state = reference.random_state(
        rng, sizes.N, sizes.W, sizes.R, sizes.V, sizes.B, (HIDDEN, HIDDEN)
    )
    return rounded(state, dtype)


def run(cell, x, states, dtype):
    outputs = []
    for t in range(x.shape[1]):
        y, states = cell(tensor(x[:, t], dtype), states)
        outputs.append(y)
    outputs = ops.convert_to_numpy(ops.stack(outputs, axis=1))
    return outputs, arrays(cell.unpack_state(states))


# Formulas


@all_sizes
def test_masked_cosine(rng, sizes, dtype):
    B, N, W, R, _ = sizes
    M, k, m = (
        rounded(part, dtype)
        for part in (
            rng.normal(size=(B, N, W)),
            rng.normal(size=(B, R, W)),
            rng.uniform(size=(B, R, W)),
        )
    )
    expected = [
        [
            [
                reference.masked_cosine(k[b, i], M[b, n], m[b, i])
                for n in range(N)
            ]
            for i in range(R)
        ]
        for b in range(B)
    ]
    actual = addressing.masked_cosine_similarity(*tensors([M, k, m], dtype))
    assert_close(actual, expected, dtype)


def test_a_mask_hides_what_differs(dtype):
    memory = tensor([[[1, 7], [1, -7], [-1, 7]]], dtype)
    keys = tensor([[[2, 0]]], dtype)
    masks = tensor([[[1, 0]]], dtype)
    actual = addressing.masked_cosine_similarity(memory, keys, masks)
    one = 2 / np.sqrt(4 + 1e-6) / np.sqrt(1 + 1e-6)
    assert_close(actual, [[[one, one, -one]]], dtype)


@pytest.mark.parametrize("s", [1.0, 1.5, 4.0, 20.0])
def test_sharpened(rng, s, dtype):
    d = rounded(reference.random_weightings(rng, 3, 4, 6), dtype)
    d[0, 0] = 0
    d[0, 1] = np.eye(6)[2]
    expected = [[reference.sharpened(row, s) for row in rows] for rows in d]
    actual = addressing.sharpened(
        tensor(d, dtype), tensor(np.full((3, 4), s), dtype)
    )
    assert_close(actual, expected, dtype)


def test_sharpened_known_by_hand(dtype):
    d = tensor([[0.2, 0.4, 0.0]], dtype)
    actual = addressing.sharpened(d, tensor([2.0], dtype))
    # 4 : 16 : 0, up to ε.
    assert_close(ops.round(actual, 4), [[0.2, 0.8, 0]], dtype)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("heads", [1, 2])
def test_sparse_links(rng, heads, count, dtype):
    B, N, R = 2, 5, 2
    p = np.zeros((B, heads, N))
    L = np.zeros((B, heads, N, N))
    link = keras_dnc.SparseLink(
        *tensors([np.zeros((B, heads, N, count))] * 2, dtype)
    )
    for _ in range(6):
        w = rounded(reference.random_weightings(rng, B, heads, N), dtype)
        q = rounded(reference.random_weightings(rng, B, R, N), dtype)
        link = sparse_linkage.sparse_link(
            link, tensor(p, dtype), tensor(w, dtype)
        )
        for b, v in np.ndindex(B, heads):
            L[b, v] = reference.sparse_link(L[b, v], p[b, v], w[b, v], count)
            p[b, v] = reference.precedence(p[b, v], w[b, v])
        p = rounded(p, dtype)
        assert_close(tensor(dense(link), dtype), L, dtype)
        actual = sparse_linkage.sparse_directional_weightings(
            link, tensor(q, dtype)
        )
        for part, direction in zip(
            actual,
            (reference.forward_weighting, reference.backward_weighting),
            strict=True,
        ):
            expected = [
                [
                    [direction(L[b, v], q[b, i]) for i in range(R)]
                    for v in range(heads)
                ]
                for b in range(B)
            ]
            assert_close(part, expected, dtype)
    # Rows are cut to K elements, and the diagonal has none.
    assert np.max(np.count_nonzero(L, axis=-1)) == min(count, N - 1)


# The cell


@numbers_of_heads
@combinations
def test_a_cell_does_what_the_oracle_does(rng, arguments, sizes, dtype):
    on_jax = keras.backend.backend() == "jax"
    if on_jax and dtype == "float64" and "layer_norm" in arguments:
        pytest.skip("LayerNormalization is in float32 on JAX (Keras 3.15)")
    cell = make_cell(sizes, dtype, **arguments)
    weights = randomize(cell, rng, dtype, deviation=0.3)
    x = rounded(rng.normal(size=(sizes.B, 5, X)), dtype)
    state = reachable(random_state(rng, sizes, dtype), arguments)
    expected, expected_state = reference.sequence(
        weights, x, state, **oracle_arguments(arguments, weights)
    )
    actual, final = run(cell, x, state_tensors(cell, state, dtype), dtype)
    assert_close(tensor(actual, dtype), expected, dtype)
    assert_states_close(final, expected_state, dtype)
    # Every one of them but those of training makes a difference.
    if set(arguments) - {*EXTENSIONS["learned_memory"], "bypass_dropout"}:
        assert np.max(
            np.abs(expected - plain(weights, x, state, arguments))
        ) > (1e-4)


def plain(weights, x, state, arguments):
    """The outputs of the oracle without what extensions do to the memory."""
    how = oracle_arguments(arguments, weights)
    how.pop("interface_normalization", None)
    how["of_memory"] = {}
    parts = how["of_interface"]
    neutral = dict(weights)
    if parts:
        size = reference.interface_size(
            state.M.shape[2], state.w_r.shape[1], state.w_w.shape[1]
        )
        missing = size - weights["interface/projection/bias"].size
        widths = ((0, 0), (0, max(missing, 0)))
        kernel = np.pad(weights["interface/projection/kernel"], widths)
        bias = np.pad(weights["interface/projection/bias"], widths[1])
        neutral["interface/projection/kernel"] = kernel[:, :size]
        neutral["interface/projection/bias"] = bias[:size]
    return reference.sequence(neutral, x, state)[0]


def neutral(cell, like):
    """Gives a cell the weights of a plain one, and extensions no effect."""
    for variable in cell.weights:
        name = variable.path.removeprefix("cell/")
        if name == "initial_memory":
            continue
        (value,) = (
            ops.convert_to_numpy(other)
            for other in like.weights
            if other.path.removeprefix("cell/") == name
        )
        missing = variable.shape[-1] - value.shape[-1]
        if name == "interface/projection/kernel":
            value = np.pad(value, ((0, 0), (0, missing)))
        if name == "interface/projection/bias":
            # Masks of 1, a sharpness of 1.
            masks = (cell.num_reads + cell.num_writes) * cell.word_size
            parts = np.full(masks, 1e3), np.full(missing - masks, -1e3)
            value = np.concatenate([value, *parts])
        variable.assign(value)


@numbers_of_heads
def test_neutral_extensions_change_nothing(rng, sizes):
    dtype = "float32"
    cell = make_cell(
        sizes,
        masked_keys=True,
        sparse_links=sizes.N,
        learned_memory=True,
        deallocation=True,
    )
    like = make_cell(sizes)
    randomize(like, rng, dtype, deviation=0.3)
    # Without free gates nothing is freed.
    free = slice(*np.cumsum([part.size for part in split_sizes(sizes)])[[5, 6]])
    bias = ops.convert_to_numpy(like.interface.projection.bias).copy()
    bias[free] = -1e3
    like.interface.projection.bias.assign(bias)
    neutral(cell, like)
    x = rng.normal(size=(sizes.B, 8, X))
    # From equal usages rounding would decide which slot is written.
    state = random_state(rng, sizes, dtype)
    one, of_one = run(cell, x, state_tensors(cell, state, dtype), dtype)
    other, of_other = run(like, x, state_tensors(like, state, dtype), dtype)
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)
    np.testing.assert_allclose(of_one.memory, of_other.memory, atol=1e-6)
    np.testing.assert_allclose(dense(of_one.link), of_other.link, atol=1e-6)


def split_sizes(sizes):
    shapes = keras_dnc.Interface(sizes.W, sizes.R, sizes.V).part_shapes
    return [np.empty(shape) for shape in shapes if shape]


@numbers_of_heads
def test_a_sharpness_of_one_leaves_weightings_of_sum_one(rng, sizes):
    # Links that lead round all slots, and no write that changes them.
    dtype = "float32"
    cell, like = make_cell(sizes, sharpness=True), make_cell(sizes)
    randomize(like, rng, dtype, deviation=0.3)
    starts = np.cumsum([part.size for part in split_sizes(sizes)])
    bias = ops.convert_to_numpy(like.interface.projection.bias).copy()
    bias[starts[7] : starts[8]] = -1e3
    like.interface.projection.bias.assign(bias)
    kernel = ops.convert_to_numpy(like.interface.projection.kernel)
    for variable in cell.weights:
        name = variable.path
        (value,) = (
            ops.convert_to_numpy(other)
            for other in like.weights
            if other.path == name
        )
        missing = variable.shape[-1] - value.shape[-1]
        if name.endswith("interface/projection/kernel"):
            value = np.pad(kernel, ((0, 0), (0, missing)))
        if name.endswith("interface/projection/bias"):
            value = np.pad(bias, (0, missing), constant_values=-1e3)
        variable.assign(value)
    state = random_state(rng, sizes, dtype)
    ring = np.roll(np.eye(sizes.N), 1, axis=0)
    w_r = rng.uniform(0.9, 1.1, size=state.w_r.shape)
    state = state._replace(
        L=np.broadcast_to(ring, state.L.shape).copy(),
        p=np.zeros_like(state.p),
        w_r=w_r / w_r.sum(-1, keepdims=True),
    )
    x = rng.normal(size=(sizes.B, 1, X))
    one, of_one = run(cell, x, state_tensors(cell, state, dtype), dtype)
    other, of_other = run(like, x, state_tensors(like, state, dtype), dtype)
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)
    np.testing.assert_allclose(
        of_one.read_weightings, of_other.read_weightings, rtol=0, atol=1e-6
    )


def test_a_freed_slot_is_empty(dtype):
    # One slot is read and freed; nothing is written.
    head = keras_dnc.WriteHead(deallocation=True, dtype=dtype)
    interface = keras_dnc.Interface(2, 1, dtype=dtype)
    interface.build((None, 1))
    parts = interface.split(tensor(np.zeros((1, interface.size)), dtype))
    parts = parts._replace(free_gates=tensor([[1.0]], dtype))
    memory, usage, _ = head(
        parts,
        tensor([[[1, 2], [3, 4]]], dtype),
        usage=tensor([[1, 1]], dtype),
        write_weightings=tensor(np.zeros((1, 1, 2)), dtype),
        read_weightings=tensor([[[1, 0]]], dtype),
    )
    assert_close(memory, [[[0, 0], [3, 4]]], dtype)
    assert_close(usage, [[0, 1]], dtype)


def test_without_links_a_state_has_none():
    cell = make_cell(ONE_HEAD, content_only=True)
    state = cell.unpack_state(cell.get_initial_state(2))
    assert state.link == ()
    assert state.precedence == ()
    plain_cell = make_cell(ONE_HEAD)
    N = ONE_HEAD.N
    missing = sum(plain_cell.state_size) - sum(cell.state_size)
    assert missing == N * N + N
    modes = 3 * ONE_HEAD.R
    assert plain_cell.interface.size - cell.interface.size == modes


def test_sparse_links_take_a_share_of_the_state():
    cell = make_cell(TWO_HEADS, sparse_links=3)
    state = cell.unpack_state(cell.get_initial_state(2))
    assert state.link.values.shape == (2, 2, 4, 3)
    assert state.link.columns.shape == (2, 2, 4, 3)
    sizes = Sizes(1, 20, 2, 1, 1)
    cell = make_cell(sizes, sparse_links=True)
    assert cell.extensions.sparse_links == 8
    assert cell.state_size[3:5] == [20 * 8, 20 * 8]
    assert make_cell(sizes, sparse_links=False).extensions.sparse_links is None


def test_columns_of_sparse_links_survive_half_precision_between_steps(rng):
    # 1 + 256 + 3 would be rounded to 260 by bfloat16, of 8 bits.
    slots = 300
    cell = keras_dnc.DNCCell(
        2, 4, slots, 3, 1, sparse_links=2, dtype="mixed_bfloat16"
    )
    cell.build((1, X))
    w = np.zeros((1, 1, slots), "float32")
    w[..., 258] = 1
    link, _, forward, _ = cell.read_head.temporal_linkage(
        tensors([np.zeros((1, 1, slots, 2))] * 2, "float32"),
        np.roll(w, 1, axis=-1),
        w,
        np.roll(w, 1, axis=-1),
    )
    assert ops.convert_to_numpy(link.columns)[0, 0, 258, 0] == 260
    assert np.argmax(ops.convert_to_numpy(forward)) == 258


@pytest.mark.parametrize("option", ["stateful", "return_state"])
def test_columns_that_a_state_would_round_are_refused(option):
    def make(slots, dtype="mixed_bfloat16", **arguments):
        return keras_dnc.DNC(
            2, 4, memory_size=slots, dtype=dtype, **arguments, **{option: True}
        )

    with pytest.raises(ValueError, match="exact up to 256.*memory_size=257"):
        make(257, sparse_links=8)
    make(256, sparse_links=8)
    make(257, sparse_links=8, content_only=True)
    make(257)
    make(257, "mixed_float16", sparse_links=8)
    # One's own read head holds the same numbers.
    own = keras_dnc.ReadHead(
        temporal_linkage=keras_dnc.SparseTemporalLinkage(8)
    )
    with pytest.raises(ValueError, match="exact up to 256"):
        make(257, read_head=own)


def test_columns_that_an_initial_state_would_round_are_refused():
    layer = keras_dnc.DNC(
        2, 4, memory_size=257, sparse_links=1, dtype="mixed_bfloat16"
    )
    x = np.zeros((1, 2, X), "float32")
    layer(x)
    with pytest.raises(ValueError, match="exact up to 256.*memory_size=257"):
        layer(x, initial_state=layer.get_initial_state(1))


def test_links_of_another_kind_are_refused():
    linkage = keras_dnc.SparseTemporalLinkage(2)
    heads = np.zeros((2, 1, 4))
    with pytest.raises(ValueError, match="two tensors of a SparseLink"):
        linkage(np.zeros((2, 1, 4, 4)), heads, heads, heads)


# Bypass dropout


def outputs_and_hidden(cell, training):
    x = tensor(np.ones((6, X)), "float32")
    state = cell.unpack_state(cell.get_initial_state(6))
    y, _, _ = cell.step(x, state, training=training)
    return ops.convert_to_numpy(y)


def bypass_cell(**arguments):
    """Outputs are those of the controller, ten units of h = 1 each."""
    cell = keras_dnc.DNCCell(
        10,
        keras.layers.Dense(
            10, kernel_initializer="zeros", bias_initializer="ones"
        ),
        4,
        3,
        1,
        **arguments,
    )
    cell.build((6, X))
    kernel = np.zeros((13, 10))
    kernel[:10] = np.eye(10)
    cell.output_projection.set_weights([kernel, np.zeros(10)])
    return cell


def test_the_bypass_drops_the_controller_s_way_to_the_output():
    cell = bypass_cell(bypass_dropout=0.25, seed=3)
    np.testing.assert_allclose(outputs_and_hidden(cell, False), 1)
    dropped = outputs_and_hidden(cell, True)
    kept = 1 / 0.75
    assert set(np.unique(dropped.round(5))) == {0, np.float32(round(kept, 5))}
    # Held until it is forgotten, as Keras does after a sequence.
    np.testing.assert_array_equal(outputs_and_hidden(cell, True), dropped)
    cell.reset_dropout_mask()
    assert np.any(outputs_and_hidden(cell, True) != dropped)


def test_the_bypass_drops_its_rate():
    cell = bypass_cell(bypass_dropout=0.25, seed=3)
    fractions = []
    for _ in range(50):
        cell.reset_dropout_mask()
        fractions.append(np.mean(outputs_and_hidden(cell, True) == 0))
    # 3,000 independent units: four standard errors.
    assert abs(np.mean(fractions) - 0.25) < 4 * np.sqrt(0.25 * 0.75 / 3000)


def test_the_memory_s_way_to_the_output_is_not_dropped():
    cell = bypass_cell(bypass_dropout=0.9)
    kernel = np.zeros((13, 10))
    kernel[10:] = 1
    cell.output_projection.set_weights([kernel, np.zeros(10)])
    np.testing.assert_array_equal(
        outputs_and_hidden(cell, True), outputs_and_hidden(cell, False)
    )


@pytest.mark.parametrize("of_rnn", [False, True], ids=["DNC", "RNN"])
def test_one_bypass_mask_serves_a_whole_sequence(of_rnn):
    cell = bypass_cell(bypass_dropout=0.5, seed=3)
    layer = keras_dnc.DNC(
        10,
        keras.layers.Dense(
            10, kernel_initializer="zeros", bias_initializer="ones"
        ),
        memory_size=4,
        word_size=3,
        num_reads=1,
        bypass_dropout=0.5,
        seed=3,
        return_sequences=True,
    )
    if of_rnn:
        layer = keras.layers.RNN(cell, return_sequences=True)
    x = np.ones((6, 7, X), "float32")
    layer.build(x.shape)
    layer.cell.output_projection.set_weights(
        cell.output_projection.get_weights()
    )
    one = ops.convert_to_numpy(layer(x, training=True))
    assert np.all(one == one[:, :1])
    other = ops.convert_to_numpy(layer(x, training=True))
    assert np.any(one != other)
    assert np.all(ops.convert_to_numpy(layer(x)) == 1)


def test_the_bypass_and_the_controller_s_dropout_draw_apart():
    # Ten units and an input of ten in all: the masks have one shape.
    cell = keras_dnc.DNCCell(
        2, 10, 4, 3, 2, bypass_dropout=0.5, dropout=0.5, seed=3
    )
    cell.build((50, 4))
    cell.get_dropout_mask(ops.ones((50, 4)))
    mask = ops.convert_to_numpy(cell._bypass_mask)
    other = ops.convert_to_numpy(cell.controller._dropout_mask)
    assert mask.shape == other.shape
    assert abs(np.corrcoef(mask.ravel(), other.ravel())[0, 1]) < 4 / np.sqrt(
        500
    )


# Initial memory


def memory_layer(cls=keras_dnc.DNC, **arguments):
    arguments = {
        "controller": 4,
        "memory_size": 3,
        "word_size": 2,
        "num_reads": 1,
        "memory_initializer": MEMORY,
        **arguments,
    }
    return cls(2, **arguments)


MEMORY = np.arange(6.0).reshape(3, 2)


def test_the_memory_starts_as_it_was_chosen():
    layer = memory_layer()
    layer.build((2, 3, X))
    (weight,) = layer.non_trainable_weights
    assert weight is layer.cell.initial_memory
    assert weight.path.endswith("cell/initial_memory")
    state = layer.cell.unpack_state(layer.cell.get_initial_state(2))
    np.testing.assert_array_equal(arrays(state.memory), [MEMORY, MEMORY])
    assert not np.any(ops.convert_to_numpy(state.usage))
    other = keras_dnc.DNC.from_config(layer.get_config())
    other.build((2, 3, X))
    np.testing.assert_array_equal(arrays(other.cell.initial_memory), MEMORY)


@pytest.mark.parametrize("kind", [ops.convert_to_tensor, keras.Variable])
def test_a_memory_chosen_as_a_tensor_is_saved_as_an_array_is(kind):
    layer = memory_layer(memory_initializer=kind(MEMORY))
    config = json.dumps(keras.saving.serialize_keras_object(layer))
    other = keras.saving.deserialize_keras_object(json.loads(config))
    other.build((2, 3, X))
    np.testing.assert_array_equal(arrays(other.cell.initial_memory), MEMORY)


def test_reset_state_restores_the_initial_memory():
    x = np.ones((2, 3, X), "float32")
    layer = memory_layer(stateful=True)
    first = layer(x)
    initial = layer.cell.get_initial_state(2)
    assert np.any(ops.convert_to_numpy(first) != ops.convert_to_numpy(layer(x)))
    layer.reset_state()
    for state, expected in zip(layer.states, initial, strict=True):
        np.testing.assert_array_equal(arrays(state), arrays(expected))
    np.testing.assert_allclose(arrays(layer(x)), arrays(first), rtol=1e-6)


@pytest.mark.slow
def test_a_stateful_layer_learns_its_initial_memory():
    layer = memory_layer(stateful=True, learned_memory=True)
    model = keras.Sequential([keras.Input(batch_shape=(2, 3, X)), layer])
    model.compile("sgd", "mse", jit_compile=False)
    x, targets = np.ones((2, 3, X), "float32"), np.ones((2, 2), "float32")
    before = arrays(layer.cell.initial_memory)
    model.train_on_batch(x, targets)
    learned = arrays(layer.cell.initial_memory)
    assert np.any(learned != before)
    # From the second batch on the layer starts where it stopped.
    model.train_on_batch(x, targets)
    np.testing.assert_array_equal(layer.cell.initial_memory, learned)
    layer.reset_state()
    state = layer.cell.unpack_state([part.value for part in layer.states])
    np.testing.assert_array_equal(state.memory[0], learned)


def test_the_initial_memory_is_not_rounded_in_half_precision():
    value = np.full((3, 2), 1 + 2.0**-12)
    layer = memory_layer(
        memory_initializer=value, dtype="mixed_bfloat16", stateful=False
    )
    seen = []
    get_initial_state = layer.cell.get_initial_state

    def looked_at(batch_size=None):
        states = get_initial_state(batch_size)
        seen.append(arrays(states[0]))
        return states

    layer.build((2, 3, X))
    layer.cell.get_initial_state = looked_at
    layer(np.ones((2, 3, X), "float32"))
    np.testing.assert_array_equal(seen[-1][0].reshape(3, 2), value)


def test_a_stock_rnn_resets_to_zeros():
    cell = memory_layer(keras_dnc.DNCCell)
    layer = keras.layers.RNN(cell, stateful=True)
    layer(np.ones((2, 3, X), "float32"))
    layer.reset_state()
    assert not any(np.any(ops.convert_to_numpy(part)) for part in layer.states)


def test_a_cell_that_was_not_built_has_no_initial_memory():
    with pytest.raises(ValueError, match="must have been built"):
        memory_layer(keras_dnc.DNCCell).get_initial_state(2)


def test_without_an_initial_memory_there_is_no_weight():
    names = [weight.path for weight in make_cell(ONE_HEAD).weights]
    assert not any("memory" in name for name in names)


# What is refused


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"masked_keys": 1}, "`masked_keys` must be True or False.*=1"),
        ({"mask_minimum": 1.5}, "`mask_minimum` must be a number from 0 to 1"),
        ({"deallocation": "yes"}, "`deallocation` must be True or False"),
        ({"sharpness": 2.0}, "`sharpness` must be True or False"),
        ({"layer_norm": None}, "`layer_norm` must be True or False"),
        ({"content_only": 0}, "`content_only` must be True or False"),
        ({"mask_minimum": 0.5}, "`mask_minimum` must go with masked_keys"),
        ({"sparse_links": 0}, "`sparse_links` must be from 1 to .*=5, or True"),
        ({"sparse_links": 6}, "`sparse_links` must be .*=5.*sparse_links=6"),
        ({"link_storage": "float32"}, "`link_storage` must be 'float16'.*32'"),
        ({"memory_initializer": None}, "`memory_initializer` must be an init"),
        ({"memory_initializer": np.ones((3, 5))}, r"shape \(5, 3\).*\(3, 5\)"),
        (
            {"memory_initializer": keras.ops.ones((3, 5))},
            r"shape \(5, 3\).*\(3, 5\)",
        ),
        ({"memory_initializer": np.full((5, 3), np.nan)}, "finite numbers of"),
        ({"memory_initializer": np.full((5, 3), "a")}, "finite numbers of"),
        ({"memory_initializer": [[0.0] * 3] * 5}, "finite numbers of"),
        ({"bypass_dropout": 1}, "`bypass_dropout` must be .* below 1"),
        ({"learned_memory": 1}, "`learned_memory` must be True or False"),
    ],
    ids=str,
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_cell(ONE_HEAD, **arguments)


OWN = {
    "interface": lambda: keras_dnc.Interface(3, 2),
    "write_head": keras_dnc.WriteHead,
    "read_head": keras_dnc.ReadHead,
}


@pytest.mark.parametrize(
    ("name", "sublayer"),
    [
        ("masked_keys", "interface"),
        ("sharpness", "interface"),
        ("layer_norm", "interface"),
        ("content_only", "interface"),
        ("content_only", "read_head"),
        ("sparse_links", "read_head"),
        ("link_storage", "read_head"),
        ("deallocation", "write_head"),
    ],
)
def test_what_shapes_a_sublayer_of_one_s_own_is_refused(name, sublayer):
    arguments = EXTENSIONS.get(name, {name: "float16"})
    with pytest.raises(ValueError, match=f"`{name}` is for the {sublayer}"):
        make_cell(ONE_HEAD, **arguments, **{sublayer: OWN[sublayer]()})


def test_an_interface_without_modes_needs_another_read_head():
    interface = keras_dnc.Interface(3, 2, content_only=True)
    with pytest.raises(ValueError, match="goes with a `ContentReadHead`"):
        make_cell(ONE_HEAD, interface=interface)


def test_links_of_another_width_are_refused():
    linkage = keras_dnc.SparseTemporalLinkage(2)
    link = np.zeros((1, 1, 4, 3))
    heads = np.zeros((1, 1, 4))
    with pytest.raises(ValueError, match="K=2. Received: shape .*3"):
        linkage((link, link), heads, heads, heads)


def test_sublayers_of_one_s_own_make_the_same_cell(rng):
    # What the options stand for, put together by hand.
    arguments = together(["masked_keys", "deallocation", "sharpness"])
    arguments |= EXTENSIONS["sparse_links"]
    one = make_cell(ONE_HEAD, **arguments)
    B, _, W, R, V = ONE_HEAD
    other = make_cell(
        ONE_HEAD,
        interface=keras_dnc.Interface(
            W, R, V, masked_keys=True, mask_minimum=0.1, sharpness=True
        ),
        write_head=keras_dnc.WriteHead(deallocation=True),
        read_head=keras_dnc.ReadHead(
            temporal_linkage=keras_dnc.SparseTemporalLinkage(2)
        ),
    )
    randomize(one, rng, "float32", deviation=0.3)
    other.set_weights(one.get_weights())
    x = rng.normal(size=(B, 4, X))
    state = random_state(rng, ONE_HEAD, "float32")
    states = state_tensors(one, reachable(state, arguments), "float32")
    np.testing.assert_allclose(
        run(one, x, states, "float32")[0],
        run(other, x, states, "float32")[0],
        rtol=1e-6,
    )


def test_sparse_of_the_tests_is_what_dense_takes_back(rng):
    L = reference.random_links(rng, np.zeros((2, 1, 5)))
    link = keras_dnc.SparseLink(*tensors(sparse(L, 5), "float64"))
    np.testing.assert_array_equal(dense(link), L)
