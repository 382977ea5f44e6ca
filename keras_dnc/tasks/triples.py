"""What the tasks have in common that are told and answered in triples."""

import dataclasses
import functools
from typing import ClassVar, NamedTuple

import keras
import numpy as np
from keras import ops

from keras_dnc.tasks.graphs import FILES, NONE, Graph, load_graph
from keras_dnc.tasks.task import (
    Batch,
    GeneratedTask,
    Recipe,
    option,
    softmax,
)

PARTS = ["source", "destination", "edge"]
BASE = 10
# A label is a number of three digits.
PLACES = {"hundreds": 100, "tens": 10, "ones": 1}
LABELS = 1000
# A mean of equal digits may be a little less than 1.
SURE = 0.9999
WIDTH = len(PARTS) * len(PLACES) * BASE
# Sequences of graphs that are not large, drawn at a time.
BLOCK = 1000
# Numbers of a table of all graphs that are drawn at a time.
CELLS = 5_000_000
# Graphs without a question, one after another, that are taken for all.
FRUITLESS = 10_000


class Questions(NamedTuple):
    """Graphs, and a question about each.

    Each part is an array of shape `(B, ·, 3)` of numbers of nodes, nodes and
    edge labels, with `NONE` where nothing stands. A step is where something
    does.

    Attributes:
        facts: The edges of each graph.
        query: The question.
        answer: The triples to answer.
    """

    facts: np.ndarray
    query: np.ndarray
    answer: np.ndarray


@keras.saving.register_keras_serializable(package="keras_dnc")
class DigitCrossentropy(keras.losses.Loss):
    """Cross-entropy of digits, each from ten logits, their mean at a step.

    Args:
        reduction: How the steps' losses become one.
        name: Name of the loss.
        dtype: The dtype that it computes in.
    """

    def __init__(
        self,
        reduction: str = "mean_with_sample_weight",
        name: str = "digit_crossentropy",
        dtype=None,
    ):
        super().__init__(name=name, reduction=reduction, dtype=dtype)

    def call(self, y_true, y_pred):
        """Returns the loss of each step.

        Args:
            y_true: Digits side by side, one-hot or means of such, shape
                `(B, T, Y)`.
            y_pred: Logits of the same shape.

        Returns:
            Tensor of shape `(B, T)`.
        """
        loss = ops.categorical_crossentropy(
            _digits(y_true), _digits(y_pred), from_logits=True
        )
        return ops.mean(loss, axis=-1)


@keras.saving.register_keras_serializable(package="keras_dnc")
class RightTriples(keras.metrics.MeanMetricWrapper):
    """Share of the steps of which all digits are right.

    A step whose target is a mean of several triples does not count. A hint of
    one triple does, in training, as an answer.

    Args:
        name: Name of the metric.
        dtype: The dtype that it computes in.
    """

    def __init__(self, name: str = "right_triples", dtype=None):
        super().__init__(_all_right, name=name, dtype=dtype)

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Counts a batch.

        Args:
            y_true: Digits side by side, one-hot or means of such, shape
                `(B, T, Y)`.
            y_pred: Logits of the same shape.
            sample_weight: The weight of each step, shape `(B, T)`, or of each
                sequence, shape `(B,)`.
        """
        digits = _digits(ops.cast(y_true, self.dtype))
        is_one = ops.all(ops.max(digits, axis=-1) > SURE, axis=-1)
        is_one = ops.cast(is_one, self.dtype)
        if sample_weight is not None:
            weight = ops.cast(sample_weight, self.dtype)
            # One for each step, or for each sequence.
            is_one *= ops.reshape(weight, (ops.shape(weight)[0], -1))
        return super().update_state(y_true, y_pred, sample_weight=is_one)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {"name": self.name, "dtype": self.dtype}


def _digits(values):
    """Returns `(B, T, Y)` as `(B, T, Y / 10, 10)`."""
    return ops.stack(ops.split(values, values.shape[-1] // BASE, -1), axis=-2)


def _all_right(y_true, y_pred):
    right = ops.equal(
        ops.argmax(_digits(y_true), axis=-1),
        ops.argmax(_digits(y_pred), axis=-1),
    )
    return ops.cast(ops.all(right, axis=-1), "float32")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TriplesTask(GeneratedTask):
    """A question about a graph whose edges are told one by one.

    An edge is a triple of labels: its source's, its destination's and its own.
    A label is a number of three digits, each a one-hot vector of ten; so a
    triple is 90 channels, and two more are the cues of question and answer.
    What a question leaves open is zeros. The phases of a sequence are

    1. the edges of the graph in random order, one a step;
    2. the question, with the cue `query`;
    3. `planning` silent steps;
    4. the answer, one triple a step: only the cue `answer` is heard, and all
       nine digits of the triple are the target.

    What a network does in its silent steps is its own affair. A task that
    knows how its answer can be found may give `thoughts` there to learn from.

    The labels of the nodes are drawn anew for each sequence, no two the same.
    So are those of the edges, unless a task gives them a meaning.

    Source: Graves et al. (2016), Methods, *Graph task descriptions*.

    Attributes:
        largest: The name of the option for the largest size of a random graph.

    Raises:
        ValueError: If an option is out of its range, or the graph is none that
            the task can ask about.
        FileNotFoundError: If `graph` names no file.
    """

    largest: ClassVar[str]

    min_length: int = option(1, "fewest edges of a path")
    max_length: int = option(3, "most edges of a path")
    planning: int = option(0, "silent steps before the answer", zero=True)
    graph: str = option(
        "",
        "underground, family or a CSV file of triples [random graphs]",
        path=FILES,
    )

    metric = "right_triples"
    # A slot for each edge of a random graph. Masks, since what is looked for
    # is known in part; the rest, too, by trial on traversal.
    recipe = Recipe(
        controller=128,
        memory_size=32,
        word_size=64,
        num_reads=2,
        normalization=True,
        masked_keys=True,
        learning_rate=1e-3,
        batch_size=32,
        epochs=60,
        curriculum=0.9,
    )

    def __post_init__(self):
        super().__post_init__()
        if self.graph:
            loaded = self.loaded
            for names, part in (
                (loaded.nodes, "nodes"),
                (loaded.edges, "edges"),
            ):
                if len(names) > LABELS:
                    raise ValueError(
                        f"{self.graph}: expected at most {LABELS} names of "
                        f"{part}, one for each label. Received: {len(names)}"
                    )

    @property
    def grows(self) -> tuple[str, ...]:
        """The length of a path, and with it the size of random graphs."""
        return ("max_length",) if self.graph else ("max_length", self.largest)

    @property
    def block(self) -> int:
        """Sequences that are drawn at a time, fewer of large graphs."""
        return min(BLOCK, max(1, CELLS // self.cells))

    @property
    def cells(self) -> int:
        """Numbers in the largest table that is made of a graph to draw it."""
        raise NotImplementedError

    @functools.cached_property
    def loaded(self) -> Graph:
        """The graph that `graph` names."""
        return load_graph(self.graph)

    @property
    def input_labels(self) -> list[str]:
        """The digits of a triple and the cues of question and answer."""
        return [*self.output_labels, "query", "answer"]

    @property
    def output_labels(self) -> list[str]:
        """The digits of a triple."""
        return [
            f"{part} {place} {digit}"
            for part in PARTS
            for place in PLACES
            for digit in range(BASE)
        ]

    def questions(
        self, count: int, rng: np.random.Generator
    ) -> tuple[Questions, np.ndarray]:
        """Draws graphs and a question about each.

        Args:
            count: How many.
            rng: Where they are drawn from.

        Returns:
            Tuple of `Questions` and an array of shape `(B,)`: False for a
            graph that has none.
        """
        raise NotImplementedError

    def edge_labels(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Draws the labels of edges of each sequence.

        Args:
            count: The number of sequences.
            rng: Where the labels are drawn from.

        Returns:
            Array of shape `(B, L)` of numbers below 1000.
        """
        return _distinct(count, rng)

    def to_learn(self, asked: Questions, labels: np.ndarray) -> np.ndarray:
        """Returns the answers to learn, which may depend on labels.

        Args:
            asked: Graphs, and a question about each.
            labels: Those of sources, of destinations and of edges by their
                numbers, shape `(B, L, 3)`.

        Returns:
            Array of shape `(B, A, 3)` of numbers of nodes and edge labels.
        """
        return asked.answer

    def thoughts(self, asked: Questions) -> np.ndarray | None:
        """Returns which edges to think of at each silent step.

        Args:
            asked: Graphs, and a question about each.

        Returns:
            Array of truth values of shape `(B, planning, E)`, or None where
            silent steps have no targets.
        """
        return None

    def draw(self, count: int, rng: np.random.Generator) -> Batch:
        """Draws sequences.

        Args:
            count: How many.
            rng: Where graphs, questions, labels and the order of edges come
                from.

        Returns:
            A `Batch` of as many steps as the longest sequence can have, of
            bytes but for the weights, and for targets where there are
            thoughts.

        Raises:
            ValueError: If no graph that is drawn has a question of the wanted
                length.
        """
        return self._blocks(count, rng, self.thoughts)

    def test_data(self, rng: np.random.Generator) -> Batch:
        """Returns `test_sequences` fresh sequences without thoughts."""
        return self._blocks(self.test_sequences, rng, lambda asked: None)

    def _blocks(self, count, rng, thoughts):
        sizes = np.diff([*range(0, count, self.block), count])
        blocks = [self._block(size, rng, thoughts) for size in sizes]
        return Batch(*map(np.concatenate, zip(*blocks, strict=True)))

    def _block(self, count, rng, thoughts):
        """Draws sequences, with what a function of the questions thinks."""
        asked = self._asked(count, rng)
        nodes, edges = _distinct(count, rng), self.edge_labels(count, rng)
        labels = np.stack([nodes, nodes, edges], axis=-1)
        asked = asked._replace(answer=self.to_learn(asked, labels))
        facts, query, answer = (
            np.where(
                part == NONE, NONE, np.take_along_axis(labels, part, axis=1)
            )
            for part in asked
        )
        chosen = thoughts(asked)
        means = None if chosen is None else _mean(chosen, one_hot(facts))
        order = rng.random(facts.shape[:2]).argsort(-1)
        facts = np.take_along_axis(facts, order[..., None], axis=1)
        return encode(Questions(facts, query, answer), self.planning, means)

    def _asked(self, count, rng):
        """Draws graphs until there are as many questions as wanted."""
        drawn, missing, fruitless = [], count, 0
        # The graph of a file is the same each time.
        most = 1 if self.graph else FRUITLESS
        while missing:
            # After a round without any, few may have one: many are drawn.
            tried = self.block if fruitless else missing
            questions, exist = self.questions(tried, rng)
            found = np.flatnonzero(exist)[:missing]
            drawn.append([part[found] for part in questions])
            missing -= len(found)
            fruitless = 0 if len(found) else fruitless + tried
            if fruitless >= most:
                sizes = [f"{name}={getattr(self, name)}" for name in self.grows]
                raise ValueError(
                    "`min_length` and `max_length` must be lengths that "
                    "questions about these graphs can have, and "
                    + (
                        "this one has no such question"
                        if self.graph
                        else f"none of {fruitless} in a row has such a question"
                    )
                    + f". Received: min_length={self.min_length}, "
                    + ", ".join(sizes)
                )
        return Questions(*map(np.concatenate, zip(*drawn, strict=True)))

    def compile_arguments(self) -> dict:
        """Cross-entropy of the digits, and the share of right triples."""
        return {
            "loss": DigitCrossentropy(),
            "weighted_metrics": [RightTriples(name=self.metric)],
        }

    def shown(
        self, outputs: np.ndarray, batch: Batch, example: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Shows logits as probabilities."""
        digits = softmax(outputs.reshape(*outputs.shape[:-1], -1, BASE))
        return super().shown(digits.reshape(outputs.shape), batch, example)

    def input_text(self, inputs: np.ndarray) -> str:
        """Returns the labels of a triple, or `_` for one left open."""
        digits = inputs[:WIDTH].reshape(len(PARTS), -1)
        heard = [
            read if any(label) else "_"
            for read, label in zip(_read(inputs[:WIDTH]), digits, strict=True)
        ]
        cues = [
            cue
            for cue, value in zip(
                self.input_labels[WIDTH:], inputs[WIDTH:], strict=True
            )
            if value
        ]
        return " ".join([*(heard if digits.any() else []), *cues])

    def answer_text(self, outputs: np.ndarray) -> str:
        """Returns the labels of a triple."""
        return " ".join(_read(outputs))

    def target_text(self, target: np.ndarray) -> str:
        """Returns the labels of a triple, with `?` for each open digit."""
        largest = target.reshape(-1, BASE).max(-1).reshape(len(PARTS), -1)
        return " ".join(
            "".join(np.where(one, [*label], "?"))
            for label, one in zip(_read(target), largest > SURE, strict=True)
        )

    def is_right(self, target: np.ndarray, outputs: np.ndarray) -> bool:
        """Whether the digits that are not open are answered."""
        digits = zip(
            self.target_text(target), self.answer_text(outputs), strict=True
        )
        return all(expected in ("?", digit) for expected, digit in digits)

    def score(self, outputs: np.ndarray, batch: Batch) -> dict[str, float]:
        """Counts questions of which not every triple is right."""
        answers, targets = (
            values.reshape(*values.shape[:2], -1, BASE).argmax(-1)
            for values in (outputs, batch.targets)
        )
        counts = is_answer(batch)
        wrong_triples = (answers != targets).any(-1) & counts
        wrong = wrong_triples.any(-1)
        return {
            "questions": len(outputs),
            "wrong questions": int(wrong.sum()),
            "right questions in %": float(100 * (~wrong).mean()),
            "wrong triples in %": float(
                100 * wrong_triples.sum() / counts.sum()
            ),
        }


def encode(
    questions: Questions, planning: int, thoughts: np.ndarray | None = None
) -> Batch:
    """Turns triples of labels into sequences.

    Args:
        questions: Labels from 0 to 999, or `NONE`.
        planning: The number of silent steps before the answer.
        thoughts: The targets of those, of shape `(B, planning, 90)`, with
            zeros where there is none; None for no targets at all.

    Returns:
        A `Batch` of as many steps as there are places for triples and silent
        steps.
    """
    facts, query, answer = questions
    count = len(facts)
    silence = np.full((count, planning, 3), NONE)
    phases = [facts, query, silence, answer]
    triples = np.concatenate(phases, axis=1)
    phase = np.repeat(range(4), [part.shape[1] for part in phases])
    exists = (triples != NONE).any(-1) | (phase == 2)
    # What there is moves to the front, in its order.
    order = np.argsort(~exists, axis=-1, kind="stable")
    exists = np.take_along_axis(exists, order, axis=1)
    vectors = np.take_along_axis(one_hot(triples), order[..., None], axis=1)
    phase = np.where(exists, phase[order], NONE)
    asks, answers = (phase == 1)[..., None], (phase == 3)[..., None]
    targets = vectors * answers
    if thoughts is not None:
        targets = targets.astype(thoughts.dtype)
        targets[phase == 2] = thoughts.reshape(-1, WIDTH)
    return Batch(
        np.concatenate([vectors * ~answers, asks, answers], axis=-1),
        targets,
        targets.any(-1).astype("float32"),
    )


def is_answer(batch: Batch) -> np.ndarray:
    """Finds the steps of the answer.

    Args:
        batch: Sequences of a task about triples.

    Returns:
        Array of truth values of shape `(B, T)`.
    """
    return batch.inputs[..., -1] > 0


def said(outputs: np.ndarray) -> np.ndarray:
    """Returns the labels that are answered.

    Args:
        outputs: Of shape `(…, 90)`.

    Returns:
        Array of shape `(…, 3)` of numbers from 0 to 999.
    """
    shape = (*outputs.shape[:-1], len(PARTS), len(PLACES), BASE)
    return outputs.reshape(shape).argmax(-1) @ [*PLACES.values()]


def one_hot(triples: np.ndarray) -> np.ndarray:
    """Returns triples as a network hears them.

    Args:
        triples: Of shape `(…, 3)`, of labels or `NONE`.

    Returns:
        Array of bytes of shape `(…, 90)`.
    """
    labels, places = triples[..., None], list(PLACES.values())
    digits = np.where(labels == NONE, NONE, labels // places % BASE)
    vectors = digits[..., None] == np.arange(BASE)
    return vectors.reshape(*triples.shape[:-1], WIDTH).astype("uint8")


def _mean(chosen, vectors):
    """Returns means of vectors `(B, E, Y)`, of those chosen, `(B, P, E)`.

    The mean of none is 0.
    """
    share = chosen / np.maximum(chosen.sum(-1, keepdims=True), 1)
    return share.astype("float32") @ vectors


def _read(values):
    """Returns the three labels of a triple, as they are shown."""
    return [f"{label:03d}" for label in said(values)]


def _distinct(count, rng):
    """Returns all labels in random order, `(count, 1000)`."""
    keys = rng.random((count, LABELS), "float32")
    # Equal ones in an order that is not the processor's.
    return keys.argsort(-1, kind="stable")
