"""Tasks to train a DNC on, each with its data, its loss and its score."""

from keras_dnc.tasks.adding import Adding
from keras_dnc.tasks.argmax import Argmax
from keras_dnc.tasks.associative_recall import AssociativeRecall
from keras_dnc.tasks.babi import Babi
from keras_dnc.tasks.bits import BitsTask
from keras_dnc.tasks.copy import Copy
from keras_dnc.tasks.digits import Digits
from keras_dnc.tasks.echo import Echo
from keras_dnc.tasks.family import FamilyInference
from keras_dnc.tasks.key_value import KeyValueRecall, TwoWayKeyValueRecall
from keras_dnc.tasks.priority_sort import PrioritySort
from keras_dnc.tasks.repeat_copy import RepeatCopy
from keras_dnc.tasks.shortest_path import GraphShortestPath
from keras_dnc.tasks.task import Batch, GeneratedTask, Recipe, Task
from keras_dnc.tasks.traversal import GraphTraversal
from keras_dnc.tasks.triples import TriplesTask

TASKS = {
    task.name: task
    for task in (
        Echo,
        Copy,
        RepeatCopy,
        AssociativeRecall,
        KeyValueRecall,
        TwoWayKeyValueRecall,
        PrioritySort,
        Adding,
        Argmax,
        GraphTraversal,
        GraphShortestPath,
        FamilyInference,
        Digits,
        Babi,
    )
}

__all__ = [
    "TASKS",
    "Adding",
    "Argmax",
    "AssociativeRecall",
    "Babi",
    "Batch",
    "BitsTask",
    "Copy",
    "Digits",
    "Echo",
    "FamilyInference",
    "GeneratedTask",
    "GraphShortestPath",
    "GraphTraversal",
    "KeyValueRecall",
    "PrioritySort",
    "Recipe",
    "RepeatCopy",
    "Task",
    "TriplesTask",
    "TwoWayKeyValueRecall",
]
