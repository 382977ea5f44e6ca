"""Echo: hear some symbols, then, at a cue, say them again in order."""

import dataclasses

import keras
import numpy as np

from keras_dnc.tasks.task import Batch, GeneratedTask, Recipe, option

SYMBOLS = 4
CUE = SYMBOLS


@dataclasses.dataclass(frozen=True, kw_only=True)
class Echo(GeneratedTask):
    """Symbols 0 to 3 as one-hot vectors, then the cue 4, then silence.

    A sequence of `n` symbols takes `2n` steps: step `i < n` is symbol `i`,
    step `n` is the cue, the rest are zero. From step `n` on the target is
    symbol 0, 1, …; earlier steps do not count, nor do those after `2n` that
    pad a sequence to the longest. A symbol is wrong when the largest of the
    five outputs is not the target's.
    """

    min_length: int = option(3, "fewest symbols of a sequence")
    max_length: int = option(5, "most symbols of a sequence")

    name = "echo"
    summary = "say some symbols again after a cue"
    metric = "right_symbols"
    # The sizes of the published small DNC (memory 10 x 10, two read heads,
    # 10,000 sequences one at a time). The rest by trial on seeds 0 to 4.
    recipe = Recipe(
        controller=64,
        memory_size=10,
        word_size=10,
        num_reads=2,
        normalization=True,
        learning_rate=3e-3,
        batch_size=4,
    )

    @property
    def input_labels(self) -> list[str]:
        """The symbols and the cue."""
        return [*map(str, range(SYMBOLS)), "cue"]

    @property
    def output_labels(self) -> list[str]:
        """The symbols and the cue, which is never a target."""
        return self.input_labels

    def draw(self, count: int, rng: np.random.Generator) -> Batch:
        """Draws sequences.

        Args:
            count: How many.
            rng: Where the lengths and then the symbols are drawn from.

        Returns:
            A `Batch` of `2 · max_length` steps.
        """
        lengths = rng.integers(self.min_length, self.max_length + 1, count)
        symbols = rng.integers(0, SYMBOLS, (count, self.max_length))
        sequence, position = np.nonzero(
            np.arange(self.max_length) < lengths[:, None]
        )
        symbol = symbols[sequence, position]
        answer_step = lengths[sequence] + position

        shape = (count, 2 * self.max_length, len(self.input_labels))
        inputs = np.zeros(shape, "float32")
        inputs[sequence, position, symbol] = 1
        inputs[np.arange(count), lengths, CUE] = 1
        targets = np.zeros(shape, "float32")
        targets[sequence, answer_step, symbol] = 1
        return Batch(inputs, targets, targets.sum(-1))

    def compile_arguments(self) -> dict:
        """Squared error, and the share of right symbols."""
        return {
            "loss": keras.losses.MeanSquaredError(
                reduction="mean_with_sample_weight"
            ),
            "weighted_metrics": [
                keras.metrics.CategoricalAccuracy(name=self.metric)
            ],
        }

    def score(self, outputs: np.ndarray, batch: Batch) -> dict[str, float]:
        """Counts wrong symbols."""
        wrong = (outputs.argmax(-1) != batch.targets.argmax(-1)) * batch.weights
        error = np.square(outputs - batch.targets).mean(-1) * batch.weights
        symbols = batch.weights.sum()
        return {
            "sequences": len(outputs),
            "symbols": int(symbols),
            "wrong symbols": int(wrong.sum()),
            "sequences with a wrong symbol": int(wrong.any(-1).sum()),
            "mean squared error": float(error.sum() / symbols),
        }
