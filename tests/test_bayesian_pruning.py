"""Weights that are removed by their signal-to-noise ratio."""

import pickle

import keras
import numpy as np
import pytest
from helpers import arrays, assert_close, assert_equal

from keras_dnc import bayesian
from keras_dnc.bayesian.weights import random_weights

if keras.backend.backend() != "tensorflow":
    pytest.skip(
        "Bayesian layers need TensorFlow Probability, and so the TensorFlow "
        "backend",
        allow_module_level=True,
    )

INPUTS = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
LAYERS = {
    "flipout": bayesian.DenseFlipout,
    "reparameterization": bayesian.DenseReparameterization,
    "local": bayesian.DenseLocalReparameterization,
}
every_layer = pytest.mark.parametrize("kind", LAYERS)


def make_model(kind="flipout", prior="standard_normal"):
    cls = LAYERS[kind]
    arguments = {"kernel_prior_fn": prior, "kl_weight": 0.5}
    return keras.Sequential(
        [keras.Input((4,)), cls(3, "tanh", **arguments), cls(2, **arguments)]
    )


def kernels(model):
    return [w for w in random_weights(model) if w.prefix == "kernel"]


def set_ratios(model, ratios):
    """Gives the kernels' elements, in a row, ratios; the scale is 0.5."""
    start = 0
    for weight in kernels(model):
        size = int(np.prod(weight.shape))
        part = np.asarray(ratios[start : start + size])
        # Of changing sign, which a ratio does not show.
        part = part * np.where(np.arange(size) % 2, -0.5, 0.5)
        weight.set_posterior(part.reshape(weight.shape), scale=0.5)
        start += size


def test_signal_to_noise_is_mean_over_deviation():
    model = make_model()
    set_ratios(model, np.arange(18) / 4)
    ratios = bayesian.signal_to_noise(model)
    first, second = ratios.values()
    assert all(path.endswith("kernel") for path in ratios)
    assert_close(first.reshape(-1), np.arange(12) / 4)
    assert_close(second.reshape(-1), np.arange(12, 18) / 4)


@pytest.mark.parametrize(
    ("share", "removed"), [(0.0, 0), (0.25, 4), (0.5, 9), (0.99, 18), (1.0, 18)]
)
def test_the_least_ratios_of_all_kernels_are_removed(share, removed):
    model = make_model()
    ratios = np.random.default_rng(1).permutation(18) / 4
    set_ratios(model, ratios)
    assert bayesian.prune(model, share) == removed
    masks = np.concatenate([w.mask.reshape(-1) for w in kernels(model)])
    assert_equal(masks, (ratios >= removed / 4).astype("uint8"))


@every_layer
def test_what_is_removed_is_zero_in_every_draw(kind):
    model = make_model(kind)
    set_ratios(model, np.arange(18))
    # All of the first kernel: its layer answers with its bias alone.
    bayesian.prune(model, 12 / 18)
    first = model.layers[0]
    expected = np.tanh(arrays(first.bias.posterior.mean()))
    assert_close(first(INPUTS), np.tile(expected, (5, 1)))
    draws = bayesian.draw_outputs(model, INPUTS, samples=4)
    # The last kernel is whole, and is drawn.
    assert np.ptp(draws, axis=0).min() > 0


@every_layer
def test_what_is_removed_has_no_gradient(kind):
    model = make_model(kind)
    set_ratios(model, np.arange(18) / 4)
    bayesian.prune(model, 0.5)
    before = [arrays(w.posterior.distribution.loc) for w in kernels(model)]
    model.compile("sgd", "mse")
    model.fit(INPUTS, np.ones((5, 2)), epochs=2, verbose=0)
    for weight, loc in zip(kernels(model), before, strict=True):
        changed = arrays(weight.posterior.distribution.loc) != loc
        assert_equal(changed, weight.mask.astype(bool))


@pytest.mark.parametrize(
    "prior", ["standard_normal", bayesian.ScaleMixturePrior(0.5, 1.0, 0.1)]
)
def test_what_is_removed_has_no_divergence(prior):
    model = make_model(prior=prior)
    set_ratios(model, np.arange(18) / 4)
    whole = float(sum(model.losses))
    bayesian.prune(model, 1.0)
    assert float(sum(model.losses)) == 0
    bayesian.prune(model, 0.5)
    if prior == "standard_normal":
        kept = np.arange(9, 18) / 4 * 0.5
        divergence = np.sum(-np.log(0.5) + (0.25 + kept**2) / 2 - 0.5)
        assert_close(sum(model.losses), 0.5 * divergence, 1e-5)
        bayesian.prune(model, 0.0)
        assert_close(sum(model.losses), whole, 1e-5)


def test_a_compiled_model_is_pruned_too():
    model = make_model()
    set_ratios(model, np.arange(18))
    model.compile("sgd", "mse")
    model.fit(INPUTS, np.ones((5, 2)), verbose=0)
    model.predict(INPUTS, verbose=0)
    bayesian.prune(model, 1.0)
    assert_close(
        model.predict(INPUTS, verbose=0),
        np.tile(arrays(model.layers[1].bias.posterior.mean()), (5, 1)),
    )


@pytest.mark.parametrize("way", ["keras", "weights", "pickle"])
def test_masks_are_saved(way, tmp_path):
    model = make_model()
    set_ratios(model, np.random.default_rng(1).permutation(18))
    bayesian.prune(model, 0.5)
    if way == "keras":
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
    elif way == "weights":
        model.save_weights(tmp_path / "model.weights.h5")
        loaded = make_model()
        loaded.load_weights(tmp_path / "model.weights.h5")
    else:
        loaded = pickle.loads(pickle.dumps(model))
    for one, other in zip(kernels(model), kernels(loaded), strict=True):
        assert_equal(one.mask, other.mask)
    assert_close(sum(loaded.losses), sum(model.losses))


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan"), "half"])
def test_a_share_outside_0_to_1(share):
    with pytest.raises(ValueError, match="`fraction_removed`"):
        bayesian.prune(make_model(), share)


def test_a_model_without_random_kernels():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    with pytest.raises(ValueError, match="must have a kernel"):
        bayesian.prune(model, 0.5)


def test_a_callback_prunes_while_the_model_is_trained():
    model = make_model()
    model.compile("sgd", "mse")
    changed = []

    def prune(epoch, logs):
        bayesian.prune(model, 0.5)
        changed.append(arrays(kernels(model)[0].posterior.mean()))

    history = model.fit(
        INPUTS,
        np.ones((5, 2)),
        epochs=3,
        validation_data=(INPUTS, np.ones((5, 2))),
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=prune)],
        verbose=0,
    ).history
    assert len(history["val_loss"]) == 3
    # The first pruning removed what the second training left as it was.
    kept = kernels(model)[0].mask.astype(bool)
    assert_equal(changed[0][~kept], changed[1][~kept])
    assert np.all(changed[0][kept] != changed[1][kept])


def test_a_compiled_model_made_ready_takes_the_weights_of_a_pruned_one(
    tmp_path,
):
    pruned, model = make_model(), make_model()
    bayesian.prune(pruned, 1.0)
    pruned.save_weights(tmp_path / "pruned.weights.h5")
    model.predict(INPUTS, verbose=0)
    assert bayesian.prune(model, 0) == 0
    model.load_weights(tmp_path / "pruned.weights.h5")
    assert_close(
        model.predict(INPUTS, verbose=0),
        np.tile(arrays(model.layers[1].bias.posterior.mean()), (5, 1)),
    )
