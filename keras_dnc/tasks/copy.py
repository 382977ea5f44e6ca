"""Copy: hear random bits, then, at a cue, say them again in order."""

import dataclasses

import keras
import numpy as np

from keras_dnc.tasks.task import Batch, GeneratedTask, Recipe, option


@dataclasses.dataclass(frozen=True, kw_only=True)
class Copy(GeneratedTask):
    """`n` random words of some bits between two cues, then the words again.

    A sequence takes `2n + 2` steps: the start cue, the words, the end cue,
    and `n` silent steps in which the words are the targets. The bits have one
    input channel each, and each cue one of its own. A bit is wrong when the
    output's logit has the wrong sign.

    Source: Graves, Wayne & Danihelka, [Neural Turing Machines](
    https://arxiv.org/abs/1410.5401), 2014, section 4.1.
    """

    bits: int = option(8, "width of a word")
    sequences: int = option(40_000, "training sequences")

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
        return [*self.output_labels, "start", "end"]

    @property
    def output_labels(self) -> list[str]:
        """The bits."""
        return [f"bit {i}" for i in range(self.bits)]

    def sample(self, count: int, rng: np.random.Generator) -> Batch:
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

    def compile_arguments(self) -> dict:
        """Cross-entropy of each bit, and the share of right bits."""
        return {
            "loss": keras.losses.BinaryCrossentropy(
                from_logits=True, reduction="mean_with_sample_weight"
            ),
            "weighted_metrics": [
                keras.metrics.BinaryAccuracy(name="right_bits", threshold=0.0)
            ],
        }

    def shown(
        self, outputs: np.ndarray, batch: Batch, example: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Shows logits as probabilities."""
        return super().shown(1 / (1 + np.exp(-outputs)), batch, example)

    def score(self, outputs: np.ndarray, batch: Batch) -> dict[str, float]:
        """Counts wrong bits."""
        wrong = ((outputs > 0) != (batch.targets > 0)).sum(-1) * batch.weights
        bits = batch.weights.sum() * self.bits
        return {
            "sequences": len(outputs),
            "wrong bits": int(wrong.sum()),
            "wrong bits per sequence": float(wrong.sum() / len(outputs)),
            "wrong bits in %": float(100 * wrong.sum() / bits),
        }
