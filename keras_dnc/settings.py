"""Settings of a training from a YAML or JSON file."""

import dataclasses
import re
import typing
from pathlib import Path

import yaml


def load(path: Path | str, *classes: type, **others: type) -> dict:
    """Returns what a file sets, checked by the types of dataclass fields.

    Args:
        path: A file of names and values, in YAML or JSON.
        *classes: Dataclasses; it may set the fields that `option` made.
        **others: Further names and the type of each.

    Returns:
        The values by name.

    Raises:
        FileNotFoundError: If there is no file.
        ValueError: If it is not of that form, or a name or a type is wrong.
    """
    types = dict(others)
    for options_class in classes:
        hints = typing.get_type_hints(options_class)
        types |= {
            field.name: hints[field.name]
            for field in dataclasses.fields(options_class)
            if "description" in field.metadata
        }
    values = {}
    for line, name, value in _entries(Path(path)):
        place = f"{path}, line {line}"
        if name not in types:
            raise ValueError(
                f"{place}: expected one of {', '.join(sorted(types))}. "
                f"Received: {name}"
            )
        if name in values:
            raise ValueError(f"{place}: expected {name} once. Received another")
        values[name] = _of_type(place, name, value, types[name])
    return values


def _entries(path):
    """Yields line, name and value of each entry of a file."""
    try:
        text = path.read_text(encoding="utf-8")
        if text.lstrip().startswith("{"):
            # JSON may be indented by tabs, which YAML knows nothing of.
            text = re.sub(
                r"^\t+", lambda tabs: " " * len(tabs[0]), text, flags=re.M
            )
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        if not isinstance(root, yaml.MappingNode):
            raise ValueError(
                f"{path}: expected names and values, as `epochs: 3`. Received "
                f"{'nothing' if root is None else 'something else'}"
            )
        for key, value in root.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise ValueError(
                    f"{path}, line {line}: expected a name. Received something "
                    "else"
                )
            yield line, key.value, _value(f"{path}, line {line}", loader, value)
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path}: expected a text in UTF-8. Received: {error}"
        ) from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1
        raise ValueError(
            f"{path}, line {line}: expected YAML or JSON. Received: "
            f"{error.problem}"
        ) from error
    except yaml.YAMLError as error:
        raise ValueError(
            f"{path}: expected YAML or JSON. Received: {error}"
        ) from error


def _value(place, loader, node):
    try:
        return loader.construct_object(node, deep=True)
    except ValueError as error:
        # As of a date that there is not.
        raise ValueError(
            f"{place}: expected a value of YAML or JSON. Received: "
            f"{node.value!r}"
        ) from error


def _of_type(place, name, value, of_type):
    # YAML takes 1e-3 for a word; a truth value is a number to Python.
    if of_type is float and not isinstance(value, bool):
        try:
            return float(value)
        except (TypeError, ValueError):
            pass
    # A word that looks like a number, as the number of a task.
    if of_type is str and type(value) is int:
        return str(value)
    if type(value) is of_type:
        return value
    raise ValueError(
        f"{place}: expected {name} of type {of_type.__name__}. Received: "
        f"{value!r}"
    )
