"""The extensions of the DNC, most of them known improvements.

None is a case in the formulas of a cell: each is a part of the interface, or
another sublayer in the place of the paper's.

Sources: Csordás & Schmidhuber, [Improving differentiable neural computers
through memory masking, de-allocation, and link distribution sharpness control](
https://arxiv.org/abs/1904.10278), 2019 (`masked_keys`, `deallocation`,
`sharpness`); Franke et al., [Robust and scalable differentiable neural computer
for question answering](https://arxiv.org/abs/1807.02658), 2018 (`layer_norm`,
`content_only`); Graves et al. (2016), Methods, *Sparse link matrix*
(`sparse_links`).
"""

from typing import NamedTuple

import keras

from keras_dnc.interface import checked_mask_minimum
from keras_dnc.layers import (
    ContentReadHead,
    ReadHead,
    SparseTemporalLinkage,
    TemporalLinkage,
    WriteHead,
)
from keras_dnc.sparse_linkage import NUM_LINKS
from keras_dnc.validation import boolean, half_precision, positive_integer

# The sublayers that each shapes.
SUBLAYERS = {
    "masked_keys": ("interface",),
    "mask_minimum": ("interface",),
    "deallocation": ("write_head",),
    "sharpness": ("interface",),
    "layer_norm": ("interface",),
    "content_only": ("interface", "read_head"),
    "sparse_links": ("read_head",),
    "link_storage": ("read_head",),
}


class Extensions(NamedTuple):
    """The extensions that a cell is asked for, as arguments of `DNCCell`.

    Attributes:
        masked_keys: See `DNCCell`.
        mask_minimum: See `DNCCell`.
        deallocation: See `DNCCell`.
        sharpness: See `DNCCell`.
        layer_norm: See `DNCCell`.
        content_only: See `DNCCell`.
        sparse_links: See `DNCCell`.
        link_storage: See `DNCCell`.
    """

    masked_keys: bool
    mask_minimum: float
    deallocation: bool
    sharpness: bool
    layer_norm: bool
    content_only: bool
    sparse_links: int | None
    link_storage: str | None

    def checked(
        self, memory_size: int, own: dict[str, keras.layers.Layer | None]
    ) -> "Extensions":
        """Returns them, checked.

        Args:
            memory_size: Number `N` of slots.
            own: The sublayers that are the caller's own, or None, by name.

        Raises:
            ValueError: If one is out of its range, or shapes a sublayer that
                is the caller's own.
        """
        links = self.sparse_links
        if links is None or isinstance(links, bool):
            links = min(NUM_LINKS, memory_size) if links else None
        else:
            expected = f"from 1 to memory_size={memory_size}, or True"
            links = positive_integer("sparse_links", links, expected)
            if links > memory_size:
                raise ValueError(
                    f"`sparse_links` must be {expected}. Received: "
                    f"sparse_links={links}"
                )
        extensions = Extensions(
            boolean("masked_keys", self.masked_keys),
            checked_mask_minimum(self.masked_keys, self.mask_minimum),
            boolean("deallocation", self.deallocation),
            boolean("sharpness", self.sharpness),
            boolean("layer_norm", self.layer_norm),
            boolean("content_only", self.content_only),
            links,
            half_precision("link_storage", self.link_storage),
        )
        for name, value in extensions._asdict().items():
            for sublayer in SUBLAYERS[name]:
                if value and own[sublayer] is not None:
                    raise ValueError(
                        f"`{name}` is for the {sublayer} that the cell makes; "
                        f"give it to your own. Received: {name}={value}, "
                        f"{sublayer}={own[sublayer]}"
                    )
        return extensions

    @property
    def parts(self) -> dict[str, bool]:
        """Which parts an interface has, as arguments of `part_shapes`."""
        return {
            "masked_keys": self.masked_keys,
            "sharpness": self.sharpness,
            "content_only": self.content_only,
        }

    def make_normalization(self, dtype) -> keras.layers.Layer | None:
        """Returns the layer through which an interface vector passes, if any.

        Args:
            dtype: Its dtype policy.
        """
        if not self.layer_norm:
            return None
        return keras.layers.LayerNormalization(
            dtype=dtype, name="normalization"
        )

    def make_write_head(self, dtype) -> keras.layers.Layer:
        """Returns the head that writes.

        Args:
            dtype: Its dtype policy.
        """
        return WriteHead(
            deallocation=self.deallocation, dtype=dtype, name="write_head"
        )

    def make_read_head(self, dtype) -> keras.layers.Layer:
        """Returns the head that reads.

        Args:
            dtype: Its dtype policy.
        """
        if self.content_only:
            return ContentReadHead(dtype=dtype, name="read_head")
        called = {"dtype": dtype, "name": "temporal_linkage"}
        if self.sparse_links is None:
            linkage = TemporalLinkage(self.link_storage, **called)
        else:
            linkage = SparseTemporalLinkage(self.sparse_links, **called)
        return ReadHead(temporal_linkage=linkage, dtype=dtype, name="read_head")
