"""Compiled functions and their gradients, on any backend of Keras."""

from collections.abc import Callable

import keras


def on_cpu() -> bool:
    """Returns whether the backend has no other device than a CPU."""
    match keras.backend.backend():
        case "tensorflow":
            import tensorflow as tf

            return not tf.config.list_physical_devices("GPU")
        case "jax":
            import jax

            return jax.default_backend() == "cpu"
        case "torch":
            import torch

            return not torch.cuda.is_available()


def compiled(function: Callable, jit_compile: bool) -> Callable:
    """Returns a function of tensors, which its first call compiles.

    For tensors of those shapes alone on TensorFlow, where to find the one
    compiled function among many takes longer than a small step. JAX always
    compiles by XLA; on PyTorch the function stays as it is.

    Args:
        function: Maps tensors to a structure of tensors.
        jit_compile: Whether TensorFlow compiles by XLA, or makes a graph.
    """
    match keras.backend.backend():
        case "tensorflow":
            import tensorflow as tf

            traced = tf.function(function, jit_compile=jit_compile)
            concrete = []

            def call(*arguments):
                if not concrete:
                    concrete.append(traced.get_concrete_function(*arguments))
                return concrete[0](*arguments)

            return call
        case "jax":
            import jax

            return jax.jit(function)
    return function


def with_gradients(function: Callable) -> Callable:
    """Returns a function that computes outputs and gradients of another.

    It maps the arguments and, as a second argument, the gradients with
    respect to the outputs to the outputs and the gradients with respect to
    the arguments.

    Args:
        function: Maps tensors to a tuple of tensors.
    """

    def with_tensorflow(arguments, upstream):
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(arguments)
            outputs = function(*arguments)
        return outputs, tape.gradient(outputs, arguments, upstream)

    def with_jax(arguments, upstream):
        import jax

        outputs, pullback = jax.vjp(function, *arguments)
        return outputs, pullback(tuple(upstream))

    def with_torch(arguments, upstream):
        import torch

        arguments = [part.detach().requires_grad_() for part in arguments]
        outputs = function(*arguments)
        return outputs, torch.autograd.grad(
            outputs, arguments, upstream, allow_unused=True
        )

    return {
        "tensorflow": with_tensorflow,
        "jax": with_jax,
        "torch": with_torch,
    }[keras.backend.backend()]


def wait(tensors):
    """Waits until tensors are computed.

    Args:
        tensors: A structure of tensors.
    """
    match keras.backend.backend():
        case "tensorflow":
            import tensorflow as tf

            tf.test.experimental.sync_devices()
        case "jax":
            import jax

            jax.block_until_ready(tensors)
        case "torch":
            import torch

            if torch.cuda.is_available():
                torch.cuda.synchronize()
