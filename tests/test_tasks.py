"""The generated tasks, against a reader that walks each sequence."""

import dataclasses
import math

import numpy as np
import pytest

from keras_dnc import runs
from keras_dnc.tasks import (
    TASKS,
    Adding,
    Argmax,
    AssociativeRecall,
    Babi,
    Copy,
    Echo,
    GeneratedTask,
    GraphShortestPath,
    KeyValueRecall,
    PrioritySort,
    RepeatCopy,
    TwoWayKeyValueRecall,
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


@pytest.mark.parametrize("item_bits", [4, 1])
def test_associative_recall_asks_for_the_item_after_the_one_shown(item_bits):
    task = AssociativeRecall(bits=item_bits, item_length=2, max_length=5)
    batch = task.sample(300, np.random.default_rng(0))
    assert batch.inputs.shape == (300, 21, item_bits + 2)
    assert len(task.input_labels) == item_bits + 2
    lengths, places = [], []
    for inputs, targets, weights in zip(*batch, strict=True):
        first, second = np.flatnonzero(inputs[:, item_bits + 1])
        assert second == first + 3
        starts = np.flatnonzero(inputs[:, item_bits])
        np.testing.assert_array_equal(starts, np.arange(0, first, 3))
        # Cues stand alone.
        assert not inputs[[*starts, first, second], :item_bits].any()
        items = [inputs[start + 1 : start + 3, :item_bits] for start in starts]
        question = inputs[first + 1 : first + 3, :item_bits]
        (place,) = (i for i, x in enumerate(items) if (x == question).all())
        answer = targets[second + 1 : second + 3]
        np.testing.assert_array_equal(items[place + 1], answer)
        expected = np.zeros(21)
        expected[second + 1 : second + 3] = 1
        np.testing.assert_array_equal(weights, expected)
        assert not targets[weights == 0].any()
        assert not inputs[second + 1 :].any()
        lengths.append(len(items))
        places.append(place)
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


def test_two_way_key_value_asks_for_what_belongs_to_the_one_shown():
    task = TwoWayKeyValueRecall(bits=4, max_length=6)
    batch = task.sample(300, np.random.default_rng(0))
    assert batch.inputs.shape == (300, 12, 10)
    assert task.input_labels[8:] == ["value of", "key of"]
    kinds = []
    for inputs, targets, weights in zip(*batch, strict=True):
        cues = inputs[:, 8:]
        questions = np.flatnonzero(cues.any(axis=-1))
        length = len(questions)
        np.testing.assert_array_equal(questions, length + np.arange(length))
        np.testing.assert_array_equal(weights.nonzero()[0], questions)
        pairs = [
            (tuple(vector[:4]), tuple(vector[4:8]))
            for vector in inputs[:length]
        ]
        answers = {"value of": dict(pairs), "key of": {v: k for k, v in pairs}}
        assert all(len(known) == length for known in answers.values())
        asked = set()
        for step in questions:
            assert cues[step].sum() == 1
            wants_key = int(cues[step, 1])
            shown = inputs[step, 4 * wants_key :][:4]
            assert not inputs[step, 4 * (1 - wants_key) :][:4].any()
            known = answers[task.input_labels[8 + wants_key]]
            assert tuple(targets[step]) == known[tuple(shown)]
            asked.add(list(known).index(tuple(shown)))
            kinds.append(wants_key)
        assert len(asked) == length
        assert not targets[weights == 0].any()
        assert not inputs[2 * length :].any()
    bound = 5 * np.sqrt(1 / 4 / len(kinds))
    assert abs(np.mean(kinds) - 1 / 2) < bound


def test_keys_are_drawn_uniformly():
    count = 20_000
    task = KeyValueRecall(bits=2, min_length=3, max_length=3)
    batch = task.sample(count, np.random.default_rng(1))
    numbers = batch.inputs[:, :3, :2] @ [1, 2]
    rows, counts = np.unique(numbers, axis=0, return_counts=True)
    # Three different ones of four in any order.
    assert len(rows) == 24
    bound = 5 * np.sqrt(1 / 24 * 23 / 24 / count)
    assert np.abs(counts / count - 1 / 24).max() < bound


def repeat_copy_answers(inputs, bits, largest):
    """Says what a RepeatCopy sequence asks for: {step: word and end mark}."""
    assert inputs[0, bits] == 1 and inputs[0].sum() == 1
    heard = []
    for step, vector in enumerate(inputs[1:], start=1):
        assert vector[bits] == 0
        if vector[bits + 1] > 0:
            assert not vector[:bits].any()
            repeats = vector[bits + 1] * largest
            assert repeats == pytest.approx(round(repeats))
            said = [[*word, 0] for word in heard] * round(repeats)
            said.append([0] * bits + [1])
            answers = {step + 1 + i: word for i, word in enumerate(said)}
            return answers, len(heard), round(repeats)
        heard.append(vector[:bits])
    raise AssertionError("a sequence without a number of repeats")


def test_repeat_copy_asks_for_the_words_so_many_times():
    task = RepeatCopy(bits=3, max_length=4, min_repeats=2, max_repeats=5)
    batch = task.sample(300, np.random.default_rng(0))
    assert batch.inputs.shape == (300, 27, 5)
    assert len(task.input_labels) == 5
    assert len(task.output_labels) == 4
    seen = []
    for inputs, targets, weights in zip(*batch, strict=True):
        answers, length, repeats = repeat_copy_answers(inputs, 3, 10)
        seen.append((length, repeats))
        for step in range(27):
            assert weights[step] == (step in answers)
            np.testing.assert_array_equal(
                targets[step], answers.get(step, np.zeros(4))
            )
        assert not inputs[length + 2 :].any()
    assert {length for length, _ in seen} == {1, 2, 3, 4}
    assert {repeats for _, repeats in seen} == {2, 3, 4, 5}
    # The longest is as long as there is room.
    assert max(length * (repeats + 1) + 3 for length, repeats in seen) == 27


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_repeats": 6}, "at most max_repeats=5.*min_repeats=6"),
        ({"max_repeats": 11}, "at most largest_repeats=10.*max_repeats=11"),
    ],
)
def test_numbers_of_repeats_that_do_not_fit_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        RepeatCopy(**options)


@pytest.mark.parametrize("answers", [3, 16])
def test_priority_sort_asks_for_the_words_by_priority(answers):
    task = PrioritySort(bits=5, max_length=6, answers=answers)
    batch = task.sample(300, np.random.default_rng(0))
    steps = 7 + min(answers, 6)
    assert batch.inputs.shape == (300, steps, 7)
    assert len(task.input_labels) == 7
    lengths = []
    for inputs, targets, weights in zip(*batch, strict=True):
        (end,) = np.flatnonzero(inputs[:, 6])
        assert not inputs[end, :6].any()
        assert not inputs[end + 1 :].any()
        heard = [(vector[5], tuple(vector[:5])) for vector in inputs[:end]]
        assert all(-1 <= priority <= 1 for priority, _ in heard)
        said = [word for _, word in sorted(heard, reverse=True)][:answers]
        asked = np.arange(steps) > end
        asked &= np.arange(steps) <= end + len(said)
        np.testing.assert_array_equal(weights, asked)
        np.testing.assert_array_equal(targets[asked], said)
        assert not targets[~asked].any()
        lengths.append(end)
    assert set(lengths) == {2, 3, 4, 5, 6}


def test_priorities_are_uniform():
    task = PrioritySort(min_length=20, max_length=20)
    batch = task.sample(1_000, np.random.default_rng(2))
    priorities = np.sort(batch.inputs[:, :20, 8].ravel())
    # Kolmogorov's bound, exceeded with probability 2 exp(-2 · 2.5²) = 7e-6.
    distance = np.abs((priorities + 1) / 2 - np.linspace(0, 1, 20_000)).max()
    assert distance < 2.5 / np.sqrt(20_000)


def test_adding_asks_for_the_sum_of_the_marked_numbers():
    task = Adding(max_length=6)
    batch = task.sample(300, np.random.default_rng(0))
    assert batch.inputs.shape == (300, 7, 3)
    lengths = []
    for inputs, targets, weights in zip(*batch, strict=True):
        (end,) = np.flatnonzero(inputs[:, 2])
        marked = np.flatnonzero(inputs[:, 1])
        assert len(marked) == 2 and marked[1] < end
        assert not inputs[end + 1 :].any()
        assert not inputs[end, :2].any()
        total = sum(float(inputs[step, 0]) for step in marked)
        expected = np.zeros((7, 1))
        expected[end] = total
        np.testing.assert_allclose(targets, expected, rtol=1e-6)
        np.testing.assert_array_equal(weights, np.arange(7) == end)
        lengths.append(end)
    assert set(lengths) == {2, 3, 4, 5, 6}


def test_each_pair_of_numbers_is_added_as_often():
    count = 30_000
    task = Adding(min_length=4, max_length=4)
    batch = task.sample(count, np.random.default_rng(3))
    pairs, counts = np.unique(batch.inputs[:, :, 1], axis=0, return_counts=True)
    assert len(pairs) == 6
    bound = 5 * np.sqrt(1 / 6 * 5 / 6 / count)
    assert np.abs(counts / count - 1 / 6).max() < bound


def test_adding_counts_sums_that_are_off():
    task = Adding()
    batch = task.sample(10, np.random.default_rng(0))
    outputs = batch.targets + 0.07
    outputs[batch.weights == 0] = 9
    figures = task.score(outputs, batch)
    assert figures["wrong sums"] == 0
    assert figures["mean squared error"] == pytest.approx(49e-4, rel=1e-4)
    assert "wrong" not in task.text(outputs, batch, example=4)
    outputs[4] += 0.02
    assert "wrong" in task.text(outputs, batch, example=4)
    figures = task.score(outputs, batch)
    assert figures["wrong sums"] == 1
    assert figures["wrong sums in %"] == pytest.approx(10)


def test_argmax_asks_for_the_place_of_the_first_largest():
    task = Argmax(digits=5, max_length=6, places=8)
    batch = task.sample(300, np.random.default_rng(0))
    assert batch.inputs.shape == (300, 7, 6)
    assert batch.targets.shape == (300, 7, 8)
    lengths, ties = [], 0
    for inputs, targets, weights in zip(*batch, strict=True):
        (end,) = np.flatnonzero(inputs[:, 5])
        digits = [list(vector).index(1) for vector in inputs[:end]]
        np.testing.assert_array_equal(inputs[:end].sum(-1), 1)
        assert not inputs[end + 1 :].any()
        expected = np.zeros((7, 8))
        expected[end, digits.index(max(digits))] = 1
        np.testing.assert_array_equal(targets, expected)
        np.testing.assert_array_equal(weights, np.arange(7) == end)
        lengths.append(end)
        ties += digits.count(max(digits)) > 1
    assert set(lengths) == {2, 3, 4, 5, 6}
    assert ties > 30


def test_argmax_counts_wrong_places():
    task = Argmax()
    batch = task.sample(20, np.random.default_rng(0))
    outputs = batch.targets.copy()
    outputs[batch.weights == 0] = np.eye(20)[0]
    assert task.score(outputs, batch)["wrong places"] == 0
    outputs[7] = np.roll(outputs[7], 1, axis=-1)
    figures = task.score(outputs, batch)
    assert figures["wrong places"] == 1
    assert figures["wrong places in %"] == pytest.approx(5)


def test_more_digits_than_places_are_refused():
    with pytest.raises(ValueError, match="at most places=5.*max_length=6"):
        Argmax(max_length=6, places=5)


def test_one_number_is_no_sum():
    with pytest.raises(ValueError, match="at least 2.*min_length=1"):
        Adding(min_length=1)


def test_keys_that_are_too_long_are_refused():
    assert KeyValueRecall(bits=62).sample(2, np.random.default_rng(0))
    with pytest.raises(ValueError, match="`bits` must be at most 62.*bits=63"):
        KeyValueRecall(bits=63)


def test_more_pairs_than_keys_are_refused():
    with pytest.raises(ValueError, match="at most 4.*2 bits.*max_length=5"):
        KeyValueRecall(bits=2, max_length=5)


def test_one_item_has_none_after_it():
    with pytest.raises(ValueError, match="at least 2.*min_length=1"):
        AssociativeRecall(min_length=1)


GENERATED = [task for task in TASKS.values() if issubclass(task, GeneratedTask)]


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


@pytest.mark.parametrize("count", [0, -1, 2.5])
@pytest.mark.parametrize("task", GENERATED)
def test_a_count_of_sequences_that_is_none_is_named(task, count):
    with pytest.raises(ValueError, match=f"`count` must .*count={count}"):
        task().sample(count, np.random.default_rng(0))


def test_sequences_may_be_drawn_from_a_seed():
    task = Copy()
    for a, b in zip(
        task.sample(5, 3),
        task.sample(5, np.random.default_rng(3)),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)


def squared(outputs, targets):
    return sum((y - t) ** 2 for y, t in zip(outputs, targets, strict=True))


def mean_squared(outputs, targets):
    return squared(outputs, targets) / len(outputs)


def bitwise(outputs, targets):
    probabilities = [1 / (1 + math.exp(-y)) for y in outputs]
    losses = [
        -math.log(p if t else 1 - p)
        for p, t in zip(probabilities, targets, strict=True)
    ]
    return sum(losses) / len(losses)


def of_one_class(outputs, targets):
    (place,) = np.flatnonzero(targets)
    return math.log(sum(map(math.exp, outputs))) - outputs[place]


def share_of_bits(outputs, targets):
    right = [(y > 0) == (t > 0) for y, t in zip(outputs, targets, strict=True)]
    return sum(right) / len(right)


def is_largest(outputs, targets):
    return outputs[int(np.argmax(targets))] == max(outputs)


def is_within(outputs, targets):
    return abs(outputs[0] - targets[0]) <= 0.08


BITS = bitwise, share_of_bits, "wrong bits in %"


@pytest.mark.parametrize(
    "task, loss, right, wrong",
    [
        (Copy(), *BITS),
        (RepeatCopy(), *BITS),
        (AssociativeRecall(), *BITS),
        (KeyValueRecall(), *BITS),
        (TwoWayKeyValueRecall(), *BITS),
        (PrioritySort(), *BITS),
        (Echo(), mean_squared, is_largest, None),
        (Argmax(), of_one_class, is_largest, "wrong places in %"),
        (Adding(), squared, is_within, "wrong sums in %"),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_loss_and_metric_are_means_over_the_steps_that_count(
    task, loss, right, wrong
):
    rng = np.random.default_rng(0)
    batch = task.sample(7, rng)
    # Near the targets, so that some answers are right and some are not.
    spread = 0.1 if isinstance(task, Adding) else 1.0
    outputs = rng.normal(batch.targets, spread).astype("float32")
    steps = [*zip(*batch.weights.nonzero(), strict=True)]
    losses = [loss(outputs[i], batch.targets[i]) for i in steps]
    rights = [float(right(outputs[i], batch.targets[i])) for i in steps]
    assert 0 < np.mean(rights) < 1
    # What is answered at other steps does not count, whatever it is.
    outputs[batch.weights == 0] = 50.0

    compiled = task.compile_arguments()
    found = compiled["loss"](batch.targets, outputs, batch.weights)
    assert float(found) == pytest.approx(np.mean(losses), rel=1e-5)
    (metric,) = compiled["weighted_metrics"]
    metric.update_state(batch.targets, outputs, batch.weights)
    assert float(metric.result()) == pytest.approx(np.mean(rights), rel=1e-5)
    assert metric.name == task.metric
    if wrong:
        share = 1 - task.score(outputs, batch)[wrong] / 100
        assert share == pytest.approx(np.mean(rights), rel=1e-5)


def test_a_sum_that_is_no_number_is_wrong():
    task = Adding()
    batch = task.sample(5, 0)
    outputs = np.full_like(batch.targets, np.nan)
    assert task.score(outputs, batch)["wrong sums"] == 5


def test_a_data_set_has_fresh_batches_of_a_seed():
    pytest.importorskip("tensorflow")
    task = Copy(max_length=3)
    data = task.dataset(4, seed=5)
    first, second = ([part.numpy() for part in batch] for batch in data.take(2))
    for part, expected in zip(
        first, task.sample(4, np.random.default_rng(5)), strict=True
    ):
        np.testing.assert_array_equal(part, expected)
    assert np.any(first[0] != second[0])
    again = next(iter(data))
    np.testing.assert_array_equal(again[0], first[0])
    # Batches of a known size compile once.
    assert data.element_spec[0].shape == (4, 8, 10)
    with pytest.raises(ValueError, match="`batch_size` must be a positive"):
        task.dataset(0)


def test_another_scale_of_repeats_is_another_meaning(tmp_path):
    runs.save_settings(tmp_path, RepeatCopy(), RepeatCopy.recipe, 0)
    assert runs.load_task(tmp_path, max_repeats=9).max_repeats == 9
    with pytest.raises(ValueError, match=r"repeats/10.*repeats/20.*one alone"):
        runs.load_task(tmp_path, largest_repeats=20)


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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hints": "no"}, "`hints` must be True or False. .*'no'"),
        ({"graph": 3}, "`graph` must be a string. .*graph=3"),
    ],
)
def test_an_option_of_another_type_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        GraphShortestPath(**options)


def test_options_of_numpy_and_paths_are_saved(tmp_path):
    path = tmp_path / "graph.csv"
    path.write_text("source,destination,edge\na,b,one\nb,a,one\n")
    given = {"graph": path, "max_length": np.int64(2), "hints": np.False_}
    task = GraphShortestPath(**given)
    recipe = dataclasses.replace(task.recipe, target=np.float32(0.5))
    runs.save_settings(tmp_path, task, recipe, seed=0)
    loaded = runs.load_settings(tmp_path, task.name)
    assert loaded == (task, recipe, 0)
    assert task.graph == str(path)


def test_a_path_of_files_is_saved(tmp_path):
    language = tmp_path / "en"
    language.mkdir()
    for part in ("train", "test"):
        file = language / f"qa1_some-name_{part}.txt"
        file.write_text("1 Mary left.\n2 Who left?\tMary\t1\n")
    given = {"data": tmp_path, "language": "en", "embedding": np.int64(3)}
    task = Babi(**given)
    runs.save_settings(tmp_path, task, task.recipe, seed=0)
    assert runs.load_settings(tmp_path, task.name)[0] == task
    assert (task.data, task.embedding) == (str(tmp_path), 3)


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


def with_answers(task, seed=0):
    """A sequence, and outputs that are the targets, but where nothing counts.

    As logits, which are above 0 where a target is.
    """
    batch = task.sample(1, np.random.default_rng(seed))
    return batch, np.where(batch.weights[..., None] > 0, batch.targets, 9.0)


def test_a_sequence_of_bits_is_shown_step_by_step():
    task = Copy(bits=3, min_length=2, max_length=2)
    batch, outputs = with_answers(task)
    batch.inputs[0, 1:3, :3] = [[1, 0, 1], [0, 0, 1]]
    batch.targets[0, 4:6] = [[1, 0, 1], [0, 0, 1]]
    outputs[0, 4:6] = [[5, -3, 0.1], [-1, 2, 3]]
    assert task.text(outputs, batch, example=0).splitlines() == [
        "step  input      target  answer",
        "0     000 start",
        "1     101",
        "2     001",
        "3     000 end",
        "4     000        101     101",
        "5     000        001     011     wrong",
    ]


def test_pairs_are_shown_as_two_words():
    task = KeyValueRecall(bits=2, min_length=1, max_length=1)
    batch, outputs = with_answers(task)
    batch.inputs[0, :, :4] = [[1, 0, 0, 1], [1, 0, 0, 0]]
    batch.targets[0, 1] = [0, 1]
    outputs[0, 1] = [-1, 1]
    assert task.text(outputs, batch, example=0).splitlines() == [
        "step  input           target  answer",
        "0     10 01",
        "1     10 00 question  01      01",
    ]


def test_numbers_are_shown_with_their_marks():
    task = Adding(min_length=3, max_length=3)
    batch, outputs = with_answers(task)
    batch.inputs[0] = [[0.125, 1, 0], [0.5, 0, 0], [0.75, 1, 0], [0, 0, 1]]
    batch.targets[0, 3] = 0.875
    outputs[0, 3] = 0.6
    assert task.text(outputs, batch, example=0).splitlines() == [
        "step  input        target  answer",
        "0     0.12 marked",
        "1     0.50",
        "2     0.75 marked",
        "3     end          0.88    0.60    wrong",
    ]


def test_classes_are_shown_by_name():
    task = Argmax(digits=4, min_length=2, max_length=2, places=3)
    batch, outputs = with_answers(task)
    batch.inputs[0, :2, :4] = np.eye(4)[[1, 3]]
    batch.targets[0, 2] = [0, 1, 0]
    outputs[0, 2] = [0.1, 0.2, 0.3]
    assert task.text(outputs, batch, example=0).splitlines() == [
        "step  input  target   answer",
        "0     1",
        "1     3",
        "2     cue    place 1  place 2  wrong",
    ]


@pytest.mark.parametrize("task", GENERATED)
def test_every_task_is_shown(task):
    batch, outputs = with_answers(task())
    lines = task().text(outputs, batch, example=0).splitlines()
    assert len(lines) == 2 + batch.weights[0].nonzero()[0].max()
    assert not any("wrong" in line for line in lines)


def test_tasks_are_listed_by_their_names():
    assert {name: task.name for name, task in TASKS.items()} == {
        "echo": "echo",
        "copy": "copy",
        "repeat-copy": "repeat-copy",
        "associative-recall": "associative-recall",
        "key-value": "key-value",
        "two-way-key-value": "two-way-key-value",
        "priority-sort": "priority-sort",
        "adding": "adding",
        "argmax": "argmax",
        "graph-traversal": "graph-traversal",
        "graph-shortest-path": "graph-shortest-path",
        "family-inference": "family-inference",
        "digits": "digits",
        "babi": "babi",
    }
