"""Pictures hold the data that they say they hold."""

import re
import subprocess
import sys
from itertools import pairwise

import keras
import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="needs the extra `plots`")

from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

import keras_dnc
from keras_dnc import bayesian, plots, viewer
from keras_dnc.interface import InterfaceVector
from keras_dnc.plots import memory_at_work
from keras_dnc.plots.traces import MODE_COLORS
from keras_dnc.sparse_linkage import SparseLink
from keras_dnc.state import DNCState
from keras_dnc.tracing import Trace, trace


@pytest.fixture(scope="module")
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


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (
            {"targets": np.ones((3, 7, 2))},
            r"`targets` must .* \(T, Y\), T=7.* \(3, 7, 2\)",
        ),
        # One step is not stretched over all, and `steps` counts later.
        ({"targets": np.ones((1, 2))}, "`targets` must .* T=7"),
        ({"targets": np.ones((4, 2)), "steps": 4}, "`targets` must .* T=7"),
        ({"targets": np.ones((7, 3))}, "`targets` must .* Y=2"),
        ({"answers": np.ones((3, 7, 2))}, "`answers` must have the shape"),
        ({"answers": np.ones((8, 2))}, "`answers` must .* T=7"),
        ({"input_labels": [*"abc"]}, "`input_labels` must be 4 strings"),
        ({"input_labels": [*"abcde"]}, "`input_labels` must be 4 strings"),
        ({"input_labels": "abcd"}, "`input_labels` must be 4 strings"),
        ({"input_labels": []}, "`input_labels` must be 4 strings"),
        ({"output_labels": ["a"]}, "`output_labels` must be 2 strings"),
        ({"output_labels": [1, 2]}, r"must be 2 strings.*=\[1, 2\]"),
        (
            {"answers": np.ones((7, 3)), "output_labels": ["a", "b"]},
            "`output_labels` must be 3 strings",
        ),
    ],
)
def test_what_does_not_fit_the_trace_is_refused(traced, arguments, match):
    with pytest.raises(ValueError, match=match):
        memory_at_work(traced, **arguments)


def test_what_fits_is_cut_to_the_steps(traced):
    targets, answers = some(7, 3), -some(7, 3)
    figure = memory_at_work(
        traced,
        targets.tolist(),
        answers,
        steps=4,
        output_labels=np.array(["a", "b", "c"]),
    )
    np.testing.assert_array_equal(panels(figure)["target"], targets[:4])
    np.testing.assert_array_equal(panels(figure)["output"], answers[:4])
    labels = {axes.get_ylabel(): names(axes.yaxis) for axes in figure.axes}
    assert labels["target"] == labels["output"] == ["a", "b", "c"]


def test_gates_and_modes_of_hidden_steps_are_not_drawn():
    layer = keras_dnc.DNC(2, controller=8, memory_size=6, word_size=5)
    inputs = np.random.default_rng(0).random((2, 4, 3)).astype("float32")
    layer(inputs)
    mask = np.array([[1, 1, 1, 1], [1, 0, 1, 0]], bool)
    traced = trace(layer, inputs, mask=mask)
    interface = traced.interface
    gates = np.concatenate(
        [
            interface.free_gates[1],
            interface.allocation_gates[1],
            interface.write_gates[1],
        ],
        axis=-1,
    )
    gates[[1, 3]] = np.nan
    whole = panels(memory_at_work(traced, example=1))
    np.testing.assert_array_equal(whole.pop("gates"), gates)
    # The mask hides nothing of the state, which stays as it was.
    assert all(np.isfinite(array).all() for array in whole.values())
    axes = plots.gates(traced, example=1, steps=3)
    np.testing.assert_array_equal(
        np.ma.filled(shown(axes), np.nan), gates[:3].T
    )
    axes = plots.read_modes(traced, example=1, steps=3)
    for i, patch in enumerate(axes.patches):
        above, _, below = patch.get_data()
        assert np.isnan(above).tolist() == [False, True, False]
        expected = interface.read_modes[1, [0, 2], 0, i]
        np.testing.assert_allclose((above - below)[[0, 2]], expected, atol=1e-6)
    assert np.isfinite(shown(plots.gates(traced))).all()


def test_labels_name_features_slots_and_gates(traced):
    figure = memory_at_work(traced, steps=4, input_labels=["a", "b", "c", "d"])
    labels = {
        axes.get_ylabel(): [tick.get_text() for tick in axes.get_yticklabels()]
        for axes in figure.axes
        if axes.images
    }
    assert labels["input"] == ["a", "b", "c", "d"]
    assert labels["output"] == ["0", "1"]
    assert labels["read weighting 2"] == [f"slot {n}" for n in range(6)]
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
    assert labels == ["slot 0", "slot 29"]
    assert [*axes.get_yticks()] == [0, 29]


def shown(axes):
    """The one image's data."""
    (image,) = axes.images
    return np.asarray(image.get_array())


def names(axis):
    return [tick.get_text() for tick in axis.get_ticklabels()]


# Two sequences of three steps; N = 4 slots of width W = 2, R = 2 read
# heads, V = 2 write heads. All numbers of a part are distinct.
B, T, N, W, R, V = 2, 3, 4, 2, 2, 2


def some(*shape, start=0.0):
    size = int(np.prod(shape))
    return (start + (1 + np.arange(size)) / (1 + size)).reshape(shape)


def of_hand(**state):
    """A trace of numbers that are all distinct, or of other parts of state."""
    modes = some(B, T, R, 1 + 2 * V)
    of_state = {
        "memory": some(B, T, N, W, start=-0.4),
        "usage": some(B, T, N),
        "precedence": some(B, T, V, N),
        "link": some(B, T, V, N, N),
        "write_weightings": some(B, T, V, N),
        "read_weightings": some(B, T, R, N),
        "reads": some(B, T, R, W),
        "controller_states": [],
        **state,
    }
    of_interface = dict.fromkeys(InterfaceVector._fields, ())
    interface = InterfaceVector(
        **{
            **of_interface,
            "free_gates": some(B, T, R),
            "allocation_gates": some(B, T, V),
            "write_gates": some(B, T, V) / 2,
            "read_modes": modes / modes.sum(-1, keepdims=True),
        }
    )
    inputs = some(B, T, 3)
    mask = np.ones((B, T), bool)
    return Trace(inputs, inputs, DNCState(**of_state), interface, (), mask)


@pytest.mark.parametrize("kind", ["write", "read"])
def test_weightings_are_those_of_kind_head_and_example(kind):
    traced = of_hand()
    axes = plots.weightings(traced, kind, head=1, example=1)
    for t in range(T):
        for n in range(N):
            expected = getattr(traced.state, f"{kind}_weightings")[1, t, 1, n]
            assert shown(axes)[n, t] == expected
    assert axes.images[0].get_clim() == (0, 1)
    assert axes.get_title() == f"{kind} weighting of head 2"
    assert axes.get_ylabel() == "slot"
    assert axes.get_xlabel() == "time step"
    assert names(axes.yaxis) == ["0", "1", "2", "3"]


def test_usage_and_gates_are_rows_over_time():
    traced = of_hand()
    axes = plots.usage(traced, example=1, steps=2)
    np.testing.assert_array_equal(shown(axes), traced.state.usage[1, :2].T)
    assert axes.get_xlim() == (-0.5, 1.5)

    axes = plots.gates(traced, example=1)
    rows = dict(zip(names(axes.yaxis), shown(axes), strict=True))
    interface = traced.interface
    expected = {
        "free 1": interface.free_gates[1, :, 0],
        "free 2": interface.free_gates[1, :, 1],
        "allocation 1": interface.allocation_gates[1, :, 0],
        "allocation 2": interface.allocation_gates[1, :, 1],
        "write 1": interface.write_gates[1, :, 0],
        "write 2": interface.write_gates[1, :, 1],
    }
    assert list(rows) == list(expected)
    for name, row in expected.items():
        np.testing.assert_array_equal(rows[name], row, err_msg=name)


def test_read_modes_are_bands_on_each_other():
    traced = of_hand()
    axes = plots.read_modes(traced, head=1, example=1)
    modes = traced.interface.read_modes[1, :, 1]
    assert len(axes.patches) == 1 + 2 * V
    below = np.zeros(T)
    for i, patch in enumerate(axes.patches):
        above, edges, baseline = patch.get_data()
        np.testing.assert_allclose(baseline, below, atol=1e-12)
        np.testing.assert_allclose(above - baseline, modes[:, i])
        np.testing.assert_array_equal(edges, [-0.5, 0.5, 1.5, 2.5])
        below = above
    np.testing.assert_allclose(below, 1)
    assert [patch.get_label() for patch in axes.patches] == [
        "backward 1",
        "backward 2",
        "content",
        "forward 1",
        "forward 2",
    ]
    looks = {
        (patch.get_facecolor(), patch.get_hatch()) for patch in axes.patches
    }
    assert len(looks) == 5
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend == [p.get_label() for p in reversed(axes.patches)]


def test_modes_of_one_write_head_have_no_numbers():
    modes = np.full((1, 2, 1, 3), 1 / 3)
    traced = of_hand()
    interface = traced.interface._replace(read_modes=modes)
    axes = plots.read_modes(traced._replace(interface=interface))
    labels = [patch.get_label() for patch in axes.patches]
    assert labels == ["backward", "content", "forward"]


def test_the_viewer_has_the_colors_of_modes():
    page = viewer.page(of_hand())
    for mode, color in MODE_COLORS.items():
        assert re.search(rf"\.{mode} {{\s*background: {color};", page)


def test_modes_differ_in_gray_print():
    # The lightness L* of CIE 1976; white paper has 100.
    linear = [
        [((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)]
        for color in MODE_COLORS.values()
    ]
    luminances = linear @ np.array([0.2126, 0.7152, 0.0722])
    lightness = sorted([*(116 * np.cbrt(luminances) - 16), 100])
    assert min(b - a for a, b in pairwise(lightness)) > 12


def written_one_by_one():
    """Slots 2, 0, 3 written in turn by the second head, slot 1 hardly."""
    written = np.zeros((1, 3, 2, 4))
    written[0, 0, 1, 1] = 0.09
    for step, slot in enumerate([2, 0, 3]):
        written[0, step, 1, slot] = 1 - 0.1 * step
    link = np.zeros((1, 3, 2, 4, 4))
    link[0, 1:, 1, 0, 2] = 0.9
    link[0, 2:, 1, 3, 0] = 0.8
    return written, link


def as_sparse(link):
    """Two links of each row, the second of them none."""
    values = np.zeros((*link.shape[:-1], 2))
    columns = np.zeros_like(values)
    for place in zip(*np.nonzero(link), strict=True):
        # Not in the first place, which a link of 0 has.
        values[(*place[:-1], 1)] = link[place]
        columns[(*place[:-1], 1)] = 1 + place[-1]
    return SparseLink(values, columns)


@pytest.mark.parametrize("form", [np.asarray, as_sparse])
def test_links_are_in_the_order_of_writing(form):
    written, link = written_one_by_one()
    traced = of_hand(write_weightings=written, link=form(link))
    axes = plots.link(traced, head=1)
    expected = np.zeros((4, 4))
    expected[1, 0], expected[2, 1] = 0.9, 0.8
    np.testing.assert_array_equal(shown(axes), expected)
    assert names(axes.yaxis) == [
        "2 (step 0)",
        "0 (step 1)",
        "3 (step 2)",
        "1 (never)",
    ]
    assert names(axes.xaxis) == ["2", "0", "3", "1"]
    assert "order of writing" in axes.get_ylabel()
    assert axes.get_title() == "temporal links of write head 2 after step 2"

    axes = plots.link(traced, head=1, order="number")
    np.testing.assert_array_equal(shown(axes), link[0, 2, 1])
    assert names(axes.yaxis) == names(axes.xaxis) == ["0", "1", "2", "3"]
    assert "order" not in axes.get_ylabel()


def test_the_order_is_of_the_writes_up_to_the_step():
    written, link = written_one_by_one()
    # Later the same head writes to slot 2 again, and more strongly.
    written[0, 2, 1, 2] = 1.0
    traced = of_hand(write_weightings=written, link=link)
    axes = plots.link(traced, step=1, head=1)
    assert names(axes.xaxis) == ["2", "0", "1", "3"]
    assert shown(axes).sum() == 0.9
    # Of one step the strongest write comes first, and the first one of equals.
    axes = plots.link(traced, step=2, head=1)
    assert names(axes.xaxis) == ["2", "0", "3", "1"]
    written[0, 2, 1, 3] = 1.1
    written[0, 0, 1, 2] = 0.9
    axes = plots.link(traced, step=2, head=1)
    assert names(axes.xaxis) == ["0", "3", "2", "1"]
    assert names(axes.yaxis)[2] == "2 (step 2)"


def test_memory_is_shown_around_zero():
    traced = of_hand()
    axes = plots.memory(traced, step=1, example=1)
    array = traced.state.memory[1, 1]
    np.testing.assert_array_equal(shown(axes), array)
    low, high = axes.images[0].get_clim()
    assert low == -high
    assert high == max(abs(array.min()), abs(array.max()))
    assert axes.get_title() == "memory after step 1"
    assert plots.memory(traced, -2, 1).get_title() == "memory after step 1"


def test_an_empty_memory_has_a_scale():
    axes = plots.memory(of_hand(memory=np.zeros((1, 1, 2, 3))))
    assert axes.images[0].get_clim() == (-1, 1)


def test_a_real_trace_of_sparse_links_can_be_drawn():
    layer = keras_dnc.DNC(
        2, controller=8, memory_size=6, word_size=5, sparse_links=2
    )
    inputs = np.random.default_rng(0).random((1, 4, 3)).astype("float32")
    layer(inputs)
    traced = trace(layer, inputs)
    values, columns = (part[0, 3, 0] for part in traced.state.link)
    matrix = np.zeros((6, 6), "float32")
    for i in range(6):
        for value, column in zip(values[i], columns[i], strict=True):
            if column:
                matrix[i, int(column) - 1] += value
    assert matrix.any()
    axes = plots.link(traced, order="number")
    np.testing.assert_array_equal(shown(axes), matrix)


def every_picture():
    prediction = bayesian.summarize_classes(np.full((2, 1, 3, 2), 0.5))
    return {
        "weightings": lambda **ax: plots.weightings(of_hand(), **ax),
        "usage": lambda **ax: plots.usage(of_hand(), **ax),
        "gates": lambda **ax: plots.gates(of_hand(), **ax),
        "read_modes": lambda **ax: plots.read_modes(of_hand(), **ax),
        "link": lambda **ax: plots.link(of_hand(), **ax),
        "memory": lambda **ax: plots.memory(of_hand(), **ax),
        "training_curves": lambda **ax: plots.training_curves(
            {"loss": [2.0, 1.0]}, **ax
        ),
        "reliability_diagram": lambda **ax: plots.reliability_diagram(
            np.full((3, 2), 0.5), np.array([0, 1, 1]), **ax
        ),
        "uncertainty_along": lambda **ax: plots.uncertainty_along(
            prediction, **ax
        ),
    }


@pytest.mark.parametrize("name", list(every_picture()))
def test_pictures_are_drawn_where_they_are_to_be(name):
    draw = every_picture()[name]
    given = Figure().add_subplot()
    assert draw(ax=given) is given
    assert given.has_data()
    new = draw()
    assert new.figure is not given.figure
    with pytest.raises(ValueError, match="`ax` must be"):
        draw(ax=new.figure)


def test_no_picture_is_left_out_here():
    several_panels = {"memory_at_work", "uncertainty_by_length"}
    assert set(plots.__all__) == several_panels | set(every_picture())


@pytest.mark.parametrize(
    ("draw", "match"),
    [
        (lambda t: plots.weightings(t, "erase"), "kind='erase'"),
        (lambda t: plots.weightings(t, head=2), "`head` .* to 1, .* head=2"),
        (lambda t: plots.weightings(t, head=True), "head=True"),
        (lambda t: plots.weightings(t, example=-3), "example=-3"),
        (lambda t: plots.weightings(t, steps=0), "from 1 to 3.*steps=0"),
        (lambda t: plots.read_modes(t, steps=4), "from 1 to 3.*steps=4"),
        (lambda t: plots.gates(t, steps=4), "steps=4"),
        (lambda t: plots.usage(t, steps=4), "steps=4"),
        (lambda t: plots.memory_at_work(t, steps=4), "steps=4"),
        (lambda t: plots.usage(t, example=2), "example=2"),
        (lambda t: plots.gates(t, example=2), "example=2"),
        (lambda t: plots.read_modes(t, head=2), "head=2"),
        (lambda t: plots.memory_at_work(t, example=2), "example=2"),
        (lambda t: plots.memory(t, step=3), "step=3"),
        (lambda t: plots.link(t, step=1.0), "step=1.0"),
        (lambda t: plots.link(t, order="read"), "order='read'"),
        (
            lambda t: plots.link(t._replace(state=t.state._replace(link=()))),
            "with links. Received one without$",
        ),
        (
            lambda t: plots.read_modes(
                t._replace(interface=t.interface._replace(read_modes=()))
            ),
            "with read modes. Received one without$",
        ),
    ],
)
def test_what_is_not_there_is_refused(draw, match):
    with pytest.raises(ValueError, match=match):
        draw(of_hand())


def lines(axes):
    return {line.get_label(): line.get_xydata() for line in axes.lines}


def test_training_curves_of_a_log(tmp_path):
    log = tmp_path / "log.csv"
    log.write_text("epoch,loss,right,val_loss\n3,0.5,0.1,0.75\n4,0.25,0.2,1\n")
    axes = plots.training_curves(log, ["right", "loss"])
    found = lines(axes)
    assert list(found) == ["right", "loss", "val_loss"]
    assert found["right"].tolist() == [[3, 0.1], [4, 0.2]]
    assert found["loss"].tolist() == [[3, 0.5], [4, 0.25]]
    assert found["val_loss"].tolist() == [[3, 0.75], [4, 1]]
    right, loss, on_validation = axes.lines
    assert loss.get_color() == on_validation.get_color() != right.get_color()
    assert loss.get_linestyle() == "-" and on_validation.get_linestyle() == "--"
    assert loss.get_marker() != right.get_marker()


def test_training_curves_of_fit_and_of_lists():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    inputs = np.ones((4, 2), "float32")
    history = model.fit(
        inputs, inputs[:, :1], epochs=3, initial_epoch=1, verbose=0
    )
    found = lines(plots.training_curves(history))["loss"]
    assert found[:, 0].tolist() == [2, 3]
    assert found[:, 1].tolist() == history.history["loss"]
    found = lines(plots.training_curves({"loss": [2, 1]}))["loss"]
    assert found.tolist() == [[1, 2], [2, 1]]


@pytest.mark.parametrize("epochs", [1, 2, 7])
def test_epochs_are_whole_numbers(epochs):
    axes = plots.training_curves({"loss": np.arange(epochs, 0, -1)})
    low, high = axes.get_xlim()
    ticks = [x for x in axes.get_xticks() if low <= x <= high]
    assert ticks and all(tick == int(tick) for tick in ticks)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "log.csv, line 1: .* epoch"),
        ("loss\n1\n", "log.csv, line 1: .* epoch"),
        ("epoch,epoch\n1,1\n", "log.csv, line 1: "),
        ("epoch,loss\n", "log.csv, line 2: "),
        ("epoch,loss\n1,2\n2,x\n", "log.csv, line 3: expected numbers"),
        ("epoch,loss\n1,2\n2\n", "log.csv, line 3: expected 2 numbers"),
        ("epoch,loss\n1,2,3\n", "log.csv, line 2: expected 2 numbers"),
        ("epoch,loss\n1,2\n\n", "log.csv, line 3: expected 2 numbers"),
        ("epoch,mse\n1,2\n", "`names` must be of \\['mse'\\]"),
    ],
)
def test_bad_logs_are_named_with_their_line(tmp_path, text, match):
    log = tmp_path / "log.csv"
    log.write_text(text)
    with pytest.raises(ValueError, match=match):
        plots.training_curves(log)


def test_other_logs_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError):
        plots.training_curves(tmp_path / "log.csv")
    with pytest.raises(ValueError, match="`log` must be the path"):
        plots.training_curves([1.0, 2.0])
    with pytest.raises(ValueError, match="a number for each epoch"):
        plots.training_curves({"loss": ["x"]})
    for uneven in ({}, {"loss": [1.0], "mse": [1.0, 2.0]}, {"loss": 1.0}):
        with pytest.raises(ValueError, match="as many numbers"):
            plots.training_curves(uneven)
    no_epochs = {"loss": []}, {"epoch": []}, keras.callbacks.History()
    for empty in no_epochs:
        with pytest.raises(
            ValueError, match="`log` must .* at least one epoch"
        ):
            plots.training_curves(empty)
    with pytest.raises(ValueError, match="1 to 5 names"):
        plots.training_curves({"loss": [1.0]}, [])


def reliability(probabilities, labels, bins):
    """Edge, share right, mean confidence and number of each bin, by loops."""
    members = {}
    for row, label in zip(probabilities, labels, strict=True):
        confidence = max(row)
        for number in range(bins):
            if number / bins < confidence <= (number + 1) / bins:
                right = int(np.argmax(row) == label)
                members.setdefault(number, []).append((confidence, right))
    return [
        (
            number / bins,
            np.mean([right for _, right in members[number]]),
            np.mean([confidence for confidence, _ in members[number]]),
            len(members[number]),
        )
        for number in sorted(members)
    ]


def test_reliability_is_that_of_each_bin():
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet([0.6] * 4, 200)
    labels = rng.integers(0, 4, 200)
    rows = reliability(probabilities, labels, 8)
    axes = plots.reliability_diagram(
        probabilities.reshape(20, 10, 4), labels.reshape(20, 10), bins=8
    )
    bars = axes.containers[0].patches
    assert len(rows) < 8
    assert [bar.get_x() for bar in bars] == [row[0] for row in rows]
    assert {bar.get_width() for bar in bars} == {1 / 8}
    heights = [bar.get_height() for bar in bars]
    np.testing.assert_allclose(heights, [row[1] for row in rows], rtol=1e-6)
    dots = lines(axes)["mean confidence"]
    expected = [(row[2], row[1]) for row in rows]
    np.testing.assert_allclose(dots, expected, rtol=1e-6)
    counts = [text.get_text() for text in axes.texts]
    assert counts == [str(row[3]) for row in rows]
    assert lines(axes)["as confident as right"].tolist() == [[0, 0], [1, 1]]
    error = sum(n * abs(right - sure) for _, right, sure, n in rows) / 200
    assert axes.get_title() == f"expected calibration error {error:.3f}"
    metric = bayesian.ExpectedCalibrationError(bins=8)
    metric.update_state(labels, probabilities)
    assert axes.get_title().endswith(f"{float(metric.result()):.3f}")


def test_one_probability_is_that_of_the_second_class():
    axes = plots.reliability_diagram(
        np.array([[0.125], [0.125], [0.75]]), np.array([0, 1, 1]), bins=4
    )
    found = lines(axes)["mean confidence"].tolist()
    assert found == [[0.75, 1.0], [0.875, 0.5]]


@pytest.mark.parametrize(
    ("probabilities", "labels", "match"),
    [
        ([[0.5, 0.5]], [0, 1], "labels of shape"),
        (np.ones((0, 2)), np.ones(0, int), "at least one"),
        ([[0.5, 0.7]], [0], "of sum 1"),
        ([[-0.5, 1.5]], [0], "from 0 to 1"),
        ([[np.nan, 0.5]], [0], "from 0 to 1"),
        ([[0.5, 0.5]], [2], "integers from 0 to 1"),
        ([[0.5, 0.5]], [-1], "integers from 0 to 1"),
        ([[0.5, 0.5]], [0.0], "integers from 0 to 1"),
    ],
)
def test_no_probabilities_are_refused(probabilities, labels, match):
    with pytest.raises(ValueError, match=match):
        plots.reliability_diagram(np.asarray(probabilities), np.array(labels))


def figures_of(**changed):
    names = "accuracy in %", "calibration error", "total uncertainty"
    return {**dict.fromkeys(names, 0.5), "epistemic": 0.25, **changed}


def test_uncertainty_by_length_is_that_of_each_length():
    rows = {
        length: {
            "accuracy in %": 100 - length,
            "calibration error": length / 50,
            "total uncertainty": length / 10,
            "epistemic": length / 20,
            "symbols": "not drawn",
        }
        for length in (3, 4, 6)
    }
    above, below = plots.uncertainty_by_length(rows, trained=4).axes
    expected = {
        "share right": [[3, 0.97], [4, 0.96], [6, 0.94]],
        "calibration error": [[3, 0.06], [4, 0.08], [6, 0.12]],
        "total": [[3, 0.3], [4, 0.4], [6, 0.6]],
    }
    found = {**lines(above), **lines(below)}
    assert list(found) == list(expected)
    for name, points in expected.items():
        np.testing.assert_allclose(found[name], points, err_msg=name)


@pytest.mark.parametrize(
    ("rows", "match"),
    [
        ({}, "`rows` must have the figures of one length or more"),
        ([figures_of()], "`rows` must have the figures of one length or more"),
        ({"3": figures_of()}, "integers in their order"),
        ({4: figures_of(), 3: figures_of()}, "integers in their order"),
        ({3: figures_of(), 4: {"epistemic": 1.0}}, r"rows\[4\]=.*epistemic"),
        ({3: 0.5}, r"rows\[3\]=0.5"),
        ({3: figures_of(epistemic="x")}, r"`rows\[3\]\['epistemic'\]` must"),
        ({3: figures_of(epistemic=np.nan)}, "a finite number. .*=nan"),
    ],
)
def test_other_figures_of_lengths_are_refused(rows, match):
    with pytest.raises(ValueError, match=match):
        plots.uncertainty_by_length(rows, trained=3)


def test_a_length_of_training_is_a_positive_integer():
    with pytest.raises(ValueError, match="`trained` must be .*trained=0"):
        plots.uncertainty_by_length({3: figures_of()}, trained=0)


def entropy(p):
    return -sum(x * np.log(x) for x in p)


def drawn():
    """Draws of shape (2, 2, 3, 2), and what they say of the second example."""
    draws = np.full((2, 2, 3, 2), 0.5)
    draws[:, 1] = [
        [[0.9, 0.1], [0.5, 0.5], [0.2, 0.8]],
        [[0.1, 0.9], [0.7, 0.3], [0.2, 0.8]],
    ]
    total = [entropy([0.5, 0.5]), entropy([0.6, 0.4]), entropy([0.2, 0.8])]
    aleatoric = [
        entropy([0.9, 0.1]),
        (entropy([0.5, 0.5]) + entropy([0.7, 0.3])) / 2,
        entropy([0.2, 0.8]),
    ]
    return bayesian.summarize_classes(draws), total, aleatoric


def test_uncertainty_is_the_sum_of_its_parts_at_each_step():
    prediction, total, aleatoric = drawn()
    labels = np.array([[0, 0, 0], [0, 1, 0]])
    axes = plots.uncertainty_along(prediction, labels, example=1)
    parts = {patch.get_label(): patch.get_data() for patch in axes.patches}
    epistemic = np.subtract(total, aleatoric)
    for name, below, above in (
        ("epistemic (weights)", np.zeros(3), epistemic),
        ("aleatoric", epistemic, total),
    ):
        values, edges, baseline = parts[name]
        np.testing.assert_allclose(baseline, below, atol=1e-12)
        np.testing.assert_allclose(values, above, atol=1e-12)
        np.testing.assert_array_equal(edges, [-0.5, 0.5, 1.5, 2.5])
    np.testing.assert_allclose(parts["total"][0], total)
    np.testing.assert_allclose(
        lines(axes)["wrong"], [[1, total[1]], [2, total[2]]]
    )
    assert axes.get_ylabel() == "uncertainty in nats"


def test_steps_that_do_not_count_are_blank_and_not_wrong():
    prediction, total, _ = drawn()
    axes = plots.uncertainty_along(
        prediction,
        np.ones((2, 3), int),
        mask=np.array([[1, 1, 1], [0, 1, 1]]),
        example=1,
    )
    for patch in axes.patches:
        assert np.isnan(patch.get_data()[0]).tolist() == [True, False, False]
    np.testing.assert_allclose(lines(axes)["wrong"], [[1, total[1]]])
    axes = plots.uncertainty_along(prediction, example=1, steps=2)
    assert "wrong" not in lines(axes)
    assert axes.get_xlim() == (-0.5, 1.5)


def test_uncertainty_of_other_shapes_is_refused():
    prediction, *_ = drawn()
    with pytest.raises(ValueError, match="`labels` must be of shape"):
        plots.uncertainty_along(prediction, np.array([0, 1, 0]))
    with pytest.raises(ValueError, match="`mask` must be of shape"):
        plots.uncertainty_along(prediction, mask=np.ones((2, 2)))
    with pytest.raises(ValueError, match="example=2"):
        plots.uncertainty_along(prediction, example=2)
    of_regression = bayesian.summarize_regression(np.ones((5, 2, 3, 1)))
    with pytest.raises(ValueError, match="must be of classes along sequences"):
        plots.uncertainty_along(of_regression)
    of_one = prediction._replace(mean=prediction.mean[..., 1:])
    with pytest.raises(ValueError, match=r"two classes or more.*\(2, 3, 1\)"):
        plots.uncertainty_along(of_one, np.zeros((2, 3), int))
    with pytest.raises(ValueError, match="integers from 0 to 1"):
        plots.uncertainty_along(prediction, np.full((2, 3), 2))


def test_without_matplotlib_the_way_to_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for name in [*sys.modules]:
        if name.startswith("keras_dnc.plots"):
            monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ModuleNotFoundError, match="pip install matplotlib"):
        import keras_dnc.plots  # noqa: F401


@pytest.mark.slow
def test_the_package_is_imported_without_matplotlib():
    code = "import sys; sys.modules['matplotlib'] = None; import keras_dnc"
    subprocess.run([sys.executable, "-c", code], check=True)
