"""What each extension does for training: passes until a task is solved."""

import dataclasses
import statistics
import time

import keras

from keras_dnc import training
from keras_dnc.processes import in_own_process
from keras_dnc.tasks import Recipe, Task
from keras_dnc.tasks.task import Settings, option
from keras_dnc.validation import fraction

# What variants set in a recipe, as it is in a plain network.
PLAIN = {
    "masked_keys": False,
    "deallocation": False,
    "sharpness": False,
    "layer_norm": False,
    "bypass_dropout": 0.0,
    "content_only": False,
    "sparse_links": 0,
}
# What each variant changes in a plain network.
VARIANTS = {
    "plain": {},
    "unnormalized": {"normalization": False},
    "masked": {"masked_keys": True},
    "deallocated": {"deallocation": True},
    "sharp": {"sharpness": True},
    "masked-deallocated-sharp": {
        "masked_keys": True,
        "deallocation": True,
        "sharpness": True,
    },
    "layer-norm": {"layer_norm": True},
    "bypass-dropout": {"bypass_dropout": 0.1},
    "content-only": {"content_only": True},
    "content-only-normalized": {
        "content_only": True,
        "layer_norm": True,
        "bypass_dropout": 0.1,
    },
    "sparse": {"sparse_links": 8},
    "all": {
        "masked_keys": True,
        "deallocation": True,
        "sharpness": True,
        "layer_norm": True,
        "bypass_dropout": 0.1,
    },
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(Settings):
    """When a task counts as solved, and when a run is given up.

    Raises:
        ValueError: If a number is not positive, or `target` above 1.
    """

    target: float = option(
        0.99, "share right of the test sequences of a solved task"
    )
    epochs: int = option(
        40, "passes through the training sequences, or fresh ones, at most"
    )

    def __post_init__(self):
        super().__post_init__()
        fraction("target", self.target)


def run(
    task: Task,
    recipe: Recipe,
    variants: list[str],
    seeds: list[int],
    options: Options,
) -> dict[str, list[int | None]]:
    """Trains variants of a network from several seeds, and prints a table.

    Args:
        task: What to train on.
        recipe: Sizes and settings of the plain network.
        variants: Names in `VARIANTS`.
        seeds: Seeds of weights and sequences.
        options: When a run ends.

    Returns:
        For each variant the passes that each seed needed, None where the run
        was given up.

    Raises:
        ValueError: If a variant is not of these sizes, or the task takes one
            of several answers for right.
    """
    if type(task).asked is not Task.asked:
        raise ValueError(
            "`task` must have one right answer to each question, known before "
            f"the network is asked. Received: {task.name}"
        )
    recipes = {
        variant: dataclasses.replace(recipe, **PLAIN | VARIANTS[variant])
        for variant in variants
    }
    for changed in recipes.values():
        training.check(task, changed, seeds[0])
    print("variant | seed | passes | share right | seconds")
    needed = {}
    for variant, changed in recipes.items():
        needed[variant] = []
        for seed in seeds:
            start = time.perf_counter()
            passes, share = in_own_process(
                passes_to_solve, task, changed, seed, options
            )
            seconds = time.perf_counter() - start
            needed[variant].append(passes)
            shown = _shown(passes, options)
            print(
                f"{variant} | {seed} | {shown} | {share:.4f} | {seconds:.0f}",
                flush=True,
            )
    print("variant | median of passes")
    for variant, passes in needed.items():
        # A run that was given up needs more than any other.
        median = statistics.median_high(
            options.epochs + 1 if count is None else count for count in passes
        )
        median = None if median > options.epochs else median
        print(f"{variant} | {_shown(median, options)}")
    return needed


def _shown(passes, options):
    return f"over {options.epochs}" if passes is None else str(passes)


def passes_to_solve(
    task: Task, recipe: Recipe, seed: int, options: Options
) -> tuple[int | None, float]:
    """Trains until a task is solved.

    What is to be solved is the whole task, in each lesson of a curriculum.

    Args:
        task: What to train on.
        recipe: Sizes and settings; `epochs` and `target` are those of
            `options`.
        seed: Seed of weights and sequences.
        options: When the run ends.

    Returns:
        Tuple of the number of passes through the training sequences after
        which `target` was reached, None if it was not, and of the share of
        what was right of the test sequences at the end, which is NaN if the
        loss or a weight was.
    """
    # That ends by the share in training.
    recipe = dataclasses.replace(recipe, epochs=options.epochs, target=0.0)
    test = _Test(task, recipe, seed, options.target)
    try:
        training.train(task, recipe, seed, callbacks=[test], verbose=0)
    except FloatingPointError:
        return None, float("nan")
    share = test.shares[-1]
    return (len(test.shares) if share >= options.target else None), share


class _Test(keras.callbacks.Callback):
    """Ends a training after the epoch in which the task is solved."""

    def __init__(self, task, recipe, seed, target):
        super().__init__()
        self._metric, self._target = task.metric, target
        batch = training.test_batch(task, seed)
        self._batches = list(task.batches(batch, recipe.batch_size))
        self.shares = []

    def on_epoch_end(self, epoch, logs=None):
        figures = self.model.evaluate(
            (tuple(batch) for batch in self._batches),
            steps=len(self._batches),
            verbose=0,
            return_dict=True,
        )
        self.shares.append(figures[self._metric])
        if self.shares[-1] >= self._target:
            self.model.stop_training = True
