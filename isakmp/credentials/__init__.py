"""
Who we are, and whom we believe.
"""

from __future__ import annotations
