"""
RFC 2408 section 5, walked rule by rule with real bad input.
"""

from __future__ import annotations

from collections import defaultdict

from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from isakmp.departures import LENIENCES
from isakmp.errors import ExchangeTimeout, InvalidMessageType, PeerError
from isakmp.events import (
    ExchangeFailed,
    MessageDropped,
    NotificationReceived,
    PayloadDiscarded,
)
from isakmp.exchange.rules import NEVER_SENT, RULES, Dropped, Rule, Told
from isakmp.ike import sa as isakmp_sa
from isakmp.ike.key_exchange import ike
from isakmp.interfaces import IExchangeType
from isakmp.logs import set_level
from isakmp.numbers import ExchangeType, NotifyType
from isakmp.paths import Datagram
from isakmp.testing import settle
from isakmp.testing.credentials import (
    CredentialsExchange,
    credentials_exchange,
    with_exchange_types,
)
from isakmp.wire.message import Flags, Header, Message
from isakmp.wire.payloads import Delete, Notification, Payload
from tests.exchange.badness import BAD, Bad
from tests.nodes import Member, Pair, Settings, disagreements, pair, unfinished
from tests.properties.wiretap import lose, race
from tests.samples import logged


@implementer(IExchangeType)
class Forbidden(CredentialsExchange):
    """Known, and not permitted under any SA of these tests."""

    number = 241
    name = "Forbidden"


SPECIAL = with_exchange_types(ike, credentials_exchange, Forbidden())
RULE: dict[tuple[str, type[PeerError]], list[Rule]] = defaultdict(list)
for _rule in RULES:
    RULE[_rule.section, _rule.error].append(_rule)


def nodes() -> Pair:
    """Alice and Bob, with two children, and the exchange types of the test kit."""
    return pair(Settings(children=2), alices_ike=SPECIAL, bobs_ike=SPECIAL)


def sealed(member: Member, number: int, payloads: tuple[Payload, ...]) -> Datagram:
    """What a member says under its SA, and does not stand by: no exchange of it runs there."""
    (sa,) = member.sas
    kinds = {kind.number: kind for kind in SPECIAL.exchange_types}
    kinds[5] = credentials_exchange  # HASH(1) of an Informational exchange is the same
    message_id = int.from_bytes(member.node.entropy(4)) | 1
    protection = sa.protection(kinds[number], message_id)
    octets = protection.seal(Message(sa.key, number, Flags.NONE, message_id, payloads))
    return Datagram(octets, sa.path)


def told_in_clear(both: Pair, victim: Member) -> list[int]:
    """The notifications that it sent in clear text."""
    kinds = []
    for octets in both.sent_by(victim):
        header = Header.decode(octets)
        informational = header.exchange_type == ExchangeType.INFORMATIONAL
        if informational and not header.flags & Flags.ENCRYPTION:
            kinds.append(Message.decode(octets).one(Notification).kind)
    return kinds


class WalkTests(SynchronousTestCase):
    """Every rule, broken; two real nodes."""

    def setUp(self) -> None:
        set_level("debug")
        self.addCleanup(set_level, "info")
        permits = isakmp_sa.ISAKMPSA.permits
        self.patch(
            isakmp_sa.ISAKMPSA,
            "permits",
            lambda sa, number: number != Forbidden.number and permits(sa, number),
        )

    def test_every_rule(self) -> None:
        """
        Whatever rule a message breaks, it raises that rule's error, is logged and published under
        its name, its sender is told what the table says, or nothing; and the exchange that was
        running then goes on and completes.

        Proves: RFC 2408 section 5.1
        Proves: RFC 2408 section 5.2
        Proves: RFC 2408 section 5.2 (row 5.2-3)
        Proves: RFC 2408 section 5.3
        Proves: RFC 2408 section 5.4
        Proves: RFC 2408 section 5.5
        Proves: RFC 2408 section 5.6
        Proves: RFC 2408 section 5.7
        Proves: RFC 2408 section 5.8
        Proves: RFC 2408 section 5.9
        Proves: RFC 2408 section 5.10
        Proves: RFC 2408 section 5.11
        Proves: RFC 2408 section 5.12
        Proves: RFC 2408 section 5.13
        Proves: RFC 2408 section 5.14
        Proves: RFC 2408 section 5.15
        """
        for bad in BAD:
            with self.subTest(section=bad.section, error=bad.error.__name__):
                self.walk(bad)

    def walk(self, bad: Bad) -> None:
        """One bad input."""
        both, notes = nodes(), logged(self)
        words = f"{bad.section} {bad.error.__name__} {bad.message}"
        clear, proven = (self.overtaken if bad.message else self.under_an_sa)(both, bad)
        victim = both.a if bad.message in ("Main 2", "Main 4") else both.b
        (rule, *_) = RULE[bad.section, bad.error]
        found = [
            event.error
            for event in victim.published(rule.event)
            if isinstance(event, (MessageDropped, PayloadDiscarded))
        ]
        self.assertEqual([type(error) for error in found], [bad.error], (words, found))
        self.assertEqual(found[0].event, rule.name)
        if rule.name:
            self.assertIn(rule.name, [note.get("event") for note in notes], words)
        expected = [] if rule.notify is None else [int(rule.notify)]
        everything = (clear, proven)
        in_clear = not bad.sealed or bad.section == "5.2.4"
        self.assertEqual(everything, (expected, []) if in_clear else ([], expected), words)
        if rule.dropped is Dropped.PAYLOAD:
            self.assertEqual(victim.published(MessageDropped), [], words)
        self.assertEqual(disagreements(both.a, both.b), [], words)
        both.wait(both.quiet)
        self.assertEqual(unfinished(both.a, both.b), [], words)

    def overtaken(self, both: Pair, bad: Bad) -> tuple[list[int], list[int]]:
        """A changed copy of a message of Main Mode comes first; Main Mode completes."""
        changed: list[Datagram] = []

        def forge(datagram: Datagram) -> list[Datagram]:
            changed.append(Datagram(bad.change(datagram.octets), datagram.path))
            self.assertNotEqual(changed[0].octets, datagram.octets)
            return changed

        race(both, forge, bad.message)
        settle(both.clock, both.a.establish())
        both.wait(0.5)
        self.assertEqual(len(changed), 1)
        victim, other = (both.a, both.b) if bad.message == "Main 4" else (both.b, both.a)
        proven = [e.kind for e in other.published(NotificationReceived) if e.authenticated]
        return told_in_clear(both, victim), proven

    def under_an_sa(self, both: Pair, bad: Bad) -> tuple[list[int], list[int]]:
        """Alice says it under the SA while Bob's Quick Mode runs; that completes."""
        both.up()
        tap = lose(both, "Quick 2")
        running = both.b.establish("net1")
        both.wait(0.1)
        both.network.inject(sealed(both.a, bad.number, bad.payloads))
        both.wait(0.2)
        tap.remove()
        (bundle,) = settle(both.clock, running)
        both.wait(0.5)
        self.assertEqual(bundle.policy.name, "net1")
        received = both.a.published(NotificationReceived)
        return told_in_clear(both, both.b), [e.kind for e in received if e.authenticated]

    def test_nobody_answers(self) -> None:
        """
        A message that is never answered is repeated, less often each time, and then given up: that
        is an event, the peer is told nothing, and what comes next is not hindered.

        Proves: RFC 2408 section 5.1
        """
        (rule,) = RULE["5.1", ExchangeTimeout]
        both, notes = nodes(), logged(self)
        tap = lose(both, "Main 2")
        with self.assertRaises(ExchangeTimeout):
            settle(both.clock, both.a.establish())
        (event,) = both.a.published(ExchangeFailed)
        self.assertIs(rule.event, ExchangeFailed)
        self.assertEqual(event.error.event, rule.name)
        self.assertEqual(rule.name, "RETRY LIMIT REACHED")
        self.assertIn(rule.name, [note.get("event") for note in notes])
        self.assertIsNone(rule.notify)
        self.assertEqual(told_in_clear(both, both.a), [])
        sent = both.sent_by(both.a)
        self.assertEqual(len(sent), 1 + both.settings.intervals.repeats)
        self.assertEqual(len(set(sent)), 1)
        tap.remove()
        both.up()
        self.assertEqual(disagreements(both.a, both.b), [])

    def test_notifications_are_not_answered(self) -> None:
        """Nothing that is wrong with an Informational exchange is answered with one."""
        for bad in BAD:
            if bad.number == ExchangeType.INFORMATIONAL:
                both = nodes()
                both.up()
                sent = len(both.wire)
                both.network.inject(sealed(both.a, bad.number, bad.payloads))
                both.wait(1.0)
                self.assertEqual(len(both.wire), sent, bad)

    def test_in_clear_text(self) -> None:
        """
        A notification in clear text whose type is reserved is dropped and shortens nobody's
        patience.

        Proves: RFC 2408 section 5.14
        """
        for kind in (0, 31, 8191, 16385, 24575, 40960, 65535):
            both = nodes()
            tap = lose(both, "Main 2")
            running = both.a.establish()
            both.wait(0.1)
            cookies = Header.decode(both.sent_by(both.a)[0]).cookies
            notice = Notification(1, 1, kind, b"", b"")
            octets = Message(cookies, 5, Flags.NONE, 77, (notice,)).encode()
            both.network.inject(Datagram(octets, both.b.path_to(both.a.address)))
            both.wait(5.0)
            (dropped,) = both.a.published(MessageDropped)
            self.assertIsInstance(dropped.error, InvalidMessageType)
            self.assertEqual(both.a.published(NotificationReceived), [])
            tap.remove()
            settle(both.clock, running)

    def test_the_payload_alone(self) -> None:
        """
        Of several payloads those that are at fault are discarded, and the others heeded.

        Proves: RFC 2408 section 5.15
        """
        for bad in BAD:
            if bad.number != ExchangeType.INFORMATIONAL:
                continue
            both = nodes()
            both.up()
            (bundle,) = both.a.bundles
            good = Delete(1, 3, (bundle.inbound[0].key.spi,))
            both.network.inject(sealed(both.a, bad.number, (*bad.payloads, good)))
            both.wait(0.5)
            self.assertEqual(both.b.bundles, [], bad)
            self.assertEqual(len(both.b.published(PayloadDiscarded)), 1)


class TableTests(SynchronousTestCase):
    """The table itself."""

    def test_complete(self) -> None:
        """Every rule is walked, and every bad input breaks one."""
        walked = {(bad.section, bad.error) for bad in BAD} | {("5.1", ExchangeTimeout)}
        self.assertEqual(walked, set(RULE))

    def test_notifications(self) -> None:
        """
        Every error notification of RFC 2408 is one of a rule, or there is a reason never to send
        it.

        Proves: RFC 2408 section 3.14.1
        """
        sent = {rule.notify for rule in RULES} - {None}
        errors = {NotifyType(number) for number in range(1, 31)}
        self.assertEqual(sent | set(NEVER_SENT), errors)
        self.assertEqual(sent & set(NEVER_SENT), set())

    def test_what_can_be_overlooked(self) -> None:
        """
        What can be overlooked are exactly the names that the table has, and none of them is about
        memory, cookies, hashes or lengths.
        """
        lenient = [rule for rule in RULES if rule.lenient]
        self.assertEqual(
            {rule.lenient for rule in lenient} | {"key-length-first"}, set(LENIENCES)
        )
        self.assertEqual(
            {(rule.section, rule.lenient) for rule in lenient},
            {
                ("5.2.5", "reserved-flags"),
                ("5.3.2", "reserved-octets"),
                ("5.6.2", "basic-as-variable"),
            },
        )
        for rule in RULES:
            if rule.section in ("5.1", "5.2.1", "5.11.1", "5.11.2", "5.12.1", "5.12.2"):
                self.assertEqual(rule.lenient, "")

    def test_same_told(self) -> None:
        """Rules of one error and one kind of message tell the same people."""
        for rules in RULE.values():
            self.assertEqual(len({rule.told for rule in rules}), 1)
        for error in {rule.error for rule in RULES}:
            told = {
                rule.told
                for rule in RULES
                if rule.error is error and not rule.section.startswith(("5.14", "5.15"))
            }
            self.assertLessEqual(len(told), 1, error)
        for rule in RULES:
            if rule.section.startswith(("5.14", "5.15")):
                self.assertIs(rule.told, Told.NOBODY)
