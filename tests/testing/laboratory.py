"""
The laboratory's key exchange, of doc/examples/laboratory, without its being installed.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from isakmp.testing import Trial
from isakmp.testing.trial import NAMES

FILE = (
    Path(__file__).resolve().parents[2]
    / "doc"
    / "examples"
    / "laboratory"
    / "laboratory"
    / "key_exchange.py"
)


def _loaded() -> ModuleType:
    found = sys.modules.get("laboratory_key_exchange")
    if found is None:
        spec = importlib.util.spec_from_file_location("laboratory_key_exchange", FILE)
        assert spec is not None and spec.loader is not None
        found = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(found)
    return found


module = _loaded()

_PRIVATE = bytes(range(32)), bytes(range(32, 64))
_PUBLIC = [module.CURVE.key_pair(private).public.hex() for private in _PRIVATE]

TRIAL = Trial(
    "x25519-aes256gcm",
    settings=(
        {"private": _PRIVATE[0].hex(), "peers": {NAMES[1]: _PUBLIC[1]}},
        {"private": _PRIVATE[1].hex(), "peers": {NAMES[0]: _PUBLIC[0]}},
    ),
)
"""Two parties, each with the key of the other."""
