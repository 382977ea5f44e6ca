"""A training that was cut off goes on to what it would have come to."""

import contextlib
import csv
import dataclasses
import itertools
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

from keras_dnc import commands, progress, runs, training
from keras_dnc.__main__ import main
from keras_dnc.commands import output
from keras_dnc.diagnosis import CheckFinite
from keras_dnc.progress import Progress
from keras_dnc.tasks import (
    Argmax,
    Batch,
    Copy,
    Echo,
    GraphShortestPath,
    Task,
)

EPOCHS = 4
TASK = Echo(min_length=1, max_length=2, sequences=16, test_sequences=5)
RECIPE = dataclasses.replace(
    TASK.recipe,
    controller=4,
    batch_size=8,
    learning_rate=0.01,
    epochs=EPOCHS,
)


class Stopped(Exception):
    pass


class Stops(Progress):
    """Ends the training in the middle of an epoch."""

    def __init__(self, folder, batches):
        super().__init__(folder)
        self.left = batches

    def on_train_batch_end(self, batch, logs=None):
        super().on_train_batch_end(batch, logs)
        self.left -= 1
        if self.left < 0:
            raise Stopped


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """A network that trains in no time: what it learns is not the point.

    It draws random numbers as it trains, as a DNC with dropout does.
    """

    def build_small(task, recipe):
        model = keras.Sequential(
            [
                keras.Input((None, len(task.input_labels))),
                keras.layers.Dense(recipe.controller, "tanh"),
                # On PyTorch it draws from a generator that nothing saves.
                keras.layers.Dropout(
                    0.0 if keras.backend.backend() == "torch" else 0.3
                ),
                keras.layers.Dense(len(task.output_labels)),
            ]
        )
        model.compile(
            keras.optimizers.Adam(recipe.learning_rate),
            jit_compile=False,
            **task.compile_arguments(),
        )
        return model

    monkeypatch.setattr(training, "build_model", build_small)
    # Another process would build a DNC.
    monkeypatch.setattr(
        commands.train,
        "in_own_process",
        lambda function, *given: function(*given),
    )


def train(place=None):
    return training.train(TASK, RECIPE, 3, place, verbose=0)


def logged(folder):
    with (folder / "log.csv").open() as file:
        return list(csv.reader(file))


def assert_same_weights(one, other):
    weights = zip(one.get_weights(), other.get_weights(), strict=True)
    for a, b in weights:
        np.testing.assert_array_equal(a, b)


def made(path):
    path.mkdir()
    return path


@pytest.mark.parametrize("batches", [[1], [5, 1, 0, 2]])
def test_what_was_cut_off_goes_on_as_if_it_had_not_been(batches, tmp_path):
    whole = Progress(made(tmp_path / "whole"))
    expected = train(whole)
    folder = made(tmp_path / "cut")
    for count in batches:
        with pytest.raises(Stopped):
            train(Stops(folder, count))
    model = train(Progress(folder))
    assert_same_weights(model, expected)
    rows = logged(folder)
    assert rows == logged(whole.folder)
    assert rows[0][:2] == ["epoch", "loss"]
    assert [row[0] for row in rows[1:]] == ["1", "2", "3", "4"]
    assert len({row[1] for row in rows[1:]}) == EPOCHS
    # The last state alone is kept.
    assert [path.name for path in folder.glob("*.npz")] == [
        f"epoch-{EPOCHS}.npz"
    ]


def test_without_saving_it_trains_the_same(tmp_path):
    assert_same_weights(train(), train(Progress(tmp_path)))


@pytest.fixture
def given(tmp_path):
    """A model that was trained before, and its folder."""
    folder = made(tmp_path / "given")
    model = training.train(TASK, RECIPE, 5, verbose=0)
    model.save(folder / runs.MODEL_FILE)
    runs.save_settings(folder, TASK, RECIPE, 5)
    return model, folder


def test_a_training_begins_with_weights_of_another(given):
    before, folder = given
    # Too small a rate to change a number of float32.
    recipe = dataclasses.replace(
        RECIPE, weights=str(folder), learning_rate=1e-30
    )
    assert_same_weights(training.train(TASK, recipe, 3, verbose=0), before)


def test_what_began_with_weights_goes_on_as_if_not_cut_off(given, tmp_path):
    recipe = dataclasses.replace(RECIPE, weights=str(given[1]))
    expected = training.train(TASK, recipe, 3, verbose=0)
    folder = made(tmp_path / "cut")
    for count in (1, 5):
        with pytest.raises(Stopped):
            training.train(TASK, recipe, 3, Stops(folder, count), verbose=0)
    model = training.train(TASK, recipe, 3, Progress(folder), verbose=0)
    assert_same_weights(model, expected)


@pytest.mark.parametrize(
    "words, message",
    [
        (["--controller=5"], r"`weights` .*\(X, 5\).*\(X, 4\)"),
        (["--controller=4", "--weights=nowhere"], "nowhere.*expected a file"),
    ],
)
def test_weights_that_do_not_fit_are_refused(
    words, message, given, tmp_path, capsys
):
    words = [f"--weights={given[1]}", f"--out={tmp_path / 'out'}", *words]
    assert main(["train", "echo", "--no-picture", *words]) == 1
    message = message.replace("X", str(len(TASK.input_labels)))
    assert re.search(message, capsys.readouterr().err)
    assert list(tmp_path.iterdir()) == [given[1]]


def test_weights_of_a_model_with_other_meanings_are_refused(
    given, tmp_path, capsys
):
    # Its inputs are the symbols, and one more.
    symbols = len(TASK.input_labels) - 1
    runs.save_settings(given[1], Argmax(digits=symbols + 1), RECIPE, 5)
    words = [f"--weights={given[1]}", f"--out={tmp_path / 'out'}"]
    assert main(["train", "echo", "--no-picture", *words]) == 1
    assert re.search(
        "mean the same.*argmax with other input_labels: "
        rf"\['{symbols}'\] are of one alone",
        capsys.readouterr().err,
    )
    assert list(tmp_path.iterdir()) == [given[1]]


def test_each_epoch_has_sequences_of_its_own():
    def rows(batch):
        return {inputs.tobytes() for inputs in batch.inputs}

    task = Copy(min_length=8, sequences=16, test_sequences=16)
    epochs = [rows(data) for data in training._epochs(task, 3, range(3))]
    test = rows(training.test_batch(task, 3))
    for one, other in itertools.combinations([*epochs, test], 2):
        assert not one & other
    (again,) = training._epochs(task, 3, [1])
    assert rows(again) == epochs[1]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Exhausted(Echo):
    """A task that has no sequences after the second epoch."""

    drawn: list = dataclasses.field(default_factory=list)

    def training_data(self, rng):
        self.drawn.append(1)
        if len(self.drawn) > 2:
            raise ValueError("line 3: no more")
        return super().training_data(rng)


def test_what_a_task_says_is_what_the_training_says(tmp_path):
    task = Exhausted(sequences=16)
    place = Progress(made(tmp_path / "out"))
    with pytest.raises(ValueError, match="^line 3: no more$"):
        training.train(task, RECIPE, 3, place, verbose=0)
    assert place.epochs == 2


class Fixed(Task):
    """A task whose sequences are the same in each epoch, but for the order."""

    def training_data(self, rng):
        numbers = rng.random((16, 1, 1))
        return Batch(numbers, numbers, numbers[..., 0])


def test_sequences_that_are_given_stay_the_same_in_another_order():
    first, second = training._epochs(Fixed(), 3, range(2))
    assert np.any(first.inputs != second.inputs)
    assert set(first.inputs.ravel()) == set(second.inputs.ravel())
    (resumed,) = training._epochs(Fixed(), 3, [1])
    np.testing.assert_array_equal(resumed.inputs, second.inputs)


FILE_OPERATIONS = [
    (os, "replace"),
    (os, "fsync"),
    (pathlib.Path, "unlink"),
    (pathlib.Path, "open"),
    (np, "savez"),
]


@pytest.mark.parametrize(
    "count",
    [
        pytest.param(count, marks=() if count == 9 else pytest.mark.slow)
        for count in range(24)
    ],
)
def test_it_may_end_at_any_operation_on_files(count, tmp_path, monkeypatch):
    left = count

    def stopping(operation):
        def stops_some_day(*arguments, **options):
            nonlocal left
            left -= 1
            if left < 0:
                raise Stopped
            return operation(*arguments, **options)

        return stops_some_day

    whole, cut = made(tmp_path / "whole"), made(tmp_path / "cut")
    expected = train(Progress(whole))
    with monkeypatch.context() as patched:
        for place, name in FILE_OPERATIONS:
            patched.setattr(place, name, stopping(getattr(place, name)))
        with contextlib.suppress(Stopped):
            train(Progress(cut))
        # Going on may be cut off too.
        left = count % 5
        with contextlib.suppress(Stopped):
            train(Progress(cut))
    assert_same_weights(train(Progress(cut)), expected)
    assert logged(cut) == logged(whole)


def test_ctrl_c_says_what_is_kept(tmp_path, monkeypatch, capsys):
    class Interrupted(Progress):
        def on_train_batch_end(self, batch, logs=None):
            super().on_train_batch_end(batch, logs)
            if self.epochs == 2:
                raise KeyboardInterrupt

    monkeypatch.setattr(commands.train, "Progress", Interrupted)
    words = ["train", "echo", *WORDS, "--epochs=4", "--no-picture"]
    assert main([*words, f"--out={tmp_path / 'out'}"]) == 130
    error = capsys.readouterr().err
    assert "keras_dnc: interrupted. " in error
    message = "out-unfinished keeps the state after epoch 2, and `train"
    assert message in error


def test_a_state_that_is_not_whole_does_not_count(tmp_path, monkeypatch):
    def replace(source, target):
        if target.name.startswith("epoch-3"):
            raise Stopped
        os.rename(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(progress.os, "replace", replace)
        with pytest.raises(Stopped):
            train(Progress(tmp_path))
    assert {path.name for path in tmp_path.glob("*.npz")} == {
        "epoch-2.npz",
        "unfinished.npz",
    }
    # The third epoch was logged.
    assert len(logged(tmp_path)) == 1 + 3
    model = training.build_model(TASK, RECIPE)
    assert Progress(tmp_path).restore(model) == 2
    assert len(logged(tmp_path)) == 1 + 2


def test_a_damaged_state_is_named(tmp_path):
    path = tmp_path / "epoch-2.npz"
    path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"epoch-2\.npz: expected"):
        train(Progress(tmp_path))
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(ValueError, match=r"epoch-2\.npz: expected"):
        train(Progress(tmp_path))


def test_a_state_with_more_in_it_is_named(tmp_path):
    train(Progress(tmp_path))
    path = tmp_path / "epoch-4.npz"
    with np.load(path) as file:
        values = dict(file)
    np.savez(path, **values, more=np.zeros(3))
    count = len(values)
    with pytest.raises(ValueError, match=rf"epoch-4.* {count} .*: {count + 1}"):
        train(Progress(tmp_path))


def test_a_log_that_lost_rows_is_named(tmp_path):
    train(Progress(tmp_path))
    lines = (tmp_path / "log.csv").read_text().splitlines()
    (tmp_path / "log.csv").write_text("\n".join(lines[:3]) + "\n")
    with pytest.raises(
        ValueError, match=r"log.csv: expected .* 4 .*Received 2"
    ):
        train(Progress(tmp_path))


def test_a_state_of_another_model_is_named(tmp_path):
    train(Progress(tmp_path))
    other = dataclasses.replace(RECIPE, controller=5)
    with pytest.raises(ValueError, match=r"epoch-4\.npz: expected"):
        training.train(TASK, other, 3, Progress(tmp_path), verbose=0)


def test_a_loss_that_is_no_number_ends_it(tmp_path, capsys):
    with pytest.raises(Stopped):
        train(Stops(tmp_path, 3))
    kept = (tmp_path / "epoch-1.npz").read_bytes()
    wild = dataclasses.replace(RECIPE, learning_rate=1e30)
    model = training.build_model(TASK, wild)
    place = Progress(tmp_path)
    # The learning rate is of what is saved: it is set anew.
    assert place.restore(model) == 1
    model.optimizer.learning_rate = 1e30
    data = TASK.sample(16, np.random.default_rng(0))
    with pytest.raises(FloatingPointError, match=r"epoch [23]\. A smaller"):
        model.fit(
            data.inputs,
            data.targets,
            batch_size=4,
            initial_epoch=1,
            epochs=3,
            callbacks=[CheckFinite(), place],
            verbose=0,
        )
    assert (tmp_path / "epoch-1.npz").read_bytes() == kept


def test_weights_that_are_no_numbers_are_not_saved(tmp_path):
    # The loss of one step is that before its update.
    task = dataclasses.replace(TASK, sequences=RECIPE.batch_size)
    wild = dataclasses.replace(RECIPE, learning_rate=1e39)
    with pytest.raises(
        FloatingPointError,
        match=r"is not finite after epoch 1\. .* keeps the state after epoch "
        r"0\. First to go wrong, in step 1: the gradient",
    ):
        training.train(task, wild, 3, Progress(tmp_path), verbose=0)
    assert not list(tmp_path.iterdir())


# From the command line

WORDS = [
    "--min-length=1",
    "--max-length=2",
    "--sequences=16",
    "--test-sequences=5",
    "--controller=4",
    "--memory-size=4",
    "--word-size=3",
    "--batch-size=8",
    "--no-picture",
]


@pytest.fixture
def cut_off(tmp_path, monkeypatch):
    """The `--out` of a training that ended in its third epoch."""
    out = tmp_path / "out"
    monkeypatch.setattr(
        "keras_dnc.commands.train.Progress", lambda folder: Stops(folder, 5)
    )
    words = ["train", "echo", *WORDS, "--epochs=4", "--seed=3", f"--out={out}"]
    with pytest.raises(Stopped):
        main(words)
    monkeypatch.setattr("keras_dnc.commands.train.Progress", Progress)
    assert [path.name for path in tmp_path.iterdir()] == ["out-unfinished"]
    return out


def test_resume_goes_on_with_what_was_given_at_first(cut_off, tmp_path):
    whole = tmp_path / "whole"
    words = ["train", "echo", *WORDS, "--epochs=4", "--seed=3"]
    assert main([*words, f"--out={whole}"]) == 0
    assert (
        main(["train", "echo", "--resume", "--no-picture", f"--out={cut_off}"])
        == 0
    )
    assert {path.name for path in cut_off.iterdir()} == {
        "log.csv",
        "model.keras",
        "task.json",
        "training.json",
    }
    assert_same_weights(runs.load_model(cut_off), runs.load_model(whole))
    assert logged(cut_off) == logged(whole)
    assert not cut_off.with_name("out-unfinished").exists()


def test_resume_may_go_on_for_longer(cut_off):
    words = ["train", "echo", "--resume", "--no-picture", f"--out={cut_off}"]
    assert main([*words, "--epochs=6"]) == 0
    assert len(logged(cut_off)) == 1 + 6
    _, recipe, _ = runs.load_settings(cut_off, "echo")
    assert recipe.epochs == 6


def test_what_goes_on_for_longer_is_cut_off_and_goes_on(cut_off, monkeypatch):
    words = ["train", "echo", "--resume", "--no-picture", f"--out={cut_off}"]
    with monkeypatch.context() as patched:
        patched.setattr(
            "keras_dnc.commands.train.Progress", lambda folder: Stops(folder, 2)
        )
        with pytest.raises(Stopped):
            main([*words, "--epochs=6"])
    # Of the two batches of an epoch the first four are of epochs 3 and 4.
    assert main(words) == 0
    assert len(logged(cut_off)) == 1 + 6


def test_what_began_with_weights_needs_them_no_more(given, tmp_path):
    recipe = dataclasses.replace(RECIPE, weights=str(given[1]))
    expected = training.train(TASK, recipe, 3, verbose=0)
    folder = made(tmp_path / "cut")
    with pytest.raises(Stopped):
        training.train(TASK, recipe, 3, Stops(folder, 5), verbose=0)
    given[1].rename(tmp_path / "elsewhere")
    model = training.train(TASK, recipe, 3, Progress(folder), verbose=0)
    assert_same_weights(model, expected)


def test_the_folder_of_weights_is_known_from_everywhere(
    given, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    words = ["train", "echo", *WORDS, "--epochs=1", "--out=out"]
    assert main([*words, "--weights=given"]) == 0
    _, recipe, _ = runs.load_settings(tmp_path / "out", "echo")
    assert recipe.weights == str(given[1])


def test_there_is_nothing_to_resume_after_the_end(cut_off, capsys):
    words = ["train", "echo", "--resume", "--no-picture", f"--out={cut_off}"]
    assert main(words) == 0
    for more in [], ["--overwrite"]:
        assert main([*words, "--epochs=9", *more]) == 1
        assert "came to its end; begin another" in capsys.readouterr().err
    assert (cut_off / "model.keras").exists()


def test_a_seed_with_two_trainings_is_not_resumed(cut_off, capsys):
    folder = cut_off.with_name("out-unfinished")
    folder.rename(cut_off.with_name("out-seed-3-unfinished"))
    ended = cut_off.with_name("out-seed-3")
    ended.mkdir()
    words = ["train", "echo", "--resume", "--no-picture", f"--out={cut_off}"]
    assert main([*words, "--seeds=3"]) == 1
    assert re.search(
        r"out-seed-3: a training.* end, and .*out-seed-3-unfinished one that",
        capsys.readouterr().err,
    )


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("--epochs=1", "`epochs` must be at least 2.*Received: epochs=1"),
        ("--seed=4", "training of seed=3. Received: seed=4"),
        ("--word-size=7", "training of word_size=3. Received: word_size=7"),
        ("--sequences=9", "training of sequences=16. Received: sequences=9"),
    ],
)
def test_resume_with_other_settings_is_refused(cut_off, word, message, capsys):
    words = ["train", "echo", "--resume", "--no-picture", f"--out={cut_off}"]
    assert main([*words, word]) == 1
    assert re.search(message, capsys.readouterr().err)
    _, recipe, _ = runs.load_settings(
        cut_off.with_name("out-unfinished"), "echo"
    )
    assert recipe.epochs == 4
    folder = cut_off.with_name("out-unfinished")
    assert (folder / "epoch-2.npz").exists()


def test_what_is_unfinished_is_not_begun_again_unasked(cut_off, capsys):
    words = ["train", "echo", *WORDS, f"--out={cut_off}"]
    assert main(words) == 1
    message = capsys.readouterr().err
    assert "out-unfinished" in message and "--resume" in message
    assert main([*words, "--overwrite", "--epochs=1"]) == 0
    assert len(logged(cut_off)) == 1 + 1


def test_a_loss_that_is_no_number_is_said(tmp_path, capsys):
    out = tmp_path / "out"
    words = ["train", "echo", *WORDS, f"--out={out}", "--learning-rate=1e30"]
    assert main([*words, "--epochs=9"]) == 1
    message = capsys.readouterr().err
    assert re.search(
        r"the loss is nan after step \d of epoch \d\. .*First to go wrong, in "
        r"step \d: the gradient, which made \S*dense",
        message,
    )
    assert not out.exists()


def test_a_failure_after_training_loses_nothing(tmp_path, monkeypatch):
    out = tmp_path / "out"
    out.mkdir()
    (out / "old").write_text("old")

    def fail(*_):
        raise OSError("disk full")

    words = ["train", "echo", *WORDS[:-1], f"--out={out}", "--overwrite"]
    with monkeypatch.context() as patched:
        patched.setattr("keras_dnc.commands.pictures.write", fail)
        assert main(words) == 1
    assert (out / "old").read_text() == "old"
    words = ["train", "echo", "--resume", "--no-picture", f"--out={out}"]
    assert main(words) == 1
    with monkeypatch.context() as patched:
        # Nothing is left to train.
        patched.setattr(training, "_epochs", fail)
        assert main([*words, "--overwrite"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert not (out / "old").exists()
    assert len(logged(out)) == 1 + 1


def test_a_folder_that_cannot_be_replaced_stays(tmp_path, monkeypatch):
    out, new = made(tmp_path / "out"), made(tmp_path / "new")
    (out / "old").write_text("old")
    rename = pathlib.Path.rename

    def fail(path, target):
        if path == new:
            raise PermissionError("in use")
        return rename(path, target)

    monkeypatch.setattr(pathlib.Path, "rename", fail)
    with pytest.raises(PermissionError):
        output.rename(new, out)
    assert (out / "old").read_text() == "old"
    assert sorted(tmp_path.iterdir()) == [new, out]


@pytest.mark.parametrize("kind", ["file", "link"])
def test_what_is_no_folder_is_not_replaced(kind, tmp_path, capsys):
    out, target = tmp_path / "out", made(tmp_path / "target")
    if kind == "file":
        out.write_text("kept")
    else:
        out.symlink_to(target)
    words = ["train", "echo", *WORDS, f"--out={out}", "--overwrite"]
    assert main(words) == 1
    assert "is not a folder" in capsys.readouterr().err
    assert out.is_symlink() or out.read_text() == "kept"


def test_there_must_be_something_to_resume(tmp_path, capsys):
    words = ["train", "echo", "--resume", f"--out={tmp_path / 'out'}"]
    assert main(words) == 1
    message = "out-unfinished: there is no training to go on with"
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_damaged_recipe_is_named(cut_off, capsys):
    path = cut_off.with_name("out-unfinished") / "training.json"
    saved = path.read_text()
    for content in (
        *("", "[]", "{}", '{"seed": 3}', '{"seed": 3, "sizes": 2}'),
        saved.replace(f'"{keras.backend.backend()}"', '"another"'),
    ):
        path.write_text(content)
        words = ["train", "echo", "--resume", f"--out={cut_off}"]
        assert main(words) == 1
        assert "training.json: expected" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("seed", "x", "`seed` must be an integer"),
        ("seed", -1, "`seed` must be an integer"),
        ("epochs", "3", "`epochs` must be a positive integer"),
        ("lstm", "no", "`lstm` must be True or False"),
        ("link_storage", 16, "`link_storage` must be a string"),
    ],
)
def test_a_damaged_setting_is_named_with_its_file(
    name, value, message, tmp_path
):
    runs.save_settings(tmp_path, Echo(), Echo.recipe, seed=3)
    path = tmp_path / "training.json"
    saved = json.loads(path.read_text())
    path.write_text(json.dumps({**saved, name: value}))
    with pytest.raises(ValueError, match=f"training.json: {message}"):
        runs.load_settings(tmp_path, "echo")


def test_an_option_that_came_later_is_as_things_were_before(tmp_path):
    task = GraphShortestPath(max_length=2, hints=False)
    runs.save_settings(tmp_path, task, task.recipe, seed=3)
    saved = json.loads((tmp_path / "task.json").read_text())
    del saved["hints"], saved["parallel_edges"]
    (tmp_path / "task.json").write_text(json.dumps(saved))
    loaded = runs.load_settings(tmp_path, "graph-shortest-path")
    assert loaded == (task, task.recipe, 3)


@pytest.mark.parametrize(
    ("name", "option"), [("task.json", "sequences"), ("training.json", "lstm")]
)
def test_options_are_neither_more_nor_less(name, option, tmp_path):
    runs.save_settings(tmp_path, Echo(), Echo.recipe, seed=3)
    saved = json.loads((tmp_path / name).read_text())
    (tmp_path / name).write_text(json.dumps({**saved, "colour": 1}))
    with pytest.raises(ValueError, match=rf"{name}: .*no \[\], and .*'colour'"):
        runs.load_settings(tmp_path, "echo")
    del saved[option]
    (tmp_path / name).write_text(json.dumps(saved))
    with pytest.raises(ValueError, match=rf"{name}: .*no \['{option}'\], and"):
        runs.load_settings(tmp_path, "echo")


def several(tmp_path, *more):
    words = ["train", "echo", *WORDS, f"--out={tmp_path / 'out'}"]
    return [*words, "--seeds", "0..1", "4", *more]


def test_several_seeds_are_trained_and_summed_up(tmp_path, capsys, monkeypatch):
    assert main(several(tmp_path, "--epochs=3")) == 0
    lines = capsys.readouterr().out.splitlines()[-7:]
    assert lines[:2] == [
        "figure | 0 | 1 | 4 | mean | deviation",
        "epochs | 3 | 3 | 3 | 3 | 0",
    ]
    rows = {name: cells for name, *cells in map(cells_of, lines[1:])}
    errors, folders = [], []
    for seed in (0, 1, 4):
        folder = tmp_path / f"out-seed-{seed}"
        task = runs.load_task(folder, "echo")
        figures = training.evaluate(runs.load_model(folder), task, seed)
        errors.append(figures["mean squared error"])
        _, _, saved = runs.load_settings(folder, "echo")
        assert saved == seed
        folders.append(folder)
    assert len(set(errors)) == 3
    expected = [*errors, np.mean(errors), np.std(errors, ddof=1)]
    np.testing.assert_allclose(
        [float(cell) for cell in rows["mean squared error"]],
        expected,
        rtol=1e-3,
    )
    # Without being told so it begins none again.
    assert main(several(tmp_path, "--epochs=3")) == 1
    assert "out-seed-0: exists already" in capsys.readouterr().err

    # What is done is only evaluated, what was cut off goes on, and what is
    # not there begins.
    folders[1].rename(tmp_path / "kept")
    folders[2].rename(tmp_path / "kept too")
    with monkeypatch.context() as patched:
        patched.setattr(
            "keras_dnc.commands.train.Progress", lambda folder: Stops(folder, 3)
        )
        with pytest.raises(Stopped):
            main(several(tmp_path, "--epochs=3", "--resume"))
    unfinished = tmp_path / "out-seed-1-unfinished"
    assert (unfinished / "epoch-1.npz").exists()
    seen, epochs = [], training._epochs
    monkeypatch.setattr(
        training,
        "_epochs",
        lambda task, seed, which: (
            seen.append((seed, which)) or epochs(task, seed, which)
        ),
    )
    assert main(several(tmp_path, "--epochs=3", "--resume")) == 0
    assert capsys.readouterr().out.splitlines()[-7:] == lines
    assert seen == [(1, range(1, 3)), (4, range(3))]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("--epochs=4", "out-seed-0: trained for 1 epochs.*epochs=4"),
        pytest.param(
            "--word-size=9",
            "training of word_size=3. Received: word_size=9",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_seeds_of_other_settings_are_not_summed_up(
    word, message, tmp_path, capsys
):
    assert main(several(tmp_path)) == 0
    assert main(several(tmp_path, "--resume", word)) == 1
    assert re.search(message, capsys.readouterr().err)


def test_a_new_seed_is_trained_as_those_that_are_done(tmp_path, capsys):
    words = ["train", "echo", *WORDS, f"--out={tmp_path / 'out'}", "--seeds"]
    assert main([*words, "1"]) == 0
    others = [word for word in words if not word.startswith("--word-size")]
    assert main([*others, "0..1", "--resume"]) == 1
    assert (
        "seed 1 must be trained as seed 0 is, with word_size=10. Received: "
        "word_size=3"
    ) in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["out-seed-1"]
    assert main([*words, "0..1", "--resume", "--overwrite"]) == 1
    assert "Received both" in capsys.readouterr().err


def test_a_seed_that_cannot_be_begun_is_named_before_any_is(tmp_path, capsys):
    (tmp_path / "out-seed-4-unfinished").mkdir()
    assert main(several(tmp_path)) == 1
    assert "out-seed-4-unfinished: a training" in capsys.readouterr().err
    assert len(list(tmp_path.iterdir())) == 1


def test_a_seed_that_comes_to_nan_leaves_the_others(
    tmp_path, capsys, monkeypatch
):
    def figures(function, options):
        if options.seed == 1:
            raise FloatingPointError("the loss is nan")
        return {"epochs": 1, "error": options.seed / 4}

    monkeypatch.setattr("keras_dnc.commands.train.in_own_process", figures)
    assert main(several(tmp_path)) == 1
    printed = capsys.readouterr()
    assert "seed 1: the loss is nan" in printed.out.splitlines()
    assert printed.out.splitlines()[-3:] == [
        "figure | 0 | 4 | mean | deviation",
        "epochs | 1 | 1 | 1 | 0",
        "error | 0 | 1 | 0.5 | 0.7071",
    ]
    assert "from seed 1; the summary is without" in printed.err

    # None is left to sum up.
    assert main([*several(tmp_path)[:-3], "--seeds", "1"]) == 1
    printed = capsys.readouterr()
    assert printed.out.splitlines() == ["seed 1: the loss is nan"]
    assert "from seed 1" in printed.err


def cells_of(line):
    return line.split(" | ")


def test_one_seed_and_several_exclude_each_other(tmp_path, capsys):
    words = ["train", "echo", f"--out={tmp_path / 'out'}", "--seed=3"]
    assert main([*words, "--seeds", "1", "2"]) == 1
    assert "exclude each other" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "seeds", ["a", "1..", "..2", "-1", "3..1", "1...3", "0..4294967296"]
)
def test_seeds_that_are_none_are_refused(seeds, capsys):
    with pytest.raises(SystemExit):
        main(["train", "echo", "--seeds", seeds])
    assert "argument --seeds: expected" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [["train", "echo"], ["evaluate", "echo", "folder"], ["trace", "folder"]],
)
@pytest.mark.parametrize("seed", ["-1", "a", "4294967296"])
def test_a_seed_that_is_none_is_refused(words, seed, capsys):
    with pytest.raises(SystemExit):
        main([*words, f"--seed={seed}"])
    assert "argument --seed: expected a number" in capsys.readouterr().err


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_of_a_file_that_is_none_is_refused(seed, tmp_path, capsys):
    path = tmp_path / "settings.yaml"
    path.write_text(f"seed: {seed}\n")
    out = tmp_path / "out"
    assert main(["train", "echo", f"--settings={path}", f"--out={out}"]) == 1
    assert (
        f"settings.yaml: expected a seed from 0 to 4294967295. Received: {seed}"
        in capsys.readouterr().err
    )


def test_a_model_that_cannot_be_evaluated_is_kept(
    tmp_path, monkeypatch, capsys
):
    def evaluate(model, task, seed):
        if seed == 1:
            raise FloatingPointError("NaN in the answers")
        return {"wrong": 0}

    monkeypatch.setattr(training, "evaluate", evaluate)
    words = ["train", "echo", *WORDS, f"--out={tmp_path / 'out'}"]
    assert main([*words, "--seeds", "1", "2"]) == 1
    error = capsys.readouterr()
    assert "seed 1: NaN in the answers" in error.out
    assert "from seed 1; the summary is without" in error.err
    for seed in (1, 2):
        assert (tmp_path / f"out-seed-{seed}" / runs.MODEL_FILE).exists()
    assert len(list(tmp_path.iterdir())) == 2


def test_a_file_named_as_an_unfinished_training_is_kept(tmp_path, capsys):
    file = tmp_path / "out-unfinished"
    file.write_text("mine")
    words = ["train", "echo", *WORDS, f"--out={tmp_path / 'out'}"]
    assert main([*words, "--overwrite"]) == 1
    assert "is not a folder" in capsys.readouterr().err
    assert file.read_text() == "mine"


def test_a_seed_of_a_file_and_several_exclude_each_other(tmp_path, capsys):
    path = tmp_path / "settings.yaml"
    path.write_text("seed: 3\n")
    words = [f"--settings={path}", f"--out={tmp_path / 'out'}"]
    assert main(["train", "echo", *words, "--seeds", "1", "2"]) == 1
    message = "settings.yaml: expected no seed, since --seeds has others"
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("more", [[], ["--overwrite"]])
def test_a_folder_of_a_training_is_there_with_its_settings_or_not_at_all(
    more, tmp_path, monkeypatch, capsys
):
    words = ["train", "echo", *WORDS, f"--out={tmp_path / 'out'}", *more]
    unfinished = tmp_path / "out-unfinished"
    if more:
        runs.save_settings(made(unfinished), TASK, RECIPE, 5)
    before = sorted(tmp_path.rglob("*"))

    def end(folder, *settings):
        (folder / runs.TASK_FILE).write_text("{")
        raise Stopped

    monkeypatch.setattr(runs, "save_settings", end)
    with pytest.raises(Stopped):
        main(words)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("more", [[], ["--overwrite"], ["--resume"]])
def test_two_processes_do_not_train_in_one_folder(more, tmp_path, capsys):
    words = ["train", "echo", *WORDS, f"--out={tmp_path / 'out'}"]
    unfinished = made(tmp_path / "out-unfinished")
    runs.save_settings(unfinished, TASK, RECIPE, 5)
    before = sorted(unfinished.iterdir())
    given = [] if "--resume" in more else words[2:-1]
    with output.held(unfinished):
        assert main([*words[:2], *given, words[-1], *more]) == 1
        assert "another process trains there" in capsys.readouterr().err
        assert sorted(unfinished.iterdir()) == before
    assert main([*words, "--overwrite"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def echo_words(folder):
    """Words for a training that draws random numbers in its steps."""
    return ["echo", *WORDS, "--sequences=200", "--bypass-dropout=0.3"]


def babi_words(folder):
    """Words for a training that draws new names, with three lessons."""
    language = made(made(folder / "babi") / "en")
    story = "1 Mary went home.\n2 John left.\n" + "".join(
        f"{line} Where is Mary?\thome\t1\n" for line in range(3, 7)
    )
    for part in ("train", "test"):
        (language / f"qa1_where_{part}.txt").write_text(story * 100)
    sizes = [word for word in WORDS if re.match("--(con|mem|wor|bat|no)", word)]
    data = [f"--data={folder / 'babi'}", "--language=en"]
    return ["babi", *data, *sizes, "--curriculum=0.01", "--target=0"]


@pytest.mark.slow
@pytest.mark.parametrize("words", [echo_words, babi_words])
def test_a_dnc_that_is_killed_goes_on(words, tmp_path):
    """While its state is written, then in the middle of an epoch, then so."""
    command = [sys.executable, "-m", "keras_dnc", "train", *words(tmp_path)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    settings = ["--epochs=5", "--seed=3"]
    subprocess.run(
        [*command, *settings, f"--out={whole}"], env=environment, check=True
    )
    log = tmp_path / "cut-unfinished" / "log.csv"
    command.append(f"--out={cut}")
    # An epoch takes some tenths of a second.
    for rows, wait, more in (
        (2, 0, settings),
        (4, 0.1, ["--resume"]),
        (5, 0, ["--resume"]),
    ):
        process = subprocess.Popen([*command, *more], env=environment)
        while process.poll() is None:
            if log.exists() and len(log.read_text().splitlines()) >= rows:
                time.sleep(wait)
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.001)
        assert process.wait() == -signal.SIGKILL
    subprocess.run([*command, "--resume"], env=environment, check=True)
    assert_same_weights(runs.load_model(cut), runs.load_model(whole))
    assert logged(cut) == logged(whole)
    if words is babi_words:
        header, *epochs = logged(whole)
        lessons = [row[header.index("max_questions")] for row in epochs]
        assert lessons == ["1", "2", "0", "0", "0"]
