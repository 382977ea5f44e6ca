"""What tasks have in common whose answers are bits."""

import dataclasses
from typing import ClassVar

import keras
import numpy as np

from keras_dnc.tasks.task import Batch, GeneratedTask, names, option


@dataclasses.dataclass(frozen=True, kw_only=True)
class BitsTask(GeneratedTask):
    """A task that is answered by the logits of some bits at a step.

    A bit is wrong when its logit has the wrong sign. A subclass implements
    `draw` and `input_labels`.
    """

    bits: int = option(8, "width of a word")

    metric: ClassVar[str] = "right_bits"

    @property
    def bit_labels(self) -> list[str]:
        """The name of each bit of a word."""
        return [f"bit {i}" for i in range(self.bits)]

    @property
    def output_labels(self) -> list[str]:
        """The bits."""
        return self.bit_labels

    def compile_arguments(self) -> dict:
        """Cross-entropy of each bit, and the share of right bits."""
        return {
            "loss": keras.losses.BinaryCrossentropy(
                from_logits=True, reduction="mean_with_sample_weight"
            ),
            "weighted_metrics": [
                keras.metrics.BinaryAccuracy(name=self.metric, threshold=0.0)
            ],
        }

    def shown(
        self, outputs: np.ndarray, batch: Batch, example: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Shows logits as probabilities."""
        return super().shown(1 / (1 + np.exp(-outputs)), batch, example)

    def input_text(self, inputs: np.ndarray) -> str:
        """Returns words as digits, and the names of what else is not 0."""
        labels = np.array(self.input_labels)
        is_bit = np.array(["bit " in label for label in labels])
        words = inputs[is_bit].reshape(-1, self.bits)
        digits = " ".join(map(_digits, words))
        others = names(labels[~is_bit], inputs[~is_bit])
        return f"{digits} {others}".rstrip()

    def answer_text(self, outputs: np.ndarray) -> str:
        """Returns the bits as digits."""
        return _digits(outputs)

    def score(self, outputs: np.ndarray, batch: Batch) -> dict[str, float]:
        """Counts wrong bits."""
        wrong = ((outputs > 0) != (batch.targets > 0)).sum(-1) * batch.weights
        bits = batch.weights.sum() * outputs.shape[-1]
        return {
            "sequences": len(outputs),
            "wrong bits": int(wrong.sum()),
            "wrong bits per sequence": float(wrong.sum() / len(outputs)),
            "wrong bits in %": float(100 * wrong.sum() / bits),
        }


def _digits(bits):
    return "".join("1" if bit > 0 else "0" for bit in bits)
