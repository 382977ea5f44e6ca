"""The command line: `python -m keras_dnc`."""

import argparse
import contextlib
import dataclasses
import importlib.util
import itertools
import shutil
import statistics
import sys
import tempfile
import typing
from pathlib import Path

import keras

from keras_dnc import ablation, benchmark, runs, training
from keras_dnc.bayesian import comparison
from keras_dnc.bayesian import echo as bayesian_echo
from keras_dnc.progress import Progress
from keras_dnc.tasks import TASKS, BitsTask, Recipe
from keras_dnc.tasks.echo import Echo
from keras_dnc.tasks.task import last_step

PICTURE_FILE = "memory.png"
UNCERTAINTY_FILE = "uncertainty.png"


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line.

    Args:
        arguments: The command's words; default those of the process.

    Returns:
        The exit status: 0, or 1 after an error, which is printed. Words that
        are no command end the process with status 2, as argparse does.
    """
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except (
        ValueError,
        OSError,
        ModuleNotFoundError,
        FloatingPointError,
    ) as error:
        print(f"keras_dnc: {error}", file=sys.stderr)
        return 1
    return 0


def _train(options):
    if options.seeds is None:
        _print_table(_trained(options))
        _print_saved(Path(options.out))
        return
    if options.seed is not None:
        raise ValueError(
            "--seed and --seeds exclude each other. Received: "
            f"--seed {options.seed} --seeds "
            + " ".join(map(str, options.seeds))
        )
    trainings = {seed: _of_seed(options, seed) for seed in options.seeds}
    for of_seed in trainings.values():
        if not of_seed.is_done:
            _refuse_existing(Path(of_seed.out), of_seed)
            _refuse_unfinished(_unfinished_of(Path(of_seed.out)), of_seed)
    figures = {}
    for seed, of_seed in trainings.items():
        run = _evaluated if of_seed.is_done else _trained
        figures[seed] = run(of_seed)
        print(f"seed {seed}: {of_seed.out}")
        _print_table(figures[seed])
    _print_summary(figures)


def _of_seed(options, seed):
    """Returns the options of one of several trainings."""
    out = Path(options.out)
    out = out.with_name(f"{out.name}-seed-{seed}")
    is_begun = _unfinished_of(out).exists()
    of_seed = {
        "seed": seed,
        "out": str(out),
        "is_done": options.resume and out.is_dir() and not is_begun,
        "resume": options.resume and is_begun,
    }
    return argparse.Namespace(**{**vars(options), **of_seed})


def _unfinished_of(out):
    """Returns the folder of a training until it comes to its end."""
    return out.with_name(f"{out.name}-unfinished")


def _trained(options):
    """Trains and saves a network; returns its figures."""
    out = Path(options.out)
    unfinished = _unfinished_of(out)
    _refuse_existing(out, options)
    _refuse_picture_without_matplotlib(options)
    task, recipe, seed = (_resumed if options.resume else _begun)(
        unfinished, options
    )
    model = training.train(
        task, recipe, seed, Progress(unfinished), verbose=_verbose()
    )
    # It may have gone on for longer than it was to at first.
    runs.save_settings(unfinished, task, recipe, seed)
    figures = training.evaluate(model, task, seed)
    model.save(unfinished / runs.MODEL_FILE)
    if options.picture:
        _draw(unfinished / PICTURE_FILE, model, task, seed)
    _rename(unfinished, out)
    Progress(out).delete()
    return figures


def _evaluated(options):
    """Returns the figures of a network that was trained before."""
    folder = Path(options.out)
    task, recipe, seed = _resumed(folder, options)
    _, trained, _ = runs.load_settings(folder, options.task_name)
    if recipe.epochs != trained.epochs:
        raise ValueError(
            f"{folder}: trained for {trained.epochs} epochs to its end. "
            f"Received: epochs={recipe.epochs}"
        )
    return training.evaluate(runs.load_model(folder), task, seed)


def _print_summary(figures):
    """Prints each figure by seed, then their mean and standard deviation."""
    print(" | ".join(["figure", *map(str, figures), "mean", "deviation"]))
    for name in next(iter(figures.values())):
        values = [of_seed[name] for of_seed in figures.values()]
        cells = [*map(_shown, values), _shown(statistics.fmean(values))]
        deviation = "-" if len(values) < 2 else _shown(statistics.stdev(values))
        cells.append(deviation)
        print(" | ".join([name, *cells]))


def _begun(folder, options):
    """Makes the folder of a training; returns task, recipe and seed."""
    task_class = TASKS[options.task_name]
    task = task_class(**_given(options, task_class))
    recipe = dataclasses.replace(task.recipe, **_given(options, Recipe))
    seed = options.seed or 0
    # What is wrong with them shows before a folder is made, or replaced.
    keras.utils.set_random_seed(seed)
    training.build_model(task, recipe)
    _refuse_unfinished(folder, options)
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    runs.save_settings(folder, task, recipe, seed)
    return task, recipe, seed


def _resumed(folder, options):
    """Returns task, recipe and seed of a training that was cut off."""
    task, recipe, seed = runs.load_settings(folder, options.task_name)
    given = {**_given(options, type(task)), **_given(options, Recipe)}
    # It may go on for longer than it was to.
    recipe = dataclasses.replace(
        recipe, epochs=given.pop("epochs", recipe.epochs)
    )
    if options.seed is not None:
        given["seed"] = options.seed
    saved = {**dataclasses.asdict(task), **dataclasses.asdict(recipe)}
    saved["seed"] = seed
    for name, value in given.items():
        if value != saved[name]:
            raise ValueError(
                f"--resume goes on with a training of {name}={saved[name]}. "
                f"Received: {name}={value}"
            )
    return task, recipe, seed


def _evaluate(options):
    task_class = TASKS[options.task_name]
    folder = Path(options.folder)
    task = runs.load_task(
        folder, options.task_name, **_given(options, task_class)
    )
    model = runs.load_model(folder)
    batch = training.test_batch(task, options.seed)
    outputs = model.predict(batch.inputs, verbose=0)
    for example in range(min(options.show, len(outputs))):
        print(task.text(outputs, batch, example), end="\n\n")
    _print_table(task.score(outputs, batch))


def _ablation(options):
    task_class = TASKS[options.task_name]
    task = task_class(**_given(options, task_class))
    ablation.run(
        task,
        dataclasses.replace(task.recipe, **_given(options, Recipe)),
        options.variants,
        options.seeds,
        ablation.Options(**_given(options, ablation.Options)),
    )


def _bench(options):
    arguments = {}
    if options.checkpoint_every is not None:
        arguments["checkpoint_every"] = options.checkpoint_every
    benchmark.run(
        options.sizes,
        options.measures,
        options.repeats,
        backend=options.backend,
        compilers=options.compilers,
        peer=options.peer,
        profile=options.profile,
        arguments=arguments,
        extensions=options.extensions,
        environment=dict(options.environment),
        out=options.json,
    )


def _count(text):
    """Returns a number of things."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(
            f"expected a number from 0, received {text!r}"
        )
    return int(text)


def _assignment(text):
    """Returns a name and a value of `name=value`."""
    name, sign, value = text.partition("=")
    if not (name and sign):
        raise argparse.ArgumentTypeError(
            f"expected NAME=VALUE, received {text!r}"
        )
    return name, value


def _mnist(options):
    protocol = comparison.Protocol(**_given(options, comparison.Protocol))
    if options.step_times:
        comparison.step_times(options.networks, protocol, options.repeats)
        return
    if options.data is None:
        raise ValueError(
            "--data must name the folder of MNIST's files, unless with "
            "--step-times. Received none"
        )
    if options.out is not None:
        _refuse_existing(Path(options.out), options)
    comparison.run(
        options.networks,
        options.data,
        protocol,
        laplace=options.laplace,
        out=options.out,
        seed=options.seed,
        verbose=_verbose(),
    )


def _bayesian_echo(options):
    task = Echo(**_given(options, Echo))
    settings = bayesian_echo.Options(**_given(options, bayesian_echo.Options))
    out = Path(options.out)
    _refuse_existing(out, options)
    _refuse_picture_without_matplotlib(options)
    model = bayesian_echo.train(
        task, settings, options.seed, verbose=_verbose()
    )
    rows = bayesian_echo.by_length(model, task, settings, options.seed)
    with _unfinished(out) as folder:
        model.save(folder / runs.MODEL_FILE)
        if options.picture:
            from keras_dnc.plots import uncertainty_by_length

            uncertainty_by_length(rows, trained=task.max_length).savefig(
                folder / UNCERTAINTY_FILE, dpi=150
            )
    print(" | ".join(["length", *next(iter(rows.values()))]))
    for length, figures in rows.items():
        print(" | ".join([str(length), *map(_shown, figures.values())]))
    _print_saved(out)


def _verbose():
    # A bar where it can move, else a line an epoch.
    return 1 if sys.stdout.isatty() else 2


def _refuse_existing(out, options):
    if not (out.exists() or out.is_symlink()):
        return
    if out.is_symlink() or not out.is_dir():
        raise FileExistsError(f"{out}: exists already, and is not a folder")
    if options.overwrite:
        return
    if getattr(options, "resume", False):
        raise FileExistsError(
            f"{out}: exists already; what is resumed replaces it with "
            "--resume --overwrite"
        )
    several = getattr(options, "seeds", None)
    raise FileExistsError(
        f"{out}: exists already; name another folder with --out, "
        + ("train the other seeds with --resume, " if several else "")
        + "or replace it with --overwrite"
    )


def _refuse_unfinished(folder, options):
    if folder.exists() and not (options.overwrite or options.resume):
        raise FileExistsError(
            f"{folder}: a training that did not come to its end; go on with "
            "--resume, or begin again with --overwrite"
        )


def _refuse_picture_without_matplotlib(options):
    if options.picture and importlib.util.find_spec("matplotlib") is None:
        raise ModuleNotFoundError(
            "the picture needs matplotlib: pip install keras_dnc[plots], or "
            "leave the picture out with --no-picture"
        )


@contextlib.contextmanager
def _unfinished(out):
    """Yields a folder that gets its name when all of it is there."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        dir=out.parent, prefix=f".{out.name}-unfinished-"
    ) as unfinished:
        folder = Path(unfinished, out.name)
        folder.mkdir()
        yield folder
        _rename(folder, out)


def _rename(folder, out):
    """Gives a folder its name; the old one goes when the new one is there."""
    if not out.exists():
        folder.rename(out)
        return
    with tempfile.TemporaryDirectory(
        dir=out.parent, prefix=f".{out.name}-old-"
    ) as old:
        out.rename(Path(old, out.name))
        folder.rename(out)


def _print_saved(out):
    print(f"saved to {out}: {', '.join(sorted(p.name for p in out.iterdir()))}")


def _draw(path, model, task, seed):
    """Draws the first test sequence's way through the memory."""
    from keras_dnc.plots import memory_at_work
    from keras_dnc.tracing import trace

    batch = training.test_batch(task, seed)
    first = batch._replace(inputs=batch.inputs[:1])
    steps = last_step(batch, 0) + 1
    of_first = trace(model.get_layer("dnc").cell, first.inputs[:, :steps])
    outputs = model.predict(first.inputs, verbose=0)
    targets, answers = task.shown(outputs, batch, example=0)
    figure = memory_at_work(
        of_first,
        targets[:steps],
        answers[:steps],
        input_labels=task.input_labels,
        output_labels=task.output_labels,
    )
    figure.savefig(path, dpi=150)


def _print_table(figures):
    width = max(map(len, figures))
    for name, figure in figures.items():
        print(f"{name:<{width}}  {_shown(figure):>10}")


def _shown(figure):
    if isinstance(figure, int) or abs(figure) >= 10_000:
        return f"{figure:,.0f}"
    return f"{figure:.4g}"


def _parser():
    parser = argparse.ArgumentParser(
        prog="python -m keras_dnc",
        description=(
            "Trains and evaluates Differentiable Neural Computers and Bayesian "
            "networks."
        ),
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    train = _add_command(
        commands, "train", "train a DNC on a task and save it", _train
    )
    evaluate = _add_command(
        commands, "evaluate", "print a saved DNC's figures", _evaluate
    )
    for name, task in TASKS.items():
        options = train.add_parser(
            name, help=task.summary, description=_first_line(task)
        )
        options.set_defaults(task_name=name)
        _add_options(options.add_argument_group("task"), task)
        _add_options(
            options.add_argument_group("network and training"),
            Recipe,
            defaults=dataclasses.asdict(task.recipe),
        )
        _add_output(options, f"runs/{name}", "the memory at work")
        # Not given, a training that is resumed keeps its own.
        options.set_defaults(seed=None)
        _add_seeds(options, default=None, shown="--seed alone")
        options.add_argument(
            "--resume",
            action="store_true",
            help="go on with a training that did not come to its end",
        )

        options = evaluate.add_parser(
            name, help=task.summary, description=_first_line(task)
        )
        options.set_defaults(task_name=name)
        options.add_argument("folder", help="what `train` saved")
        _add_options(
            options.add_argument_group(
                "task", "as in training where it is not given"
            ),
            task,
        )
        options.add_argument(
            "--seed", type=int, default=0, help="of the sequences [0]"
        )
        options.add_argument(
            "--show",
            type=_count,
            default=0,
            metavar="COUNT",
            help="sequences to print, step by step [0]",
        )
    _add_ablation(commands)
    _add_bench(commands)
    _add_mnist(commands)
    _add_bayesian_echo(commands)
    return parser


def _add_output(options, folder, picture):
    _add_seed(options)
    options.add_argument(
        "--out",
        metavar="FOLDER",
        default=folder,
        help=f"where to save [{folder}]",
    )
    options.add_argument(
        "--overwrite",
        action="store_true",
        help="replace that folder, and an unfinished one",
    )
    options.add_argument(
        "--picture",
        action=argparse.BooleanOptionalAction,
        default=True,
        help=f"draw {picture}, with matplotlib",
    )


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
    last = last if dots else first
    if int(last) < int(first):
        raise argparse.ArgumentTypeError(
            f"expected a range from the smaller seed, received {text!r}"
        )
    return range(int(first), int(last) + 1)


def _add_seeds(options, default, shown):
    options.add_argument(
        "--seeds",
        nargs="+",
        type=_seed_range,
        action=_Seeds,
        default=default,
        metavar="SEED",
        help=f"seeds, or ranges of them as 0..4 [{shown}]",
    )


def _add_seed(options):
    options.add_argument(
        "--seed", type=int, default=0, help="of all that is random [0]"
    )


def _add_bayesian_echo(commands):
    summary = "train a Bayesian DNC on echo and draw its uncertainty"
    options = commands.add_parser(
        "bayesian-echo", help=summary, description=summary
    )
    options.set_defaults(run=_bayesian_echo)
    _add_options(options.add_argument_group("task"), Echo)
    _add_options(
        options.add_argument_group("training and evaluation"),
        bayesian_echo.Options,
    )
    _add_output(options, "runs/bayesian-echo", "the uncertainty")


def _add_ablation(commands):
    command = _add_command(
        commands,
        "ablation",
        "count the sequences that variants of a DNC need to solve a task",
        _ablation,
    )
    for name, task in TASKS.items():
        if not issubclass(task, BitsTask):
            continue
        options = command.add_parser(
            name, help=task.summary, description=_first_line(task)
        )
        options.set_defaults(task_name=name)
        options.add_argument(
            "--variants",
            nargs="+",
            choices=ablation.VARIANTS,
            default=list(ablation.VARIANTS),
            metavar="NAME",
            help=f"[{' '.join(ablation.VARIANTS)}]",
        )
        _add_seeds(options, default=[0, 1, 2], shown="0 1 2")
        _add_options(options, ablation.Options)
        _add_options(options.add_argument_group("task"), task)
        _add_options(
            options.add_argument_group("network and training"),
            Recipe,
            defaults=dataclasses.asdict(task.recipe),
        )


def _add_bench(commands):
    summary = "measure time and memory, beside a peer's if asked"
    options = commands.add_parser("bench", help=summary, description=summary)
    options.set_defaults(run=_bench)
    options.add_argument(
        "--sizes",
        nargs="+",
        choices=benchmark.SIZES,
        default=["small", "medium", "large"],
        help="[small medium large]",
    )
    options.add_argument(
        "--measures",
        nargs="+",
        choices=benchmark.MEASURES,
        default=["training", "inference"],
        help="a step is one time step of one example [training inference]",
    )
    options.add_argument(
        "--backend",
        choices=benchmark.COMPILERS,
        default=keras.backend.backend(),
        help="of Keras [the present one]",
    )
    options.add_argument(
        "--compilers",
        nargs="+",
        choices=["graph", "XLA", "eager"],
        help="[all of the backend]",
    )
    options.add_argument(
        "--repeats", type=int, default=6, help="how often to time each [6]"
    )
    options.add_argument(
        "--peer",
        action="store_true",
        help="measure pytorch-dnc too (PyPI's `dnc`, and torch)",
    )
    options.add_argument(
        "--checkpoint-every",
        type=int,
        metavar="K",
        help="measure a DNC with this `checkpoint_every` too",
    )
    options.add_argument(
        "--extensions",
        nargs="+",
        choices=benchmark.EXTENSIONS,
        metavar="NAME",
        help="measure a DNC with each of these too: "
        + " ".join(benchmark.EXTENSIONS),
    )
    options.add_argument(
        "--environment",
        nargs="+",
        default=[],
        type=_assignment,
        metavar="NAME=VALUE",
        help="variables of the environment of all that is measured",
    )
    options.add_argument(
        "--profile", action="store_true", help="show the parts of a time step"
    )
    options.add_argument("--json", metavar="FILE", help="write the figures")


def _add_mnist(commands):
    summary = "compare Bayesian networks with ordinary ones on digits"
    options = commands.add_parser("mnist", help=summary, description=summary)
    options.set_defaults(run=_mnist)
    options.add_argument(
        "--data", metavar="FOLDER", help="MNIST's four files, in IDX format"
    )
    options.add_argument(
        "--networks",
        nargs="+",
        choices=comparison.NETWORKS,
        default=[*comparison.NETWORKS],
        help="[all]",
    )
    _add_options(options, comparison.Protocol)
    options.add_argument(
        "--laplace",
        action="store_true",
        help="add the plain network's Laplace approximation",
    )
    options.add_argument(
        "--out", metavar="FOLDER", help="where to save the networks [nowhere]"
    )
    options.add_argument(
        "--overwrite", action="store_true", help="replace those saved there"
    )
    _add_seed(options)
    options.add_argument(
        "--step-times",
        action="store_true",
        help="time a training step of each instead, on random images",
    )
    options.add_argument(
        "--repeats", type=int, default=30, help="steps to time [30]"
    )


def _add_command(commands, name, description, run):
    command = commands.add_parser(
        name, help=description, description=description
    )
    command.set_defaults(run=run)
    return command.add_subparsers(required=True, metavar="TASK")


def _add_options(group, options_class, defaults=None):
    """Adds an option for each field that `option` made."""
    types = typing.get_type_hints(options_class)
    for field in dataclasses.fields(options_class):
        if "description" not in field.metadata:
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


def _given(options, options_class) -> dict:
    """Returns the options of a dataclass that the command line gave."""
    names = {field.name for field in dataclasses.fields(options_class)}
    return {k: v for k, v in vars(options).items() if k in names}


def _first_line(task):
    return task.__doc__.strip().splitlines()[0]


if __name__ == "__main__":
    sys.exit(main())
