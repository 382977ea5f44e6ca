"""`ablation`: how many sequences variants of a DNC need."""

import dataclasses

from keras_dnc import ablation
from keras_dnc.commands import arguments
from keras_dnc.tasks import TASKS, BitsTask, Recipe

# A run ends by options of its own, and the variants are of a DNC and new.
UNUSED = ("epochs", "target", "lstm", "weights")


def add(commands):
    """Adds the command."""
    for task, parser in arguments.add_tasks(
        commands,
        "ablation",
        "count the sequences that variants of a DNC need to solve a task",
        run,
        of_class=BitsTask,
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
        arguments.add_options(parser.add_argument_group("task"), task)
        arguments.add_options(
            parser.add_argument_group("network and training"),
            Recipe,
            defaults=dataclasses.asdict(task.recipe),
            without=UNUSED,
        )


def run(options):
    """Trains the variants and prints a table."""
    task_class = TASKS[options.task_name]
    task = task_class(**arguments.given(options, task_class))
    changed = arguments.given(options, Recipe, without=UNUSED)
    ablation.run(
        task,
        dataclasses.replace(task.recipe, **changed),
        options.variants,
        options.seeds,
        ablation.Options(**arguments.given(options, ablation.Options)),
    )
