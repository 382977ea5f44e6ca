"""Checks of arguments that answer with what was expected and what came."""

import numbers


def positive_integer(name: str, value) -> int:
    """Returns `value` as an int.

    Args:
        name: The argument's name, for the message.
        value: What the caller passed.

    Raises:
        ValueError: If `value` is not an integer of at least 1.
    """
    is_integer = isinstance(value, numbers.Integral)
    if not is_integer or isinstance(value, bool) or value < 1:
        raise ValueError(
            f"`{name}` must be a positive integer. Received: {name}={value!r}"
        )
    return int(value)


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
