"""Tasks to train a DNC on, each with its data, its loss and its score."""

from keras_dnc.tasks.associative_recall import AssociativeRecall
from keras_dnc.tasks.babi import Babi
from keras_dnc.tasks.bits import BitsTask
from keras_dnc.tasks.copy import Copy
from keras_dnc.tasks.echo import Echo
from keras_dnc.tasks.key_value import KeyValueRecall
from keras_dnc.tasks.task import Batch, GeneratedTask, Recipe, Task

TASKS = {
    task.name: task
    for task in (Echo, Copy, AssociativeRecall, KeyValueRecall, Babi)
}

__all__ = [
    "TASKS",
    "AssociativeRecall",
    "Babi",
    "Batch",
    "BitsTask",
    "Copy",
    "Echo",
    "GeneratedTask",
    "KeyValueRecall",
    "Recipe",
    "Task",
]
