"""
Where finished security associations go.
"""

from __future__ import annotations
