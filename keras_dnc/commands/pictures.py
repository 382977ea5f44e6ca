"""What one sequence does with the memory, drawn."""

from pathlib import Path

import keras

from keras_dnc import training
from keras_dnc.tasks import Batch, Task
from keras_dnc.tasks.task import last_step
from keras_dnc.tracing import trace

PICTURE_FILE = "memory.png"


def draw(folder: Path, model: keras.Model, task: Task, seed: int):
    """Draws the first test sequence's way through the memory.

    Args:
        folder: An existing folder; it gets `memory.png`.
        model: A model with a DNC.
        task: What to ask.
        seed: Seed of the test sequences.
    """
    from keras_dnc.plots import memory_at_work

    batch = training.test_batch(task, seed)
    steps = last_step(batch, 0) + 1
    first = Batch(*(part[:1, :steps] for part in batch))
    outputs = model.predict(first.inputs, verbose=0)
    targets, answers = task.shown(outputs, first, example=0)
    inputs = task.shown_inputs(first, example=0)
    figure = memory_at_work(
        trace(model, first.inputs)._replace(inputs=inputs[None]),
        targets,
        answers,
        input_labels=task.input_labels,
        output_labels=task.output_labels,
    )
    figure.savefig(folder / PICTURE_FILE, dpi=150)
