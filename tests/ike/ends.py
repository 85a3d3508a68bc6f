"""
Two nodes for the tests of IKE: configured as a test wants them, and, where it wants that, lying.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from isakmp.associations import IPsecParameters, Lifetime, Offer, SABundle
from isakmp.connections import Child, Connection
from isakmp.credentials.pre_shared_keys import SharedSecret
from isakmp.doi.ipsec import ipsec
from isakmp.errors import PeerError
from isakmp.exchange.phase1 import offer_of
from isakmp.identity import TrafficSelector
from isakmp.ike import sa
from isakmp.ike.protection import Phase2Protection
from isakmp.ike.quick_mode import QuickMode
from isakmp.parts import Role
from isakmp.testing import LossyNetwork, Transmission, VirtualClock, settle
from isakmp.wire.message import Message
from isakmp.wire.payloads import Payload, SecurityAssociation
from tests.nodes import ALICE, BOB, SECRET, Member, Pair, Settings, books, connection

Change = Callable[[Connection], Connection]

ANYBODY = (SharedSecret(SECRET, ()),)


def two(
    hers: Change | None = None,
    his: Change | None = None,
    *,
    settings: Settings = Settings(initial_contact=False),
    her_secrets: Sequence[SharedSecret] = ANYBODY,
    his_secrets: Sequence[SharedSecret] = ANYBODY,
    his_others: Sequence[Connection] = (),
) -> Pair:
    """
    Alice and Bob.

    :param hers: changes Alice's connection; ``his`` changes Bob's.
    :param his_others: Bob's other connections, behind that one.
    """
    clock = VirtualClock()
    network = LossyNetwork(clock)
    wire: list[Transmission] = []
    network.record = wire
    one = connection(ALICE, BOB, "i.lab", "r.lab", settings)
    other = connection(BOB, ALICE, "r.lab", "i.lab", settings)
    one, other = hers(one) if hers else one, his(other) if his else other
    a = Member(network, clock, ALICE, [one], her_secrets)
    b = Member(network, clock, BOB, [other, *his_others], his_secrets)
    return Pair(clock, network, a, b, settings, wire)


def child(
    local: str,
    remote: str,
    *suites: str,
    name: str = "net",
    seconds: int = 1200,
) -> Child:
    """One child; several selectors are separated by blanks."""
    lifetime = Lifetime(seconds)
    return Child(
        name,
        tuple(ipsec.suite(suite, lifetime) for suite in suites or ("aes128-sha256",)),
        tuple(map(TrafficSelector.parse, local.split())),
        tuple(map(TrafficSelector.parse, remote.split())),
        lifetime,
    )


def with_children(*children: Child) -> Change:
    """A connection with these."""
    return lambda connection: replace(connection, children=children)


def between(
    *suites: str, his: Sequence[str] = (), here: str = "10.1.0.0/24", there: str = "10.2.0.0/24"
) -> Pair:
    """
    Two ends of one child.

    :param suites: what Alice offers.
    :param his: what Bob takes; the same if nothing is said.
    :param here: Alice's traffic; ``there`` Bob's.
    """
    return two(
        with_children(child(here, there, *suites)),
        with_children(child(there, here, *(his or suites))),
    )


def established(pair: Pair, *names: str) -> Sequence[SABundle]:
    """Alice begins children, all in one Quick Mode; both ends are done when this returns."""
    configured = pair.a.connection()
    children = tuple(configured.child(name) for name in names or ("net",))
    begun: Deferred[Sequence[SABundle]] = pair.a.endpoint.establish(configured, children)
    bundles = settle(pair.clock, begun)
    pair.wait(0.5)
    return bundles


def refused(test: SynchronousTestCase, pair: Pair, kind: type[PeerError], *names: str) -> str:
    """
    Alice begins children in vain; nothing of them stays at either end, however long one waits.

    :param kind: what Alice's end is told.
    :returns: the sentence.
    """
    with test.assertRaises(kind) as raised:
        established(pair, *names)
    pair.wait(pair.settings.intervals.total + 5)
    for member in (pair.a, pair.b):
        test.assertEqual(member.bundles, [])
        test.assertEqual(dict(member.sink.standing), {})
        test.assertEqual(member.sink.reserved, frozenset())
        test.assertEqual(books(member), [])
        test.assertEqual(len(member.endpoint.running()), 0)
    return str(raised.exception)


def lie(
    test: SynchronousTestCase,
    role: Role,
    change: Callable[[list[Payload]], Sequence[Payload]],
) -> None:
    """
    Have one end say something else in Quick Mode than it means, properly proven and sealed.

    :param role: the one that had this role in phase 1.
    :param change: takes the payloads of its first message, without HASH.
    """

    class Lying(Phase2Protection):
        """Changes what it seals."""

        def seal(self, message: Message) -> bytes:
            quick = isinstance(self._kind, QuickMode)
            if quick and self._sa.role is role and message.payloads:
                message = message.with_payloads(change(list(message.payloads)))
            return super().seal(message)

    test.patch(sa, "Phase2Protection", Lying)


def changed_offer(
    change: Callable[[Offer], Offer | SecurityAssociation],
) -> Callable[[list[Payload]], Sequence[Payload]]:
    """For :func:`lie`: every SA payload says something else."""

    def changed(payload: Payload) -> Payload:
        if not isinstance(payload, SecurityAssociation):
            return payload
        other = change(offer_of(ipsec, payload))
        return other if isinstance(other, SecurityAssociation) else other.payload()

    return lambda payloads: [changed(payload) for payload in payloads]


def parameters(bundle: SABundle) -> tuple[IPsecParameters, IPsecParameters]:
    """How both directions of a bundle of one protocol protect."""
    (inbound,), (outbound,) = bundle.inbound, bundle.outbound
    assert isinstance(inbound.parameters, IPsecParameters)
    assert isinstance(outbound.parameters, IPsecParameters)
    return inbound.parameters, outbound.parameters
