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
    return {
        key: keras.saving.deserialize_keras_object(
            _unbuilt(value), custom_objects=custom_objects
        )
        if key in names and isinstance(value, dict)
        else value
        for key, value in config.items()
    }


def _unbuilt(config):
    """Returns a copy of what stands for layers, of which none is built.

    Each is built by the layer that holds it: on its own its weights would not
    be named after that. And a copy, since some layers of Keras take their
    config apart.
    """
    if isinstance(config, dict):
        return {
            key: _unbuilt(value)
            for key, value in config.items()
            if not (key == "build_config" and "class_name" in config)
        }
    if isinstance(config, (list, tuple)):
        return type(config)(map(_unbuilt, config))
    return copy.deepcopy(config)
