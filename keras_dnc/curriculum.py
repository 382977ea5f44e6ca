"""When sequences grow, and when a training ends, by the scores of its epochs.

A score is what a task's `metric` is at the end of an epoch of training: the
share of what is right, over all of its sequences, as it was learned on them.
"""

from collections.abc import Sequence

from keras_dnc.tasks import Recipe, Task


def check(task: Task, recipe: Recipe):
    """Refuses a curriculum for a task that has no lessons.

    Args:
        task: What to train on.
        recipe: The settings of the training.

    Raises:
        ValueError: If there is one.
    """
    if recipe.curriculum and not task.grows:
        raise ValueError(
            "`curriculum` must be 0 for a task whose sequences do not grow, as "
            f"those of {task.name}. Received: curriculum={recipe.curriculum}"
        )


def lesson(task: Task, recipe: Recipe, scores: Sequence[float]) -> Task:
    """Returns what to train on in the next epoch.

    With a curriculum that is the first of the task's lessons, and the next one
    after each epoch whose score reaches `recipe.curriculum`. The last one is
    the task itself.

    Args:
        task: What to train on in the end.
        recipe: The settings of the training.
        scores: That of each epoch so far.
    """
    if not recipe.curriculum:
        return task
    lessons = task.lessons()
    passed = sum(_reaches(score, recipe.curriculum) for score in scores)
    return lessons[min(passed, len(lessons) - 1)]


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
