"""The interface between the controller and the memory."""

import math
from typing import Any, NamedTuple

import keras
from keras import ops

from keras_dnc.precision import AtLeastFloat32
from keras_dnc.serialization import deserialize_layers
from keras_dnc.validation import (
    boolean,
    fraction,
    layer,
    positive_integer,
    shapes,
)
from keras_dnc.variables import pass_on_frozen


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
        read_masks: `m^r` in [0, 1], shape `(B, R, W)`.
        write_masks: `m^w` in [0, 1], shape `(B, V, W)`.
        backward_sharpness: `s^b ≥ 1`, shape `(B, V, R)`.
        forward_sharpness: `s^f ≥ 1`, shape `(B, V, R)`.

    The last four belong to extensions of the paper. A part that an interface
    does not have is the empty tuple.
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
    read_masks: Any = ()
    write_masks: Any = ()
    backward_sharpness: Any = ()
    forward_sharpness: Any = ()

    @property
    def read_query(self) -> tuple:
        """Keys, strengths and, if any, masks to read by content."""
        query = self.read_keys, self.read_strengths, self.read_masks
        return tuple(part for part in query if is_present(part))

    @property
    def write_query(self) -> tuple:
        """Keys, strengths and, if any, masks to write by content."""
        query = self.write_keys, self.write_strengths, self.write_masks
        return tuple(part for part in query if is_present(part))


def is_present(part) -> bool:
    """Returns whether a part of an interface vector or of a state is there.

    Args:
        part: A tensor, or the empty tuple.
    """
    return not (isinstance(part, (tuple, list)) and len(part) == 0)


def as_interface_vector(parts) -> InterfaceVector:
    """Returns the parts of an interface vector by their names.

    Args:
        parts: A sequence of tensors, in the order of `InterfaceVector`; the
            parts of extensions may be left out.

    Raises:
        ValueError: If it is no such sequence.
    """
    longest = len(InterfaceVector._fields)
    shortest = longest - len(InterfaceVector._field_defaults)
    is_sequence = isinstance(parts, (tuple, list))
    if not is_sequence or not shortest <= len(parts) <= longest:
        raise ValueError(
            f"`interface` must be the {shortest} tensors of an "
            f"InterfaceVector, or up to {longest} with those of extensions. "
            "Received: "
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
    word_size: int,
    num_reads: int,
    num_writes: int,
    masked_keys: bool = False,
    sharpness: bool = False,
    content_only: bool = False,
) -> InterfaceVector:
    """Returns the shape of each part of `ξ` for one example, in its order.

    A part that is not there has the empty shape `()`.

    Args:
        word_size: Width `W` of a memory slot.
        num_reads: Number `R` of read heads.
        num_writes: Number `V` of write heads.
        masked_keys: Whether each key has a mask.
        sharpness: Whether each directional weighting has a sharpness.
        content_only: Whether reading is by content alone, without modes.
    """
    W, R, V = word_size, num_reads, num_writes
    directional = not content_only
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
        read_modes=(R, 1 + 2 * V) if directional else (),
        read_masks=(R, W) if masked_keys else (),
        write_masks=(V, W) if masked_keys else (),
        backward_sharpness=(V, R) if sharpness and directional else (),
        forward_sharpness=(V, R) if sharpness and directional else (),
    )


def interface_size(
    word_size: int, num_reads: int, num_writes: int, **extensions: bool
) -> int:
    """Returns the number of elements of `ξ`: `R·W + 3W + 5R + 3` for `V = 1`.

    Args:
        word_size: Width `W` of a memory slot.
        num_reads: Number `R` of read heads.
        num_writes: Number `V` of write heads.
        **extensions: Those of `part_shapes`.
    """
    shapes = part_shapes(word_size, num_reads, num_writes, **extensions)
    return sum(map(_size, shapes))


def _size(shape):
    """Returns the number of elements of a part, 0 of one that is not there."""
    return math.prod(shape) if shape else 0


@keras.saving.register_keras_serializable(package="keras_dnc")
class Interface(AtLeastFloat32, keras.layers.Layer):
    """Projects the controller's output to the parts of the interface vector.

    `ξ = W_ξ h + b_ξ`, split into keys, strengths, vectors, gates and read
    modes, each brought into its range: `oneplus` for strengths, sigmoid for
    gates and erase vectors, softmax for the modes of each read head. So are
    the parts of extensions: `oneplus` for a sharpness, and for a mask
    `m = mask_minimum + (1 − mask_minimum) · sigmoid`.

    Source: Graves et al. (2016), Methods, *Interface parameters*; masks and
    sharpness: Csordás & Schmidhuber, [Improving differentiable neural
    computers through memory masking, de-allocation, and link distribution
    sharpness control](https://arxiv.org/abs/1904.10278), 2019; normalization:
    Franke et al., [Robust and scalable differentiable neural computer for
    question answering](https://arxiv.org/abs/1807.02658), 2018.

    Args:
        word_size: Width `W` of a memory slot.
        num_reads: Number `R` of read heads.
        num_writes: Number `V` of write heads.
        projection: The layer that computes `ξ` from `h`, with
            `interface.size` outputs. Default: a `keras.layers.Dense`.
        normalization: Layer through which `ξ` passes before it is split, such
            as `keras.layers.LayerNormalization()`. Default: none.
        masked_keys: Whether each key has a mask.
        mask_minimum: The least value of a mask's elements, in [0, 1].
        sharpness: Whether each directional weighting has a sharpness.
        content_only: Whether reading is by content alone: there are no read
            modes then, nor anything to sharpen.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name`.

    Call arguments:
        hidden: The controller's output `h`, shape `(B, H)`.

    Returns:
        An `InterfaceVector`.

    Raises:
        ValueError: If an argument is out of its range, or if the projection
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
        normalization: keras.layers.Layer | None = None,
        masked_keys: bool = False,
        mask_minimum: float = 0.0,
        sharpness: bool = False,
        content_only: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.word_size = positive_integer("word_size", word_size)
        self.num_reads = positive_integer("num_reads", num_reads)
        self.num_writes = positive_integer("num_writes", num_writes)
        self.masked_keys = boolean("masked_keys", masked_keys)
        self.mask_minimum = checked_mask_minimum(self.masked_keys, mask_minimum)
        self.sharpness = boolean("sharpness", sharpness)
        self.content_only = boolean("content_only", content_only)
        if projection is None:
            projection = keras.layers.Dense(
                self.size, dtype=self.dtype_policy, name="projection"
            )
        self.projection = layer("projection", projection)
        if normalization is not None:
            layer("normalization", normalization)
        self.normalization = normalization

    @property
    def part_shapes(self) -> InterfaceVector:
        """The shape of each part for one example, in the order of `ξ`."""
        return part_shapes(
            self.word_size,
            self.num_reads,
            self.num_writes,
            self.masked_keys,
            self.sharpness,
            self.content_only,
        )

    @property
    def size(self) -> int:
        """The number of elements of `ξ`."""
        return sum(map(_size, self.part_shapes))

    def build(self, hidden_shape):
        """Builds the projection for controller outputs of this shape."""
        # Called, as a layer of one's own may have no other way to be built.
        projected = self.projection(
            keras.KerasTensor(hidden_shape, self.compute_dtype)
        )
        if projected.shape[-1] != self.size:
            raise ValueError(
                f"`projection` must have {self.size} outputs, the size of the "
                f"interface vector for word_size={self.word_size}, "
                f"num_reads={self.num_reads}, num_writes={self.num_writes}, "
                f"masked_keys={self.masked_keys}, sharpness={self.sharpness}, "
                f"content_only={self.content_only}. "
                f"Received a projection with {projected.shape[-1]} outputs: "
                f"{self.projection}"
            )
        if self.normalization is not None:
            self.normalization(projected)
        pass_on_frozen(self)

    def compute_output_shape(self, hidden_shape) -> InterfaceVector:
        """Returns the shape of each part, `()` for one that is not there."""
        batch_size = hidden_shape[0]
        return InterfaceVector(
            *(shape and (batch_size, *shape) for shape in self.part_shapes)
        )

    def compute_output_spec(self, hidden) -> InterfaceVector:
        """Returns symbolic tensors for the parts."""
        # Keras would take the empty tuple for the shape of a scalar.
        return InterfaceVector(
            *(
                shape and keras.KerasTensor(shape, self.compute_dtype)
                for shape in self.compute_output_shape(hidden.shape)
            )
        )

    def call(self, hidden):
        """Returns the parts of the interface vector for `hidden`."""
        shapes(hidden=(hidden, "BH"))
        vector = self.projection(hidden)
        if self.normalization is not None:
            vector = self.normalization(vector)
        parts = self.split(ops.cast(vector, self.compute_dtype))
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
            read_modes=_if_present(_modes, parts.read_modes),
            read_masks=_if_present(self._mask, parts.read_masks),
            write_masks=_if_present(self._mask, parts.write_masks),
            backward_sharpness=_if_present(oneplus, parts.backward_sharpness),
            forward_sharpness=_if_present(oneplus, parts.forward_sharpness),
        )

    def _mask(self, x):
        minimum = self.mask_minimum
        return minimum + (1 - minimum) * ops.sigmoid(x)

    def split(self, vector) -> InterfaceVector:
        """Cuts `ξ` into its parts, as the projection made them.

        Args:
            vector: Tensor `ξ` of shape `(B, interface.size)`.

        Returns:
            An `InterfaceVector` of the linear parts.
        """
        parts, start = [], 0
        for shape in self.part_shapes:
            end = start + _size(shape)
            part = vector[:, start:end]
            parts.append(shape and ops.reshape(part, (-1, *shape)))
            start = end
        return InterfaceVector(*parts)

    def get_config(self):
        """Returns the constructor's arguments."""
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "word_size": self.word_size,
            "num_reads": self.num_reads,
            "num_writes": self.num_writes,
            "projection": serialize(self.projection),
            "normalization": serialize(self.normalization),
            "masked_keys": self.masked_keys,
            "mask_minimum": self.mask_minimum,
            "sharpness": self.sharpness,
            "content_only": self.content_only,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Makes an interface from what `get_config` returned."""
        layers = ["projection", "normalization"]
        return cls(**deserialize_layers(config, layers, custom_objects))


def checked_mask_minimum(masked_keys: bool, mask_minimum: float) -> float:
    """Returns the least value of a mask's elements.

    Args:
        masked_keys: Whether there are masks.
        mask_minimum: What the caller passed.

    Raises:
        ValueError: If it is not in [0, 1], or not zero without masks.
    """
    if fraction("mask_minimum", mask_minimum) and not masked_keys:
        raise ValueError(
            "`mask_minimum` must go with masked_keys=True. Received: "
            f"mask_minimum={mask_minimum}, masked_keys={masked_keys}"
        )
    return float(mask_minimum)


def _modes(x):
    return ops.softmax(x, axis=-1)


def _if_present(function, part):
    return function(part) if is_present(part) else part
