"""The memory's sublayers: formulas of `addressing` and `memory` as layers.

They hold no weights, so that each can be used alone, replaced in a
`DNCCell` by a subclass, and seen in a model. Shapes are written with the
symbols of `keras_dnc.addressing`.

The heads take the interface's parts as any sequence in the order of
`InterfaceVector`: a functional model that Keras reloads passes a list.
"""

import functools

import keras
from keras import ops

from keras_dnc import addressing
from keras_dnc.interface import as_interface_vector, is_present
from keras_dnc.memory import erase_and_write, read
from keras_dnc.precision import AtLeastFloat32
from keras_dnc.serialization import deserialize_layers
from keras_dnc.sparse_linkage import (
    NUM_LINKS,
    SparseLink,
    sparse_directional_weightings,
    sparse_link,
)
from keras_dnc.validation import (
    boolean,
    half_precision,
    layer,
    positive_integer,
    shapes,
)


@keras.saving.register_keras_serializable(package="keras_dnc")
class ContentAddressing(AtLeastFloat32, keras.layers.Layer):
    """Weights the slots by their similarity to a key.

    `C(M, k, β)[n] = softmax_n(β · D(k, M[n]))`. A subclass that overrides
    `similarity` changes `D`, by default the cosine.

    Source: Graves et al. (2016), Methods, *Content-based addressing*.

    Args:
        **kwargs: Arguments of `keras.layers.Layer`, such as `name`.

    Call arguments:
        memory: `M`, shape `(B, N, W)`.
        keys: `k`, shape `(B, heads, W)`.
        strengths: `β ≥ 1`, shape `(B, heads)`.
        masks: `m` in [0, 1], shape `(B, heads, W)`: the parts of keys and
            slots that are compared. Default: all.

    Returns:
        The weightings, shape `(B, heads, N)`, each of sum 1.

    Example:
    >>> import keras
    >>> import numpy as np
    >>> import keras_dnc
    >>> memory = np.eye(3)[None]
    >>> key = np.array([[[0.0, 1.0, 0.0]]])
    >>> weighting = keras_dnc.ContentAddressing()(
    ...     memory, key, np.array([[50.0]])
    ... )
    >>> keras.ops.convert_to_numpy(weighting).round(2)
    array([[[0., 1., 0.]]], dtype=float32)
    """

    def call(self, memory, keys, strengths, masks=None):
        """Returns the content weightings."""
        given = {} if masks is None else {"masks": (masks, "BHW")}
        shapes(
            memory=(memory, "BNW"),
            keys=(keys, "BHW"),
            strengths=(strengths, "BH"),
            **given,
        )
        similarity = self.similarity
        if masks is not None:
            similarity = functools.partial(similarity, masks=masks)
        return addressing.content_weighting(memory, keys, strengths, similarity)

    def similarity(self, memory, keys, masks=None):
        """Returns `D(k, M[n])`, here the cosine, of shape `(B, heads, N)`.

        Args:
            memory: `M`, shape `(B, N, W)`.
            keys: `k`, shape `(B, heads, W)`.
            masks: `m`, shape `(B, heads, W)`, passed if there are any.
        """
        if masks is None:
            return addressing.cosine_similarity(memory, keys)
        return addressing.masked_cosine_similarity(memory, keys, masks)


@keras.saving.register_keras_serializable(package="keras_dnc")
class AllocationAddressing(AtLeastFloat32, keras.layers.Layer):
    """Weights the slots by how free they are, for each write head in turn.

    Source: Graves et al. (2016), Methods, *Dynamic memory allocation*,
    equation (1); several heads as in DeepMind's implementation of it.

    Args:
        **kwargs: Arguments of `keras.layers.Layer`, such as `name`.

    Call arguments:
        usage: `u` in [0, 1], shape `(B, N)`.
        allocation_gates: `g^a` in [0, 1], shape `(B, V)`.
        write_gates: `g^w` in [0, 1], shape `(B, V)`.

    Returns:
        The allocation weightings, shape `(B, V, N)`, each of sum at most 1.

    Example:
    >>> import keras
    >>> import numpy as np
    >>> import keras_dnc
    >>> usage = np.array([[1.0, 0.0, 1.0]])
    >>> gate = np.ones((1, 1))
    >>> allocation = keras_dnc.AllocationAddressing()(usage, gate, gate)
    >>> keras.ops.convert_to_numpy(allocation).round(2)
    array([[[0., 1., 0.]]], dtype=float32)
    """

    def call(self, usage, allocation_gates, write_gates):
        """Returns the allocation weightings."""
        shapes(
            usage=(usage, "BN"),
            allocation_gates=(allocation_gates, "BV"),
            write_gates=(write_gates, "BV"),
        )
        return addressing.allocation_weightings(
            usage, allocation_gates, write_gates
        )


@keras.saving.register_keras_serializable(package="keras_dnc")
class TemporalLinkage(AtLeastFloat32, keras.layers.Layer):
    """Remembers the order of writing, and follows it both ways.

    Source: Graves et al. (2016), Methods, *Temporal memory linkage*.

    Args:
        storage_dtype: Dtype in which each step's links are kept for the
            gradient, "float16" or "bfloat16". The links themselves, and all
            weightings, stay as they are. Default: that of the links. On
            PyTorch it changes nothing.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name`.

    Raises:
        ValueError: If `storage_dtype` is another one.

    Call arguments:
        link: `L` of the previous step, shape `(B, V, N, N)`.
        precedence: `p` of the previous step, shape `(B, V, N)`.
        write_weightings: `w^w` of this step, shape `(B, V, N)`.
        read_weightings: `w^r` of the previous step, shape `(B, R, N)`.

    Returns:
        Tuple `(link, precedence, forward, backward)`: `L` and `p` of this
        step, and the directional weightings, both of shape `(B, V, R, N)`.

    Example: slot 1 is written after slot 0; forward from 0 is 1.

    >>> import keras
    >>> import numpy as np
    >>> import keras_dnc
    >>> link, precedence = np.zeros((1, 1, 2, 2)), np.array([[[1.0, 0.0]]])
    >>> write, read = np.array([[[0.0, 1.0]]]), np.array([[[1.0, 0.0]]])
    >>> linkage = keras_dnc.TemporalLinkage()
    >>> _, _, forward, _ = linkage(link, precedence, write, read)
    >>> keras.ops.convert_to_numpy(forward)
    array([[[[0., 1.]]]], dtype=float32)
    """

    def __init__(self, storage_dtype: str | None = None, **kwargs):
        super().__init__(**kwargs)
        self.storage_dtype = half_precision("storage_dtype", storage_dtype)

    def state_shapes(self, num_writes: int, memory_size: int) -> tuple:
        """Returns the shapes of links and precedence for one example.

        Args:
            num_writes: Number `V` of write heads.
            memory_size: Number `N` of slots.
        """
        V, N = num_writes, memory_size
        return (V, N, N), (V, N)

    def call(self, link, precedence, write_weightings, read_weightings):
        """Returns links, precedence, forward and backward weightings."""
        shapes(
            link=(link, "BVNN"),
            precedence=(precedence, "BVN"),
            write_weightings=(write_weightings, "BVN"),
            read_weightings=(read_weightings, "BRN"),
        )
        link, forward, backward = addressing.link_and_directional_weightings(
            link,
            precedence,
            write_weightings,
            read_weightings,
            self.storage_dtype,
        )
        precedence = addressing.precedence(precedence, write_weightings)
        return link, precedence, forward, backward

    def get_config(self):
        """Returns the constructor's arguments."""
        return {**super().get_config(), "storage_dtype": self.storage_dtype}


@keras.saving.register_keras_serializable(package="keras_dnc")
class SparseTemporalLinkage(AtLeastFloat32, keras.layers.Layer):
    """A `TemporalLinkage` that keeps a few links of each slot.

    Cost and state are `O(N·K)` instead of `O(N²)`; with `K = N` the weightings
    are those of a `TemporalLinkage`. `keras_dnc.sparse_linkage` has the
    formulas.

    Source: Graves et al. (2016), Methods, *Sparse link matrix*.

    Args:
        num_links: Number `K` of links that each slot keeps, of elements of
            `w` and of `p` that count; at most `N`.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name`.

    Call arguments:
        link: `L` of the previous step, a `SparseLink` of two tensors of shape
            `(B, V, N, K)`; zeros for none.
        precedence: `p` of the previous step, shape `(B, V, N)`.
        write_weightings: `w^w` of this step, shape `(B, V, N)`.
        read_weightings: `w^r` of the previous step, shape `(B, R, N)`.

    Returns:
        Tuple `(link, precedence, forward, backward)`: `L` and `p` of this
        step, and the directional weightings, both of shape `(B, V, R, N)`.

    Raises:
        ValueError: If `num_links` is not a positive integer.

    Example: slot 1 is written after slot 0; forward from 0 is 1.

    >>> import keras
    >>> import numpy as np
    >>> import keras_dnc
    >>> none, precedence = np.zeros((1, 1, 3, 1)), np.array([[[1.0, 0, 0]]])
    >>> write, read = np.array([[[0.0, 1, 0]]]), np.array([[[1.0, 0, 0]]])
    >>> linkage = keras_dnc.SparseTemporalLinkage(num_links=1)
    >>> _, _, forward, _ = linkage((none, none), precedence, write, read)
    >>> keras.ops.convert_to_numpy(forward)
    array([[[[0., 1., 0.]]]], dtype=float32)
    """

    def __init__(self, num_links: int = NUM_LINKS, **kwargs):
        super().__init__(**kwargs)
        self.num_links = positive_integer("num_links", num_links)

    def state_shapes(self, num_writes: int, memory_size: int) -> tuple:
        """Returns the shapes of links and precedence for one example.

        Args:
            num_writes: Number `V` of write heads.
            memory_size: Number `N` of slots.

        Raises:
            ValueError: If there are fewer slots than links of each.
        """
        V, N, K = num_writes, memory_size, self.num_links
        if K > N:
            raise ValueError(
                f"`num_links` must be at most the number of slots, {N}. "
                f"Received: num_links={K}"
            )
        return SparseLink((V, N, K), (V, N, K)), (V, N)

    def call(self, link, precedence, write_weightings, read_weightings):
        """Returns links, precedence, forward and backward weightings."""
        if not isinstance(link, (tuple, list)) or len(link) != 2:
            raise ValueError(
                "`link` must be the two tensors of a SparseLink. Received: "
                f"link={link}"
            )
        link = SparseLink(*link)
        shapes(
            link_values=(link.values, "BVNK"),
            link_columns=(link.columns, "BVNK"),
            precedence=(precedence, "BVN"),
            write_weightings=(write_weightings, "BVN"),
            read_weightings=(read_weightings, "BRN"),
        )
        if link.values.shape[-1] != self.num_links:
            raise ValueError(
                "`link` must have the shape (B, V, N, K) with "
                f"K={self.num_links}. Received: shape {link.values.shape}"
            )
        link = sparse_link(link, precedence, write_weightings)
        forward, backward = sparse_directional_weightings(link, read_weightings)
        precedence = addressing.precedence(precedence, write_weightings)
        return link, precedence, forward, backward

    def get_config(self):
        """Returns the constructor's arguments."""
        return {**super().get_config(), "num_links": self.num_links}


@keras.saving.register_keras_serializable(package="keras_dnc")
class WriteHead(AtLeastFloat32, keras.layers.Layer):
    """Frees what was read, finds where to write, and writes.

    Source: Graves et al. (2016), Methods, *Memory addressing* and *Memory:
    reading and writing*; de-allocation: Csordás & Schmidhuber, [Improving
    differentiable neural computers through memory masking, de-allocation, and
    link distribution sharpness control](https://arxiv.org/abs/1904.10278),
    2019.

    Args:
        content_addressing: Layer called as `ContentAddressing`; the default
            is one.
        allocation_addressing: Layer called as `AllocationAddressing`; the
            default is one.
        deallocation: Whether the memory is multiplied by the retention `ψ`
            when it is erased, so that a freed slot is empty and no longer
            found by its content.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name`.

    Call arguments:
        interface: An `InterfaceVector`.
        memory: `M` of the previous step, shape `(B, N, W)`.
        usage: `u` of the previous step, shape `(B, N)`.
        write_weightings: `w^w` of the previous step, shape `(B, V, N)`.
        read_weightings: `w^r` of the previous step, shape `(B, R, N)`.

    Returns:
        Tuple `(memory, usage, write_weightings)` of this step, in the shapes
        of those of the previous step.

    Example:
    >>> import numpy as np
    >>> import keras_dnc
    >>> interface = keras_dnc.Interface(word_size=8, num_reads=2)
    >>> memory, usage, write_weightings = keras_dnc.WriteHead()(
    ...     interface(np.zeros((3, 16))),
    ...     memory=np.zeros((3, 5, 8)),
    ...     usage=np.zeros((3, 5)),
    ...     write_weightings=np.zeros((3, 1, 5)),
    ...     read_weightings=np.zeros((3, 2, 5)),
    ... )
    >>> memory.shape
    TensorShape([3, 5, 8])
    """

    def __init__(
        self,
        content_addressing: keras.layers.Layer | None = None,
        allocation_addressing: keras.layers.Layer | None = None,
        deallocation: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if content_addressing is None:
            content_addressing = ContentAddressing(
                dtype=self.dtype_policy, name="content_addressing"
            )
        if allocation_addressing is None:
            allocation_addressing = AllocationAddressing(
                dtype=self.dtype_policy, name="allocation_addressing"
            )
        self.content_addressing = layer(
            "content_addressing", content_addressing
        )
        self.allocation_addressing = layer(
            "allocation_addressing", allocation_addressing
        )
        self.deallocation = boolean("deallocation", deallocation)

    def call(self, interface, memory, usage, write_weightings, read_weightings):
        """Returns memory, usage and write weightings of this step."""
        interface = as_interface_vector(interface)
        shapes(
            memory=(memory, "BNW"),
            usage=(usage, "BN"),
            write_weightings=(write_weightings, "BVN"),
            read_weightings=(read_weightings, "BRN"),
            free_gates=(interface.free_gates, "BR"),
            erase_vectors=(interface.erase_vectors, "BVW"),
            write_vectors=(interface.write_vectors, "BVW"),
        )
        retention = addressing.retention(interface.free_gates, read_weightings)
        usage = addressing.usage(usage, write_weightings, retention)
        write_weightings = addressing.write_weighting(
            self.allocation_addressing(
                usage, interface.allocation_gates, interface.write_gates
            ),
            self.content_addressing(memory, *interface.write_query),
            interface.allocation_gates,
            interface.write_gates,
        )
        if self.deallocation:
            memory = ops.expand_dims(retention, -1) * memory
        memory = erase_and_write(
            memory,
            write_weightings,
            interface.erase_vectors,
            interface.write_vectors,
        )
        return memory, usage, write_weightings

    def get_config(self):
        """Returns the constructor's arguments."""
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "content_addressing": serialize(self.content_addressing),
            "allocation_addressing": serialize(self.allocation_addressing),
            "deallocation": self.deallocation,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Makes a write head from what `get_config` returned."""
        layers = ["content_addressing", "allocation_addressing"]
        return cls(**deserialize_layers(config, layers, custom_objects))


@keras.saving.register_keras_serializable(package="keras_dnc")
class ReadHead(AtLeastFloat32, keras.layers.Layer):
    """Finds where to read, by content and along the order of writing.

    If the interface has a sharpness for the directional weightings, they are
    `keras_dnc.addressing.sharpened`.

    Source: Graves et al. (2016), Methods, *Read weighting* and *Temporal
    memory linkage*.

    Args:
        content_addressing: Layer called as `ContentAddressing`; the default
            is one.
        temporal_linkage: Layer called as `TemporalLinkage`, with its method
            `state_shapes`; the default is one.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name`.

    Call arguments:
        interface: An `InterfaceVector`.
        memory: `M` of this step, shape `(B, N, W)`.
        link: `L` of the previous step, shape `(B, V, N, N)`, or what
            `temporal_linkage` keeps in its place.
        precedence: `p` of the previous step, shape `(B, V, N)`.
        write_weightings: `w^w` of this step, shape `(B, V, N)`.
        read_weightings: `w^r` of the previous step, shape `(B, R, N)`.

    Returns:
        Tuple `(reads, read_weightings, link, precedence)` of this step; the
        reads have the shape `(B, R, W)`.

    Example:
    >>> import numpy as np
    >>> import keras_dnc
    >>> interface = keras_dnc.Interface(word_size=8, num_reads=2)
    >>> reads, read_weightings, link, precedence = keras_dnc.ReadHead()(
    ...     interface(np.zeros((3, 16))),
    ...     memory=np.zeros((3, 5, 8)),
    ...     link=np.zeros((3, 1, 5, 5)),
    ...     precedence=np.zeros((3, 1, 5)),
    ...     write_weightings=np.zeros((3, 1, 5)),
    ...     read_weightings=np.zeros((3, 2, 5)),
    ... )
    >>> reads.shape
    TensorShape([3, 2, 8])
    """

    def __init__(
        self,
        content_addressing: keras.layers.Layer | None = None,
        temporal_linkage: keras.layers.Layer | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if content_addressing is None:
            content_addressing = ContentAddressing(
                dtype=self.dtype_policy, name="content_addressing"
            )
        if temporal_linkage is None:
            temporal_linkage = TemporalLinkage(
                dtype=self.dtype_policy, name="temporal_linkage"
            )
        self.content_addressing = layer(
            "content_addressing", content_addressing
        )
        self.temporal_linkage = layer(
            "temporal_linkage", temporal_linkage, "state_shapes"
        )

    def state_shapes(self, num_writes: int, memory_size: int) -> tuple:
        """Returns the shapes of links and precedence for one example.

        Args:
            num_writes: Number `V` of write heads.
            memory_size: Number `N` of slots.
        """
        return self.temporal_linkage.state_shapes(num_writes, memory_size)

    def call(
        self,
        interface,
        memory,
        link,
        precedence,
        write_weightings,
        read_weightings,
    ):
        """Returns reads, read weightings, links and precedence."""
        interface = as_interface_vector(interface)
        if not is_present(interface.read_modes):
            raise ValueError(
                "`interface` must have read modes: one that reads by content "
                "alone goes with a `ContentReadHead`. Received: "
                f"read_modes={interface.read_modes}"
            )
        link, precedence, forward, backward = self.temporal_linkage(
            link, precedence, write_weightings, read_weightings
        )
        if is_present(interface.forward_sharpness):
            forward = addressing.sharpened(forward, interface.forward_sharpness)
            backward = addressing.sharpened(
                backward, interface.backward_sharpness
            )
        content = self.content_addressing(memory, *interface.read_query)
        read_weightings = addressing.read_weighting(
            backward, content, forward, interface.read_modes
        )
        return (
            read(memory, read_weightings),
            read_weightings,
            link,
            precedence,
        )

    def get_config(self):
        """Returns the constructor's arguments."""
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "content_addressing": serialize(self.content_addressing),
            "temporal_linkage": serialize(self.temporal_linkage),
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Makes a read head from what `get_config` returned."""
        layers = ["content_addressing", "temporal_linkage"]
        return cls(**deserialize_layers(config, layers, custom_objects))


@keras.saving.register_keras_serializable(package="keras_dnc")
class ContentReadHead(AtLeastFloat32, keras.layers.Layer):
    """Finds where to read by content alone, in the place of a `ReadHead`.

    There are no links, no precedence and no read modes; a state has neither.

    Source: the *content-based memory unit* of Franke et al., [Robust and
    scalable differentiable neural computer for question answering](
    https://arxiv.org/abs/1807.02658), 2018.

    Args:
        content_addressing: Layer called as `ContentAddressing`; the default
            is one.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name`.

    Call arguments:
        interface: An `InterfaceVector`, of an `Interface` with
            `content_only=True`.
        memory: `M` of this step, shape `(B, N, W)`.
        link: Not looked at, as what follows: a `ReadHead` takes it.
        precedence: Not looked at.
        write_weightings: Not looked at.
        read_weightings: Not looked at.

    Returns:
        Tuple `(reads, read_weightings, link, precedence)` of this step: the
        reads have the shape `(B, R, W)`, the weightings `(B, R, N)`, and the
        last two are the empty tuple.

    Example:
    >>> import numpy as np
    >>> import keras_dnc
    >>> interface = keras_dnc.Interface(8, num_reads=2, content_only=True)
    >>> reads, read_weightings, _, _ = keras_dnc.ContentReadHead()(
    ...     interface(np.zeros((3, 16))), memory=np.zeros((3, 5, 8))
    ... )
    >>> reads.shape
    TensorShape([3, 2, 8])
    """

    def __init__(
        self, content_addressing: keras.layers.Layer | None = None, **kwargs
    ):
        super().__init__(**kwargs)
        if content_addressing is None:
            content_addressing = ContentAddressing(
                dtype=self.dtype_policy, name="content_addressing"
            )
        self.content_addressing = layer(
            "content_addressing", content_addressing
        )

    def state_shapes(self, num_writes: int, memory_size: int) -> tuple:
        """Returns the empty shapes of links and precedence.

        Args:
            num_writes: Number `V` of write heads.
            memory_size: Number `N` of slots.
        """
        return (), ()

    def call(
        self,
        interface,
        memory,
        link=(),
        precedence=(),
        write_weightings=(),
        read_weightings=(),
    ):
        """Returns reads and read weightings, and two empty tuples."""
        interface = as_interface_vector(interface)
        read_weightings = self.content_addressing(memory, *interface.read_query)
        return read(memory, read_weightings), read_weightings, (), ()

    def get_config(self):
        """Returns the constructor's arguments."""
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "content_addressing": serialize(self.content_addressing),
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Makes a read head from what `get_config` returned."""
        layers = ["content_addressing"]
        return cls(**deserialize_layers(config, layers, custom_objects))
