"""What is configured, and how a responder finds out which of it a stranger means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import FrozenInstanceError

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from isakmp.connections import Candidates, Child, Connection, Intervals, Limits
from isakmp.errors import InvalidIdentity, NoProposalChosen, PeerError, Reason, Rejection
from isakmp.identity import Identity, IdentityPattern

ROAD = Connection("road", (), remote_identity=IdentityPattern("*@example.org"))
HOME = Connection("home", (), remote_identity=IdentityPattern("gw.example.org"))
ANY = Connection("any", ())
ALL = Candidates((ROAD, HOME, ANY))


def by_identity(candidates: Candidates[Connection], text: str) -> Candidates[Connection]:
    """Those that take this identity."""
    identity = Identity.parse(text)
    return candidates.narrow(
        "identity",
        identity,
        lambda c: c.remote_identity,
        lambda c: c.remote_identity.matches(identity),
        InvalidIdentity,
        "Configure a connection for it.",
    )


class CandidatesTests(SynchronousTestCase):
    def test_narrow(self) -> None:
        """Those that match remain, in their order; the others are remembered with the fact."""
        left = by_identity(ALL, "gw.example.org")
        self.assertEqual(left.remaining, (HOME, ANY))
        self.assertIs(left.first, HOME)
        self.assertEqual(
            left.rejected, (Rejection("road", "identity", "gw.example.org", "*@example.org"),)
        )
        self.assertEqual(ALL.remaining, (ROAD, HOME, ANY))

    def test_twice(self) -> None:
        """What fell at an earlier fact stays in the record of a later one."""
        left = by_identity(ALL, "gw.example.org").narrow(
            "name", "any", lambda c: c.name, lambda c: c.name == "any", NoProposalChosen
        )
        self.assertEqual(left.remaining, (ANY,))
        self.assertEqual([r.name for r in left.rejected], ["road", "home"])

    def test_none_left(self) -> None:
        """When none is left the refusal has what all wanted and everything that fell before."""
        before = by_identity(Candidates((ROAD, HOME)), "gw.example.org")
        error = self.assertRaises(InvalidIdentity, by_identity, before, "x@example.com")
        self.assertEqual(
            error.reason,
            Reason(
                "identity",
                "x@example.com",
                "gw.example.org",
                "Configure a connection for it.",
                before.rejected,
                matching="gw.example.org",
            ),
        )

    def test_wanted_once(self) -> None:
        """What several of them wanted is said once."""
        same = Candidates(tuple(Connection(name, ()) for name in "abc"))
        error = self.assertRaises(
            NoProposalChosen,
            same.narrow,
            "proposal",
            "x",
            lambda c: "y",
            lambda c: False,
            NoProposalChosen,
        )
        self.assertEqual(error.reason.configured, "y")

    def test_refusal_of_matches(self) -> None:
        """An error that the question itself raises is not swallowed."""

        def asked(connection: Connection) -> bool:
            raise NoProposalChosen("while asking")

        self.assertRaises(
            NoProposalChosen, ALL.narrow, "rule", "", lambda c: "", asked, InvalidIdentity
        )

    def test_asked_once(self) -> None:
        """Each candidate is asked once: the question may be dear."""
        asked: list[str] = []

        def matches(connection: Connection) -> bool:
            asked.append(connection.name)
            return connection.name == "home"

        ALL.narrow("rule", "", lambda c: "", matches, InvalidIdentity)
        self.assertEqual(asked, ["road", "home", "any"])

    @settings(deadline=None)
    @given(st.lists(st.sets(st.sampled_from("abcd")), max_size=4))
    def test_only_fewer(self, facts: list[set[str]]) -> None:
        """Whatever is learned, candidates only become fewer, and none is lost without record."""
        everyone = tuple(Connection(name, ()) for name in "abcd")
        candidates = Candidates(everyone)
        for fact in facts:
            matches: Callable[[Connection], bool] = lambda c, fact=fact: c.name in fact  # type: ignore[misc]  # noqa: E731
            try:
                candidates = candidates.narrow("fact", fact, lambda c: c.name, matches, PeerError)
            except PeerError:
                self.assertFalse({c.name for c in candidates.remaining} & fact)
                return
            names = [c.name for c in candidates.remaining]
            self.assertEqual(names, sorted(names))
            self.assertEqual(sorted([*names, *(r.name for r in candidates.rejected)]), [*"abcd"])
        self.assertTrue(candidates.remaining)

    def test_frozen(self) -> None:
        """A conversation cannot spoil what others see."""
        with self.assertRaises(FrozenInstanceError):
            ALL.remaining = ()  # type: ignore[misc]


class ConnectionTests(SynchronousTestCase):
    def test_child(self) -> None:
        """A child is found by its name; one that is not there is named."""
        net, web = Child("net", ()), Child("web", ())
        connection = Connection("road", (), children=(net, web))
        self.assertIs(connection.child("web"), web)
        error = self.assertRaises(LookupError, connection.child, "mail")
        self.assertIn("road", str(error))
        self.assertIn("mail", str(error))

    def test_defaults(self) -> None:
        """
        Unless told otherwise it is Identity Protection of the IPsec DOI, to port 500.

        Proves: RFC 2408 section 2.5.1 (row 2.5.1-1)
        """
        self.assertEqual((ANY.doi, ANY.key_exchange, ANY.exchange), (1, "ike", 2))
        self.assertEqual((ANY.local_port, ANY.remote_port), (500, 500))
        self.assertTrue(ANY.remote_identity.matches(Identity.parse("anybody")))


class IntervalsTests(SynchronousTestCase):
    def test_waits(self) -> None:
        """There is one wait before each repeat, each longer, and one at the end."""
        self.assertEqual(list(Intervals(2.0, 3.0, 2)), [2.0, 6.0, 18.0])
        self.assertEqual(Intervals(2.0, 3.0, 2).total, 26.0)
        self.assertEqual(list(Intervals(repeats=0)), [1.0])

    def test_again(self) -> None:
        """They can be gone through any number of times."""
        intervals = Intervals()
        self.assertEqual(list(intervals), list(intervals))
        self.assertEqual(len(list(intervals)), intervals.repeats + 1)


class LimitsTests(SynchronousTestCase):
    def test_positive(self) -> None:
        """Every bound of a node is a positive number: none is switched off by default."""
        limits = Limits()
        for name in Limits.__slots__:
            self.assertGreater(getattr(limits, name), 0, name)
