"""Digits in order: read an image row by row, then say its digit."""

import dataclasses

import numpy as np

from keras_dnc import mnist
from keras_dnc.tasks.classes import ClassesTask
from keras_dnc.tasks.task import Batch, Recipe, option

# From dark to bright.
SHADES = " .:-=+*#%@"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Digits(ClassesTask):
    """Handwritten digits of MNIST, one row of an image at each step.

    A row is 28 numbers from 0 to 1. The target is the digit, at the last row.

    Source: LeCun, Bottou, Bengio & Haffner, [Gradient-based learning applied to
    document recognition](https://doi.org/10.1109/5.726791), 1998; row by row
    as in Le, Jaitly & Hinton, [A simple way to initialize recurrent networks of
    rectified linear units](https://arxiv.org/abs/1504.00941), 2015, section
    4.2, where each step is one pixel.

    Raises:
        ValueError: If `data` is missing.
        FileNotFoundError: If a file is.
    """

    data: str = option(
        "", "the folder of MNIST's four files, in IDX format", path=()
    )

    name = "digits"
    summary = "say what digit an image shows, read row by row"
    metric = "right_digits"
    # Larger batches than for copy: there are 60,000 images.
    recipe = Recipe(normalization=True, batch_size=64, epochs=2)

    def __post_init__(self):
        super().__post_init__()
        if not self.data:
            raise ValueError(
                "`data` must be the folder of MNIST's files. Received none"
            )
        mnist.files(self.data)

    @property
    def input_labels(self) -> list[str]:
        """The columns of an image."""
        return [f"column {i}" for i in range(28)]

    @property
    def output_labels(self) -> list[str]:
        """The digits."""
        return [str(digit) for digit in range(mnist.CLASSES)]

    def encode(self, images: np.ndarray, labels: np.ndarray) -> Batch:
        """Turns images into sequences of rows.

        Args:
            images: Array of bytes of shape `(B, 28, 28)`.
            labels: Array of digits of shape `(B,)`.

        Returns:
            A `Batch` of 28 steps, the targets as digits.
        """
        count, steps, _ = images.shape
        targets = np.zeros((count, steps), "int32")
        targets[:, -1] = labels
        weights = np.zeros((count, steps), "float32")
        weights[:, -1] = 1
        return Batch(images.astype("float32") / 255, targets, weights)

    def training_data(self, rng: np.random.Generator) -> Batch:
        """Returns the training images."""
        read = mnist.load(self.data)
        return self.encode(read.train_images, read.train_labels)

    def test_data(self, rng: np.random.Generator) -> Batch:
        """Returns the test images."""
        read = mnist.load(self.data)
        return self.encode(read.test_images, read.test_labels)

    def input_text(self, inputs: np.ndarray) -> str:
        """Returns a row in shades."""
        shades = np.rint(inputs * (len(SHADES) - 1)).astype(int)
        return "".join(SHADES[shade] for shade in shades).rstrip()

    def score(self, outputs: np.ndarray, batch: Batch) -> dict[str, float]:
        """Counts wrong digits."""
        wrong = outputs[:, -1].argmax(-1) != batch.targets[:, -1]
        return {
            "digits": len(outputs),
            "wrong digits": int(wrong.sum()),
            "error in %": float(100 * wrong.mean()),
        }
