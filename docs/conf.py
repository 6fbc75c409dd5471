"""How Sphinx makes the site. `make docs` runs it on what docs/site/stage.py lays out."""

import importlib
import pkgutil

import gmemx

# A module that is imported already is documented itself, any other from its stub.
for found in pkgutil.iter_modules(gmemx.__path__, "gmemx."):
    if not found.name.rpartition(".")[2].startswith("_") and found.name != "gmemx.libgmemx":
        importlib.import_module(found.name)

project = "gmemx"
author = "the gmemx authors"
version = release = gmemx.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = f"gmemx {release}"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False
exclude_patterns = ["files"]

# Single backquotes of docstrings are code, as in the guides.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "none"
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_param = False
napoleon_use_ivar = True

myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]


def _without_self(app, what, name, obj, options, signature, result):
    """Compiled methods tell of `self`, which no caller gives."""
    if what == "method" and signature:
        signature = signature.replace("(self, ", "(", 1).replace("(self)", "()", 1)
    return signature, result


def setup(app):
    app.connect("autodoc-process-signature", _without_self)
