"""Pictures hold the data that they say they hold."""

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="needs the extra `plots`")

import keras_dnc
from keras_dnc.plots import memory_at_work
from keras_dnc.tracing import trace


@pytest.fixture
def traced():
    layer = keras_dnc.DNC(
        2, controller=8, memory_size=6, word_size=5, num_reads=2, num_writes=2
    )
    inputs = np.random.default_rng(0).random((3, 7, 4)).astype("float32")
    layer(inputs)
    return trace(layer.cell, inputs)


def panels(figure):
    """The panels' data by title: arrays of shape (T, rows)."""
    return {
        axes.get_ylabel(): np.ma.filled(axes.images[0].get_array(), np.nan).T
        for axes in figure.axes
        if axes.images
    }


def test_each_panel_shows_its_part_of_the_chosen_example(traced):
    targets = np.full((7, 2), np.nan)
    targets[3:] = 1
    shown = panels(memory_at_work(traced, targets, example=1))
    state, interface = traced.state, traced.interface
    expected = {
        "input": traced.inputs[1],
        "target": targets,
        "output": traced.outputs[1],
        "write weighting 1": state.write_weightings[1, :, 0],
        "write weighting 2": state.write_weightings[1, :, 1],
        "read weighting 1": state.read_weightings[1, :, 0],
        "read weighting 2": state.read_weightings[1, :, 1],
        "gates": np.concatenate(
            [
                interface.free_gates[1],
                interface.allocation_gates[1],
                interface.write_gates[1],
            ],
            axis=-1,
        ),
    }
    assert list(shown) == list(expected)
    for title, array in expected.items():
        np.testing.assert_array_equal(shown[title], array, err_msg=title)


def test_labels_name_features_locations_and_gates(traced):
    figure = memory_at_work(traced, steps=4, input_labels=["a", "b", "c", "d"])
    labels = {
        axes.get_ylabel(): [tick.get_text() for tick in axes.get_yticklabels()]
        for axes in figure.axes
        if axes.images
    }
    assert labels["input"] == ["a", "b", "c", "d"]
    assert labels["output"] == ["0", "1"]
    assert labels["read weighting 2"] == [f"location {n}" for n in range(6)]
    assert labels["gates"] == [
        "free 1",
        "free 2",
        "allocation 1",
        "allocation 2",
        "write 1",
        "write 2",
    ]
    assert all(len(array) == 4 for array in panels(figure).values())


def test_every_panel_is_on_one_scale(traced):
    figure = memory_at_work(traced)
    assert {
        axes.images[0].get_clim() for axes in figure.axes if axes.images
    } == {(0, 1)}


def test_more_rows_than_fit_are_named_at_their_ends():
    layer = keras_dnc.DNC(2, controller=8, memory_size=30, word_size=5)
    inputs = np.ones((1, 3, 4), "float32")
    layer(inputs)
    figure = memory_at_work(trace(layer.cell, inputs))
    axes = next(
        axes for axes in figure.axes if axes.get_ylabel() == "write weighting 1"
    )
    labels = [tick.get_text() for tick in axes.get_yticklabels()]
    assert labels == ["location 0", "location 29"]
    assert [*axes.get_yticks()] == [0, 29]
