"""The state's structured and its flat form."""

import keras
import numpy as np
import pytest
import reference
from comparison import SIZES, Sizes, all_sizes, tensor
from keras import ops

import keras_dnc
from keras_dnc.state import DNCState, StateLayout


def layout(sizes, controller_states=(6, 6)):
    _, N, W, R, V = sizes
    return StateLayout(
        DNCState(
            memory=(N, W),
            usage=(N,),
            precedence=(V, N),
            link=(V, N, N),
            write_weightings=(V, N),
            read_weightings=(R, N),
            reads=(R, W),
            controller_states=list(controller_states),
        )
    )


def random_state(sizes, controller=(6, 6)):
    rng = np.random.default_rng(4)
    B, N, W, R, V = sizes
    state = reference.random_state(rng, N, W, R, V, B, controller)
    return DNCState(
        *(tensor(part, "float32") for part in state[:-1]),
        [tensor(part, "float32") for part in state.controller],
    )


def assert_equal(actual, expected):
    actual, expected = keras.tree.flatten(actual), keras.tree.flatten(expected)
    for one, other in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(
            ops.convert_to_numpy(one), ops.convert_to_numpy(other)
        )


def test_fields_stand_in_the_order_of_the_state_size():
    assert DNCState._fields == (
        "memory",
        "usage",
        "precedence",
        "link",
        "write_weightings",
        "read_weightings",
        "reads",
        "controller_states",
    )
    sizes = Sizes(B=1, N=5, W=3, R=4, V=2)
    assert layout(sizes).sizes == [15, 5, 10, 50, 10, 20, 12, 6, 6]


@all_sizes
def test_unpack_undoes_pack(sizes):
    state = random_state(sizes)
    flat = layout(sizes).pack(state)
    assert [part.shape for part in flat] == [
        (sizes.B, size) for size in layout(sizes).sizes
    ]
    unpacked = layout(sizes).unpack(flat)
    assert isinstance(unpacked, DNCState)
    assert_equal(unpacked, state)


def test_flat_parts_are_in_row_major_order():
    # Read by other programs too, which know `state_size` alone.
    sizes = Sizes(B=2, N=5, W=3, R=2, V=2)
    state = random_state(sizes)
    link = ops.convert_to_numpy(layout(sizes).pack(state)[3])
    expected = ops.convert_to_numpy(state.link)
    for b, v, i, j in np.ndindex(2, 2, 5, 5):
        assert link[b, 25 * v + 5 * i + j] == expected[b, v, i, j]


def test_unpack_takes_any_sequence():
    sizes = SIZES[0]
    state = random_state(sizes)
    flat = tuple(layout(sizes).pack(state))
    assert_equal(layout(sizes).unpack(flat), state)


def test_pack_refuses_a_state_of_other_sizes():
    state = keras_dnc.DNCCell(2, 4, memory_size=3, word_size=2)
    other = keras_dnc.DNCCell(2, 4, memory_size=3, word_size=2, sparse_links=1)
    parts = other.unpack_state(other.get_initial_state(2))
    with pytest.raises(ValueError, match=r"`state` must be \d+ tensors of sha"):
        state.pack_state(parts)
    parts = state.unpack_state(state.get_initial_state(2))
    parts = parts._replace(memory=ops.zeros((2, 3, 3)))
    with pytest.raises(ValueError, match=r"`state` must be .*\(2, 3, 3\)"):
        state.pack_state(parts)


def test_unpack_refuses_another_number_of_tensors():
    sizes = SIZES[0]
    flat = layout(sizes).pack(random_state(sizes))
    with pytest.raises(ValueError, match=r"must be 9 tensors.*Received 8"):
        layout(sizes).unpack(flat[:-1])


def test_a_size_that_is_not_known_is_not_compared():
    sizes = SIZES[0]
    flat = layout(sizes).pack(random_state(sizes))
    unknown = keras.KerasTensor((None, None))
    with pytest.raises(ValueError, match=r"must be 9 tensors.*Received 8"):
        layout(sizes).unpack([unknown, *flat[2:]])
    wrong = keras.KerasTensor((None, 1))
    with pytest.raises(ValueError, match=r"must be 9 tensors.*\(None, None\)"):
        layout(sizes).unpack([unknown, wrong, *flat[2:]])
    symbolic = [unknown, *(keras.KerasTensor(part.shape) for part in flat[1:])]
    state = layout(sizes).unpack(symbolic)
    memory = layout(sizes).unpack(flat).memory
    assert state.memory.shape[1:] == memory.shape[1:]


def test_pack_refuses_a_state_of_another_structure():
    sizes = SIZES[0]
    state = random_state(sizes, controller=(6,))
    with pytest.raises(ValueError):
        layout(sizes).pack(state)


def stacked():
    return keras.layers.StackedRNNCells(
        [keras.layers.LSTMCell(3), keras.layers.GRUCell(2)]
    )


CONTROLLERS = {
    "LSTM": (lambda: 6, [6, 6]),
    "GRU": (lambda: keras.layers.GRUCell(6), [6]),
    "stacked": (stacked, [[3, 3], 2]),
    "Dense": (lambda: keras.layers.Dense(6), []),
}


@pytest.mark.parametrize("controller", CONTROLLERS.values(), ids=CONTROLLERS)
def test_controller_states_keep_the_controller_s_structure(controller):
    make, structure = controller
    cell = keras_dnc.DNCCell(2, make(), memory_size=4, word_size=3)
    assert cell.state_size[7:] == keras.tree.flatten(structure)

    states = cell.get_initial_state(batch_size=5)
    unpacked = cell.unpack_state(states)
    assert type(unpacked.controller_states) is list
    # A string stands for a shape, which a tree would take for a container.
    shapes = keras.tree.map_structure(
        lambda state: str(tuple(state.shape)), unpacked.controller_states
    )
    assert shapes == keras.tree.map_structure(lambda n: f"(5, {n})", structure)
    assert_equal(cell.pack_state(unpacked), states)


def test_initial_state_is_zero():
    cell = keras_dnc.DNCCell(2, 6, memory_size=4, word_size=3, num_writes=2)
    states = cell.get_initial_state(batch_size=5)
    assert [part.shape for part in states] == [
        (5, size) for size in cell.state_size
    ]
    assert not any(ops.convert_to_numpy(part).any() for part in states)


class StartsAtOne(keras.layers.SimpleRNNCell):
    def get_initial_state(self, batch_size=None):
        return [ops.ones((batch_size, self.units))]


def test_initial_state_of_a_controller_is_its_own():
    cell = keras_dnc.DNCCell(2, StartsAtOne(6), memory_size=4, word_size=3)
    *memory, controller = cell.get_initial_state(batch_size=5)
    assert not any(ops.convert_to_numpy(part).any() for part in memory)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(controller), np.ones((5, 6))
    )
