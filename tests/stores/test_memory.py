"""
The store that ends with the process.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from isakmp.interfaces import Expiry, ISAStore, Record
from isakmp.stores.memory import MemoryStore
from tests.samples import SampleSA, bundle, cookies


class MemoryStoreTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.store = MemoryStore()
        sa, child = SampleSA(cookies(1)), bundle()
        self.first = Record(sa.key, sa, Expiry(5.0))
        self.second = Record(child.key, child, Expiry())

    def kept(self) -> list[Record]:
        kept: list[Record] = []
        self.store.scan().addCallback(kept.extend)
        return kept

    def test_interface(self) -> None:
        """It is what a registry expects of a store."""
        verifyObject(ISAStore, self.store)

    def test_save(self) -> None:
        """What is saved is kept, the same key once, with what was said of it last."""
        self.successResultOf(self.store.save([self.first, self.second]))
        self.assertEqual(self.kept(), [self.first, self.second])
        later = Record(self.first.key, self.first.sa, Expiry(9.0))
        self.successResultOf(self.store.save([later]))
        self.assertEqual(self.kept(), [later, self.second])

    def test_delete(self) -> None:
        """What is deleted is gone; deleting it again, or what never was, changes nothing."""
        self.successResultOf(self.store.save([self.first, self.second]))
        for _ in range(2):
            self.successResultOf(self.store.delete([self.first.key, cookies(9)]))
            self.assertEqual(self.kept(), [self.second])
        self.successResultOf(self.store.delete([]))
        self.assertEqual(self.kept(), [self.second])

    def test_scan(self) -> None:
        """What was read once does not change afterwards."""
        self.successResultOf(self.store.save([self.first]))
        before: list[Sequence[Record]] = []
        self.store.scan().addCallback(before.append)
        self.successResultOf(self.store.delete([self.first.key]))
        self.assertEqual(list(before[0]), [self.first])
