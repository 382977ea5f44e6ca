"""Fixtures that every test may use."""

import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import pytest


def has_float64():
    """Whether the backend computes in float64 what Keras asks it to."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.config.jax_enable_x64
    # On PyTorch some of Keras' operations turn float64 into float32.
    return keras.backend.backend() == "tensorflow"


@pytest.fixture(autouse=True)
def seed():
    """The same random numbers for a test, whatever ran before it."""
    keras.utils.set_random_seed(0)


@pytest.fixture(scope="session")
def float64():
    """Skips where the backend has no float64; returns its name."""
    if not has_float64():
        pytest.skip(
            "needs float64: TensorFlow, or JAX with JAX_ENABLE_X64=1; here "
            f"the backend is {keras.backend.backend()}"
        )
    return "float64"


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    """Runs a test in float32 and, where the backend has it, in float64."""
    if request.param == "float64":
        request.getfixturevalue("float64")
    return request.param


@pytest.fixture(scope="session")
def widest_dtype():
    """The widest dtype that the backend computes in."""
    return "float64" if has_float64() else "float32"


@pytest.fixture(scope="session")
def data_folder():
    """The folder of the real data sets, which KERAS_DNC_DATA names."""
    folder = os.environ.get("KERAS_DNC_DATA")
    if not folder:
        pytest.skip("needs real data: set KERAS_DNC_DATA to their folder")
    path = pathlib.Path(folder)
    if not path.is_dir():
        pytest.fail(f"KERAS_DNC_DATA is not a folder: {folder}")
    return path


@pytest.fixture
def untrained(monkeypatch):
    """Spares the training where it is not the point."""
    from keras_dnc import training

    monkeypatch.setattr(
        training,
        "train",
        lambda task, recipe, seed, progress, callbacks, verbose: (
            training.build_model(task, recipe)
        ),
    )
