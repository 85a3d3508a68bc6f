"""
What ``twistd`` finds: ``twistd isakmp`` runs :mod:`isakmp.tap`.

Nothing else is imported here, for every ``twistd --help`` reads this file.  This directory must
never get an ``__init__.py``.
"""

from __future__ import annotations

from twisted.application.service import ServiceMaker

isakmp = ServiceMaker("ISAKMP", "isakmp.tap", "ISAKMP: key management with IKEv1.", "isakmp")
