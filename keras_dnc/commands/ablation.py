"""`ablation`: how long variants of a DNC train until a task is solved."""

import dataclasses

from keras_dnc import ablation
from keras_dnc.commands import arguments
from keras_dnc.tasks import TASKS, GeneratedTask, Recipe

# A run ends by options of its own, and the variants are of a DNC and new.
UNUSED = ("epochs", "target", "lstm", "weights", *ablation.PLAIN)
# Fresh sequences of a pass: as many as are worth a test.
SEQUENCES = 1_000


def add(commands):
    """Adds the command."""
    for task, parser in arguments.add_tasks(
        commands,
        "ablation",
        "count the passes that variants of a DNC need to solve a task",
        run,
    ):
        parser.add_argument(
            "--variants",
            nargs="+",
            choices=ablation.VARIANTS,
            default=list(ablation.VARIANTS),
            metavar="NAME",
            help=f"[{' '.join(ablation.VARIANTS)}]",
        )
        arguments.add_seeds(parser, default=[0, 1, 2], shown="0 1 2")
        arguments.add_options(parser, ablation.Options)
        arguments.add_options(
            parser.add_argument_group("task"), task, defaults=_defaults(task)
        )
        arguments.add_options(
            parser.add_argument_group("network and training"),
            Recipe,
            defaults=dataclasses.asdict(task.recipe),
            without=UNUSED,
        )


def run(options):
    """Trains the variants and prints a table."""
    task_class = TASKS[options.task_name]
    given = arguments.given(options, task_class)
    task = task_class(**_defaults(task_class) | given)
    changed = arguments.given(options, Recipe, without=UNUSED)
    ablation.run(
        task,
        dataclasses.replace(task.recipe, **changed),
        options.variants,
        options.seeds,
        ablation.Options(**arguments.given(options, ablation.Options)),
    )


def _defaults(task):
    """Returns the options of a task that differ from those of training."""
    return {"sequences": SEQUENCES} if issubclass(task, GeneratedTask) else {}
