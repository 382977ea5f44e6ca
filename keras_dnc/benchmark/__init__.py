"""How long a DNC takes and how much memory, beside a peer and the floor."""

from keras_dnc.benchmark.report import COMPILERS, run
from keras_dnc.benchmark.sizes import SIZES
from keras_dnc.benchmark.subjects import EXTENSIONS, MEASURES

__all__ = ["COMPILERS", "EXTENSIONS", "MEASURES", "SIZES", "run"]
