"""Training a DNC on a task, and keeping what came of it."""

import dataclasses
import json
import zipfile
from pathlib import Path

import keras
import numpy as np

from keras_dnc.recurrent import DNC
from keras_dnc.tasks import TASKS, Recipe, Task

MODEL_FILE = "model.keras"
TASK_FILE = "task.json"


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


def train(task: Task, recipe: Recipe, seed: int, **fit_arguments):
    """Trains a new model on a task.

    Args:
        task: What to train on.
        recipe: Sizes and settings.
        seed: Seed of the weights, of the training sequences and their order.
        **fit_arguments: More arguments of `model.fit`.

    Returns:
        The trained `keras.Model`.
    """
    keras.utils.set_random_seed(seed)
    data = task.training_data(np.random.default_rng(seed))
    model = build_model(task, recipe)
    model.fit(
        data.inputs,
        data.targets,
        sample_weight=data.weights,
        batch_size=recipe.batch_size,
        epochs=recipe.epochs,
        **fit_arguments,
    )
    return model


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


def save(folder: Path, model: keras.Model, task: Task):
    """Saves a model and its task to a folder.

    Args:
        folder: An existing folder; it gets `model.keras` and `task.json`.
        model: The model.
        task: The task it was trained on.
    """
    model.save(folder / MODEL_FILE)
    options = {"name": task.name, **dataclasses.asdict(task)}
    text = json.dumps(options, indent=2, ensure_ascii=False)
    (folder / TASK_FILE).write_text(text + "\n", encoding="utf-8")


def load(folder: Path, name: str, **options) -> tuple[keras.Model, Task]:
    """Loads a model and its task from a folder that `save` wrote.

    Args:
        folder: The folder.
        name: The name of the task that the model must have been trained on.
        **options: Options of the task to replace, for instance longer
            sequences than those of training.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a file is damaged or an option is out of its range.
    """
    for file in (folder / MODEL_FILE, folder / TASK_FILE):
        if not file.is_file():
            raise FileNotFoundError(
                f"{file}: expected a file that `train` wrote. There is none"
            )
    task = _saved_task(folder / TASK_FILE, name, options)
    try:
        return keras.saving.load_model(folder / MODEL_FILE), task
    except (zipfile.BadZipFile, ValueError, KeyError, OSError) as error:
        raise ValueError(
            f"{folder / MODEL_FILE}: expected a model as `train` saves it. "
            f"Received a file that cannot be loaded: {error}"
        ) from error


def _saved_task(file, name, options):
    try:
        saved = json.loads(file.read_text(encoding="utf-8"))
        saved_name = saved.pop("name")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{file}: expected a task's name and options, as `train` writes "
            f"them. Received another content: {error!r}"
        ) from error
    if saved_name != name:
        raise ValueError(
            f"{file}: expected a model trained on {name}. Received one "
            f"trained on {saved_name}"
        )
    names = {field.name for field in dataclasses.fields(TASKS[name])}
    if saved.keys() - names:
        raise ValueError(
            f"{file}: expected options among {sorted(names)}. Received: "
            f"{sorted(saved)}"
        )
    # JSON has lists alone, and the vocabulary is a tuple.
    saved = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in saved.items()
    }
    return TASKS[name](**{**saved, **options})
