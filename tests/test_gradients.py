"""Gradients against central differences, in float64.

Formulas: TensorFlow's gradient of the formula against differences of the
NumPy loops, which know nothing of gradients. Sequences: against differences
of the loss itself, whose values test_cell.py compares with the loops.
"""

import keras
import numpy as np
import pytest
import reference
from comparison import (
    Sizes,
    each_example,
    randomize,
    with_sizes,
)
from extensions import state_tensors

import keras_dnc
from keras_dnc import addressing, memory, sparse_linkage
from keras_dnc.gradients import with_gradient
from keras_dnc.interface import oneplus

if keras.backend.backend() != "tensorflow":
    pytest.skip(
        "takes gradients with tf.GradientTape: needs the TensorFlow backend",
        allow_module_level=True,
    )

import tensorflow as tf

STEP = 1e-6
# Of max(1, |gradient|). The differences are off by 1e-16 / STEP = 1e-10 of the
# size of the values, from rounding, and by STEP² / 6 of their third
# derivatives, from truncation.
TOLERANCE = 1e-8


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def assert_gradient_close(actual, expected):
    actual = np.asarray(actual)
    assert actual.shape == expected.shape
    error = np.abs(actual - expected) / np.maximum(1, np.abs(expected))
    assert np.max(error, initial=0) <= TOLERANCE


def central_differences(function, x):
    """The gradient of a scalar function at the array x, by element."""
    gradient = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        shift = np.zeros(x.shape)
        shift[index] = STEP
        difference = function(x + shift) - function(x - shift)
        gradient[index] = difference / (2 * STEP)
    return gradient


def check(rng, formula, oracle, *arguments):
    """Compares the gradients, by every argument, of a random projection."""
    weights = rng.normal(size=oracle(*arguments).shape)
    inputs = [tf.constant(argument) for argument in arguments]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        loss = tf.reduce_sum(weights * formula(*inputs))
    # One write head's allocation does not depend on its gates.
    zero = tf.UnconnectedGradients.ZERO
    gradients = tape.gradient(loss, inputs, unconnected_gradients=zero)
    for i in range(len(arguments)):

        def projected(x, i=i):
            changed = [*arguments[:i], x, *arguments[i + 1 :]]
            return np.sum(weights * oracle(*changed))

        expected = central_differences(projected, arguments[i])
        assert_gradient_close(gradients[i], expected)


# Formulas. Each case makes, from random numbers and sizes, the formula, the
# oracle for whole batches, and the arguments.


def of_examples(function):
    return lambda *batches: each_example(function, *batches)


def of_heads(function):
    """Applies a formula of one head to each head of each example."""
    return of_examples(of_examples(function))


def gates(rng, *shape):
    return rng.uniform(0.05, 0.95, size=shape)


def vectors(rng, *shape):
    """No element near zero, where a unit vector changes too fast to differ."""
    return rng.choice([-1, 1], size=shape) * rng.uniform(0.3, 2, size=shape)


def random_state(rng, sizes, controller=()):
    B, N, W, R, V = sizes
    return reference.random_state(rng, N, W, R, V, B, controller)


def complement_product(rng, sizes):
    def oracle(x):
        product = 1 - x[0]
        for head in x[1:]:
            product = product * (1 - head)
        return product

    x = gates(rng, sizes.B, sizes.V, sizes.N)
    return addressing.complement_product, of_examples(oracle), x


def unit_vectors(rng, sizes):
    x = vectors(rng, sizes.B, sizes.N, sizes.W)
    return addressing.unit_vectors, of_heads(reference.unit_vector), x


def cosine_similarity(rng, sizes):
    def oracle(M, k):
        return np.array([[reference.cosine(k_i, m) for m in M] for k_i in k])

    M = vectors(rng, sizes.B, sizes.N, sizes.W)
    k = vectors(rng, sizes.B, sizes.R, sizes.W)
    return addressing.cosine_similarity, of_examples(oracle), M, k


def masked_cosine_similarity(rng, sizes):
    def oracle(M, k, mask):
        return np.array(
            [
                [reference.masked_cosine(k[i], m, mask[i]) for m in M]
                for i in range(len(k))
            ]
        )

    M = vectors(rng, sizes.B, sizes.N, sizes.W)
    k = vectors(rng, sizes.B, sizes.R, sizes.W)
    mask = gates(rng, sizes.B, sizes.R, sizes.W) / 2 + 0.5
    formula = addressing.masked_cosine_similarity
    return formula, of_examples(oracle), M, k, mask


def sharpened(rng, sizes):
    def oracle(d, s):
        return np.array(
            [reference.sharpened(d[i], s[i]) for i in range(len(s))]
        )

    d = gates(rng, sizes.B, sizes.R, sizes.N)
    s = 1 + gates(rng, sizes.B, sizes.R)
    return addressing.sharpened, of_examples(oracle), d, s


def content_weighting(rng, sizes):
    def oracle(M, k, beta):
        return np.array(
            [
                reference.content_weighting(M, k[i], beta[i])
                for i in range(len(k))
            ]
        )

    M = vectors(rng, sizes.B, sizes.N, sizes.W)
    k = vectors(rng, sizes.B, sizes.R, sizes.W)
    beta = 1 + rng.exponential(2, size=(sizes.B, sizes.R))
    return addressing.content_weighting, of_examples(oracle), M, k, beta


def retention(rng, sizes):
    w_r = random_state(rng, sizes).w_r
    f = gates(rng, sizes.B, sizes.R)
    return addressing.retention, of_examples(reference.retention), f, w_r


def usage(rng, sizes):
    state = random_state(rng, sizes)
    psi = gates(rng, sizes.B, sizes.N)
    oracle = of_examples(reference.usage)
    return addressing.usage, oracle, state.u, state.w_w, psi


def allocation_weighting(rng, sizes):
    u = reference.distinct_usages(rng, sizes.B, sizes.N)
    oracle = of_examples(reference.allocation_weighting)
    return addressing.allocation_weighting, oracle, u


def allocation_weightings(rng, sizes):
    u = reference.distinct_usages(rng, sizes.B, sizes.N)
    g_a, g_w = gates(rng, 2, sizes.B, sizes.V)
    oracle = of_examples(reference.allocation_weightings)
    return addressing.allocation_weightings, oracle, u, g_a, g_w


def write_weighting(rng, sizes):
    a, c = gates(rng, 2, sizes.B, sizes.V, sizes.N)
    g_a, g_w = gates(rng, 2, sizes.B, sizes.V)
    oracle = of_heads(reference.write_weighting)
    return addressing.write_weighting, oracle, a, c, g_a, g_w


def precedence(rng, sizes):
    p = random_state(rng, sizes).p
    w = reference.random_weightings(rng, *p.shape)
    return addressing.precedence, of_heads(reference.precedence), p, w


def link(rng, sizes):
    state = random_state(rng, sizes)
    w = reference.random_weightings(rng, *state.p.shape)
    return addressing.link, of_heads(reference.link), state.L, state.p, w


def directional_weightings(rng, sizes):
    def formula(L, w_r):
        return tf.stack(addressing.directional_weightings(L, w_r), axis=1)

    def oracle(L, w_r):
        directions = reference.forward_weighting, reference.backward_weighting
        return np.array(
            [
                [[direction(L_v, w_i) for w_i in w_r] for L_v in L]
                for direction in directions
            ]
        )

    state = random_state(rng, sizes)
    return formula, of_examples(oracle), state.L, state.w_r


def link_and_directional_weightings(rng, sizes):
    def oracle(L, p, w, w_r):
        L = np.array(
            [reference.link(*head) for head in zip(L, p, w, strict=True)]
        )
        directions = reference.forward_weighting, reference.backward_weighting
        weightings = [
            direction(L_v, w_i)
            for direction in directions
            for L_v in L
            for w_i in w_r
        ]
        return np.concatenate([L.reshape(-1), *weightings])

    def formula(*arguments):
        parts = addressing.link_and_directional_weightings(*arguments)
        return tf.concat([tf.reshape(x, (sizes.B, -1)) for x in parts], axis=1)

    state = random_state(rng, sizes)
    w = reference.random_weightings(rng, *state.p.shape)
    arguments = state.L, state.p, w, state.w_r
    return formula, of_examples(oracle), *arguments


def read_weighting(rng, sizes):
    def oracle(b, c, f, pi):
        return np.array(
            [
                reference.read_weighting(b[:, i], c[i], f[:, i], pi[i])
                for i in range(len(c))
            ]
        )

    B, N, _, R, V = sizes
    b, f = gates(rng, 2, B, V, R, N)
    c = gates(rng, B, R, N)
    pi = rng.dirichlet(np.ones(1 + 2 * V), size=(B, R))
    return addressing.read_weighting, of_examples(oracle), b, c, f, pi


def erase_and_write(rng, sizes):
    B, _, W, _, V = sizes
    state = random_state(rng, sizes)
    e = gates(rng, B, V, W)
    nu = rng.normal(size=(B, V, W))
    oracle = of_examples(reference.erase_and_write)
    return memory.erase_and_write, oracle, state.M, state.w_w, e, nu


def read(rng, sizes):
    def oracle(M, w_r):
        return np.array([reference.read(M, w) for w in w_r])

    state = random_state(rng, sizes)
    return memory.read, of_examples(oracle), state.M, state.w_r


def strengths(rng, sizes):
    x = 3 * rng.normal(size=(sizes.B, sizes.R))
    return oneplus, of_heads(reference.oneplus), x


def interface_parts(rng, sizes):
    extensions = {"masked_keys": True, "mask_minimum": 0.2, "sharpness": True}

    def oracle(xi):
        parts = reference.interface(xi, sizes.W, sizes.R, sizes.V, **extensions)
        return np.concatenate([part.reshape(-1) for part in parts])

    layer = keras_dnc.Interface(
        sizes.W,
        sizes.R,
        sizes.V,
        projection=keras.layers.Identity(dtype="float64"),
        dtype="float64",
        **extensions,
    )

    def formula(xi):
        parts = [tf.reshape(part, (sizes.B, -1)) for part in layer(xi)]
        return tf.concat(parts, axis=1)

    xi = 2 * rng.normal(size=(sizes.B, layer.size))
    return formula, of_examples(oracle), xi


FORMULAS = [
    masked_cosine_similarity,
    sharpened,
    complement_product,
    unit_vectors,
    cosine_similarity,
    content_weighting,
    retention,
    usage,
    allocation_weighting,
    allocation_weightings,
    write_weighting,
    precedence,
    link,
    directional_weightings,
    link_and_directional_weightings,
    read_weighting,
    erase_and_write,
    read,
    strengths,
    interface_parts,
]


@pytest.mark.parametrize("case", FORMULAS, ids=lambda case: case.__name__)
@with_sizes(
    Sizes(B=2, N=4, W=3, R=2, V=1),
    Sizes(B=1, N=5, W=2, R=4, V=3),
    Sizes(B=1, N=1, W=1, R=1, V=2),
)
def test_gradients_of_a_formula(rng, case, sizes):
    check(rng, *case(rng, sizes))


def own_linkage_gradient(rng, V):
    def plain(L, p, w, w_r):
        L = addressing.link(L, p, w)
        return L, *addressing.directional_weightings(L, w_r)

    state = random_state(rng, Sizes(B=2, N=9, W=1, R=4, V=V))
    w = reference.random_weightings(rng, *state.p.shape)
    fast = addressing.link_and_directional_weightings
    return fast, plain, state.L, state.p, w, state.w_r


def own_cosine_gradient(rng, heads):
    def plain(M, k):
        M, k = addressing.unit_vectors(M), addressing.unit_vectors(k)
        return [tf.matmul(k, M, transpose_b=True)]

    def fast(M, k):
        return [addressing.cosine_similarity(M, k)]

    return fast, plain, vectors(rng, 2, 9, 5), vectors(rng, 2, heads, 5)


def own_writing_gradient(rng, V):
    def plain(M, w, e, v):
        erased = w[..., None] * e[:, :, None]
        added = tf.matmul(w, v, transpose_a=True)
        return [M * tf.reduce_prod(1 - erased, axis=1) + added]

    def fast(*arguments):
        return [memory.erase_and_write(*arguments)]

    w, e = gates(rng, 2, V, 9), gates(rng, 2, V, 5)
    return fast, plain, vectors(rng, 2, 9, 5), w, e, vectors(rng, 2, V, 5)


def own_masked_cosine_gradient(rng, heads):
    def plain(M, k, mask):
        M = addressing.unit_vectors(M[:, None] * mask[:, :, None])
        k = addressing.unit_vectors(k * mask)
        return [tf.einsum("bhnw,bhw->bhn", M, k)]

    def fast(M, k, mask):
        return [addressing.masked_cosine_similarity(M, k, mask)]

    M, k = vectors(rng, 2, 9, 5), vectors(rng, 2, heads, 5)
    return fast, plain, M, k, gates(rng, 2, heads, 5)


def own_sparse_gradient(rng, V):
    # Each row of links to four of nine slots, some from several rows.
    columns = np.argsort(rng.uniform(size=(2, V, 9, 9)))[..., :4]

    def plain(values, w_r):
        L = tf.reduce_sum(
            values[..., None] * tf.one_hot(columns, 9, dtype=tf.float64), -2
        )
        return addressing.directional_weightings(L, w_r)

    def fast(values, w_r):
        link = keras_dnc.SparseLink(values, tf.constant(columns + 1.0))
        return sparse_linkage.sparse_directional_weightings(link, w_r)

    w_r = reference.random_weightings(rng, 2, 3, 9)
    return fast, plain, gates(rng, 2, V, 9, 4), w_r


@pytest.mark.parametrize(
    "jit_compile",
    [False, pytest.param(True, marks=pytest.mark.slow)],
    ids=["graph", "XLA"],
)
@pytest.mark.parametrize("heads", [1, 3])
@pytest.mark.parametrize(
    "case",
    [
        own_linkage_gradient,
        own_cosine_gradient,
        own_masked_cosine_gradient,
        own_sparse_gradient,
        own_writing_gradient,
    ],
)
def test_a_gradient_of_its_own_is_that_of_the_plain_formulas(
    rng, case, heads, jit_compile
):
    fast, plain, *arguments = case(rng, heads)
    arguments = [tf.constant(x) for x in arguments]
    weights = [rng.normal(size=x.shape) for x in plain(*arguments)]

    @tf.function(jit_compile=jit_compile)
    def gradients(formula):
        """First gradients, and the gradient of their squared length."""
        with tf.GradientTape() as outer:
            outer.watch(arguments)
            with tf.GradientTape() as tape:
                tape.watch(arguments)
                results = formula(*arguments)
                loss = sum(
                    tf.reduce_sum(weight * tf.square(result))
                    for weight, result in zip(weights, results, strict=True)
                )
            first = tape.gradient(loss, arguments)
            length = sum(tf.reduce_sum(tf.square(x)) for x in first)
        return first + outer.gradient(length, arguments)

    for actual, expected in zip(gradients(fast), gradients(plain), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_links_are_rounded_for_the_gradient_alone(rng, dtype):
    _, plain, *arguments = own_linkage_gradient(rng, 2)
    linkage = keras_dnc.TemporalLinkage(dtype, dtype="float64")

    def fast(L, p, w, w_r):
        L, _, *weightings = linkage(L, p, w, w_r)
        return L, *weightings

    weights = [rng.normal(size=x.shape) for x in plain(*arguments)]

    def gradients(formula, L):
        given = [tf.constant(x) for x in (L, *arguments[1:])]
        with tf.GradientTape() as tape:
            tape.watch(given)
            results = formula(*given)
            loss = sum(
                tf.reduce_sum(weight * result)
                for weight, result in zip(weights, results, strict=True)
            )
        return results, tape.gradient(loss, given)

    L = arguments[0]
    rounded = tf.cast(tf.cast(L, dtype), "float64").numpy()
    values, actual = gradients(fast, L)
    expected_values, _ = gradients(plain, L)
    _, expected = gradients(plain, rounded)
    for pairs in (
        zip(values, expected_values, strict=True),
        zip(actual, expected, strict=True),
    ):
        for one, other in pairs:
            np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-10)
    _, exact = gradients(plain, L)
    assert np.abs(exact[2] - expected[2]).max() > 1e-5


def test_a_gradient_is_not_computed_ahead_of_its_turn():
    # Of what is there before the gradient comes, cos x is the one to wait.
    function = with_gradient(
        tf.sin, lambda arguments, upstream: (upstream[0] * tf.cos(*arguments),)
    )

    @tf.function
    def gradient(x, upstream):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
        upstream = tf.exp(upstream)
        return tape.gradient(y, x, upstream)

    one = tf.constant([1.0, 2.0])
    graph = gradient.get_concrete_function(one, one).graph
    (cosine,) = (x for x in graph.get_operations() if x.type == "Cos")
    before = [x.type for x in cosine.control_inputs]
    assert any(kind in ("Exp", "Identity", "IdentityN") for kind in before)
    np.testing.assert_allclose(
        gradient(one, one), np.exp(one) * np.cos(one), rtol=1e-6
    )


TIES = {
    "free slots": [0.0, 0.5, 0.0, 0.0, 0.25],
    "used slots": [1.0, 0.5, 1.0, 1.0, 0.25],
    "all free": [0.0] * 5,
    "all used": [1.0] * 5,
    "pairs": [0.75, 0.5, 0.75, 0.5, 0.25],
}


@pytest.mark.parametrize("usage", TIES.values(), ids=TIES)
def test_allocation_s_gradient_holds_the_order_fixed(rng, usage):
    # Also where slots change places beside the point, and with usages of 0
    # and 1, where a product's gradient by division fails.
    usage = np.array([usage])
    phi = reference.free_list(usage[0])

    def oracle(u):
        return reference.allocation_weighting(u, phi)

    check(rng, addressing.allocation_weighting, of_examples(oracle), usage)


def test_content_weighting_has_gradients_at_zero(rng):
    # Of zero words and a zero key; 1e-6 under the root makes the third
    # derivative about 1e9 there, too much for the differences' step.
    M, k = np.zeros((1, 3, 2)), np.zeros((1, 1, 2))
    M[0, 0] = 1, 2
    k_nonzero = np.array([[[0.6, 0.8]]])

    def gradient(M, k):
        inputs = [tf.constant(M), tf.constant(k)]
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            similarity = addressing.cosine_similarity(*inputs)
        # The similarity to the last slot, which is zero.
        one = np.zeros((1, 1, 3))
        one[..., 2] = 1
        return tape.gradient(similarity, inputs, output_gradients=one)

    by_M, by_k = gradient(M, k)
    assert not by_M.numpy().any()
    assert not by_k.numpy().any()
    # d cos / d m = k̂ / √1e-6 at m = 0.
    by_M, by_k = gradient(M, k_nonzero)
    np.testing.assert_allclose(by_M[0, 2], [600, 800], rtol=1e-6)
    assert not by_M[0, :2].numpy().any()
    assert not by_k.numpy().any()


# Sequences

X, UNITS, STEPS = 2, 2, 4


def lstm():
    return {"controller": 3}, (3, 3)


def gru_between_normalization_and_clip():
    # Neither half of the hidden vector is clipped throughout.
    return {
        "controller": keras.layers.GRUCell(3, dtype="float64"),
        "normalization": keras.layers.LayerNormalization(dtype="float64"),
        "clip_value": 0.5,
    }, (3,)


def feed_forward():
    dense = keras.layers.Dense(3, activation="tanh", dtype="float64")
    return {"controller": dense}, ()


def with_extensions():
    return {
        "controller": 3,
        "masked_keys": True,
        "deallocation": True,
        "sharpness": True,
        "layer_norm": True,
        "sparse_links": 2,
    }, (3, 3)


class SequenceLoss:
    """A random projection of all outputs and of the final state.

    Attributes:
        weights: The cell's variables.
        states: The initial states, as variables, so that both are alike.
        names: The name of the part of the state that each belongs to.
        link: The initial links, as the cell has them.
    """

    def __init__(self, rng, sizes, arguments, controller_sizes):
        self.cell = keras_dnc.DNCCell(
            UNITS,
            memory_size=sizes.N,
            word_size=sizes.W,
            num_reads=sizes.R,
            num_writes=sizes.V,
            dtype="float64",
            name="cell",
            **arguments,
        )
        self.cell.build((sizes.B, X))
        randomize(self.cell, rng, "float64", deviation=0.7)
        self.weights = [variable.value for variable in self.cell.weights]
        state = random_state(rng, sizes, controller_sizes)
        self.states = [
            tf.Variable(part)
            for part in state_tensors(self.cell, state, "float64")
        ]
        unpacked = self.cell.unpack_state(self.states)
        self.link = unpacked.link
        self.names = [
            name
            for name, part in unpacked._asdict().items()
            for _ in keras.tree.flatten(part)
        ]
        self.x = rng.normal(size=(sizes.B, STEPS, X))
        self.by_output = rng.normal(size=(sizes.B, STEPS, UNITS))
        self.by_state = [rng.normal(size=part.shape) for part in self.states]
        self.compiled = tf.function(self.__call__)

    def __call__(self):
        loss, states = 0.0, [tf.identity(part) for part in self.states]
        for t in range(STEPS):
            y, states = self.cell(self.x[:, t], states)
            loss += tf.reduce_sum(self.by_output[:, t] * y)
        for weight, part in zip(self.by_state, states, strict=True):
            loss += tf.reduce_sum(weight * part)
        return loss

    def gradients(self, variables):
        with tf.GradientTape() as tape:
            loss = self()
        return tape.gradient(loss, variables)

    def differences(self, variable):
        def loss(x):
            variable.assign(x)
            return self.compiled().numpy()

        value = variable.numpy()
        gradient = central_differences(loss, value)
        variable.assign(value)
        return gradient


@pytest.mark.parametrize(
    ("sizes", "make"),
    [
        (Sizes(B=1, N=4, W=2, R=2, V=2), lstm),
        (Sizes(B=2, N=3, W=3, R=1, V=1), gru_between_normalization_and_clip),
        pytest.param(
            Sizes(B=1, N=3, W=2, R=2, V=3),
            feed_forward,
            marks=pytest.mark.slow,
        ),
        pytest.param(
            Sizes(B=1, N=4, W=3, R=2, V=2),
            with_extensions,
            marks=pytest.mark.slow,
        ),
    ],
    ids=["LSTM, V=2", "GRU, V=1", "Dense, V=3", "extensions, V=2"],
)
def test_gradients_of_a_sequence(rng, sizes, make):
    loss = SequenceLoss(rng, sizes, *make())
    actual = loss.gradients([*loss.weights, *loss.states])
    by_weights = actual[: len(loss.weights)]
    by_states = actual[len(loss.weights) :]
    for weight, gradient in zip(loss.weights, by_weights, strict=True):
        expected = loss.differences(weight)
        # An element without influence would not show an error.
        assert np.count_nonzero(expected) > expected.size / 2
        assert_gradient_close(gradient, expected)
    for name, part, gradient in zip(
        loss.names, loss.states, by_states, strict=True
    ):
        if name == "link" and isinstance(loss.link, keras_dnc.SparseLink):
            # Numbers of columns have no gradient.
            continue
        gradient = gradient.numpy()
        expected = loss.differences(part)
        if name == "link":
            # Links from outside have a diagonal of zeros; what a diagonal
            # would do, and so its gradient, is no part of the contract.
            gradient[:, diagonal(sizes)] = expected[:, diagonal(sizes)] = 0
        assert np.count_nonzero(expected) > expected.size / 2
        assert_gradient_close(gradient, expected)


def diagonal(sizes):
    """Which elements of the flat links point from a slot to itself."""
    return np.tile(np.eye(sizes.N, dtype=bool).ravel(), sizes.V)
