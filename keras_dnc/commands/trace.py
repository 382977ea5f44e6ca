"""`trace`: what a saved network does with its memory, to look at."""

from pathlib import Path

from keras_dnc import runs, settings
from keras_dnc.commands import arguments, output, pictures
from keras_dnc.tasks import TASKS


def add(commands):
    """Adds the command."""
    parser = arguments.add_command(
        commands,
        "trace",
        "show what a saved DNC does with its memory, step by step",
        run,
    )
    parser.add_argument(
        "model", help="what `train` saved, or a model.keras of your own"
    )
    parser.add_argument(
        "--task",
        choices=TASKS,
        metavar="TASK",
        help="what to ask a model of your own; a folder knows its task",
    )
    parser.add_argument(
        "--examples",
        type=arguments.positive,
        default=pictures.EXAMPLES,
        metavar="COUNT",
        help=f"sequences to show [{pictures.EXAMPLES}]",
    )
    arguments.add_seed(parser, "the sequences")
    parser.add_argument(
        "--out",
        type=arguments.named_path,
        metavar="FOLDER",
        default="trace",
        help="where to save [trace]",
    )
    parser.add_argument(
        "--settings",
        metavar="FILE",
        help="YAML or JSON with options of the task; the others are those of "
        "training, or for a model of your own the task's defaults",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace that folder"
    )


def run(options):
    """Writes the picture, the page and the arrays of a trace."""
    out = options.out
    output.refuse_existing(out, options.overwrite)
    output.refuse_picture_without_matplotlib(is_wanted=True, otherwise="")
    model, task = _loaded(options)
    with output.unfinished(out) as folder:
        shown = pictures.write(
            folder, model, task, options.seed, options.examples
        )
        shown.save(folder / pictures.TRACE_FILE)
    output.print_saved(out)


def _loaded(options):
    """Returns a model and its task, of a folder or of a file."""
    path = Path(options.model)
    if path.is_file() and options.task is None:
        raise ValueError(
            f"--task must name what to ask {path}, a model that no folder "
            "tells the task of. Received none"
        )
    given = {}
    if options.settings is not None:
        name = options.task or runs.load_task(path).name
        given = settings.load(options.settings, TASKS[name])
    return runs.load(path, options.task, **given)
