"""Argmax: hear digits, then say the place of the largest."""

import dataclasses

import keras
import numpy as np

from keras_dnc.tasks.task import Batch, GeneratedTask, Recipe, option, softmax


@dataclasses.dataclass(frozen=True, kw_only=True)
class Argmax(GeneratedTask):
    """`n` random digits, then a cue; the place of the first largest.

    A digit takes one step, as a one-hot vector; at the cue, in step `n`, the
    target is the number of the step in which the largest digit was heard, of
    equal ones the first. A place is wrong when the largest output is not the
    target's.

    Source: the task of this name of [pytorch-dnc](
    https://github.com/ixaxaar/pytorch-dnc), which takes the last of equal ones
    and answers with a number.

    Raises:
        ValueError: If an option is not a positive integer, or if `min_length`
            is above `max_length` or that above `places`.
    """

    min_length: int = option(2, "fewest digits of a sequence")
    max_length: int = option(10, "most digits of a sequence")
    digits: int = option(10, "different digits")
    places: int = option(20, "places that an answer can name")
    sequences: int = option(
        40_000, "training sequences of an epoch", training=True
    )

    name = "argmax"
    summary = "say where the largest digit was"
    metric = "right_places"
    # Sizes and learning rate as for copy.
    recipe = Recipe(
        controller=64,
        memory_size=16,
        word_size=16,
        num_reads=1,
        normalization=True,
        learning_rate=1e-3,
        batch_size=16,
        epochs=5,
        target=0.995,
    )

    def __post_init__(self):
        super().__post_init__()
        if self.max_length > self.places:
            raise ValueError(
                f"`max_length` must be at most places={self.places}. "
                f"Received: max_length={self.max_length}"
            )

    @property
    def input_labels(self) -> list[str]:
        """The digits and the cue."""
        return [*map(str, range(self.digits)), "cue"]

    @property
    def output_labels(self) -> list[str]:
        """The places."""
        return [f"place {i}" for i in range(self.places)]

    def draw(self, count: int, rng: np.random.Generator) -> Batch:
        """Draws sequences.

        Args:
            count: How many.
            rng: Where lengths and digits are drawn from.

        Returns:
            A `Batch` of `max_length + 1` steps.
        """
        longest = self.max_length
        lengths = rng.integers(self.min_length, longest + 1, count)
        digits = rng.integers(0, self.digits, (count, longest))
        heard = np.arange(longest) < lengths[:, None]
        largest = np.where(heard, digits, -1).argmax(-1)
        every = np.arange(count)

        inputs = np.zeros((count, longest + 1, self.digits + 1), "float32")
        sequence, position = np.nonzero(heard)
        inputs[sequence, position, digits[heard]] = 1
        inputs[every, lengths, -1] = 1
        targets = np.zeros((count, longest + 1, self.places), "float32")
        targets[every, lengths, largest] = 1
        return Batch(inputs, targets, targets.sum(-1))

    def compile_arguments(self) -> dict:
        """Cross-entropy of the place, and the share of right ones."""
        return {
            "loss": keras.losses.CategoricalCrossentropy(
                from_logits=True, reduction="mean_with_sample_weight"
            ),
            "weighted_metrics": [
                keras.metrics.CategoricalAccuracy(name=self.metric)
            ],
        }

    def shown(
        self, outputs: np.ndarray, batch: Batch, example: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Shows logits as probabilities."""
        return super().shown(softmax(outputs), batch, example)

    def score(self, outputs: np.ndarray, batch: Batch) -> dict[str, float]:
        """Counts wrong places."""
        wrong = (outputs.argmax(-1) != batch.targets.argmax(-1)) * batch.weights
        return {
            "sequences": len(outputs),
            "wrong places": int(wrong.sum()),
            "wrong places in %": float(100 * wrong.sum() / batch.weights.sum()),
        }
