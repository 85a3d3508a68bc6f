"""
The page about section 5 of RFC 2408.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from isakmp.departures import LENIENCES
from isakmp.exchange.rules import NEVER_SENT, RULES
from tests.pages import page
from tests.section_5 import main, text


class PageTests(SynchronousTestCase):
    def test_written(self) -> None:
        """The page is what the table says: ``python -m tests.section_5`` writes it."""
        self.assertEqual(page("reference/section-5.rst"), text())
        self.assertEqual(main(["--check"]), 0)

    def test_everything(self) -> None:
        """Every rule, notification and name of what can be overlooked is on it."""
        found = text()
        for rule in RULES:
            self.assertIn(rule.asks, found)
            self.assertIn(rule.name, found)
            if rule.notify is not None:
                self.assertIn(f"{rule.notify.spelled} ({int(rule.notify)})", found)
        for kind in NEVER_SENT:
            self.assertIn(kind.spelled, found)
        for name in LENIENCES:
            self.assertIn(f"``{name}``", found)
