"""The benchmark measures what it says; its figures are not tested."""

import json
import sys

import keras
import numpy as np
import pytest

from keras_dnc import benchmark
from keras_dnc.__main__ import main
from keras_dnc.benchmark import measuring, parts, report, subjects
from keras_dnc.benchmark.compiling import compiled, with_gradients
from keras_dnc.benchmark.sizes import SIZES, Size
from keras_dnc.benchmark.subjects import PEER, Subject
from keras_dnc.processes import in_own_process

TINY = Size(2, 3, 4, 5, 6, 2, 7)
MEGABYTE = 10**6


@pytest.fixture
def clock(monkeypatch):
    """Replaces the measurements: XLA 20 ms, graph 50 ms, peer 100 ms.

    And 20, 50 and 100 MB; a byte is copied in a nanosecond.
    """

    def measured(function, *arguments, environment):
        if function is measuring.copy_bandwidth:
            return 1e9
        if function is parts.profile:
            return {"link": 0.002, "loop": 0.001, "step": 0.003}
        subject, _, repeats = arguments
        assert repeats == 5
        seconds = {"graph": 0.05, "XLA": 0.02, PEER: 0.1}[subject.compiler]
        return measuring.Measurement(
            [seconds * factor for factor in (0.5, 1, 1, 1, 3)],
            10 * seconds,
            int(1000 * seconds) * MEGABYTE,
        )

    monkeypatch.setattr(report, "in_own_process", measured)
    # The peer counts as installed.
    monkeypatch.setattr(subjects.importlib.util, "find_spec", lambda _: True)


def run(capsys, *words):
    assert main(["bench", "--repeats", "5", *words]) == 0
    _, *lines = capsys.readouterr().out.splitlines()
    return [[cell.strip() for cell in line.split("|")] for line in lines]


def test_the_table_has_medians_spread_memory_and_ratios(clock, capsys):
    table = run(capsys, "--sizes", "small", "--measures", "training", "--peer")
    assert len({len(row) for row in table}) == 1
    # 5 passes over 16 · 32 · 16 · (16 + 16) numbers of 4 bytes: 5.24 ms.
    rows = """
        pytorch-dnc | 100 [50, 300] | 1.0 | 100 | 19.1 | 1.00 | 1.00
        graph | 50 [25, 150] | 0.5 | 50 | 9.5 | 0.50 | 0.50
        XLA | 20 [10, 60] | 0.2 | 20 | 3.8 | 0.20 | 0.20
    """
    assert [row[:2] for row in table[1:]] == 3 * [["small", "training"]]
    assert [" | ".join(row[2:9]) for row in table[1:]] == [
        row.strip() for row in rows.strip().splitlines()
    ]


def test_without_the_peer_there_are_no_ratios_to_it(clock, capsys):
    _, *rows = run(capsys, "--sizes", "small", "--compilers", "XLA")
    assert [row[1] for row in rows] == ["training", "inference"]
    assert all(row[7:] == ["", "", "", ""] for row in rows)


def test_the_peer_has_no_single_step(clock, capsys):
    _, *rows = run(capsys, "--sizes", "medium", "--measures", "step", "--peer")
    assert [row[2] for row in rows] == ["graph", "XLA"]
    # 2 passes over 128 · (128 + 32) numbers of 4 bytes: 0.164 ms.
    assert rows[1][6] == "122.1"


def test_all_figures_are_written_as_json(clock, capsys, tmp_path):
    file = tmp_path / "figures.json"
    words = ["--sizes", "small", "large", "--peer", "--profile"]
    run(capsys, *words, "--json", str(file))
    figures = json.loads(file.read_text())
    assert figures["copied_bytes_per_second"] == 1e9
    assert figures["versions"]["keras"] == keras.__version__
    assert len(figures["measurements"]) == 2 * 2 * 3
    of_xla = figures["measurements"][2]
    assert of_xla["seconds"] == [0.01, 0.02, 0.02, 0.02, 0.06]
    assert of_xla["ratio_to_peer"] == pytest.approx(0.2)
    assert figures["profiles"][0] == {
        "size": "small",
        "subject": "graph",
        "seconds": {"link": 0.002, "loop": 0.001, "step": 0.003},
    }


def test_the_profile_is_a_table_of_parts(clock, capsys):
    words = ["--sizes", "small", "--compilers", "XLA", "--profile"]
    *_, head, row = run(capsys, *words)
    assert head == ["size", "subject", "link", "loop", "step"]
    assert row == ["small", "XLA", "2", "1", "3"]


def test_other_arguments_of_the_layer_are_measured_beside_it(clock, capsys):
    report.run(
        ["small"], ["training"], 5, compilers=["XLA"],
        arguments={"num_writes": 2},
    )  # fmt: skip
    rows = capsys.readouterr().out.splitlines()[2:]
    names = [row.split("|")[2].strip() for row in rows]
    assert names == ["XLA", "XLA, num_writes=2"]


def test_extensions_are_measured_in_ratio_to_a_plain_layer(monkeypatch, capsys):
    def measured(function, *arguments, environment):
        if function is measuring.copy_bandwidth:
            return 1e9
        subject, _, _ = arguments
        seconds = {"graph": 0.05, "XLA": 0.02}[subject.compiler]
        if dict(subject.arguments) == {"sharpness": True}:
            seconds *= 3
        if dict(subject.arguments) == {"sparse_links": 8}:
            seconds /= 4
        return measuring.Measurement(
            [seconds] * 5, seconds, int(2000 * seconds) * MEGABYTE
        )

    monkeypatch.setattr(report, "in_own_process", measured)
    _, *rows = run(
        capsys,
        *("--sizes", "small", "--measures", "training"),
        *("--extensions", "sharpness", "sparse_links"),
    )
    shown = {row[2]: row[9:] for row in rows}
    assert shown == {
        "graph": ["", ""],
        "XLA": ["", ""],
        "graph, sharpness=True": ["3.00", "3.00"],
        "XLA, sharpness=True": ["3.00", "3.00"],
        "graph, sparse_links=8": ["0.25", "0.25"],
        "XLA, sparse_links=8": ["0.25", "0.25"],
    }


@pytest.mark.parametrize("name", subjects.EXTENSIONS)
def test_each_extension_reaches_the_layer(name):
    given = subjects.EXTENSIONS[name]
    subject = Subject("training", "graph", tuple(given.items()))
    cell = subjects._layer(subject, TINY._replace(memory_size=9)).cell
    config = cell.get_config()
    assert {key: config[key] for key in given} == given
    arguments = {*cell.extensions._fields, "bypass_dropout", "learned_memory"}
    assert {*subjects.EXTENSIONS, "mask_minimum"} == arguments | {"all"}


def test_options_of_the_command_reach_the_measurement(clock, capsys, tmp_path):
    file = tmp_path / "figures.json"
    words = ["--sizes", "long", "--compilers", "XLA", "--checkpoint-every=16"]
    _, *rows = run(
        capsys, *words, "--environment", "A=b=c", "D=", "--json", str(file)
    )
    assert rows[1][2] == "XLA, checkpoint_every=16"
    environment = json.loads(file.read_text())["environment"]
    assert environment["A"] == "b=c"
    assert environment["D"] == ""


@pytest.mark.parametrize("text", ["A", "=b", ""])
def test_a_variable_of_the_environment_needs_a_name_and_a_value(text, capsys):
    with pytest.raises(SystemExit):
        main(["bench", "--environment", text])
    assert f"received {text!r}" in capsys.readouterr().err


def test_the_environment_leaves_the_backend_as_it_is(capsys):
    words = ["--environment", "KERAS_BACKEND=jax"]
    assert main(["bench", *words]) == 1
    assert "backend=tensorflow. Received: KERAS_BACKEND=jax" in (
        capsys.readouterr().err
    )


def test_a_peer_that_is_not_installed_is_named(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "dnc", None)
    assert main(["bench", "--peer"]) == 1
    assert "the peer needs dnc" in capsys.readouterr().err


def test_repeats_must_be_positive(capsys):
    assert main(["bench", "--repeats", "0"]) == 1
    assert "`repeats` must be a positive" in capsys.readouterr().err


def test_a_compiler_must_be_one_of_the_backend(capsys):
    assert main(["bench", "--backend", "jax", "--compilers", "graph"]) == 1
    assert "Received: graph" in capsys.readouterr().err


@pytest.mark.parametrize(
    "compiler", ["graph", pytest.param("XLA", marks=pytest.mark.slow)]
)
def test_a_training_step_trains_on_the_given_sizes(compiler):
    step = subjects.make(Subject("training", compiler), TINY)
    first = float(step())
    for _ in range(5):
        last = float(step())
    assert last < first


def test_inference_computes_the_outputs_of_all_steps():
    infer = subjects.make(Subject("inference", "graph"), TINY)
    outputs = infer()
    assert outputs.shape == (2, 3, 4)
    np.testing.assert_array_equal(infer(), outputs)


def test_arguments_reach_the_layer():
    subject = Subject("step", "graph", (("memory_sizes", 3),))
    with pytest.raises(ValueError, match="memory_sizes"):
        subjects.make(subject, TINY)


@pytest.mark.slow
@pytest.mark.parametrize("measure", benchmark.MEASURES)
def test_a_measurement_in_a_process_of_its_own(measure):
    subject = Subject(measure, "XLA")
    size = SIZES["small"].one_step if measure == "step" else SIZES["small"]
    result = in_own_process(
        measuring.measure,
        subject,
        size,
        3,
        environment={"KERAS_BACKEND": "tensorflow"},
    )
    assert len(result.seconds) == 3
    # The first time holds the compiling.
    assert result.first_seconds > 5 * result.median > 0
    assert result.peak_bytes > 0


def test_peak_memory_counts_what_was_freed():
    measured = in_own_process(
        _peak_of_three_hundred_megabytes,
        environment={"KERAS_BACKEND": "tensorflow"},
    )
    # What was loaded before may have been given back meanwhile.
    assert measured.peak_bytes == pytest.approx(300 * MEGABYTE, rel=0.1)


def _peak_of_three_hundred_megabytes():
    measuring.make = lambda *_: lambda: np.ones(300 * MEGABYTE, "int8").sum()
    return measuring.measure(Subject("training", "graph"), TINY, 1)


def test_a_parts_gradient_is_that_of_its_outputs():
    function = compiled(with_gradients(lambda x, y: (x * y, x + y)), True)
    x, y = (keras.ops.convert_to_tensor(value) for value in (3.0, 5.0))
    outputs, gradients = function([x, y], [2 * x, y])
    assert [float(part) for part in outputs] == [15, 8]
    # 6 · 5 + 5 and 6 · 3 + 5
    assert [float(part) for part in gradients] == [35, 23]


@pytest.mark.slow
def test_the_parts_of_a_step_and_the_loop_make_the_whole():
    seconds = parts.profile(TINY, "graph", 2)
    *of_parts, whole = seconds.values()
    assert list(seconds)[-2:] == ["loop", "step"]
    assert sum(of_parts) == pytest.approx(whole)
    assert all(value >= 0 for value in of_parts[:-1])


def test_every_part_has_gradients_for_all_that_it_is_applied_to():
    for name, part in parts.parts(TINY).items():
        upstream = [
            keras.ops.ones_like(x) for x in part.function(*part.arguments)
        ]
        _, gradients = with_gradients(part.function)(part.arguments, upstream)
        assert all(x is not None for x in gradients), name
