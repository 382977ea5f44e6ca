"""`bench`: time and memory of a DNC."""

import keras

from keras_dnc import benchmark
from keras_dnc.commands import arguments


def add(commands):
    """Adds the command."""
    parser = arguments.add_command(
        commands,
        "bench",
        "measure time and memory, beside a peer's if asked",
        run,
    )
    parser.add_argument(
        "--sizes",
        nargs="+",
        choices=benchmark.SIZES,
        default=["small", "medium", "large"],
        help="[small medium large]",
    )
    parser.add_argument(
        "--measures",
        nargs="+",
        choices=benchmark.MEASURES,
        default=["training", "inference"],
        help="a step is one time step of one example [training inference]",
    )
    parser.add_argument(
        "--backend",
        choices=benchmark.COMPILERS,
        default=keras.backend.backend(),
        help="of Keras [the present one]",
    )
    parser.add_argument(
        "--compilers",
        nargs="+",
        choices=["graph", "XLA", "eager"],
        help="[all of the backend]",
    )
    parser.add_argument(
        "--repeats", type=int, default=6, help="how often to time each [6]"
    )
    parser.add_argument(
        "--peer",
        action="store_true",
        help="measure pytorch-dnc too (PyPI's `dnc`, and torch)",
    )
    parser.add_argument(
        "--checkpoint-every",
        type=int,
        metavar="K",
        help="measure a DNC with this `checkpoint_every` too",
    )
    parser.add_argument(
        "--extensions",
        nargs="+",
        choices=benchmark.EXTENSIONS,
        metavar="NAME",
        help="measure a DNC with each of these too: "
        + " ".join(benchmark.EXTENSIONS),
    )
    parser.add_argument(
        "--environment",
        nargs="+",
        default=[],
        type=arguments.assignment,
        metavar="NAME=VALUE",
        help="variables of the environment of all that is measured",
    )
    parser.add_argument(
        "--profile", action="store_true", help="show the parts of a time step"
    )
    parser.add_argument("--json", metavar="FILE", help="write the figures")


def run(options):
    """Measures and prints a table."""
    of_cell = {}
    if options.checkpoint_every is not None:
        of_cell["checkpoint_every"] = options.checkpoint_every
    benchmark.run(
        options.sizes,
        options.measures,
        options.repeats,
        backend=options.backend,
        compilers=options.compilers,
        peer=options.peer,
        profile=options.profile,
        arguments=of_cell,
        extensions=options.extensions,
        environment=dict(options.environment),
        out=options.json,
    )
