"""Variational layers in recurrences: what is counted, drawn and learned."""

import itertools

import extensions
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
    make_dnc,
    randomize,
    sequences,
)
from keras import ops

import keras_dnc
from keras_dnc import bayesian
from keras_dnc.bayesian.weights import random_weights

if keras.backend.backend() != "tensorflow":
    pytest.skip(
        "TensorFlow Probability needs the TensorFlow backend",
        allow_module_level=True,
    )

import tensorflow as tf

KL_WEIGHT = 0.3
STEP_SIZE = 0.125
CELLS = {
    cls.__name__: cls
    for cls in (
        bayesian.LSTMCellFlipout,
        bayesian.LSTMCellReparameterization,
        bayesian.GRUCellFlipout,
        bayesian.GRUCellReparameterization,
    )
}


def make_bayesian_cell(**arguments):
    """A tiny `BayesianDNCCell`."""
    arguments = {"units": UNITS, "controller": 4, **SIZES, **arguments}
    return bayesian.BayesianDNCCell(**arguments)


def make_bayesian_dnc(**arguments):
    """A tiny `BayesianDNC`."""
    arguments = {"units": UNITS, "controller": 4, **SIZES, **arguments}
    return bayesian.BayesianDNC(**arguments)


def posteriors(layer):
    """Pairs of the variables `μ` and `ρ` of each normal posterior."""
    pairs = []
    for loc, scale in itertools.pairwise(layer.weights):
        if scale.name == "posterior_untransformed_scale":
            assert loc.name == "posterior_loc"
            pairs.append((loc, scale))
    return pairs


def deviation(untransformed_scale):
    rho = arrays(untransformed_scale).astype("float64")
    return np.logaddexp(0, rho) + np.finfo("float32").eps


def closed_form_kl(layer, prior_scale=1.0):
    """`KL(q‖p)` of a layer's weights, each once, in NumPy and float64."""
    total = 0.0
    for loc, untransformed_scale in posteriors(layer):
        m = arrays(loc).astype("float64") / prior_scale
        s = deviation(untransformed_scale) / prior_scale
        total += np.sum(-np.log(s) + (s**2 + m**2) / 2 - 0.5)
    return total


def kl_gradients(layer):
    """The gradients of the closed form by `μ` and by `ρ`."""
    gradients = []
    for loc, untransformed_scale in posteriors(layer):
        s = deviation(untransformed_scale)
        slope = 1 / (1 + np.exp(-arrays(untransformed_scale).astype("float64")))
        gradients += [
            (loc, arrays(loc).astype("float64")),
            (untransformed_scale, (s - 1 / s) * slope),
        ]
    return gradients


def scale_to_zero(layer):
    """Leaves of each posterior its mean."""
    for _, untransformed_scale in posteriors(layer):
        untransformed_scale.assign(ops.full(untransformed_scale.shape, -50.0))


def no_loss(targets, outputs):
    """A data loss of zero, unless an output is NaN."""
    return 0 * ops.mean(outputs)


# (a) The divergence counts once.


def over_sequences(layer):
    """A model of one layer over sequences."""
    # Only an unrolled loop has to know its number of steps.
    steps = 3 if getattr(layer, "unroll", False) else None
    return keras.Sequential([keras.Input((steps, FEATURES)), layer])


def dense():
    return keras.Sequential(
        [
            keras.Input((None, FEATURES)),
            bayesian.DenseFlipout(4, "tanh", kl_weight=KL_WEIGHT),
            bayesian.DenseReparameterization(3, kl_weight=KL_WEIGHT),
            bayesian.DenseLocalReparameterization(2, kl_weight=KL_WEIGHT),
        ]
    )


def variational(cell, **options):
    return over_sequences(bayesian.VariationalRNN(cell, **options))


def lstm():
    return bayesian.LSTMCellFlipout(4, kl_weight=KL_WEIGHT)


def gru():
    return bayesian.GRUCellReparameterization(3, kl_weight=KL_WEIGHT)


def with_masks(layer):
    return keras.Sequential(
        [
            keras.Input((None, FEATURES)),
            keras.layers.Masking(0.0),
            layer,
        ]
    )


def functional():
    """One layer's final states start another."""
    inputs = keras.Input((None, FEATURES))
    encoder = bayesian.VariationalRNN(gru(), return_state=True)
    decoder = bayesian.VariationalRNN(
        bayesian.GRUCellFlipout(3, kl_weight=KL_WEIGHT)
    )
    _, state = encoder(inputs)
    return keras.Model(inputs, decoder(inputs, initial_state=state))


def shared():
    """One layer, called twice."""
    layer = bayesian.VariationalRNN(lstm())
    inputs = keras.Input((None, FEATURES))
    return keras.Model(inputs, layer(inputs) + layer(2 * inputs))


def stateful():
    return keras.Sequential(
        [
            keras.Input((None, FEATURES), batch_size=2),
            bayesian.VariationalRNN(lstm(), stateful=True),
        ]
    )


def bias_too():
    """Priors of the bias too, which is a point by default."""
    return variational(
        bayesian.GRUCellFlipout(
            3,
            bias_posterior_fn="mean_field_normal",
            bias_prior_fn="standard_normal",
            kl_weight=KL_WEIGHT,
        )
    )


def stacked():
    return variational([lstm(), keras.layers.GRUCell(3), gru()])


WEIGHTED = {"kl_weight": KL_WEIGHT}
MODES = {
    "dense": dense,
    "LSTMCellFlipout": lambda: variational(lstm()),
    "GRUCellReparameterization": lambda: variational(gru()),
    "bias": bias_too,
    "draw_per_step": lambda: variational(lstm(), draw_per_step=True),
    "unroll": lambda: over_sequences(
        bayesian.VariationalRNN(gru(), unroll=True)
    ),
    "mask": lambda: with_masks(bayesian.VariationalRNN(lstm())),
    "initial_state": functional,
    "stateful": stateful,
    "Bidirectional": lambda: over_sequences(
        keras.layers.Bidirectional(bayesian.VariationalRNN(gru()))
    ),
    "StackedRNNCells": stacked,
    "shared": shared,
    "RNN": lambda: over_sequences(keras.layers.RNN(lstm())),
    "RNN unrolled": lambda: over_sequences(
        keras.layers.RNN(gru(), unroll=True)
    ),
    "RNN of BayesianDNCCell": lambda: over_sequences(
        keras.layers.RNN(make_bayesian_cell(**WEIGHTED))
    ),
    "BayesianDNC": lambda: over_sequences(make_bayesian_dnc(**WEIGHTED)),
    "BayesianDNC, reparameterization, mask": lambda: with_masks(
        make_bayesian_dnc(
            estimator="reparameterization",
            variational_controller=True,
            **WEIGHTED,
        )
    ),
    "BayesianDNC, Bidirectional": lambda: over_sequences(
        keras.layers.Bidirectional(
            make_bayesian_dnc(variational_controller=True, **WEIGHTED)
        )
    ),
    "BayesianDNC unrolled": lambda: over_sequences(
        make_bayesian_dnc(unroll=True, **WEIGHTED)
    ),
}
# How many pairs of variables each has: a lost posterior would lower the
# closed form too.
POSTERIORS = {
    **dict.fromkeys(MODES, 2),
    "dense": 3,
    "bias": 3,
    "initial_state": 4,
    "Bidirectional": 4,
    "StackedRNNCells": 4,
    "BayesianDNC, reparameterization, mask": 4,
    "BayesianDNC, Bidirectional": 8,
}
RUNS = {
    "eager": {"run_eagerly": True, "jit_compile": False},
    "graph": {"jit_compile": False},
    "xla": {"jit_compile": True},
}
# What a default run takes: each mode in a graph, and some in the others.
# An unrolled DNC takes long to trace.
LONG = {
    ("graph", "RNN of BayesianDNCCell"),
    ("graph", "BayesianDNC, Bidirectional"),
    ("graph", "BayesianDNC unrolled"),
    ("graph", "BayesianDNC, reparameterization, mask"),
}
SHORT = {
    *(("graph", mode) for mode in MODES),
    ("eager", "dense"),
    ("eager", "LSTMCellFlipout"),
    ("eager", "Bidirectional"),
    ("eager", "RNN"),
    ("eager", "BayesianDNC, reparameterization, mask"),
    ("xla", "dense"),
    ("eager", "RNN of BayesianDNCCell"),
} - LONG


# Those that XLA compiles in the slow tests.
COMPILED = {
    "LSTMCellFlipout",
    "mask",
    "stateful",
    "Bidirectional",
    "StackedRNNCells",
    "BayesianDNC, reparameterization, mask",
}


def marks(run, mode):
    if (run, mode) in SHORT:
        return ()
    if run == "xla" and mode not in COMPILED:
        return pytest.mark.exhaustive
    return pytest.mark.slow


COMBINATIONS = [
    pytest.param(run, mode, id=f"{mode}-{run}", marks=marks(run, mode))
    for run, mode in itertools.product(RUNS, MODES)
]


def padded():
    """Sequences, one of which ends in a step that a mask of zeros hides."""
    inputs = sequences(steps=3)
    inputs[1, -1] = 0
    return inputs


def assert_kl_counts_once(model, optimizer, steps=1, **compiling):
    """Trains a step without data loss: the loss and its gradient are KL's."""
    randomize(model)
    inputs = padded()
    model.compile(optimizer, no_loss, **compiling)
    expected = KL_WEIGHT * closed_form_kl(model)
    after = [
        (variable, arrays(variable) - STEP_SIZE * KL_WEIGHT * gradient)
        for variable, gradient in kl_gradients(model)
    ]
    for _ in range(steps):
        loss = model.train_on_batch(inputs, np.zeros((2, 1)))
        np.testing.assert_allclose(loss, expected, rtol=1e-5)
    for variable, value in after:
        np.testing.assert_allclose(
            arrays(variable), value, rtol=1e-4, atol=1e-5, err_msg=variable.path
        )
    return model


def sgd(**options):
    return keras.optimizers.SGD(STEP_SIZE, **options)


@pytest.mark.parametrize(("run", "mode"), COMBINATIONS)
def test_the_kl_counts_once_a_batch(run, mode):
    model = MODES[mode]()
    assert len(posteriors(model)) == POSTERIORS[mode]
    assert_kl_counts_once(model, sgd(), **RUNS[run])


@pytest.mark.parametrize(
    "mode", [pytest.param("dense", marks=pytest.mark.slow), "LSTMCellFlipout"]
)
def test_the_kl_counts_once_with_accumulated_gradients(mode):
    # The mean of two batches' gradients is applied after the second.
    assert_kl_counts_once(
        MODES[mode](),
        sgd(gradient_accumulation_steps=2),
        steps=2,
        jit_compile=False,
    )


@pytest.fixture
def mixed_float16():
    keras.config.set_dtype_policy("mixed_float16")
    yield
    keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize(
    "mode",
    [
        pytest.param("dense", marks=pytest.mark.slow),
        "LSTMCellFlipout",
        pytest.param("BayesianDNC", marks=pytest.mark.slow),
    ],
)
def test_the_kl_counts_once_in_half_precision(mode, mixed_float16):
    assert_kl_counts_once(MODES[mode](), sgd(), jit_compile=False)


def test_the_kl_counts_once_with_several_batches_a_fit():
    model = MODES["LSTMCellFlipout"]()
    randomize(model)
    model.compile(keras.optimizers.SGD(0.0), no_loss, jit_compile=False)
    expected = KL_WEIGHT * closed_form_kl(model)
    inputs, targets = sequences(batch=6), np.zeros((6, 1))
    history = model.fit(inputs, targets, batch_size=2, verbose=0)
    np.testing.assert_allclose(history.history["loss"], expected, rtol=1e-5)
    loss = model.evaluate(inputs, targets, batch_size=3, verbose=0)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_kl_weight_may_change_between_the_batches_of_a_compiled_model():
    model = MODES["LSTMCellFlipout"]()
    randomize(model)
    model.compile(keras.optimizers.SGD(0.0), no_loss, jit_compile=False)
    for weight in (0.5, 0.0, 2.0):
        model.layers[0].cell.kl_weight = weight
        model.reset_metrics()
        loss = model.train_on_batch(sequences(), np.zeros((2, 1)))
        np.testing.assert_allclose(
            loss, weight * closed_form_kl(model), rtol=1e-5
        )


# (b) Frozen variables.


@pytest.mark.parametrize("frozen", [{"loc"}, {"scale"}, {"loc", "scale"}])
@pytest.mark.parametrize("mode", ["dense", "GRUCellReparameterization"])
def test_a_frozen_variable_leaves_the_kl_of_the_rest(frozen, mode):
    model = MODES[mode]()
    randomize(model)
    before = closed_form_kl(model)
    gradients = {variable.path: g for variable, g in kl_gradients(model)}
    for loc, untransformed_scale in posteriors(model):
        loc.trainable = "loc" not in frozen
        untransformed_scale.trainable = "scale" not in frozen
    expected = 0 if len(frozen) == 2 else KL_WEIGHT * before
    with tf.GradientTape() as tape:
        total = sum(model.losses, ops.zeros(()))
    np.testing.assert_allclose(total, expected, rtol=1e-5, atol=1e-9)
    trained = model.trainable_variables
    found = tape.gradient(total, [v.value for v in trained])
    names = {v.name for v in trained}
    assert ("posterior_untransformed_scale" in names) == ("scale" not in frozen)
    for variable, gradient in zip(trained, found, strict=True):
        if variable.path in gradients and len(frozen) < 2:
            expected = KL_WEIGHT * gradients[variable.path]
            if arrays(variable).ndim > 1:
                np.testing.assert_allclose(
                    gradient, expected, rtol=1e-4, atol=1e-6
                )


def test_a_frozen_layer_owes_no_kl():
    model = MODES["GRUCellReparameterization"]()
    model.trainable = False
    assert sum(arrays(loss) for loss in model.losses) == 0
    model.trainable = True
    np.testing.assert_allclose(
        sum(arrays(loss) for loss in model.losses),
        KL_WEIGHT * closed_form_kl(model),
        rtol=1e-5,
    )


def test_a_frozen_posterior_still_trains_a_learned_prior():
    cell = bayesian.GRUCellFlipout(
        3,
        kernel_prior_fn=bayesian.NormalPrior(scale=2.0, learned_scale=True),
        recurrent_prior_fn=bayesian.NormalPrior(scale=2.0, learned_scale=True),
        kl_weight=KL_WEIGHT,
    )
    model = variational(cell)
    expected = KL_WEIGHT * closed_form_kl(model, prior_scale=2.0)
    losses = sum(arrays(loss) for loss in model.losses)
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    for pair in posteriors(model):
        for variable in pair:
            variable.trainable = False
    losses = sum(arrays(loss) for loss in model.losses)
    np.testing.assert_allclose(losses, expected, rtol=1e-5)


# (c) One draw for a sequence.


@keras.saving.register_keras_serializable(package="keras_dnc_tests")
class ForwardCell(keras.layers.Layer):
    """A cell without recurrence: its output is a layer's, of its input."""

    def __init__(self, *layers, output_size=2, **kwargs):
        super().__init__(**kwargs)
        self.layers = list(layers)
        self.output_size = output_size
        self.state_size = 1
        self.fails = False

    def build(self, input_shape):
        for layer in self.layers:
            layer.build(input_shape)
            input_shape = layer.compute_output_shape(input_shape)

    def call(self, inputs, states):
        for layer in self.layers:
            inputs = layer(inputs)
        if self.fails:
            raise RuntimeError("the cell fails")
        return inputs, states


DENSE = {
    "flipout": bayesian.DenseFlipout,
    "reparameterization": bayesian.DenseReparameterization,
}
ALL_DENSE = pytest.mark.parametrize("estimator", DENSE)
TRAINING = pytest.mark.parametrize("training", [False, True])


def forward(estimator, units=2, **options):
    layer = DENSE[estimator](units)
    cell = ForwardCell(layer, output_size=units)
    return bayesian.VariationalRNN(cell, return_sequences=True, **options)


def assert_steps_equal(outputs):
    outputs = arrays(outputs)
    assert_close(outputs, np.broadcast_to(outputs[:, :1], outputs.shape))


@ALL_DENSE
@TRAINING
def test_the_weights_of_all_time_steps_are_one_draw(estimator, training):
    layer = forward(estimator)
    # Each example shows one row of the weights that it meets.
    inputs = np.repeat(np.eye(FEATURES)[:, None], 5, axis=1)
    calls = [arrays(layer(inputs, training=training)) for _ in range(3)]
    for outputs in calls:
        assert outputs.shape == (FEATURES, 5, 2)
        assert_steps_equal(outputs)
    for one, other in itertools.combinations(calls, 2):
        assert np.all(np.abs(one - other) > 1e-6)


@ALL_DENSE
@pytest.mark.parametrize("jit_compile", [False, True])
def test_prediction_draws_anew_for_each_batch(estimator, jit_compile):
    model = over_sequences(forward(estimator))
    model.compile(jit_compile=jit_compile)
    example = np.ones((1, 5, FEATURES))
    # Two batches of one example, twice.
    inputs = np.repeat(example, 2, axis=0)
    first = model.predict(inputs, batch_size=1, verbose=0)
    second = model.predict(inputs, batch_size=1, verbose=0)
    draws = [*first, *second]
    for outputs in draws:
        assert_steps_equal(outputs[None])
    for one, other in itertools.combinations(draws, 2):
        assert np.all(np.abs(one - other) > 1e-6)


def steps_apart(targets, outputs):
    return ops.max(ops.abs(outputs - outputs[:, :1]))


def first_output(targets, outputs):
    return outputs[0, 0, 0]


@ALL_DENSE
def test_training_draws_anew_for_each_batch(estimator):
    layer = forward(estimator)
    layer.cell.layers[0].kl_weight = 0.0
    model = over_sequences(layer)
    inputs, targets = np.ones((2, 5, FEATURES)), np.zeros((2, 5, 2))

    def losses(function):
        model.compile(keras.optimizers.SGD(0.0), function, jit_compile=False)
        for _ in range(3):
            model.reset_metrics()
            yield float(model.train_on_batch(inputs, targets))

    assert max(losses(steps_apart)) < 1e-6
    assert len(set(losses(first_output))) == 3


# Independent draws: a sample correlation has the deviation 1 / sqrt(DRAWS),
# and 5 of them are not passed by chance.
DRAWS = 4000
ERROR = 5 / np.sqrt(DRAWS)


def two_steps(estimator, **options):
    """Outputs of two time steps, with many draws of a weight side by side."""
    layer = forward(estimator, units=DRAWS, **options)
    layer.build((1, 2, 1))
    [(loc, untransformed_scale)] = posteriors(layer)
    loc.assign(ops.zeros(loc.shape))
    untransformed_scale.assign(ops.zeros(untransformed_scale.shape))
    [bias] = [w for w in layer.weights if "bias" in w.path and w.shape]
    bias.assign(ops.zeros(bias.shape))
    one, other = arrays(layer(np.ones((1, 2, 1))))[0]
    # σ = ln 2 for ρ = 0; the deviation's own error is σ / sqrt(2 DRAWS).
    for outputs in (one, other):
        assert abs(outputs.std() / np.log(2) - 1) < ERROR / np.sqrt(2)
    return np.corrcoef(one, other)[0, 1]


@ALL_DENSE
def test_held_draws_correlate_and_draws_per_step_do_not(estimator):
    assert two_steps(estimator) > 1 - 1e-6
    assert abs(two_steps(estimator, draw_per_step=True)) < ERROR


def test_flipout_gives_equal_examples_different_weights():
    inputs = np.ones((6, 4, FEATURES))
    outputs = arrays(forward("flipout", units=8)(inputs))
    assert_steps_equal(outputs)
    for one, other in itertools.combinations(outputs, 2):
        assert_differ(one, other)
    outputs = arrays(forward("reparameterization", units=8)(inputs))
    assert_close(outputs, np.broadcast_to(outputs[:1], outputs.shape))


@keras.saving.register_keras_serializable(package="keras_dnc_tests")
class PositionsCell(keras.layers.Layer):
    """A cell that applies a layer to several positions of each example."""

    def __init__(self, layer, positions, **kwargs):
        super().__init__(**kwargs)
        self.layer = layer
        self.positions = positions
        self.state_size = 1

    def build(self, input_shape):
        self.output_size = self.positions * self.layer.units
        width = input_shape[-1] // self.positions
        self.layer.build((input_shape[0], self.positions, width))

    def call(self, inputs, states):
        inputs = ops.reshape(
            inputs, (-1, self.positions, inputs.shape[-1] // self.positions)
        )
        outputs = ops.reshape(self.layer(inputs), (-1, self.output_size))
        return outputs, states


@pytest.mark.parametrize("batch", [2, 3])
def test_signs_are_held_for_inputs_of_higher_rank(batch):
    # As many examples as positions must not make one of the other.
    cell = PositionsCell(bayesian.DenseFlipout(8), positions=3)
    layer = bayesian.VariationalRNN(cell, return_sequences=True)
    outputs = arrays(layer(np.ones((batch, 4, 6))))
    assert_steps_equal(outputs)
    # Inside a recurrence the signs are an example's, for all its positions.
    positions = outputs[:, 0].reshape(batch, 3, 8)
    assert_close(
        positions, np.broadcast_to(positions[:, :1], positions.shape), 1e-5
    )
    assert_differ(positions[0], positions[1])


def last_outputs(cell, rnn, steps, **options):
    """The last two outputs of constant sequences, in training."""
    layer = rnn(cell, return_sequences=True, **options)
    inputs = np.ones((2, steps, FEATURES)) / 2
    return arrays(layer(inputs, training=True))[:, -2:]


@pytest.mark.parametrize("cell", CELLS)
def test_a_recurrence_with_one_draw_comes_to_rest(cell):
    # Weights this small contract. Were any of them drawn anew at a step, the
    # outputs would go on changing.
    make = CELLS[cell]
    outputs = last_outputs(make(4), bayesian.VariationalRNN, steps=200)
    assert_close(outputs[:, 1], outputs[:, 0], 1e-5)
    limits_differ = np.max(np.abs(outputs[0, 1] - outputs[1, 1])) > 1e-4
    assert limits_differ == ("Flipout" in cell)
    for rnn, options in (
        (keras.layers.RNN, {}),
        (bayesian.VariationalRNN, {"draw_per_step": True}),
    ):
        outputs = last_outputs(make(4), rnn, steps=12, **options)
        assert_differ(outputs[:, 1], outputs[:, 0])


def make_stack():
    return [lstm(), keras.layers.GRUCell(3), gru()]


HOLDERS = {
    **{
        name: lambda cls=cls, **options: bayesian.VariationalRNN(
            cls(3), **options
        )
        for name, cls in CELLS.items()
    },
    "StackedRNNCells": lambda **options: bayesian.VariationalRNN(
        make_stack(), **options
    ),
    "BayesianDNC": lambda **options: make_bayesian_dnc(
        variational_controller=True, **options
    ),
    "BayesianDNC, GRUCellFlipout": lambda **options: make_bayesian_dnc(
        controller=bayesian.GRUCellFlipout(4), **options
    ),
    "BayesianDNCCell": lambda **options: bayesian.VariationalRNN(
        make_bayesian_cell(estimator="reparameterization"), **options
    ),
}


def numbers_drawn(layer, steps):
    """How often each random weight asked for random numbers in a call."""
    weights = random_weights(layer)

    def counts():
        return np.array([arrays(w.generator.state)[1] for w in weights])

    before = counts()
    layer(sequences(steps=steps))
    return (counts() - before).tolist()


@pytest.mark.parametrize("holder", HOLDERS)
@pytest.mark.slow
def test_every_weight_is_drawn_as_often_for_any_number_of_steps(holder):
    layer = HOLDERS[holder]()
    layer.build((2, None, FEATURES))
    once = numbers_drawn(layer, 1)
    # Every one is drawn, before the first step, but those that are points.
    kernels = [w for w in random_weights(layer) if len(w.shape) == 2]
    assert len(kernels) >= 2
    assert np.count_nonzero(once) >= len(kernels)
    assert numbers_drawn(layer, 3) == once
    per_step = HOLDERS[holder](draw_per_step=True)
    per_step.build((2, None, FEATURES))
    # Keras may call a cell once more, to see what it returns.
    few, many = numbers_drawn(per_step, 1), numbers_drawn(per_step, 3)
    assert np.all(np.greater(many, few)[np.nonzero(once)])


def test_a_recurrence_within_another_has_one_draw_for_all_its_steps():
    class Inner(keras.layers.Layer):
        """A cell that runs the same sequence at each of its steps."""

        def __init__(self):
            super().__init__()
            self.state_size, self.output_size = 1, 3
            self.rnn = bayesian.VariationalRNN(
                bayesian.GRUCellReparameterization(3)
            )

        def build(self, input_shape):
            self.rnn.build((None, 4, FEATURES))

        def call(self, inputs, states):
            return self.rnn(ops.repeat(inputs[:, None], 4, axis=1)), states

    layer = bayesian.VariationalRNN(Inner(), return_sequences=True)
    outputs = arrays(layer(np.ones((2, 6, FEATURES))))
    assert_close(outputs, np.repeat(outputs[:, :1], 6, axis=1), 1e-6)
    assert_differ(arrays(layer(np.ones((2, 6, FEATURES)))), outputs)


def test_the_parts_of_a_sequence_have_one_draw_within_its_context():
    layer = forward("reparameterization")
    step = np.ones((1, 1, FEATURES))
    with pytest.raises(ValueError, match="must be built"), layer.one_draw(1):
        pass
    layer.build(step.shape)
    with layer.one_draw(1):
        first, second = layer(step), layer(step)
    assert_close(first, second)
    assert_differ(layer(step), first, by=1e-6)


@ALL_DENSE
def test_nothing_is_held_after_a_call(estimator):
    layer = forward(estimator)
    dense = layer.cell.layers[0]
    inputs = np.ones((1, 5, FEATURES))
    step = inputs[:, 0]
    layer(inputs)
    assert_differ(dense(step), dense(step), by=1e-6)
    # Nor is a draw of a compiled model's graph.
    model = over_sequences(layer)
    model.predict(inputs, verbose=0)
    assert_differ(dense(step), dense(step), by=1e-6)


@ALL_DENSE
def test_nothing_is_held_after_a_call_that_raises(estimator):
    layer = forward(estimator)
    dense = layer.cell.layers[0]
    inputs = np.ones((1, 5, FEATURES))
    layer(inputs)
    layer.cell.fails = True
    with pytest.raises(RuntimeError, match="the cell fails"):
        layer(inputs)
    assert_differ(dense(inputs[:, 0]), dense(inputs[:, 0]), by=1e-6)


def test_local_reparameterization_cannot_be_held():
    kept = bayesian.DenseFlipout(3)
    cell = ForwardCell(kept, bayesian.DenseLocalReparameterization(2))
    layer = bayesian.VariationalRNN(cell)
    inputs = np.ones((1, 5, FEATURES))
    with pytest.raises(
        ValueError, match=r"[Ll]ocal reparameterization .*Flipout.*Received"
    ):
        layer(inputs)
    # What had been drawn before it is not held.
    assert_differ(kept(inputs[:, 0]), kept(inputs[:, 0]), by=1e-6)
    # Drawn at each step it works.
    cell = ForwardCell(bayesian.DenseLocalReparameterization(2))
    layer = bayesian.VariationalRNN(
        cell, draw_per_step=True, return_sequences=True
    )
    outputs = layer(inputs)
    assert_differ(outputs[:, 0], outputs[:, 1], by=1e-6)


@pytest.mark.parametrize("estimator", ["flipout", "reparameterization"])
def test_the_weights_of_a_seeded_cell_draw_different_numbers(estimator):
    # The posterior is of independent weights, in different layers too.
    layer = make_bayesian_dnc(
        estimator=estimator, variational_controller=True, seed=7
    )
    layer(sequences())
    draws = []
    for weight in random_weights(layer):
        if len(weight.shape) == 2:
            normal = weight.normal_posterior("the test")
            draw = weight.sample(type(normal)(0 * normal.loc, 1.0), 1)
            draws.append(arrays(draw).ravel())
    assert len(draws) == 4
    for one, other in itertools.combinations(draws, 2):
        size = min(one.size, other.size)
        assert np.all(np.abs(one[:size] - other[:size]) > 1e-6)


def test_a_seed_makes_the_draws_come_again():
    outputs = []
    for _ in range(2):
        keras.utils.set_random_seed(0)
        layer = bayesian.VariationalRNN(bayesian.LSTMCellFlipout(3, seed=5))
        layer.build((2, 4, FEATURES))
        keras.utils.set_random_seed(len(outputs))
        outputs.append([arrays(layer(sequences())) for _ in range(2)])
    assert_close(outputs[0], outputs[1])
    assert_differ(*outputs[0], by=1e-6)


# (d) Training.

PLACES = {
    "VariationalRNN": lambda cell: bayesian.VariationalRNN(cell),
    "RNN": lambda cell: keras.layers.RNN(cell),
    "DNC": lambda cell: make_dnc(controller=cell),
    "BayesianDNC": lambda cell: make_bayesian_dnc(controller=cell),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("cell", CELLS)
def test_every_variable_gets_a_gradient(cell, place):
    layer = PLACES[place](CELLS[cell](4))
    inputs = sequences(batch=4, steps=3)
    layer.build(inputs.shape)
    with tf.GradientTape() as tape:
        outputs = layer(inputs, training=True)
        loss = ops.mean(ops.square(outputs - 1))
    variables = layer.trainable_variables
    # Of the data loss alone: the divergence reaches each posterior anyway.
    gradients = tape.gradient(loss, [v.value for v in variables])
    assert variables
    for variable, gradient in zip(variables, gradients, strict=True):
        assert gradient is not None, variable.path
        assert np.all(np.isfinite(gradient)), variable.path
        assert np.any(arrays(gradient) != 0), variable.path


# The slow ones: a DNC takes 10 s to trace, XLA as long to compile.
TRAINED = {
    ("LSTMCellFlipout", "VariationalRNN", True),
    ("GRUCellFlipout", "RNN", True),
    ("LSTMCellReparameterization", "BayesianDNC", True),
    ("GRUCellReparameterization", "DNC", False),
    *((cell, "VariationalRNN", False) for cell in CELLS),
}


@pytest.mark.parametrize(
    ("cell", "place", "jit_compile"),
    [
        pytest.param(
            *case,
            marks=pytest.mark.slow
            if case in TRAINED
            else pytest.mark.exhaustive,
        )
        for case in itertools.product(CELLS, PLACES, (False, True))
    ],
)
def test_the_loss_falls(cell, place, jit_compile):
    inputs = sequences(batch=16, steps=3)
    model = keras.Sequential(
        [
            keras.Input((None, FEATURES)),
            PLACES[place](CELLS[cell](8, kl_weight=1e-4)),
            keras.layers.Dense(1),
        ]
    )
    model.compile(keras.optimizers.Adam(0.02), "mse", jit_compile=jit_compile)
    targets = inputs[:, -1, :1] + inputs[:, 0, 1:2]
    history = model.fit(
        inputs, targets, batch_size=16, epochs=60, verbose=0
    ).history["loss"]
    assert np.all(np.isfinite(history))
    # Each is of another draw: means of several.
    assert np.mean(history[-5:]) < 0.6 * np.mean(history[:3])


# (e) Without deviations nothing is random.


@pytest.mark.parametrize(
    ("estimator", "variational_controller"),
    [
        ("flipout", True),
        pytest.param("flipout", False, marks=pytest.mark.slow),
        pytest.param("reparameterization", True, marks=pytest.mark.slow),
        pytest.param("reparameterization", False, marks=pytest.mark.slow),
    ],
)
def test_without_deviations_it_is_the_dnc_of_the_means(
    estimator, variational_controller
):
    arguments = {
        "estimator": estimator,
        "variational_controller": variational_controller,
    }
    options = {"return_sequences": True, "return_state": True}
    inputs = sequences(batch=3, steps=5)
    layer = make_bayesian_dnc(**arguments, **options)
    layer.build(inputs.shape)
    randomize(layer)
    first = layer(inputs)[0]
    assert_differ(first, layer(inputs)[0])
    scale_to_zero(layer)
    outputs = layer(inputs)

    rnn = bayesian.VariationalRNN(make_bayesian_cell(**arguments), **options)
    rnn.build(inputs.shape)
    rnn.set_weights(layer.get_weights())
    assert_close(rnn(inputs), outputs, tolerance=1e-5)

    plain = make_dnc(controller=4, **options)
    plain.build(inputs.shape)
    means = {
        variable.path.partition("/cell/")[2].removesuffix("/posterior_loc"): (
            arrays(variable)
        )
        for variable in layer.weights
    }
    for variable in plain.weights:
        variable.assign(means[variable.path.partition("/cell/")[2]])
    assert_close(plain(inputs), outputs, tolerance=1e-5)


def test_a_bayesian_dnc_with_deviations_is_not_the_dnc_of_the_means():
    layer = make_bayesian_dnc(return_sequences=True)
    inputs = sequences()
    assert_differ(layer(inputs), layer(inputs))
    assert isinstance(layer, keras_dnc.DNC)


def test_setting_kl_weight_of_a_bayesian_dnc_reaches_its_parts():
    layer = make_bayesian_dnc(variational_controller=True, kl_weight=1.0)
    before = layer(sequences()), float(sum(layer.losses))
    layer.kl_weight = 0.25
    assert layer.kl_weight == layer.cell.kl_weight == 0.25
    assert_close(float(sum(layer.losses)), before[1] / 4, 1e-4)
    # A copy of the layer, too, begins with what was set.
    assert type(layer).from_config(layer.get_config()).kl_weight == 0.25
    # And with what was set in its parts.
    for part in bayesian.variational_layers(layer):
        part.kl_weight = 0.5
    assert type(layer).from_config(layer.get_config()).kl_weight == 0.5
    with pytest.raises(ValueError, match="`kl_weight`"):
        layer.kl_weight = -1


# (f) Extensions of the DNC.


@pytest.mark.slow
@pytest.mark.parametrize("estimator", ["flipout", "reparameterization"])
@pytest.mark.parametrize("name", ["all", "all_with_links"])
def test_a_bayesian_dnc_has_the_extensions(name, estimator, tmp_path):
    layer = make_bayesian_dnc(
        estimator=estimator,
        kl_weight=KL_WEIGHT,
        **extensions.COMBINATIONS[name],
    )
    inputs = sequences()
    model = keras.Sequential([keras.Input((None, FEATURES)), layer])
    # The divergence of the wider interface, once whatever the steps.
    divergence = KL_WEIGHT * closed_form_kl(layer)
    (size,) = layer.cell.interface.projection.bias.shape
    assert size == layer.cell.interface.size
    assert_close(sum(float(loss) for loss in layer.losses), divergence, 1e-5)
    model.compile(keras.optimizers.Adam(0.01), no_loss, jit_compile=True)
    losses = [model.train_on_batch(inputs, inputs) for _ in range(3)]
    assert losses[2] < losses[1] < losses[0]
    assert_close(losses[0], divergence, 1e-5)
    model.save(tmp_path / "model.keras")
    other = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    scale_to_zero(layer)
    scale_to_zero(other.layers[0])
    assert_close(other(inputs), model(inputs), 1e-5)
    assert_differ(model(inputs, training=True), model(inputs), by=1e-5)
