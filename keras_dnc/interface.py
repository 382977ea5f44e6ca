"""The interface between the controller and the memory."""

import math
from typing import Any, NamedTuple

import keras
from keras import ops

from keras_dnc.precision import AtLeastFloat32
from keras_dnc.serialization import deserialize_layers
from keras_dnc.validation import layer, positive_integer, shapes


class InterfaceVector(NamedTuple):
    """The parts of the interface vector `ξ`, in the paper's order.

    Each field is a tensor; `B` is the batch, `R` and `V` are the numbers of
    read and write heads, `W` is the width of a slot.

    Attributes:
        read_keys: `k^r`, shape `(B, R, W)`.
        read_strengths: `β^r ≥ 1`, shape `(B, R)`.
        write_keys: `k^w`, shape `(B, V, W)`.
        write_strengths: `β^w ≥ 1`, shape `(B, V)`.
        erase_vectors: `e` in [0, 1], shape `(B, V, W)`.
        write_vectors: `ν`, shape `(B, V, W)`.
        free_gates: `f` in [0, 1], shape `(B, R)`.
        allocation_gates: `g^a` in [0, 1], shape `(B, V)`.
        write_gates: `g^w` in [0, 1], shape `(B, V)`.
        read_modes: `π`, shape `(B, R, 1 + 2V)`: for each read head a
            distribution over backward_1 … backward_V, content,
            forward_1 … forward_V.
    """

    read_keys: Any
    read_strengths: Any
    write_keys: Any
    write_strengths: Any
    erase_vectors: Any
    write_vectors: Any
    free_gates: Any
    allocation_gates: Any
    write_gates: Any
    read_modes: Any


def as_interface_vector(parts) -> InterfaceVector:
    """Returns the parts of an interface vector by their names.

    Args:
        parts: A sequence of tensors, in the order of `InterfaceVector`.

    Raises:
        ValueError: If it is no such sequence.
    """
    expected = len(InterfaceVector._fields)
    is_sequence = isinstance(parts, (tuple, list))
    if not is_sequence or len(parts) != expected:
        raise ValueError(
            f"`interface` must be the {expected} tensors of an "
            "InterfaceVector. Received: "
            + (f"{len(parts)} tensors" if is_sequence else f"{parts}")
        )
    return InterfaceVector(*parts)


def oneplus(x):
    """Returns `1 + log(1 + e^x)`, which is at least 1.

    Source: Graves et al. (2016), Methods, *Interface parameters*.

    Args:
        x: Tensor of any shape.

    Returns:
        Tensor of the shape of `x`.
    """
    return 1 + ops.softplus(x)


def part_shapes(
    word_size: int, num_reads: int, num_writes: int
) -> InterfaceVector:
    """Returns the shape of each part of `ξ` for one example, in its order.

    Args:
        word_size: Width `W` of a memory slot.
        num_reads: Number `R` of read heads.
        num_writes: Number `V` of write heads.
    """
    W, R, V = word_size, num_reads, num_writes
    return InterfaceVector(
        read_keys=(R, W),
        read_strengths=(R,),
        write_keys=(V, W),
        write_strengths=(V,),
        erase_vectors=(V, W),
        write_vectors=(V, W),
        free_gates=(R,),
        allocation_gates=(V,),
        write_gates=(V,),
        read_modes=(R, 1 + 2 * V),
    )


def interface_size(word_size: int, num_reads: int, num_writes: int) -> int:
    """Returns the number of elements of `ξ`: `R·W + 3W + 5R + 3` for `V = 1`.

    Args:
        word_size: Width `W` of a memory slot.
        num_reads: Number `R` of read heads.
        num_writes: Number `V` of write heads.
    """
    shapes = part_shapes(word_size, num_reads, num_writes)
    return sum(math.prod(shape) for shape in shapes)


@keras.saving.register_keras_serializable(package="keras_dnc")
class Interface(AtLeastFloat32, keras.layers.Layer):
    """Projects the controller's output to the parts of the interface vector.

    `ξ = W_ξ h + b_ξ`, split into keys, strengths, vectors, gates and read
    modes, each brought into its range: `oneplus` for strengths, sigmoid for
    gates and erase vectors, softmax for the modes of each read head.

    Source: Graves et al. (2016), Methods, *Interface parameters*.

    Args:
        word_size: Width `W` of a memory slot.
        num_reads: Number `R` of read heads.
        num_writes: Number `V` of write heads.
        projection: The layer that computes `ξ` from `h`, with
            `interface.size` outputs. Default: a `keras.layers.Dense`.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name`.

    Call arguments:
        hidden: The controller's output `h`, shape `(B, H)`.

    Returns:
        An `InterfaceVector`.

    Raises:
        ValueError: If a size is not a positive integer, or if the projection
            has another number of outputs than `interface.size`.

    Example:
    >>> import numpy as np
    >>> import keras_dnc
    >>> interface = keras_dnc.Interface(word_size=8, num_reads=2)
    >>> parts = interface(np.zeros((3, 16)))
    >>> parts.read_keys.shape, parts.read_modes.shape
    (TensorShape([3, 2, 8]), TensorShape([3, 2, 3]))
    """

    def __init__(
        self,
        word_size: int,
        num_reads: int,
        num_writes: int = 1,
        projection: keras.layers.Layer | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.word_size = positive_integer("word_size", word_size)
        self.num_reads = positive_integer("num_reads", num_reads)
        self.num_writes = positive_integer("num_writes", num_writes)
        if projection is None:
            projection = keras.layers.Dense(
                self.size, dtype=self.dtype_policy, name="projection"
            )
        self.projection = layer("projection", projection)

    @property
    def part_shapes(self) -> InterfaceVector:
        """The shape of each part for one example, in the order of `ξ`."""
        return part_shapes(self.word_size, self.num_reads, self.num_writes)

    @property
    def size(self) -> int:
        """The number of elements of `ξ`."""
        return interface_size(self.word_size, self.num_reads, self.num_writes)

    def build(self, hidden_shape):
        """Builds the projection for controller outputs of this shape."""
        if not self.projection.built:
            self.projection.build(hidden_shape)
        outputs = self.projection.compute_output_shape(hidden_shape)[-1]
        if outputs != self.size:
            raise ValueError(
                f"`projection` must have {self.size} outputs, the size of the "
                f"interface vector for word_size={self.word_size}, "
                f"num_reads={self.num_reads}, num_writes={self.num_writes}. "
                f"Received a projection with {outputs} outputs: "
                f"{self.projection}"
            )

    def compute_output_shape(self, hidden_shape) -> InterfaceVector:
        """Returns the shape of each part."""
        batch_size = hidden_shape[0]
        return InterfaceVector(
            *((batch_size, *shape) for shape in self.part_shapes)
        )

    def call(self, hidden):
        """Returns the parts of the interface vector for `hidden`."""
        shapes(hidden=(hidden, "BH"))
        vector = ops.cast(self.projection(hidden), self.compute_dtype)
        parts = self.split(vector)
        return InterfaceVector(
            read_keys=parts.read_keys,
            read_strengths=oneplus(parts.read_strengths),
            write_keys=parts.write_keys,
            write_strengths=oneplus(parts.write_strengths),
            erase_vectors=ops.sigmoid(parts.erase_vectors),
            write_vectors=parts.write_vectors,
            free_gates=ops.sigmoid(parts.free_gates),
            allocation_gates=ops.sigmoid(parts.allocation_gates),
            write_gates=ops.sigmoid(parts.write_gates),
            read_modes=ops.softmax(parts.read_modes, axis=-1),
        )

    def split(self, vector) -> InterfaceVector:
        """Cuts `ξ` into its parts, as the projection made them.

        Args:
            vector: Tensor `ξ` of shape `(B, interface.size)`.

        Returns:
            An `InterfaceVector` of the linear parts.
        """
        parts, start = [], 0
        for shape in self.part_shapes:
            end = start + math.prod(shape)
            part = vector[:, start:end]
            parts.append(ops.reshape(part, (-1, *shape)))
            start = end
        return InterfaceVector(*parts)

    def get_config(self):
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "word_size": self.word_size,
            "num_reads": self.num_reads,
            "num_writes": self.num_writes,
            "projection": keras.saving.serialize_keras_object(self.projection),
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Makes an interface from what `get_config` returned."""
        return cls(**deserialize_layers(config, ["projection"], custom_objects))
