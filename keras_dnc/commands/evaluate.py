"""`evaluate`: the figures of a model that was saved."""

import dataclasses
from pathlib import Path

from keras_dnc import runs, training
from keras_dnc.commands import arguments, output
from keras_dnc.tasks import TASKS, Batch


def add(commands):
    """Adds the command."""
    for task, parser in arguments.add_tasks(
        commands, "evaluate", "print a saved DNC's figures", run
    ):
        parser.add_argument(
            "model", help="what `train` saved, or a model.keras of your own"
        )
        arguments.add_options(
            parser.add_argument_group(
                "task",
                "as in training where it is not given, or of a model of your "
                "own by default",
            ),
            task,
            without=[
                field.name
                for field in dataclasses.fields(task)
                if field.metadata.get("training")
            ],
        )
        parser.add_argument(
            "--memory-size",
            type=arguments.positive,
            metavar="INT",
            help="slots of the memory, which no weight is of, for a model that "
            "`train` saved [as in training]",
        )
        parser.add_argument(
            "--strength-factor",
            type=float,
            metavar="FLOAT",
            help="what makes the strengths of keys times this; above 1 a key "
            "finds fewer slots, for a model that `train` saved [1]",
        )
        arguments.add_seed(parser, "the sequences")
        parser.add_argument(
            "--show",
            type=arguments.count,
            default=0,
            metavar="COUNT",
            help="sequences to print, step by step [0]",
        )


def run(options):
    """Prints sequences with their answers, if asked for, and the figures."""
    path = Path(options.model)
    name = options.task_name
    model, task = runs.load(path, name, **arguments.given(options, TASKS[name]))
    for change, value in (
        (training.sharpened, options.strength_factor),
        (training.resized, options.memory_size),
    ):
        if value is not None:
            model = change(model, task, runs.load_recipe(path), value)
    if options.show:
        batch = training.test_batch(task, options.seed)
        first = Batch(*(part[: options.show] for part in batch))
        batch, outputs = training.asked(model, task, first)
        for example in range(len(outputs)):
            print(task.text(outputs, batch, example), end="\n\n")
    output.print_table(training.evaluate(model, task, options.seed))
