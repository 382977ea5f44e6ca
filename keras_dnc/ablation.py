"""What each extension does for training: sequences until a task is solved."""

import dataclasses
import statistics
import time

import keras
import numpy as np

from keras_dnc import curriculum, training
from keras_dnc.tasks import BitsTask, Recipe
from keras_dnc.tasks.task import Settings, option

# The settings of a recipe that each variant changes.
VARIANTS = {
    "plain": {},
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
        ValueError: If a number is not positive.
    """

    target: float = option(0.99, "share of right bits of a solved task")
    every: int = option(1_000, "training sequences between evaluations")
    limit: int = option(40_000, "training sequences of a run at most")


def run(
    task: BitsTask,
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
        For each variant the sequences that each seed needed, None where the
        run was given up.
    """
    print("variant | seed | sequences | share of right bits | seconds")
    needed = {}
    for variant in variants:
        changed = dataclasses.replace(recipe, **VARIANTS[variant])
        needed[variant] = []
        for seed in seeds:
            start = time.perf_counter()
            count, share = sequences_to_solve(task, changed, seed, options)
            seconds = time.perf_counter() - start
            needed[variant].append(count)
            shown = _shown(count, options)
            print(
                f"{variant} | {seed} | {shown} | {share:.4f} | {seconds:.0f}",
                flush=True,
            )
    print("variant | median of sequences")
    for variant, counts in needed.items():
        # A run that was given up needs more than any other.
        median = statistics.median_high(
            options.limit + 1 if count is None else count for count in counts
        )
        median = None if median > options.limit else median
        print(f"{variant} | {_shown(median, options)}")
    return needed


def _shown(count, options):
    return f"over {options.limit:,}" if count is None else f"{count:,}"


def sequences_to_solve(
    task: BitsTask, recipe: Recipe, seed: int, options: Options
) -> tuple[int | None, float]:
    """Trains on fresh sequences until a task is solved.

    With a curriculum a lesson ends after `every` sequences of which enough is
    right. What is to be solved is the whole task, in each of them.

    Args:
        task: What to train on.
        recipe: Sizes and settings.
        seed: Seed of weights and sequences.
        options: When the run ends.

    Returns:
        Tuple of the number of training sequences seen when `target` was
        reached, None if it was not, and of the share of right bits at the end.
    """
    keras.utils.set_random_seed(seed)
    rng = np.random.default_rng(seed)
    test = training.test_batch(task, seed)
    model = training.build_model(task, recipe)
    seen, share, scores = 0, 0.0, []
    while seen < options.limit:
        lesson = curriculum.lesson(task, recipe, scores)
        batch = lesson.sample(options.every, rng)
        log = model.fit(
            batch.inputs,
            batch.targets,
            sample_weight=batch.weights,
            batch_size=recipe.batch_size,
            verbose=0,
        )
        scores += log.history[task.metric]
        seen += options.every
        figures = model.evaluate(
            test.inputs,
            test.targets,
            sample_weight=test.weights,
            batch_size=recipe.batch_size,
            verbose=0,
            return_dict=True,
        )
        share = figures[task.metric]
        if share >= options.target:
            return seen, share
    return None, share
