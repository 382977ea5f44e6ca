"""The Bayesian DNC on the echo task, its figures and its picture."""

import keras
import numpy as np
import pytest

if keras.backend.backend() != "tensorflow":
    pytest.skip(
        "Bayesian layers need TensorFlow Probability, and so the TensorFlow "
        "backend",
        allow_module_level=True,
    )

from keras_dnc.__main__ import main
from keras_dnc.bayesian import echo, summarize_classes
from keras_dnc.tasks.echo import Echo


def test_figures_of_known_predictions():
    # Three symbols; the draws of the last one disagree.
    first = [[0.9, 0.1], [0.2, 0.8], [1.0, 0.0]]
    second = [[0.7, 0.3], [0.2, 0.8], [0.0, 1.0]]
    prediction = summarize_classes(np.array([first, second]))
    figures = echo.figures(prediction, np.array([0, 0, 1]))
    assert figures["symbols"] == 3
    # At one half the first class is taken.
    assert figures["wrong symbols"] == 2
    assert figures["accuracy in %"] == pytest.approx(100 / 3)
    expected = -np.log([0.8, 0.2, 0.5]).mean()
    assert figures["negative log-likelihood"] == pytest.approx(expected)
    assert figures["epistemic"] > np.log(2) / 3 - 1e-9
    assert figures["total uncertainty"] > figures["epistemic"]


def test_settings_are_checked():
    with pytest.raises(ValueError, match="`samples`"):
        echo.Options(samples=0)
    with pytest.raises(ValueError, match="longest=2"):
        echo.by_length(None, Echo(), echo.Options(longest=2), 0)


@pytest.mark.slow
def test_the_command_trains_and_draws(tmp_path, capsys):
    out = tmp_path / "echo"
    words = "bayesian-echo --sequences 1500 --test-sequences 20 --epochs 1"
    words += " --min-length 1 --max-length 1 --longest 3 --samples 2"
    assert main([*words.split(), "--out", str(out)]) == 0
    *_, columns, one, two, three, saved = capsys.readouterr().out.splitlines()
    assert columns.split(" | ")[:3] == ["length", "symbols", "wrong symbols"]
    rows = [list(map(float, row.split(" | "))) for row in (one, two, three)]
    assert [row[0] for row in rows] == [1, 2, 3]
    assert [row[1] for row in rows] == [20, 40, 60]
    # One symbol is easy; more were never heard.
    assert rows[0][2] <= 2
    assert rows[2][2] > 6
    assert "model.keras, uncertainty.png" in saved
    assert (out / "uncertainty.png").read_bytes().startswith(b"\x89PNG")
    model = keras.saving.load_model(out / "model.keras")
    assert model(np.zeros((1, 4, 5))).shape == (1, 4, 5)
    assert main([*words.split(), "--out", str(out)]) == 1
    assert "exists already" in capsys.readouterr().err


def test_a_picture_without_matplotlib_is_refused(monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["bayesian-echo", "--out", "nowhere"]) == 1
    assert "needs matplotlib" in capsys.readouterr().err
