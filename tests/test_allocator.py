"""Freed memory stays with the process when it is told so."""

import platform
import subprocess
import sys

import pytest

# Page faults of arrays that are made, filled and freed again and again.
FAULTS = """
import resource
import sys

import numpy as np

from keras_dnc.allocator import keep_freed_memory

if sys.argv[1] == "keep":
    assert keep_freed_memory()

def fill():
    for part in [np.empty(2**20) for _ in range(8)]:
        part.fill(1)

fill()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    fill()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="a setting of glibc"
)
def test_kept_memory_is_not_asked_for_again():
    faults = {
        word: int(
            subprocess.run(
                [sys.executable, "-c", FAULTS, word],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        )
        for word in ("keep", "default")
    }
    assert faults["keep"] < 0.2 * faults["default"]
