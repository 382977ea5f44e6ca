"""Key-value recall: hear pairs, then say each key's value."""

import dataclasses

import numpy as np

from keras_dnc.tasks.bits import BitsTask
from keras_dnc.tasks.task import Batch, Recipe, option


@dataclasses.dataclass(frozen=True, kw_only=True)
class KeyValueRecall(BitsTask):
    """Pairs of a key and a value, then the keys alone, in another order.

    A pair takes one step, and a question one: the target is the value of the
    key that is shown at that step. The keys of a sequence are distinct.

    Source: Csordás & Schmidhuber, [Improving differentiable neural computers
    through memory masking, de-allocation, and link distribution sharpness
    control](https://arxiv.org/abs/1904.10278), 2019, *key-value retrieval*.

    Raises:
        ValueError: If an option is not a positive integer, if `min_length` is
            above `max_length`, or if there are fewer keys than pairs.
    """

    min_length: int = option(2, "fewest pairs of a sequence")
    max_length: int = option(8, "most pairs of a sequence")
    bits: int = option(8, "width of a key, and of a value")
    sequences: int = option(40_000, "training sequences")

    name = "key-value"
    summary = "say the value of each key"
    # A slot for each pair with some to spare; the rest as for copy.
    recipe = Recipe(
        controller=64,
        memory_size=16,
        word_size=32,
        num_reads=1,
        normalization=True,
        learning_rate=1e-3,
        batch_size=16,
    )

    def __post_init__(self):
        super().__post_init__()
        if self.max_length > 2**self.bits:
            raise ValueError(
                f"`max_length` must be at most {2**self.bits}, the number of "
                f"keys of {self.bits} bits. Received: "
                f"max_length={self.max_length}"
            )

    @property
    def input_labels(self) -> list[str]:
        """The bits of a key, those of a value, and the cue of a question."""
        keys = [f"key bit {i}" for i in range(self.bits)]
        return [*keys, *self.output_labels, "question"]

    def sample(self, count: int, rng: np.random.Generator) -> Batch:
        """Draws sequences.

        Args:
            count: How many.
            rng: Where lengths, pairs and the order of questions come from.

        Returns:
            A `Batch` of `2 · max_length` steps.
        """
        bits, longest = self.bits, self.max_length
        lengths = rng.integers(self.min_length, longest + 1, count)
        keys = np.stack([_distinct(longest, bits, rng) for _ in range(count)])
        values = rng.integers(0, 2, (count, longest, bits)).astype("float32")

        inputs = np.zeros((count, 2 * longest, 2 * bits + 1), "float32")
        targets = np.zeros((count, 2 * longest, bits), "float32")
        weights = np.zeros((count, 2 * longest), "float32")
        for sequence, length in enumerate(lengths):
            order = rng.permutation(length)
            questions = slice(length, 2 * length)
            inputs[sequence, :length, :bits] = keys[sequence, :length]
            inputs[sequence, :length, bits:-1] = values[sequence, :length]
            inputs[sequence, questions, :bits] = keys[sequence, order]
            inputs[sequence, questions, -1] = 1
            targets[sequence, questions] = values[sequence, order]
            weights[sequence, questions] = 1
        return Batch(inputs, targets, weights)


def _distinct(count, bits, rng):
    """Returns words of some bits, no two the same, of shape `(count, bits)`."""
    numbers = rng.choice(2**bits, size=count, replace=False)
    return (numbers[:, None] >> np.arange(bits)) & 1
