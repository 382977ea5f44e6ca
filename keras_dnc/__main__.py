"""The command line: `python -m keras_dnc`."""

import argparse
import sys

from keras_dnc.commands import (
    ablation,
    bayesian_echo,
    bench,
    evaluate,
    mnist,
    trace,
    train,
)

COMMANDS = (train, evaluate, trace, ablation, bench, mnist, bayesian_echo)


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line.

    Args:
        arguments: The command's words; default those of the process.

    Returns:
        The exit status: 0, 1 after an error, which is printed, or 130, as in
        shells, after Ctrl-C. Words that are no command end the process with
        status 2, as argparse does.
    """
    options = parser().parse_args(arguments)
    try:
        options.run(options)
    except (
        ValueError,
        OSError,
        ModuleNotFoundError,
        FloatingPointError,
        MemoryError,
    ) as error:
        print(f"keras_dnc: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as error:
        # What is left is said below the progress bar.
        left = ". ".join(["interrupted", *map(str, error.args)])
        print(f"\nkeras_dnc: {left}", file=sys.stderr)
        return 130
    return 0


def parser() -> argparse.ArgumentParser:
    """Returns the parser of the command's words."""
    words = argparse.ArgumentParser(
        prog="python -m keras_dnc",
        description=(
            "Trains and evaluates Differentiable Neural Computers and Bayesian "
            "networks."
        ),
    )
    commands = words.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    return words


if __name__ == "__main__":
    sys.exit(main())
