"""How the site is built: `nox -s docs` does it, with every warning an error."""

from sphinx.application import Sphinx

import resilient_store

project = "resilient_store"
author = "the resilient_store authors"
project_copyright = author
version = release = resilient_store.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.intersphinx",
    "sphinx.ext.napoleon",
]
exclude_patterns = ["inventories/*.md"]
nitpicky = True

html_theme = "furo"
html_title = "resilient_store"
html_copy_source = False
html_show_sphinx = False

# --- pages --------------------------------------------------------------------------------

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

# --- the reference, from docstrings -------------------------------------------------------

add_module_names = False
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_default_options = {"exclude-members": "__init__, __new__, __weakref__"}
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False

# --- other projects' names, from files kept here: the build needs no network ---------------

intersphinx_mapping = {
    "python": ("https://docs.python.org/3", "inventories/python.inv"),
    "fsspec": ("https://filesystem-spec.readthedocs.io/en/latest", "inventories/fsspec.inv"),
}
nitpick_ignore = [
    # private, but signatures name them
    ("py:class", "resilient_store.store.StoreOwner"),
    ("py:class", "StoreOwner"),
    ("py:class", "resilient_store.operations.damage.spool.Spool"),
    ("py:class", "Spool"),
    ("py:class", "Kind"),
    ("py:class", "dt.datetime"),
    ("py:class", "resilient_store.policies.FileSystemLike"),
    ("py:class", "resilient_store.store.Store"),
    ("py:class", "resilient_store.io.catalogued.fates.Paths"),
    ("py:class", "resilient_store.testing.faults.Switched"),
    ("py:class", "resilient_store.testing.ledger.Ledger"),
    ("py:class", "hypothesis.strategies.SearchStrategy"),
]
nitpick_ignore_regex = [
    ("py:class", r"(.*\.)?[A-Z](_co|_contra)?"),  # type variables have no page
    ("py:obj", r"typing\.Literal\[.*"),  # the values themselves are shown
]


def setup(app: Sphinx) -> None:
    """Be called by Sphinx."""
    app.connect("autodoc-process-bases", name_public_bases)


def name_public_bases(
    _app: Sphinx, _name: str, _class: type, _options: object, bases: list[type]
) -> None:
    """Show the first public class above in place of a private one of ours."""
    for place in range(len(bases)):
        while bases[place].__module__.startswith("resilient_store.") and (
            bases[place].__name__ not in resilient_store.__all__
        ):
            bases[place] = bases[place].__base__ or object
