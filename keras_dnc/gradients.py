"""Gradients written by hand, on each of Keras' backends."""

from collections.abc import Callable

import keras
from keras import ops


def with_gradient(function: Callable, gradient: Callable) -> Callable:
    """Returns a function with a gradient of its own.

    Back-propagation then keeps the function's arguments alone. On PyTorch,
    and on symbolic tensors outside a layer, the function is differentiated
    as usual.

    Args:
        function: Maps tensors to a tuple of several tensors.
        gradient: Maps two tuples, the function's arguments and the gradients
            with respect to its results, to the tuple of the gradients with
            respect to its arguments.
    """
    if keras.backend.backend() == "torch":
        return function

    @ops.custom_gradient
    def differentiated(*arguments):
        def backward(*upstream):
            # TensorFlow passes the gradients one by one, JAX as a tuple.
            if isinstance(upstream[0], tuple):
                (upstream,) = upstream
            return gradient(arguments, upstream)

        return function(*arguments), backward

    def differentiated_unless_symbolic(*arguments):
        if any(isinstance(x, keras.KerasTensor) for x in arguments):
            return function(*arguments)
        return differentiated(*arguments)

    return differentiated_unless_symbolic
