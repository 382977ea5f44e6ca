"""Warns of a public name that the reference lacks, or without a docstring."""

import importlib
import inspect

from sphinx.util import logging

logger = logging.getLogger(__name__)


def setup(app):
    """Checks the reference when all pages have been read."""
    app.add_config_value("reference_modules", [], "env")
    app.connect("env-check-consistency", check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def check(app, env):
    """Compares what the modules export with what the pages document."""
    documented = env.get_domain("py").objects
    for module_name in app.config.reference_modules:
        for name, value in public(importlib.import_module(module_name)):
            full_name = f"{module_name}.{name}"
            if full_name not in documented:
                logger.warning("not in the reference: %s", full_name)
            has_docstring = inspect.ismodule(value) or callable(value)
            if has_docstring and not (value.__doc__ or "").strip():
                logger.warning("no docstring: %s", full_name)


def public(module):
    """Yields names and values that a module exports.

    Those of `__all__`; without one, the functions and classes that are
    defined there, if they have no underscore.
    """
    if hasattr(module, "__all__"):
        for name in module.__all__:
            yield name, getattr(module, name)
        return
    for name, value in vars(module).items():
        is_own = getattr(value, "__module__", None) == module.__name__
        is_code = inspect.isfunction(value) or inspect.isclass(value)
        if is_code and is_own and not name.startswith("_"):
            yield name, value
