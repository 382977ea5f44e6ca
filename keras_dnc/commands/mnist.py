"""`mnist`: Bayesian networks beside ordinary ones."""

from pathlib import Path

from keras_dnc.bayesian import comparison
from keras_dnc.commands import arguments, output


def add(commands):
    """Adds the command."""
    parser = arguments.add_command(
        commands,
        "mnist",
        "compare Bayesian networks with ordinary ones on digits",
        run,
    )
    parser.add_argument(
        "--data", metavar="FOLDER", help="MNIST's four files, in IDX format"
    )
    parser.add_argument(
        "--networks",
        nargs="+",
        choices=comparison.NETWORKS,
        default=[*comparison.NETWORKS],
        help="[all]",
    )
    arguments.add_options(parser, comparison.Protocol)
    parser.add_argument(
        "--laplace",
        action="store_true",
        help="add the plain network's Laplace approximation",
    )
    parser.add_argument(
        "--out", metavar="FOLDER", help="where to save the networks [nowhere]"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace those saved there"
    )
    arguments.add_seed(parser)
    parser.add_argument(
        "--step-times",
        action="store_true",
        help="time a training step of each instead, on random images",
    )
    parser.add_argument(
        "--repeats", type=int, default=30, help="steps to time [30]"
    )


def run(options):
    """Trains the networks and prints a table, or their step times."""
    protocol = comparison.Protocol(
        **arguments.given(options, comparison.Protocol)
    )
    if options.step_times:
        for name in ("data", "laplace", "out", "overwrite"):
            if getattr(options, name):
                raise ValueError(
                    "--step-times must be without what belongs to a training. "
                    f"Received: --{name}"
                )
        comparison.step_times(options.networks, protocol, options.repeats)
        return
    if options.data is None:
        raise ValueError(
            "--data must name the folder of MNIST's files, unless with "
            "--step-times. Received none"
        )
    if options.laplace and "plain" not in options.networks:
        raise ValueError(
            "--laplace is of the plain network, which must be one of "
            f"--networks. Received: {' '.join(options.networks)}"
        )
    if options.out is not None:
        output.refuse_existing(Path(options.out), options.overwrite)
    comparison.run(
        options.networks,
        options.data,
        protocol,
        laplace=options.laplace,
        out=options.out,
        seed=options.seed,
        verbose=output.verbose(),
    )
