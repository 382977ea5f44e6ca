"""What a training leaves in its folder: model, task, recipe and seed."""

import dataclasses
import json
import os
import zipfile
from collections.abc import Iterable
from pathlib import Path

import keras

from keras_dnc.tasks import TASKS, Recipe, Task
from keras_dnc.validation import nonnegative_integer

MODEL_FILE = "model.keras"
TASK_FILE = "task.json"
RECIPE_FILE = "training.json"


def save_settings(folder: Path, task: Task, recipe: Recipe, seed: int):
    """Saves what a training follows from.

    Args:
        folder: An existing folder; it gets `task.json` and `training.json`.
        task: What to train on.
        recipe: Sizes and settings.
        seed: Seed of all that is random.
    """
    _write(folder / TASK_FILE, {"name": task.name, **dataclasses.asdict(task)})
    _write(
        folder / RECIPE_FILE,
        {
            "seed": seed,
            "backend": keras.backend.backend(),
            **dataclasses.asdict(recipe),
        },
    )


def load_settings(
    folder: Path, name: str, **paths: str
) -> tuple[Task, Recipe, int]:
    """Loads what `save_settings` saved.

    Args:
        folder: The folder.
        name: The name of the task.
        **paths: Where the files and folders of the task are that are not
            where they were.

    Returns:
        Tuple of the task, the recipe and the seed.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a file is damaged, an option is out of its range, or
            the training ran on another backend.
    """
    task_class, saved = _load_task(folder, name)
    gone = {
        key: path
        for key, path in paths.items()
        if Path(saved[key]).is_absolute() and not Path(saved[key]).exists()
    }
    task = task_class(**{**saved, **gone})
    recipe, seed, backend = _load_training(folder)
    if backend != keras.backend.backend():
        raise ValueError(
            f"{folder / RECIPE_FILE}: expected a training on the present "
            f"backend, {keras.backend.backend()}. Received one on {backend}"
        )
    return task, recipe, seed


def load_recipe(folder: Path) -> Recipe:
    """Loads the sizes and settings of a training.

    Args:
        folder: The folder.

    Raises:
        FileNotFoundError: If there is no file.
        ValueError: If it is damaged, or an option is out of its range.
        NotADirectoryError: If it is a model of one's own.
    """
    if folder.is_file():
        raise NotADirectoryError(
            f"{folder}: expected the folder of a training, which tells how to "
            "build the model anew. Received a file"
        )
    recipe, *_ = _load_training(folder)
    return recipe


def _load_training(folder):
    """Returns the recipe, the seed and the backend of a training."""
    file = folder / RECIPE_FILE
    saved = _read(file, "seed")
    seed, backend = saved.pop("seed"), saved.pop("backend", None)
    saved = _completed(file, saved, Recipe)
    try:
        return Recipe(**saved), nonnegative_integer("seed", seed), backend
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error


def load_task(folder: Path, name: str | None = None, **options) -> Task:
    """Loads a task that `save_settings` saved.

    Args:
        folder: The folder.
        name: The name that the task must have; default any.
        **options: Options of the task to replace, for instance longer
            sequences than those of training.

    Returns:
        The task.

    Raises:
        FileNotFoundError: If there is no file.
        ValueError: If it is damaged, of another task, or an option is out of
            its range or changes what inputs or outputs mean.
    """
    task_class, saved = _load_task(folder, name)
    task = task_class(**{**saved, **options})
    if options:
        # The files of training may not be there any more.
        paths = {key: options[key] for key in path_options(task_class, options)}
        check_meaning(folder, task_class(**{**saved, **paths}), task)
    return task


def path_options(options_class, names: Iterable[str]) -> list[str]:
    """Returns those of some options that are paths.

    Args:
        options_class: A dataclass whose fields `option` made.
        names: Names of fields.
    """
    fields = {field.name: field for field in dataclasses.fields(options_class)}
    return [
        name for name in names if fields[name].metadata.get("path") is not None
    ]


def _load_task(folder, name):
    """Returns the class of a task, and the options that were saved."""
    file = folder / TASK_FILE
    saved = _read(file, "name")
    saved_name = saved.pop("name")
    if saved_name != name if name else saved_name not in [*TASKS]:
        expected = name or f"one of {', '.join(TASKS)}"
        raise ValueError(
            f"{file}: expected a model trained on {expected}. Received one "
            f"trained on {saved_name}"
        )
    name = saved_name
    saved = _completed(file, saved, TASKS[name])
    # JSON has lists alone, and the vocabulary is a tuple.
    return TASKS[name], {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in saved.items()
    }


def check_meaning(folder: Path, before: Task, task: Task):
    """Refuses a task whose sequences say something else to a model.

    Args:
        folder: Where the model is.
        before: What it was trained on.
        task: What it is to be used for.

    Raises:
        ValueError: If inputs or outputs of the tasks differ in their meaning.
    """
    for kind in ("input_labels", "output_labels"):
        found, expected = getattr(before, kind), getattr(task, kind)
        if found != expected:
            raise ValueError(
                f"{folder}: expected a model whose inputs and outputs mean the "
                f"same as in this {task.name}. Received one trained on "
                f"{before.name} with other {kind}: "
                f"{sorted({*found} ^ {*expected})} are of one alone"
            )


def load(
    path: Path, name: str | None = None, **options
) -> tuple[keras.Model, Task]:
    """Loads a model and the task to ask it.

    Args:
        path: The folder of a training that came to its end, or a file of a
            model of one's own.
        name: The name of the task; default that of the folder.
        **options: Options of the task; the others are those of training, or
            of a model of one's own the task's defaults.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged, of another task, or an option is out of
            its range or changes what inputs or outputs mean, or if a file
            comes without the name of its task.
    """
    if path.is_dir():
        task = load_task(path, name, **options)
        return load_model(path), task
    model = load_model_file(path)
    if name not in TASKS:
        raise ValueError(
            f"`name` must be one of {', '.join(TASKS)} for a file, which tells "
            f"no task. Received: {path}, name={name!r}"
        )
    return model, TASKS[name](**options)


def load_model(folder: Path) -> keras.Model:
    """Loads the model of a training that came to its end.

    Args:
        folder: The folder.

    Returns:
        The compiled `keras.Model`.

    Raises:
        FileNotFoundError: If there is no file.
        ValueError: If it is damaged.
    """
    return load_model_file(folder / MODEL_FILE)


def load_model_file(file: Path) -> keras.Model:
    """Loads a model from a file.

    Args:
        file: A file that Keras saved.

    Raises:
        FileNotFoundError: If there is no file.
        ValueError: If it is damaged.
    """
    _check_file(file)
    try:
        return keras.saving.load_model(file)
    except (
        zipfile.BadZipFile,
        ValueError,
        KeyError,
        OSError,
        # Of a class that is not registered.
        TypeError,
    ) as error:
        raise ValueError(
            f"{file}: expected a model as `train` saves it. Received a file "
            f"that cannot be loaded: {error}"
        ) from error


def _write(file, options):
    text = json.dumps(options, indent=2, ensure_ascii=False)
    unfinished = file.with_suffix(".unfinished")
    unfinished.write_text(text + "\n", encoding="utf-8")
    os.replace(unfinished, file)


def _read(file, key):
    """Returns a file's options, of which one must be there."""
    _check_file(file)
    try:
        saved = json.loads(file.read_text(encoding="utf-8"))
        return {key: saved.pop(key), **saved}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{file}: expected the {key} and options, as `train` writes them. "
            f"Received another content: {error!r}"
        ) from error


def _check_file(file):
    if not file.is_file():
        raise FileNotFoundError(
            f"{file}: expected a file that `train` wrote. There is none"
        )


def _completed(file, saved, options_class):
    """Returns saved options with those that came later, as things were before.

    Refuses unknown options, and others that are missing.
    """
    fields = dataclasses.fields(options_class)
    before = {field.name: field.metadata.get("before") for field in fields}
    later = {key: value for key, value in before.items() if value is not None}
    unknown = saved.keys() - before.keys()
    missing = before.keys() - later.keys() - saved.keys()
    if unknown or missing:
        raise ValueError(
            f"{file}: expected each option of {options_class.__name__} and no "
            f"other. Received no {sorted(missing)}, and {sorted(unknown)}"
        )
    return {**later, **saved}
