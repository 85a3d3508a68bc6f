"""
The example outside the package: ``doc/examples/laboratory``.

Its modules are imported from there, as if they were installed.
"""

from __future__ import annotations

import sys
from pathlib import Path

LABORATORY = Path(__file__).resolve().parent.parent.parent / "doc" / "examples" / "laboratory"

if str(LABORATORY) not in sys.path:
    sys.path.append(str(LABORATORY))
