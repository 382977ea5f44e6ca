"""Variables of a layer and of the layers that it holds."""

import contextlib

import keras


def pass_on_frozen(layer: keras.layers.Layer):
    """Freezes the layers that a frozen layer holds.

    Keras does so when `trainable` is set, but not when a layer is made with
    it, as each one is that is loaded or cloned.

    Args:
        layer: A layer whose parts are built.
    """
    if not layer.trainable:
        for part in layer._flatten_layers(include_self=False):
            part.trainable = False


def read_before_loop(layer: keras.layers.Layer):
    """Returns a context in which a layer is called in a loop over time.

    A variable that is read in a step of TensorFlow's loop is kept for
    back-propagation at each step, as every result of a step is: 192 MB of
    them for 64 steps of a DNC with 256 slots and units. What is read before
    the loop is not kept.

    Args:
        layer: What is called at each step.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        if not tf.executing_eagerly():
            return ReadOnce(layer.trainable_variables)
    return contextlib.nullcontext()


class ReadOnce(keras.StatelessScope):
    """A context in which some variables are read already.

    Args:
        variables: Those variables.
        values: Their values. Default: their present ones.
        updates: Whether other variables can be updated in the context.
    """

    def __init__(self, variables: list, values=None, updates: bool = True):
        super().__init__(collect_losses=True)
        self.variables = variables
        self.values = values
        self.updates = updates

    def __enter__(self):
        """Reads the variables."""
        super().__enter__()
        if self.values is None:
            self.values = [self._read(variable) for variable in self.variables]
        for variable, value in zip(self.variables, self.values, strict=True):
            self.state_mapping[id(variable)] = value
        return self

    def _read(self, variable):
        value = self.get_current_value(variable)
        if value is not None:
            return value
        # What `variable.value` returns may be cast to half precision.
        value = variable._value
        if value is None:
            # It will be there once Keras has built the layers around this.
            return variable._initializer(variable._shape, dtype=variable._dtype)
        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            # Of Keras' own function a variable comes back as it is.
            value = tf.convert_to_tensor(value)
        return value

    def get_current_value(self, variable):
        """Returns a value of this scope, or of the one around it."""
        value = super().get_current_value(variable)
        if value is None and self.original_scope is not None:
            return self.original_scope.get_current_value(variable)
        return value

    def add_update(self, update):
        """Updates a variable, as Keras does outside such a scope."""
        variable, value = update
        if not self.updates:
            raise ValueError(
                "With `checkpoint_every` time steps are computed again for "
                "their gradients, and so must not change variables, as random "
                "layers and batch normalization do. Received a change of: "
                f"{variable.path}"
            )
        if id(variable) in self.state_mapping:
            raise ValueError(
                "A layer in the cell changes, at a time step, a weight that is "
                "read once for all steps, as spectral normalization does. "
                "Unroll the loop (`unroll=True`), or use "
                "`keras.layers.RNN(DNCCell(...))`. Received a change of: "
                f"{variable.path}"
            )
        if self.original_scope is None:
            # `variable.value` may be a tensor, cast to half precision.
            variable._direct_assign(value)
        else:
            self.original_scope.add_update(update)

    def add_loss(self, loss):
        """Refuses a loss that belongs to one step of the loop."""
        raise ValueError(
            "A layer in the cell added a loss at a time step, which cannot "
            "leave the loop. Regularize weights instead, or unroll the loop "
            f"(`unroll=True`). Received the loss: {loss}"
        )
