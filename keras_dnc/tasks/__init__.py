"""Tasks to train a DNC on, each with its data, its loss and its score."""

from keras_dnc.tasks.babi import Babi
from keras_dnc.tasks.copy import Copy
from keras_dnc.tasks.echo import Echo
from keras_dnc.tasks.task import Batch, GeneratedTask, Recipe, Task

TASKS = {task.name: task for task in (Echo, Copy, Babi)}

__all__ = [
    "TASKS",
    "Babi",
    "Batch",
    "Copy",
    "Echo",
    "GeneratedTask",
    "Recipe",
    "Task",
]
