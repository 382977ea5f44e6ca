"""`bayesian-echo`: a Bayesian DNC and its uncertainty."""

from pathlib import Path

from keras_dnc import runs
from keras_dnc.bayesian import echo
from keras_dnc.commands import arguments, output
from keras_dnc.tasks import Echo

PICTURE_FILE = "uncertainty.png"


def add(commands):
    """Adds the command."""
    parser = arguments.add_command(
        commands,
        "bayesian-echo",
        "train a Bayesian DNC on echo and draw its uncertainty",
        run,
    )
    arguments.add_options(parser.add_argument_group("task"), Echo)
    arguments.add_options(
        parser.add_argument_group("training and evaluation"), echo.Options
    )
    arguments.add_output(parser, "runs/bayesian-echo", "the uncertainty")


def run(options):
    """Trains, saves and draws the network, and prints its figures."""
    task = Echo(**arguments.given(options, Echo))
    settings = echo.Options(**arguments.given(options, echo.Options))
    # What is wrong with them shows before there is work in it.
    echo.check(task, settings)
    out = Path(options.out)
    output.refuse_existing(out, options.overwrite)
    output.refuse_picture_without_matplotlib(options.picture)
    model = echo.train(task, settings, options.seed, verbose=output.verbose())
    rows = echo.by_length(model, task, settings, options.seed)
    with output.unfinished(out) as folder:
        model.save(folder / runs.MODEL_FILE)
        if options.picture:
            from keras_dnc.plots import uncertainty_by_length

            uncertainty_by_length(rows, trained=task.max_length).savefig(
                folder / PICTURE_FILE, dpi=150
            )
    print(" | ".join(["length", *next(iter(rows.values()))]))
    for length, figures in rows.items():
        print(" | ".join([str(length), *map(output.shown, figures.values())]))
    output.print_saved(out)
