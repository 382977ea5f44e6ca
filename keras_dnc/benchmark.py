"""How long a training step takes, beside a peer measured in the same run."""

import importlib.util
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Size(NamedTuple):
    """The sizes of one measurement; a step's output is as wide as its input.

    Attributes:
        batch_size: `B`.
        timesteps: `T`.
        width: `X`, and `units`.
        memory_size: `N`.
        word_size: `W`.
        num_reads: `R`.
        controller: Units of the LSTM controller.
    """

    batch_size: int
    timesteps: int
    width: int
    memory_size: int
    word_size: int
    num_reads: int
    controller: int


SIZES = {
    "small": Size(16, 32, 8, 16, 16, 4, 64),
    "medium": Size(16, 64, 16, 128, 32, 4, 128),
    "large": Size(16, 64, 64, 256, 64, 4, 256),
}
WARM_UP = 2
PEER = "pytorch-dnc"


def run(sizes: list[str], repeats: int, peer: bool) -> None:
    """Measures and prints a table.

    Each figure comes from a process of its own, one after another, with as
    many threads as the machine has cores.

    Args:
        sizes: Names in `SIZES`.
        repeats: How many training steps to time, after two that are not.
        peer: Whether to time PyPI's `dnc` (pytorch-dnc) too.

    Raises:
        ModuleNotFoundError: If the peer is asked for and not installed.
    """
    subjects = {"keras_dnc, graph": _graph, "keras_dnc, XLA": _xla}
    if peer:
        for module in ("dnc", "torch"):
            if importlib.util.find_spec(module) is None:
                raise ModuleNotFoundError(
                    f"the peer needs {module}: pip install torch, then pip "
                    "install --no-deps dnc"
                )
        subjects[PEER] = _peer
    cores = os.cpu_count()
    print(
        "Training step (forward, backward, RMSprop), median [least, most] of "
        f"{repeats} in ms, on {cores} cores"
    )
    columns = ["size", *subjects]
    if peer:
        columns += [f"{name} / peer" for name in subjects if name != PEER]
    print(" | ".join(columns))
    for name in sizes:
        seconds = {
            subject: _in_own_process(step, SIZES[name], repeats)
            for subject, step in subjects.items()
        }
        cells = [_cell(times) for times in seconds.values()]
        if peer:
            medians = {k: statistics.median(v) for k, v in seconds.items()}
            of_peer = medians.pop(PEER)
            cells += [f"{own / of_peer:.2f}" for own in medians.values()]
        print(" | ".join([name, *cells]), flush=True)


def _cell(seconds):
    median, least, most = (
        1e3 * figure
        for figure in (statistics.median(seconds), min(seconds), max(seconds))
    )
    return f"{median:.1f} [{least:.1f}, {most:.1f}]"


def _in_own_process(make_step, size, repeats):
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measure, (make_step, size, repeats))


def _measure(make_step, size, repeats):
    step = make_step(size)
    for _ in range(WARM_UP):
        step()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    return seconds


def _sequences(size):
    shape = (size.batch_size, size.timesteps, size.width)
    return np.random.default_rng(0).random(shape).astype("float32")


def _graph(size):
    return _keras_step(size, jit_compile=False)


def _xla(size):
    return _keras_step(size, jit_compile=True)


def _keras_step(size: Size, jit_compile: bool) -> Callable[[], object]:
    import keras

    import keras_dnc

    sequences = _sequences(size)
    inputs = keras.Input(sequences.shape[1:], batch_size=size.batch_size)
    outputs = keras_dnc.DNC(
        size.width,
        controller=size.controller,
        memory_size=size.memory_size,
        word_size=size.word_size,
        num_reads=size.num_reads,
        return_sequences=True,
    )(inputs)
    model = keras.Model(inputs, outputs)
    model.compile("rmsprop", "mse", jit_compile=jit_compile)
    return lambda: model.train_on_batch(sequences, sequences)


def _peer(size: Size) -> Callable[[], object]:
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
        gpu_id=-1,
    )
    optimizer = torch.optim.RMSprop(network.parameters(), lr=1e-3)
    sequences = torch.from_numpy(_sequences(size).transpose(1, 0, 2).copy())

    def step():
        optimizer.zero_grad()
        outputs, _ = network(
            sequences, (None, None, None), reset_experience=True
        )
        loss = torch.mean(torch.square(outputs - sequences))
        loss.backward()
        optimizer.step()
        return loss.item()

    return step
