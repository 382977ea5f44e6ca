"""Work in a process of its own, with which goes what TensorFlow compiled."""

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
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

    Raises:
        ChildProcessError: If that process ends before its work is done, as it
            does where modules are missing, or memory.
    """
    # What was printed here comes before what is printed there.
    sys.stdout.flush()
    before = {name: os.environ.get(name) for name in environment or {}}
    os.environ.update(environment or {})
    try:
        with ProcessPoolExecutor(
            1, mp_context=multiprocessing.get_context("spawn")
        ) as pool:
            return pool.submit(_call, function, arguments).result()
    except BrokenProcessPool as error:
        raise ChildProcessError(
            f"{function.__name__} in a process of its own: expected its "
            "result. Received the end of the process"
        ) from error
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
