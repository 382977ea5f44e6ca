"""The ablation counts passes, and changes what it says it changes."""

import dataclasses
import math

import keras
import pytest

from keras_dnc import ablation, training
from keras_dnc.__main__ import main
from keras_dnc.tasks import Copy, GraphShortestPath, KeyValueRecall, Recipe

TASK = KeyValueRecall(max_length=2, sequences=50, test_sequences=7)
PLAIN = Recipe(controller=4, memory_size=9, normalization=True)


class Learner:
    """In place of a model: right in a share that grows with each pass."""

    def __init__(self, recipe):
        self.step = 0.4 if recipe.masked_keys else 0.2
        self.share = 0.0
        self.stop_training = False

    def learn(self):
        self.share = min(self.share + self.step, 0.995)

    def evaluate(self, batches, steps, **arguments):
        batches = list(batches)
        assert len(batches) == steps
        inputs, targets, weights = batches[0]
        assert inputs.shape[:2] == targets.shape[:2] == weights.shape
        assert len(inputs) == TASK.test_sequences
        return {"right_bits": self.share}


@pytest.fixture
def trained(monkeypatch):
    """Training takes no time; returns task, recipe and seed of each."""
    trainings = []

    def train(task, recipe, seed, *, callbacks, verbose):
        trainings.append((task, recipe, seed))
        model = Learner(recipe)
        for epoch in range(recipe.epochs):
            model.learn()
            for callback in callbacks:
                callback.set_model(model)
                callback.on_epoch_end(epoch, {})
            if model.stop_training:
                break

    monkeypatch.setattr(training, "train", train)
    # Another process would train in earnest.
    monkeypatch.setattr(
        ablation, "in_own_process", lambda function, *given: function(*given)
    )
    return trainings


def test_passes_are_counted_until_the_task_is_solved(trained):
    options = ablation.Options(target=0.7, epochs=10)
    recipe = dataclasses.replace(TASK.recipe, target=0.1, curriculum=0.8)
    count, share = ablation.passes_to_solve(TASK, recipe, 6, options)
    assert count == 4
    assert share == pytest.approx(0.8)
    # The share of the sequences of training ends nothing.
    recipe = dataclasses.replace(recipe, epochs=10, target=0.0)
    assert trained == [(TASK, recipe, 6)]


def test_a_run_is_given_up(trained):
    options = ablation.Options(target=0.999, epochs=8)
    count, share = ablation.passes_to_solve(TASK, TASK.recipe, 0, options)
    assert count is None
    assert share == pytest.approx(0.995)


def test_a_run_that_comes_to_nan_is_not_a_slow_one(monkeypatch):
    def train(*_, **__):
        raise FloatingPointError("the loss is nan")

    monkeypatch.setattr(training, "train", train)
    options = ablation.Options(target=0.7, epochs=3)
    count, share = ablation.passes_to_solve(TASK, TASK.recipe, 0, options)
    assert count is None and math.isnan(share)


def test_the_command_prints_each_run_and_the_medians(trained, capsys):
    words = ["ablation", "key-value", "--variants", "plain", "masked"]
    words += ["--seeds", "3", "4", "--epochs", "4", "--curriculum", "0.8"]
    words += ["--target", "0.9", "--max-length=2", "--test-sequences=7"]
    assert main(words) == 0
    rows = [
        [cell.strip() for cell in line.split("|")]
        for line in capsys.readouterr().out.splitlines()
    ]
    assert [row[:4] for row in rows[1:5]] == [
        ["plain", "3", "over 4", "0.8000"],
        ["plain", "4", "over 4", "0.8000"],
        ["masked", "3", "3", "0.9950"],
        ["masked", "4", "3", "0.9950"],
    ]
    assert rows[6:] == [["plain", "over 4"], ["masked", "3"]]
    task, recipe, _ = trained[0]
    assert (task.sequences, recipe.curriculum) == (1_000, 0.8)


def test_what_is_solved_is_the_whole_task(monkeypatch):
    """By a real training, of lessons of one pair and of two."""
    models = []

    def build(task, recipe):
        model = keras.Sequential([keras.layers.Dense(len(task.output_labels))])
        model.compile(
            keras.optimizers.Adam(0.01),
            jit_compile=False,
            **task.compile_arguments(),
        )
        models.append(model)
        return model

    monkeypatch.setattr(training, "build_model", build)
    task = dataclasses.replace(TASK, min_length=1)
    recipe = dataclasses.replace(task.recipe, curriculum=0.01)
    options = ablation.Options(epochs=3)
    count, share = ablation.passes_to_solve(task, recipe, 5, options)
    assert count is None
    test = training.test_batch(task, 5)
    figures = models[0].evaluate(
        *test[:2], sample_weight=test.weights, verbose=0, return_dict=True
    )
    assert share == pytest.approx(figures["right_bits"], rel=1e-6)


def test_a_variant_that_cannot_be_is_refused_before_any_is_trained(trained):
    small = dataclasses.replace(Copy.recipe, memory_size=6)
    with pytest.raises(ValueError, match="`sparse_links`.*memory_size=6"):
        ablation.run(TASK, small, ["plain", "sparse"], [0], ablation.Options())
    assert not trained


def test_a_task_of_several_right_answers_is_refused(trained):
    task = GraphShortestPath()
    with pytest.raises(ValueError, match="one right answer.*shortest-path"):
        ablation.run(task, task.recipe, ["plain"], [0], ablation.Options())


def test_a_target_that_cannot_be_reached_is_refused():
    with pytest.raises(ValueError, match=r"`target` must be .*target=1\.5"):
        ablation.Options(target=1.5)


def config_of(recipe):
    # So that layers of the same kind have the same names.
    keras.utils.clear_session()
    model = training.build_model(Copy(), recipe)
    return model.get_layer("dnc").get_config()


@pytest.mark.parametrize("variant", ablation.VARIANTS)
def test_each_variant_builds_the_network_it_names(variant):
    recipe = dataclasses.replace(
        PLAIN, **ablation.PLAIN | ablation.VARIANTS[variant]
    )
    config, plain = config_of(recipe), config_of(PLAIN)
    changed = {name for name, value in config.items() if plain[name] != value}
    assert changed == set(ablation.VARIANTS[variant])


@pytest.mark.slow
@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="trains with XLA"
)
def test_a_network_that_trains_comes_nearer():
    options = ablation.Options(epochs=1)
    task = KeyValueRecall(min_length=1, max_length=1, bits=4, sequences=2_000)
    _, share = ablation.passes_to_solve(task, task.recipe, 0, options)
    # Half of the bits are right by chance.
    assert share > 0.6
