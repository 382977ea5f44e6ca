"""The memory's sublayers: formulas of `addressing` and `memory` as layers.

They hold no weights, so that each can be used alone, replaced in a
`DNCCell` by a subclass, and seen in a model. Shapes are written with the
symbols of `keras_dnc.addressing`.

The heads take the interface's parts as any sequence in the order of
`InterfaceVector`: a functional model that Keras reloads passes a list.
"""

import keras

from keras_dnc import addressing
from keras_dnc.interface import as_interface_vector
from keras_dnc.memory import erase_and_write, read
from keras_dnc.precision import AtLeastFloat32
from keras_dnc.serialization import deserialize_layers
from keras_dnc.validation import layer, shapes


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

    def call(self, memory, keys, strengths):
        """Returns the content weightings."""
        shapes(
            memory=(memory, "BNW"),
            keys=(keys, "BHW"),
            strengths=(strengths, "BH"),
        )
        return addressing.content_weighting(
            memory, keys, strengths, self.similarity
        )

    def similarity(self, memory, keys):
        """Returns `D(k, M[n])`, here the cosine, of shape `(B, heads, N)`.

        Args:
            memory: `M`, shape `(B, N, W)`.
            keys: `k`, shape `(B, heads, W)`.
        """
        return addressing.cosine_similarity(memory, keys)


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
        **kwargs: Arguments of `keras.layers.Layer`, such as `name`.

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

    def call(self, link, precedence, write_weightings, read_weightings):
        """Returns links, precedence, forward and backward weightings."""
        shapes(
            link=(link, "BVNN"),
            precedence=(precedence, "BVN"),
            write_weightings=(write_weightings, "BVN"),
            read_weightings=(read_weightings, "BRN"),
        )
        link, forward, backward = addressing.link_and_directional_weightings(
            link, precedence, write_weightings, read_weightings
        )
        precedence = addressing.precedence(precedence, write_weightings)
        return link, precedence, forward, backward


@keras.saving.register_keras_serializable(package="keras_dnc")
class WriteHead(AtLeastFloat32, keras.layers.Layer):
    """Frees what was read, finds where to write, and writes.

    Source: Graves et al. (2016), Methods, *Memory addressing* and *Memory:
    reading and writing*.

    Args:
        content_addressing: Layer called as `ContentAddressing`; the default
            is one.
        allocation_addressing: Layer called as `AllocationAddressing`; the
            default is one.
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
            self.content_addressing(
                memory, interface.write_keys, interface.write_strengths
            ),
            interface.allocation_gates,
            interface.write_gates,
        )
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
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Makes a write head from what `get_config` returned."""
        layers = ["content_addressing", "allocation_addressing"]
        return cls(**deserialize_layers(config, layers, custom_objects))


@keras.saving.register_keras_serializable(package="keras_dnc")
class ReadHead(AtLeastFloat32, keras.layers.Layer):
    """Finds where to read, by content and along the order of writing.

    Source: Graves et al. (2016), Methods, *Read weighting* and *Temporal
    memory linkage*.

    Args:
        content_addressing: Layer called as `ContentAddressing`; the default
            is one.
        temporal_linkage: Layer called as `TemporalLinkage`; the default is
            one.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name`.

    Call arguments:
        interface: An `InterfaceVector`.
        memory: `M` of this step, shape `(B, N, W)`.
        link: `L` of the previous step, shape `(B, V, N, N)`.
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
        self.temporal_linkage = layer("temporal_linkage", temporal_linkage)

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
        link, precedence, forward, backward = self.temporal_linkage(
            link, precedence, write_weightings, read_weightings
        )
        content = self.content_addressing(
            memory, interface.read_keys, interface.read_strengths
        )
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
