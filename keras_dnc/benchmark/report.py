"""Runs measurements one after another and shows them."""

import contextlib
import itertools
import json
import os
import platform
from importlib import metadata
from pathlib import Path

from keras_dnc.benchmark import parts
from keras_dnc.benchmark.measuring import (
    Measurement,
    copy_bandwidth,
    measure,
)
from keras_dnc.benchmark.sizes import SIZES
from keras_dnc.benchmark.subjects import (
    EXTENSIONS,
    MEASURES,
    PEER,
    Subject,
    check_peer,
)
from keras_dnc.processes import in_own_process
from keras_dnc.validation import positive_integer

COMPILERS = {
    "tensorflow": ("graph", "XLA"),
    "jax": ("XLA",),
    "torch": ("eager",),
}
COLUMNS = (
    "size",
    "measure",
    "subject",
    "median [least, most] in ms",
    "first in s",
    "peak in MB",
    "/ floor",
    "/ peer",
    "peak / peer",
    "/ plain",
    "peak / plain",
)


def run(
    sizes: list[str],
    measures: list[str],
    repeats: int,
    backend: str = "tensorflow",
    compilers: list[str] | None = None,
    peer: bool = False,
    profile: bool = False,
    arguments: dict | None = None,
    extensions: list[str] | None = None,
    environment: dict[str, str] | None = None,
    out: Path | str | None = None,
) -> None:
    """Measures and prints a table.

    Each figure comes from a process of its own, one after another, with as
    many threads as the machine has cores.

    Args:
        sizes: Names in `SIZES`.
        measures: Names in `MEASURES`.
        repeats: How often each is timed.
        backend: The backend of Keras.
        compilers: Of the backend's `COMPILERS`; default all.
        peer: Whether to measure PyPI's `dnc` (pytorch-dnc) too.
        profile: Whether to show the parts of a time step too.
        arguments: More arguments of `keras_dnc.DNC`, which is then measured
            with them and without.
        extensions: Names in `EXTENSIONS`: a DNC is measured with each too.
        environment: Variables of the environment of all that is measured,
            the peer too.
        out: JSON file for the figures, if any.

    Raises:
        ValueError: If the backend has no such compiler, or the environment
            names another backend.
        ModuleNotFoundError: If the peer is asked for and not installed.
        FileNotFoundError: If the folder of `out` is missing.
    """
    positive_integer("repeats", repeats)
    if out is not None and not Path(out).absolute().parent.is_dir():
        raise FileNotFoundError(
            f"{out}: expected a file in a folder that is there"
        )
    compilers = compilers or list(COMPILERS[backend])
    for compiler in compilers:
        if compiler not in COMPILERS[backend]:
            raise ValueError(
                "`compilers` must be of "
                + ", ".join(COMPILERS[backend])
                + f" on {backend}. Received: {compiler}"
            )
    if peer:
        check_peer()
    environment = dict(environment or {})
    if environment.setdefault("KERAS_BACKEND", backend) != backend:
        raise ValueError(
            f"`environment` must leave the backend to backend={backend}. "
            f"Received: KERAS_BACKEND={environment['KERAS_BACKEND']}"
        )
    bandwidth = in_own_process(copy_bandwidth, environment=environment)
    print(
        f"{repeats} repetitions on {os.cpu_count()} cores, Keras on {backend}; "
        f"copying reads and writes {bandwidth / 1e9:.1f} GB/s"
    )
    print(" | ".join(COLUMNS))
    measured = []
    for size, kind in itertools.product(sizes, measures):
        plain = [Subject(kind, compiler) for compiler in compilers]
        variants = [
            arguments or {},
            *(EXTENSIONS[name] for name in extensions or []),
        ]
        changed = [
            own._replace(arguments=tuple(given.items()))
            for given in variants
            for own in plain
            if given
        ]
        peers = [Subject(kind, PEER)] if peer and kind != "step" else []
        of_peer, of_plain = None, {}
        # The peer first: the others are shown in ratio to it.
        for subject in peers + plain + changed:
            result = in_own_process(
                measure,
                subject,
                _of_measure(SIZES[size], kind),
                repeats,
                environment=environment,
            )
            if subject.is_peer:
                of_peer = result
            row = _row(size, subject, result, bandwidth)
            if of_peer is not None:
                _add_ratios(row, result, of_peer, "peer")
            if subject in plain:
                of_plain[subject.compiler] = result
            elif not subject.is_peer:
                _add_ratios(row, result, of_plain[subject.compiler], "plain")
            print(" | ".join(_cells(row)), flush=True)
            measured.append(row)
    profiles = []
    if profile:
        profiles = _profiles(sizes, compilers, repeats, environment)
    if out is not None:
        report = {
            "versions": _versions(),
            "environment": environment,
            "cores": os.cpu_count(),
            "repeats": repeats,
            "copied_bytes_per_second": bandwidth,
            "measurements": measured,
            "profiles": profiles,
        }
        Path(out).write_text(json.dumps(report, indent=1) + "\n")


def _of_measure(size, kind):
    return size.one_step if kind == "step" else size


def _row(name, subject, result: Measurement, bandwidth):
    """Returns the figures of one line, by their names in JSON."""
    size = _of_measure(SIZES[name], subject.measure)
    floor = size.least_bytes(MEASURES[subject.measure]) / bandwidth
    row = {
        "size": name,
        "measure": subject.measure,
        "subject": subject.name,
        "seconds": result.seconds,
        "median_seconds": result.median,
        "first_seconds": result.first_seconds,
        "peak_bytes": result.peak_bytes,
    }
    # The floor counts all links.
    if not {"content_only", "sparse_links"} & dict(subject.arguments).keys():
        row["ratio_to_floor"] = result.median / floor
    return row


def _add_ratios(row, result, other, name):
    row[f"ratio_to_{name}"] = result.median / other.median
    if result.peak_bytes is not None:
        row[f"peak_ratio_to_{name}"] = result.peak_bytes / other.peak_bytes


def _cells(row):
    median, least, most = (
        1e3 * figure
        for figure in (
            row["median_seconds"],
            min(row["seconds"]),
            max(row["seconds"]),
        )
    )
    peak = row["peak_bytes"]

    def ratio(name, digits=2):
        return f"{row[name]:.{digits}f}" if name in row else ""

    return [
        row["size"],
        row["measure"],
        row["subject"],
        f"{median:.3g} [{least:.3g}, {most:.3g}]",
        f"{row['first_seconds']:.1f}",
        "" if peak is None else f"{peak / 1e6:.0f}",
        ratio("ratio_to_floor", digits=1),
        ratio("ratio_to_peer"),
        ratio("peak_ratio_to_peer"),
        ratio("ratio_to_plain"),
        ratio("peak_ratio_to_plain"),
    ]


def _profiles(sizes, compilers, repeats, environment):
    """Prints and returns the parts of each size's training time step."""
    print("Parts of a time step in training, median in ms")
    profiles = []
    for size, compiler in itertools.product(sizes, compilers):
        seconds = in_own_process(
            parts.profile,
            SIZES[size],
            compiler,
            repeats,
            environment=environment,
        )
        if not profiles:
            print(" | ".join(["size", "subject", *seconds]))
        cells = [f"{1e3 * figure:.3g}" for figure in seconds.values()]
        print(" | ".join([size, compiler, *cells]), flush=True)
        profiles.append({"size": size, "subject": compiler, "seconds": seconds})
    return profiles


def _versions():
    versions = {"python": platform.python_version()}
    for package in ("keras_dnc", "keras", "tensorflow", "jax", "torch", "dnc"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return versions
