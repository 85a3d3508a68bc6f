"""Tests of the test kit's obligations."""
