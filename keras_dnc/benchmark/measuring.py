"""Time and memory, each measurement in a process of its own."""

import os
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from keras_dnc.benchmark.sizes import Size
from keras_dnc.benchmark.subjects import Subject, make

WARM_UP = 2
COPIED_BYTES = 2**26


class Measurement(NamedTuple):
    """What was measured.

    Attributes:
        seconds: How long each repetition took.
        first_seconds: How long the first one took, with all compiling.
        peak_bytes: The most memory that the process held, less what it held
            before the model was made; None where the system does not tell.
    """

    seconds: list[float]
    first_seconds: float
    peak_bytes: int | None

    @property
    def median(self) -> float:
        """The median of `seconds`."""
        return statistics.median(self.seconds)


def measure(subject: Subject, size: Size, repeats: int) -> Measurement:
    """Measures a subject in this process, which had better be a new one.

    Args:
        subject: What is measured.
        size: Its size.
        repeats: How often it is timed, after a first time and two more.
    """
    if subject.is_peer:
        import dnc  # noqa: F401
    else:
        import keras_dnc  # noqa: F401
    before = _resident("VmRSS")
    repeat = make(subject, size)
    first = _timed(repeat)
    for _ in range(WARM_UP):
        repeat()
    seconds = [_timed(repeat) for _ in range(repeats)]
    peak = None if before is None else _resident("VmHWM") - before
    return Measurement(seconds, first, peak)


def _timed(function):
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def _resident(field):
    """Returns a line of the process' status on Linux, in bytes, or None."""
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    lines = dict(
        line.split(":", 1) for line in status.read_text().splitlines() if line
    )
    return int(lines[field].split()[0]) * 1024


def copy_bandwidth() -> float:
    """Returns the bytes that are read and written in a second's copying.

    On a CPU by as many threads as there are cores, else by the device.
    """
    from keras_dnc.benchmark.compiling import on_cpu

    copy = _host_copy() if on_cpu() else _device_copy()
    copy()
    seconds = min(_timed(copy) for _ in range(10))
    return 2 * COPIED_BYTES / seconds


def _host_copy():
    cores = os.cpu_count()
    source = np.ones((cores, COPIED_BYTES // cores), "int8")
    target = np.zeros_like(source)
    pool = ThreadPoolExecutor(cores)
    return lambda: list(pool.map(np.copyto, target, source))


def _device_copy():
    from keras import ops

    from keras_dnc.benchmark.compiling import compiled, wait

    source = ops.ones((COPIED_BYTES // 4,), "float32")
    copy = compiled(lambda x: x + 1, jit_compile=True)
    return lambda: wait(copy(source))
