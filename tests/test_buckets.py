"""Batches of a few lengths: what is in them, and how often they compile."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_dnc

LENGTHS = [3, 1, 4, 1, 5, 2, 6, 5, 3, 5, 8, 7]


def dataset(lengths=LENGTHS, targets=lambda sequence: -sequence):
    """Sequence number `i` is `i` at each step, in two features."""

    def pairs():
        for number, length in enumerate(lengths, 1):
            sequence = np.full((length, 2), number, "float32")
            yield sequence, targets(sequence)

    one = targets(np.zeros((1, 2), "float32"))
    shape = (None, *one.shape[1:]) if one.shape else ()
    return tf.data.Dataset.from_generator(
        pairs,
        output_signature=(
            tf.TensorSpec((None, 2), tf.float32),
            tf.TensorSpec(shape, one.dtype),
        ),
    )


def test_each_sequence_is_padded_to_the_least_length_that_holds_it():
    seen = {}
    batches = keras_dnc.pad_to_buckets(
        dataset(), [2, 5, 9], 2, padding_value=-7
    )
    for inputs, targets, weights in batches:
        assert inputs.shape[0] <= 2
        for x, y, weight in zip(inputs, targets, weights, strict=True):
            number = int(x[0, 0])
            length = LENGTHS[number - 1]
            padding = len(x) - length
            assert number not in seen
            seen[number] = len(x)
            np.testing.assert_array_equal(
                x[:length], np.full((length, 2), number)
            )
            np.testing.assert_array_equal(x[length:], np.full((padding, 2), -7))
            np.testing.assert_array_equal(y[:length], -x[:length])
            np.testing.assert_array_equal(y[length:], np.zeros((padding, 2)))
            np.testing.assert_array_equal(weight, [1] * length + [0] * padding)
    least = [min(n for n in (2, 5, 9) if n >= length) for length in LENGTHS]
    assert [seen[number] for number in sorted(seen)] == least


def test_a_sequence_may_have_one_target():
    pairs = dataset(targets=lambda sequence: np.int32(sequence[0, 0]))
    numbers = []
    for inputs, targets in keras_dnc.pad_to_buckets(
        pairs, [8], 5, targets_per_step=False
    ):
        assert inputs.shape[1:] == (8, 2)
        np.testing.assert_array_equal(inputs[:, 0, 0], targets)
        numbers.extend(targets.numpy())
    assert sorted(numbers) == list(range(1, len(LENGTHS) + 1))


def test_one_target_of_several_numbers_is_not_padded():
    pairs = dataset(targets=lambda sequence: np.zeros(5, "float32"))
    pairs = pairs.map(lambda x, y: (x, tf.ensure_shape(y, [5])))
    for inputs, targets in keras_dnc.pad_to_buckets(
        pairs, [8, 12], 5, targets_per_step=False
    ):
        assert inputs.shape[1] == 8
        assert targets.shape[1:] == (5,)


@pytest.mark.parametrize("known", ["both", "inputs"])
def test_sequences_of_a_known_length_are_padded_too(known):
    pairs = dataset([7] * 4).map(
        lambda x, y: (
            tf.ensure_shape(x, [7, 2]),
            tf.ensure_shape(y, [7, 2]) if known == "both" else y,
        )
    )
    for batch in keras_dnc.pad_to_buckets(pairs, [4, 12], 4):
        inputs, targets, weights = (part.numpy() for part in batch)
        assert inputs.shape == targets.shape == (4, 12, 2)
        assert (inputs[:, 7:] == 0).all()
        assert (targets[:, 7:] == 0).all()
        assert weights.tolist() == [[1] * 7 + [0] * 5] * 4


def unknown(name, shape):
    """Pairs of which the inputs or the targets have a shape less known."""

    def forget(x, y):
        parts = {"inputs": x, "targets": y}
        parts[name] = tf.py_function(lambda x: x, [parts[name]], x.dtype)
        if shape is not None:
            parts[name].set_shape(shape)
        return tuple(parts.values())

    return dataset().map(forget)


@pytest.mark.parametrize("name", ["inputs", "targets"])
@pytest.mark.parametrize("shape", [None, [None, None]])
def test_but_for_time_the_shape_must_be_known(name, shape):
    with pytest.raises(ValueError, match=f"{name} .* known shape, but .*time"):
        keras_dnc.pad_to_buckets(unknown(name, shape), [8], 2)


def test_one_target_must_be_of_known_shape():
    with pytest.raises(ValueError, match=r"targets .* known shape\."):
        keras_dnc.pad_to_buckets(
            unknown("targets", [None, 2]), [8], 2, targets_per_step=False
        )


def test_batches_that_are_not_full_can_be_left_out():
    batches = keras_dnc.pad_to_buckets(
        dataset(), [4, 8], 4, drop_remainder=True
    )
    shapes = [tuple(inputs.shape) for inputs, *_ in batches]
    assert sorted(shapes) == [(4, 4, 2), (4, 8, 2)]


def test_padding_does_not_change_the_loss():
    layer = keras_dnc.DNC(
        2, 5, memory_size=4, word_size=3, num_reads=1, return_sequences=True
    )
    model = keras.Sequential([keras.Input((None, 2)), layer])
    model.compile(loss=keras.losses.MeanSquaredError(reduction="sum"))
    padded = keras_dnc.pad_to_buckets(dataset([3]), [8], 1)
    actual = model.evaluate(padded, verbose=0)
    expected = model.evaluate(dataset([3]).batch(1), verbose=0)
    assert actual == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("lengths", [[], [3, 2], [3, 3], [0], [2.5]])
def test_lengths_must_ascend(lengths):
    with pytest.raises(ValueError, match="`lengths` must"):
        keras_dnc.pad_to_buckets(dataset(), lengths, 2)


def test_a_dataset_of_something_else_is_refused():
    inputs_alone = dataset().map(lambda inputs, targets: inputs)
    with pytest.raises(ValueError, match="one of pairs"):
        keras_dnc.pad_to_buckets(inputs_alone, [8], 2)


def test_inputs_need_an_axis_of_time_and_so_do_targets_of_steps():
    scalars = dataset().map(lambda inputs, targets: (inputs[0, 0], targets))
    with pytest.raises(ValueError, match="inputs of `dataset` must"):
        keras_dnc.pad_to_buckets(scalars, [8], 2, targets_per_step=False)
    one_target = dataset(targets=lambda sequence: np.int32(sequence[0, 0]))
    with pytest.raises(ValueError, match="targets of `dataset` must"):
        keras_dnc.pad_to_buckets(one_target, [8], 2)


@pytest.mark.parametrize("padding_value", [0.5, -1, 256])
def test_integers_are_padded_with_what_their_dtype_has(padding_value):
    bytes_ = dataset().map(lambda x, y: (tf.cast(x, tf.uint8), y))
    for inputs, *_ in keras_dnc.pad_to_buckets(
        bytes_, [8], 12, padding_value=255
    ):
        assert set(inputs[:, -1, 0].numpy()) == {255, 11}
    with pytest.raises(ValueError, match="number of the inputs' dtype uint8"):
        keras_dnc.pad_to_buckets(bytes_, [8], 2, padding_value=padding_value)


def test_words_are_padded_with_no_number():
    words = dataset().map(lambda x, y: (tf.as_string(x), y))
    with pytest.raises(ValueError, match="number of the inputs' dtype string"):
        keras_dnc.pad_to_buckets(words, [8], 2)


def test_a_sequence_that_no_bucket_holds_is_an_error():
    batches = keras_dnc.pad_to_buckets(dataset([3, 9]), [2, 8], 2)
    with pytest.raises(tf.errors.InvalidArgumentError, match="longer than"):
        list(batches)


def test_targets_of_another_length_are_an_error():
    batches = keras_dnc.pad_to_buckets(
        dataset(targets=lambda sequence: sequence[1:]), [8], 2
    )
    with pytest.raises(tf.errors.InvalidArgumentError, match="as long as"):
        list(batches)


TRAINING = """
import sys
import keras
import numpy as np
import tensorflow as tf
import keras_dnc

rng = np.random.default_rng(0)
def pairs():
    for length in rng.integers(1, 13, 60):
        x = rng.normal(size=(length, 2)).astype("float32")
        yield x, x

spec = tf.TensorSpec((None, 2), tf.float32)
data = tf.data.Dataset.from_generator(pairs, output_signature=(spec, spec))
data = keras_dnc.pad_to_buckets(data, [4, 8, 12], 3, drop_remainder=True)
layer = keras_dnc.DNC(
    2, 4, memory_size=4, word_size=3, num_reads=1, return_sequences=True
)
model = keras.Sequential([keras.Input((None, 2)), layer])
model.compile("adam", "mse", jit_compile=True)
model.fit(data, epochs=2, verbose=0)
"""


@pytest.mark.slow
@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="compiles by TensorFlow"
)
def test_xla_compiles_once_a_bucket(tmp_path, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", f"--xla_dump_to={tmp_path}")
    subprocess.run([sys.executable, "-c", TRAINING], check=True)
    steps = list(tmp_path.glob("*one_step*.before_optimizations.txt"))
    assert len(steps) == 3
