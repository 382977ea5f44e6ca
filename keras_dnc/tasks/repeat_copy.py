"""Repeat copy: hear random bits and a number, then say them so many times."""

import dataclasses

import numpy as np

from keras_dnc.tasks.bits import BitsTask
from keras_dnc.tasks.task import Batch, Recipe, option


@dataclasses.dataclass(frozen=True, kw_only=True)
class RepeatCopy(BitsTask):
    """`n` random words, the number of times to say them, and that often.

    A sequence of `n` words and `k` repeats takes `(k + 1) n + 3` steps: the
    start cue, the words, the number on a channel of its own as
    `k / largest_repeats`, then `k n` silent steps in which the words are the
    targets again and again, and one in which the target is an end mark, the
    last of the outputs.

    Source: Graves, Wayne & Danihelka, [Neural Turing Machines](
    https://arxiv.org/abs/1410.5401), 2014, section 4.2; the number's scale and
    the end mark as in DeepMind's code for Graves et al. (2016).

    Raises:
        ValueError: If an option is not a positive integer, if a smallest
            number is above the largest, or if `max_repeats` is above
            `largest_repeats`.
    """

    max_length: int = option(5, "most words of a sequence")
    min_repeats: int = option(1, "fewest repeats")
    max_repeats: int = option(5, "most repeats")
    largest_repeats: int = option(10, "repeats that are shown as 1")
    sequences: int = option(
        5_000, "training sequences of an epoch", training=True
    )

    name = "repeat-copy"
    summary = "say random bits again as often as asked"
    # A slot for each word with some to spare; sizes else and learning rate as
    # for copy. Lengths that grow, by trial.
    recipe = Recipe(
        controller=64,
        memory_size=16,
        word_size=16,
        num_reads=1,
        normalization=True,
        learning_rate=1e-3,
        batch_size=16,
        epochs=80,
        target=0.999,
        curriculum=0.9,
    )

    def __post_init__(self):
        super().__post_init__()
        if self.min_repeats > self.max_repeats:
            raise ValueError(
                "`min_repeats` must be at most max_repeats="
                f"{self.max_repeats}. Received: min_repeats={self.min_repeats}"
            )
        if self.max_repeats > self.largest_repeats:
            raise ValueError(
                "`max_repeats` must be at most largest_repeats="
                f"{self.largest_repeats}. Received: "
                f"max_repeats={self.max_repeats}"
            )

    @property
    def input_labels(self) -> list[str]:
        """The bits, the start cue and the number of repeats, in its scale."""
        return [*self.bit_labels, "start", f"repeats/{self.largest_repeats}"]

    @property
    def output_labels(self) -> list[str]:
        """The bits and the end mark."""
        return [*self.bit_labels, "end"]

    def draw(self, count: int, rng: np.random.Generator) -> Batch:
        """Draws sequences.

        Args:
            count: How many.
            rng: Where lengths, numbers of repeats and bits are drawn from.

        Returns:
            A `Batch` of `(max_repeats + 1) · max_length + 3` steps.
        """
        bits, longest = self.bits, self.max_length
        lengths = rng.integers(self.min_length, longest + 1, count)
        repeats = rng.integers(self.min_repeats, self.max_repeats + 1, count)
        words = rng.integers(0, 2, (count, longest, bits))
        sequence, position = np.nonzero(np.arange(longest) < lengths[:, None])
        every = np.arange(count)

        steps = (self.max_repeats + 1) * longest + 3
        inputs = np.zeros((count, steps, bits + 2), "float32")
        inputs[:, 0, bits] = 1
        inputs[sequence, position + 1, :bits] = words[sequence, position]
        inputs[every, lengths + 1, bits + 1] = repeats / self.largest_repeats

        targets = np.zeros((count, steps, bits + 1), "float32")
        weights = np.zeros((count, steps), "float32")
        sequence, said = np.nonzero(
            np.arange(self.max_repeats * longest) < (lengths * repeats)[:, None]
        )
        word = words[sequence, said % lengths[sequence]]
        answer = lengths[sequence] + 2 + said
        targets[sequence, answer, :bits] = word
        weights[sequence, answer] = 1
        end = lengths * (repeats + 1) + 2
        targets[every, end, bits] = 1
        weights[every, end] = 1
        return Batch(inputs, targets, weights)
