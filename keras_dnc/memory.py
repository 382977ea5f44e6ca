"""Writing to a DNC's memory and reading from it, as pure functions.

Shapes are written with the symbols of `keras_dnc.addressing`.
"""

from keras import ops

from keras_dnc.addressing import complement_product
from keras_dnc.gradients import recomputed


@recomputed
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
    erased = ops.expand_dims(write_weightings, -1) * ops.expand_dims(
        erase_vectors, -2
    )
    added = ops.matmul(
        ops.transpose(write_weightings, (0, 2, 1)), write_vectors
    )
    return memory * complement_product(erased) + added


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
