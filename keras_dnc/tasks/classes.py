"""What tasks have in common whose answers are one of some classes."""

import dataclasses

import keras
import numpy as np

from keras_dnc.tasks.task import Batch, Task, softmax


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassesTask(Task):
    """A task that is answered by the logits of classes at a step.

    A target is the number of a class.
    """

    def compile_arguments(self) -> dict:
        """Cross-entropy of the classes, and the share of right ones."""
        return {
            "loss": keras.losses.SparseCategoricalCrossentropy(
                from_logits=True, reduction="mean_with_sample_weight"
            ),
            "weighted_metrics": [
                keras.metrics.SparseCategoricalAccuracy(name=self.metric)
            ],
        }

    def shown(
        self, outputs: np.ndarray, batch: Batch, example: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Shows logits as probabilities, and numbers of classes as one-hot."""
        one_hot = batch._replace(
            targets=np.eye(outputs.shape[-1])[batch.targets]
        )
        return super().shown(softmax(outputs), one_hot, example)

    def target_text(self, target: np.ndarray) -> str:
        """Returns the name of a class."""
        return self.output_labels[target]
