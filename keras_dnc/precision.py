"""The precision in which a memory is addressed."""


class AtLeastFloat32:
    """Mixin of a Keras layer that computes in float32 or wider.

    Allocation keeps usages `1e-6` away from zero, which float16 cannot
    represent as a normal number, and usages, precedences and links are
    running products and sums that bfloat16's three digits would ruin. A layer
    with this mixin keeps the dtype policy that it was given (so that it can
    hand it on to projections, where half precision pays) but computes as if
    half precision were float32.
    """

    @property
    def compute_dtype(self) -> str:
        """The dtype of the computations performed by the layer."""
        dtype = super().compute_dtype
        return "float32" if dtype in ("float16", "bfloat16") else dtype

    def get_config(self):
        """Returns the constructor's arguments.

        For a class without a `get_config` Keras notes the arguments by itself,
        but not if one of them is a dtype policy, as here.
        """
        return super().get_config()
