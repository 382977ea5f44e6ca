"""How much the divergences weigh in the loss, and what they are."""

import math

import keras

from keras_dnc.bayesian.variational import Variational
from keras_dnc.bayesian.weights import random_weights
from keras_dnc.validation import fraction, positive_integer

SCHEDULES = ("linear", "cosine", "cyclical", "blundell")


def variational_layers(model: keras.layers.Layer) -> list[Variational]:
    """Returns the variational layers of a model, each once.

    Args:
        model: A model or any layer.
    """
    found = {
        id(part): part
        for part in model._flatten_layers()
        if isinstance(part, Variational)
    }
    return list(found.values())


def kl_weight_for(data) -> float:
    """Returns 1 / (number of training examples), a layer's `kl_weight`.

    With it, and a loss that is the mean negative log-likelihood of a batch,
    the loss is the negative evidence lower bound per example.

    Args:
        data: The training examples: an array or tensor, a structure of them
            with the examples along the first axis, or a batched
            `tf.data.Dataset` or `keras.utils.PyDataset` of known length, whose
            batches are then counted with all their examples.

    Raises:
        ValueError: If the number of examples is not known, or is zero.
    """
    count = _count(data)
    if count < 1:
        raise ValueError(
            "`data` must hold at least one training example. Received none"
        )
    return 1 / count


def _count(data):
    if hasattr(data, "cardinality"):
        if int(data.cardinality()) < 0:
            raise ValueError(
                "`data` must be a data set of known, finite length. Received "
                f"one of cardinality {int(data.cardinality())}: {data}"
            )
        return sum(_count(batch) for batch in data)
    if isinstance(data, keras.utils.PyDataset):
        if data.num_batches is None:
            raise ValueError(
                "`data` must be a data set of known, finite length. Received "
                f"one without a number of batches: {data}"
            )
        return sum(_count(data[i]) for i in range(data.num_batches))
    parts = [part for part in keras.tree.flatten(data) if part is not None]
    if not parts or not all(getattr(part, "shape", ()) for part in parts):
        raise ValueError(
            "`data` must be arrays with the examples along the first axis, or "
            f"a data set. Received: {data!r}"
        )
    return int(parts[0].shape[0])


class KLAnnealing(keras.callbacks.Callback):
    """Callback: changes the weight of the divergences from batch to batch.

    The `kl_factor` of each variational layer, by which its `kl_weight` is
    multiplied, depends on the number `t` of batches seen, and is 1 again after
    training:

        linear    min(1, t / batches)
        cosine    (1 − cos(π · min(1, t / batches))) / 2
        cyclical  linear within each cycle of `batches`, over its first
                  `rising` part, then 1
        blundell  M · 2^{−i} / (1 − 2^{−M}) for batch i = 1 … M of an epoch

    The last has the mean 1 over an epoch; with `kl_weight` = 1 / (number of
    training examples) it gives batch `i` the weight `π_i` / (batch size).

    Source: Bowman et al., [Generating sentences from a continuous space](
    https://arxiv.org/abs/1511.06349), 2016 (warm-up); Fu et al., [Cyclical
    annealing schedule](https://arxiv.org/abs/1903.10145), 2019; Blundell et
    al., [Weight uncertainty in neural networks](
    https://arxiv.org/abs/1505.05424), 2015, section 3.4.

    Args:
        schedule: "linear", "cosine", "cyclical" or "blundell".
        batches: Number of batches of the warm-up or of one cycle; not for
            "blundell", which takes those of an epoch.
        rising: The part of a cycle in which the weight rises, in (0, 1].

    Raises:
        ValueError: If an argument is out of its range; when training begins,
            if "blundell" does not know the number of batches.
    """

    def __init__(
        self,
        schedule: str = "linear",
        batches: int | None = None,
        rising: float = 0.5,
    ):
        super().__init__()
        if schedule not in SCHEDULES:
            raise ValueError(
                f"`schedule` must be one of {', '.join(SCHEDULES)}. Received: "
                f"schedule={schedule!r}"
            )
        if (batches is None) != (schedule == "blundell"):
            raise ValueError(
                "`batches` must be given, but not with schedule='blundell'. "
                f"Received: schedule={schedule!r}, batches={batches}"
            )
        if batches is not None:
            batches = positive_integer("batches", batches)
        if fraction("rising", rising) == 0:
            raise ValueError(f"`rising` must be above 0. Received: {rising=}")
        self.schedule = schedule
        self.batches = batches
        self.rising = rising
        self._seen, self._first = 0, 0
        self._layers = []

    def factor(self, seen: int) -> float:
        """Returns the factor for the next batch.

        Args:
            seen: Number of batches seen, in the epoch for "blundell".
        """
        if self.schedule == "blundell":
            share = 2.0 ** -(seen + 1) / (1 - 2.0**-self.batches)
            return self.batches * share
        if self.schedule == "cyclical":
            part = (seen % self.batches) / self.batches
            return min(1.0, part / self.rising)
        part = min(1.0, seen / self.batches)
        if self.schedule == "cosine":
            return (1 - math.cos(math.pi * part)) / 2
        return part

    def on_train_begin(self, logs=None):
        """Notes the layers."""
        self._seen = 0
        self._layers = variational_layers(self.model)
        if self.schedule == "blundell":
            _refuse_several_steps(self.model, "schedule='blundell'")
            self.batches = self.params.get("steps")
            if not self.batches:
                raise ValueError(
                    "schedule='blundell' needs the number of batches of an "
                    "epoch: pass `steps_per_epoch` to fit, or data of known "
                    "length"
                )

    def on_epoch_begin(self, epoch, logs=None):
        """Begins the epoch's schedule anew, if it has one."""
        if self.schedule == "blundell":
            self._seen = 0

    def on_train_batch_begin(self, batch, logs=None):
        """Sets the weights for the batch."""
        self._multiply(self.factor(self._seen))
        self._first = batch

    def on_train_batch_end(self, batch, logs=None):
        """Counts the batches of the execution, which may be several."""
        self._seen += batch - self._first + 1

    def on_train_end(self, logs=None):
        """Gives the divergences their full weights."""
        self._multiply(1.0)

    def _multiply(self, factor):
        for layer in self._layers:
            layer.kl_factor = factor


def _refuse_several_steps(model, name):
    """Raises ValueError if a callback does not see each batch."""
    if model.steps_per_execution != 1:
        raise ValueError(
            f"{name} weighs each batch apart, and needs steps_per_execution=1. "
            f"Received: steps_per_execution={model.steps_per_execution}"
        )


class KLLog(keras.callbacks.Callback):
    """Callback: logs the divergences and the rest of the loss apart.

    Adds to the logs of `fit`, at the end of an epoch, `kl`, what the
    divergences times their weights added to the loss on average, and
    `data_loss`, the loss without it; with validation data `val_data_loss` too.
    Divergences that are estimated are estimated anew for the log, by draws
    that leave those of training as they are without it.

    Raises:
        ValueError: When the training begins, if the model is compiled with
            several steps per execution.
    """

    def __init__(self):
        super().__init__()
        self._sum, self._examples = 0.0, 0.0
        self._divergences = []

    def set_model(self, model):
        """Takes the model whose divergences to log."""
        super().set_model(model)
        import tensorflow as tf

        self._weights = [w for w in random_weights(model) if w.has_divergence]
        self._draw = tf.function(
            lambda: [weight.divergence() for weight in self._weights]
        )

    def on_train_begin(self, logs=None):
        """Refuses batches that cannot be told apart."""
        _refuse_several_steps(self.model, "KLLog")

    def on_epoch_begin(self, epoch, logs=None):
        """Begins the average."""
        self._sum, self._examples = 0.0, 0.0

    def on_train_batch_begin(self, batch, logs=None):
        """Notes the divergences that the batch is about to see."""
        self._divergences = self._compute()

    def on_train_batch_end(self, batch, logs=None):
        """Adds what they weighed, which other callbacks may have changed."""
        # By the count of the mean that is the loss: the last batch may be
        # smaller.
        (seen,) = (
            float(metric.count)
            for metric in self.model.metrics
            if metric.name == "loss"
        )
        size, self._examples = seen - self._examples, seen
        self._sum += size * self._weighed(self._divergences)

    def on_epoch_end(self, epoch, logs=None):
        """Adds to the logs."""
        if logs is None or not self._examples:
            return
        logs["kl"] = self._sum / self._examples
        logs["data_loss"] = logs["loss"] - logs["kl"]
        if "val_loss" in logs:
            present = self._weighed(self._compute())
            logs["val_data_loss"] = logs["val_loss"] - present

    def _compute(self):
        """Returns the divergences, and leaves the draws of training alone."""
        states = [weight.generator.state for weight in self._weights]
        before = [keras.ops.convert_to_numpy(state) for state in states]
        divergences = self._draw()
        for state, value in zip(states, before, strict=True):
            state.assign(value)
        return divergences

    def _weighed(self, divergences):
        return sum(
            weight.kl_weight * float(divergence)
            for weight, divergence in zip(
                self._weights, divergences, strict=True
            )
            if weight.is_trained
        )
