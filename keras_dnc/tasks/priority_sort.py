"""Priority sort: hear words with priorities, then say the foremost in order."""

import dataclasses

import numpy as np

from keras_dnc.tasks.bits import BitsTask
from keras_dnc.tasks.task import Batch, Recipe, option


@dataclasses.dataclass(frozen=True, kw_only=True)
class PrioritySort(BitsTask):
    """`n` random words with a priority each, then those of highest priority.

    A word and its priority, uniform in [-1, 1], take one step. After the end
    cue the targets are the words in falling order of priority, at most
    `answers` of them.

    Source: Graves, Wayne & Danihelka, [Neural Turing Machines](
    https://arxiv.org/abs/1410.5401), 2014, section 4.5, where of 20 words 16
    are asked for.

    Raises:
        ValueError: If an option is not a positive integer, or if `min_length`
            is above `max_length`.
    """

    min_length: int = option(2, "fewest words of a sequence")
    max_length: int = option(8, "most words of a sequence")
    answers: int = option(16, "most words of an answer")
    sequences: int = option(
        5_000, "training sequences of an epoch", training=True
    )

    name = "priority-sort"
    summary = "say random bits in the order of their priorities"
    # A slot for each word with some to spare, and several heads to compare
    # them; learning rate as for copy. Lengths that grow, by trial.
    recipe = Recipe(
        controller=64,
        memory_size=16,
        word_size=16,
        num_reads=4,
        normalization=True,
        learning_rate=1e-3,
        batch_size=16,
        epochs=120,
        target=0.995,
        curriculum=0.9,
    )

    @property
    def input_labels(self) -> list[str]:
        """The bits, the priority and the end cue."""
        return [*self.bit_labels, "priority", "end"]

    def draw(self, count: int, rng: np.random.Generator) -> Batch:
        """Draws sequences.

        Args:
            count: How many.
            rng: Where lengths, bits and priorities are drawn from.

        Returns:
            A `Batch` of `max_length + 1` steps and those of the answer.
        """
        bits, longest = self.bits, self.max_length
        most = min(self.answers, longest)
        lengths = rng.integers(self.min_length, longest + 1, count)
        words = rng.integers(0, 2, (count, longest, bits))
        priorities = rng.uniform(-1, 1, (count, longest)).astype("float32")
        heard = np.arange(longest) < lengths[:, None]
        # What is not heard comes last.
        order = np.argsort(np.where(heard, -priorities, 2), kind="stable")

        steps = longest + 1 + most
        inputs = np.zeros((count, steps, bits + 2), "float32")
        sequence, position = np.nonzero(heard)
        inputs[sequence, position, :bits] = words[sequence, position]
        inputs[sequence, position, bits] = priorities[sequence, position]
        inputs[np.arange(count), lengths, bits + 1] = 1

        targets = np.zeros((count, steps, bits), "float32")
        weights = np.zeros((count, steps), "float32")
        sequence, rank = np.nonzero(heard[:, :most])
        answer = lengths[sequence] + 1 + rank
        targets[sequence, answer] = words[sequence, order[sequence, rank]]
        weights[sequence, answer] = 1
        return Batch(inputs, targets, weights)
