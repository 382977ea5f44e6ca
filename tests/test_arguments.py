"""Bad arguments and inputs: the argument, what was expected, what came."""

import keras
import numpy as np
import pytest

import keras_dnc

DNC_CLASSES = pytest.mark.parametrize(
    "cls", [keras_dnc.DNC, keras_dnc.DNCCell], ids=["DNC", "DNCCell"]
)


@DNC_CLASSES
@pytest.mark.parametrize(
    "name",
    ["units", "memory_size", "word_size", "num_reads", "num_writes"],
)
@pytest.mark.parametrize("value", [0, -3, 2.0, "4", None, True])
def test_a_size_that_is_no_positive_integer(cls, name, value):
    arguments = {"units": 4, name: value}
    message = f"`{name}` must be a positive integer. Received: {name}={value!r}"
    with pytest.raises(ValueError) as error:
        cls(**arguments)
    assert message in str(error.value)


@pytest.mark.parametrize("name", ["word_size", "num_reads", "num_writes"])
def test_a_size_of_an_interface(name):
    sizes = {"word_size": 4, "num_reads": 2, name: 0}
    with pytest.raises(ValueError, match=rf"`{name}` must be .*{name}=0"):
        keras_dnc.Interface(**sizes)


def test_sizes_may_be_integers_of_numpy():
    cell = keras_dnc.DNCCell(np.int64(4), memory_size=np.int32(5))
    assert type(cell.get_config()["memory_size"]) is int
    assert cell.units == 4


@DNC_CLASSES
@pytest.mark.parametrize("value", [0, -1.0, "20", True, float("nan")])
def test_a_clip_value_that_is_no_positive_number(cls, value):
    with pytest.raises(
        ValueError,
        match=r"`clip_value` must be a positive number, or None .*clip_value=",
    ):
        cls(4, clip_value=value)


@DNC_CLASSES
@pytest.mark.parametrize("name", ["dropout", "recurrent_dropout"])
@pytest.mark.parametrize("value", [-0.1, 1.0, 1.5, "0.5"])
def test_a_rate_outside_0_to_1(cls, name, value):
    with pytest.raises(
        ValueError, match=rf"`{name}` must be a number from 0 to .*1.*{name}="
    ):
        cls(4, **{name: value})


@DNC_CLASSES
@pytest.mark.parametrize("value", [-1, 1.5, "abc"])
def test_a_seed_that_is_none(cls, value):
    with pytest.raises(ValueError, match=f"`seed` must.*seed={value!r}"):
        cls(4, seed=value)


@DNC_CLASSES
@pytest.mark.parametrize("value", [0, "lstm", 3.5, None])
def test_a_controller_that_is_none(cls, value):
    with pytest.raises(
        ValueError,
        match=r"`controller` must be a positive integer, an RNN cell",
    ):
        cls(4, controller=value)


@DNC_CLASSES
def test_a_recurrent_layer_as_controller_is_told_to_pass_its_cell(cls):
    with pytest.raises(
        ValueError, match=r"`controller` must be .*LSTMCell.* Received: .*LSTM"
    ):
        cls(4, controller=keras.layers.LSTM(5))


@pytest.mark.parametrize(
    "name, value",
    [
        ("dropout", 0.5),
        ("recurrent_dropout", 0.5),
        ("recurrent_regularizer", "l2"),
        ("recurrent_constraint", "unit_norm"),
    ],
)
def test_an_lstm_argument_beside_a_controller_of_ones_own(name, value):
    with pytest.raises(
        ValueError, match=rf"`{name}` holds for .* integer.*Received: {name}="
    ):
        keras_dnc.DNCCell(
            4, controller=keras.layers.GRUCell(5), **{name: value}
        )


@pytest.mark.parametrize(
    "name", ["normalization", "interface", "write_head", "read_head"]
)
def test_a_sublayer_that_is_no_layer(name):
    with pytest.raises(
        ValueError, match=rf"`{name}` must be a Keras layer.*{name}='layer'"
    ):
        keras_dnc.DNCCell(4, **{name: "layer"})


@pytest.mark.parametrize(
    "cls, name",
    [
        (keras_dnc.WriteHead, "content_addressing"),
        (keras_dnc.WriteHead, "allocation_addressing"),
        (keras_dnc.ReadHead, "content_addressing"),
        (keras_dnc.ReadHead, "temporal_linkage"),
    ],
)
def test_a_part_of_a_head_that_is_no_layer(cls, name):
    with pytest.raises(ValueError, match=rf"`{name}` must be a Keras layer"):
        cls(**{name: 3})


@pytest.mark.parametrize(
    "cls, name",
    [(keras_dnc.DNC, "read_head"), (keras_dnc.ReadHead, "temporal_linkage")],
)
def test_a_layer_that_does_not_say_what_state_it_has(cls, name):
    arguments = {"units": 2} if cls is keras_dnc.DNC else {}
    with pytest.raises(
        ValueError, match=rf"`{name}` must be a layer with a method `state_sha"
    ):
        cls(**arguments, **{name: keras.layers.Dense(3)})


@pytest.mark.parametrize("name", ["word_size", "num_reads", "num_writes"])
def test_an_interface_that_does_not_fit_the_cell(name):
    sizes = {"word_size": 4, "num_reads": 2, "num_writes": 1}
    interface = keras_dnc.Interface(**{**sizes, name: 3})
    with pytest.raises(
        ValueError,
        match=rf"`interface` must have the cell's {name}=.*Received.*{name}=3",
    ):
        keras_dnc.DNCCell(4, **sizes, interface=interface)


def test_a_projection_of_another_size_than_the_interface():
    interface = keras_dnc.Interface(
        4, 2, projection=keras.layers.Dense(7, name="short")
    )
    # 2·4 + 3·4 + 5·2 + 3 for one write head.
    with pytest.raises(
        ValueError, match=r"`projection` must have 33 outputs.* with 7 outputs"
    ):
        interface(np.zeros((1, 5)))


@DNC_CLASSES
def test_an_unknown_argument(cls):
    with pytest.raises((TypeError, ValueError), match="memroy_size"):
        cls(4, memroy_size=8)


@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 5, 3, 1)])
def test_sequences_of_another_rank(shape):
    with pytest.raises(
        ValueError, match=r"expected ndim=3.*\D" + str(shape[0])
    ):
        keras_dnc.DNC(4)(np.zeros(shape))


def test_sequences_of_another_width_than_those_built_for():
    layer = keras_dnc.DNC(4, controller=5, name="reader")
    layer(np.zeros((2, 3, 6)))
    with pytest.raises(ValueError, match="'reader'.*axis -1.* value 6.*7"):
        layer(np.zeros((2, 3, 7)))


def test_a_step_of_another_rank():
    cell = keras_dnc.DNCCell(4, controller=5)
    with pytest.raises(ValueError, match=r"shape \(B, X\).*\(2, 3, 6\)"):
        cell(np.zeros((2, 3, 6)), cell.get_initial_state(batch_size=2))


def test_states_of_another_number_or_shape():
    cell = keras_dnc.DNCCell(4, controller=5)
    states = cell.get_initial_state(batch_size=2)
    with pytest.raises(ValueError, match="`states` must be 9 tensors.* 8 tens"):
        cell.unpack_state(states[:-1])
    wrong = [states[1], *states[1:]]
    with pytest.raises(ValueError, match=r"`states` must be .*\(2, 64\)"):
        cell.unpack_state(wrong)


def test_an_initial_state_of_another_shape():
    layer = keras_dnc.DNC(4, controller=5)
    states = layer.get_initial_state(batch_size=2)
    with pytest.raises(ValueError, match="`states` must be 9 tensors"):
        layer(np.zeros((2, 3, 6)), initial_state=states[:-1])


def test_call_arguments_whose_shapes_do_not_fit():
    with pytest.raises(
        ValueError, match=r"`keys` must have the shape \(B, H, W\).*\(2, 1, 5\)"
    ):
        keras_dnc.ContentAddressing()(
            np.zeros((2, 3, 4)), np.zeros((2, 1, 5)), np.ones((2, 1))
        )
    with pytest.raises(ValueError, match=r"`link` must have the shape"):
        keras_dnc.TemporalLinkage()(
            np.zeros((2, 1, 3, 4)),
            np.zeros((2, 1, 3)),
            np.zeros((2, 1, 3)),
            np.zeros((2, 2, 3)),
        )
    with pytest.raises(ValueError, match=r"`write_gates` must have the shape"):
        keras_dnc.AllocationAddressing()(
            np.zeros((2, 3)), np.zeros((2, 1)), np.zeros((2, 2))
        )
    with pytest.raises(ValueError, match="must be the 10 tensors of an Inter"):
        keras_dnc.WriteHead()(
            [np.zeros((2, 1))],
            np.zeros((2, 3, 4)),
            np.zeros((2, 3)),
            np.zeros((2, 1, 3)),
            np.zeros((2, 1, 3)),
        )


def test_stateful_needs_a_batch_size():
    layer = keras_dnc.DNC(4, controller=5, stateful=True)
    with pytest.raises(ValueError, match="batch size must be static"):
        layer(keras.Input((3, 6)))
