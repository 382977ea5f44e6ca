"""How good predicted probabilities are, as metrics for `compile`."""

import keras
from keras import ops

from keras_dnc.validation import boolean, positive_integer

register = keras.saving.register_keras_serializable(package="keras_dnc")


def of_classes(y_true, y_pred, from_logits: bool, dtype: str):
    """Returns targets as probabilities, and predictions, of one shape.

    One prediction alone, of shape `(..., 1)`, is that of the second of two
    classes.

    Args:
        y_true: Class numbers, of the shape of `y_pred` without its last axis
            (or with 1 there), or probabilities of the shape of `y_pred`.
        y_pred: Predictions, of shape `(..., classes)`.
        from_logits: Whether predictions are logits.
        dtype: The dtype of what is returned.
    """
    y_pred = ops.cast(y_pred, dtype)
    y_true = ops.convert_to_tensor(y_true)
    if y_pred.shape[-1] == 1:
        y_true = ops.cast(ops.reshape(y_true, ops.shape(y_pred)), dtype)
        return both_classes(y_true, False), both_classes(y_pred, from_logits)
    if len(y_true.shape) == len(y_pred.shape) and y_true.shape[-1] == 1:
        y_true = ops.squeeze(y_true, -1)
    if len(y_true.shape) < len(y_pred.shape):
        y_true = ops.one_hot(
            ops.cast(y_true, "int32"), y_pred.shape[-1], dtype=dtype
        )
    return ops.cast(y_true, dtype), y_pred


def both_classes(predictions, from_logits: bool):
    """Returns predictions of two classes where the second's alone are given.

    Args:
        predictions: Tensor of shape `(..., classes)`, or `(..., 1)` for the
            second of two classes.
        from_logits: Whether predictions are logits.
    """
    if predictions.shape[-1] != 1:
        return predictions
    first = ops.zeros_like(predictions) if from_logits else 1 - predictions
    return ops.concatenate([first, predictions], axis=-1)


def as_probabilities(predictions, from_logits: bool):
    """Returns probabilities of classes.

    Args:
        predictions: Tensor of shape `(..., classes)`.
        from_logits: Whether predictions are logits.
    """
    return ops.softmax(predictions, axis=-1) if from_logits else predictions


def weights_of(y_pred, sample_weight, dtype: str):
    """Returns the weight of each prediction, 0 where its mask is False.

    Args:
        y_pred: Predictions, of shape `(..., classes)`, with Keras' mask if
            they have one.
        sample_weight: Weights, of a shape that begins like `(...)`, or None.
        dtype: The dtype of what is returned.

    Returns:
        Tensor of shape `(...)`.
    """
    shape = ops.shape(y_pred)[:-1]
    weights = ops.ones(shape, dtype)
    for part in (sample_weight, getattr(y_pred, "_keras_mask", None)):
        if part is None:
            continue
        part = ops.cast(part, dtype)
        if len(part.shape) > len(shape):
            part = ops.squeeze(part, -1)
        # A weight of a whole sequence holds for its steps.
        missing = len(shape) - len(part.shape)
        part = ops.reshape(part, (*ops.shape(part), *(1,) * missing))
        weights = weights * part
    return weights


class _ProbabilityMetric(keras.metrics.Mean):
    """A mean over examples of a function of probabilities and targets.

    Targets are class numbers, of the shape of the predictions without their
    last axis (or with 1 there), or probabilities of the predictions' shape. One
    prediction alone, of shape `(..., 1)`, is that of the second of two classes.
    """

    def __init__(self, from_logits=False, name=None, dtype=None):
        super().__init__(name=name, dtype=dtype)
        self.from_logits = boolean("from_logits", from_logits)

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Adds a batch.

        Args:
            y_true: Targets.
            y_pred: Predictions, of shape `(..., classes)`.
            sample_weight: Weights, of shape `(...)`.
        """
        values = self.of_examples(
            *of_classes(y_true, y_pred, self.from_logits, self.dtype)
        )
        super().update_state(
            values, weights_of(y_pred, sample_weight, self.dtype)
        )

    def of_examples(self, targets, predictions):
        """Returns the value for each example, of shape `(...)`.

        Args:
            targets: Probabilities, of shape `(..., classes)`.
            predictions: Tensor of shape `(..., classes)`.
        """
        raise NotImplementedError

    def get_config(self):
        """Returns the constructor's arguments."""
        return {**super().get_config(), "from_logits": self.from_logits}


@register
class NegativeLogLikelihood(_ProbabilityMetric):
    """Mean of `−ln p[target]`, in nats.

    Args:
        from_logits: Whether predictions are logits.
        name: The metric's name.
        dtype: The metric's dtype.
    """

    def __init__(
        self, from_logits=False, name="negative_log_likelihood", dtype=None
    ):
        super().__init__(from_logits, name, dtype)

    def of_examples(self, targets, predictions):
        """Returns `−Σ t ln p`."""
        if self.from_logits:
            logs = ops.log_softmax(predictions, axis=-1)
        else:
            logs = ops.log(ops.maximum(predictions, keras.config.epsilon()))
        return -ops.sum(targets * logs, axis=-1)


@register
class BrierScore(_ProbabilityMetric):
    """Mean of `Σ (p − t)²` over the classes, from 0 to 2.

    Source: Brier, [Verification of forecasts expressed in terms of
    probability](https://doi.org/10.1175/1520-0493(1950)078%3C0001:VOFEIT%3E2.0.CO;2),
    1950.

    Args:
        from_logits: Whether predictions are logits.
        name: The metric's name.
        dtype: The metric's dtype.
    """

    def __init__(self, from_logits=False, name="brier_score", dtype=None):
        super().__init__(from_logits, name, dtype)

    def of_examples(self, targets, predictions):
        """Returns `Σ (p − t)²`."""
        probabilities = as_probabilities(predictions, self.from_logits)
        return ops.sum(ops.square(probabilities - targets), axis=-1)


@register
class ExpectedCalibrationError(keras.metrics.Metric):
    """How far confidence is from accuracy, on average.

    Examples are put into bins of equal width by their confidence, the largest
    probability: `Σ_b (n_b / n) |accuracy_b − confidence_b|`.

    Source: Guo et al., [On calibration of modern neural networks](
    https://arxiv.org/abs/1706.04599), 2017, equation (3).

    Args:
        bins: Number of bins.
        from_logits: Whether predictions are logits.
        name: The metric's name.
        dtype: The metric's dtype.
    """

    def __init__(
        self,
        bins: int = 15,
        from_logits: bool = False,
        name: str = "expected_calibration_error",
        dtype=None,
    ):
        super().__init__(name=name, dtype=dtype)
        self.bins = positive_integer("bins", bins)
        self.from_logits = boolean("from_logits", from_logits)
        self.weights_in_bins, self.confidences, self.accuracies = (
            self.add_variable((bins,), initializer="zeros", name=part)
            for part in ("weights_in_bins", "confidences", "accuracies")
        )

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Adds a batch.

        Args:
            y_true: Class numbers, of the shape of `y_pred` without its last
                axis (or with 1 there), or probabilities of its shape.
            y_pred: Predictions, of shape `(..., classes)`.
            sample_weight: Weights, of shape `(...)`.
        """
        targets, predictions = of_classes(
            y_true, y_pred, self.from_logits, self.dtype
        )
        probabilities = as_probabilities(predictions, self.from_logits)
        confidence = ops.reshape(ops.max(probabilities, axis=-1), (-1,))
        right = ops.argmax(targets, axis=-1) == ops.argmax(
            probabilities, axis=-1
        )
        right = ops.reshape(ops.cast(right, self.dtype), (-1,))
        weight = ops.reshape(
            weights_of(y_pred, sample_weight, self.dtype), (-1,)
        )
        # The upper edge belongs to a bin, as in the source.
        number = ops.cast(ops.ceil(confidence * self.bins), "int32") - 1
        number = ops.clip(number, 0, self.bins - 1)
        members = ops.one_hot(number, self.bins, dtype=self.dtype)
        for total, values in (
            (self.weights_in_bins, weight),
            (self.confidences, weight * confidence),
            (self.accuracies, weight * right),
        ):
            total.assign_add(ops.matmul(values, members))

    def result(self):
        """Returns the error of all batches."""
        gaps = ops.abs(self.accuracies - self.confidences)
        return ops.divide_no_nan(ops.sum(gaps), ops.sum(self.weights_in_bins))

    def get_config(self):
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "bins": self.bins,
            "from_logits": self.from_logits,
        }
