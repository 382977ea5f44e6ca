"""A process of its own: its environment, what it prints, and when it ends."""

import os
import signal
import subprocess
import sys

import pytest

from keras_dnc.processes import in_own_process

SCRIPT = """
import sys, time
from keras_dnc.processes import in_own_process

def work(seconds):
    print("there")
    print(f"waiting {seconds} s", file=sys.stderr, flush=True)
    time.sleep(seconds)

if __name__ == "__main__":
    print("here")
    in_own_process(work, float(sys.argv[1]))
    print("here again")
"""


def test_the_environment_is_of_that_process_alone(monkeypatch):
    monkeypatch.delenv("KERAS_DNC_BENCHMARK", raising=False)
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    environment = {"KERAS_BACKEND": "tensorflow", "KERAS_DNC_BENCHMARK": "1"}
    of_process = in_own_process(values, *environment, environment=environment)
    assert of_process == ["tensorflow", "1"]
    assert values(*environment) == ["jax", None]


def values(*names):
    return [os.getenv(name) for name in names]


def test_an_error_there_is_one_here():
    with pytest.raises(ValueError, match="invalid literal"):
        in_own_process(int, "three")


def test_a_process_that_ends_early_is_an_error():
    with pytest.raises(ChildProcessError, match="_exit in a process of its"):
        in_own_process(os._exit, 3)
    environment = {"KERAS_BACKEND": "none"}
    with pytest.raises(ChildProcessError, match="getenv in a process of its"):
        in_own_process(os.getenv, "HOME", environment=environment)


def started(tmp_path, seconds):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    return subprocess.Popen(
        [sys.executable, str(script), str(seconds)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_what_both_print_is_in_order(tmp_path):
    out, _ = started(tmp_path, 0).communicate()
    assert out.split() == ["here", "there", "here", "again"]


@pytest.mark.slow
def test_it_ends_when_this_one_is_killed(tmp_path):
    process = started(tmp_path, 90)
    for line in process.stderr:
        if line.startswith("waiting"):
            break
    assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    # A pipe ends when nobody can write to it any more: here before the other
    # process has waited, or else this raises.
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
