"""Options of the command line, made of the fields of dataclasses."""

import argparse
import dataclasses
import itertools
import typing
from collections.abc import Sequence
from pathlib import Path

from keras_dnc.tasks import TASKS, Task

# How many seeds there are.
SEEDS = 2**32


def add_command(commands, name: str, summary: str, run):
    """Adds a command without tasks; returns its parser.

    Args:
        commands: The `subparsers` that it becomes one of.
        name: Its name.
        summary: One line for `--help`.
        run: What is called with the parsed options.
    """
    command = commands.add_parser(name, help=summary, description=summary)
    command.set_defaults(run=run)
    return command


def add_tasks(commands, name: str, summary: str, run, of_class=Task):
    """Adds a command of a task; yields the class and parser of each task.

    Args:
        commands: The `subparsers` that it becomes one of.
        name: Its name.
        summary: One line for `--help`.
        run: What is called with the parsed options; they have `task_name`.
        of_class: What the tasks must be.
    """
    command = add_command(commands, name, summary, run)
    tasks = command.add_subparsers(required=True, metavar="TASK")
    for task_name, task in TASKS.items():
        if issubclass(task, of_class):
            first_line = task.__doc__.strip().splitlines()[0]
            parser = tasks.add_parser(
                task_name, help=task.summary, description=first_line
            )
            parser.set_defaults(task_name=task_name)
            yield task, parser


def add_options(
    group,
    options_class,
    defaults: dict | None = None,
    without: Sequence[str] = (),
):
    """Adds an option for each field that `option` made.

    Args:
        group: The parser, or a group of it.
        options_class: A dataclass.
        defaults: Values that `--help` shows in place of those of the class.
        without: Fields that get no option.
    """
    types = typing.get_type_hints(options_class)
    for field in dataclasses.fields(options_class):
        if "description" not in field.metadata or field.name in without:
            continue
        default = (defaults or {}).get(field.name, field.default)
        shown = "" if default == "" else f" [{default}]"
        of_type = types[field.name]
        group.add_argument(
            "--" + field.name.replace("_", "-"),
            # What is not given stays with the task's or the recipe's default.
            default=argparse.SUPPRESS,
            help=field.metadata["description"] + shown,
            **(
                {"action": argparse.BooleanOptionalAction}
                if of_type is bool
                else {"type": of_type, "metavar": of_type.__name__.upper()}
            ),
        )


def given(options, options_class, without: Sequence[str] = ()) -> dict:
    """Returns the options of a dataclass that the command line gave.

    A path is absolute then: it is the same wherever the next command is run.

    Args:
        options: What was parsed.
        options_class: The dataclass.
        without: Fields that have no option.
    """
    return {
        field.name: _absolute(field, getattr(options, field.name))
        for field in dataclasses.fields(options_class)
        if field.name not in without and hasattr(options, field.name)
    }


def _absolute(field, value):
    names = field.metadata.get("path")
    is_path = names is not None and value and value not in names
    return str(Path(value).absolute()) if is_path else value


def add_seed(parser, of: str = "all that is random"):
    """Adds `--seed`.

    Args:
        parser: The parser.
        of: What it is the seed of.
    """
    parser.add_argument(
        "--seed", type=seed, default=0, metavar="INT", help=f"of {of} [0]"
    )


def add_seeds(parser, default: list[int] | None, shown: str):
    """Adds `--seeds`.

    Args:
        parser: The parser.
        default: The seeds where none are given.
        shown: How `--help` says so.
    """
    parser.add_argument(
        "--seeds",
        nargs="+",
        type=_seed_range,
        action=_Seeds,
        default=default,
        metavar="SEED",
        help=f"seeds, or ranges of them as 0..4 [{shown}]",
    )


def add_output(parser, folder: str, picture: str):
    """Adds `--seed`, and where to save what and whether to replace it.

    Args:
        parser: The parser.
        folder: Where to save by default.
        picture: What is drawn.
    """
    add_seed(parser)
    parser.add_argument(
        "--out",
        type=named_path,
        metavar="FOLDER",
        default=folder,
        help=f"where to save [{folder}]",
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace that folder, and an unfinished one",
    )
    parser.add_argument(
        "--picture",
        action=argparse.BooleanOptionalAction,
        default=True,
        help=f"draw {picture}, with matplotlib",
    )


def named_path(text: str) -> Path:
    """Returns a path that has a name."""
    path = Path(text)
    if path.name in ("", ".."):
        raise argparse.ArgumentTypeError(
            f"expected the name of a folder, received {text!r}"
        )
    return path


def count(text: str) -> int:
    """Returns a number of things."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(
            f"expected a number from 0, received {text!r}"
        )
    return int(text)


def seed(text: str) -> int:
    """Returns a seed, a number that NumPy and Keras take for one."""
    if not (text.isdecimal() and int(text) < SEEDS):
        raise argparse.ArgumentTypeError(
            f"expected a number from 0 to {SEEDS - 1}, received {text!r}"
        )
    return int(text)


def positive(text: str) -> int:
    """Returns a number of things of which there must be one."""
    if not (text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(
            f"expected a number from 1, received {text!r}"
        )
    return int(text)


def assignment(text: str) -> tuple[str, str]:
    """Returns a name and a value of `name=value`."""
    name, sign, value = text.partition("=")
    if not (name and sign):
        raise argparse.ArgumentTypeError(
            f"expected NAME=VALUE, received {text!r}"
        )
    return name, value


class _Seeds(argparse.Action):
    """Joins the seeds of several words."""

    def __call__(self, parser, namespace, values, option_string=None):
        seeds = list(dict.fromkeys(itertools.chain.from_iterable(values)))
        setattr(namespace, self.dest, seeds)


def _seed_range(text):
    """Returns the seeds of `3` or of `0..4`."""
    first, dots, last = text.partition("..")
    if not (first.isdecimal() and (last.isdecimal() if dots else True)):
        raise argparse.ArgumentTypeError(
            f"expected a seed or a range as 0..4, received {text!r}"
        )
    first = seed(first)
    last = seed(last) if dots else first
    if last < first:
        raise argparse.ArgumentTypeError(
            f"expected a range from the smaller seed, received {text!r}"
        )
    return range(first, last + 1)
