"""Docstrings in Keras' form as Sphinx reads them.

Their links and blocks are Markdown's, and become reStructuredText. Words in
single backticks need nothing: they are of the default role.
"""

import dataclasses
import re

from sphinx.util import inspect

ADDRESS = r"https?://(?:[^\s()]|\([^\s()]*\))+"
LINK = re.compile(rf"\[([^\[\]]+)\]\(\s*({ADDRESS})\s*\)")
# A formula on lines of its own, after a colon.
BLOCK = re.compile(r"^( *)(\S.*):\n\n(?=\1 +[^\s>])", re.M)
EXAMPLE = re.compile(r"^( *)Example:\n(?=\1>>>)", re.M)


def setup(app):
    """Converts each docstring before napoleon reads its sections."""
    app.connect("autodoc-process-docstring", convert, priority=400)
    app.connect("autodoc-process-signature", constructor)
    app.connect("autodoc-skip-member", is_field)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def convert(app, what, name, obj, options, lines):
    """Converts the lines of a docstring in place."""
    end = lines.index("Raises:") if "Raises:" in lines else len(lines)
    text = "\n".join([*lines[:end], *options_of(obj), *lines[end:]])
    text = LINK.sub(as_link, text)
    text = BLOCK.sub(r"\1\2::\n\n", text)
    text = EXAMPLE.sub(r"\1.. rubric:: Example\n\n", text)
    lines[:] = text.split("\n")


def options_of(obj):
    """Returns the section of what a class of options is made with."""
    if not (isinstance(obj, type) and dataclasses.is_dataclass(obj)):
        return []
    rows = [
        f"    {field.name}: {field.metadata['description']}."
        for field in dataclasses.fields(obj)
        if "description" in field.metadata
    ]
    return ["Args:", *rows, ""] if rows else []


def as_link(match):
    """Returns a link of Markdown as one of reStructuredText."""
    return f"`{' '.join(match[1].split())} <{match[2]}>`__"


def constructor(app, what, name, obj, options, signature, returns):
    """Returns the arguments that a class is made with, where Sphinx errs."""
    if what != "class":
        return None
    if hasattr(obj, "_field_defaults"):
        defaults = {k: f"={x!r}" for k, x in obj._field_defaults.items()}
        fields = [f"{field}{defaults.get(field, '')}" for field in obj._fields]
        return f"({', '.join(fields)})", ""
    if signature == "(*args, **kwargs)":
        # Keras' layers have a `__new__` in front of their `__init__`.
        arguments = inspect.signature(obj.__init__, bound_method=True)
        return inspect.stringify_signature(
            arguments, unqualified_typehints=True
        ), ""
    return None


def is_field(app, what, name, obj, skip, options):
    """Skips the fields of a named tuple: its docstring says what they are."""
    return True if type(obj).__name__ == "_tuplegetter" else None
