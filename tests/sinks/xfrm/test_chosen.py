"""Numbers that are chosen for children: marks and interface ids."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from isakmp.associations import ChildPolicy
from isakmp.errors import LimitReached
from isakmp.handling import Handling, Mark, Unique
from isakmp.sinks.xfrm.chosen import Uniques
from tests.samples import PEER, policy

EACH, EACH_WAY = Unique(), Unique(by_direction=True)
SHARED = Unique(of_connection=True)
ELSEWHERE = "198.51.100.7"


class UniquesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.uniques = Uniques()

    def taken(
        self,
        user: str,
        handling: Handling,
        peer: str = PEER,
        trap: bool = False,
        of: ChildPolicy | None = None,
    ) -> Handling:
        """What becomes of it for somebody."""
        wanted = replace(of or policy(), handling=handling)
        return self.uniques.take(wanted, peer, user, trap).handling

    def values(self, handling: Handling) -> tuple[object, ...]:
        """Marks and interface ids."""
        marks = [one and one.value for one in (handling.mark_in, handling.mark_out)]
        return (*marks, handling.if_id_in, handling.if_id_out)

    def test_fixed(self) -> None:
        """What is said stays as it is."""
        said = Handling(mark_in=Mark(1), set_mark_in=Mark(2), if_id_out=3)
        self.assertEqual(self.taken("a", said), said)

    def test_each(self) -> None:
        """One for a child, the same for its successor; others for other peers and other traffic."""
        wanted = Handling(mark_in=Mark(EACH), mark_out=Mark(EACH), if_id_in=EACH, if_id_out=EACH)
        first = self.taken("a", wanted)
        self.assertEqual(self.values(first), (1, 1, 1, 1))
        self.assertEqual(self.taken("b", wanted), first)
        self.assertEqual(self.values(self.taken("c", wanted, ELSEWHERE)), (2, 2, 2, 2))
        other = self.taken("d", wanted, of=policy(remote="10.3.0.0/16"))
        self.assertEqual(self.values(other), (3, 3, 3, 3))

    def test_two_masks(self) -> None:
        """What is one number for both directions has to be within the mask of each."""
        wanted = Handling(mark_in=Mark(EACH, 0xFF), mark_out=Mark(EACH, 0b11))
        found = [
            self.taken(str(n), wanted, of=policy(remote=f"10.{n}.0.0/16")) for n in range(10, 13)
        ]
        values = [[one and one.value for one in (its.mark_in, its.mark_out)] for its in found]
        self.assertEqual(values, [[1, 1], [2, 2], [3, 3]])
        more = policy(remote="10.9.0.0/16")
        self.assertRaises(LimitReached, self.taken, "more", wanted, of=more)

    def test_mixed(self) -> None:
        """One that is said may stand beside one that is chosen."""
        found = self.taken("a", Handling(mark_in=Mark(9), mark_out=Mark(EACH), if_id_in=7))
        self.assertEqual(self.values(found), (9, 1, 7, 0))

    def test_by_direction(self) -> None:
        """One that is by direction makes both so."""
        found = self.taken("a", Handling(if_id_in=EACH, if_id_out=EACH_WAY))
        self.assertEqual(self.values(found), (None, None, 1, 2))

    def test_of_connection(self) -> None:
        """A connection's is of all its children with a peer."""
        wanted = Handling(if_id_in=SHARED, if_id_out=SHARED)
        first = self.taken("a", wanted)
        self.assertEqual(self.taken("b", wanted, of=policy("other")), first)
        self.assertNotEqual(self.taken("c", wanted, ELSEWHERE), first)

    def test_given_up(self) -> None:
        """It is another's only when nobody needs it any more; to give up twice is once."""
        wanted = Handling(mark_out=Mark(EACH, 1))
        self.taken("a", wanted)
        self.taken("b", wanted)
        self.uniques.give_up("a")
        self.uniques.give_up("a")
        self.assertRaises(LimitReached, self.taken, "c", wanted, ELSEWHERE)
        self.uniques.give_up("b")
        self.assertEqual(self.values(self.taken("c", wanted, ELSEWHERE))[1], 1)

    def test_trap(self) -> None:
        """
        What comes up while a trap stands, and what is in place of it after the trap is gone, have
        the trap's.
        """
        wanted = Handling(mark_out=Mark(EACH))
        narrow = policy(remote="10.2.1.0/24")
        trapped = self.taken("trap", wanted, trap=True)
        self.assertEqual(self.taken("a", wanted, of=narrow), trapped)
        self.uniques.give_up("trap")
        self.assertEqual(self.taken("b", wanted, of=narrow), trapped)
        self.uniques.give_up("a")
        self.uniques.give_up("b")
        self.assertNotEqual(self.taken("c", wanted, of=narrow), trapped)

    def test_trap_afterwards(self) -> None:
        """A trap for what has come up already has its mark."""
        wanted = Handling(mark_out=Mark(EACH))
        first = self.taken("a", wanted)
        self.assertEqual(self.taken("trap", wanted, trap=True), first)

    def test_no_bits(self) -> None:
        """A mask of no bits has room for no number."""
        self.assertRaises(LimitReached, self.taken, "a", Handling(mark_in=Mark(EACH, 0)))

    @given(st.integers(1, 0xFFFFFFFF), st.integers(1, 40))
    def test_masks(self, mask: int, children: int) -> None:
        """
        Whatever the mask, numbers are within it, none is nought, and no two children have the same;
        if there are too few, that is said, and what was chosen stays.
        """
        self.uniques = Uniques()
        wanted = Handling(mark_out=Mark(EACH, mask))
        found: list[object] = []
        for child in range(children):
            try:
                handling = self.taken(f"{child}", wanted, f"192.0.2.{child}")
            except LimitReached:
                self.assertEqual(len(found), 2 ** mask.bit_count() - 1)
                break
            assert handling.mark_out is not None
            value = handling.mark_out.value
            assert isinstance(value, int)
            self.assertTrue(value)
            self.assertFalse(value & ~mask)
            found.append(value)
        self.assertEqual(len(found), len(set(found)))
