"""Gradients that keep less than automatic differentiation does.

A recurrence keeps what the gradient of each step needs, for all steps: to
write and read it takes longer than to compute it again. On PyTorch functions
are differentiated as usual, and so are symbolic tensors outside a layer.
"""

import contextlib
import functools
import inspect
from collections.abc import Callable

import keras
from keras import ops


def with_gradient(
    function: Callable, gradient: Callable, first_in: str | None = None
) -> Callable:
    """Returns a function with a gradient of its own.

    Back-propagation then keeps the function's arguments alone.

    Args:
        function: Maps tensors to a tensor, or to a tuple of several.
        gradient: Maps two tuples, the function's arguments and the gradients
            with respect to its results, to the tuple of the gradients with
            respect to its arguments.
        first_in: The dtype in which the first argument is kept. Default: its
            own.
    """

    @ops.custom_gradient
    def differentiated(*arguments):
        first, *others = arguments
        kept = first if first_in is None else ops.cast(first, first_in)

        def backward(*upstream):
            # TensorFlow passes the gradients one by one, JAX as a tuple.
            if isinstance(upstream[0], tuple):
                (upstream,) = upstream
            with _after(upstream):
                given = ops.cast(kept, first.dtype), *others
                return gradient(given, upstream)

        return function(*arguments), backward

    return _where_possible(differentiated, function)


def _after(tensors):
    """Returns a context in which TensorFlow computes when tensors are there.

    Its loop would otherwise compute ahead, for up to 32 steps, whatever does
    not follow from them, and hold it.
    """
    if keras.backend.backend() != "tensorflow":
        return contextlib.nullcontext()
    import tensorflow as tf

    return tf.control_dependencies(tensors)


def _where_possible(differentiated, function):
    if keras.backend.backend() == "torch":
        return function

    signature = inspect.signature(function)

    @functools.wraps(function)
    def choose(*positional, **named):
        arguments = signature.bind(*positional, **named).args
        if any(isinstance(x, keras.KerasTensor) for x in arguments):
            return function(*arguments)
        return differentiated(*arguments)

    return choose
