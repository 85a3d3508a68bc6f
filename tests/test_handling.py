"""Volumes: when an SA is renewed by what it has carried."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from isakmp.handling import Handling

VOLUMES = st.integers(0, 2**64 - 1)


class SpreadTests(SynchronousTestCase):
    @given(VOLUMES, VOLUMES, st.binary(min_size=8, max_size=8))
    def test_within(self, rekey: int, rand: int, drawn: bytes) -> None:
        """
        Earlier by at most what is said, never later, and never before anything has passed; and the
        same whether octets or packets are counted.
        """
        handling = Handling(
            rekey_octets=rekey, rand_octets=rand, rekey_packets=rekey, rand_packets=rand
        )
        found = handling.spread(lambda number: drawn[:number])
        self.assertEqual(found.rekey_octets, found.rekey_packets)
        self.assertLessEqual(found.rekey_octets, rekey)
        self.assertGreaterEqual(found.rekey_octets, max(rekey - rand, min(rekey, 1)))
        self.assertEqual((found.rand_octets, found.rand_packets), (0, 0))

    def test_ends(self) -> None:
        """Least chance is no earlier, most is as early as is said."""
        handling = Handling(rekey_octets=1000, rand_octets=100)
        for drawn, wanted in ((b"\0" * 8, 1000), (b"\xff" * 8, 900), (b"\x80" + bytes(7), 950)):
            self.assertEqual(handling.spread(lambda _, d=drawn: d).rekey_octets, wanted)

    def test_nothing_asked(self) -> None:
        """What is not spread asks for no chance."""

        def none(number: int) -> bytes:
            raise AssertionError

        self.assertEqual(Handling(rekey_octets=5).spread(none), Handling(rekey_octets=5))
        self.assertEqual(Handling(rand_octets=5).spread(none), Handling())


class AgreedTests(SynchronousTestCase):
    def test_agreed(self) -> None:
        """
        An SA carries no more than was agreed, and is renewed in time before; what is configured
        counts where it is shorter.
        """
        for rekey, life, agreed, wanted in (
            (0, 0, 0, (0, 0)),
            (10, 11, 0, (10, 11)),
            (10, 11, 11, (10, 11)),
            (10, 11, 99, (10, 11)),
            (0, 0, 1100, (1000, 1100)),
            (5000, 5500, 1100, (1000, 1100)),
            (500, 5500, 1100, (500, 1100)),
            (0, 5500, 1100, (1000, 1100)),
        ):
            found = Handling(rekey_octets=rekey, life_octets=life).within(agreed)
            self.assertEqual((found.rekey_octets, found.life_octets), wanted)
