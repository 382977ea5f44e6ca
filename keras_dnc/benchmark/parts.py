"""Where the time of a training step goes: its parts, one by one."""

import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from keras_dnc import addressing
from keras_dnc.benchmark.compiling import compiled, wait, with_gradients
from keras_dnc.benchmark.sizes import Size
from keras_dnc.benchmark.subjects import Subject, make
from keras_dnc.interface import Interface, is_present
from keras_dnc.memory import erase_and_write, read

# Calls in a row that are timed together.
CALLS = 10


class Part(NamedTuple):
    """A part of a time step: a function and what it is applied to.

    Attributes:
        function: Maps tensors to a tuple of tensors.
        arguments: The tensors.
    """

    function: Callable
    arguments: list


def profile(size: Size, compiler: str, repeats: int) -> dict[str, float]:
    """Returns the seconds that each part of a training time step takes.

    The parts are timed alone, forward and backward, less what a call of a
    function that does nothing takes. What a whole step, its share of a
    training step, takes beside them is called "loop".

    Args:
        size: The size.
        compiler: As of a `Subject`.
        repeats: How often each is timed.
    """
    subject = Subject("training", compiler)
    jit_compile = subject.jit_compile
    nothing = Part(lambda x: (x,), [ops.zeros((1,))])
    of_call = _seconds(nothing, jit_compile, repeats)
    seconds = {
        name: max(_seconds(part, jit_compile, repeats) - of_call, 0.0)
        for name, part in parts(size).items()
    }
    train = make(subject, size)
    train()
    whole = _median(train, repeats) / size.timesteps
    return {**seconds, "loop": whole - sum(seconds.values()), "step": whole}


def parts(size: Size) -> dict[str, Part]:
    """Returns the parts of a time step, with arguments as a DNC makes them.

    Args:
        size: The size.
    """
    rng = np.random.default_rng(0)
    batch, slots, width = size.batch_size, size.memory_size, size.word_size
    heads = size.num_reads

    def numbers(*shape):
        return ops.convert_to_tensor(rng.random((batch, *shape), "float32"))

    def weightings(*shape):
        drawn = rng.random((batch, *shape, slots), "float32")
        return ops.convert_to_tensor(drawn / drawn.sum(-1, keepdims=True))

    memory, usage = numbers(slots, width), numbers(slots)
    written, reading, before = weightings(1), weightings(heads), weightings(1)
    link = numbers(1, slots, slots) / slots
    directions = weightings(1, heads)
    gates = numbers(1)

    def content(memory, write_keys, write_strengths, keys, strengths):
        return (
            addressing.content_weighting(memory, write_keys, write_strengths),
            addressing.content_weighting(memory, keys, strengths),
        )

    def allocation(usage, written, free_gates, reading):
        retention = addressing.retention(free_gates, reading)
        usage = addressing.usage(usage, written, retention)
        return usage, addressing.allocation_weightings(usage, gates, gates)

    def write(memory, allocation, content, gates, erase, add):
        written = addressing.write_weighting(allocation, content, gates, gates)
        return written, erase_and_write(memory, written, erase, add)

    def linkage(link, precedence, written, reading):
        return (
            *addressing.link_and_directional_weightings(
                link, precedence, written, reading
            ),
            addressing.precedence(precedence, written),
        )

    def reads(memory, backward, content, forward, modes):
        weightings = addressing.read_weighting(
            backward, content, forward, modes
        )
        return weightings, read(memory, weightings)

    words = numbers(1, width)
    return {
        "controller": _controller(size, numbers),
        "content": Part(
            content,
            [memory, words, 1 + gates, numbers(heads, width), numbers(heads)],
        ),
        "allocation": Part(
            allocation, [usage, before, numbers(heads), reading]
        ),
        "write": Part(write, [memory, before, written, gates, words, words]),
        "link": Part(linkage, [link, before, written, reading]),
        "read": Part(
            reads, [memory, directions, reading, directions, numbers(heads, 3)]
        ),
    }


def _controller(size, numbers):
    """Returns what has weights: controller, interface and output."""
    reads_size = size.num_reads * size.word_size
    inputs = [
        keras.Input((width,), batch_size=size.batch_size)
        for width in (size.width, reads_size, size.controller, size.controller)
    ]
    x, reads, *states = inputs
    cell = keras.layers.LSTMCell(size.controller)
    hidden, states = cell(ops.concatenate([x, reads], axis=-1), states)
    interface = Interface(size.word_size, size.num_reads)(hidden)
    outputs = keras.layers.Dense(size.width)(
        ops.concatenate([hidden, reads], axis=-1)
    )
    parts = filter(is_present, interface)
    model = keras.Model(inputs, [*states, *parts, outputs])
    weights = [variable.value for variable in model.trainable_variables]

    def function(*tensors):
        own, inputs = tensors[: len(weights)], tensors[len(weights) :]
        outputs, _ = model.stateless_call(
            own, model.non_trainable_variables, list(inputs)
        )
        return tuple(outputs)

    arguments = [numbers(part.shape[-1]) for part in inputs]
    return Part(function, [*weights, *arguments])


def _seconds(part, jit_compile, repeats):
    upstream = [ops.ones_like(x) for x in part.function(*part.arguments)]
    function = compiled(with_gradients(part.function), jit_compile)

    def calls():
        for _ in range(CALLS):
            results = function(part.arguments, upstream)
        wait(results)

    calls()
    return _median(calls, repeats) / CALLS


def _median(function, repeats):
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)
