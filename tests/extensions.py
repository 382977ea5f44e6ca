"""The combinations of extensions that tests go through."""

import itertools

import keras
import numpy as np
import reference
from comparison import tensor

import keras_dnc

# Each extension, not as it is by default, for a memory of at least 3 slots.
EXTENSIONS = {
    "masked_keys": {"masked_keys": True, "mask_minimum": 0.1},
    "deallocation": {"deallocation": True},
    "sharpness": {"sharpness": True},
    "layer_norm": {"layer_norm": True},
    "content_only": {"content_only": True},
    "sparse_links": {"sparse_links": 2},
    "bypass_dropout": {"bypass_dropout": 0.5},
    "learned_memory": {
        "learned_memory": True,
        "memory_initializer": keras.initializers.RandomNormal(seed=1),
    },
}


def together(names):
    return {
        argument: value
        for name in names
        for argument, value in EXTENSIONS[name].items()
    }


# Of any two extensions that have a say in each other's presence each of the
# four combinations is in one of the rows: each is in three of five rows, no two
# in the same three (Katona, 1973), and in none of the plain cell's. Without
# links there is nothing sparse or sharp.
LINKED = [name for name in EXTENSIONS if name != "content_only"]
THREE_OF_FIVE = list(itertools.combinations(range(5), 3))
PAIRWISE = {
    f"pairs_{row}": together(
        name
        for name, rows in zip(LINKED, THREE_OF_FIVE, strict=False)
        if row in rows
    )
    for row in range(5)
}
COMBINATIONS = {
    **EXTENSIONS,
    **PAIRWISE,
    "all_with_links": together(LINKED),
    "all": together(EXTENSIONS),
}


def oracle_arguments(arguments, weights):
    """What the oracle needs to do as a cell with some arguments does."""
    of_interface = {
        name: arguments[name]
        for name in ("masked_keys", "mask_minimum", "sharpness", "content_only")
        if name in arguments
    }
    of_memory = {
        "deallocation": arguments.get("deallocation", False),
        "num_links": arguments.get("sparse_links"),
    }
    how = {"of_interface": of_interface, "of_memory": of_memory}
    if "layer_norm" in arguments:
        how["interface_normalization"] = lambda xi: (
            reference.layer_normalization(
                xi,
                weights["interface/normalization/gamma"],
                weights["interface/normalization/beta"],
            )
        )
    return how


def reachable(state, arguments):
    """The oracle's state without the links that sparse ones would not hold."""
    if arguments.get("sparse_links") is None:
        return state
    L = np.apply_along_axis(
        reference.largest, -1, state.L, arguments["sparse_links"]
    )
    return state._replace(L=L)


def state_tensors(cell, state, dtype):
    """The oracle's batch of states as flat tensors for a cell."""
    parts = state._asdict()
    shapes = cell.read_head.state_shapes(cell.num_writes, cell.memory_size)
    if shapes == ((), ()):
        parts.update(p=(), L=())
    elif isinstance(shapes[0], keras_dnc.SparseLink):
        parts.update(L=sparse(state.L, shapes[0].values[-1]))
    controller = parts.pop("controller")
    arrays = keras.tree.flatten([list(parts.values()), controller])
    return [tensor(part.reshape(len(part), -1), dtype) for part in arrays]


def sparse(L, count):
    """Links (B, V, N, N) as the values and the columns of the largest."""
    columns = np.argsort(-L, axis=-1, kind="stable")[..., :count]
    values = np.take_along_axis(L, columns, axis=-1)
    return [values, np.where(values > 0, columns + 1.0, 0)]
