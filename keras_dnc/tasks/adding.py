"""Adding: hear numbers, two of them marked, then say the sum of the two."""

import dataclasses

import keras
import numpy as np
from keras import ops

from keras_dnc.tasks.task import Batch, GeneratedTask, Recipe, option

# How far a right sum may be off: 0.04 in the source, where half of it is said.
TOLERANCE = 0.08


@keras.saving.register_keras_serializable(package="keras_dnc")
def right_sums(y_true, y_pred):
    """Whether sums are near enough, as 1 or 0, shape `(B, T)`.

    Args:
        y_true: Tensor of sums, shape `(B, T, 1)`.
        y_pred: Tensor of answers, shape `(B, T, 1)`.
    """
    is_right = _is_near(y_pred, y_true)
    return ops.squeeze(ops.cast(is_right, y_pred.dtype), axis=-1)


def _is_near(answer, target):
    return abs(answer - target) <= TOLERANCE


@dataclasses.dataclass(frozen=True, kw_only=True)
class Adding(GeneratedTask):
    """`n` numbers uniform in [0, 1], two of them marked; their sum.

    A number and its mark, 1 or 0, take one step each; at the end cue, in step
    `n`, the target is the sum of the two that were marked. A sum is wrong if
    it is off by more than 0.08.

    Source: Hochreiter & Schmidhuber, [Long short-term memory](
    https://doi.org/10.1162/neco.1997.9.8.1735), 1997, section 5.4, whose
    criterion this is (0.04 of half the sum); numbers and sum as in Le, Jaitly
    & Hinton, [A simple way to initialize recurrent networks of rectified
    linear units](https://arxiv.org/abs/1504.00941), 2015, section 4.1.

    Raises:
        ValueError: If an option is not a positive integer, or if `min_length`
            is below 2 or above `max_length`.
    """

    min_length: int = option(2, "fewest numbers of a sequence")
    max_length: int = option(20, "most numbers of a sequence")
    sequences: int = option(
        40_000, "training sequences of an epoch", training=True
    )

    name = "adding"
    summary = "add two marked numbers"
    metric = "right_sums"
    # Only two numbers are to be kept; the rest as for copy.
    recipe = Recipe(
        controller=64,
        memory_size=16,
        word_size=16,
        num_reads=1,
        normalization=True,
        learning_rate=1e-3,
        batch_size=16,
    )

    def __post_init__(self):
        super().__post_init__()
        if self.min_length < 2:
            raise ValueError(
                "`min_length` must be at least 2, the numbers to add. "
                f"Received: min_length={self.min_length}"
            )

    @property
    def input_labels(self) -> list[str]:
        """A number, its mark and the end cue."""
        return ["number", "mark", "end"]

    @property
    def output_labels(self) -> list[str]:
        """The sum."""
        return ["sum"]

    def draw(self, count: int, rng: np.random.Generator) -> Batch:
        """Draws sequences.

        Args:
            count: How many.
            rng: Where lengths, numbers and marks are drawn from.

        Returns:
            A `Batch` of `max_length + 1` steps.
        """
        longest = self.max_length
        lengths = rng.integers(self.min_length, longest + 1, count)
        numbers = rng.uniform(0, 1, (count, longest)).astype("float32")
        heard = np.arange(longest) < lengths[:, None]
        # Two different places of those that are heard, each pair as likely.
        one = rng.integers(0, lengths)
        other = (one + rng.integers(1, lengths)) % lengths
        every = np.arange(count)

        inputs = np.zeros((count, longest + 1, 3), "float32")
        inputs[:, :-1, 0] = numbers * heard
        inputs[every, one, 1] = inputs[every, other, 1] = 1
        inputs[every, lengths, 2] = 1
        targets = np.zeros((count, longest + 1, 1), "float32")
        targets[every, lengths, 0] = numbers[every, one] + numbers[every, other]
        weights = np.zeros((count, longest + 1), "float32")
        weights[every, lengths] = 1
        return Batch(inputs, targets, weights)

    def compile_arguments(self) -> dict:
        """Squared error of the sum, and the share of right ones."""
        return {
            "loss": keras.losses.MeanSquaredError(
                reduction="mean_with_sample_weight"
            ),
            "weighted_metrics": [
                keras.metrics.MeanMetricWrapper(right_sums, name=self.metric)
            ],
        }

    def input_text(self, inputs: np.ndarray) -> str:
        """Returns the number, and the mark or the cue if there is one."""
        number, mark, end = inputs
        return "end" if end else f"{number:.2f}{' marked' if mark else ''}"

    def answer_text(self, outputs: np.ndarray) -> str:
        """Returns the sum, to the second place after the point."""
        return f"{outputs[0]:.2f}"

    def is_right(self, target: np.ndarray, outputs: np.ndarray) -> bool:
        """Whether the sum is near enough."""
        return bool(_is_near(outputs[0], target[0]))

    def score(self, outputs: np.ndarray, batch: Batch) -> dict[str, float]:
        """Counts wrong sums."""
        counts = batch.weights > 0
        answers, targets = outputs[counts], batch.targets[counts]
        wrong = ~_is_near(answers, targets)
        return {
            "sequences": len(outputs),
            "wrong sums": int(wrong.sum()),
            "wrong sums in %": float(100 * wrong.mean()),
            "mean squared error": float(np.square(answers - targets).mean()),
        }
