"""Differentiable Neural Computers for Keras 3."""

from keras_dnc import addressing, bayesian, memory, tasks
from keras_dnc.bidirectional import BidirectionalDNC
from keras_dnc.buckets import pad_to_buckets
from keras_dnc.cell import DNCCell
from keras_dnc.interface import Interface, InterfaceVector
from keras_dnc.layers import (
    AllocationAddressing,
    ContentAddressing,
    ContentReadHead,
    ReadHead,
    SparseTemporalLinkage,
    TemporalLinkage,
    WriteHead,
)
from keras_dnc.recurrent import DNC
from keras_dnc.sparse_linkage import SparseLink
from keras_dnc.state import DNCState
from keras_dnc.tensorboard import TensorBoardTraces
from keras_dnc.tracing import Trace, trace

__version__ = "0.1.0"

__all__ = [
    "DNC",
    "AllocationAddressing",
    "BidirectionalDNC",
    "ContentAddressing",
    "ContentReadHead",
    "DNCCell",
    "DNCState",
    "Interface",
    "InterfaceVector",
    "ReadHead",
    "SparseLink",
    "SparseTemporalLinkage",
    "TemporalLinkage",
    "TensorBoardTraces",
    "Trace",
    "WriteHead",
    "addressing",
    "bayesian",
    "memory",
    "pad_to_buckets",
    "tasks",
    "trace",
]
