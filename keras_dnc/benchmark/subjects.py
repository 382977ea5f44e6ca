"""What is measured: a training step, inference, a single time step."""

import importlib.util
import os
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from keras_dnc.benchmark.sizes import Size

PEER = "pytorch-dnc"
# How often each number of links and memory must be read or written in a time
# step: forward it is read and the new one written; backward it is read, the
# gradient of the new one read and that of the old one written.
MEASURES = {"training": 5, "inference": 2, "step": 2}
# Each extension of the DNC by its name, and all that go together.
EXTENSIONS = {
    "masked_keys": {"masked_keys": True},
    "deallocation": {"deallocation": True},
    "sharpness": {"sharpness": True},
    "layer_norm": {"layer_norm": True},
    "content_only": {"content_only": True},
    "sparse_links": {"sparse_links": 8},
    "bypass_dropout": {"bypass_dropout": 0.1},
    "learned_memory": {"learned_memory": True},
    "link_storage": {"link_storage": "float16"},
}
EXTENSIONS["all"] = {
    name: value
    for arguments in EXTENSIONS.values()
    for name, value in arguments.items()
    # Neither goes with the sparse links of the others.
    if name not in ("content_only", "link_storage")
}


class Subject(NamedTuple):
    """Something to measure.

    Attributes:
        measure: "training" for forward, backward and RMSprop on a batch of
            sequences; "inference" for their outputs alone; "step" for the
            outputs and states of one time step of one example.
        compiler: "graph" or "XLA" on TensorFlow, "XLA" on JAX, "eager" on
            PyTorch; or `PEER`, for the peer.
        arguments: More arguments of `keras_dnc.DNC`, as pairs.
    """

    measure: str
    compiler: str
    arguments: tuple = ()

    @property
    def is_peer(self) -> bool:
        """Whether it is the peer's."""
        return self.compiler == PEER

    @property
    def jit_compile(self) -> bool:
        """Whether XLA compiles it."""
        return self.compiler == "XLA"

    @property
    def name(self) -> str:
        """How it is called in a table."""
        given = [f"{name}={value}" for name, value in self.arguments]
        return ", ".join([self.compiler, *given])


def check_peer() -> None:
    """Raises ModuleNotFoundError if the peer is not installed."""
    for module in ("dnc", "torch"):
        if importlib.util.find_spec(module) is None:
            raise ModuleNotFoundError(
                f"the peer needs {module}: pip install torch, then pip "
                "install --no-deps dnc"
            )


def make(subject: Subject, size: Size) -> Callable[[], object]:
    """Returns a function that does once what is to be measured.

    Args:
        subject: What is measured.
        size: Its size.
    """
    if subject.is_peer:
        return _peer(subject.measure, size)
    if subject.measure == "step":
        return _one_step(subject, size)
    model = _model(subject, size)
    sequences = _sequences(size)
    if subject.measure == "training":
        return lambda: model.train_on_batch(sequences, sequences)
    return lambda: model.predict_on_batch(sequences)


def _sequences(size):
    shape = (size.batch_size, size.timesteps, size.width)
    return np.random.default_rng(0).random(shape).astype("float32")


def _layer(subject, size):
    import keras_dnc

    return keras_dnc.DNC(
        size.width,
        controller=size.controller,
        memory_size=size.memory_size,
        word_size=size.word_size,
        num_reads=size.num_reads,
        return_sequences=True,
        **dict(subject.arguments),
    )


def _model(subject, size):
    import keras

    shape = (size.timesteps, size.width)
    inputs = keras.Input(shape, batch_size=size.batch_size)
    model = keras.Model(inputs, _layer(subject, size)(inputs))
    model.compile("rmsprop", "mse", jit_compile=subject.jit_compile)
    return model


def _one_step(subject, size):
    from keras import ops

    from keras_dnc.benchmark.compiling import compiled, wait

    layer = _layer(subject, size)
    layer.build((size.batch_size, size.timesteps, size.width))
    inputs = ops.convert_to_tensor(_sequences(size)[:, 0])
    states = layer.cell.get_initial_state(size.batch_size)
    step = compiled(
        lambda inputs, *states: layer.cell(inputs, list(states)),
        subject.jit_compile,
    )
    return lambda: wait(step(inputs, *states))


def _peer(measure: str, size: Size) -> Callable[[], object]:
    import torch
    from dnc import DNC

    torch.set_num_threads(os.cpu_count())
    network = DNC(
        input_size=size.width,
        hidden_size=size.controller,
        rnn_type="lstm",
        num_layers=1,
        nr_cells=size.memory_size,
        cell_size=size.word_size,
        read_heads=size.num_reads,
        # With batch_first=True it returns its outputs in another layout.
        batch_first=False,
        gpu_id=0 if torch.cuda.is_available() else -1,
    )
    device = "cuda" if torch.cuda.is_available() else "cpu"
    sequences = torch.from_numpy(_sequences(size).transpose(1, 0, 2).copy())
    sequences = sequences.to(device)

    def outputs():
        return network(sequences, (None, None, None), reset_experience=True)[0]

    def infer():
        with torch.no_grad():
            return outputs().cpu()

    optimizer = torch.optim.RMSprop(network.parameters(), lr=1e-3)

    def train():
        optimizer.zero_grad()
        loss = torch.mean(torch.square(outputs() - sequences))
        loss.backward()
        optimizer.step()
        return loss.item()

    return train if measure == "training" else infer
