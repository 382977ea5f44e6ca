"""Temporal links of which each slot keeps a few, as pure functions.

The links of `keras_dnc.addressing` take `N²` numbers. Most are near zero: a
write goes to few slots, and follows a write to few. Here only the `K` largest
elements of the write weighting `w` and of the precedence `p` make new links,
and each row of `L`, the slots that one was written after, keeps its `K` largest
elements. Cost and state are then `O(N·K)`.

Old links decay by the whole `w`, nothing is scaled to the sum 1, and a row is
cut to its largest elements rather than by a threshold: `K = N` is exact, and
rows and columns keep the bounds that they have without a cut.

Source: Graves et al., [Hybrid computing using a neural network with dynamic
external memory](https://doi.org/10.1038/nature20101), Nature 538 (2016),
Methods, *Sparse link matrix*.

Shapes are written with the symbols of `keras_dnc.addressing`.
"""

from typing import Any, NamedTuple

import numpy as np
from keras import ops

from keras_dnc.gradients import with_gradient

# Of each slot, as the paper has it.
NUM_LINKS = 8


class SparseLink(NamedTuple):
    """The `K` largest links in each row of `L`.

    Attributes:
        values: `L[i, j]` for `K` columns `j`, shape `(B, V, N, K)`.
        columns: `1 + j`, or 0 where there is no link, of the same shape and
            of a float dtype, as Keras carries every state. The columns of a
            row are distinct, and none is the row's own.
    """

    values: Any
    columns: Any


def dense_links(link: SparseLink) -> np.ndarray:
    """Returns `L` itself, of shape `(..., N, N)`.

    Args:
        link: A `SparseLink` of two arrays of shape `(..., N, K)`.
    """
    *rows, slots, _ = link.values.shape
    # Column 0 takes the places where there is no link.
    links = np.zeros((*rows, slots, 1 + slots), link.values.dtype)
    np.put_along_axis(links, link.columns.astype("int64"), link.values, axis=-1)
    return links[..., 1:]


def sparse_link(
    previous_link: SparseLink, previous_precedence, write_weightings
) -> SparseLink:
    """Returns `L[i,j] = (1 − w[i] − w[j]) L[i,j] + w[i] p[j]`, `L[i,i] = 0`.

    Of the new `w[i] p[j]` those of the `K` largest elements of each, and of a
    row the `K` largest. `keras_dnc.addressing.link` leaves nothing out.

    Args:
        previous_link: `L` of the previous step, two tensors of shape
            `(B, V, N, K)`.
        previous_precedence: Tensor `p` of the previous step, `(B, V, N)`.
        write_weightings: Tensor `w^w` of this step, `(B, V, N)`.

    Returns:
        A `SparseLink` of two tensors of shape `(B, V, N, K)`.
    """
    count = previous_link.values.shape[-1]
    columns = ops.stop_gradient(previous_link.columns)
    written, rows = ops.top_k(write_weightings, count)
    preceding, before = ops.top_k(previous_precedence, count)

    # (1 − w[i] − w[j]) L[i,j], of the whole w: decayed by less than what is
    # written, a column of L and its slot's precedence could exceed 1 together.
    decay = (
        1
        - ops.expand_dims(write_weightings, -1)
        - _elements(write_weightings, columns)
    )
    values = decay * previous_link.values

    # + w[i] p[j] in the rows that were written, each of its old links and of
    # those to the slots written before.
    added = ops.expand_dims(written, -1) * ops.expand_dims(preceding, -2)
    new_columns = 1 + ops.expand_dims(before, -2)
    is_other = ops.expand_dims(rows + 1, -1) != new_columns
    old_values, old_columns = _rows(values, rows), _rows(columns, rows)
    new_columns = ops.cast(new_columns, columns.dtype)
    is_old = ops.expand_dims(old_columns, -1) == ops.expand_dims(
        new_columns, -2
    )
    old_values = old_values + ops.sum(
        ops.cast(is_old, added.dtype) * ops.expand_dims(added, -2), axis=-1
    )
    is_new = ops.logical_and(is_other, ops.logical_not(ops.any(is_old, -2)))
    added = ops.where(is_new, added, ops.zeros_like(added))
    row_values = ops.concatenate([old_values, added], axis=-1)
    row_columns = ops.concatenate(
        [old_columns, ops.cast(is_new, columns.dtype) * new_columns], axis=-1
    )
    row_values, largest = ops.top_k(row_values, count)
    return SparseLink(
        _with_rows(values, rows, row_values),
        _with_rows(columns, rows, _elements(row_columns, largest + 1)),
    )


def _starts(x):
    """Returns where each row `x[..., :]` starts in a flat `x`."""
    rows = ops.ones_like(x[..., 0], dtype="int32")
    counts = ops.cumsum(ops.reshape(rows, (-1,))) - 1
    return x.shape[-1] * ops.reshape(counts, ops.shape(rows))


def _elements(x, columns):
    """Returns `x[..., columns − 1]`, each row of `x` for its own columns.

    Args:
        x: Tensor of shape `(B, V, n)`, or with more axes before the last.
        columns: Tensor of the shape `x.shape[:-1]`, followed by any other.
    """
    starts = _starts(x)
    while len(starts.shape) < len(columns.shape):
        starts = ops.expand_dims(starts, -1)
    elements = ops.take(ops.reshape(x, (-1,)), _places(columns, starts))
    return ops.reshape(elements, ops.shape(columns))


def _places(columns, starts):
    """Returns flat places of columns, of which 0 stands for any."""
    columns = ops.maximum(ops.cast(columns, "int32") - 1, 0)
    return ops.reshape(columns + starts, (-1,))


def _row_places(x, rows):
    """Returns where rows of a `(B, V, N, K)` tensor are in its `(B·V·N, K)`."""
    return ops.reshape(rows + ops.expand_dims(_starts(x[..., 0]), -1), (-1,))


def _rows(x, rows):
    """Returns rows of a `(B, V, N, K)` tensor, of shape `(B, V, K, K)`."""
    _, heads, _, width = x.shape
    flat = ops.reshape(x, (-1, width))
    taken = ops.take(flat, _row_places(x, rows), axis=0)
    return ops.reshape(taken, (-1, heads, rows.shape[-1], width))


def _with_rows(x, rows, values):
    """Returns a `(B, V, N, K)` tensor with other values in some rows."""
    _, heads, slots, width = x.shape
    flat = ops.scatter_update(
        ops.reshape(x, (-1, width)),
        ops.expand_dims(_row_places(x, rows), -1),
        ops.reshape(values, (-1, width)),
    )
    return ops.reshape(flat, (-1, heads, slots, width))


def sparse_directional_weightings(link: SparseLink, read_weightings):
    """Returns `f^{i,v} = L^v w^{r,i}` and `b^{i,v} = (L^v)ᵀ w^{r,i}`.

    Args:
        link: `L` of this step, two tensors of shape `(B, V, N, K)`.
        read_weightings: Tensor `w^r` of the previous step, `(B, R, N)`.

    Returns:
        Tuple `(forward, backward)` of tensors of shape `(B, V, R, N)`.
    """
    return _directional(
        link.values, ops.stop_gradient(link.columns), read_weightings
    )


def _plain_directional(values, columns, read_weightings):
    heads = values.shape[1]
    q = _of_slots(read_weightings, heads)
    forward = ops.sum(ops.expand_dims(values, -1) * _slots(q, columns), axis=-2)
    backward = _sums_of_slots(
        ops.expand_dims(values, -1) * ops.expand_dims(q, -2), columns
    )
    return ops.swapaxes(forward, -1, -2), ops.swapaxes(backward, -1, -2)


def _directional_gradient(arguments, upstream):
    """Returns the gradients, of `F`, `G` with respect to `f = L q`, `b = Lᵀ q`.

    They are `Σ_i (F[i] q[j] + q[i] G[j])` for `L[i, j]`, none for the columns
    and `Lᵀ F + L G` for `q`.
    """
    values, columns, read_weightings = arguments
    heads, reads = values.shape[1], read_weightings.shape[1]
    q = _of_slots(read_weightings, heads)
    of_forward, of_backward = (ops.swapaxes(x, -1, -2) for x in upstream)
    there = _slots(ops.concatenate([q, of_backward], axis=-1), columns)
    here = ops.concatenate([of_forward, q], axis=-1)
    weighted = ops.expand_dims(values, -1)
    of_q = _sums_of_slots(
        weighted * ops.expand_dims(of_forward, -2), columns
    ) + ops.sum(weighted * there[..., reads:], axis=-2)
    return (
        ops.sum(there * ops.expand_dims(here, -2), axis=-1),
        ops.zeros_like(columns),
        ops.swapaxes(ops.sum(of_q, axis=1), -1, -2),
    )


_directional = with_gradient(_plain_directional, _directional_gradient)


def _of_slots(read_weightings, heads):
    """Returns `w^r` for each write head, of shape `(B, V, N, R)`."""
    q = ops.expand_dims(ops.swapaxes(read_weightings, 1, 2), 1)
    return ops.repeat(q, heads, axis=1)


def _slot_places(x, columns):
    """Returns where columns of links are in a `(B·V·N, R)` tensor."""
    return _places(columns, _starts(x[..., 0])[..., None, None])


def _slots(x, columns):
    """Returns `x[..., columns − 1, :]`, of shape `(B, V, N, K, R)`."""
    _, heads, slots, width = x.shape
    taken = ops.take(
        ops.reshape(x, (-1, width)), _slot_places(x, columns), axis=0
    )
    return ops.reshape(taken, (-1, heads, slots, columns.shape[-1], width))


def _sums_of_slots(x, columns):
    """Returns the sums of `x[..., i, k, :]` over what leads to each slot."""
    _, heads, slots, _, width = x.shape
    sums = ops.segment_sum(
        ops.reshape(x, (-1, width)),
        _slot_places(x[..., 0, :], columns),
        num_segments=ops.shape(x)[0] * heads * slots,
    )
    return ops.reshape(sums, (-1, heads, slots, width))
