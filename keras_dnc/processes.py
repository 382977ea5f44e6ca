"""Work in a process of its own, with which goes what TensorFlow compiled."""

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable
from multiprocessing import connection
from typing import Any


def in_own_process(
    function: Callable, *arguments, environment: dict[str, str] | None = None
) -> Any:
    """Returns a function's result, computed in a new process.

    The new process ends with this one, even if this one is killed.

    Args:
        function: A function of a module.
        *arguments: Its arguments.
        environment: Variables of the environment there, besides those here.
    """
    # What was printed here comes before what is printed there.
    sys.stdout.flush()
    before = {name: os.environ.get(name) for name in environment or {}}
    os.environ.update(environment or {})
    try:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            return pool.apply(_call, (function, arguments))
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _call(function, arguments):
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        return function(*arguments)
    finally:
        sys.stdout.flush()


def _end_with_parent():
    connection.wait([multiprocessing.parent_process().sentinel])
    os._exit(1)
