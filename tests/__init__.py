"""
The tests.

``make check`` tries the same examples each time, so that a failure is about the change and not
about chance; with ``ISAKMP_HYPOTHESIS=explore`` every run tries others.
"""

from __future__ import annotations

import os
from contextlib import suppress

with suppress(ImportError):  # some programs in here are run without the tools of the tests
    from hypothesis import settings

    settings.register_profile("check", derandomize=True)
    settings.register_profile("explore", print_blob=True)
    settings.load_profile(os.environ.get("ISAKMP_HYPOTHESIS", "check"))
