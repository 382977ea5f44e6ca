"""Dropout masks of a cell and of the cells inside it."""

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
    appends to its inputs before it calls the controller. A mask of its own is
    for what bypasses the memory: it must have an attribute `bypass_dropout`,
    the fraction to drop, and, if that is not zero, `hidden_size`, the width of
    what is dropped, and a `seed_generator`.
    """

    _bypass_mask = None

    def drop_bypass(self, hidden):
        """Returns `h` as it goes to the output in training.

        Args:
            hidden: Tensor of shape `(B, H)`.
        """
        if not self.bypass_dropout:
            return hidden
        if self._bypass_mask is None:
            self._draw_bypass_mask(hidden)
        return hidden * self._bypass_mask

    def _draw_bypass_mask(self, like):
        ones = ops.ones((ops.shape(like)[0], self.hidden_size), like.dtype)
        self._bypass_mask = keras.random.dropout(
            ones, self.bypass_dropout, seed=self.seed_generator
        )

    def get_dropout_mask(self, step_input):
        """Draws the controller's masks for inputs like `step_input`.

        And the mask of what bypasses the memory.

        Args:
            step_input: Tensor of shape `(B, X)`; its shape alone is used.
        """
        if self.bypass_dropout and self._bypass_mask is None:
            self._draw_bypass_mask(ops.cast(step_input, self.compute_dtype))
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
        """Forgets the masks that `get_dropout_mask` drew."""
        self._bypass_mask = None
        for cell in _cells(self.controller):
            if isinstance(cell, DropoutRNNCell):
                cell.reset_dropout_mask()

    def reset_recurrent_dropout_mask(self):
        """Forgets the controller's masks for its recurrent state."""
        for cell in _cells(self.controller):
            if isinstance(cell, DropoutRNNCell):
                cell.reset_recurrent_dropout_mask()


def dropout_masks(cell) -> list[tuple[object, str]]:
    """Returns cells and the names under which they hold masks.

    Args:
        cell: A cell, maybe with cells inside.
    """
    masks = [
        (cell, name)
        for name in ("_dropout_mask", "_recurrent_dropout_mask", "_bypass_mask")
        if getattr(cell, name, None) is not None
    ]
    if isinstance(cell, PassesDropoutMasks):
        for inner in _cells(cell.controller):
            masks += dropout_masks(inner)
    return masks


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
