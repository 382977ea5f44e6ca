"""Settings of the documentation.

It is built by `sphinx-build -W --keep-going -b html docs docs/_build/html`.
"""

import importlib.metadata
import importlib.resources
import os
import pathlib
import shutil
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
FOLDER = pathlib.Path(__file__).parent
sys.path.insert(0, str(FOLDER / "_sphinx"))

project = "keras_dnc"
author = "the authors of keras_dnc"
version = release = importlib.metadata.version("keras_dnc")

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "docstrings",
    "mathml",
    "reference",
]
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = "keras_dnc"
# The files of a folder, and the font of the equations.
FONT = importlib.resources.files("ziamath.fonts") / "STIXTwoMath-Regular.ttf"
html_static_path = ["_static", str(FONT)]
html_css_files = ["pages.css"]
html_show_copyright = False
html_show_sphinx = False
html_copy_source = False
html_math_renderer = "mathml"

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
# README's sections, which the page of results includes, stand deeper there.
suppress_warnings = ["myst.header"]

# The reference: docstrings in Keras' form.
default_role = "py:obj"
autodoc_default_options = {
    "members": True,
    "member-order": "bysource",
    # What every layer of Keras has, and what a Bayesian one draws with.
    "exclude-members": "build, call, compute_dtype, compute_output_shape, "
    "compute_output_spec, estimator, from_config, get_config",
}
autodoc_preserve_defaults = True
maximum_signature_line_length = 80
napoleon_custom_sections = [
    ("Attributes", "params_style"),
    ("Call arguments", "params_style"),
]
napoleon_use_rtype = False
reference_modules = [
    "keras_dnc",
    "keras_dnc.addressing",
    "keras_dnc.bayesian",
    "keras_dnc.memory",
    "keras_dnc.plots",
    "keras_dnc.tasks",
    "keras_dnc.training",
]

# The tutorials stand beside this folder, and Sphinx reads what is in it.
SOURCE, COPY = FOLDER.parent / "tutorials", FOLDER / "tutorials"
shutil.rmtree(COPY, ignore_errors=True)
if SOURCE.is_dir():
    shutil.copytree(SOURCE, COPY, ignore=shutil.ignore_patterns(".*"))
else:
    COPY.mkdir()
    (COPY / "none.md").write_text("# There are no tutorials yet\n")
# They run when the pages are built; what they print is kept in _build until
# their code changes.
nb_execution_mode = "cache"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_output_stderr = "remove"
nb_merge_streams = True
# Widgets would be fetched from other hosts.
nb_ipywidgets_js = {}
