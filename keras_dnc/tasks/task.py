"""What every task is to the code that trains and evaluates on it."""

import dataclasses
from collections.abc import Callable, Collection, Iterator
from typing import ClassVar, NamedTuple

import keras
import numpy as np

from keras_dnc.validation import (
    boolean,
    fraction,
    nonnegative_integer,
    nonnegative_number,
    positive_integer,
    positive_number,
    string,
)


class Batch(NamedTuple):
    """Sequences, what to answer, and where an answer counts.

    Attributes:
        inputs: Array of shape `(B, T, X)`, or `(B, T)` of numbers of which
            the task makes vectors in the model.
        targets: Array of shape `(B, T, Y)`, or `(B, T)` of class numbers.
        weights: Array of shape `(B, T)`: 1 where the output counts, else 0.
    """

    inputs: np.ndarray
    targets: np.ndarray
    weights: np.ndarray


def option(
    default,
    description: str,
    zero: bool = False,
    training: bool = False,
    before=None,
    path: Collection[str] | None = None,
):
    """Returns a dataclass field that is also a command-line option.

    Args:
        default: The field's default value.
        description: One line for `--help`.
        zero: Whether a number may be zero.
        training: Whether it says nothing but how to train, so that `evaluate`
            does not take it.
        before: What the trainings had that there were before there was the
            option; None: it was always there.
        path: Where it is the path of a file or folder, which may move after
            training, the words that name something of the package instead.
    """
    metadata = {
        "description": description,
        "zero": zero,
        "training": training,
        "before": before,
        "path": path,
    }
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Options whose numbers must be positive, or zero where they may be.

    Raises:
        ValueError: If a number is not, or an option is of another type.
    """

    def __post_init__(self):
        for field in dataclasses.fields(self):
            zero = field.metadata.get("zero", False)
            check = {
                int: nonnegative_integer if zero else positive_integer,
                float: nonnegative_number if zero else positive_number,
                bool: boolean,
                str: string,
            }.get(field.type)
            if check:
                value = check(field.name, getattr(self, field.name))
                # As it is saved, where NumPy's numbers and paths were given.
                object.__setattr__(self, field.name, value)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe(Settings):
    """The sizes of a DNC and the settings that train it on a task.

    The optimizer is Adam (Kingma & Ba, [Adam: A method for stochastic
    optimization](https://arxiv.org/abs/1412.6980), 2015) with its defaults but
    for the learning rate, where the sources of most tasks have RMSprop. Graves
    et al. (2014), section 4.6, keep each component of a gradient from -10 to
    10; here a variable's gradient keeps its direction, and 10 is its largest
    norm.

    Raises:
        ValueError: If a number is out of its range.
    """

    controller: int = option(64, "units of the LSTM controller")
    memory_size: int = option(16, "slots of the memory")
    word_size: int = option(16, "width of a slot")
    num_reads: int = option(1, "read heads")
    num_writes: int = option(1, "write heads")
    normalization: bool = option(
        False, "layer normalization of the controller's output"
    )
    masked_keys: bool = option(False, "masks for what keys look for")
    deallocation: bool = option(False, "freed slots are emptied")
    sharpness: bool = option(False, "sharpness of directional weightings")
    layer_norm: bool = option(
        False, "layer normalization of the interface vector"
    )
    content_only: bool = option(False, "reading by content alone")
    sparse_links: int = option(0, "links of each slot; 0: all", zero=True)
    link_storage: str = option(
        "", "dtype of the links that the gradient keeps [float32]"
    )
    bypass_dropout: float = option(
        0.0, "share of the way past the memory that is dropped", zero=True
    )
    learning_rate: float = option(1e-3, "learning rate of Adam")
    clipnorm: float = option(10.0, "largest norm of a variable's gradient")
    batch_size: int = option(16, "sequences in a batch")
    epochs: int = option(
        1, "passes through the training sequences, or fresh ones, at most"
    )
    target: float = option(
        0.0,
        "share right in an epoch that ends the training; 0: none",
        zero=True,
    )
    curriculum: float = option(
        0.0,
        "share right in an epoch after which sequences grow; 0: of all lengths "
        "from the start",
        zero=True,
    )
    lstm: bool = option(False, "an LSTM of as many weights in place of the DNC")
    weights: str = option(
        "",
        "folder of a trained model with whose weights to begin, of as many "
        "slots or of others; its seed draws its sequences again "
        "[new weights]",
        path=(),
    )

    def __post_init__(self):
        super().__post_init__()
        for name in ("target", "curriculum"):
            fraction(name, getattr(self, name))
        if self.lstm:
            # Its number of weights is that of the DNC, which these leave.
            self._refuse(
                "for an LSTM, which has no memory",
                *("bypass_dropout", "deallocation"),
                *("sparse_links", "link_storage"),
            )
        if self.content_only:
            self._refuse(
                "with content_only, which reads without links",
                *("sharpness", "sparse_links", "link_storage"),
            )

    def _refuse(self, where, *names):
        """Refuses options where they would do nothing."""
        for name in names:
            value = getattr(self, name)
            if value:
                raise ValueError(
                    f"`{name}` must not be given {where}. Received: "
                    f"{name}={value}"
                )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task(Settings):
    """A task: its data, its loss and its score.

    A subclass is a frozen dataclass whose fields, made by `option`, are the
    task's options on the command line. It sets the class attributes below and
    implements the methods.

    Attributes:
        name: The task's name on the command line.
        summary: One line for `--help`.
        metric: The name of the metric in training that is the share of what
            is right.
        recipe: The `Recipe` that trains a DNC on it by default.
        grows: The names of the options that grow from lesson to lesson of a
            curriculum; empty where there are no lessons.
        input_labels: The name of each input feature, for pictures.
        output_labels: The name of each output feature, for pictures.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    metric: ClassVar[str]
    recipe: ClassVar[Recipe]
    grows: ClassVar[tuple[str, ...]] = ()

    def lessons(self) -> list["Task"]:
        """Returns the lessons of a curriculum, the last of them this task.

        From one lesson to the next an option doubles at most, so that there
        are few lengths to compile for.
        """
        return [self]

    @property
    def input_labels(self) -> list[str]:
        """The name of each of the `X` input features."""
        raise NotImplementedError

    @property
    def output_labels(self) -> list[str]:
        """The name of each of the `Y` output features."""
        raise NotImplementedError

    def model_inputs(self) -> tuple[keras.KerasTensor, keras.KerasTensor]:
        """Returns the inputs of a new model, and the sequences a DNC reads.

        Returns:
            Tuple of a `keras.Input` for a batch's inputs, and of what is made
            of it, of shape `(B, T, X)`; by default the inputs themselves.
        """
        inputs = keras.Input((None, len(self.input_labels)))
        return inputs, inputs

    def training_data(self, rng: np.random.Generator) -> Batch:
        """Returns all sequences of one training pass."""
        raise NotImplementedError

    def one_pass(self, data: Batch, rng: np.random.Generator) -> Batch:
        """Returns the sequences of one training pass, in the order of all.

        Args:
            data: What `training_data` returned.
            rng: Where that of this pass is drawn from which is random.
        """
        return data

    def batches(self, data: Batch, size: int) -> Iterator[Batch]:
        """Yields the batches of one training pass.

        Args:
            data: What `one_pass` returned, in the order of this pass.
            size: The number `B` of sequences in a batch.

        Returns:
            An iterator of as many batches as hold all sequences; one of them
            may be smaller.
        """
        for start in range(0, len(data.inputs), size):
            yield Batch(*(part[start : start + size] for part in data))

    def sample(self, count: int, rng: np.random.Generator | int) -> Batch:
        """Draws sequences.

        Args:
            count: How many.
            rng: Where they are drawn from, or a seed.

        Raises:
            ValueError: If `count` is not a positive integer, or if there are
                no such sequences.
        """
        count = positive_integer("count", count)
        return self.draw(count, np.random.default_rng(rng))

    def draw(self, count: int, rng: np.random.Generator) -> Batch:
        """Draws sequences for `sample`, here from those of training.

        Args:
            count: How many.
            rng: Where they are drawn from.
        """
        data = self.training_data(rng)
        drawn = rng.integers(len(data.inputs), size=count)
        data = self.one_pass(data, rng)
        return next(self.batches(Batch(*(x[drawn] for x in data)), count))

    def dataset(self, batch_size: int, seed: int = 0):
        """Returns a `tf.data.Dataset` of batches without end.

        Here they are of one pass after the other through the sequences of
        training, each in an order of its own.

        Args:
            batch_size: Sequences in a batch; some batches may have fewer.
            seed: Seed of what is random: whoever begins to read the data set
                gets the same batches in the same order.

        Returns:
            A data set of tuples of inputs `(B, T, X)` or `(B, T)`, targets
            `(B, T, Y)` or `(B, T)`, and weights `(B, T)`, as `model.fit` takes
            them.
        """
        batch_size = positive_integer("batch_size", batch_size)

        def batches():
            rng = np.random.default_rng(seed)
            data = self.training_data(rng)
            while True:
                drawn = self.one_pass(data, rng)
                order = rng.permutation(len(drawn.inputs))
                shuffled = Batch(*(part[order] for part in drawn))
                yield from self.batches(shuffled, batch_size)

        return _dataset(batches, lambda shape: (None, None, *shape[2:]))

    def test_data(self, rng: np.random.Generator) -> Batch:
        """Returns the sequences to evaluate on."""
        raise NotImplementedError

    def compile_arguments(self) -> dict:
        """Returns `loss` and `weighted_metrics` for `model.compile`.

        One of the metrics has the name `metric`.
        """
        raise NotImplementedError

    def score(self, outputs: np.ndarray, batch: Batch) -> dict[str, float]:
        """Returns figures by name, in the literature's unit.

        Args:
            outputs: What a model answers, shape `(B, T, Y)`.
            batch: The sequences that were asked.
        """
        raise NotImplementedError

    def asked(
        self, predict: Callable[[np.ndarray], np.ndarray], batch: Batch
    ) -> tuple[Batch, np.ndarray]:
        """Asks a model.

        Args:
            predict: Returns a model's outputs, of shape `(B, T, Y)`, to inputs.
            batch: Sequences with their right answers.

        Returns:
            Tuple of a `Batch` of what the model heard and what was right, and
            of its outputs. The batch differs from the one given where a task
            lets a model hear its own answers, or takes several for right.
        """
        return batch, predict(batch.inputs)

    def evaluate(
        self,
        predict: Callable[[np.ndarray], np.ndarray],
        rng: np.random.Generator,
    ) -> dict[str, float]:
        """Returns the figures of a model on the test sequences, by name.

        Args:
            predict: Returns a model's outputs, of shape `(B, T, Y)`, to inputs.
            rng: Where test sequences are drawn from.
        """
        batch, outputs = self.asked(predict, self.test_data(rng))
        return self.score(outputs, batch)

    def shown_inputs(self, batch: Batch, example: int) -> np.ndarray:
        """Returns inputs of one sequence as a picture shows them.

        Args:
            batch: Sequences.
            example: The sequence's number in the batch.

        Returns:
            Array of shape `(T, X)`.
        """
        return batch.inputs[example]

    def shown(
        self, outputs: np.ndarray, batch: Batch, example: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns target and answer of one sequence as a picture shows them.

        Args:
            outputs: What a model answers to the batch, shape `(B, T, Y)`.
            batch: The sequences that were asked.
            example: The sequence's number in the batch.

        Returns:
            Two arrays of shape `(T, Y)`, with NaN at steps that do not count.
        """
        counts = np.where(batch.weights[example] > 0, 1.0, np.nan)[:, None]
        return batch.targets[example] * counts, outputs[example] * counts

    def text(self, outputs: np.ndarray, batch: Batch, example: int) -> str:
        """Returns one sequence to read: inputs, targets and answers by step.

        Args:
            outputs: What a model answers to the batch, shape `(B, T, Y)`.
            batch: The sequences that were asked.
            example: The sequence's number in the batch.
        """
        rows = [("step", "input", "target", "answer", "")]
        for step in range(last_step(batch, example) + 1):
            row = [str(step), self.input_text(batch.inputs[example, step])]
            if batch.weights[example, step] > 0:
                target, answer = (
                    batch.targets[example, step],
                    outputs[example, step],
                )
                row += [self.target_text(target), self.answer_text(answer)]
                row += [] if self.is_right(target, answer) else ["wrong"]
            rows.append((*row, "", "", "")[:5])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = (
            "  ".join(map(str.ljust, row, widths)).rstrip() for row in rows
        )
        return "\n".join(lines)

    def is_right(self, target: np.ndarray, outputs: np.ndarray) -> bool:
        """Whether an answer is the target, as they read."""
        return self.answer_text(outputs) == self.target_text(target)

    def input_text(self, inputs: np.ndarray) -> str:
        """Returns a step's inputs to read: the names of those not 0."""
        return names(self.input_labels, inputs)

    def target_text(self, target: np.ndarray) -> str:
        """Returns a step's target to read, as an answer of the same values."""
        return self.answer_text(target)

    def answer_text(self, outputs: np.ndarray) -> str:
        """Returns a step's outputs to read: the name of the largest."""
        return self.output_labels[int(np.argmax(outputs))]


def doubled(first: int, last: int) -> list[int]:
    """Returns numbers from the first to the last, each twice the one before."""
    sizes = [first]
    while sizes[-1] < last:
        sizes.append(min(2 * sizes[-1], last))
    return sizes


def growing(task: Task, **sizes: list[int]) -> list[Task]:
    """Returns a task with some of its options at each of their sizes.

    The options grow together. One of fewer sizes stays at its last.

    Args:
        task: The task.
        **sizes: The sizes of each of the options.
    """
    return [
        dataclasses.replace(
            task,
            **{name: of[min(i, len(of) - 1)] for name, of in sizes.items()},
        )
        for i in range(max(map(len, sizes.values())))
    ]


def last_step(batch: Batch, example: int) -> int:
    """Returns the last step of a sequence that counts."""
    return int(np.flatnonzero(batch.weights[example])[-1])


def names(labels: list[str], values: np.ndarray) -> str:
    """Returns the names of values that are not 0, with those that are not 1."""
    return " ".join(
        label if value == 1 else f"{label}={value:.3g}"
        for label, value in zip(labels, values, strict=True)
        if value
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class GeneratedTask(Task):
    """A task whose sequences are drawn at random.

    A subclass sets the defaults of the options and implements `draw`.

    Raises:
        ValueError: If an option is out of its range, or if `min_length` is
            above `max_length`.
    """

    min_length: int = option(1, "fewest items of a sequence")
    max_length: int = option(10, "most items of a sequence")
    sequences: int = option(
        10_000, "training sequences of an epoch", training=True
    )
    test_sequences: int = option(1_000, "sequences to evaluate on")

    grows = ("max_length",)

    def __post_init__(self):
        super().__post_init__()
        if self.min_length > self.max_length:
            raise ValueError(
                "`min_length` must be at most max_length="
                f"{self.max_length}. Received: min_length={self.min_length}"
            )

    def lessons(self) -> list[Task]:
        """Returns tasks whose `max_…` that grow begin at their `min_…`."""
        sizes = {}
        for name in self.grows:
            first = getattr(self, name.replace("max_", "min_"))
            sizes[name] = doubled(first, getattr(self, name))
        return growing(self, **sizes)

    def draw(self, count: int, rng: np.random.Generator) -> Batch:
        """Draws sequences for `sample`.

        Args:
            count: How many.
            rng: Where lengths and items are drawn from.
        """
        raise NotImplementedError

    def dataset(self, batch_size: int, seed: int = 0):
        """Returns a `tf.data.Dataset` of fresh batches without end.

        Args:
            batch_size: Sequences in a batch.
            seed: Seed of the sequences: each pass through the data set has
                the same ones in the same order.

        Returns:
            A data set of tuples of inputs `(B, T, X)`, targets `(B, T, Y)` and
            weights `(B, T)`, as `model.fit` takes them.
        """
        batch_size = positive_integer("batch_size", batch_size)

        def batches():
            rng = np.random.default_rng(seed)
            while True:
                yield self.sample(batch_size, rng)

        return _dataset(batches, tuple)

    def training_data(self, rng: np.random.Generator) -> Batch:
        """Returns `sequences` fresh sequences."""
        return self.sample(self.sequences, rng)

    def test_data(self, rng: np.random.Generator) -> Batch:
        """Returns `test_sequences` fresh sequences."""
        return self.sample(self.test_sequences, rng)


def _dataset(batches, spec_shape):
    """Returns a data set of batches, with shapes that hold for all of them."""
    import tensorflow as tf

    return tf.data.Dataset.from_generator(
        lambda: map(tuple, batches()),
        output_signature=tuple(
            tf.TensorSpec(spec_shape(part.shape), part.dtype)
            for part in next(batches())
        ),
    )


def softmax(logits: np.ndarray) -> np.ndarray:
    """Returns the probabilities of logits, shape `(..., Y)`."""
    exponentials = np.exp(logits - logits.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)
