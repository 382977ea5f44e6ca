"""How far a training has come, kept so that one that was cut off goes on."""

import csv
import os
import re
import zipfile
from pathlib import Path

import keras
import numpy as np

LOG_FILE = "log.csv"
UNFINISHED_FILE = "unfinished.npz"


class Progress(keras.callbacks.Callback):
    """Saves all variables of layers and optimizer after each epoch.

    Those of random generators too, which no file of weights of Keras holds.

    A file gets its name when all of it is written, and only then the one of
    the epoch before is deleted: whenever the process ends, the folder holds
    the state after one epoch, if one came to its end.

    Args:
        folder: An existing folder; it gets `epoch-N.npz`, and `log.csv` with
            a row of figures for each epoch.
    """

    def __init__(self, folder: Path):
        super().__init__()
        self.folder = Path(folder)

    def restore(self, model: keras.Model) -> int:
        """Brings a new, compiled model to the state that was saved last.

        Args:
            model: A model as the one that was trained, of any weights.

        Returns:
            The number of epochs that it has been trained for, 0 if none was
            saved.

        Raises:
            ValueError: If a file is damaged or of another model.
        """
        epochs, path = max(self._saved(), default=(0, None))
        if path is not None:
            self._load(path, model)
        self._cut_log(epochs)
        return epochs

    def check(self, epochs: int):
        """Refuses a training of fewer epochs than were saved.

        Args:
            epochs: How many there are to be.

        Raises:
            ValueError: If more were saved.
        """
        if self.epochs > epochs:
            raise ValueError(
                f"`epochs` must be at least {self.epochs}, those that are "
                f"done. Received: epochs={epochs}"
            )

    @property
    def epochs(self) -> int:
        """The number of epochs that were saved."""
        return max((epochs for epochs, _ in self._saved()), default=0)

    def logged(self, name: str) -> list[float]:
        """Returns a figure of each epoch that was logged.

        Args:
            name: The name of the figure.

        Raises:
            ValueError: If the log has no such figure, or one that is no
                number.
        """
        path = self.folder / LOG_FILE
        if not path.exists():
            return []
        with path.open(newline="") as file:
            rows = csv.DictReader(file)
            try:
                return [float(row[name]) for row in rows]
            except (KeyError, TypeError, ValueError) as error:
                raise ValueError(
                    f"{path}, line {rows.line_num}: expected a number in a "
                    f"column {name}. Received: {error}"
                ) from error

    def on_epoch_end(self, epoch, logs=None):
        """Logs the figures and saves the state."""
        self._log({"epoch": epoch + 1, **(logs or {})})
        before = list(self._saved())
        unfinished = self.folder / UNFINISHED_FILE
        with unfinished.open("wb") as file:
            np.savez(file, **_variables(self.model))
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, self.folder / f"epoch-{epoch + 1}.npz")
        for _, path in before:
            path.unlink()

    def delete(self):
        """Deletes the states, which a model that is saved makes needless."""
        for _, path in self._saved():
            path.unlink()
        (self.folder / UNFINISHED_FILE).unlink(missing_ok=True)

    def _load(self, path, model):
        model.optimizer.build(model.trainable_variables)
        variables = _variables(model)
        try:
            with np.load(path) as file:
                values = dict(file)
        except (
            OSError,
            ValueError,
            EOFError,
            # Of a file with one array alone.
            TypeError,
            zipfile.BadZipFile,
        ) as error:
            raise ValueError(
                f"{path}: expected the state of a training. Received a file "
                f"that cannot be loaded: {error}"
            ) from error
        saved = [values.get(name) for name in variables]
        shapes = [None if x is None else x.shape for x in saved]
        for shape, variable in zip(shapes, variables.values(), strict=True):
            if shape != tuple(variable.shape):
                raise ValueError(
                    f"{path}: expected the state of this model in training, "
                    f"its {variable.path} of shape {tuple(variable.shape)}. "
                    f"Received: {shape}"
                )
        if len(values) > len(variables):
            raise ValueError(
                f"{path}: expected the state of this model in training, "
                f"{len(variables)} variables. Received: {len(values)}"
            )
        for value, variable in zip(saved, variables.values(), strict=True):
            variable.assign(value)

    def _saved(self):
        """Yields pairs of a number of epochs and a file."""
        for path in self.folder.glob("epoch-*.npz"):
            match = re.fullmatch(r"epoch-(\d+)\.npz", path.name)
            if match:
                yield int(match[1]), path

    def _log(self, figures):
        path = self.folder / LOG_FILE
        is_new = not path.exists() or not path.stat().st_size
        with path.open("a", newline="") as file:
            writer = csv.DictWriter(file, list(figures))
            if is_new:
                writer.writeheader()
            writer.writerow(figures)

    def _cut_log(self, epochs):
        """Leaves the rows of as many epochs: one may be logged, not saved."""
        path = self.folder / LOG_FILE
        rows = []
        if path.exists():
            with path.open(newline="") as file:
                rows = list(csv.reader(file))
        whole = 1 + epochs if epochs else 0
        if len(rows) < whole:
            raise ValueError(
                f"{path}: expected a row for each of {epochs} epochs. "
                f"Received {max(0, len(rows) - 1)}"
            )
        if len(rows) > whole:
            cut = path.with_suffix(".unfinished")
            with cut.open("w", newline="") as file:
                csv.writer(file).writerows(rows[:whole])
            os.replace(cut, path)


def _variables(model):
    """Returns all variables of a model in training by their numbers."""
    variables = [x for layer in model.layers for x in layer.variables]
    variables += model.optimizer.variables
    return {str(i): x for i, x in enumerate(variables)}
