"""`train`: train a DNC on a task and save it."""

import argparse
import dataclasses
import statistics
from pathlib import Path

import keras

from keras_dnc import runs, settings, training
from keras_dnc.commands import arguments, output, pictures
from keras_dnc.processes import in_own_process
from keras_dnc.progress import Progress
from keras_dnc.tasks import TASKS, Recipe
from keras_dnc.tensorboard import TensorBoardTraces, require_tensorboard


def add(commands):
    """Adds the command."""
    for task, parser in arguments.add_tasks(
        commands, "train", "train a DNC on a task and save it", run
    ):
        arguments.add_options(parser.add_argument_group("task"), task)
        arguments.add_options(
            parser.add_argument_group("network and training"),
            Recipe,
            defaults=dataclasses.asdict(task.recipe),
        )
        arguments.add_output(parser, f"runs/{task.name}", "the memory at work")
        # Not given, a training that is resumed keeps its own.
        parser.set_defaults(seed=None, is_done=False)
        arguments.add_seeds(parser, default=None, shown="--seed alone")
        parser.add_argument(
            "--settings",
            metavar="FILE",
            help="YAML or JSON with names and values of the options of task, "
            "network and training, and the seed (not with --seeds); words of "
            "the command line take precedence",
        )
        parser.add_argument(
            "--tensorboard",
            action="store_true",
            help="log to the folder for TensorBoard too",
        )
        parser.add_argument(
            "--resume",
            action="store_true",
            help="go on with a training that did not come to its end",
        )


def run(options):
    """Trains a network, or one for each of several seeds."""
    if options.settings is not None:
        options = _with_settings(options)
    if options.seeds is None:
        output.print_table(_trained(options))
        output.print_saved(Path(options.out))
        return
    if options.seed is not None:
        raise ValueError(
            "--seed and --seeds exclude each other. Received: "
            f"--seed {options.seed} --seeds "
            + " ".join(map(str, options.seeds))
        )
    if options.resume and options.overwrite:
        raise ValueError(
            "--seeds goes on with what is there, with --resume, or replaces "
            "it, with --overwrite. Received both"
        )
    trainings = {seed: _of_seed(options, seed) for seed in options.seeds}
    for of_seed in trainings.values():
        if of_seed.resume and Path(of_seed.out).exists():
            raise FileExistsError(
                f"{of_seed.out}: a training that came to its end, and "
                f"{_unfinished_of(Path(of_seed.out))} one that did not; "
                "remove the folder of the one that you don't want"
            )
        if not of_seed.is_done:
            _refuse_existing(Path(of_seed.out), of_seed)
            _refuse_unfinished(_unfinished_of(Path(of_seed.out)), of_seed)
    _refuse_unlike(trainings)
    figures, lost = {}, []
    for seed, of_seed in trainings.items():
        figures_of = _evaluated if of_seed.is_done else _trained
        try:
            figures[seed] = in_own_process(figures_of, of_seed)
        except FloatingPointError as error:
            # That one seed came to NaN says nothing of the others.
            print(f"seed {seed}: {error}")
            lost.append(str(seed))
            continue
        print(f"seed {seed}: {of_seed.out}")
        output.print_table(figures[seed])
    if figures:
        _print_summary(figures)
    if lost:
        raise FloatingPointError(
            "a loss, a weight or an answer was no number, as said above, from "
            f"seed {', '.join(lost)}; the summary is without"
        )


def _with_settings(options):
    """Returns the options with those of a file that were not given."""
    loaded = settings.load(
        options.settings, TASKS[options.task_name], Recipe, seed=int
    )
    seed = loaded.pop("seed", None)
    if seed is not None and options.seeds is not None:
        raise ValueError(
            f"{options.settings}: expected no seed, since --seeds has others. "
            f"Received: {seed}"
        )
    if seed is not None and not 0 <= seed < arguments.SEEDS:
        raise ValueError(
            f"{options.settings}: expected a seed from 0 to "
            f"{arguments.SEEDS - 1}. Received: {seed}"
        )
    loaded["seed"] = seed if options.seed is None else options.seed
    words = {k: v for k, v in vars(options).items() if k != "seed"}
    return argparse.Namespace(**{**loaded, **words})


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


def _refuse_unlike(trainings):
    """Refuses seeds with different settings: a mean would say nothing."""
    first, expected = None, None
    for seed, of_seed in trainings.items():
        task, recipe, _ = _settings(of_seed)
        found = {**dataclasses.asdict(task), **dataclasses.asdict(recipe)}
        if expected is None:
            first, expected = seed, found
        for name, value in found.items():
            if value != expected[name]:
                raise ValueError(
                    f"seed {seed} must be trained as seed {first} is, with "
                    f"{name}={expected[name]}. Received: {name}={value}"
                )


def _trained(options):
    """Trains and saves a network; returns its figures."""
    out = Path(options.out)
    unfinished = _unfinished_of(out)
    if options.resume and out.is_dir() and not unfinished.exists():
        raise FileExistsError(
            f"{out}: this training came to its end; begin another with its "
            f"weights, --weights {out} --out FOLDER"
        )
    _refuse_existing(out, options)
    task, recipe, seed = _settings(options)
    # An LSTM has no memory to draw.
    is_drawn = options.picture and not recipe.lstm
    output.refuse_picture_without_matplotlib(is_drawn)
    if options.tensorboard:
        require_tensorboard()
    if not options.resume:
        # What is wrong with them shows before a folder is made, or replaced.
        training.check(task, recipe, seed)
    with output.held(unfinished):
        progress = Progress(unfinished)
        if options.resume:
            # It may go on for longer than it was to at first.
            progress.check(recipe.epochs)
            runs.save_settings(unfinished, task, recipe, seed)
        else:
            _begin(unfinished, task, recipe, seed, options)
        callbacks = (
            _tensorboard(unfinished, task, seed, is_drawn)
            if options.tensorboard
            else []
        )
        model = training.train(
            task,
            recipe,
            seed,
            progress,
            callbacks,
            verbose=output.verbose(),
        )
        model.save(unfinished / runs.MODEL_FILE)
        if is_drawn:
            pictures.write(unfinished, model, task, seed)
        output.rename(unfinished, out)
        Progress(out).delete()
    # What cannot be answered is no reason to train again.
    return _figures(model, task, seed, out)


def _tensorboard(folder, task, seed, is_drawn):
    """Returns the callbacks that log for TensorBoard."""
    log_dir = folder / "tensorboard"
    callbacks = [keras.callbacks.TensorBoard(log_dir)]
    if is_drawn:
        first = pictures.first_sequences(task, seed, 1)
        callbacks.append(TensorBoardTraces(log_dir / "memory", first.inputs))
    return callbacks


def _evaluated(options):
    """Returns the figures of a network that was trained before."""
    task, _, seed = _settings(options)
    out = Path(options.out)
    return _figures(runs.load_model(out), task, seed, out)


def _figures(model, task, seed, folder):
    """Returns how long a network was trained, and its test figures."""
    epochs = len(Progress(folder).logged(task.metric))
    return {"epochs": epochs, **training.evaluate(model, task, seed)}


def _print_summary(figures):
    """Prints each figure by seed, then their mean and standard deviation."""
    print(" | ".join(["figure", *map(str, figures), "mean", "deviation"]))
    for name in next(iter(figures.values())):
        values = [of_seed[name] for of_seed in figures.values()]
        cells = [
            *map(output.shown, values),
            output.shown(statistics.fmean(values)),
            "-" if len(values) < 2 else output.shown(statistics.stdev(values)),
        ]
        print(" | ".join([name, *cells]))


def _settings(options):
    """Returns task, recipe and seed: those given, or of what is there."""
    out = Path(options.out)
    if options.is_done:
        task, recipe, seed = _resumed(out, options)
        _, trained, _ = runs.load_settings(out, options.task_name)
        if recipe.epochs != trained.epochs:
            raise ValueError(
                f"{out}: trained for {trained.epochs} epochs to its end. "
                f"Received: epochs={recipe.epochs}"
            )
        return task, recipe, seed
    if options.resume:
        unfinished = _unfinished_of(out)
        if not unfinished.exists():
            raise FileNotFoundError(
                f"{unfinished}: there is no training to go on with; begin one "
                "without --resume"
            )
        return _resumed(unfinished, options)
    task_class = TASKS[options.task_name]
    task = task_class(**arguments.given(options, task_class))
    recipe = dataclasses.replace(
        task.recipe, **arguments.given(options, Recipe)
    )
    return task, recipe, options.seed or 0


def _begin(folder, task, recipe, seed, options):
    """Makes the folder of a training."""
    _refuse_unfinished(folder, options)
    with output.unfinished(folder) as begun:
        runs.save_settings(begun, task, recipe, seed)


def _resumed(folder, options):
    """Returns task, recipe and seed of a training that was cut off."""
    task_class = TASKS[options.task_name]
    of_task = arguments.given(options, task_class)
    paths = {
        key: of_task[key] for key in runs.path_options(task_class, of_task)
    }
    task, recipe, seed = runs.load_settings(folder, task_class.name, **paths)
    given = {**of_task, **arguments.given(options, Recipe)}
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


def _refuse_existing(out, options):
    otherwise = "name another folder with --out"
    if options.resume:
        otherwise = "what is resumed is saved there at its end"
    elif options.seeds:
        otherwise += ", train the other seeds with --resume"
    output.refuse_existing(out, options.overwrite, otherwise)


def _refuse_unfinished(folder, options):
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise FileExistsError(f"{folder}: exists already, and is not a folder")
    if folder.exists() and not (options.overwrite or options.resume):
        raise FileExistsError(
            f"{folder}: a training that did not come to its end; go on with "
            "--resume, or begin again with --overwrite"
        )
