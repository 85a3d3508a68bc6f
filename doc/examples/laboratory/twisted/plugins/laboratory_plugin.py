"""
What ``twistd isakmp`` finds.  This directory must never get an ``__init__.py``.
"""
from __future__ import annotations

from laboratory.domain import Laboratory
from laboratory.key_exchange import X25519
from laboratory.sink import BenchSink

domain = Laboratory()
key_exchange = X25519()
sink = BenchSink()
