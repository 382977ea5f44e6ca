"""Checks of arguments that answer with what was expected and what came."""

import math
import numbers
import os
from collections.abc import Iterable

import keras
import numpy as np


def positive_integer(
    name: str, value, expected: str = "a positive integer"
) -> int:
    """Returns `value` as an int.

    Args:
        name: The argument's name, for the message.
        value: What the caller passed.
        expected: What the argument may be, for the message.

    Raises:
        ValueError: If `value` is not an integer of at least 1.
    """
    is_integer = isinstance(value, numbers.Integral)
    if not is_integer or isinstance(value, bool) or value < 1:
        raise ValueError(
            f"`{name}` must be {expected}. Received: {name}={value!r}"
        )
    return int(value)


def nonnegative_integer(name: str, value) -> int:
    """Returns `value` as an int.

    Args:
        name: The argument's name, for the message.
        value: What the caller passed.

    Raises:
        ValueError: If `value` is not an integer of at least 0.
    """
    is_integer = isinstance(value, numbers.Integral)
    if not is_integer or isinstance(value, bool) or value < 0:
        raise ValueError(
            f"`{name}` must be an integer of at least 0. Received: "
            f"{name}={value!r}"
        )
    return int(value)


def positive_number(
    name: str, value, expected: str = "a positive number"
) -> float:
    """Returns `value` as a float.

    Args:
        name: The argument's name, for the message.
        value: What the caller passed.
        expected: What the argument may be, for the message.

    Raises:
        ValueError: If `value` is not a finite number above 0.
    """
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not is_number or not 0 < value < math.inf:
        raise ValueError(
            f"`{name}` must be {expected}. Received: {name}={value!r}"
        )
    return float(value)


def real_number(name: str, value) -> float:
    """Returns `value` as a float.

    Args:
        name: The argument's name, for the message.
        value: What the caller passed.

    Raises:
        ValueError: If `value` is not a finite number.
    """
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value):
        raise ValueError(
            f"`{name}` must be a finite number. Received: {name}={value!r}"
        )
    return float(value)


def nonnegative_number(name: str, value) -> float:
    """Returns `value` as a float.

    Args:
        name: The argument's name, for the message.
        value: What the caller passed.

    Raises:
        ValueError: If `value` is not a finite number of at least 0.
    """
    if real_number(name, value) < 0:
        raise ValueError(
            f"`{name}` must be a number of at least 0. Received: "
            f"{name}={value!r}"
        )
    return float(value)


def boolean(name: str, value) -> bool:
    """Returns `value` as a bool.

    Args:
        name: The argument's name, for the message.
        value: What the caller passed.

    Raises:
        ValueError: If `value` is neither True nor False.
    """
    if not isinstance(value, bool | np.bool_):
        raise ValueError(
            f"`{name}` must be True or False. Received: {name}={value!r}"
        )
    return bool(value)


def string(name: str, value) -> str:
    """Returns `value` as a string.

    Args:
        name: The argument's name, for the message.
        value: What the caller passed: a string, or a path.

    Raises:
        ValueError: If `value` is neither.
    """
    if not isinstance(value, str | os.PathLike):
        raise ValueError(
            f"`{name}` must be a string. Received: {name}={value!r}"
        )
    return os.fspath(value)


def is_array(value) -> bool:
    """Whether a value is an array, a tensor or a variable."""
    is_keras = isinstance(value, keras.Variable) or keras.ops.is_tensor(value)
    return is_keras or isinstance(value, np.ndarray)


def is_finite(array: np.ndarray) -> bool:
    """Whether an array is of numbers, none of them NaN or infinite."""
    is_number = np.issubdtype(array.dtype, np.number)
    return is_number and bool(np.isfinite(array).all())


def fraction(name: str, value) -> float:
    """Returns `value` as a float.

    Args:
        name: The argument's name, for the message.
        value: What the caller passed.

    Raises:
        ValueError: If `value` is not a number in [0, 1].
    """
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= 1:
        raise ValueError(
            f"`{name}` must be a number from 0 to 1. Received: {name}={value!r}"
        )
    return float(value)


def fraction_below_one(name: str, value) -> float:
    """Returns `value` as a float.

    Args:
        name: The argument's name, for the message.
        value: What the caller passed.

    Raises:
        ValueError: If `value` is not a number in [0, 1).
    """
    if fraction(name, value) == 1:
        raise ValueError(
            f"`{name}` must be a number from 0 to below 1. Received: "
            f"{name}={value!r}"
        )
    return float(value)


def half_precision(name: str, value) -> str | None:
    """Returns the name of a dtype of half precision, or None.

    Args:
        name: The argument's name.
        value: What was given.

    Raises:
        ValueError: If it is another.
    """
    if value not in (None, "float16", "bfloat16"):
        raise ValueError(
            f"`{name}` must be 'float16', 'bfloat16' or None. Received: "
            f"{name}={value!r}"
        )
    return value


def layer(name: str, value, *methods: str) -> keras.layers.Layer:
    """Returns `value`, a layer.

    Args:
        name: The argument's name, for the message.
        value: What the caller passed.
        *methods: Names of methods that it must have besides a layer's own.

    Raises:
        ValueError: If `value` is not a Keras layer, or one without a method.
    """
    if not isinstance(value, keras.layers.Layer):
        raise ValueError(
            f"`{name}` must be a Keras layer. Received: {name}={value!r}"
        )
    for method in methods:
        if not callable(getattr(value, method, None)):
            raise ValueError(
                f"`{name}` must be a layer with a method `{method}`. Received: "
                f"{name}={value!r}"
            )
    return value


def feature_names(name: str, value, count: int) -> list[str]:
    """Returns the name of each feature, its number where none are given.

    Args:
        name: The argument's name, for the message.
        value: What the caller passed: strings, or None.
        count: The number of features.

    Raises:
        ValueError: If `value` is neither None nor `count` strings.
    """
    if value is None:
        return [str(feature) for feature in range(count)]
    is_list = isinstance(value, Iterable) and not isinstance(value, str)
    names = [*value] if is_list else []
    if len(names) != count or not all(isinstance(x, str) for x in names):
        raise ValueError(
            f"`{name}` must be {count} strings, one a feature. Received: "
            f"{name}={value!r}"
        )
    return names


def shapes(**tensors):
    """Checks the shapes of tensors that are passed together.

    Args:
        **tensors: For each argument's name its tensor and its shape in
            letters, such as `(memory, "BNW")`. A letter stands for one size
            throughout.

    Raises:
        ValueError: If a tensor has another shape, as far as it is known.
    """
    sizes = {}
    for name, (tensor, letters) in tensors.items():
        shape = tuple(tensor.shape)
        known = [
            (letter, size)
            for letter, size in zip(letters, shape, strict=False)
            if size is not None
        ]
        if len(shape) != len(letters) or any(
            sizes.setdefault(letter, size) != size for letter, size in known
        ):
            known = "".join(f", {k}={size}" for k, size in sizes.items())
            raise ValueError(
                f"`{name}` must have the shape ({', '.join(letters)}){known}. "
                f"Received: {name} of shape {shape}"
            )
