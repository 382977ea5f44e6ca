"""The generated tasks, against a reader that walks each sequence."""

import numpy as np
import pytest

from keras_dnc.tasks import (
    TASKS,
    AssociativeRecall,
    Copy,
    Echo,
    KeyValueRecall,
)


def echo_answers(inputs):
    """Says what an Echo sequence asks for: {step: symbol}."""
    heard = []
    for step, vector in enumerate(inputs):
        if vector[4] == 1:
            return {step + i: symbol for i, symbol in enumerate(heard)}
        assert vector.sum() == 1
        heard.append(int(np.flatnonzero(vector)[0]))
    raise AssertionError("a sequence without a cue")


def copy_answers(inputs, bits):
    """Says what a Copy sequence asks for: {step: word}."""
    assert inputs[0, bits] == 1 and inputs[0].sum() == 1
    heard = []
    for step, vector in enumerate(inputs[1:], start=1):
        if vector[bits + 1] == 1:
            assert vector.sum() == 1
            return {step + 1 + i: word for i, word in enumerate(heard)}
        assert vector[bits:].sum() == 0
        heard.append(vector[:bits])
    raise AssertionError("a sequence without an end")


def test_echo_asks_for_the_symbols_heard_from_the_cue_on():
    batch = Echo().sample(300, np.random.default_rng(0))
    assert batch.inputs.shape == (300, 10, 5)
    lengths = []
    for inputs, targets, weights in zip(*batch, strict=True):
        answers = echo_answers(inputs)
        lengths.append(len(answers))
        for step in range(10):
            assert weights[step] == (step in answers)
            expected = np.zeros(5)
            if step in answers:
                expected[answers[step]] = 1
            np.testing.assert_array_equal(targets[step], expected)
        # After the cue there is nothing more to hear.
        assert inputs[len(answers) + 1 :].sum() == 0
    assert set(lengths) == {3, 4, 5}


def test_copy_asks_for_the_words_heard_after_the_end():
    batch = Copy(bits=3, max_length=6).sample(300, np.random.default_rng(0))
    assert batch.inputs.shape == (300, 14, 5)
    lengths = []
    for inputs, targets, weights in zip(*batch, strict=True):
        answers = copy_answers(inputs, 3)
        lengths.append(len(answers))
        for step in range(14):
            assert weights[step] == (step in answers)
            np.testing.assert_array_equal(
                targets[step], answers.get(step, np.zeros(3))
            )
        assert inputs[len(answers) + 2 :].sum() == 0
    assert set(lengths) == set(range(1, 7))


def test_echo_draws_lengths_and_symbols_uniformly():
    count = 30_000
    batch = Echo().sample(count, np.random.default_rng(1))
    lengths = batch.weights.sum(-1)
    for length in (3, 4, 5):
        # Five standard deviations of a binomial share.
        bound = 5 * np.sqrt(1 / 3 * 2 / 3 / count)
        assert abs((lengths == length).mean() - 1 / 3) < bound
    symbols = batch.targets.sum((0, 1))
    assert symbols[4] == 0
    bound = 5 * np.sqrt(1 / 4 * 3 / 4 / symbols.sum())
    assert np.abs(symbols[:4] / symbols.sum() - 1 / 4).max() < bound


def test_associative_recall_asks_for_the_item_after_the_one_shown():
    task = AssociativeRecall(bits=4, item_length=2, max_length=5)
    batch = task.sample(300, np.random.default_rng(0))
    assert batch.inputs.shape == (300, 21, 6)
    assert len(task.input_labels) == 6
    lengths, places = [], []
    for inputs, targets, weights in zip(*batch, strict=True):
        first, second = np.flatnonzero(inputs[:, 5])
        assert second == first + 3
        starts = np.flatnonzero(inputs[:, 4])
        np.testing.assert_array_equal(starts, np.arange(0, first, 3))
        # Cues stand alone.
        assert not inputs[[*starts, first, second], :4].any()
        items = [inputs[start + 1 : start + 3, :4] for start in starts]
        question = inputs[first + 1 : first + 3, :4]
        same = [i for i, x in enumerate(items[:-1]) if (x == question).all()]
        answer = targets[second + 1 : second + 3]
        matching = [i for i in same if (items[i + 1] == answer).all()]
        assert matching
        expected = np.zeros(21)
        expected[second + 1 : second + 3] = 1
        np.testing.assert_array_equal(weights, expected)
        assert not targets[weights == 0].any()
        assert not inputs[second + 1 :].any()
        lengths.append(len(items))
        places.append(matching[0])
    assert set(lengths) == {2, 3, 4, 5}
    assert set(places) == {0, 1, 2, 3}


def test_key_value_asks_for_the_value_of_each_key_in_another_order():
    task = KeyValueRecall(bits=4, max_length=6)
    batch = task.sample(300, np.random.default_rng(0))
    assert batch.inputs.shape == (300, 12, 9)
    assert len(task.input_labels) == 9
    lengths, orders = [], set()
    for inputs, targets, weights in zip(*batch, strict=True):
        questions = np.flatnonzero(inputs[:, 8])
        length = len(questions)
        np.testing.assert_array_equal(questions, length + np.arange(length))
        pairs = {tuple(vector[:4]): vector[4:8] for vector in inputs[:length]}
        assert len(pairs) == length
        for step in range(12):
            assert weights[step] == (step in questions)
            expected = np.zeros(4)
            if step in questions:
                assert not inputs[step, 4:8].any()
                expected = pairs[tuple(inputs[step, :4])]
            np.testing.assert_array_equal(targets[step], expected)
        assert not inputs[2 * length :].any()
        lengths.append(length)
        if length == 2:
            same = (inputs[0, :4] == inputs[2, :4]).all()
            orders.add(bool(same))
    assert set(lengths) == {2, 3, 4, 5, 6}
    assert orders == {False, True}


def test_key_value_uses_all_keys_where_it_must():
    task = KeyValueRecall(bits=2, min_length=4, max_length=4)
    batch = task.sample(20, np.random.default_rng(0))
    for inputs in batch.inputs:
        assert {tuple(key) for key in inputs[:4, :2]} == {
            (0, 0),
            (0, 1),
            (1, 0),
            (1, 1),
        }


def test_more_pairs_than_keys_are_refused():
    with pytest.raises(ValueError, match="at most 4.*2 bits.*max_length=5"):
        KeyValueRecall(bits=2, max_length=5)


def test_one_item_has_none_after_it():
    with pytest.raises(ValueError, match="at least 2.*min_length=1"):
        AssociativeRecall(min_length=1)


GENERATED = [Echo, Copy, AssociativeRecall, KeyValueRecall]


@pytest.mark.parametrize(
    "task", [task() for task in GENERATED], ids=lambda task: task.name
)
def test_a_seed_determines_the_sequences(task):
    first, again, other = (
        task.sample(50, np.random.default_rng(seed)) for seed in (3, 3, 4)
    )
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert (first.inputs != other.inputs).any()


def test_echo_counts_wrong_symbols():
    task = Echo()
    batch = task.sample(20, np.random.default_rng(0))
    outputs = batch.targets.copy()
    # Steps that do not count may say anything.
    outputs[batch.weights == 0] = [0, 0, 0, 0, 9]
    figures = task.score(outputs, batch)
    assert figures["symbols"] == batch.weights.sum()
    assert figures["wrong symbols"] == 0
    assert figures["mean squared error"] == 0

    step = int(batch.weights[7].nonzero()[0][0])
    right = batch.targets[7, step].argmax()
    outputs[7, step, (right + 1) % 4] = 2
    figures = task.score(outputs, batch)
    assert figures["wrong symbols"] == 1
    assert figures["sequences with a wrong symbol"] == 1
    assert figures["mean squared error"] == pytest.approx(
        2**2 / 5 / batch.weights.sum()
    )


def test_copy_counts_wrong_bits():
    task = Copy(bits=4)
    batch = task.sample(10, np.random.default_rng(0))
    outputs = 2 * batch.targets - 1
    outputs[batch.weights == 0] = 7
    assert task.score(outputs, batch)["wrong bits"] == 0
    step = int(batch.weights[3].nonzero()[0][0])
    outputs[3, step, :3] *= -1
    figures = task.score(outputs, batch)
    assert figures["wrong bits"] == 3
    assert figures["wrong bits per sequence"] == pytest.approx(0.3)
    assert figures["wrong bits in %"] == pytest.approx(
        100 * 3 / (4 * batch.weights.sum())
    )


@pytest.mark.parametrize("task", GENERATED)
@pytest.mark.parametrize("name", ["min_length", "sequences", "test_sequences"])
@pytest.mark.parametrize("value", [0, -1, 2.5, "3"])
def test_a_bad_option_is_named(task, name, value):
    with pytest.raises(ValueError, match=rf"`{name}` must be .* Received: "):
        task(**{name: value})


def test_a_minimum_above_the_maximum_is_named():
    with pytest.raises(ValueError, match="at most max_length=2.*min_length=3"):
        Echo(min_length=3, max_length=2)


def test_a_picture_shows_nothing_where_nothing_counts():
    task = Copy(bits=2, max_length=3)
    batch = task.sample(5, np.random.default_rng(0))
    logits = np.full(batch.targets.shape, np.log(3))
    targets, answers = task.shown(logits, batch, example=2)
    counts = batch.weights[2] > 0
    np.testing.assert_array_equal(targets[counts], batch.targets[2, counts])
    np.testing.assert_allclose(answers[counts], 0.75)
    assert np.isnan(targets[~counts]).all()
    assert np.isnan(answers[~counts]).all()


def test_tasks_are_listed_by_their_names():
    assert {name: task.name for name, task in TASKS.items()} == {
        "echo": "echo",
        "copy": "copy",
        "associative-recall": "associative-recall",
        "key-value": "key-value",
        "babi": "babi",
    }
