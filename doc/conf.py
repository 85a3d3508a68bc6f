"""How Sphinx builds the documentation: ``make doc``."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from isakmp import __version__

project = "isakmp"
author = "the isakmp authors"
copyright = "2026, the isakmp authors"
version = release = __version__

extensions: list[str] = []
exclude_patterns = ["examples"]
default_role = "code"
nitpicky = True

html_theme = "furo"
html_title = f"isakmp {__version__}"
html_copy_source = False
html_show_sphinx = False
