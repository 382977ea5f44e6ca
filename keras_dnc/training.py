"""Training a DNC on a task, and what it scores."""

import itertools

import keras
import numpy as np

from keras_dnc.progress import Progress
from keras_dnc.recurrent import DNC
from keras_dnc.tasks import Batch, GeneratedTask, Recipe, Task


def build_model(task: Task, recipe: Recipe) -> keras.Model:
    """Returns a compiled model: a DNC from a task's inputs to its outputs.

    Args:
        task: What to train on.
        recipe: Sizes and optimizer settings.
    """
    inputs = keras.Input((None, len(task.input_labels)))
    outputs = DNC(
        len(task.output_labels),
        controller=recipe.controller,
        memory_size=recipe.memory_size,
        word_size=recipe.word_size,
        num_reads=recipe.num_reads,
        num_writes=recipe.num_writes,
        normalization=keras.layers.LayerNormalization()
        if recipe.normalization
        else None,
        masked_keys=recipe.masked_keys,
        deallocation=recipe.deallocation,
        sharpness=recipe.sharpness,
        layer_norm=recipe.layer_norm,
        content_only=recipe.content_only,
        sparse_links=recipe.sparse_links or None,
        bypass_dropout=recipe.bypass_dropout,
        return_sequences=True,
        name="dnc",
    )(inputs)
    model = keras.Model(inputs, outputs, name=task.name)
    model.compile(
        keras.optimizers.Adam(recipe.learning_rate, clipnorm=recipe.clipnorm),
        jit_compile=keras.backend.backend() != "torch",
        **task.compile_arguments(),
    )
    return model


def train(
    task: Task,
    recipe: Recipe,
    seed: int,
    progress: Progress | None = None,
    **fit_arguments,
) -> keras.Model:
    """Trains a new model on a task.

    The weights, the sequences of each epoch and their order follow from the
    seed alone, so that a training that goes on comes to what it would have
    come to without having been cut off.

    Args:
        task: What to train on.
        recipe: Sizes and settings.
        seed: Seed of all that is random.
        progress: Where each epoch is saved, and what was saved there before
            is gone on with.
        **fit_arguments: More arguments of `model.fit`.

    Returns:
        The trained `keras.Model`.
    """
    keras.utils.set_random_seed(seed)
    model = build_model(task, recipe)
    done = progress.restore(model) if progress else 0
    if done >= recipe.epochs:
        return model
    epochs = _epochs(task, seed, done)
    first = next(epochs)
    model.fit(
        _batches(itertools.chain([first], epochs), recipe.batch_size),
        steps_per_epoch=-(-len(first.inputs) // recipe.batch_size),
        initial_epoch=done,
        epochs=recipe.epochs,
        # What a generator yields is in its order.
        shuffle=False,
        callbacks=[progress] if progress else None,
        **fit_arguments,
    )
    return model


def _epochs(task, seed, done):
    """Yields the sequences of each epoch after those done, in their order."""
    data = None
    for epoch in itertools.count(done):
        if data is None or isinstance(task, GeneratedTask):
            data = task.training_data(np.random.default_rng([seed, 0, epoch]))
        rng = np.random.default_rng([seed, 2, epoch])
        order = rng.permutation(len(data.inputs))
        yield Batch(*(part[order] for part in data))


def _batches(epochs, size):
    """Yields batches of inputs, targets and weights."""
    for data in epochs:
        for start in range(0, len(data.inputs), size):
            yield tuple(part[start : start + size] for part in data)


def evaluate(model: keras.Model, task: Task, seed: int) -> dict[str, float]:
    """Returns a model's figures on a task's test sequences.

    Args:
        model: A model that `train` returned, or that was saved and loaded.
        task: What to evaluate on.
        seed: Seed of the test sequences. They are not those of training with
            the same seed.
    """
    batch = test_batch(task, seed)
    return task.score(model.predict(batch.inputs, verbose=0), batch)


def test_batch(task: Task, seed: int):
    """Returns a task's test sequences for a seed.

    Args:
        task: What to evaluate on.
        seed: Seed of the sequences.
    """
    return task.test_data(np.random.default_rng([seed, 1]))
