"""When sequences grow, and when a training ends, by the scores of its epochs.

A score is what a task's `metric` is at the end of an epoch of training: the
share of what is right, over all of its sequences, as it was learned on them.
"""

import dataclasses
from collections.abc import Sequence

from keras_dnc.tasks import GeneratedTask, Recipe, Task


def check(task: Task, recipe: Recipe):
    """Refuses a curriculum for a task whose sequences do not grow.

    Args:
        task: What to train on.
        recipe: The settings of the training.

    Raises:
        ValueError: If there is one.
    """
    if recipe.curriculum and not isinstance(task, GeneratedTask):
        raise ValueError(
            "`curriculum` must be 0 for a task whose sequences are given, as "
            f"{task.name} is. Received: curriculum={recipe.curriculum}"
        )


def lesson(task: Task, recipe: Recipe, scores: Sequence[float]) -> Task:
    """Returns what to train on in the next epoch.

    With a curriculum sequences have `min_length` items at first, and at most
    twice as many after each epoch whose score reaches `recipe.curriculum`, up
    to the task's own `max_length`. So there are few lengths to compile for.

    Args:
        task: What to train on in the end.
        recipe: The settings of the training.
        scores: That of each epoch so far.
    """
    if not recipe.curriculum:
        return task
    length = task.min_length
    for score in scores:
        if _reaches(score, recipe.curriculum):
            length = min(2 * length, task.max_length)
    return dataclasses.replace(task, max_length=length)


def is_over(task: Task, recipe: Recipe, scores: Sequence[float]) -> bool:
    """Whether a training has come to its end.

    It has after `recipe.epochs`, or when an epoch of the whole task reached
    `recipe.target`.

    Args:
        task: What to train on in the end.
        recipe: The settings of the training.
        scores: That of each epoch so far.
    """
    if len(scores) >= recipe.epochs:
        return True
    if not (recipe.target and scores and _reaches(scores[-1], recipe.target)):
        return False
    return lesson(task, recipe, scores[:-1]) == task


def _reaches(score, share):
    # Metrics are float32: nine of ten are a little less than 0.9.
    return score >= share - 1e-6
