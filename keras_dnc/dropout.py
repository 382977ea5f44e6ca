"""Dropout masks of the cells inside a cell."""

import keras
from keras import ops

# `keras.layers.RNN` prepares the masks before the loop, and drops them after
# it, for instances of this class alone, which Keras does not export.
DropoutRNNCell = next(
    base
    for base in keras.layers.LSTMCell.__mro__
    if base.__name__ == "DropoutRNNCell"
)


class PassesDropoutMasks(DropoutRNNCell):
    """Mixin of a cell that hands Keras' care for masks on to an inner cell.

    Keras draws the dropout masks of a cell once per sequence, and only of
    cells that it knows. The class with this mixin must have an attribute
    `controller`, any layer, and an attribute `reads_size`, the width that it
    appends to its inputs before it calls the controller.
    """

    def get_dropout_mask(self, step_input):
        """Draws the controller's masks for inputs like `step_input`.

        Args:
            step_input: Tensor of shape `(B, X)`; its shape alone is used.
        """
        width = step_input.shape[-1] + self.reads_size
        for cell in _cells(self.controller):
            if isinstance(cell, DropoutRNNCell):
                cell.get_dropout_mask(_ones(step_input, width, cell))
            width = _output_size(cell)

    def get_recurrent_dropout_mask(self, step_input):
        """Draws the controller's masks for its recurrent state.

        Args:
            step_input: Tensor of shape `(B, anything)`, for the batch size.
        """
        for cell in _cells(self.controller):
            if isinstance(cell, DropoutRNNCell):
                width = keras.tree.flatten(cell.state_size)[0]
                cell.get_recurrent_dropout_mask(_ones(step_input, width, cell))

    def reset_dropout_mask(self):
        """Forgets the controller's masks for its inputs."""
        for cell in _cells(self.controller):
            if isinstance(cell, DropoutRNNCell):
                cell.reset_dropout_mask()

    def reset_recurrent_dropout_mask(self):
        """Forgets the controller's masks for its recurrent state."""
        for cell in _cells(self.controller):
            if isinstance(cell, DropoutRNNCell):
                cell.reset_recurrent_dropout_mask()


def dropout_masks(controller: keras.layers.Layer) -> list[tuple[object, str]]:
    """Returns a controller's cells and the names under which masks are there.

    Args:
        controller: Any layer.
    """
    return [
        (cell, name)
        for cell in _cells(controller)
        for name in ("_dropout_mask", "_recurrent_dropout_mask")
        if getattr(cell, name, None) is not None
    ]


def _cells(controller) -> list:
    """The RNN cells of a controller, from input to output."""
    if isinstance(controller, keras.layers.StackedRNNCells):
        return [cell for inner in controller.cells for cell in _cells(inner)]
    return [controller] if hasattr(controller, "state_size") else []


def _output_size(cell) -> int:
    size = getattr(cell, "output_size", None)
    return keras.tree.flatten(cell.state_size)[0] if size is None else size


def _ones(like, width, cell):
    return ops.ones((ops.shape(like)[0], width), dtype=cell.compute_dtype)
