"""The end of a training that comes to NaN, and which number went wrong."""

from collections.abc import Iterable

import keras
import numpy as np
from keras import ops

from keras_dnc.tracing import named_arrays, trace

# What a time step makes, in the order in which it does; what is not named
# comes after these.
ORDER = (
    "inputs",
    "state/controller_states",
    "interface",
    "state/usage",
    "allocation_weightings",
    "state/write_weightings",
    "state/memory",
    "state/link",
    "state/precedence",
    "state/read_weightings",
    "state/reads",
    "outputs",
)
ADVICE = "A smaller learning rate or clipnorm may help"


class CheckFinite(keras.callbacks.Callback):
    """Ends a training whose loss or weights are NaN or infinite.

    The loss of an epoch's last step is that before its update, so that weights
    are looked at too, before other callbacks save them: it comes first.
    """

    def __init__(self):
        super().__init__()
        self._epoch = 0

    def on_epoch_begin(self, epoch, logs=None):
        """Remembers the epoch."""
        self._epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        """Looks at the mean loss of the epoch so far.

        Raises:
            FloatingPointError: If it is NaN or infinite.
        """
        loss = (logs or {}).get("loss", 0.0)
        if not np.isfinite(loss):
            raise FloatingPointError(
                f"the loss is {loss} after step {batch + 1} of epoch "
                f"{self._epoch + 1}. {ADVICE}"
            )

    def on_epoch_end(self, epoch, logs=None):
        """Looks at the weights.

        Raises:
            FloatingPointError: If one is NaN or infinite.
        """
        wrong = _not_finite(self.model)
        if wrong:
            raise FloatingPointError(
                f"{wrong[0]} is not finite after epoch {epoch + 1}. {ADVICE}"
            )


def first_not_finite(model: keras.Model, batches: Iterable) -> str:
    """Trains a model until something is NaN or infinite, and says what.

    Args:
        model: A compiled model, in the state that it was last good in.
        batches: Tuples of inputs, targets and weights, those that it was
            trained on from there.

    Returns:
        A sentence with the step of training, from 1, and the tensor, which is
        of the batch, of a time step of the DNC, the outputs, or a variable
        after the update.
    """
    for step, (inputs, targets, weights) in enumerate(batches, 1):
        for name, array in (
            ("inputs", inputs),
            ("targets", targets),
            ("weights", weights),
        ):
            if not np.isfinite(array).all():
                return f"First to go wrong: the {name} of step {step}"
        before = model.get_weights()
        model.train_on_batch(inputs, targets, sample_weight=weights)
        wrong = _not_finite(model)
        if wrong:
            model.set_weights(before)
            found = (
                _in_trace(model, inputs)
                or _in_outputs(model, inputs)
                or f"the gradient, which made {wrong[0]} so"
            )
            return f"First to go wrong, in step {step}: {found}"
    return "Trained again from there, nothing went wrong"


def _not_finite(model):
    """Returns the paths of the weights that are NaN or infinite."""
    return [
        weight.path
        for weight in model.trainable_weights
        if not ops.all(ops.isfinite(weight.value))
    ]


def _in_trace(model, inputs):
    """Returns the first tensor of a DNC that is not finite, None if all are."""
    try:
        arrays = dict(named_arrays(trace(model, inputs)))
    except ValueError:
        # There is no DNC in it.
        return None
    found = []
    for name, array in arrays.items():
        example, step = np.nonzero(
            ~np.isfinite(array).reshape(*array.shape[:2], -1).all(-1)
        )
        if len(step):
            first = step.argmin()
            found.append((step[first], _place(name), name, example[first]))
    if not found:
        return None
    step, _, name, example = min(found)
    return f"{name} of example {example} at time step {step}"


def _in_outputs(model, inputs):
    """Names the outputs if they are not finite, None if they are."""
    if np.isfinite(model.predict_on_batch(inputs)).all():
        return None
    return f"the outputs of {model.name!r}"


def _place(name):
    """Returns the place of a part in the order of a time step."""
    places = [i for i, part in enumerate(ORDER) if name.startswith(part)]
    return places[0] if places else len(ORDER)
