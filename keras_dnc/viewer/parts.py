"""The parts of a trace that the page shows, as bytes and a table of them."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from keras_dnc.interface import is_present
from keras_dnc.sparse_linkage import SparseLink, dense_links
from keras_dnc.tracing import Trace

# The paper's shape of each part, for one example at one step; `M` read modes.
# Links are last: of 16 bits, they would put what follows on odd places.
SHAPES = {
    "inputs": "X",
    "targets": "Y",
    "answers": "Y",
    "mask": "",
    "memory": "NW",
    "usage": "N",
    "precedence": "VN",
    "write_weightings": "VN",
    "read_weightings": "RN",
    "reads": "RW",
    "allocation_weightings": "VN",
    "read_keys": "RW",
    "read_strengths": "R",
    "write_keys": "VW",
    "write_strengths": "V",
    "erase_vectors": "VW",
    "write_vectors": "VW",
    "free_gates": "R",
    "allocation_gates": "V",
    "write_gates": "V",
    "read_modes": "RM",
    "read_masks": "RW",
    "write_masks": "VW",
    "backward_sharpness": "VR",
    "forward_sharpness": "VR",
    "link": "VNN",
}
# Numbers an example, T · V · N²: 200 steps of 128 slots are 3.3 million.
MOST_LINKS = 4_000_000
# Links are stored as their thousandths, in 16 bits.
LINK_SCALE = 1000


class Shown(NamedTuple):
    """One example as the page holds it.

    Attributes:
        sizes: The sizes by their letters: B, T, X, Y, N, W, V, R and M.
        table: For each part its name, its shape with the time as last axis,
            the type of its numbers and the byte where it starts.
        data: The bytes of all parts.
        left_out: What is not shown and why, as sentences.
    """

    sizes: Mapping[str, int]
    table: list[dict]
    data: bytes
    left_out: list[str]


def shown(
    trace: Trace,
    targets: np.ndarray | None,
    answers: np.ndarray,
    example: int,
) -> Shown:
    """Returns what the page holds of one example.

    Time is the last axis: what stays the same from step to step then lies
    together, and compresses well.

    Args:
        trace: A `Trace`.
        targets: Array of shape `(B, T, Y)`, or None.
        answers: Array of shape `(B, T, Y)`.
        example: The example's number.
    """
    parts = {
        **trace.state._asdict(),
        **trace.interface._asdict(),
        **trace._asdict(),
        "targets": () if targets is None else targets,
        "answers": answers,
    }
    sizes = _sizes(trace, answers)
    table, chunks, left_out, start = [], [], [], 0
    for name, letters in SHAPES.items():
        if not is_present(parts[name]):
            continue
        reason = _reason_to_leave_out(name, parts[name], letters, sizes)
        if reason:
            left_out.append(reason)
            continue
        array = _numbers(name, parts[name], example)
        array = np.ascontiguousarray(np.moveaxis(array, 0, -1))
        table.append(
            {
                "name": name,
                "shape": array.shape[:-1],
                "type": array.dtype.name,
                "start": start,
            }
        )
        chunks.append(array.tobytes())
        start += array.nbytes
    left_out.append("The controller's states are not shown.")
    return Shown(sizes, table, b"".join(chunks), left_out)


def _sizes(trace, answers):
    """Returns the sizes of a trace by their letters."""
    batch_size, time, features = trace.inputs.shape
    slots, width = trace.state.memory.shape[2:]
    heads = {
        letter: part.shape[2] if is_present(part) else 0
        for letter, part in (
            ("V", trace.state.write_weightings),
            ("R", trace.state.read_weightings),
        )
    }
    return {
        "B": batch_size,
        "T": time,
        "X": features,
        "Y": answers.shape[-1],
        "N": slots,
        "W": width,
        **heads,
        "M": 1 + 2 * heads["V"],
    }


def _reason_to_leave_out(name, part, letters, sizes):
    """Returns a sentence, or nothing for a part that the page can show."""
    expected = tuple(sizes[letter] for letter in f"BT{letters}")
    is_sparse = isinstance(part, SparseLink)
    if is_sparse:
        shape = (*part.values.shape[:-1], sizes["N"])
    else:
        shape = np.shape(part)
    title = name.replace("_", " ").capitalize()
    if shape != expected:
        return (
            f"{title} are not shown: their shape is {shape}, the paper's "
            f"would be {expected}."
        )
    count = np.prod(expected[1:], dtype="int64")
    if name == "link" and count > MOST_LINKS:
        return (
            f"Links are not shown: T · V · N² is {count:,} numbers an example, "
            f"more than {MOST_LINKS:,}."
        )
    return ""


def _numbers(name, part, example):
    """Returns one example of a part, of shape `(T, ...)`, to be stored."""
    if isinstance(part, SparseLink):
        part = dense_links(SparseLink(*(x[example] for x in part)))
    else:
        part = part[example]
    if name == "link":
        thousandths = np.rint(LINK_SCALE * part)
        # False of what is no number, too.
        if ((thousandths >= 0) & (thousandths <= LINK_SCALE)).all():
            return thousandths.astype("<u2")
    return part.astype("<f4")
