"""Equations as MathML, which browsers draw without scripts or fonts."""

import latex2mathml.converter
from docutils import nodes
from sphinx.util import logging

logger = logging.getLogger(__name__)


def setup(app):
    """Adds the renderer that `html_math_renderer = "mathml"` names."""
    app.add_html_math_renderer(
        "mathml",
        inline_renderers=(visit_inline, None),
        block_renderers=(visit_block, None),
    )
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def visit_inline(translator, node):
    """Writes an equation within a line."""
    translator.body.append(mathml(node, "inline"))
    raise nodes.SkipNode


def visit_block(translator, node):
    """Writes an equation on lines of its own."""
    translator.body.append(f'<div class="math">{mathml(node, "block")}</div>')
    raise nodes.SkipNode


def mathml(node, display):
    """Returns a node's LaTeX as MathML."""
    latex = node.astext()
    # The converter knows `aligned` by its other name.
    known = latex.replace("{aligned}", "{split}")
    found = latex2mathml.converter.convert(known, display=display)
    # What the converter does not know it passes on as it is.
    if "\\" in found or "<mi>&" in found.replace("<mi>&#", ""):
        logger.warning("not understood in %r", latex, location=node)
    return found
