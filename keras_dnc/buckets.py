"""Batches of sequences of different lengths, padded to a few lengths.

A compiler such as XLA compiles a model anew for each shape that it meets. With
a few lengths there are few shapes.
"""

from collections.abc import Sequence

from keras_dnc.validation import positive_integer


def pad_to_buckets(
    dataset,
    lengths: Sequence[int],
    batch_size: int,
    *,
    targets_per_step: bool = True,
    padding_value: float = 0.0,
    drop_remainder: bool = False,
):
    """Batches the sequences of a `tf.data.Dataset`, each with its like.

    A sequence is padded at its end to the least of `lengths` that holds it,
    and batched with others of that length. Padding of the targets has weight
    zero in the loss; to keep it from the state of a layer too, as the output
    of a last step needs, put `keras.layers.Masking(padding_value)` before it.

    Args:
        dataset: Pairs of inputs, of shape `(T, ...)` with any `T`, and
            targets. No axis but that of time may be of unknown length.
        lengths: The lengths `T` of the batches, ascending.
        batch_size: The number `B` of sequences in a batch.
        targets_per_step: Whether the targets are sequences too, of shape
            `(T, ...)`, or there is one for a sequence.
        padding_value: What inputs are padded with; targets with zeros.
        drop_remainder: Whether to leave out the sequences that are left at
            the end, for each length, when they do not fill a batch. They are
            batches of another shape otherwise, which are compiled anew.

    Returns:
        A `tf.data.Dataset` of inputs, of shape `(B, T, ...)`, targets, and,
        with `targets_per_step`, weights of shape `(B, T)`: 1 at a time step
        of the sequence and 0 at one of padding.

    Raises:
        ValueError: If `lengths` are not ascending positive integers, the
            dataset is not one of pairs of tensors with an axis of time and
            else of known shape, or the inputs' dtype has no `padding_value`.
        tf.errors.InvalidArgumentError: While the dataset is read, if a
            sequence is longer than all `lengths`, or its targets are not as
            long as its inputs.

    Example:
    >>> import tensorflow as tf
    >>> import keras_dnc
    >>> sequences = tf.ragged.constant([[1, 2, 3], [4], [5, 6]])
    >>> dataset = tf.data.Dataset.from_tensor_slices((sequences, sequences))
    >>> for inputs, targets, weights in keras_dnc.pad_to_buckets(
    ...     dataset, lengths=[2, 4], batch_size=2
    ... ):
    ...     print(inputs.numpy().tolist(), weights.numpy().tolist())
    [[4, 0], [5, 6]] [[1.0, 0.0], [1.0, 1.0]]
    [[1, 2, 3, 0]] [[1.0, 1.0, 1.0, 0.0]]
    """
    import tensorflow as tf

    positive_integer("batch_size", batch_size)
    lengths = [positive_integer("lengths", length) for length in lengths]
    if not lengths or lengths != sorted(set(lengths)):
        raise ValueError(f"`lengths` must ascend. Received: lengths={lengths}")
    _check_pairs(dataset.element_spec, targets_per_step)

    def with_weights(inputs, targets):
        inputs, targets = _dense(inputs), _dense(targets)
        length = tf.shape(inputs)[0]
        checks = [
            tf.debugging.assert_less_equal(
                length,
                lengths[-1],
                "A sequence is longer than all `lengths` of the buckets",
            )
        ]
        if targets_per_step:
            checks.append(
                tf.debugging.assert_equal(
                    tf.shape(targets)[0],
                    length,
                    "A sequence's targets must be as long as its inputs",
                )
            )
        with tf.control_dependencies(checks):
            weights = tf.ones([length])
            inputs = tf.identity(inputs)
        if targets_per_step:
            return inputs, targets, weights
        return inputs, targets

    weighted = dataset.map(with_weights)
    inputs, *others = weighted.element_spec
    # What is None here is padded to the length of a bucket.
    shapes = [[None, *inputs.shape[1:]]] + [
        [None, *other.shape[1:]] if targets_per_step else other.shape
        for other in others
    ]
    return weighted.bucket_by_sequence_length(
        lambda inputs, *_: tf.shape(inputs)[0],
        # A bucket of `tf.data` ends before its boundary.
        bucket_boundaries=[length + 1 for length in lengths],
        # One more for longer sequences, of which there are none.
        bucket_batch_sizes=[batch_size] * (len(lengths) + 1),
        padded_shapes=tuple(shapes),
        padding_values=(
            _padding(padding_value, inputs.dtype),
            *(tf.zeros((), other.dtype) for other in others),
        ),
        pad_to_bucket_boundary=True,
        drop_remainder=drop_remainder,
    )


def _check_pairs(spec, targets_per_step):
    """Raises ValueError if a dataset's elements are not what is padded."""
    import tensorflow as tf

    kinds = (tf.TensorSpec, tf.RaggedTensorSpec)
    is_pair = isinstance(spec, tuple) and len(spec) == 2
    if not is_pair or not all(isinstance(part, kinds) for part in spec):
        raise ValueError(
            "`dataset` must be one of pairs of tensors, inputs and targets. "
            f"Received one of: {spec}"
        )
    for name, part in zip(("inputs", "targets"), spec, strict=True):
        has_time = name == "inputs" or targets_per_step
        if part.shape.rank == 0 and has_time:
            raise ValueError(
                f"The {name} of `dataset` must have the shape (T, ...). With "
                "`targets_per_step=False` there may be one target for a "
                f"sequence. Received {name} of: {part}"
            )
        if part.shape.rank is None or None in part.shape[has_time:]:
            raise ValueError(
                f"The {name} of `dataset` must be of known shape"
                + (", but for the axis of time" if has_time else "")
                + ". `output_signature` of `tf.data.Dataset.from_generator`, "
                f"or `tf.ensure_shape`, tells it. Received {name} of: {part}"
            )


def _padding(value, dtype):
    """Returns a number as a scalar of a dtype that must have it."""
    import tensorflow as tf

    is_number = dtype.is_integer or dtype.is_floating or dtype.is_bool
    if not is_number or (
        dtype.is_integer
        and not (dtype.min <= value <= dtype.max and float(value).is_integer())
    ):
        raise ValueError(
            "`padding_value` must be a number of the inputs' dtype "
            f"{dtype.name}. Received: padding_value={value}"
        )
    return tf.cast(value, dtype)


def _dense(x):
    """Returns what may be one row of a ragged tensor as a tensor."""
    import tensorflow as tf

    return x.to_tensor() if isinstance(x, tf.RaggedTensor) else x
