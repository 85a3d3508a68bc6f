"""
Where a registry keeps its security associations.
"""

from __future__ import annotations
