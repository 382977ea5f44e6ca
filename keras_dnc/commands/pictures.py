"""What test sequences do with the memory: a picture, and a page to play."""

from pathlib import Path

import keras
import numpy as np

from keras_dnc import training
from keras_dnc.tasks import Batch, Task
from keras_dnc.tasks.task import last_step
from keras_dnc.tracing import Trace, trace

PICTURE_FILE = "memory.png"
PAGE_FILE = "memory.html"
TRACE_FILE = "trace.npz"
# Sequences on a page.
EXAMPLES = 4


def write(
    folder: Path,
    model: keras.Model,
    task: Task,
    seed: int,
    examples: int = EXAMPLES,
) -> Trace:
    """Draws the first test sequence's way through the memory, and shows more.

    Args:
        folder: An existing folder; it gets `memory.png` and `memory.html`.
        model: A model with a DNC.
        task: What to ask.
        seed: Seed of the test sequences.
        examples: How many of them the page shows.

    Returns:
        The `Trace` of the sequences that the page shows.
    """
    from keras_dnc.plots import memory_at_work

    batch = first_sequences(task, seed, examples)
    batch, outputs = training.asked(model, task, batch)
    numbers = range(len(batch.inputs))
    targets, answers = map(
        np.stack,
        zip(*(task.shown(outputs, batch, i) for i in numbers), strict=True),
    )
    labels = {
        "input_labels": task.input_labels,
        "output_labels": task.output_labels,
    }
    found = trace(model, batch.inputs)
    shown = found._replace(
        inputs=np.stack([task.shown_inputs(batch, i) for i in numbers])
    )
    steps = last_step(batch, 0) + 1
    picture = memory_at_work(
        shown, targets[0], answers[0], steps=steps, **labels
    )
    picture.savefig(folder / PICTURE_FILE, dpi=150)
    shown.to_html(
        folder / PAGE_FILE, targets, answers, title=task.name, **labels
    )
    return found


def first_sequences(task: Task, seed: int, count: int) -> Batch:
    """Returns the first test sequences, no longer than what counts in them.

    Args:
        task: What to ask.
        seed: Seed of the test sequences.
        count: How many, if there are.
    """
    batch = training.test_batch(task, seed)
    count = min(count, len(batch.inputs))
    steps = 1 + max(last_step(batch, example) for example in range(count))
    return Batch(*(part[:count, :steps] for part in batch))
