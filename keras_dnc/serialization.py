"""Layers as constructor arguments, to and from a config."""

import copy
from collections.abc import Iterable

import keras


def deserialize_layers(
    config: dict, names: Iterable[str], custom_objects: dict | None = None
) -> dict:
    """Replaces serialized layers in a config by layers.

    Args:
        config: A layer's config; it is left as it is.
        names: The keys that may hold a serialized layer. Other values there,
            such as None or the number of an LSTM's units, stay.
        custom_objects: Names and classes that are not registered with Keras.

    Returns:
        A copy of `config` that a constructor takes.
    """
    # Of a copy, since some layers of Keras take their config apart.
    return {
        key: keras.saving.deserialize_keras_object(
            copy.deepcopy(value), custom_objects=custom_objects
        )
        if key in names and isinstance(value, dict)
        else value
        for key, value in config.items()
    }
