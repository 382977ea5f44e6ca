"""The layer does what `keras.layers.RNN` promises."""

import itertools

import keras
import numpy as np
import pytest
from helpers import (
    FEATURES,
    SIZES,
    UNITS,
    arrays,
    assert_close,
    assert_differ,
    build,
    extended,
    make_cell,
    make_dnc,
    random_states,
    randomize,
    sequences,
    tensorflow_only,
    twin,
)
from keras import ops

LENGTHS = [4, 2, 1]

extensions = extended()
plain_only = pytest.mark.parametrize(
    "extensions", [{}], ids=["plain"], indirect=True
)


@pytest.fixture
def inputs():
    return sequences()


@pytest.fixture
def padded():
    """Sequences of the lengths `LENGTHS`, with a mask of their true steps.

    The padding holds large numbers, which would show if they were read.
    """
    inputs = sequences(batch=len(LENGTHS))
    mask = np.arange(inputs.shape[1]) < np.array(LENGTHS)[:, None]
    return np.where(mask[..., None], inputs, 50.0).astype("float32"), mask


def by_hand(cell, inputs, states):
    """Steps a cell through sequences; returns outputs and final states."""
    outputs = []
    for step in range(inputs.shape[1]):
        output, states = cell(ops.convert_to_tensor(inputs[:, step]), states)
        outputs.append(output)
    return ops.stack(outputs, axis=1), states


def test_outputs_and_states_are_those_of_stepping_the_cell_by_hand(inputs):
    layer = build(make_dnc(return_sequences=True, return_state=True), inputs)
    outputs, *states = layer(inputs)
    expected_outputs, expected_states = by_hand(
        layer.cell, inputs, layer.cell.get_initial_state(batch_size=2)
    )
    assert outputs.shape == (2, 4, UNITS)
    assert_close(outputs, expected_outputs)
    assert_close(states, expected_states)


def test_without_return_sequences_the_last_output_comes_back(inputs):
    every = build(make_dnc(return_sequences=True), inputs)
    last = twin(make_dnc(), every, inputs)
    assert last(inputs).shape == (2, UNITS)
    assert_close(last(inputs), every(inputs)[:, -1])


def test_dnc_equals_rnn_over_its_cell(inputs):
    options = {"return_sequences": True, "return_state": True}
    layer = build(make_dnc(num_writes=2, **options), inputs)
    cell = make_cell(num_writes=2)
    rnn = twin(keras.layers.RNN(cell, **options), layer, inputs)
    assert_close(rnn(inputs), layer(inputs))


def test_initial_state_continues_a_sequence(inputs):
    layer = build(make_dnc(return_sequences=True, return_state=True), inputs)
    whole = layer(inputs)
    first, *states = layer(inputs[:, :2])
    second, *final = layer(inputs[:, 2:], initial_state=states)
    assert_close(ops.concatenate([first, second], axis=1), whole[0])
    assert_close(final, whole[1:])
    assert_differ(second, layer(inputs[:, 2:])[0])


def test_an_initial_state_that_is_not_packed_is_refused(inputs):
    layer = build(make_dnc(return_state=True), inputs)
    _, *states = layer(inputs)
    state = layer.cell.unpack_state(states)
    with pytest.raises(ValueError, match="`cell.pack_state"):
        layer(inputs, initial_state=state)
    assert_close(
        layer(inputs, initial_state=layer.cell.pack_state(state))[0],
        layer(inputs, initial_state=states)[0],
    )


def test_arguments_of_layers_are_not_those_of_the_cell():
    with pytest.warns(UserWarning, match="input_shape"):
        layer = make_dnc(input_shape=(4, FEATURES), autocast=False)
    assert keras.Sequential([layer]).built
    assert not layer.autocast
    assert layer.units == UNITS


def test_one_layer_may_start_another_in_a_functional_model(inputs):
    encoder = make_dnc(return_state=True)
    decoder = make_dnc(return_sequences=True)
    source = keras.Input((None, FEATURES))
    target = keras.Input((None, FEATURES))
    _, *states = encoder(source)
    model = keras.Model([source, target], decoder(target, initial_state=states))
    randomize(model)
    other = sequences(steps=3, seed=5)
    _, *states = encoder(inputs)
    expected, _ = by_hand(decoder.cell, other, states)
    assert_close(model([inputs, other]), expected)


def test_stateful_goes_on_where_it_stopped(inputs):
    whole = build(make_dnc(return_sequences=True), inputs)
    layer = twin(
        make_dnc(return_sequences=True, stateful=True), whole, inputs[:, :2]
    )
    first, second = layer(inputs[:, :2]), layer(inputs[:, 2:])
    assert_close(ops.concatenate([first, second], axis=1), whole(inputs))


def test_reset_state_restores_the_beginning(inputs):
    layer = build(make_dnc(return_sequences=True, stateful=True), inputs)
    first = arrays(layer(inputs))
    assert_differ(layer(inputs), first)
    layer.reset_state()
    assert_close(layer(inputs), first)


def test_go_backwards_reads_from_the_end(inputs):
    layer = build(make_dnc(return_sequences=True), inputs)
    backwards = twin(
        make_dnc(return_sequences=True, go_backwards=True), layer, inputs
    )
    assert_close(backwards(inputs), layer(inputs[:, ::-1]))


def test_unroll_equals_the_loop(inputs):
    options = {"return_sequences": True, "return_state": True}
    loop = build(make_dnc(**options), inputs)
    unrolled = twin(make_dnc(unroll=True, **options), loop, inputs)
    states = random_states(loop.cell)
    assert_close(
        unrolled(inputs, initial_state=states),
        loop(inputs, initial_state=states),
    )


def test_unroll_equals_the_loop_in_a_compiled_model(inputs):
    outputs = []
    for unroll in (False, True):
        layer = make_dnc(return_sequences=True, unroll=unroll)
        model = keras.Sequential([keras.Input(inputs.shape[1:]), layer])
        randomize(model)
        outputs.append(model.predict(inputs, verbose=0))
    assert_close(*outputs)


@pytest.mark.parametrize("unroll", [False, True], ids=["loop", "unroll"])
@pytest.mark.parametrize("zero", [False, True], ids=["repeat", "zero"])
def test_a_padded_sequence_gets_what_it_gets_alone(padded, zero, unroll):
    inputs, mask = padded
    layer = make_dnc(
        return_sequences=True,
        return_state=True,
        zero_output_for_mask=zero,
        unroll=unroll,
    )
    build(layer, inputs)
    start = random_states(layer.cell, batch=len(LENGTHS))
    outputs, *states = arrays(layer(inputs, mask=mask, initial_state=start))
    for i, length in enumerate(LENGTHS):
        alone, *alone_states = arrays(
            layer(
                inputs[i : i + 1, :length],
                initial_state=[part[i : i + 1] for part in start],
            )
        )
        assert_close(outputs[i, :length], alone[0])
        assert_close([s[i] for s in states], [s[0] for s in alone_states])
        padding = 0 * alone[0, -1:] if zero else alone[0, -1:]
        assert_close(
            outputs[i, length:], np.repeat(padding, 4 - length, axis=0)
        )


def test_the_last_output_is_that_of_the_last_true_step(padded):
    inputs, mask = padded
    layer = build(make_dnc(), inputs)
    output = layer(inputs, mask=mask)
    for i, length in enumerate(LENGTHS):
        alone = layer(inputs[i : i + 1, :length])
        assert_close(output[i : i + 1], alone)


def test_padding_in_front_is_not_read(padded):
    inputs, mask = padded
    layer = build(make_dnc(return_state=True), inputs)
    start = random_states(layer.cell, batch=len(LENGTHS))
    result = layer(
        inputs[:, ::-1].copy(), mask=mask[:, ::-1].copy(), initial_state=start
    )
    for i, length in enumerate(LENGTHS):
        alone = layer(
            inputs[i : i + 1, :length][:, ::-1].copy(),
            initial_state=[part[i : i + 1] for part in start],
        )
        assert_close([part[i : i + 1] for part in result], alone)


def test_a_masking_layer_hides_steps_from_the_layer(padded):
    inputs, mask = padded
    marked = np.where(mask[..., None], inputs, -9.0)
    layer = make_dnc(return_sequences=True)
    model = keras.Sequential(
        [
            keras.Input((None, FEATURES)),
            keras.layers.Masking(mask_value=-9.0),
            layer,
        ]
    )
    randomize(model)
    assert_close(model(marked), layer(inputs, mask=mask))
    assert_differ(model(marked), layer(inputs))


def test_the_mask_of_a_layer_before_holds_beside_given_states(padded):
    inputs, mask = padded
    marked = np.where(mask[..., None], inputs, -9.0)
    masked = keras.layers.Masking(mask_value=-9.0)(marked)
    layer = build(make_dnc(return_sequences=True), inputs)
    start = random_states(layer.cell, batch=len(LENGTHS))
    result = layer(masked, initial_state=start)
    assert_close(result, layer(inputs, mask=mask, initial_state=start))
    assert_differ(result, layer(marked, initial_state=start))


def test_an_embedding_hides_steps_and_the_mask_travels_on():
    words = np.array([[3, 1, 2, 0], [2, 2, 0, 0]])
    embedding = keras.layers.Embedding(4, FEATURES, mask_zero=True)
    first = make_dnc(return_sequences=True)
    second = make_dnc()
    inputs = keras.Input((None,), dtype="int32")
    hidden = first(embedding(inputs))
    model = keras.Model(inputs, second(hidden))
    randomize(model)
    for row, length in enumerate([3, 2]):
        # Without the zeros there is nothing to mask.
        alone = embedding(words[row : row + 1, :length])
        assert_close(model(words)[row : row + 1], second(first(arrays(alone))))


@pytest.mark.parametrize("every", [True, False], ids=["sequences", "last"])
def test_bidirectional_joins_the_two_directions(inputs, every):
    layer = keras.layers.Bidirectional(make_dnc(return_sequences=every))
    build(layer, inputs)
    forward = twin(
        make_dnc(return_sequences=every), layer.forward_layer, inputs
    )
    backward = twin(
        make_dnc(return_sequences=every), layer.backward_layer, inputs
    )
    ahead, back = arrays(forward(inputs)), arrays(backward(inputs[:, ::-1]))
    if every:
        back = back[:, ::-1]
    assert_close(layer(inputs), np.concatenate([ahead, back], axis=-1))
    assert_differ(ahead, back)


def test_bidirectional_starts_each_direction_from_its_own_states(inputs):
    layer = keras.layers.Bidirectional(make_dnc(), merge_mode=None)
    build(layer, inputs)
    ahead = random_states(layer.forward_layer.cell, seed=3)
    back = random_states(layer.backward_layer.cell, seed=4)
    outputs = layer(inputs, initial_state=[*ahead, *back])
    assert_close(
        outputs,
        [
            layer.forward_layer(inputs, initial_state=ahead),
            layer.backward_layer(inputs, initial_state=back),
        ],
    )
    assert_differ(outputs[0], layer(inputs)[0])


@pytest.mark.parametrize("dnc_first", [True, False])
def test_stacked_with_another_cell_equals_two_layers(inputs, dnc_first):
    cells = [make_cell(), keras.layers.GRUCell(3)]
    cells = cells if dnc_first else cells[::-1]
    stack = keras.layers.RNN(
        keras.layers.StackedRNNCells(cells), return_sequences=True
    )
    build(stack, inputs)
    lower, upper = (
        keras.layers.RNN(cell, return_sequences=True) for cell in cells
    )
    assert_close(stack(inputs), upper(lower(inputs)))


def test_stacked_states_start_and_return_as_they_are(inputs):
    cells = [make_cell(), keras.layers.LSTMCell(3)]
    stack = keras.layers.RNN(
        keras.layers.StackedRNNCells(cells), return_state=True
    )
    build(stack, inputs)
    _, *states = stack(inputs[:, :2])
    continued = stack(inputs[:, 2:], initial_state=states)
    assert_close(continued, stack(inputs))


def test_a_time_distributed_head_sees_every_step(inputs):
    layer = make_dnc(return_sequences=True)
    head = keras.layers.Dense(5, activation="tanh")
    model = keras.Sequential(
        [
            keras.Input((None, FEATURES)),
            layer,
            keras.layers.TimeDistributed(head),
        ]
    )
    randomize(model)
    outputs = layer(inputs)
    expected = ops.stack([head(outputs[:, t]) for t in range(4)], axis=1)
    assert_close(model(inputs), expected)


def test_unknown_batch_and_time_take_any_size():
    layer = make_dnc(return_sequences=True)
    model = keras.Sequential([keras.Input((None, FEATURES)), layer])
    randomize(model)
    assert model.output_shape == (None, None, UNITS)
    for batch, steps in [(2, 4), (3, 1), (1, 6)]:
        inputs = sequences(batch, steps)
        assert_close(model.predict(inputs, verbose=0), layer(inputs))


STATE_SIZES = [12, 4, 4, 16, 4, 8, 6, 5, 5]


@plain_only
@pytest.mark.parametrize(
    ("every", "states"), list(itertools.product([False, True], repeat=2))
)
def test_output_shapes_are_known_before_the_data(every, states):
    layer = make_dnc(return_sequences=every, return_state=states)
    output = (None, 7, UNITS) if every else (None, UNITS)
    expected = [output]
    if states:
        expected += [(None, size) for size in STATE_SIZES]
    computed = layer.compute_output_shape((None, 7, FEATURES))
    assert (list(computed) if states else [computed]) == expected
    symbolic = keras.tree.flatten(layer(keras.Input((7, FEATURES))))
    assert [part.shape for part in symbolic] == expected


@plain_only
def test_summary_shows_the_layer_and_counts_its_weights():
    inner = keras.Sequential(
        [keras.Input((None, FEATURES)), make_dnc(name="memory")], name="inner"
    )
    outer = keras.Sequential([keras.Input((None, FEATURES)), inner])
    lines = []
    outer.summary(expand_nested=True, print_fn=lines.append, line_length=80)
    reads = SIZES["num_reads"] * SIZES["word_size"]
    interface = reads + 3 * SIZES["word_size"] + 5 * SIZES["num_reads"] + 3
    lstm = 4 * 5 * (FEATURES + reads + 5 + 1)
    weights = lstm + (5 + 1) * interface + (5 + reads + 1) * UNITS
    rows = "\n".join(lines).split("\n")
    row = next(row for row in rows if "memory (DNC)" in row)
    assert f"(None, {UNITS})" in row
    assert f"{weights:,}" in row


class SubclassedModel(keras.Model):
    """A model in the style that writes its own `call`."""

    def __init__(self):
        super().__init__()
        self.memory = make_dnc(return_sequences=True)
        self.head = keras.layers.Dense(1)

    def call(self, inputs, training=False):
        return self.head(self.memory(inputs, training=training))


def functional_model():
    inputs = keras.Input((None, FEATURES))
    hidden = make_dnc(return_sequences=True)(inputs)
    return keras.Model(inputs, keras.layers.Dense(1)(hidden))


def sequential_model():
    layers = [make_dnc(return_sequences=True), keras.layers.Dense(1)]
    return keras.Sequential([keras.Input((None, FEATURES)), *layers])


def rnn_model():
    rnn = keras.layers.RNN(make_cell(), return_sequences=True)
    return keras.Sequential([rnn, keras.layers.Dense(1)])


def two_layer_model():
    return keras.Sequential(
        [
            keras.Input((None, FEATURES)),
            make_dnc(return_sequences=True),
            make_dnc(return_sequences=True),
            keras.layers.Dense(1),
        ]
    )


def bidirectional_model():
    layer = keras.layers.Bidirectional(make_dnc(return_sequences=True))
    return keras.Sequential([layer, keras.layers.Dense(1)])


def masked_model():
    return keras.Sequential(
        [
            keras.layers.Masking(),
            make_dnc(return_sequences=True),
            keras.layers.Dense(1),
        ]
    )


def stacked_model():
    cells = [make_cell(), keras.layers.GRUCell(3)]
    rnn = keras.layers.RNN(
        keras.layers.StackedRNNCells(cells), return_sequences=True
    )
    return keras.Sequential([rnn, keras.layers.Dense(1)])


MODELS = [
    functional_model,
    sequential_model,
    SubclassedModel,
    rnn_model,
    two_layer_model,
    bidirectional_model,
    masked_model,
    stacked_model,
]


def assert_learns(model, **compile_arguments):
    """Fits a model to one batch; checks that it learns with all its weights."""
    inputs = sequences(batch=4, steps=3)
    targets = 1 + inputs[..., :1]
    optimizer = keras.optimizers.Adam(0.1)
    model.compile(optimizer, "mse", **compile_arguments)
    model(inputs)
    before = [arrays(weight) for weight in model.trainable_variables]
    # More than there are examples: Keras then leaves the batch size unknown.
    history = model.fit(
        inputs, targets, batch_size=8, epochs=6, verbose=0
    ).history
    after = [arrays(weight) for weight in model.trainable_variables]
    still = [
        variable.path
        for variable, old, new in zip(
            model.trainable_variables, before, after, strict=True
        )
        if np.array_equal(old, new)
    ]
    assert not still
    assert history["loss"][-1] < 0.5 * history["loss"][0]


@plain_only
@pytest.mark.parametrize(
    "make_model",
    [
        sequential_model,
        pytest.param(SubclassedModel, marks=pytest.mark.slow),
        pytest.param(two_layer_model, marks=pytest.mark.slow),
    ],
    ids=lambda make: make.__name__,
)
def test_a_model_learns_run_eagerly(make_model):
    assert_learns(make_model(), run_eagerly=True)


@plain_only
@pytest.mark.slow
def test_a_functional_model_learns_as_compiled_by_default():
    assert_learns(functional_model())


@plain_only
@pytest.mark.slow
@pytest.mark.parametrize("make_model", MODELS, ids=lambda make: make.__name__)
@pytest.mark.parametrize(
    "jit_compile",
    [False, pytest.param(True, marks=tensorflow_only)],
    ids=["graph", "jit"],
)
def test_every_style_of_model_learns_compiled(make_model, jit_compile):
    assert_learns(make_model(), jit_compile=jit_compile)


@pytest.mark.slow
@tensorflow_only
def test_jit_compile_changes_neither_losses_nor_outputs():
    inputs, results = sequences(batch=3, steps=3), []
    targets = np.cumsum(inputs, axis=1)[..., :1]
    for jit_compile in (False, True):
        keras.utils.set_random_seed(3)
        model = sequential_model()
        model.compile(
            keras.optimizers.Adam(0.02), "mse", jit_compile=jit_compile
        )
        assert model.jit_compile is jit_compile
        # More than there are examples: the compiler must then do without
        # knowing the batch size, as it must for a last, smaller batch.
        history = model.fit(
            inputs, targets, batch_size=8, epochs=4, shuffle=False, verbose=0
        )
        losses = np.array(history.history["loss"])
        results.append((losses, model.predict(inputs, verbose=0)))
    assert_close(results[0], results[1], tolerance=1e-5)


@plain_only
def test_each_time_step_costs_no_weights():
    layer = make_dnc()
    layer.build((None, None, FEATURES))
    names = [weight.path.split("/", 1)[1] for weight in layer.weights]
    assert names == [
        "cell/controller/kernel",
        "cell/controller/recurrent_kernel",
        "cell/controller/bias",
        "cell/interface/projection/kernel",
        "cell/interface/projection/bias",
        "cell/output_projection/kernel",
        "cell/output_projection/bias",
    ]


@pytest.mark.parametrize("batch", [1, 3])
def test_no_example_sees_another(batch):
    inputs = sequences(batch=3)
    layer = build(make_dnc(return_sequences=True), inputs)
    assert_close(layer(inputs)[:batch], layer(inputs[:batch]))


def test_the_layer_needs_no_more_than_a_width():
    layer = keras.layers.RNN(make_cell())
    assert layer(np.ones((1, 1, 1), "float32")).shape == (1, UNITS)
