"""Initializers that more than one weight shares."""

from keras import initializers


def fresh(initializer):
    """Returns an initializer alike: one instance draws the same numbers again.

    An unseeded random initializer of Keras keeps the seed that it drew when it
    was made; a seeded one keeps the seed that it was given.

    Args:
        initializer: An initializer of Keras, or any callable, which is
            returned as it is.
    """
    if isinstance(initializer, initializers.Initializer):
        return initializer.clone()
    return initializer
