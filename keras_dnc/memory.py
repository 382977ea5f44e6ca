"""Writing to a DNC's memory and reading from it, as pure functions.

Shapes are written with the symbols of `keras_dnc.addressing`.
"""

from keras import ops

from keras_dnc.addressing import complement_product
from keras_dnc.gradients import with_gradient


def erase_and_write(memory, write_weightings, erase_vectors, write_vectors):
    """Returns `M ∘ Π_v (1 − w^v e^vᵀ) + Σ_v w^v ν^vᵀ`.

    All heads erase before any adds. With one write head it is the paper's
    `M ∘ (E − w eᵀ) + w νᵀ`.

    Source: Graves et al. (2016), Methods, *Memory: reading and writing*.

    Args:
        memory: Tensor `M` of the previous step, `(B, N, W)`.
        write_weightings: Tensor `w^w` of this step, `(B, V, N)`.
        erase_vectors: Tensor `e` of shape `(B, V, W)`, each value in [0, 1].
        write_vectors: Tensor `ν` of shape `(B, V, W)`.

    Returns:
        Tensor of shape `(B, N, W)`.
    """
    return _erase_and_write(
        memory, write_weightings, erase_vectors, write_vectors
    )


def _erased(write_weightings, erase_vectors):
    """Returns `w[n] e[k]` of each write head, of shape `(B, V, N, W)`."""
    return ops.expand_dims(write_weightings, -1) * ops.expand_dims(
        erase_vectors, -2
    )


def _plain_erase_and_write(
    memory, write_weightings, erase_vectors, write_vectors
):
    left = complement_product(_erased(write_weightings, erase_vectors))
    added = ops.matmul(
        ops.transpose(write_weightings, (0, 2, 1)), write_vectors
    )
    return memory * left + added


def _erase_and_write_gradient(arguments, upstream):
    """Returns the gradients, of `G` with respect to the new memory.

    With one head they are `G∘(1 − w eᵀ)` for `M`, `G ν − (G∘M) e` for `w`,
    `−(G∘M)ᵀ w` for `e` and `Gᵀ w` for `ν`. With several, `G∘M` is multiplied
    by what the other heads leave.
    """
    memory, w, e, write_vectors = arguments
    (of_memory,) = upstream
    erased = _erased(w, e)
    of_left = of_memory * memory
    of_w, of_e = [], []
    for head in range(w.shape[1]):
        of_erased = of_left
        if w.shape[1] > 1:
            of_erased = of_left * complement_product(
                ops.concatenate(
                    [erased[:, :head], erased[:, head + 1 :]], axis=1
                )
            )
        of_w.append(ops.matmul(of_erased, e[:, head, :, None])[..., 0])
        of_e.append(ops.matmul(w[:, head, None], of_erased)[:, 0])
    added = ops.matmul(write_vectors, ops.transpose(of_memory, (0, 2, 1)))
    return (
        of_memory * complement_product(erased),
        added - ops.stack(of_w, axis=1),
        -ops.stack(of_e, axis=1),
        ops.matmul(w, of_memory),
    )


_erase_and_write = with_gradient(
    _plain_erase_and_write, _erase_and_write_gradient
)


def read(memory, read_weightings):
    """Returns the read vectors `r^i = Mᵀ w^{r,i}`.

    Source: Graves et al. (2016), Methods, *Memory: reading and writing*.

    Args:
        memory: Tensor `M` of this step, `(B, N, W)`.
        read_weightings: Tensor `w^r` of this step, `(B, R, N)`.

    Returns:
        Tensor of shape `(B, R, W)`.
    """
    return ops.matmul(read_weightings, memory)
