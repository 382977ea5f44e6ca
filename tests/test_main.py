"""The command line, run as its user runs it."""

import argparse
import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import keras
import mnist_files
import numpy as np
import pytest
import tensorflow as tf

import keras_dnc
from keras_dnc import runs, training
from keras_dnc.__main__ import main
from keras_dnc.commands import arguments
from keras_dnc.tasks import Argmax, Echo, GraphTraversal

SMALL = [
    "--sequences=8",
    "--test-sequences=5",
    "--controller=4",
    "--memory-size=3",
    "--word-size=2",
    "--batch-size=8",
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a small model trained on echo."""
    out = tmp_path_factory.mktemp("trained") / "echo"
    assert main(["train", "echo", *SMALL, f"--out={out}", "--seed=3"]) == 0
    return out


@pytest.mark.parametrize(
    "words, expected",
    [
        (["--help"], ["train", "evaluate"]),
        (["train", "--help"], ["echo", "copy", "babi"]),
        (
            ["train", "copy", "--help"],
            ["--max-length", "--bits", "--overwrite"],
        ),
        (["train", "babi", "--help"], ["--data", "--task", "--language"]),
        (["evaluate", "--help"], ["echo", "copy", "babi"]),
        (["evaluate", "copy", "--help"], ["model.keras", "--max-length"]),
    ],
)
def test_each_level_has_help(words, expected, capsys):
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 0
    text = capsys.readouterr().out
    for word in expected:
        assert word in text


@pytest.mark.parametrize(
    "task, word",
    [
        ("copy", "--sequences=3"),
        ("babi", "--embedding=4"),
        ("babi", "--max-questions=1"),
        ("babi", "--no-renamed"),
    ],
)
def test_evaluation_takes_no_option_of_training_alone(task, word, capsys):
    with pytest.raises(SystemExit):
        main(["evaluate", task, "folder", word])
    assert f"unrecognized arguments: {word}" in capsys.readouterr().err


@pytest.mark.parametrize(
    "word, message",
    [
        ("--digits=12", "argmax with other input_labels: .*11.* of one alone"),
        ("--places=40", "argmax with other output_labels: .* of one alone"),
    ],
)
def test_evaluation_of_what_was_not_learned_is_refused(
    word, message, tmp_path, capsys
):
    runs.save_settings(tmp_path, Argmax(), Argmax.recipe, 0)
    assert main(["evaluate", "argmax", str(tmp_path), word]) == 1
    assert re.search(message, capsys.readouterr().err)


@pytest.mark.slow
def test_training_saves_model_task_and_picture(trained):
    assert {path.name for path in trained.iterdir()} == {
        "log.csv",
        "memory.html",
        "memory.png",
        "model.keras",
        "task.json",
        "training.json",
    }
    assert (trained / "memory.png").read_bytes().startswith(b"\x89PNG")
    cell = (
        keras.saving.load_model(trained / "model.keras").get_layer("dnc").cell
    )
    assert (cell.memory_size, cell.word_size) == (3, 2)
    assert cell.controller.units == 4
    assert json.loads((trained / "task.json").read_text()) == {
        "name": "echo",
        "min_length": 3,
        "max_length": 5,
        "sequences": 8,
        "test_sequences": 5,
    }
    # Nothing unfinished is left beside it.
    assert [path.name for path in trained.parent.iterdir()] == ["echo"]


@pytest.mark.slow
def test_evaluating_prints_the_figures_of_the_saved_model(trained, capsys):
    assert main(["evaluate", "echo", str(trained), "--seed=3"]) == 0
    printed = capsys.readouterr().out
    model = keras.saving.load_model(trained / "model.keras")
    batch = Echo().sample(5, np.random.default_rng([3, 1]))
    answers = model.predict(batch.inputs, verbose=0).argmax(-1)
    wrong = (answers != batch.targets.argmax(-1))[batch.weights > 0].sum()
    rows = dict(line.rsplit(maxsplit=1) for line in printed.splitlines())
    assert int(rows["wrong symbols"]) == wrong
    assert int(rows["sequences"]) == 5


@pytest.mark.slow
def test_evaluating_shows_sequences_if_asked(trained, capsys):
    assert main(["evaluate", "echo", str(trained), "--show=2"]) == 0
    printed = capsys.readouterr().out.split("\n\n")
    assert len(printed) == 3
    batch = training.test_batch(Echo(sequences=8, test_sequences=5), 0)
    model = keras.saving.load_model(trained / "model.keras")
    outputs = model.predict(batch.inputs, verbose=0)
    for example in (0, 1):
        shown = Echo().text(outputs, batch, example)
        assert printed[example] == shown
        symbols = batch.inputs[example].argmax(-1)
        assert shown.splitlines()[1].split() == ["0", str(symbols[0])]
    assert printed[2].startswith("sequences")


@pytest.mark.slow
def test_evaluating_takes_other_lengths_than_training(trained, capsys):
    words = ["--min-length=9", "--max-length=9", "--test-sequences=2"]
    assert main(["evaluate", "echo", str(trained), *words]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert ["symbols", "18"] in [row.split() for row in rows]


@pytest.mark.slow
def test_a_trace_is_of_the_first_test_sequences(trained, tmp_path):
    out = tmp_path / "trace"
    words = ["trace", str(trained), "--seed=3", "--examples=3"]
    assert main([*words, f"--out={out}"]) == 0
    assert {path.name for path in out.iterdir()} == {
        "memory.html",
        "memory.png",
        "trace.npz",
    }
    saved = keras_dnc.Trace.load(out / "trace.npz")
    batch = Echo().sample(5, np.random.default_rng([3, 1]))
    model = keras.saving.load_model(trained / "model.keras")
    outputs = model.predict(batch.inputs[:3], verbose=0)
    time = saved.inputs.shape[1]
    assert time == batch.weights[:3].any(0).nonzero()[0][-1] + 1
    np.testing.assert_array_equal(saved.inputs, batch.inputs[:3, :time])
    np.testing.assert_allclose(saved.outputs, outputs[:, :time], atol=1e-5)
    assert main([*words, f"--out={out}"]) == 1
    settings = tmp_path / "settings.yaml"
    settings.write_text("min_length: 7\nmax_length: 7\n")
    words += [f"--settings={settings}", f"--out={out}", "--overwrite"]
    assert main(words) == 0
    longer = keras_dnc.Trace.load(out / "trace.npz")
    assert longer.inputs.shape == (3, 14, 5)


@pytest.mark.slow
def test_a_model_without_its_folder_is_asked_what_is_said(
    trained, tmp_path, capsys
):
    model = str(trained / "model.keras")
    assert main(["trace", model, f"--out={tmp_path / 'none'}"]) == 1
    assert "--task must name" in capsys.readouterr().err
    words = ["trace", model, "--task=echo", f"--out={tmp_path / 'file'}"]
    assert main(words) == 0
    saved = keras_dnc.Trace.load(tmp_path / "file" / "trace.npz")
    expected = training.test_batch(Echo(), 0).inputs[:4]
    np.testing.assert_array_equal(
        saved.inputs, expected[:, : saved.inputs.shape[1]]
    )


@pytest.mark.slow
def test_a_model_of_ones_own_is_evaluated(trained, capsys):
    model = str(trained / "model.keras")
    words = ["--test-sequences=5", "--min-length=3", "--max-length=5"]
    assert main(["evaluate", "echo", model, *words]) == 0
    of_file = capsys.readouterr().out
    assert main(["evaluate", "echo", str(trained), *words]) == 0
    assert capsys.readouterr().out == of_file
    assert main(["evaluate", "echo", model, "--memory-size=7"]) == 1
    assert f"{model}: expected the folder of" in capsys.readouterr().err


def test_a_model_of_other_outputs_is_refused(tmp_path, capsys):
    file = tmp_path / "model.keras"
    inputs = keras.Input((None, 10))
    keras.Model(inputs, keras.layers.Dense(1)(inputs)).save(file)
    assert main(["evaluate", "copy", str(file), "--test-sequences=5"]) == 1
    message = "must answer copy with outputs of shape (B, T, Y)=(5, 22, 8)"
    assert message in capsys.readouterr().err


def test_a_model_that_answers_no_numbers_is_refused(tmp_path, capsys):
    file = tmp_path / "model.keras"
    inputs = keras.Input((None, 10))
    model = keras.Model(inputs, keras.layers.Dense(8)(inputs))
    model.layers[-1].bias.assign(np.full(8, np.nan))
    model.save(file)
    assert main(["evaluate", "copy", str(file), "--test-sequences=5"]) == 1
    message = "must answer copy with numbers. Received: NaN in 5 of 5 sequences"
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "name, is_path", [("mine.csv", True), ("family", False), ("", False)]
)
def test_a_path_is_absolute_and_what_the_package_has_a_name(name, is_path):
    given = argparse.Namespace(graph=name, max_length=2)
    expected = str(Path.cwd() / name) if is_path else name
    assert arguments.given(given, GraphTraversal) == {
        "graph": expected,
        "max_length": 2,
    }


@pytest.mark.parametrize(
    "word",
    ["--deallocation", "--sparse-links=2", "--link-storage=float16"],
)
def test_what_an_lstm_has_not_is_refused(word, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["train", "echo", "--lstm", word, f"--out={out}"]) == 1
    name = word[2:].partition("=")[0].replace("-", "_")
    assert f"`{name}` must not be given for an LSTM" in capsys.readouterr().err
    assert not out.exists()


def test_a_model_of_ones_own_needs_the_name_of_its_task(tmp_path):
    file = tmp_path / "mine.keras"
    keras.Sequential([keras.Input((3,))]).save(file)
    with pytest.raises(ValueError, match="`name` must be one of echo.*None"):
        runs.load(file)


def test_more_sequences_than_memory_holds_are_an_error(tmp_path, capsys):
    words = ["train", "echo", f"--out={tmp_path / 'out'}"]
    # Of 10 ** 15 steps.
    assert main([*words, "--min-length=1", f"--max-length={10**15}"]) == 1
    assert "keras_dnc: Unable to allocate" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words, message",
    [
        (["nowhere", "--task=echo"], "nowhere: expected a file"),
        (["FOLDER"], "task.json: expected a file"),
        (["nowhere"], "nowhere: expected a file"),
        (["UNKNOWN", "--task=echo"], "model.keras: expected a model"),
    ],
)
def test_what_cannot_be_traced_is_named(words, message, tmp_path, capsys):
    class Unknown(keras.layers.Layer):
        pass

    (tmp_path / "models").mkdir()
    unknown = tmp_path / "models" / "model.keras"
    keras.Sequential([keras.Input((3,)), Unknown()]).save(unknown)
    given = {"FOLDER": str(tmp_path), "UNKNOWN": str(unknown)}
    words = [given.get(word, word) for word in words]
    out = tmp_path / "out"
    assert main(["trace", *words, f"--out={out}"]) == 1
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["models"]


@pytest.mark.slow
def test_a_memory_of_other_size_has_the_weights_of_training(
    tmp_path, untrained, capsys
):
    out = tmp_path / "out"
    words = ["train", "echo", *SMALL, f"--out={out}", "--no-picture"]
    assert main(words) == 0
    capsys.readouterr()
    assert main(["evaluate", "echo", str(out), "--memory-size=7"]) == 0
    rows = dict(
        line.rsplit(maxsplit=1) for line in capsys.readouterr().out.splitlines()
    )
    layer = runs.load_model(out).get_layer("dnc")
    other = keras_dnc.DNC.from_config({**layer.get_config(), "memory_size": 7})
    batch = Echo().sample(5, np.random.default_rng([0, 1]))
    other.build(batch.inputs.shape)
    other.set_weights(layer.get_weights())
    outputs = keras.ops.convert_to_numpy(other(batch.inputs))
    counts = batch.weights > 0
    errors = np.square(outputs - batch.targets)[counts].mean(-1)
    figure = float(rows["mean squared error"])
    assert figure == pytest.approx(errors.mean(), rel=1e-3)

    task, recipe, seed = runs.load_settings(out, "echo")
    larger = dataclasses.replace(recipe, memory_size=7, weights=str(out))
    training.check(task, larger, seed)

    words[words.index(f"--out={out}")] = f"--out={tmp_path / 'lstm'}"
    assert main([*words, "--lstm"]) == 0
    words = ["evaluate", "echo", str(tmp_path / "lstm"), "--memory-size=7"]
    assert main(words) == 1
    assert "Received an LSTM, and memory_size=7" in capsys.readouterr().err
    words[-1] = "--strength-factor=2"
    assert main(words) == 1
    assert "Received an LSTM, and strength_factor=2" in capsys.readouterr().err


@pytest.mark.parametrize("layer_norm", [False, True])
def test_a_model_looks_more_sharply_and_does_all_else_as_it_did(layer_norm):
    task = Echo()
    recipe = dataclasses.replace(
        task.recipe, num_reads=3, masked_keys=True, layer_norm=layer_norm
    )
    model = training.build_model(task, recipe)
    rng = np.random.default_rng(0)
    model.set_weights(
        [rng.normal(size=weight.shape) for weight in model.get_weights()]
    )
    sharpened = training.sharpened(model, task, recipe, 1.5)
    hidden = rng.normal(size=(4, recipe.controller)).astype("float32")
    before, after = (
        which.get_layer("dnc").cell.interface(hidden)
        for which in (model, sharpened)
    )
    for name, part in before._asdict().items():
        expected = np.asarray(part)
        if name.endswith("_strengths"):
            linear = np.log(np.expm1(expected.astype("float64") - 1))
            expected = 1 + np.log1p(np.exp(1.5 * linear))
        np.testing.assert_allclose(
            np.asarray(after._asdict()[name]), expected, rtol=1e-3
        )
    ours, others = (
        which.get_layer("dnc").cell.interface.weights
        for which in (model, sharpened)
    )
    kept = {id(weight) for weight in (*ours, *others)}
    for a, b in zip(model.weights, sharpened.weights, strict=True):
        if id(a) not in kept:
            np.testing.assert_array_equal(a.numpy(), b.numpy())


@pytest.mark.slow
def test_a_strength_factor_changes_figures_and_must_be_positive(
    tmp_path, untrained, capsys
):
    out = str(tmp_path / "out")
    words = ["train", "echo", *SMALL, f"--out={out}", "--no-picture"]
    assert main(words) == 0
    printed = []
    for factor in ([], ["--strength-factor=1"], ["--strength-factor=30"]):
        capsys.readouterr()
        assert main(["evaluate", "echo", out, *factor]) == 0
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1] != printed[2]
    for factor in ("0", "-1", "nan"):
        words = ["evaluate", "echo", out, f"--strength-factor={factor}"]
        assert main(words) == 1
        message = capsys.readouterr().err
        assert "`strength_factor` must be a positive number" in message


@pytest.mark.slow
def test_the_same_seed_trains_the_same_weights(trained):
    task = Echo(sequences=8, test_sequences=5)
    recipe = dataclasses.replace(
        task.recipe, controller=4, memory_size=3, word_size=2, batch_size=8
    )
    model = training.train(task, recipe, seed=3, verbose=0)
    saved = keras.saving.load_model(trained / "model.keras")
    for a, b in zip(model.get_weights(), saved.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_an_existing_folder_is_kept_unless_told_otherwise(trained, capsys):
    before = (trained / "model.keras").read_bytes()
    assert main(["train", "echo", *SMALL, f"--out={trained}"]) == 1
    assert "exists already" in capsys.readouterr().err
    assert (trained / "model.keras").read_bytes() == before


def test_overwrite_replaces_the_folder(tmp_path, untrained):
    out = tmp_path / "out"
    out.mkdir()
    (out / "old").write_text("old")
    words = ["train", "echo", *SMALL, f"--out={out}", "--overwrite"]
    assert main([*words, "--no-picture"]) == 0
    assert {path.name for path in out.iterdir()} == {
        "model.keras",
        "task.json",
        "training.json",
    }
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_words_come_before_settings_of_a_file(tmp_path, untrained):
    settings = tmp_path / "settings.yaml"
    settings.write_text("controller: 7\nmax_length: 4\nseed: 5\nepochs: 3\n")
    out = tmp_path / "out"
    words = ["train", "echo", *SMALL, f"--settings={settings}"]
    assert main([*words, f"--out={out}", "--no-picture", "--epochs=2"]) == 0
    task, recipe, seed = runs.load_settings(out, "echo")
    assert (task.max_length, recipe.controller) == (4, 4)
    assert (recipe.epochs, seed) == (2, 5)
    words += ["--seed=6", "--no-picture", f"--out={tmp_path / 'other'}"]
    assert main(words) == 0
    assert runs.load_settings(tmp_path / "other", "echo")[2] == 6
    settings.write_text("sequences: 0\n")
    words = ["train", "echo", f"--settings={settings}", "--no-picture"]
    assert main([*words, f"--out={tmp_path / 'none'}"]) == 1
    assert not (tmp_path / "none").exists()


def test_a_name_is_needed_for_what_is_saved(capsys):
    for words in (["train", "echo"], ["trace", "somewhere"]):
        with pytest.raises(SystemExit):
            main([*words, "--out=."])
        assert "expected the name of a folder" in capsys.readouterr().err


def test_an_lstm_needs_no_matplotlib(tmp_path, untrained, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    words = ["train", "echo", *SMALL, "--lstm", f"--out={tmp_path / 'out'}"]
    assert main(words) == 0


def test_given_sequences_have_no_curriculum(tmp_path, capsys):
    """And what was begun before is kept."""
    mnist_files.write(tmp_path)
    begun = tmp_path / "out-unfinished"
    begun.mkdir()
    (begun / "epoch-1.npz").write_bytes(b"")
    words = ["train", "digits", f"--data={tmp_path}", "--curriculum=0.5"]
    words += [f"--out={tmp_path / 'out'}", "--no-picture", "--overwrite"]
    assert main(words) == 1
    assert "`curriculum` must be 0" in capsys.readouterr().err
    assert (begun / "epoch-1.npz").exists()


def test_an_lstm_is_trained_without_a_picture(tmp_path, untrained):
    out = tmp_path / "out"
    assert main(["train", "echo", *SMALL, "--lstm", f"--out={out}"]) == 0
    assert not (out / "memory.png").exists()
    kinds = {type(x) for x in runs.load_model(out)._flatten_layers()}
    assert keras.layers.LSTM in kinds and keras_dnc.DNC not in kinds


def test_what_is_logged_for_tensorboard_is_in_the_folder(tmp_path):
    pytest.importorskip("tensorboard")
    out = tmp_path / "out"
    words = ["train", "echo", *SMALL, "--lstm", "--no-picture", "--epochs=2"]
    assert main([*words, "--tensorboard", f"--out={out}"]) == 0
    (file,) = (out / "tensorboard" / "train").iterdir()
    tags = {
        value.tag: event.step
        for event in tf.compat.v1.train.summary_iterator(str(file))
        for value in event.summary.value
    }
    assert tags["epoch_right_symbols"] == 1
    assert tags["epoch_loss"] == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "words, message",
    [
        (["train", "echo", "--sequences=0"], "`sequences` must be a positive"),
        (["train", "echo", "--memory-size=0"], "`memory_size` must be"),
        (["train", "echo", "--batch-size=0"], "`batch_size` must be"),
        (["train", "echo", "--learning-rate=-1"], "`learning_rate` must be"),
        (["train", "echo", "--sparse-links=11"], "sparse_links=11"),
        (["train", "echo", "--bypass-dropout=1.5"], "bypass_dropout.*1.5"),
        (["train", "echo", "--lstm", "--bypass-dropout=0.1"], "must not be g"),
        (
            [
                *("train", "graph-shortest-path"),
                *("--min-length=30", "--max-length=40"),
            ],
            "lengths that questions",
        ),
        (["train", "babi"], "`data` must be the path"),
        (["train", "babi", "--data=nowhere"], "nowhere: expected the bAbI"),
        (["evaluate", "echo", "nowhere"], "nowhere.*expected a file"),
        (["evaluate", "copy", "TRAINED"], "trained on copy. Received .* echo"),
        (["evaluate", "echo", "TRAINED", "--max-length=1"], "`min_length`"),
        (["bayesian-echo", "--min-length=4", "--longest=3"], "`longest` must"),
        (["bench", "--json=nowhere/figures.json"], "nowhere.*a folder that"),
    ],
)
def test_bad_words_get_a_clear_error(trained, words, message, tmp_path, capsys):
    words = [str(trained) if word == "TRAINED" else word for word in words]
    if words[0] == "train":
        words.append(f"--out={tmp_path / 'out'}")
    assert main(words) == 1
    printed = capsys.readouterr().err
    assert printed.startswith("keras_dnc: ")
    assert re.search(message, printed)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"name": "echo", "sequences": 8',
        '{"name": 1}',
        '{"name": ["echo"]}',
    ],
)
@pytest.mark.parametrize("command", [["evaluate", "echo"], ["trace"]])
def test_a_damaged_task_file_is_named(
    trained, command, content, tmp_path, capsys
):
    for name in ("model.keras", "task.json"):
        (tmp_path / name).write_bytes((trained / name).read_bytes())
    (tmp_path / "task.json").write_text(content)
    assert main([*command, str(tmp_path)]) == 1
    assert "task.json: expected" in capsys.readouterr().err


@pytest.mark.slow
def test_a_damaged_model_file_is_named(trained, tmp_path, capsys):
    for name in ("model.keras", "task.json"):
        (tmp_path / name).write_bytes((trained / name).read_bytes()[:500])
    (tmp_path / "task.json").write_bytes((trained / "task.json").read_bytes())
    assert main(["evaluate", "echo", str(tmp_path)]) == 1
    assert "model.keras" in capsys.readouterr().err


def test_a_picture_without_matplotlib_is_refused_before_training(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main(["train", "echo", f"--out={tmp_path / 'out'}"]) == 1
    assert re.search("needs matplotlib.*--no-picture", capsys.readouterr().err)
    assert main(["trace", "nowhere", f"--out={tmp_path / 'out'}"]) == 1
    assert "--no-picture" not in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_module_runs_as_a_command(tmp_path):
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, "-m", "keras_dnc", "evaluate", "echo", "nowhere"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "nowhere" in done.stderr
    assert "Traceback" not in done.stderr


def test_extensions_of_the_recipe_reach_the_network():
    task = Echo()
    recipe = dataclasses.replace(
        task.recipe,
        masked_keys=True,
        deallocation=True,
        sharpness=True,
        layer_norm=True,
        sparse_links=3,
        link_storage="float16",
        bypass_dropout=0.25,
    )
    config = training.build_model(task, recipe).get_layer("dnc").get_config()
    expected = dataclasses.asdict(recipe)
    for name in (
        *("masked_keys", "deallocation", "sharpness", "layer_norm"),
        *("content_only", "sparse_links", "link_storage", "bypass_dropout"),
    ):
        assert config[name] == expected[name], name
    plain = training.build_model(task, task.recipe).get_layer("dnc")
    assert plain.get_config()["sparse_links"] is None
    assert plain.get_config()["link_storage"] is None


@pytest.mark.parametrize(
    "option", ["--sharpness", "--sparse-links=2", "--link-storage=float16"]
)
def test_what_reading_by_content_alone_has_not_is_refused(
    option, tmp_path, capsys
):
    words = ["train", "graph-shortest-path", f"--out={tmp_path / 'out'}"]
    assert main([*words, option]) == 1
    name = option[2:].partition("=")[0].replace("-", "_")
    assert (
        f"`{name}` must not be given with content_only"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    "words, message",
    [
        (
            ["graph-shortest-path", "--min-length=3"],
            "max_length=3, max_nodes=4",
        ),
        (
            ["family-inference", "--min-people=3", "--min-length=2"],
            "max_length=2, max_people=3",
        ),
    ],
)
def test_a_lesson_without_sequences_is_named(words, message, tmp_path, capsys):
    assert main(["train", *words, f"--out={tmp_path / 'out'}"]) == 1
    error = capsys.readouterr().err
    assert "`curriculum` must be 0 for a task of whose first lesson" in error
    assert message in error
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["sparse_links", "bypass_dropout"])
def test_a_negative_setting_of_an_extension_is_refused(name):
    with pytest.raises(ValueError, match=f"`{name}` must be .* at least 0"):
        dataclasses.replace(Echo().recipe, **{name: -1})
