"""Sequences that grow with the score, and trainings that end at one."""

import csv
import dataclasses

import keras
import numpy as np
import pytest

from keras_dnc import curriculum, training
from keras_dnc.progress import Progress
from keras_dnc.tasks import Copy, Echo, Task

TASK = Copy(min_length=2, max_length=9, sequences=8, test_sequences=4)


def recipe(**changes):
    return dataclasses.replace(TASK.recipe, **changes)


@pytest.mark.parametrize(
    "scores, length",
    [
        ([], 2),
        ([0.89], 2),
        ([0.9], 4),
        ([0.9, 0.1, 0.2], 4),
        # Nine of ten in float32.
        ([float(np.float32(0.9))], 4),
        ([0.9, 0.1, 0.95], 8),
        ([0.9, 0.1, 0.95, 0.99], 9),
        ([1.0] * 9, 9),
    ],
)
def test_sequences_grow_where_the_score_is_reached(scores, length):
    lesson = curriculum.lesson(TASK, recipe(curriculum=0.9), scores)
    assert lesson == dataclasses.replace(TASK, max_length=length)
    assert curriculum.lesson(TASK, recipe(), scores) is TASK


@pytest.mark.parametrize(
    "changes, scores, expected",
    [
        ({"epochs": 2}, [0.5], False),
        ({"epochs": 2}, [0.5, 0.5], True),
        ({"epochs": 9}, [1.0, 1.0], False),
        ({"epochs": 9, "target": 0.9}, [], False),
        ({"epochs": 9, "target": 0.9}, [0.89], False),
        ({"epochs": 9, "target": 0.9}, [0.9], True),
        ({"epochs": 9, "target": 0.9}, [0.95, 0.8], False),
        # Lengths 2, 4 and 8 are not yet the task.
        ({"epochs": 9, "target": 0.9, "curriculum": 0.9}, [1.0] * 3, False),
        ({"epochs": 9, "target": 0.9, "curriculum": 0.9}, [1.0] * 4, True),
    ],
)
def test_it_ends_at_the_target_or_the_last_epoch(changes, scores, expected):
    assert curriculum.is_over(TASK, recipe(**changes), scores) is expected


def test_given_sequences_do_not_grow():
    class Given(Task):
        name = "given"

    with pytest.raises(ValueError, match=r"`curriculum` must be 0.* given"):
        curriculum.check(Given(), recipe(curriculum=0.5))
    curriculum.check(Given(), recipe())


@pytest.mark.parametrize("name", ["curriculum", "target"])
@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan")])
def test_a_score_is_a_share(name, value):
    with pytest.raises(ValueError, match=f"`{name}` must be"):
        recipe(**{name: value})


class Scripted(keras.callbacks.Callback):
    """Makes the scores of epochs those of a list, before others see them."""

    scores = (0.3, 0.8, 0.9, 0.2, 0.9, 0.9, 0.9)

    def on_epoch_end(self, epoch, logs=None):
        logs[TASK.metric] = self.scores[epoch]


@pytest.fixture
def scripted(monkeypatch):
    """A small network, the scores of whose epochs are `Scripted`."""

    def build(task, recipe):
        model = keras.Sequential(
            [
                keras.Input((None, len(task.input_labels))),
                keras.layers.Dense(len(task.output_labels)),
            ]
        )
        model.compile("adam", jit_compile=False, **task.compile_arguments())
        fit = model.fit

        def scripted_fit(*arguments, callbacks, **options):
            fit(*arguments, callbacks=[Scripted(), *callbacks], **options)

        model.fit = scripted_fit
        return model

    monkeypatch.setattr(training, "build_model", build)


def lengths(folder):
    with (folder / "log.csv").open() as file:
        return [int(row["max_length"]) for row in csv.DictReader(file)]


@pytest.fixture
def drawn(monkeypatch):
    """The longest sequence of each epoch that was drawn."""
    steps = {}
    epochs = training._epochs

    def recorded(task, seed, numbers):
        for number in numbers:
            (data,) = epochs(task, seed, [number])
            steps[number] = data.inputs.shape[1]
            yield data

    monkeypatch.setattr(training, "_epochs", recorded)
    return steps


def test_a_training_follows_its_scores(scripted, drawn, tmp_path):
    settings = recipe(curriculum=0.8, target=0.9, epochs=20)
    training.train(TASK, settings, 1, Progress(tmp_path), verbose=0)
    # 0.3 and 0.8 at length 2, 0.9 at 4, 0.2 and 0.9 at 8, 0.9 at 9.
    assert lengths(tmp_path) == [2, 2, 4, 8, 8, 9]
    assert [drawn[epoch] for epoch in range(6)] == [6, 6, 10, 18, 18, 20]


@pytest.mark.parametrize("after", [1, 2, 3, 5])
def test_what_was_cut_off_goes_on_in_its_lesson(scripted, after, tmp_path):
    settings = recipe(curriculum=0.8, target=0.9, epochs=20)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    whole.mkdir(), cut.mkdir()
    expected = training.train(TASK, settings, 1, Progress(whole), verbose=0)
    first = dataclasses.replace(settings, epochs=after)
    training.train(TASK, first, 1, Progress(cut), verbose=0)
    model = training.train(TASK, settings, 1, Progress(cut), verbose=0)
    assert (cut / "log.csv").read_bytes() == (whole / "log.csv").read_bytes()
    for a, b in zip(model.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


# In the middle of a lesson, and with its end.
@pytest.mark.parametrize("last", [0, 1, 3])
def test_a_callback_ends_the_training(scripted, last, tmp_path):
    class Ends(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == last:
                self.model.stop_training = True

    settings = recipe(curriculum=0.8, epochs=20)
    training.train(
        TASK, settings, 1, Progress(tmp_path), callbacks=[Ends()], verbose=0
    )
    assert lengths(tmp_path) == [2, 2, 4, 8][: last + 1]


def test_a_missing_log_is_named(scripted, tmp_path):
    training.train(TASK, recipe(), 1, Progress(tmp_path), verbose=0)
    (tmp_path / "log.csv").unlink()
    with pytest.raises(ValueError, match=r"log\.csv: expected a row for each"):
        training.train(TASK, recipe(epochs=2), 1, Progress(tmp_path))


def test_a_log_without_the_score_is_named(scripted, tmp_path):
    training.train(TASK, recipe(), 1, Progress(tmp_path), verbose=0)
    log = tmp_path / "log.csv"
    log.write_text(log.read_text().replace("right_bits", "bits"))
    with pytest.raises(ValueError, match=r"log\.csv, line 2: .* right_bits"):
        training.train(TASK, recipe(epochs=2), 1, Progress(tmp_path))


@pytest.mark.parametrize("task", [Echo(), Copy(bits=3)])
@pytest.mark.parametrize("controller", [5, 64])
def test_an_lstm_has_as_many_weights_as_the_dnc(task, controller):
    settings = dataclasses.replace(task.recipe, controller=controller)
    dnc = training.build_model(task, settings)
    lstm = training.build_model(task, dataclasses.replace(settings, lstm=True))
    (units,) = (
        layer.units
        for layer in lstm._flatten_layers()
        if isinstance(layer, keras.layers.LSTM)
    )
    width, answers = len(task.input_labels), len(task.output_labels)

    def count(units):
        return 4 * units * (width + units + 1) + answers * (units + 1)

    assert lstm.count_params() == count(units)
    distance = abs(count(units) - dnc.count_params())
    for other in (units - 1, units + 1):
        assert distance <= abs(count(other) - dnc.count_params())
