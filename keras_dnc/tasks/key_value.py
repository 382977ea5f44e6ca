"""Key-value recall: hear pairs, then say what belongs to one of the two."""

import dataclasses

import numpy as np

from keras_dnc.tasks.bits import BitsTask
from keras_dnc.tasks.task import Batch, Recipe, option

# Keys are drawn as numbers of 64 bits with a sign.
LONGEST_KEY = 62


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
    sequences: int = option(
        5_000, "training sequences of an epoch", training=True
    )

    name = "key-value"
    summary = "say the value of each key"
    # A slot for each pair with some to spare; sizes else and learning rate as
    # for copy. Lengths that grow, by trial.
    recipe = Recipe(
        controller=64,
        memory_size=16,
        word_size=32,
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
        if self.bits > LONGEST_KEY:
            raise ValueError(
                f"`bits` must be at most {LONGEST_KEY}. Received: "
                f"bits={self.bits}"
            )
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
        return [*keys, *self.bit_labels, "question"]

    def draw(self, count: int, rng: np.random.Generator) -> Batch:
        """Draws sequences.

        Args:
            count: How many.
            rng: Where lengths, pairs and the order of questions come from.

        Returns:
            A `Batch` of `2 · max_length` steps.
        """
        lengths, keys, values = self._pairs(count, rng)
        order = _orders(lengths, self.max_length, rng)
        cues = np.ones((*order.shape, 1))
        questions = [_taken(keys, order), np.zeros_like(values), cues]
        return self._sequences(
            lengths, [keys, values], questions, answers=_taken(values, order)
        )

    def _pairs(self, count, rng):
        """Returns lengths, keys no two of which are the same, and values."""
        longest = self.max_length
        lengths = rng.integers(self.min_length, longest + 1, count)
        keys = _distinct(count, longest, self.bits, rng)
        return lengths, keys, rng.integers(0, 2, keys.shape)

    def _sequences(self, lengths, pairs, questions, answers):
        """Returns the `Batch` of pairs and questions, given by their parts."""
        pairs = np.concatenate(pairs, axis=-1)
        questions = np.concatenate(questions, axis=-1)
        count, longest, width = pairs.shape
        sequence, pair = np.nonzero(np.arange(longest) < lengths[:, None])
        question = lengths[sequence] + pair
        inputs = np.zeros((count, 2 * longest, questions.shape[-1]), "float32")
        inputs[sequence, pair, :width] = pairs[sequence, pair]
        inputs[sequence, question] = questions[sequence, pair]
        targets = np.zeros((count, 2 * longest, self.bits), "float32")
        targets[sequence, question] = answers[sequence, pair]
        weights = np.zeros((count, 2 * longest), "float32")
        weights[sequence, question] = 1
        return Batch(inputs, targets, weights)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TwoWayKeyValueRecall(KeyValueRecall):
    """Pairs of a key and a value, then of each pair one of the two.

    As `KeyValueRecall`, but a question shows the key or the value, at random,
    where it stood in the pair, with a cue that says which; the target is the
    other. The values of a sequence are distinct too. So what a read key of the
    memory must look for changes from question to question.

    Source: Csordás & Schmidhuber, [Improving differentiable neural computers
    through memory masking, de-allocation, and link distribution sharpness
    control](https://arxiv.org/abs/1904.10278), 2019, where the questions of
    the two kinds come one kind after the other.

    Raises:
        ValueError: If an option is not a positive integer, if `min_length` is
            above `max_length`, or if there are fewer keys than pairs.
    """

    name = "two-way-key-value"
    summary = "say the value of a key, or the key of a value"

    @property
    def input_labels(self) -> list[str]:
        """The bits of a key, those of a value, and the two cues."""
        return [*super().input_labels[:-1], "value of", "key of"]

    def draw(self, count: int, rng: np.random.Generator) -> Batch:
        """Draws sequences.

        Args:
            count: How many.
            rng: Where lengths, pairs, the order of questions and what they
                show come from.

        Returns:
            A `Batch` of `2 · max_length` steps.
        """
        lengths, keys, _ = self._pairs(count, rng)
        values = _distinct(count, self.max_length, self.bits, rng)
        order = _orders(lengths, self.max_length, rng)
        shows_key = rng.integers(0, 2, (*order.shape, 1))
        keys_there, values_there = _taken(keys, order), _taken(values, order)
        questions = [
            keys_there * shows_key,
            values_there * (1 - shows_key),
            shows_key,
            1 - shows_key,
        ]
        answers = np.where(shows_key, values_there, keys_there)
        return self._sequences(lengths, [keys, values], questions, answers)


def _distinct(count, length, bits, rng):
    """Returns words of some bits, `(count, length, bits)`, distinct in a row.

    The numbers of a row are drawn by Robert Floyd's algorithm: of those below
    `k + 1` one that is there already is replaced by `k`.

    Source: Bentley & Floyd, Programming pearls: a sample of brilliance,
    Communications of the ACM 30 (9), 1987.
    """
    numbers = np.full((count, length), -1)
    largest = range(2**bits - length, 2**bits)
    for place, k in enumerate(largest):
        drawn = rng.integers(0, k + 1, count)
        is_there = (numbers == drawn[:, None]).any(-1)
        numbers[:, place] = np.where(is_there, k, drawn)
    # Large numbers tend to come last.
    numbers = rng.permuted(numbers, axis=-1)
    return (numbers[..., None] >> np.arange(bits)) & 1


def _orders(lengths, longest, rng):
    """Returns a permutation of the first `n` places of each row."""
    keys = rng.random((len(lengths), longest))
    keys[np.arange(longest) >= lengths[:, None]] = 1
    return keys.argsort(-1, kind="stable")


def _taken(words, order):
    return np.take_along_axis(words, order[..., None], axis=1)
