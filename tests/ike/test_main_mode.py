"""
Main Mode between two nodes, and with somebody between them who changes what they say.

The first four messages are in clear text, so anybody can be that somebody.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from isakmp.associations import Lifetime, Offer, ProtectionSuite
from isakmp.connections import Connection
from isakmp.errors import (
    AuthenticationFailed,
    InvalidKeyInformation,
    Malformed,
    NoProposalChosen,
    PeerError,
    SituationNotSupported,
    UnexpectedPayload,
)
from isakmp.events import MessageDropped, MessageSent
from isakmp.ike import method, quick_mode
from isakmp.ike.key_exchange import ike
from isakmp.ike.sa import ISAKMPSA
from isakmp.numbers import ExchangeType
from isakmp.paths import Datagram
from isakmp.wire.message import Flags, Message
from isakmp.wire.payloads import (
    Identification,
    KeyExchange,
    Nonce,
    Payload,
    SecurityAssociation,
    VendorID,
)
from tests.ike.ends import Change, changed_offer, established, two
from tests.ike.lies import Lie, beside, domain, doubled, instead, raw, suites
from tests.nodes import ALICE, BOB, Member, Pair, Settings, connection, disagreements

STRONG, WEAK = "aes256-sha512-curve25519", "3des-sha1-curve25519"


def between(pair: Pair, sender: Member, about: type[Payload], change: Lie) -> None:
    """From now on what one end says in clear text in Main Mode, with such a payload, is changed."""

    def tap(datagram: Datagram) -> Iterable[Datagram] | None:
        if datagram.path.local[0] != sender.address or datagram.octets[19] & Flags.ENCRYPTION:
            return None
        message = Message.decode(datagram.octets)
        if message.exchange_type != ExchangeType.IDENTITY_PROTECTION or not message.has(about):
            return None
        changed = message.with_payloads(change(list(message.payloads)))
        return [replace(datagram, octets=changed.encode())]

    pair.network.taps.append(tap)


def taking(*spellings: str) -> Change:
    """A connection that takes these, by preference."""

    def change(connection: Connection) -> Connection:
        return replace(
            connection, suites=tuple(ike.suite(spelling, Lifetime(3000)) for spelling in spellings)
        )

    return change


def exactly(connection: Connection) -> Change:
    """This connection."""
    return lambda _: connection


def lasting(seconds: int) -> Change:
    """A connection whose ISAKMP SA may be used so long."""
    lifetime = Lifetime(seconds)
    suites = (ike.suite(STRONG, lifetime),)
    return lambda connection: replace(connection, suites=suites, lifetime=lifetime)


def reasons(member: Member) -> list[PeerError]:
    """Why messages were not accepted."""
    return [event.error for event in member.published(MessageDropped)]


class AgreementTests(SynchronousTestCase):
    """Without anybody between them."""

    def test_preference(self) -> None:
        """
        Of what both take, the initiator's favourite is agreed, and the peers' lists may differ.

        Proves: RFC 2408 section 4.2
        Proves: RFC 2409 section 5
        """
        for hers, his, agreed in (
            ((STRONG, WEAK), (WEAK, STRONG), STRONG),
            ((WEAK, STRONG), (STRONG, WEAK), WEAK),
            (("aes128-md5-ecp256", WEAK), (STRONG, WEAK), WEAK),
        ):
            pair = two(taking(*hers), taking(*his))
            established(pair)
            for member in (pair.a, pair.b):
                (sa,) = member.sas
                assert isinstance(sa, ISAKMPSA)
                self.assertEqual(sa.parameters.spelled, agreed)

    def test_ciphers_and_hashes(self) -> None:
        """
        Every cipher and every hash protects Main Mode and Quick Mode.

        Proves: RFC 2409 section 4 (row 4-5)
        Proves: RFC 2409 appendix B
        Proves: RFC 2408 section 5.11 (row 5.11-1)
        """
        for cipher in (
            *("des", "3des", "idea", "cast128", "blowfish128", "blowfish256"),
            *("aes128", "aes192", "aes256", "camellia128", "camellia192", "camellia256"),
        ):
            for hash_ in ("md5", "sha1", "sha256", "sha384", "sha512"):
                suite = f"{cipher}-{hash_}-curve25519"
                pair = two(settings=Settings(suite=suite))
                established(pair)
                self.assertEqual(disagreements(pair.a, pair.b), [], suite)

    def test_groups(self) -> None:
        """Every kind of group does."""
        for group in ("modp768", "modp1024", "modp1024s160", "ecp192", "ecp521", "ecp256bp"):
            pair = two(settings=Settings(suite=f"aes128-sha256-{group}"))
            established(pair)
            self.assertEqual(disagreements(pair.a, pair.b), [], group)

    def test_nonces(self) -> None:
        """
        The shortest and the longest nonce are as good as any, in both phases.

        Proves: RFC 2409 section 5 (row 5-8)
        """
        for size in (8, 256):
            for module in (method, quick_mode):
                self.patch(module, "NONCE_SIZE", size)
            pair = two()
            established(pair)
            self.assertEqual(disagreements(pair.a, pair.b), [])
            sizes = {
                len(event.message.one(Nonce).data)
                for member in (pair.a, pair.b)
                for event in member.published(MessageSent)
                if event.message.has(Nonce)
            }
            self.assertEqual(sizes, {size})

    def test_connection(self) -> None:
        """
        Of two connections that the peer may mean, it is the one that takes what is chosen.
        """
        for hers, name in (((STRONG, WEAK), "strong"), ((WEAK, STRONG), "weak")):
            others = [
                replace(taking(suite)(connection(BOB, ALICE, "r.lab", "i.lab")), name=other)
                for suite, other in ((STRONG, "strong"), (WEAK, "weak"), (STRONG, "too late"))
            ]
            pair = two(taking(*hers), exactly(others[1]), his_others=others[::2])
            established(pair)
            self.assertEqual([sa.connection for sa in pair.b.sas], [name])

    def test_lifetime(self) -> None:
        """
        The responder takes the shorter lifetime of what was offered and its own; if that is its
        own it says so, and the initiator takes it too.

        Proves: RFC 2409 appendix A
        """
        for hers, his in ((600, 900), (900, 600)):
            pair = two(lasting(hers), lasting(his))
            established(pair)
            for member in (pair.a, pair.b):
                self.assertEqual(member.sas[0].lifetime.seconds, min(hers, his))


class _BetweenTestCase(SynchronousTestCase):
    def pair(self) -> Pair:
        """Both take the strong and the weak."""
        return two(taking(STRONG, WEAK), taking(STRONG, WEAK))

    def refused(
        self, sender: str, about: type[Payload], change: Lie, error: type[PeerError], words: str
    ) -> None:
        """
        The receiver does not accept it, and says why; no SA comes of it.

        :param sender: ``a`` or ``b``: whose words are changed.
        """
        pair = self.pair()
        speaker, hearer = (pair.a, pair.b) if sender == "a" else (pair.b, pair.a)
        between(pair, speaker, about, change)
        with self.assertRaises(PeerError):
            established(pair)
        pair.wait(pair.quiet)
        failure = reasons(hearer)[0]
        self.assertIsInstance(failure, error)
        self.assertIn(words, str(failure))
        self.assertEqual((pair.a.sas, pair.b.sas), ([], []))
        running = [len(member.demultiplexer.conversations) for member in (pair.a, pair.b)]
        self.assertEqual(running, [0, 0])


class AnswerTests(_BetweenTestCase):
    """The responder's choice, changed."""

    def test_offers(self) -> None:
        """
        What is no answer to our offer is refused by the initiator.

        Proves: RFC 2408 section 4.2
        Proves: RFC 2409 section 5
        """
        for change, error, words in (
            (suites(doubled), NoProposalChosen, "exactly one transform (offered: 2"),
            (suites(lambda s: [s, s.numbered(2)]), NoProposalChosen, "exactly one transform"),
            (self.other("aes192-sha512-curve25519"), NoProposalChosen, "none of our offers"),
            (self.other("aes256-sha512-modp768"), NoProposalChosen, "none of our offers"),
            (domain(0), NoProposalChosen, "another domain (offered: 0; configured: 1"),
            (domain(2), NoProposalChosen, "another domain (offered: 2; configured: 1"),
            (raw(lambda body: b"\0\0\0\4" + body[4:]), SituationNotSupported, "SIT_INTEGRITY"),
            (raw(lambda body: body[:4]), Malformed, ""),
            (raw(lambda body: body + b"\0"), Malformed, ""),
            (
                beside(SecurityAssociation, SecurityAssociation(1, b"")),
                UnexpectedPayload,
                "exactly one SecurityAssociation",
            ),
            (
                lambda payloads: [VendorID(b"first"), *payloads],
                UnexpectedPayload,
                "a payload before the SA payload (offered: VendorID",
            ),
            (instead(SecurityAssociation, Nonce(bytes(8))), UnexpectedPayload, "without"),
        ):
            self.refused("b", SecurityAssociation, change, error, words)

    def other(self, spelling: str) -> Lie:
        """Another choice."""
        return changed_offer(
            lambda offer: replace(offer, suites=(ike.suite(spelling, Lifetime(3000)),))
        )

    def test_weaker_choice(self) -> None:
        """
        A choice of ours that the responder has not made is noticed at the latest when it is used:
        the keys differ.
        """
        pair = self.pair()
        between(pair, pair.b, SecurityAssociation, self.other(WEAK))
        with self.assertRaises(PeerError):
            established(pair)
        self.assertEqual((pair.a.sas, pair.b.sas), ([], []))


class QuestionTests(_BetweenTestCase):
    """The initiator's offer, changed."""

    def test_nothing_in_common(self) -> None:
        """
        An offer of which nothing is acceptable is refused at its first message: the log says what
        differed, the peer is told, and nothing is kept.

        Proves: RFC 2408 section 5.4 (row 5.4-4)
        Proves: RFC 2408 section 5.11 (row 5.11-2)
        """
        pair = two(taking("aes256-sha384-curve25519", WEAK), taking(STRONG))
        with self.assertRaisesRegex(PeerError, "NO-PROPOSAL-CHOSEN"):
            established(pair)
        reason = reasons(pair.b)[0]
        self.assertIsInstance(reason, NoProposalChosen)
        self.assertIn(f"configured: {STRONG}", str(reason))
        self.assertIn("Nearest: the peer's hash sha384 against sha512 here", str(reason))
        self.assertEqual(len(pair.b.demultiplexer.half_open), 0)

    def test_offers(self) -> None:
        """What is no offer is refused by the responder, who keeps nothing of it."""
        for change, error, words in (
            (domain(99), PeerError, "domain of interpretation not enabled (offered: 99"),
            (raw(lambda body: b"\0\0\0\2" + body[4:]), SituationNotSupported, "SIT_SECRECY"),
            (raw(lambda body: body[:-2]), Malformed, ""),
            (
                lambda payloads: [VendorID(b"first"), *payloads],
                UnexpectedPayload,
                "a payload before the SA payload (offered: VendorID",
            ),
            (
                lambda payloads: [payloads[0], *payloads],
                UnexpectedPayload,
                "exactly one SecurityAssociation",
            ),
        ):
            self.refused("a", SecurityAssociation, change, error, words)

    def test_weakened(self) -> None:
        """
        An offer of which somebody has taken the better half is discovered, because what the
        initiator has offered is part of its proof.

        Proves: RFC 2409 section 5
        Proves: RFC 2408 section 1.5.3 (row 1.5.3-1)
        """

        def weaker(offer: Offer) -> Offer:
            (suite,) = offer.suites
            (proposal,) = suite.proposals
            left = ProtectionSuite((replace(proposal, transforms=proposal.transforms[1:]),))
            return replace(offer, suites=(left,))

        pair = self.pair()
        between(pair, pair.a, SecurityAssociation, changed_offer(weaker))
        with self.assertRaises(PeerError):
            established(pair)
        self.assertIsInstance(pair.b.failures[0], AuthenticationFailed)
        self.assertEqual((pair.a.sas, pair.b.sas), ([], []))


class ExchangeTests(_BetweenTestCase):
    """Public values and nonces, changed."""

    def test_values(self) -> None:
        """
        A nonce has 8 to 256 octets, a public value the length of its group; it passes its checks.
        There is one of each.

        Proves: RFC 2409 section 5 (row 5-8)
        Proves: RFC 2408 section 5.13 (row 5.13-2)
        """
        for change, error, words in (
            (instead(Nonce, Nonce(bytes(7))), Malformed, "a nonce (offered: 7 octets"),
            (instead(Nonce, Nonce(bytes(257))), Malformed, "a nonce (offered: 257 octets"),
            (instead(Nonce, Nonce(b"")), Malformed, "a nonce (offered: 0 octets"),
            (instead(Nonce, VendorID(b"x")), UnexpectedPayload, "without Nonce"),
            (beside(Nonce, Nonce(bytes(8))), UnexpectedPayload, "exactly one Nonce"),
            (
                instead(KeyExchange, KeyExchange(bytes(32))),
                InvalidKeyInformation,
                "public value of curve25519",
            ),
            (
                instead(KeyExchange, KeyExchange(bytes(31))),
                InvalidKeyInformation,
                "wrong length (offered: 31 octets; configured: 32 octets",
            ),
            (instead(KeyExchange, VendorID(b"x")), UnexpectedPayload, "without KeyExchange"),
            (
                beside(KeyExchange, KeyExchange(bytes(32))),
                UnexpectedPayload,
                "exactly one KeyExchange",
            ),
        ):
            for sender in "ab":
                self.refused(sender, KeyExchange, change, error, words)

    def test_exchanged(self) -> None:
        """Other values than were said make other keys: nothing can be read."""
        for change in (
            instead(Nonce, Nonce(bytes(8))),
            instead(Nonce, Nonce(bytes(256))),
            instead(KeyExchange, KeyExchange(bytes(31) + b"\x09")),
        ):
            for sender in "ab":
                pair = self.pair()
                between(pair, pair.a if sender == "a" else pair.b, KeyExchange, change)
                with self.assertRaises(PeerError):
                    established(pair)
                self.assertEqual((pair.a.sas, pair.b.sas), ([], []))

    def test_more_than_it_needs(self) -> None:
        """Payloads that nobody asked for, and another order, do no harm."""
        pair = self.pair()
        more = [VendorID(b"somebody"), Identification(2, 0, 0, b"nobody")]
        for member in (pair.a, pair.b):
            between(pair, member, KeyExchange, lambda payloads: [*more, *reversed(payloads)])
        established(pair)
        self.assertEqual(disagreements(pair.a, pair.b), [])
