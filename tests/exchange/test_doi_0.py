"""
The generic domain of interpretation, DOI 0, between two nodes: phase 1 and Informational exchanges.
"""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from isakmp.connections import Connection
from isakmp.errors import ConfigurationError, DOINotSupported, PeerError
from isakmp.events import (
    Established,
    MessageReceived,
    NotificationReceived,
    PayloadDiscarded,
    Removal,
)
from isakmp.identity import Identity, IdentityPattern
from isakmp.numbers import DOI, ExchangeType, ISAKMPIdentityType, NotifyType, ProtocolID
from isakmp.testing import settle
from isakmp.wire.payloads import Delete, Identification, Notification, SecurityAssociation
from tests.ike.ends import Change, child, two
from tests.nodes import ALICE, BOB, Pair, assert_clean, disagreements


def generic(local: str, remote: str) -> Change:
    """A connection of DOI 0 between two addresses, without children."""

    def change(connection: Connection) -> Connection:
        return replace(
            connection,
            doi=int(DOI.ISAKMP),
            children=(),
            local_identity=Identity.parse(local),
            remote_identity=IdentityPattern(remote),
        )

    return change


def nodes() -> Pair:
    """Alice and Bob."""
    return two(generic(ALICE, BOB), generic(BOB, ALICE))


def up(both: Pair) -> None:
    """Alice begins an SA, and nothing under it."""
    assert settle(both.clock, both.a.endpoint.establish(both.a.connection(), ())) == ()
    both.wait(0.5)


class GenericDomainTests(SynchronousTestCase):
    def test_phase_1(self) -> None:
        """
        A connection of DOI 0 begins and answers phase 1: its SA payload has that number and no
        situation, its identities have the types of appendix A.4.

        Proves: RFC 2408 section 3.4
        Proves: RFC 2408 appendix A.4
        """
        both = nodes()
        up(both)
        for member, ours, theirs in ((both.a, ALICE, BOB), (both.b, BOB, ALICE)):
            (sa,) = member.sas
            self.assertEqual((sa.doi, str(sa.ours), str(sa.theirs)), (0, ours, theirs))
            self.assertEqual([event.sa for event in member.published(Established)], [sa])
            heard = [event.message for event in member.published(MessageReceived)]
            (payload,) = [p for m in heard for p in m.all(SecurityAssociation)]
            # The one Proposal begins at once: its length is that of all that is left.
            length = len(payload.body).to_bytes(2)
            self.assertEqual((payload.doi, payload.body[:4]), (0, b"\0\0" + length))
            (named,) = [p for m in heard for p in m.all(Identification)]
            self.assertEqual(named.kind, ISAKMPIdentityType.IPV4_ADDR)
            self.assertEqual((named.protocol, named.port), (0, 0))
        self.assertEqual(disagreements(both.a, both.b), [])

    def test_again(self) -> None:
        """If it stands, nothing is begun; if it is wanted anew, a second comes up beside it."""
        both = nodes()
        up(both)
        sent = len(both.wire)
        up(both)
        self.assertEqual(len(both.wire), sent)
        (old,) = both.a.sas
        new = settle(both.clock, both.a.endpoint.reauthenticate(old))
        self.assertEqual(both.a.sas, [old, new])
        both.wait(0.5)
        both.a.endpoint.delete([old], Removal.REPLACED)
        both.wait(0.5)
        self.assertEqual((both.a.sas, len(both.b.sas)), ([new], 1))
        self.assertEqual(both.b.removals, [Removal.DELETED_BY_PEER])

    def test_notification(self) -> None:
        """
        Notifications travel under it, in its domain; one of another domain is discarded.

        Proves: RFC 2408 section 4.8
        Proves: RFC 2408 section 5.14
        """
        both = nodes()
        up(both)
        for member, other in ((both.a, both.b), (both.b, both.a)):
            (sa,) = member.sas
            for doi in (0, 1):
                notice = Notification(doi, ProtocolID.ISAKMP, NotifyType.CONNECTED, b"", b"")
                begun = member.endpoint.begin(sa, ExchangeType.INFORMATIONAL, (notice,))
                self.successResultOf(begun)
            both.wait(0.1)
            (heard,) = other.published(NotificationReceived)
            self.assertEqual((heard.kind, heard.authenticated), (NotifyType.CONNECTED, True))
            (discarded,) = other.published(PayloadDiscarded)
            self.assertIsInstance(discarded.error, DOINotSupported)

    def test_delete(self) -> None:
        """
        A Delete under it names it by its cookies; then nothing is left at either end.

        Proves: RFC 2408 section 3.15
        Proves: RFC 2408 section 5.15
        """
        for role in ("a", "b"):
            both = nodes()
            up(both)
            member, other = (both.a, both.b) if role == "a" else (both.b, both.a)
            (sa,) = member.sas
            member.endpoint.delete([sa])
            both.wait(0.1)
            (said,) = [
                p for e in other.published(MessageReceived) for p in e.message.all(Delete)
            ]
            self.assertEqual(said, Delete(0, ProtocolID.ISAKMP, (sa.key.octets,)))
            self.assertEqual(member.removals, [Removal.DELETED])
            self.assertEqual(other.removals, [Removal.DELETED_BY_PEER])
            both.wait(both.quiet)
            assert_clean(self, both.a, both.b)

    def test_expiry(self) -> None:
        """It expires at both ends, and each says so."""
        both = nodes()
        up(both)
        both.wait(both.expired)
        for member in (both.a, both.b):
            self.assertEqual(member.removals, [Removal.EXPIRED])
        both.wait(both.quiet)
        assert_clean(self, both.a, both.b)

    def test_nothing_is_negotiated(self) -> None:
        """Quick Mode under it is refused, and the SA stands."""
        both = nodes()
        up(both)
        (sa,) = both.a.sas
        configured = child("10.1.0.0/24", "10.2.0.0/24")
        with self.assertRaises((PeerError, ConfigurationError)):
            settle(
                both.clock, both.a.endpoint.establish(both.a.connection(), configured, sa)
            )
        self.assertEqual((both.a.sas, len(both.b.sas)), ([sa], 1))

    def test_names(self) -> None:
        """
        There is no identity type for a name: a connection that has one begins nothing, and says
        why.
        """
        both = two(generic("i.lab", BOB), generic(BOB, "i.lab"))
        with self.assertRaises(ConfigurationError) as raised:
            up(both)
        self.assertIn("addresses and subnets only", str(raised.exception))
        self.assertEqual((both.a.sas, both.b.sas), ([], []))

    def test_not_meant(self) -> None:
        """A connection of another domain is not meant by it: the stranger is refused."""
        both = two(generic(ALICE, BOB))
        with self.assertRaises(PeerError):
            up(both)
        self.assertEqual(both.b.sas, [])
