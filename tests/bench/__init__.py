"""Measurements.  Run one with ``python -m tests.bench.NAME``; each prints one line of JSON."""
