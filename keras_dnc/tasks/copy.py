"""Copy: hear random bits, then, at a cue, say them again in order."""

import dataclasses

import numpy as np

from keras_dnc.tasks.bits import BitsTask
from keras_dnc.tasks.task import Batch, Recipe, option


@dataclasses.dataclass(frozen=True, kw_only=True)
class Copy(BitsTask):
    """`n` random words of some bits between two cues, then the words again.

    A sequence takes `2n + 2` steps: the start cue, the words, the end cue,
    and `n` silent steps in which the words are the targets. The bits have one
    input channel each, and each cue one of its own.

    Source: Graves, Wayne & Danihelka, [Neural Turing Machines](
    https://arxiv.org/abs/1410.5401), 2014, section 4.1.
    """

    sequences: int = option(
        40_000, "training sequences of an epoch", training=True
    )

    name = "copy"
    summary = "say random bits again after a cue"
    # Memory of one slot a word with some to spare; the rest by trial.
    recipe = Recipe(
        controller=64,
        memory_size=16,
        word_size=16,
        num_reads=1,
        normalization=True,
        learning_rate=1e-3,
        batch_size=16,
    )

    @property
    def input_labels(self) -> list[str]:
        """The bits and the two cues."""
        return [*self.bit_labels, "start", "end"]

    def draw(self, count: int, rng: np.random.Generator) -> Batch:
        """Draws sequences.

        Args:
            count: How many.
            rng: Where the lengths and then the bits are drawn from.

        Returns:
            A `Batch` of `2 · max_length + 2` steps.
        """
        lengths = rng.integers(self.min_length, self.max_length + 1, count)
        words = rng.integers(0, 2, (count, self.max_length, self.bits))
        sequence, position = np.nonzero(
            np.arange(self.max_length) < lengths[:, None]
        )
        word = words[sequence, position]
        answer_step = lengths[sequence] + 2 + position
        end_step = lengths + 1

        steps = 2 * self.max_length + 2
        start, end = self.bits, self.bits + 1
        inputs = np.zeros((count, steps, self.bits + 2), "float32")
        inputs[:, 0, start] = 1
        inputs[sequence, position + 1, : self.bits] = word
        inputs[np.arange(count), end_step, end] = 1
        targets = np.zeros((count, steps, self.bits), "float32")
        targets[sequence, answer_step] = word
        weights = np.zeros((count, steps), "float32")
        weights[sequence, answer_step] = 1
        return Batch(inputs, targets, weights)
