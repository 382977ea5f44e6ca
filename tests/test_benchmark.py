"""The benchmark measures what it says; its figures are not tested."""

import sys

import pytest

from keras_dnc import benchmark
from keras_dnc.__main__ import main


@pytest.fixture
def clock(monkeypatch):
    """Replaces the measurements: XLA 20 ms, graph 50 ms, peer 100 ms."""

    def measured(make_step, size, repeats):
        seconds = {
            benchmark._graph: 0.05,
            benchmark._xla: 0.02,
            benchmark._peer: 0.1,
        }[make_step]
        return [seconds * factor for factor in (0.5, 1, 1, 1, 3)]

    monkeypatch.setattr(benchmark, "_in_own_process", measured)
    # The peer counts as installed.
    monkeypatch.setattr(benchmark.importlib.util, "find_spec", lambda _: True)


def test_the_table_has_medians_spread_and_ratios(clock, capsys):
    words = ["bench", "--sizes", "small", "large", "--peer", "--repeats", "5"]
    assert main(words) == 0
    title, *table = capsys.readouterr().out.splitlines()
    assert "5 in ms" in title
    rows = [[cell.strip() for cell in line.split("|")] for line in table]
    assert rows[0][0] == "size"
    figures = ["50.0 [25.0, 150.0]", "20.0 [10.0, 60.0]", "100.0 [50.0, 300.0]"]
    assert rows[1] == ["small", *figures, "0.50", "0.20"]
    assert rows[2] == ["large", *figures, "0.50", "0.20"]


def test_without_the_peer_there_are_no_ratios(clock, capsys):
    assert main(["bench", "--sizes", "small"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert len(last.split("|")) == 3


def test_a_peer_that_is_not_installed_is_named(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "dnc", None)
    assert main(["bench", "--peer"]) == 1
    assert "the peer needs dnc" in capsys.readouterr().err


def test_repeats_must_be_positive(capsys):
    assert main(["bench", "--repeats", "0"]) == 1
    assert "`repeats` must be a positive" in capsys.readouterr().err


def test_a_step_trains_on_the_given_sizes():
    step = benchmark._graph(benchmark.Size(2, 3, 4, 5, 6, 1, 7))
    first = float(step())
    for _ in range(5):
        last = float(step())
    assert last < first
