"""Settings of the documentation: MyST-NB pages, every code cell run at every build.

python -m sphinx -W --keep-going -n -j auto docs build/docs    # build, as CI does
python -m sphinx_autobuild docs build/docs                     # build, serve, and follow changes
"""

import os
import sys
from pathlib import Path

import jaxmlp

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

project = "jaxmlp"
author = "the jaxmlp developers"
project_copyright = f"{author}, Apache-2.0"
release = version = jaxmlp.__version__
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "extension",  # ours, beside this file
]
exclude_patterns = []

# Pages. Kernels start in the page's folder, so they get the clone's root and docs/ to import from.
myst_enable_extensions = ["colon_fence", "dollarmath", "deflist", "fieldlist"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 120
nb_output_stderr = "error"  # a warning in a cell is an error of the page
nb_merge_streams = True
nb_render_markdown_format = "gfm"
os.environ["PYTHONPATH"] = os.pathsep.join(map(str, (HERE.parent, HERE)))
os.environ["MATPLOTLIBRC"] = str(HERE / "matplotlibrc")
os.environ.setdefault("JAX_PLATFORMS", "cpu")

html_theme = "furo"
html_math_renderer = "mathml"
html_title = "jaxmlp"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
pygments_style = "friendly"
pygments_dark_style = "monokai"
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
copybutton_exclude = ".linenos, .gp, .go"

# The reference comes from the docstrings.
autodoc_typehints = "none"  # the docstrings say types and shapes in words
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
default_role = "code"
napoleon_use_ivar = True
napoleon_custom_sections = [("Keys", "params_style")]  # of a TypedDict
napoleon_attr_annotations = False
# Names of other libraries have no page here, and builds do not use the network.
nitpick_ignore_regex = [("py:.*", r"(?!jaxmlp\.).*")]
