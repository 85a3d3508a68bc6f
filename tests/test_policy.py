"""
The policy: what is agreed to, from what is configured.
"""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from isakmp.associations import (
    Action,
    ChildPolicy,
    ChildRequest,
    Lifetime,
    ProtectionSuite,
    Transform,
)
from isakmp.connections import Candidates, Child, Connection, Intervals
from isakmp.doi.ipsec import IPsecDOI
from isakmp.errors import ConfigurationError, DOINotSupported, InvalidIdentity
from isakmp.identity import TrafficSelector
from isakmp.interfaces import IPolicy
from isakmp.numbers import DOI, ESPTransform, ProtocolID
from isakmp.paths import Path
from isakmp.policy import EXPLAINED, ConfiguredPolicy
from tests.samples import PATH, PEER, US, SampleSA, SampleSituation, suite, transform

DOIS = {1: IPsecDOI()}
AES, RC4 = transform(), transform(2, ESPTransform.RC4)


def supports(doi: int, protocol: int, offered: Transform) -> bool:
    """A sink that does not know RC4, and no AH."""
    return protocol == ProtocolID.ESP and offered.transform_id != ESPTransform.RC4


def child(
    name: str = "net", local: str = "", remote: str = "", lifetime: Lifetime = Lifetime(3600)
) -> Child:
    return Child(
        name,
        (suite(AES),),
        tuple(map(TrafficSelector.parse, local.split())),
        tuple(map(TrafficSelector.parse, remote.split())),
        lifetime,
    )


def connection(
    name: str, remote: str = "", local: str = "", *children: Child, doi: int = 1, exchange: int = 2
) -> Connection:
    return Connection(
        name,
        (),
        tuple(local.split()),
        tuple(remote.split()),
        doi=doi,
        exchange=exchange,
        children=children,
    )


def policy(*connections: Connection) -> ConfiguredPolicy:
    return ConfiguredPolicy(connections, supports, {**DOIS, 250: DOIS[1]})


def names(candidates: Candidates[Connection] | Candidates[ChildPolicy]) -> list[str]:
    return [candidate.name for candidate in candidates.remaining]


class ConnectionTests(SynchronousTestCase):
    def test_interface(self) -> None:
        """It is what a node expects of its policy."""
        verifyObject(IPolicy, policy())

    def test_by_name(self) -> None:
        """A connection is found by its name; for one that is not there I read the name."""
        road = replace(connection("road"), intervals=Intervals(first=5.0))
        made = policy(road)
        self.assertIs(made.connection("road"), road)
        error = self.assertRaises(LookupError, made.connection, "rail")
        self.assertIn("rail", str(error))
        self.assertEqual(made.intervals("road"), Intervals(first=5.0))
        self.assertEqual(made.intervals("rail"), Intervals())

    def test_mistakes(self) -> None:
        """What cannot be done is said when it is configured, with the names."""
        ah = Child("net", (suite(protocol=ProtocolID.AH),))
        for wrong, words in (
            ((connection("road"), connection("road")), ["road"]),
            ((connection("road", "", "", child("a"), child("b"), child("a")),), ["road", "a"]),
            ((connection("road", "", "", ah),), ["road", "net", "sink"]),
            ((connection("road", "", "", Child("net", (suite(RC4),))),), ["road", "net", "sink"]),
            ((connection("road", "", "", Child("net", ())),), ["road", "net"]),
            ((connection("road", doi=2),), ["road", "2"]),
            ((connection("road", remote="peer.example.org"),), ["road", "peer.example.org"]),
            ((connection("road", remote="192.0.2.0/33"),), ["road", "192.0.2.0/33"]),
            ((connection("road", local="192.0.2.1[udp/500]"),), ["road", "192.0.2.1[udp/500]"]),
        ):
            error = self.assertRaises(ConfigurationError, policy, *wrong)
            for word in words:
                self.assertIn(word, str(error))

    def test_same_child_twice(self) -> None:
        """Two connections may have children of the same name."""
        policy(connection("road", "", "", child()), connection("rail", "", "", child()))


class ConfigureTests(SynchronousTestCase):
    """A policy that is configured anew."""

    def setUp(self) -> None:
        self.road = connection("road", PEER, "", child("net", "10.1.0.0/16", "10.2.0.0/16"))
        self.rail = connection("rail", "", "", child())
        self.policy = policy(self.road, self.rail)

    def test_others(self) -> None:
        """From now on these connections, and no others: by name and for strangers."""
        changed = replace(self.road, children=(child("other", "10.1.0.0/16", "10.2.0.0/16"),))
        self.policy.configure([connection("sea", "203.0.113.0/24"), changed])
        self.assertIs(self.policy.connection("road"), changed)
        self.assertRaises(LookupError, self.policy.connection, "rail")
        self.assertEqual(names(self.policy.candidates(PATH, 1, 2)), ["road"])
        self.assertEqual([r.name for r in self.policy.candidates(PATH, 1, 2).rejected], ["sea"])

    def test_standing(self) -> None:
        """
        Under an ISAKMP SA that stands, what a peer asks for is measured by what is configured now;
        if its connection is gone, it gets nothing, and reads why.
        """
        sa, request = (
            SampleSA(),
            ChildRequest(
                1,
                SampleSituation(),
                TrafficSelector.parse("10.1.0.0/16"),
                TrafficSelector.parse("10.2.0.0/16"),
            ),
        )
        asked = self.successResultOf(self.policy.phase2(sa, request))
        self.assertEqual(names(asked), ["net"])
        self.policy.configure([replace(self.road, children=())])
        self.failureResultOf(self.policy.phase2(sa, request), InvalidIdentity)
        self.policy.configure([self.rail])
        failure = self.failureResultOf(self.policy.phase2(sa, request), InvalidIdentity)
        self.assertIn("road is not configured any longer", str(failure.value))

    def test_mistakes(self) -> None:
        """If one of them cannot be, I read which, and nothing at all has changed."""
        for wrong in (
            [self.rail, self.rail],
            [connection("sea"), connection("air", doi=2)],
            [connection("sea"), connection("air", remote="peer.example.org")],
            [connection("sea"), connection("air", "", "", Child("net", (suite(RC4),)))],
        ):
            self.assertRaises(ConfigurationError, self.policy.configure, wrong)
            self.assertIs(self.policy.connection("road"), self.road)
            self.assertIs(self.policy.connection("rail"), self.rail)
            self.assertRaises(LookupError, self.policy.connection, "sea")
            self.assertEqual(names(self.policy.candidates(PATH, 1, 2)), ["road", "rail"])


class CandidateTests(SynchronousTestCase):
    def candidates(
        self, made: ConfiguredPolicy, remote: str = PEER, local: str = US, **what: int
    ) -> Candidates[Connection]:
        path = Path((local, 500), (remote, 500))
        return made.candidates(path, what.get("doi", 1), what.get("number", 2))

    def test_order(self) -> None:
        """
        A connection for the peer's address comes before one for its network, the smaller network
        first, and one for everybody last; of equals the first configured is the first.
        """
        made = policy(
            connection("any 1"),
            connection("large", "192.0.0.0/16"),
            connection("host 1", PEER),
            connection("everything", "0.0.0.0/0"),
            connection("range", "192.0.2.1-192.0.2.100"),
            connection("small and more", "10.0.0.0/8 192.0.2.0/28"),
            connection("any 2"),
            connection("host 2", f"198.51.100.1 {PEER}"),
        )
        self.assertEqual(
            names(self.candidates(made)),
            [
                "host 1",
                "host 2",
                "small and more",
                "range",
                "large",
                "everything",
                "any 1",
                "any 2",
            ],
        )

    def test_rejected(self) -> None:
        """
        Of every connection that a stranger cannot mean I read why, and what it would have taken.
        """
        made = policy(
            connection("other doi", doi=250),
            connection("aggressive", exchange=4),
            connection("elsewhere", local="192.0.2.9"),
            connection("others", "198.51.100.0/24 203.0.113.1"),
            connection("six", "2001:db8::/32"),
            connection("fits", PEER, US),
        )
        candidates = self.candidates(made)
        self.assertEqual(names(candidates), ["fits"])
        self.assertEqual(
            [(r.name, r.rule, r.offered, r.configured) for r in candidates.rejected],
            [
                ("other doi", "domain of interpretation", "1", "250"),
                ("aggressive", "exchange type", "Identity Protection", "Aggressive"),
                ("elsewhere", "our address", US, "192.0.2.9"),
                ("others", "the peer's address", PEER, "198.51.100.0/24, 203.0.113.1"),
                ("six", "the peer's address", PEER, "2001:db8::/32"),
            ],
        )

    def test_many(self) -> None:
        """
        A stranger cannot make me explain a thousand connections: I read why the first few fell,
        and how many more there are; the one that fits is found all the same.
        """
        others = [connection(f"c{n}", f"10.0.{n // 250}.{n % 250}") for n in range(1000)]
        candidates = self.candidates(policy(*others, connection("fits", PEER)))
        self.assertEqual(names(candidates), ["fits"])
        self.assertEqual(
            [r.name for r in candidates.rejected],
            [f"c{n}" for n in range(EXPLAINED)] + [f"{1000 - EXPLAINED} others"],
        )

    def test_none(self) -> None:
        """A stranger whom nothing fits gets no candidate, and that is no error."""
        made = policy(connection("road", PEER))
        for candidates in (
            self.candidates(made, remote="203.0.113.1"),
            self.candidates(made, doi=0),
            self.candidates(made, number=4),
            self.candidates(policy()),
        ):
            self.assertEqual(candidates.remaining, ())
        self.assertEqual(len(self.candidates(made, number=4).rejected), 1)

    def test_six(self) -> None:
        """IPv6 is compared as addresses, not as text."""
        made = policy(connection("six", "2001:DB8:0::/48", "2001:db8::1"))
        self.assertEqual(names(self.candidates(made, "2001:db8::7", "2001:db8::1")), ["six"])
        self.assertEqual(names(self.candidates(made, "2001:db9::7", "2001:db8::1")), [])


class Phase2Tests(SynchronousTestCase):
    def setUp(self) -> None:
        self.sa = SampleSA(connection="road", path=PATH)

    def request(self, local: str, remote: str, doi: int = DOI.IPSEC) -> ChildRequest:
        return ChildRequest(
            doi, SampleSituation(), TrafficSelector.parse(local), TrafficSelector.parse(remote)
        )

    def phase2(self, request: ChildRequest, *children: Child) -> Candidates[ChildPolicy]:
        made = policy(
            connection("rail", "", "", child("rail")), connection("road", "", "", *children)
        )
        return self.successResultOf(made.phase2(self.sa, request))

    def refused(self, request: ChildRequest, *children: Child) -> InvalidIdentity:
        made = policy(connection("road", "", "", *children))
        error = self.failureResultOf(made.phase2(self.sa, request)).value
        assert isinstance(error, InvalidIdentity), error
        return error

    def test_exact_first(self) -> None:
        """
        A child configured for just this traffic comes before those that only contain it; the others
        come in the order in which they are configured.

        Proves: RFC 2409 section 5.5
        """
        candidates = self.phase2(
            self.request("10.1.0.0/16", "10.2.0.0/16"),
            child("wide", "10.0.0.0/8", "10.0.0.0/8"),
            child("other", "10.3.0.0/16", "10.2.0.0/16"),
            child("half", "10.1.0.0/16", "10.0.0.0/8"),
            child("exact", "10.9.0.0/16 10.1.0.0/16", "10.2.0.0/16"),
        )
        self.assertEqual(names(candidates), ["exact", "wide", "half"])
        self.assertEqual([r.name for r in candidates.rejected], ["other"])

    def test_what_was_requested(self) -> None:
        """
        What is negotiated is what the peer asked for, in its situation, never more; under the
        configured suites, of which only what the sink can do is left, and the configured lifetime.
        """
        situation = SampleSituation()
        request = replace(self.request("10.1.2.3[tcp/80]", "10.2.0.0/24"), situation=situation)
        net = replace(
            child("net", "10.1.0.0/16", "10.2.0.0/16", Lifetime(60, 7)),
            suites=(suite(RC4), suite(RC4, AES), suite(protocol=ProtocolID.AH), suite(AES, RC4)),
        )
        (made,) = self.phase2(request, net).remaining
        self.assertEqual(
            made,
            ChildPolicy(
                connection="road",
                name="net",
                doi=DOI.IPSEC,
                situation=situation,
                local=request.local,
                remote=request.remote,
                suites=(suite(AES), suite(AES)),
                lifetime=Lifetime(60, 7),
            ),
        )
        self.assertIs(made.situation, situation)

    def test_hosts(self) -> None:
        """
        A child without selectors is for the two hosts that keep the SA, and a part of their
        traffic.

        Proves: RFC 2409 section 5.5
        """
        for local, remote in ((US, PEER), (f"{US}[udp/1701]", f"{PEER}[udp]")):
            self.assertEqual(names(self.phase2(self.request(local, remote), child())), ["net"])
        for local, remote in ((US, "10.2.0.0/16"), ("10.1.0.0/16", PEER), (PEER, US)):
            self.refused(self.request(local, remote), child())

    def test_refused(self) -> None:
        """
        If no child is for this traffic I read what was asked, and of each child what it is for.
        """
        error = self.refused(
            self.request("10.1.0.0/16", "0.0.0.0/0"),
            child("net", "10.1.0.0/16", "10.2.0.0/16 10.3.0.0/16"),
            child("host"),
        )
        self.assertEqual(error.reason.offered, "10.1.0.0/16 - 0.0.0.0/0")
        self.assertEqual(
            [(r.name, r.configured) for r in error.reason.rejected],
            [("net", "10.1.0.0/16 - 10.2.0.0/16, 10.3.0.0/16"), ("host", f"{US} - {PEER}")],
        )
        text = str(error)
        for words in ("road", "10.1.0.0/16 - 0.0.0.0/0", "net", "10.3.0.0/16", "host"):
            self.assertIn(words, text)

    def test_wider(self) -> None:
        """
        A peer does not get more than is configured: not more addresses, protocols or ports, not the
        ends exchanged, not what only two selectors together would cover, nor another version of IP.
        """
        configured = child("net", "10.1.0.0/16 10.2.0.0/16", "10.8.0.0/16[tcp/80]")
        for local, remote in (
            ("10.1.0.0/15", "10.8.0.1[tcp/80]"),
            ("10.1.0.0-10.2.255.255", "10.8.0.1[tcp/80]"),
            ("10.1.0.0/16", "10.8.0.0/16"),
            ("10.1.0.0/16", "10.8.0.0/16[tcp]"),
            ("10.1.0.0/16", "10.8.0.0/16[udp/80]"),
            ("10.8.0.0/16[tcp/80]", "10.1.0.0/16"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("::/0", "::/0"),
        ):
            self.refused(self.request(local, remote), configured)
        self.phase2(self.request("10.2.0.0/16", "10.8.1.0/24[tcp/80]"), configured)

    def test_no_children(self) -> None:
        """A connection without children agrees to nothing; nor does one that is gone."""
        self.assertIn("no children", str(self.refused(self.request(US, PEER))))
        made = policy(connection("other", "", "", child()))
        failure = self.failureResultOf(
            made.phase2(self.sa, self.request(US, PEER)), InvalidIdentity
        )
        self.assertIn("road", str(failure.value))

    def test_not_protected(self) -> None:
        """Traffic that passes or is dropped is agreed with nobody, and never begun."""
        for action in (Action.PASS, Action.DROP):
            bare = replace(child("net", "10.1.0.0/16", "10.2.0.0/16"), action=action, suites=())
            error = self.refused(self.request("10.1.0.0/16", "10.2.0.0/16"), bare)
            self.assertIn("no child", str(error))
            made = policy(connection("road", "", "", bare))
            found = self.assertRaises(ConfigurationError, made.proposed, SampleSA(), bare)
            self.assertIn(f"its traffic is not protected (mode = {action.value})", str(found))

    def test_other_domain(self) -> None:
        """A request of another domain of interpretation than the SA's is not compared at all."""
        made = policy(connection("road", "", "", child()))
        failing = made.phase2(self.sa, self.request(US, PEER, doi=DOI.GDOI))
        self.failureResultOf(failing, DOINotSupported)

    @settings(max_examples=100, deadline=None)
    @given(
        st.lists(
            st.tuples(st.integers(0, 7), st.integers(0, 7), st.integers(0, 7), st.integers(0, 7)),
            max_size=4,
        ),
        st.tuples(st.integers(0, 7), st.integers(0, 7), st.integers(0, 7), st.integers(0, 7)),
    )
    def test_model(
        self, configured: list[tuple[int, ...]], asked: tuple[int, int, int, int]
    ) -> None:
        """
        For any ranges: the children left are just those that contain what is asked for, and none
        that matches exactly comes after one that does not.
        """

        def selector(a: int, b: int) -> TrafficSelector:
            return TrafficSelector(4, min(a, b), max(a, b))

        def ends(numbers: tuple[int, ...]) -> tuple[TrafficSelector, TrafficSelector]:
            return selector(*numbers[:2]), selector(*numbers[2:])

        local, remote = ends(asked)
        children = []
        for n, numbers in enumerate(configured):
            ours, theirs = ends(numbers)
            children.append(replace(child(str(n)), local=(ours,), remote=(theirs,)))
        fitting = {
            c.name for c in children if local.within(c.local[0]) and remote.within(c.remote[0])
        }
        exact = {c.name for c in children if (local,) == c.local and (remote,) == c.remote}
        request = ChildRequest(DOI.IPSEC, SampleSituation(), local, remote)
        if not fitting:
            self.assertEqual(len(self.refused(request, *children).reason.rejected), len(children))
            return
        found = names(self.phase2(request, *children))
        self.assertEqual(set(found), fitting)
        self.assertEqual(found, sorted(found, key=lambda name: (name not in exact, int(name))))


class ProposedTests(SynchronousTestCase):
    def test_first_selectors(self) -> None:
        """We ask for a child's first selectors, in the domain's usual situation."""
        net = child("net", "10.1.0.0/16 10.9.0.0/16", "10.2.0.0/16 10.8.0.0/16", Lifetime(60))
        made = policy(connection("road", "", "", net)).proposed(SampleSA(), net)
        self.assertEqual(str(made.local), "10.1.0.0/16")
        self.assertEqual(str(made.remote), "10.2.0.0/16")
        self.assertEqual((made.connection, made.name, made.doi), ("road", "net", 1))
        self.assertEqual(made.situation.encode(), bytes([0, 0, 0, 1]))
        self.assertEqual(made.lifetime, Lifetime(60))

    def test_hosts(self) -> None:
        """A child without selectors asks for the two hosts of the SA, wherever the peer is now."""
        sa = SampleSA(path=Path((US, 4500), ("198.51.100.7", 1024)))
        made = policy(connection("road", "", "", child())).proposed(sa, child())
        self.assertEqual((str(made.local), str(made.remote)), (US, "198.51.100.7"))

    def test_suites(self) -> None:
        """
        Only what the sink can do is offered, of two protocols both or none; if that is nothing, it
        is said before anything is sent.
        """
        made = policy()
        some = replace(child(), suites=(suite(RC4), suite(RC4, AES)))
        self.assertEqual(made.proposed(SampleSA(), some).suites, (suite(AES),))
        together = ProtectionSuite(
            (*suite(AES).proposals, *suite(AES, protocol=ProtocolID.AH).proposals)
        )
        either = replace(child(), suites=(together, suite(AES)))
        self.assertEqual(made.proposed(SampleSA(), either).suites, (suite(AES),))
        error = self.assertRaises(
            ConfigurationError, made.proposed, SampleSA(), replace(child(), suites=(suite(RC4),))
        )
        self.assertIn("net", str(error))
