"""Back-propagation through time that keeps few states.

A sequence is cut into segments. The states at their beginnings are kept; what
the gradient needs of the steps in between is computed again, one segment at a
time.

Source: Chen et al., [Training deep nets with sublinear memory cost](
https://arxiv.org/abs/1604.06174), 2016, section 4.
"""

import itertools
from collections.abc import Callable

import keras
from keras import ops


def scan(
    segment: Callable,
    constants: list,
    states: list,
    segments: list,
    outputs: list[keras.KerasTensor],
) -> tuple[list, list]:
    """Applies a function to segments in turn, carrying states.

    Args:
        segment: Maps lists of constants, of states and of the tensors of a
            segment to lists of its outputs and of the new states. Gradients
            reach nothing else that it uses.
        constants: Tensors.
        states: Tensors.
        segments: Tensors with a first axis of segments.
        outputs: The shapes and dtypes of a segment's outputs.

    Returns:
        Tuple of two lists: the outputs, with a first axis of segments, and
        the states after the last of them.
    """
    if keras.backend.backend() == "tensorflow":
        return _scan_with_tensorflow(
            segment, constants, states, segments, outputs
        )
    recomputed = keras.remat(segment)

    def step(states, of_segment):
        of_outputs, states = recomputed(constants, states, of_segment)
        return states, of_outputs

    states, of_outputs = ops.scan(step, states, segments)
    return of_outputs, states


def _scan_with_tensorflow(segment, constants, states, segments, outputs):
    """As `scan`, with the gradient of the loop written out.

    TensorFlow's own would keep the constants for each segment.
    """
    import tensorflow as tf

    structure = constants, states, segments
    count = tf.shape(segments[0])[0]
    of_states = [
        _Lists(count, part.shape, tf.shape(part), part.dtype) for part in states
    ]
    of_segments = [
        _Lists(count, part.shape[1:], tf.shape(part)[1:], part.dtype)
        for part in segments
    ]
    batch_size = tf.shape(states[0])[0]
    of_outputs = [
        _Lists(count, part.shape, (batch_size, *part.shape[1:]), part.dtype)
        for part in outputs
    ]
    are_floats = [part.dtype.is_floating for part in segments]
    of_floats = list(itertools.compress(of_segments, are_floats))

    def loop(body, start, step, *carried):
        """Carries through the segments, from `start` on in steps of `step`."""
        results = tf.while_loop(
            lambda index, *_: (index >= 0) & (index < count),
            lambda index, *carried: (index + step, *body(index, *carried)),
            (start, *carried),
            # A segment that is computed ahead of its turn takes memory.
            parallel_iterations=1,
            maximum_iterations=count,
        )
        return results[1:]

    @tf.custom_gradient
    def run(*tensors):
        constants, states, segments = keras.tree.pack_sequence_as(
            structure, list(tensors)
        )
        segments = _map(_Lists.of, of_segments, segments)

        def forward(index, states, kept, results):
            kept = _map(_Lists.write, of_states, kept, states, index=index)
            inputs = _map(_Lists.read, of_segments, segments, index=index)
            new, states = segment(constants, states, inputs)
            results = _map(_Lists.write, of_outputs, results, new, index=index)
            return states, kept, results

        states, kept, results = loop(
            forward,
            0,
            1,
            states,
            [part.empty() for part in of_states],
            [part.empty() for part in of_outputs],
        )

        def gradient(*upstream):
            of_results = _map(_Lists.of, of_outputs, upstream[: len(outputs)])

            def backward(index, to_constants, to_states, to_segments):
                given = [
                    [tf.identity(part) for part in constants],
                    _map(_Lists.read, of_states, kept, index=index),
                    _map(_Lists.read, of_segments, segments, index=index),
                ]
                with tf.GradientTape() as tape:
                    flat = keras.tree.flatten(given)
                    tape.watch([x for x in flat if x.dtype.is_floating])
                    results, states = segment(*given)
                upstream = _map(
                    _Lists.read, of_outputs, of_results, index=index
                )
                gradients = tape.gradient(
                    [*results, *states],
                    given,
                    [*upstream, *to_states],
                    unconnected_gradients="zero",
                )
                to_constants = [
                    total + part
                    for total, part in zip(
                        to_constants, gradients[0], strict=True
                    )
                ]
                to_segments = _map(
                    _Lists.write,
                    of_floats,
                    to_segments,
                    list(itertools.compress(gradients[2], are_floats)),
                    index=index,
                )
                return to_constants, gradients[1], to_segments

            to_constants, to_states, to_segments = loop(
                backward,
                count - 1,
                -1,
                [tf.zeros_like(part) for part in constants],
                list(upstream[len(outputs) :]),
                [part.empty() for part in of_floats],
            )
            to_segments = iter(_map(_Lists.stack, of_floats, to_segments))
            return [
                *to_constants,
                *to_states,
                *(
                    next(to_segments) if is_float else None
                    for is_float in are_floats
                ),
            ]

        return (*_map(_Lists.stack, of_outputs, results), *states), gradient

    results = run(*keras.tree.flatten(structure))
    return list(results[: len(outputs)]), list(results[len(outputs) :])


def _map(method, kinds, *parts, **arguments):
    """Returns what a method of `_Lists` makes of each list."""
    return [
        method(kind, *part, **arguments)
        for kind, *part in zip(kinds, *parts, strict=True)
    ]


class _Lists:
    """Lists of tensors of one kind, which may be of no tensors.

    As `tf.TensorArray`, which cannot stack none where a part of their shape,
    such as the batch size, is known when the graph runs and not before. XLA
    compiles a loop that is never run too, and reads from a list in it: one of
    no tensors has a place all the same.

    Args:
        count: The number of tensors in each list, as a tensor.
        known: What is known of the tensors' shape.
        shape: Their shape, as a tensor.
        dtype: Their dtype.
    """

    def __init__(self, count, known, shape, dtype):
        self.count, self.known = count, known
        self.shape, self.dtype = shape, dtype

    def empty(self):
        """Returns a list of places."""
        import tensorflow as tf

        return tf.raw_ops.TensorListReserve(
            element_shape=self.shape,
            num_elements=tf.maximum(self.count, 1),
            element_dtype=self.dtype,
        )

    def of(self, stacked):
        """Returns a list of the tensors along the first axis."""
        import tensorflow as tf

        if not stacked.shape[0]:
            # There may be none.
            missing = [1 - tf.minimum(self.count, 1)]
            shape = tf.concat([missing, self.shape], axis=0)
            place = tf.zeros(shape, self.dtype)
            stacked = tf.concat([stacked, place], axis=0)
        return tf.raw_ops.TensorListFromTensor(
            tensor=stacked, element_shape=self.shape
        )

    def write(self, handle, value, index):
        """Returns a list with a tensor in one place."""
        import tensorflow as tf

        return tf.raw_ops.TensorListSetItem(
            input_handle=handle, index=index, item=value
        )

    def read(self, handle, index):
        """Returns the tensor in one place."""
        import tensorflow as tf

        return tf.ensure_shape(
            tf.raw_ops.TensorListGetItem(
                input_handle=handle,
                index=index,
                element_shape=self.shape,
                element_dtype=self.dtype,
            ),
            self.known,
        )

    def stack(self, handle):
        """Returns the tensors of a list along a new first axis."""
        import tensorflow as tf

        stacked = tf.raw_ops.TensorListStack(
            input_handle=handle,
            element_shape=self.shape,
            element_dtype=self.dtype,
        )
        return tf.ensure_shape(stacked[: self.count], (None, *self.known))
