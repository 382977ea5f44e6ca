"""The state that a DNC carries from step to step."""

import math
from typing import Any, NamedTuple

import keras
from keras import ops, tree


class DNCState(NamedTuple):
    """The state of a DNC after one time step, its parts in their true shapes.

    Each field is a tensor; `B` is the batch, `N` memory slots have width `W`,
    `R` and `V` are the numbers of read and write heads.

    Attributes:
        memory: `M`, shape `(B, N, W)`.
        usage: `u` in [0, 1], shape `(B, N)`.
        precedence: `p`, shape `(B, V, N)`.
        link: `L`, shape `(B, V, N, N)`, with a diagonal of zeros.
        write_weightings: `w^w`, shape `(B, V, N)`.
        read_weightings: `w^r`, shape `(B, R, N)`.
        reads: `r`, shape `(B, R, W)`.
        controller_states: The controller's states in its own structure, each
            of shape `(B, size)`; an empty list without recurrence.

    Sparse links are a `SparseLink`, of two tensors. Where reading is by content
    alone, precedence and link are the empty tuple.
    """

    memory: Any
    usage: Any
    precedence: Any
    link: Any
    write_weightings: Any
    read_weightings: Any
    reads: Any
    controller_states: Any


def parts_of(state: DNCState) -> list:
    """Returns the tensors of a state, in their true shapes, as a list.

    Args:
        state: A `DNCState` of tensors.
    """
    return tree.flatten(state)


class StateLayout:
    """The sizes of a state's parts, and the way to and from flat tensors.

    Keras carries states through a recurrence as a list of tensors of shape
    `(B, size)`.

    Args:
        shapes: A `DNCState` of the shape of each part for one example, without
            the batch, or of named tuples of such shapes; `()` for a part that
            is not there. `controller_states` holds the controller's
            `state_size`.
    """

    def __init__(self, shapes: DNCState):
        *memory, controller_sizes = shapes
        self._specs = DNCState(
            *map(_specs, memory),
            tree.map_structure(
                lambda size: keras.KerasTensor((None, size)),
                _plain(controller_sizes),
            ),
        )

    @property
    def sizes(self) -> list[int]:
        """The width of each flat tensor."""
        return [math.prod(spec.shape[1:]) for spec in tree.flatten(self._specs)]

    def pack(self, state: DNCState) -> list:
        """Returns the flat tensors of a state.

        Args:
            state: A `DNCState` of tensors.

        Returns:
            List of tensors of shape `(B, size)`, with the widths `sizes`.

        Raises:
            ValueError: If it is a state of other sizes.
        """
        parts = parts_of(state)
        self._check("state", parts)
        return [
            ops.reshape(part, (-1, size))
            for part, size in zip(parts, self.sizes, strict=True)
        ]

    def unpack(self, states) -> DNCState:
        """Returns the state that a list of tensors holds.

        Args:
            states: Tensors of shape `(B, size)`, as `pack` returns them, or
                each in its true shape, as `parts_of` does.

        Returns:
            A `DNCState` of tensors.

        Raises:
            ValueError: If the tensors have other shapes.
        """
        states = list(states)
        self._check("states", states)
        return tree.pack_sequence_as(
            self._specs,
            [
                ops.reshape(part, (-1, *spec.shape[1:]))
                for part, spec in zip(
                    states, tree.flatten(self._specs), strict=True
                )
            ],
        )

    def _check(self, name, parts):
        received = [tuple(part.shape) for part in parts]
        are_alike = len(received) == len(self.sizes) and all(
            None in shape[1:] or math.prod(shape[1:]) == size
            for shape, size in zip(received, self.sizes, strict=True)
        )
        if not are_alike:
            raise ValueError(
                f"`{name}` must be {len(self.sizes)} tensors of shape "
                f"(B, size), of the sizes {self.sizes}. Received "
                f"{len(parts)} tensors, of the shapes {received}"
            )


def _specs(shapes):
    """Returns symbolic tensors in place of shapes in nested named tuples."""
    if hasattr(shapes, "_fields"):
        return type(shapes)(*map(_specs, shapes))
    return shapes and keras.KerasTensor((None, *shapes))


def _plain(structure):
    """Returns a structure with plain lists in place of Keras' tracked ones.

    Keras turns a list that a layer keeps, such as an LSTM cell's `state_size`,
    into a class of its own, in which JAX sees no container.
    """
    if isinstance(structure, list):
        return [_plain(part) for part in structure]
    return structure
