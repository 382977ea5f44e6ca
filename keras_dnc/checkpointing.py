"""Back-propagation through time that keeps few states.

A sequence is cut into segments. The states at their beginnings are kept; what
the gradient needs of the steps in between is computed again, one segment at a
time.

Source: Chen et al., [Training deep nets with sublinear memory cost](
https://arxiv.org/abs/1604.06174), 2016, section 4.
"""

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

    def array(like):
        return tf.TensorArray(
            like.dtype, count, element_shape=like.shape, clear_after_read=False
        )

    def arrays_of(stacked):
        return [array(part[0]).unstack(part) for part in stacked]

    def loop(body, start, step, *carried):
        """Carries through the segments, from `start` on in steps of `step`."""
        results = tf.while_loop(
            lambda index, *_: (index >= 0) & (index < count),
            lambda index, *carried: (index + step, *body(index, *carried)),
            (start, *carried),
            maximum_iterations=count,
        )
        return results[1:]

    @tf.custom_gradient
    def run(*tensors):
        constants, states, segments = keras.tree.pack_sequence_as(
            structure, list(tensors)
        )
        segments = arrays_of(segments)

        def forward(index, states, kept, of_outputs):
            kept = _written(kept, index, states)
            results, states = segment(constants, states, _read(segments, index))
            return states, kept, _written(of_outputs, index, results)

        states, kept, of_outputs = loop(
            forward,
            0,
            1,
            states,
            [array(part) for part in states],
            [array(part) for part in outputs],
        )

        def gradient(*upstream):
            of_results = arrays_of(upstream[: len(outputs)])

            def backward(index, of_constants, of_states, of_segments):
                given = [
                    [tf.identity(part) for part in constants],
                    _read(kept, index),
                    _read(segments, index),
                ]
                with tf.GradientTape() as tape:
                    tape.watch(_floats(given))
                    results, states = segment(*given)
                gradients = tape.gradient(
                    [*results, *states],
                    given,
                    [*_read(of_results, index), *of_states],
                    unconnected_gradients="zero",
                )
                of_constants = [
                    total + part
                    for total, part in zip(
                        of_constants, gradients[0], strict=True
                    )
                ]
                of_segments = _written(
                    of_segments, index, _floats(gradients[2])
                )
                return of_constants, gradients[1], of_segments

            of_constants, of_states, of_segments = loop(
                backward,
                count - 1,
                -1,
                [tf.zeros_like(part) for part in constants],
                list(upstream[len(outputs) :]),
                [array(part[0]) for part in _floats(structure[2])],
            )
            of_segments = iter([part.stack() for part in of_segments])
            return [
                *of_constants,
                *of_states,
                *(
                    next(of_segments) if part.dtype.is_floating else None
                    for part in structure[2]
                ),
            ]

        return (*(part.stack() for part in of_outputs), *states), gradient

    results = run(*keras.tree.flatten(structure))
    return list(results[: len(outputs)]), list(results[len(outputs) :])


def _read(arrays, index):
    return [part.read(index) for part in arrays]


def _written(arrays, index, values):
    return [
        part.write(index, value)
        for part, value in zip(arrays, values, strict=True)
    ]


def _floats(tensors):
    flat = keras.tree.flatten(tensors)
    return [part for part in flat if part.dtype.is_floating]
