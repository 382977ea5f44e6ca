"""How a DNC finds its place in memory: one pure function a formula.

Every function maps tensors to tensors with `keras.ops` alone, for any number
of read and write heads, and computes in the dtype of what it is given.

Shapes are written with these symbols: `B` examples in a batch, `N` memory
slots, each a word of width `W`, `R` read heads, `V` write heads. Equations are
those of the section Methods in Graves et al., [Hybrid computing using a
neural network with dynamic external memory](
https://doi.org/10.1038/nature20101), Nature 538 (2016), which has one write
head; several are treated as in the notes of each function.
"""

import functools
from collections.abc import Callable

from keras import ops

from keras_dnc.gradients import with_gradient

EPSILON = 1e-6


def complement_product(x):
    """Returns `Π_i (1 − x_i)`, the product running over axis 1.

    If `x_i` is the share of a slot that head `i` takes, this is what the
    heads leave of it. One head, the common case, costs one subtraction.

    Args:
        x: Tensor of shape `(B, heads, ...)`.

    Returns:
        Tensor of shape `(B, ...)`.
    """
    product = 1 - x[:, 0]
    for head in range(1, x.shape[1]):
        product = product * (1 - x[:, head])
    return product


def unit_vectors(x):
    """Scales the vectors along the last axis to length one.

    `x · rsqrt(Σ x² + 1e-6)`: a zero vector stays zero, with a finite
    gradient.

    Args:
        x: Tensor of shape `(..., W)`.

    Returns:
        Tensor of the shape of `x`.
    """
    return x * ops.expand_dims(_inverse_lengths(x), -1)


def _inverse_lengths(x):
    """Returns `1 / √(Σ x² + 1e-6)` over the last axis."""
    return ops.rsqrt(ops.sum(ops.square(x), axis=-1) + EPSILON)


def cosine_similarity(memory, keys):
    """Returns `D(k, M[n])`, the cosine between each key and each slot.

    Zero keys and zero slots have similarity 0: a length is `√(Σ x² + 1e-6)`.

    Source: Graves et al. (2016), Methods, *Content-based addressing*.

    Args:
        memory: Tensor `M` of shape `(B, N, W)`.
        keys: Tensor `k` of shape `(B, heads, W)`.

    Returns:
        Tensor of shape `(B, heads, N)`, each value in [-1, 1].
    """
    return _cosine(memory, unit_vectors(keys))


def _cosine_of_directions(memory, directions):
    """Returns the cosine, where the keys are of length one.

    `unit_vectors(memory)` would be another tensor of the memory's size.
    """
    products = _times_transposed(directions, memory)
    return products * ops.expand_dims(_inverse_lengths(memory), 1)


def _cosine_gradient(arguments, upstream):
    """Returns the gradients, of `G` with respect to the cosines `D`.

    With the lengths `l[n]` of the slots they are
    `Σ_i G[i, n] (k^i / l[n] − D[i, n] M[n] / l[n]²)` for `M[n]` and
    `Σ_n G[i, n] M[n] / l[n]` for `k^i`, a key of length one.
    """
    memory, directions = arguments
    (of_cosine,) = upstream
    inverse = ops.expand_dims(_inverse_lengths(memory), 1)
    of_products = of_cosine * inverse
    products = _times_transposed(directions, memory)
    growth = ops.sum(of_products * products, axis=1) * inverse[:, 0] ** 2
    return (
        ops.matmul(_transposed(of_products), directions)
        - ops.expand_dims(growth, -1) * memory,
        ops.matmul(of_products, memory),
    )


_cosine = with_gradient(_cosine_of_directions, _cosine_gradient)


def masked_cosine_similarity(memory, keys, masks):
    """Returns `D(k∘m, M[n]∘m)`, the cosine of what a mask leaves of both.

    With masks of ones it is `cosine_similarity`.

    Source: Csordás & Schmidhuber, [Improving differentiable neural computers
    through memory masking, de-allocation, and link distribution sharpness
    control](https://arxiv.org/abs/1904.10278), 2019.

    Args:
        memory: Tensor `M` of shape `(B, N, W)`.
        keys: Tensor `k` of shape `(B, heads, W)`.
        masks: Tensor `m` of shape `(B, heads, W)`, each value in [0, 1].

    Returns:
        Tensor of shape `(B, heads, N)`, each value in [-1, 1].
    """
    directions = masks * unit_vectors(masks * keys)
    return _masked_cosine(memory, directions, ops.square(masks))


def _masked_cosine_of_directions(memory, directions, squared_masks):
    """Returns the cosine by products alone, with `m ∘ (k∘m) / ‖k∘m‖`.

    `M∘m` for each head would be several tensors of the memory's size.
    """
    products = _times_transposed(directions, memory)
    return products * _masked_inverse_lengths(memory, squared_masks)


def _masked_inverse_lengths(memory, squared_masks):
    """Returns `1 / √(Σ (M∘m)² + 1e-6)` of each slot, `(B, heads, N)`."""
    squares = _times_transposed(squared_masks, ops.square(memory))
    return ops.rsqrt(squares + EPSILON)


def _masked_cosine_gradient(arguments, upstream):
    """Returns the gradients, of `G` with respect to the cosines `D`.

    With the directions `d`, the products `P = d·M[n]` and the lengths `l` of
    the masked slots, `D = P / l`. Let `A = G / l` and `C = −G P / (2 l³)`,
    the gradients for `P` and for `l²`. They are `Σ_i (A d + 2 C m² ∘ M)` for
    `M`, `A M` for `d` and `C M²` for `m²`.
    """
    memory, directions, squared_masks = arguments
    (of_cosine,) = upstream
    inverse = _masked_inverse_lengths(memory, squared_masks)
    products = _times_transposed(directions, memory)
    of_products = of_cosine * inverse
    of_squares = -0.5 * of_products * products * inverse**2
    return (
        ops.matmul(_transposed(of_products), directions)
        + 2 * memory * ops.matmul(_transposed(of_squares), squared_masks),
        ops.matmul(of_products, memory),
        ops.matmul(of_squares, ops.square(memory)),
    )


_masked_cosine = with_gradient(
    _masked_cosine_of_directions, _masked_cosine_gradient
)


def content_weighting(
    memory, keys, strengths, similarity: Callable = cosine_similarity
):
    """Returns `C(M, k, β)[n] = softmax_n(β · D(k, M[n]))`.

    Source: Graves et al. (2016), Methods, *Content-based addressing*.

    Args:
        memory: Tensor `M` of shape `(B, N, W)`.
        keys: Tensor `k` of shape `(B, heads, W)`.
        strengths: Tensor `β` of shape `(B, heads)`, each value at least 1.
        similarity: The function `D`, from memory and keys to a tensor of
            shape `(B, heads, N)`.

    Returns:
        Tensor of shape `(B, heads, N)`; each head's weighting sums to 1.
    """
    scores = ops.expand_dims(strengths, -1) * similarity(memory, keys)
    return ops.softmax(scores, axis=-1)


def retention(free_gates, read_weightings):
    """Returns `ψ = Π_i (1 − f^i w^{r,i})`, what the free gates leave in use.

    Source: Graves et al. (2016), Methods, *Dynamic memory allocation*.

    Args:
        free_gates: Tensor `f` of shape `(B, R)`, each value in [0, 1].
        read_weightings: Tensor `w^r` of the previous step, `(B, R, N)`.

    Returns:
        Tensor of shape `(B, N)`, each value in [0, 1].
    """
    return complement_product(ops.expand_dims(free_gates, -1) * read_weightings)


def usage(previous_usage, write_weightings, retention):
    """Returns `u = (u + w̄ − u∘w̄)∘ψ`, how far each slot is in use.

    With several write heads `w̄ = 1 − Π_v (1 − w^{w,v})`; with one it is that
    head's weighting.

    Source: Graves et al. (2016), Methods, *Dynamic memory allocation*.

    Args:
        previous_usage: Tensor `u` of the previous step, `(B, N)`.
        write_weightings: Tensor `w^w` of the previous step, `(B, V, N)`.
        retention: Tensor `ψ` of shape `(B, N)`.

    Returns:
        Tensor of shape `(B, N)`, each value in [0, 1].
    """
    usage = previous_usage
    # Head after head this is the formula with w̄, and exact for one head: in
    # 1 − Π(1 − w) weightings below the precision of 1 would be lost.
    for head in range(write_weightings.shape[1]):
        written = write_weightings[:, head]
        usage = usage + written - usage * written
    return usage * retention


def allocation_weighting(usage):
    """Returns `a[φ_j] = (1 − u'[φ_j]) Π_{i<j} u'[φ_i]`.

    `u' = 1e-6 + (1 − 1e-6) u` and `φ` sorts the slots by ascending `u'`; of
    two slots of one usage the lower comes first. The gradient flows through
    `u'` and not through the order.

    Source: Graves et al. (2016), Methods, equation (1).

    Args:
        usage: Tensor `u` of shape `(B, N)`, each value in [0, 1].

    Returns:
        Tensor of shape `(B, N)`, not negative, of sum at most 1.
    """
    usage = EPSILON + (1 - EPSILON) * usage
    places = _places(ops.argsort(usage, axis=-1))
    ascending = ops.reshape(
        ops.take(ops.reshape(usage, (-1,)), places), (-1, usage.shape[-1])
    )
    before = ops.concatenate(
        [ops.ones_like(ascending[:, :1]), ascending[:, :-1]], axis=-1
    )
    # Not axis −1, which breaks the conversion to ONNX.
    allocation = (1 - ascending) * ops.cumprod(before, axis=1)
    # Back to where they came from, at less cost than by a second sort.
    allocation = ops.scatter(
        ops.expand_dims(places, -1),
        ops.reshape(allocation, (-1,)),
        ops.shape(places),
    )
    return ops.reshape(allocation, (-1, usage.shape[-1]))


def _places(order):
    """Returns where `x[b, order[b, n]]` is in a flat `x`, of shape `(B·N,)`.

    XLA fails to compile the gradient of `ops.take_along_axis` in a loop when
    the batch size is unknown.
    """
    example = ops.cumsum(ops.ones_like(order[:, :1]), axis=0) - 1
    return ops.reshape(order.shape[-1] * example + order, (-1,))


def allocation_weightings(usage, allocation_gates, write_gates):
    """Returns the allocation weighting `a^v` of each write head, in turn.

    The first head's is that of the usage. What it is about to take,
    `g^{a,v} g^{w,v} a^v`, counts as used for the next:
    `u ← u + (1 − u)∘g^{a,v} g^{w,v} a^v`. The usage itself is left as it is.

    Source: DeepMind's implementation of Graves et al. (2016), which extends
    the paper's equation (1) to several write heads in this way.

    Args:
        usage: Tensor `u` of shape `(B, N)`.
        allocation_gates: Tensor `g^a` of shape `(B, V)`.
        write_gates: Tensor `g^w` of shape `(B, V)`.

    Returns:
        Tensor of shape `(B, V, N)`.
    """
    gates = ops.expand_dims(allocation_gates * write_gates, -1)
    weightings = [allocation_weighting(usage)]
    for head in range(1, gates.shape[1]):
        taken = gates[:, head - 1] * weightings[-1]
        usage = usage + (1 - usage) * taken
        weightings.append(allocation_weighting(usage))
    return ops.stack(weightings, axis=1)


def write_weighting(allocation, content, allocation_gates, write_gates):
    """Returns `w^w = g^w [g^a a + (1 − g^a) C]` for each write head.

    Source: Graves et al. (2016), Methods, *Write weighting*.

    Args:
        allocation: Tensor `a` of shape `(B, V, N)`.
        content: Tensor `C(M, k^w, β^w)` of shape `(B, V, N)`.
        allocation_gates: Tensor `g^a` of shape `(B, V)`.
        write_gates: Tensor `g^w` of shape `(B, V)`.

    Returns:
        Tensor of shape `(B, V, N)`, not negative, each head's sum at most 1.
    """
    allocation_gates = ops.expand_dims(allocation_gates, -1)
    write_gates = ops.expand_dims(write_gates, -1)
    return write_gates * (
        allocation_gates * allocation + (1 - allocation_gates) * content
    )


def precedence(previous_precedence, write_weightings):
    """Returns `p = (1 − Σ_n w[n]) p + w`, how lately each slot was written.

    Source: Graves et al. (2016), Methods, *Temporal memory linkage*.

    Args:
        previous_precedence: Tensor `p` of the previous step, `(B, V, N)`.
        write_weightings: Tensor `w^w` of this step, `(B, V, N)`.

    Returns:
        Tensor of shape `(B, V, N)`, not negative, each head's sum at most 1.
    """
    written = ops.sum(write_weightings, axis=-1, keepdims=True)
    return (1 - written) * previous_precedence + write_weightings


def link(previous_link, previous_precedence, write_weightings):
    """Returns `L[i,j] = (1 − w[i] − w[j]) L[i,j] + w[i] p[j]`, `L[i,i] = 0`.

    `L[i,j]` is the degree to which slot `i` was written right after slot `j`.
    Each write head has links of its own.

    Source: Graves et al. (2016), Methods, *Temporal memory linkage*.

    Args:
        previous_link: Tensor `L` of the previous step, `(B, V, N, N)`.
        previous_precedence: Tensor `p` of the previous step, `(B, V, N)`.
        write_weightings: Tensor `w^w` of this step, `(B, V, N)`.

    Returns:
        Tensor of shape `(B, V, N, N)`, each value in [0, 1], each row's and
        each column's sum at most 1.
    """
    new_link = _retained(write_weightings) * previous_link + _outer(
        write_weightings, previous_precedence
    )
    return _without_diagonal(new_link)


def _retained(write_weightings):
    """Returns `1 − w[i] − w[j]`, of shape `(B, V, N, N)`."""
    return (
        1
        - ops.expand_dims(write_weightings, -1)
        - ops.expand_dims(write_weightings, -2)
    )


def _outer(rows, columns):
    """Returns `x[i] y[j]` of tensors of shape `(..., N)`."""
    return ops.expand_dims(rows, -1) * ops.expand_dims(columns, -2)


def _without_diagonal(x):
    """Returns a tensor of shape `(..., N, N)` with zeros on its diagonal."""
    diagonal = ops.eye(x.shape[-1], dtype="bool")
    return ops.where(diagonal, ops.zeros((), x.dtype), x)


def directional_weightings(link, read_weightings):
    """Returns `f^{i,v} = L^v w^{r,i}` and `b^{i,v} = (L^v)ᵀ w^{r,i}`.

    Where each read head would go from where it was, along the order of
    writing and against it.

    Source: Graves et al. (2016), Methods, *Temporal memory linkage*.

    Args:
        link: Tensor `L` of this step, `(B, V, N, N)`.
        read_weightings: Tensor `w^r` of the previous step, `(B, R, N)`.

    Returns:
        Tuple `(forward, backward)` of tensors of shape `(B, V, R, N)`.
    """
    read_weightings = ops.expand_dims(read_weightings, 1)
    return _times_transposed(read_weightings, link), ops.matmul(
        read_weightings, link
    )


def _times_transposed(x, y):
    """Returns `x yᵀ` as `(y xᵀ)ᵀ`, faster where `y` is the large one."""
    return _transposed(ops.matmul(y, _transposed(x)))


def _transposed(x):
    """Returns each matrix of a tensor of shape `(..., ., .)` transposed."""
    return ops.swapaxes(x, -1, -2)


def _times_vector(matrix, vector):
    """Returns `Σ_j A[i, j] x[j]`."""
    return ops.squeeze(ops.matmul(matrix, ops.expand_dims(vector, -1)), -1)


def _vector_times(vector, matrix):
    """Returns `Σ_i x[i] A[i, j]`."""
    return ops.squeeze(ops.matmul(ops.expand_dims(vector, -2), matrix), -2)


def directional_from_previous(
    previous_link, previous_precedence, write_weightings, read_weightings
):
    """Returns `directional_weightings` of links before they are made.

    With `L`, `p` of the previous step and `w`, `q` of this one:

        L_t q  = (1 − w)∘(L q)  − L (w∘q)  + w (p·q) − d∘q
        L_tᵀ q = (1 − w)∘(Lᵀ q) − Lᵀ (w∘q) + p (w·q) − d∘q

    where `d[i] = (1 − 2 w[i]) L[i,i] + w[i] p[i]` is what `link` leaves out.

    Args:
        previous_link: Tensor `L` of the previous step, `(B, V, N, N)`.
        previous_precedence: Tensor `p` of the previous step, `(B, V, N)`.
        write_weightings: Tensor `w^w` of this step, `(B, V, N)`.
        read_weightings: Tensor `w^r` of the previous step, `(B, R, N)`.

    Returns:
        Tuple `(forward, backward)` of tensors of shape `(B, V, R, N)`.
    """
    q = _for_each_head(read_weightings, previous_link)
    return (
        _along(previous_link, previous_precedence, write_weightings, q),
        _against(previous_link, previous_precedence, write_weightings, q),
    )


def _for_each_head(read_weightings, link):
    """Returns `w^r` for each write head, of shape `(B, V, R, N)`."""
    return ops.repeat(
        ops.expand_dims(read_weightings, 1), link.shape[1], axis=1
    )


def _along(previous_link, p, w, q):
    """Returns `L_t q` of vectors in the rows of `q`, `(B, V, R, N)`."""
    p, w = ops.expand_dims(p, 2), ops.expand_dims(w, 2)
    products = _times_transposed(_with_share(q, w), previous_link)
    return _of_new_link(products, previous_link, p, w, q) + w * _dot(p, q)


def _against(previous_link, p, w, q):
    """Returns `L_tᵀ q` of vectors in the rows of `q`, `(B, V, R, N)`."""
    p, w = ops.expand_dims(p, 2), ops.expand_dims(w, 2)
    products = ops.matmul(_with_share(q, w), previous_link)
    return _of_new_link(products, previous_link, p, w, q) + p * _dot(w, q)


def _with_share(q, w):
    return ops.concatenate([q, w * q], axis=2)


def _of_new_link(products, previous_link, p, w, q):
    of_q, of_share = ops.split(products, 2, axis=2)
    diagonal = ops.expand_dims(_diagonal(previous_link), 2)
    left_out = (1 - 2 * w) * diagonal + w * p
    return (1 - w) * of_q - of_share - left_out * q


def _diagonal(x):
    """Returns `x[..., i, i]` of a tensor of shape `(B, V, N, N)`."""
    _, heads, slots, _ = x.shape
    return ops.reshape(x, (-1, heads, slots * slots))[:, :, :: slots + 1]


def _dot(x, y):
    """Returns the product of each two vectors, with an axis of one for it."""
    return ops.sum(x * y, axis=-1, keepdims=True)


def _plain_linkage(
    previous_link, previous_precedence, write_weightings, read_weightings
):
    return (
        link(previous_link, previous_precedence, write_weightings),
        *directional_from_previous(
            previous_link,
            previous_precedence,
            write_weightings,
            read_weightings,
        ),
    )


def _linkage_gradient(arguments, upstream):
    previous_link, p, w, read_weightings = arguments
    of_link, of_forward, of_backward = upstream
    q = _for_each_head(read_weightings, previous_link)
    # f = L q and b = Lᵀ q: what all three results ask of L, and of q.
    total = _without_diagonal(
        of_link
        + ops.matmul(
            _transposed(ops.concatenate([of_forward, q], axis=2)),
            ops.concatenate([q, of_backward], axis=2),
        )
    )
    of_q = _against(previous_link, p, w, of_forward) + _along(
        previous_link, p, w, of_backward
    )
    of_retained = total * previous_link
    ones = ops.ones_like(w)
    return (
        _retained(w) * total,
        _vector_times(w, total),
        _times_vector(total, p)
        # Sums over rows and columns, faster as products.
        - _times_vector(of_retained, ones)
        - _vector_times(ones, of_retained),
        ops.sum(of_q, axis=1),
    )


@functools.cache
def _linkage(storage_dtype):
    return with_gradient(_plain_linkage, _linkage_gradient, storage_dtype)


def link_and_directional_weightings(
    previous_link,
    previous_precedence,
    write_weightings,
    read_weightings,
    storage_dtype: str | None = None,
):
    """Returns what `link` and `directional_weightings` return, at less cost.

    Values and gradients are theirs. The gradient is written by hand: it keeps
    the links of the previous step and computes those of this step anew, so
    that a step keeps one tensor of `N²` numbers where automatic
    differentiation keeps several.

    Args:
        previous_link: Tensor `L` of the previous step, `(B, V, N, N)`.
        previous_precedence: Tensor `p` of the previous step, `(B, V, N)`.
        write_weightings: Tensor `w^w` of this step, `(B, V, N)`.
        read_weightings: Tensor `w^r` of the previous step, `(B, R, N)`.
        storage_dtype: The dtype in which the gradient keeps the links.
            Default: their own.

    Returns:
        Tuple `(link, forward, backward)` of tensors of the shapes `(B, V, N,
        N)`, `(B, V, R, N)` and `(B, V, R, N)`.
    """
    return _linkage(storage_dtype)(
        previous_link, previous_precedence, write_weightings, read_weightings
    )


def sharpened(weightings, sharpness):
    """Returns `(d + ε)^s / Σ_n (d[n] + ε)^s`, a weighting of sum 1.

    Of a weighting spread over many slots a sharpness above 1 leaves the
    largest; 1 scales it to the sum 1. `ε` is 1e-6.

    Source: Csordás & Schmidhuber, [Improving differentiable neural computers
    through memory masking, de-allocation, and link distribution sharpness
    control](https://arxiv.org/abs/1904.10278), 2019.

    Args:
        weightings: Tensor `d` of shape `(..., N)`, not negative.
        sharpness: Tensor `s` of shape `(...)`, each value at least 1.

    Returns:
        Tensor of the shape of `weightings`.
    """
    # A softmax of logarithms, since a power underflows. Rounding can make a
    # directional weighting a little less than zero.
    logarithms = ops.log(ops.maximum(weightings, 0) + EPSILON)
    return ops.softmax(ops.expand_dims(sharpness, -1) * logarithms, axis=-1)


def read_weighting(backward, content, forward, read_modes):
    """Returns `w^r = Σ_v π[b_v] b^v + π[c] C + Σ_v π[f_v] f^v` for each head.

    Source: Graves et al. (2016), Methods, *Read weighting*.

    Args:
        backward: Tensor `b` of shape `(B, V, R, N)`.
        content: Tensor `C(M, k^r, β^r)` of shape `(B, R, N)`.
        forward: Tensor `f` of shape `(B, V, R, N)`.
        read_modes: Tensor `π` of shape `(B, R, 1 + 2V)`, the modes in the
            order backward_1 … backward_V, content, forward_1 … forward_V.

    Returns:
        Tensor of shape `(B, R, N)`, not negative, each head's sum at most 1.
    """
    num_writes = backward.shape[1]
    weighting = read_modes[:, :, num_writes, None] * content
    for head in range(num_writes):
        towards_older = read_modes[:, :, head, None]
        towards_newer = read_modes[:, :, num_writes + 1 + head, None]
        weighting = (
            weighting
            + towards_older * backward[:, head]
            + towards_newer * forward[:, head]
        )
    return weighting
