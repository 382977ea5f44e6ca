"""Initializers and seeds that more than one part shares."""

import zlib

import numpy as np
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


def seed_of(seed: int | None, name: str) -> int | None:
    """Returns a seed for a part of what a seed is for, another for each name.

    Args:
        seed: A seed, or None.
        name: The name of the part.
    """
    if seed is None:
        return None
    entropy = [seed, zlib.crc32(name.encode())]
    return int(np.random.SeedSequence(entropy).generate_state(1)[0] >> 1)
