"""What a memory does in the course of a training, for TensorBoard."""

import importlib.util
import os
from pathlib import Path

import keras
import numpy as np

from keras_dnc.interface import is_present
from keras_dnc.tracing import trace
from keras_dnc.validation import positive_integer


def require_tensorboard():
    """Refuses to log where TensorBoard, which TensorFlow logs by, is missing.

    Raises:
        ModuleNotFoundError: If it is.
    """
    if importlib.util.find_spec("tensorboard") is None:
        raise ModuleNotFoundError(
            "logs for TensorBoard need it: pip install tensorboard"
        )


class TensorBoardTraces(keras.callbacks.Callback):
    """Traces some sequences after every k-th epoch, and logs what it sees.

    For each gate and each read mode the mean and a histogram over the steps
    that no mask hides, and for the first sequences the picture
    `plots.memory_at_work`. Like the figures of `keras.callbacks.TensorBoard`
    those of the first epoch are of step 0. The training stays the same as
    without. It needs matplotlib and TensorBoard.

    Args:
        log_dir: The folder of the event files; it is made if it is not there.
        inputs: What the model is called with, of a few sequences.
        every: Number `k` of epochs from one trace to the next.
        name: Which of several DNCs in the model. What is logged is named
            after it, or "dnc".
        examples: For how many sequences, from the first, to draw the picture.

    Raises:
        ValueError: If an argument is out of its range, or, when the training
            begins (of a model that is not built, when it is traced), the model
            has no such DNC.
        ModuleNotFoundError: If there is no matplotlib, or no TensorBoard.

    Example:
    >>> import tempfile
    >>> import keras
    >>> import numpy as np
    >>> import keras_dnc
    >>> inputs = keras.Input((None, 3))
    >>> layer = keras_dnc.DNC(2, controller=8, memory_size=4, word_size=3)
    >>> model = keras.Model(inputs, layer(inputs))
    >>> model.compile("adam", "mse")
    >>> sequences, targets = np.ones((4, 5, 3)), np.ones((4, 2))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     traces = keras_dnc.TensorBoardTraces(folder, sequences[:1])
    ...     history = model.fit(
    ...         sequences, targets, callbacks=[traces], verbose=0
    ...     )
    """

    def __init__(
        self,
        log_dir: Path | str,
        inputs,
        every: int = 1,
        name: str | None = None,
        examples: int = 1,
    ):
        # Not only after the first epochs.
        from keras_dnc import plots  # noqa: F401

        require_tensorboard()
        super().__init__()
        if not isinstance(log_dir, (str, os.PathLike)):
            raise ValueError(
                f"`log_dir` must be a path. Received: log_dir={log_dir!r}"
            )
        if not (name is None or isinstance(name, str)):
            raise ValueError(
                "`name` must be the name of a DNC or None. Received: "
                f"name={name!r}"
            )
        sizes = {np.shape(part)[:1] for part in keras.tree.flatten(inputs)}
        if len(sizes) != 1 or sizes <= {(), (0,)}:
            raise ValueError(
                "`inputs` must hold at least one sequence, and each part of "
                f"them as many. Received parts with {sorted(sizes)} of them"
            )
        ((size,),) = sizes
        self.log_dir = os.fspath(log_dir)
        self.inputs = inputs
        self.every = positive_integer("every", every)
        self.name = name
        self.examples = positive_integer("examples", examples)
        if examples > size:
            raise ValueError(
                f"`examples` must be at most the number of sequences, {size}. "
                f"Received: examples={examples}"
            )
        self._writer = None

    def on_train_begin(self, logs=None):
        """Opens an event file."""
        import tensorflow as tf

        # A model without such a DNC is refused before the first epoch, but one
        # may be built by its first batch only.
        if self.model.built:
            trace(self.model, self.inputs, name=self.name)
        self._writer = tf.summary.create_file_writer(self.log_dir)

    def on_epoch_end(self, epoch, logs=None):
        """Logs the trace of every k-th epoch."""
        if (epoch + 1) % self.every:
            return
        import tensorflow as tf

        from keras_dnc.plots import memory_at_work

        traced = trace(self.model, self.inputs, name=self.name)
        prefix = self.name or "dnc"
        with self._writer.as_default(step=epoch):
            for name, values in _gates_and_modes(traced):
                values = values[traced.mask]
                tf.summary.scalar(
                    f"{prefix}/mean {name}", values.mean(dtype="float64")
                )
                tf.summary.histogram(f"{prefix}/{name}", values)
            for example in range(self.examples):
                picture = _pixels(memory_at_work(traced, example=example))
                name = f"{prefix}/memory at work {example + 1}"
                tf.summary.image(name, picture[None])
        # What is there of a training that ends early.
        self._writer.flush()

    def on_train_end(self, logs=None):
        """Closes the event file."""
        self._writer.close()


def _gates_and_modes(traced):
    """Yields names and arrays of shape `(B, T)`."""
    from keras_dnc.plots.traces import gate_rows, mode_names

    for name, values in gate_rows(traced, slice(None)).items():
        yield name.replace(" ", " gate "), values
    modes = traced.interface.read_modes
    if not is_present(modes):
        return
    for head in range(modes.shape[2]):
        for i, name in enumerate(mode_names(modes.shape[3])):
            yield f"read mode {name} of head {head + 1}", modes[:, :, head, i]


def _pixels(figure):
    """Returns a Figure as an array of shape `(height, width, 3)`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]
