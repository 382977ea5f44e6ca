"""Training a DNC on a task, and what it scores."""

import dataclasses
import itertools
import math
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from keras_dnc import curriculum, diagnosis, runs
from keras_dnc.progress import Progress
from keras_dnc.recurrent import DNC
from keras_dnc.tasks import Batch, GeneratedTask, Recipe, Task
from keras_dnc.validation import positive_number


def build_model(task: Task, recipe: Recipe) -> keras.Model:
    """Returns a new, compiled model from a task's inputs to its outputs.

    Args:
        task: What to train on.
        recipe: Sizes and optimizer settings; whether the network is a DNC or
            an LSTM with a dense layer, of the nearest number of weights.
    """
    inputs, sequences = task.model_inputs()
    dnc = _dnc(task, recipe)
    outputs = dnc(sequences)
    if recipe.lstm:
        outputs = _lstm_of(dnc.count_params(), sequences.shape[-1], task)(
            sequences
        )
    model = keras.Model(inputs, outputs, name=task.name)
    model.compile(
        keras.optimizers.Adam(recipe.learning_rate, clipnorm=recipe.clipnorm),
        jit_compile=keras.backend.backend() != "torch",
        **task.compile_arguments(),
    )
    return model


def _dnc(task, recipe):
    return DNC(
        len(task.output_labels),
        controller=recipe.controller,
        memory_size=recipe.memory_size,
        word_size=recipe.word_size,
        num_reads=recipe.num_reads,
        num_writes=recipe.num_writes,
        normalization=keras.layers.LayerNormalization()
        if recipe.normalization
        else None,
        masked_keys=recipe.masked_keys,
        deallocation=recipe.deallocation,
        sharpness=recipe.sharpness,
        layer_norm=recipe.layer_norm,
        content_only=recipe.content_only,
        sparse_links=recipe.sparse_links or None,
        link_storage=recipe.link_storage or None,
        bypass_dropout=recipe.bypass_dropout,
        return_sequences=True,
        name="dnc",
    )


def _lstm_of(count, width, task):
    """Returns an LSTM and a dense layer of some number of weights."""
    answers = len(task.output_labels)
    # H units take 4 H (X + H + 1) weights, and the answers Y (H + 1).
    linear = 4 * (width + 1) + answers
    units = (math.sqrt(linear**2 + 16 * (count - answers)) - linear) / 8
    return keras.Sequential(
        [
            keras.layers.LSTM(max(1, round(units)), return_sequences=True),
            keras.layers.Dense(answers),
        ],
        name="lstm",
    )


def resized(
    model: keras.Model, task: Task, recipe: Recipe, memory_size: int
) -> keras.Model:
    """Returns a model of the same weights with another number of slots.

    Args:
        model: A model that `train` returned, or that was saved and loaded.
        task: What it was trained on.
        recipe: Its sizes and settings.
        memory_size: The number of slots.

    Raises:
        ValueError: If it has no memory, or too few slots for its settings.
    """
    _refuse_lstm(recipe, memory_size=memory_size)
    recipe = dataclasses.replace(recipe, memory_size=memory_size)
    return _of_the_same_weights(model, task, recipe)


def sharpened(
    model: keras.Model, task: Task, recipe: Recipe, strength_factor: float
) -> keras.Model:
    """Returns a model that looks for content more sharply.

    A strength is `β = oneplus(x)`, with `x` a part of the interface vector, and
    in the model returned `oneplus(strength_factor · x)`: the weights that make
    it are multiplied. Of more slots than there were in training more are much
    like a key, and take a larger share of its weighting.

    Source: Veličković et al., [Softmax is not enough (for sharp
    out-of-distribution)](https://arxiv.org/abs/2410.01104), 2024, which lowers
    the temperature of a trained network's softmax, `1 / β` here.

    Args:
        model: A model that `train` returned, or that was saved and loaded.
        task: What it was trained on.
        recipe: Its sizes and settings.
        strength_factor: A positive number; 1 changes nothing.

    Raises:
        ValueError: If it has no memory, or the factor is not positive.
    """
    _refuse_lstm(recipe, strength_factor=strength_factor)
    factor = positive_number("strength_factor", strength_factor)
    other = _of_the_same_weights(model, task, recipe)
    interface = other.get_layer("dnc").cell.interface
    factors = np.concatenate(
        [
            np.full(math.prod(shape), factor if "strengths" in part else 1.0)
            for part, shape in interface.part_shapes._asdict().items()
            if shape
        ]
    )
    last = interface.normalization or interface.projection
    for variable in last.weights:
        variable.assign(keras.ops.convert_to_numpy(variable) * factors)
    return other


def _of_the_same_weights(model, task, recipe):
    other = build_model(task, recipe)
    other.set_weights(model.get_weights())
    return other


def _refuse_lstm(recipe, **given):
    """Refuses an option that only a DNC has, given by its name."""
    ((name, value),) = given.items()
    if recipe.lstm:
        raise ValueError(
            f"`{name}` is of a DNC. Received an LSTM, and {name}={value}"
        )


def check(task: Task, recipe: Recipe, seed: int):
    """Refuses what cannot be trained, before there is work in it.

    Args:
        task: What to train on.
        recipe: Sizes and settings.
        seed: Seed of all that is random.

    Raises:
        ValueError: If a size, a setting or a length is out of its range, the
            weights to begin with are of another kind of model, or a file of
            test sequences is damaged.
        FileNotFoundError: If there is no model with weights to begin with, or
            no file of test sequences.
    """
    curriculum.check(task, recipe)
    _new(task, recipe, seed)
    if not isinstance(task, GeneratedTask):
        # Files of training are read before an epoch, these after the last.
        test_batch(task, seed)
    else:
        task.sample(1, np.random.default_rng(seed))
        try:
            first = curriculum.lesson(task, recipe, [])
            first.sample(1, np.random.default_rng(seed))
        except ValueError as error:
            raise ValueError(
                "`curriculum` must be 0 for a task of whose first lesson no "
                "sequence can be drawn, or the lesson another. Received: "
                f"curriculum={recipe.curriculum}, and in that lesson: {error}"
            ) from error


def train(
    task: Task,
    recipe: Recipe,
    seed: int,
    progress: Progress | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    **fit_arguments,
) -> keras.Model:
    """Trains a new model on a task.

    The weights, the sequences of each epoch and their order follow from the
    seed alone, so that a training that goes on comes to what it would have
    come to without having been cut off. (On PyTorch it does so without dropout,
    which Keras draws there from a generator that is not the model's.)

    Args:
        task: What to train on.
        recipe: Sizes and settings.
        seed: Seed of all that is random.
        progress: Where each epoch is saved, and what was saved there before
            is gone on with.
        callbacks: More callbacks of `model.fit`, which is called once for
            each lesson of a curriculum.
        **fit_arguments: More arguments of `model.fit`.

    Returns:
        The trained `keras.Model`.

    Raises:
        ValueError: If what was saved is damaged, or of more epochs, if the
            task has no lengths for a curriculum, or if it has no sequences.
        FloatingPointError: If the loss or a weight is no number any more. With
            `progress` it names the first tensor that was not, and the state
            after the epoch before stays.
    """
    curriculum.check(task, recipe)
    if progress:
        progress.check(recipe.epochs)
    model = _restored(task, recipe, seed, progress)
    scores = progress.logged(task.metric) if progress else []
    callbacks = [
        diagnosis.CheckFinite(),
        _Scores(task, recipe, scores),
        *([progress] if progress else []),
        *callbacks,
    ]
    errors = []
    try:
        while not curriculum.is_over(task, recipe, scores):
            lesson = curriculum.lesson(task, recipe, scores)
            done = len(scores)
            ends = _LessonEnds(task, recipe, scores)
            count, epochs = _counted(
                _epochs(lesson, seed, range(done, recipe.epochs))
            )
            model.fit(
                _noted(_batches(lesson, epochs, recipe.batch_size), errors),
                steps_per_epoch=-(-count // recipe.batch_size),
                initial_epoch=done,
                epochs=recipe.epochs,
                # What a generator yields is in its order.
                shuffle=False,
                callbacks=[*callbacks, ends],
                **fit_arguments,
            )
            if ends.is_stopped:
                break
    except FloatingPointError as error:
        if not progress:
            raise
        found = _first_not_finite(task, recipe, seed, progress)
        raise FloatingPointError(
            f"{error}. {_kept(progress)}. {found}"
        ) from error
    except KeyboardInterrupt as error:
        if not progress:
            raise
        raise KeyboardInterrupt(
            f"{_kept(progress)}, and `train --resume` goes on from there"
        ) from error
    except Exception:
        if errors:
            # What the task says, in place of what TensorFlow makes of it.
            raise errors[0] from None
        raise
    return model


def _new(task, recipe, seed):
    """Returns the model that a training begins with."""
    keras.utils.set_random_seed(seed)
    model = build_model(task, recipe)
    if recipe.weights:
        _set_weights(model, task, Path(recipe.weights))
    return model


def _restored(task, recipe, seed, progress):
    """Returns the model as it was saved last, or that of the beginning."""
    if progress and progress.epochs:
        # What the training began with need not be there any more.
        recipe = dataclasses.replace(recipe, weights="")
    model = _new(task, recipe, seed)
    if progress:
        progress.restore(model)
    return model


def _set_weights(model, task, folder):
    """Gives a model the weights of one that was trained before."""
    given = runs.load_model(folder).get_weights()
    before = runs.load_task(folder)
    runs.check_meaning(folder, before, task)
    found = [value.shape for value in given]
    expected = [tuple(weight.shape) for weight in model.weights]
    if found != expected:
        raise ValueError(
            "`weights` must be of a model of the same kind, for as many inputs "
            f"and outputs and of the same sizes, of the shapes {expected}. "
            f"Received: {folder}, whose shapes are {found}"
        )
    model.set_weights(given)


def _kept(progress):
    return f"{progress.folder} keeps the state after epoch {progress.epochs}"


class _Scores(keras.callbacks.Callback):
    """Collects the scores of epochs, and logs what they were epochs of."""

    def __init__(self, task, recipe, scores):
        super().__init__()
        self._task, self._recipe, self._scores = task, recipe, scores

    def on_epoch_end(self, epoch, logs=None):
        if self._recipe.curriculum:
            lesson = curriculum.lesson(self._task, self._recipe, self._scores)
            # Callbacks after this one log it too.
            for name in self._task.grows:
                logs[name] = getattr(lesson, name)
        self._scores.append(logs[self._task.metric])


class _LessonEnds(keras.callbacks.Callback):
    """Ends a lesson that is learned, unless another callback did."""

    def __init__(self, task, recipe, scores):
        super().__init__()
        self._task, self._recipe, self._scores = task, recipe, scores
        # Whether another callback ended the training.
        self.is_stopped = False

    def on_epoch_end(self, epoch, logs=None):
        self.is_stopped = self.model.stop_training
        settings = self._task, self._recipe
        before = curriculum.lesson(*settings, self._scores[:-1])
        if (
            curriculum.is_over(*settings, self._scores)
            or curriculum.lesson(*settings, self._scores) != before
        ):
            self.model.stop_training = True


def _first_not_finite(task, recipe, seed, progress):
    """Says what went wrong in the epoch after the last that was saved."""
    model = _restored(task, recipe, seed, progress)
    scores = progress.logged(task.metric)
    lesson = curriculum.lesson(task, recipe, scores)
    epochs = _epochs(lesson, seed, [len(scores)])
    return diagnosis.first_not_finite(
        model, _batches(lesson, epochs, recipe.batch_size)
    )


def _epochs(task, seed, epochs):
    """Yields the sequences of each of some epochs, in their order."""
    data = None
    for epoch in epochs:
        if isinstance(task, GeneratedTask):
            data = task.training_data(np.random.default_rng([seed, 0, epoch]))
        elif data is None:
            data = task.training_data(np.random.default_rng([seed, 0, 0]))
        drawn = task.one_pass(data, np.random.default_rng([seed, 3, epoch]))
        rng = np.random.default_rng([seed, 2, epoch])
        order = rng.permutation(len(drawn.inputs))
        yield Batch(*(part[order] for part in drawn))


def _counted(epochs):
    """Returns the number of sequences in the first epoch, and all epochs."""
    first = next(epochs)
    return len(first.inputs), itertools.chain([first], epochs)


def _batches(task, epochs, size):
    """Yields batches of inputs, targets and weights."""
    for data in epochs:
        yield from map(tuple, task.batches(data, size))


def _noted(batches, errors):
    """Yields batches, and appends to a list the error that ends them."""
    try:
        yield from batches
    except Exception as error:
        errors.append(error)
        raise


def evaluate(model: keras.Model, task: Task, seed: int) -> dict[str, float]:
    """Returns a model's figures on a task's test sequences.

    Args:
        model: A model that `train` returned, or that was saved and loaded.
        task: What to evaluate on.
        seed: Seed of the test sequences. They are not those of training with
            the same seed.

    Raises:
        ValueError: If the model's outputs have another shape than the task's.
        FloatingPointError: If an output is NaN.
    """
    predict = _predict(model, task)

    def numbers(inputs):
        outputs = predict(inputs)
        # NaN is not above 0 and not far from a target: it would pass for right.
        lost = np.isnan(outputs).any((1, 2)).sum()
        if lost:
            raise FloatingPointError(
                f"`model` must answer {task.name} with numbers. Received: NaN "
                f"in {lost} of {len(outputs)} sequences"
            )
        return outputs

    return task.evaluate(numbers, _test_rng(seed))


def asked(
    model: keras.Model, task: Task, batch: Batch
) -> tuple[Batch, np.ndarray]:
    """Asks a model, and returns what it heard and its outputs.

    Args:
        model: A model that `train` returned, or that was saved and loaded.
        task: What is asked.
        batch: Sequences of the task with their right answers.

    Returns:
        Tuple as of `Task.asked`.

    Raises:
        ValueError: If the model's outputs have another shape than the task's.
    """
    return task.asked(_predict(model, task), batch)


def _predict(model, task):
    width = len(task.output_labels)

    def predict(inputs):
        # A model of one's own may answer otherwise, and NumPy would broadcast.
        # Seen before it is asked: words that it does not know are an error.
        outputs = model.compute_output_spec(
            keras.KerasTensor(inputs.shape, inputs.dtype)
        )
        expected = (*inputs.shape[:2], width)
        received = getattr(outputs, "shape", type(outputs).__name__)
        if received != expected:
            raise ValueError(
                f"`model` must answer {task.name} with outputs of shape "
                f"(B, T, Y)={expected}. Received: {received}"
            )
        return model.predict(inputs, verbose=0)

    return predict


def test_batch(task: Task, seed: int) -> Batch:
    """Returns a task's test sequences for a seed.

    Args:
        task: What to evaluate on.
        seed: Seed of the sequences.
    """
    return task.test_data(_test_rng(seed))


def _test_rng(seed):
    return np.random.default_rng([seed, 1])
