"""The ablation counts sequences, and changes what it says it changes."""

import dataclasses

import keras
import numpy as np
import pytest

from keras_dnc import ablation, training
from keras_dnc.__main__ import main
from keras_dnc.tasks import Copy, KeyValueRecall, Recipe

TASK = KeyValueRecall(max_length=2, test_sequences=7)


class Learner:
    """In place of a model: right in a share that grows with each pass."""

    def __init__(self, recipe, seen):
        self.step = 0.4 if recipe.masked_keys else 0.2
        self.share = 0.0
        self.seen = seen

    def fit(self, inputs, targets, sample_weight, batch_size, verbose):
        assert inputs.shape[:2] == targets.shape[:2] == sample_weight.shape
        self.share += self.step
        self.seen.append(inputs)
        log = keras.callbacks.History()
        log.history = {"right_bits": [self.share]}
        return log

    def evaluate(self, inputs, targets, **arguments):
        assert len(inputs) == TASK.test_sequences
        return {"right_bits": min(self.share, 0.995)}


@pytest.fixture
def seen(monkeypatch):
    """Training takes no time; returns the batches of sequences trained on."""
    batches = []
    monkeypatch.setattr(
        training, "build_model", lambda task, recipe: Learner(recipe, batches)
    )
    return batches


def test_sequences_are_counted_until_the_task_is_solved(seen):
    options = ablation.Options(target=0.7, every=50, limit=500)
    count, share = ablation.sequences_to_solve(
        TASK, TASK.recipe, seed=0, options=options
    )
    assert count == 4 * 50
    assert share == pytest.approx(0.8)
    assert [len(batch) for batch in seen] == [50] * 4
    # Fresh ones each time, and others than are asked in the end.
    assert np.any(seen[0] != seen[1])
    test = training.test_batch(TASK, 0).inputs
    assert np.any(seen[0][: len(test)] != test)


def test_sequences_grow_with_a_curriculum(seen):
    task = dataclasses.replace(TASK, min_length=1, max_length=4)
    recipe = dataclasses.replace(task.recipe, curriculum=0.5)
    options = ablation.Options(target=0.99, every=50, limit=500)
    count, _ = ablation.sequences_to_solve(task, recipe, 0, options)
    assert count == 5 * 50
    whole = [
        task.sample(50, np.random.default_rng(0)).inputs.shape[1]
        for task in (dataclasses.replace(task, max_length=n) for n in (1, 2, 4))
    ]
    # Right in 0.2, 0.4, 0.6, 0.8 and all.
    lengths = [batch.shape[1] for batch in seen]
    assert lengths == [whole[0]] * 3 + whole[1:]


def test_a_run_is_given_up(seen):
    options = ablation.Options(target=0.999, every=100, limit=500)
    count, share = ablation.sequences_to_solve(
        TASK, TASK.recipe, seed=0, options=options
    )
    assert count is None
    assert share == pytest.approx(0.995)
    assert len(seen) == 5


def test_the_command_prints_each_run_and_the_medians(seen, capsys):
    words = ["ablation", "key-value", "--variants", "plain", "masked"]
    words += ["--seeds", "3", "4", "--every", "100", "--limit", "400"]
    words += ["--target", "0.9", "--max-length=2", "--test-sequences=7"]
    assert main(words) == 0
    rows = [
        [cell.strip() for cell in line.split("|")]
        for line in capsys.readouterr().out.splitlines()
    ]
    assert [row[:4] for row in rows[1:5]] == [
        ["plain", "3", "over 400", "0.8000"],
        ["plain", "4", "over 400", "0.8000"],
        ["masked", "3", "300", "0.9950"],
        ["masked", "4", "300", "0.9950"],
    ]
    assert rows[6:] == [["plain", "over 400"], ["masked", "300"]]


@pytest.mark.parametrize("variant", ablation.VARIANTS)
def test_each_variant_builds_the_network_it_names(variant):
    recipe = dataclasses.replace(
        Recipe(controller=4, memory_size=9), **ablation.VARIANTS[variant]
    )
    model = training.build_model(Copy(), recipe)
    config = model.get_layer("dnc").get_config()
    plain = training.build_model(Copy(), Recipe(controller=4, memory_size=9))
    plain = plain.get_layer("dnc").get_config()
    changed = {name for name, value in config.items() if plain[name] != value}
    assert changed == set(ablation.VARIANTS[variant])


@pytest.mark.slow
@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="trains with XLA"
)
def test_a_network_that_trains_comes_nearer():
    options = ablation.Options(target=0.99, every=2_000, limit=2_000)
    task = KeyValueRecall(min_length=1, max_length=1, bits=4)
    _, share = ablation.sequences_to_solve(task, task.recipe, 0, options)
    # Half of the bits are right by chance.
    assert share > 0.6
