"""Associative recall: hear items, then say which one followed another."""

import dataclasses

import numpy as np

from keras_dnc.tasks.bits import BitsTask
from keras_dnc.tasks.task import Batch, Recipe, option


@dataclasses.dataclass(frozen=True, kw_only=True)
class AssociativeRecall(BitsTask):
    """Items of several words, then one of them again; the next is the answer.

    Each item begins with a cue, the question stands between two cues of
    another kind, and the words of the item that followed are the targets of
    the steps after it. The question is never the last item, and no other item
    is the same; others may be alike.

    Source: Graves, Wayne & Danihelka, [Neural Turing Machines](
    https://arxiv.org/abs/1410.5401), 2014, section 4.3.

    Raises:
        ValueError: If an option is not a positive integer, or if `min_length`
            is below 2 or above `max_length`.
    """

    min_length: int = option(2, "fewest items of a sequence")
    max_length: int = option(6, "most items of a sequence")
    bits: int = option(6, "width of a word")
    item_length: int = option(3, "words of an item")
    sequences: int = option(
        5_000, "training sequences of an epoch", training=True
    )

    name = "associative-recall"
    summary = "say which item followed another one"
    # A slot for each word with some to spare; sizes else and learning rate as
    # for copy. Lengths that grow, by trial.
    recipe = Recipe(
        controller=64,
        memory_size=32,
        word_size=16,
        num_reads=1,
        normalization=True,
        learning_rate=1e-3,
        batch_size=16,
        epochs=60,
        target=0.999,
        curriculum=0.9,
    )

    def __post_init__(self):
        super().__post_init__()
        if self.min_length < 2:
            raise ValueError(
                "`min_length` must be at least 2, a question and its answer. "
                f"Received: min_length={self.min_length}"
            )

    @property
    def input_labels(self) -> list[str]:
        """The bits, the cue of an item and that of the question."""
        return [*self.bit_labels, "item", "question"]

    def draw(self, count: int, rng: np.random.Generator) -> Batch:
        """Draws sequences.

        Args:
            count: How many.
            rng: Where lengths, items and questions are drawn from.

        Returns:
            A `Batch` of `(max_length + 2) · (item_length + 1)` steps: those of
            the items, of the question with its two cues and of the answer.
        """
        words, bits = self.item_length, self.bits
        lengths = rng.integers(self.min_length, self.max_length + 1, count)
        shape = (count, self.max_length, words, bits)
        items = rng.integers(0, 2, shape).astype("float32")
        asked = rng.integers(0, lengths - 1)
        every = np.arange(count)
        _redraw(items, asked, rng)

        steps = (self.max_length + 2) * (words + 1)
        inputs = np.zeros((count, steps, bits + 2), "float32")
        targets = np.zeros((count, steps, bits), "float32")
        weights = np.zeros((count, steps), "float32")
        for item in range(self.max_length):
            shown = every[item < lengths]
            start = item * (words + 1)
            inputs[shown, start, bits] = 1
            inputs[shown, start + 1 : start + 1 + words, :bits] = items[
                shown, item
            ]
        question = lengths * (words + 1)
        inputs[every, question, bits + 1] = 1
        inputs[every, question + words + 1, bits + 1] = 1
        for word in range(words):
            inputs[every, question + 1 + word, :bits] = items[
                every, asked, word
            ]
            answer = question + words + 2 + word
            targets[every, answer] = items[every, asked + 1, word]
            weights[every, answer] = 1
        return Batch(inputs, targets, weights)


def _redraw(items, asked, rng):
    """Draws items again that are the same as the one asked about."""
    every = np.arange(len(items))
    while True:
        same = (items == items[every, asked, None]).all((2, 3))
        same[every, asked] = False
        if not same.any():
            return
        items[same] = rng.integers(0, 2, items[same].shape)
