"""
Aggressive Mode with a pre-shared key, between two nodes and with somebody between them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from isakmp.associations import Lifetime
from isakmp.connections import Limits
from isakmp.credentials.pre_shared_keys import SharedSecret
from isakmp.errors import (
    AuthenticationFailed,
    InvalidIdentity,
    InvalidKeyInformation,
    LimitReached,
    NoConnection,
    PeerError,
)
from isakmp.events import MessageDropped, MessageSent
from isakmp.identity import IdentityPattern
from isakmp.ike import method
from isakmp.ike.key_exchange import ike
from isakmp.ike.protection import Phase1Protection
from isakmp.numbers import ExchangeType
from isakmp.paths import Datagram, Path
from isakmp.testing import settle
from isakmp.wire.message import Flags, Message
from isakmp.wire.payloads import (
    Hash,
    Identification,
    KeyExchange,
    Nonce,
    Notification,
    SecurityAssociation,
    VendorID,
)
from tests.ike.ends import Change, established, two
from tests.nodes import (
    ALICE,
    BOB,
    MALLORY,
    SECRET,
    Member,
    Pair,
    Settings,
    assert_clean,
    connection,
    disagreements,
)

AGGRESSIVE = int(ExchangeType.AGGRESSIVE)
GENEROUS = Settings(initial_contact=True)


def aggressively(change: Change = lambda connection: connection) -> Change:
    """A connection that is begun so."""
    return lambda connection: change(replace(connection, exchange=AGGRESSIVE))


def between(
    hers: Change = lambda c: c, his: Change = lambda c: c, **more: object
) -> Pair:
    """Two ends that are told to."""
    return two(aggressively(hers), aggressively(his), **more)  # type: ignore[arg-type]


def spoken(pair: Pair) -> list[Datagram]:
    """What was said in Aggressive Mode."""
    return [one.datagram for one in pair.wire if one.datagram.octets[18] == AGGRESSIVE]


def senders(pair: Pair) -> str:
    """Who said each message of it: Alice is ``a``."""
    return "".join("a" if d.path.local[0] == ALICE else "b" for d in spoken(pair))


def drops(member: Member) -> list[type[PeerError]]:
    """Why messages were not accepted."""
    return [type(event.error) for event in member.published(MessageDropped)]


def limited(**limits: float) -> Pair:
    """Bob has these limits."""
    pair = between()
    bounds = replace(Limits(), **limits)  # type: ignore[arg-type]
    pair.b.assembly.stop()
    pair.network.detach(BOB)
    pair.b = Member(pair.network, pair.clock, BOB, [pair.b.connection()], limits=bounds)
    return pair


def first_message(pair: Pair) -> Datagram:
    """Alice's; nothing that is sent arrives any more, only what is injected."""
    pair.network.taps.append(lambda datagram: ())
    pair.a.establish().addErrback(lambda failure: None)
    (first,) = spoken(pair)
    del pair.wire[:]
    return first


def another(first: Datagram) -> Datagram:
    """The same with another cookie."""
    octets = first.octets
    return replace(first, octets=octets[:1] + bytes([octets[1] ^ 1]) + octets[2:])


class AgreementTests(SynchronousTestCase):
    def test_three_messages(self) -> None:
        """
        An SA comes of three messages, the last of which is sealed, and a child under it: SA, KE,
        NONCE and ID; the same with a HASH; a HASH.

        INITIAL-CONTACT is not said, as RFC 2407 wants it.

        Proves: RFC 2408 section 4.7
        Proves: RFC 2409 section 5.4 (row 5.4-2)
        """
        pair = between(settings=GENEROUS)
        established(pair)
        self.assertEqual(senders(pair), "aba")
        sealed = [d.octets[19] & Flags.ENCRYPTION for d in spoken(pair)]
        self.assertEqual(sealed, [0, 0, Flags.ENCRYPTION])
        self.assertEqual(disagreements(pair.a, pair.b), [])
        said = [
            event.message
            for member in (pair.a, pair.b)
            for event in member.published(MessageSent)
            if event.message.exchange_type == AGGRESSIVE
        ]
        first, third, second = said
        words = [SecurityAssociation, KeyExchange, Nonce, Identification]
        for message, expected in ((first, words), (second, [*words, Hash]), (third, [Hash])):
            self.assertFalse(message.has(Notification))
            kinds = [type(p) for p in message.payloads if not isinstance(p, VendorID)]
            self.assertCountEqual(kinds, expected)

    def test_identity_before_choice(self) -> None:
        """
        The peer's identity decides which connection is meant, and so which secret: one before it
        in the file that takes the same proposals is not picked.

        Proves: RFC 2409 section 5.4
        """
        decoys = [
            replace(
                connection(BOB, ALICE, "r.lab", f"{name}.lab"), name=name, exchange=AGGRESSIVE
            )
            for name in ("decoy", "other")
        ]
        secrets = [
            SharedSecret(b"the decoy's", ("decoy.lab", "r.lab")),
            SharedSecret(b"the other's", ("other.lab", "r.lab")),
            SharedSecret(SECRET, ("i.lab", "r.lab")),
        ]
        for before in (True, False):
            pair = between(
                his=(lambda c: decoys[0]) if before else (lambda c: c),
                his_others=(
                    [aggressively()(connection(BOB, ALICE, "r.lab", "i.lab")), decoys[1]]
                    if before
                    else decoys
                ),
                his_secrets=secrets,
            )
            established(pair)
            self.assertEqual([sa.connection for sa in pair.b.sas], ["lab"])

    def test_secret_by_identity(self) -> None:
        """
        The secret is found by the identity that the peer says, wherever it is: in Main Mode only
        its address could be asked for.

        Proves: RFC 2409 section 5.4 (row 5.4-3)
        """
        secrets = [SharedSecret(SECRET, ("i.lab",)), SharedSecret(b"everybody's", ())]
        pair = between(his=lambda c: replace(c, remote=()), his_secrets=secrets)
        established(pair)

    def test_group_of_the_first(self) -> None:
        """
        Only proposals of one group are offered, for the public value travels with them.

        Proves: RFC 2409 section 5
        """
        spellings = ("aes128-sha256-curve25519", "aes256-sha256-ecp256", "3des-md5-curve25519")
        suites = tuple(ike.suite(spelling, Lifetime(3000)) for spelling in spellings)
        pair = between(lambda c: replace(c, suites=suites), lambda c: replace(c, suites=suites[2:]))
        established(pair)
        offer = spoken(pair)[0].octets
        self.assertEqual(offer.count(b"\x80\x04\x00"), 2, "two transforms name their group")


class LastMessageTests(SynchronousTestCase):
    def test_in_clear(self) -> None:
        """
        A peer may send the last message in clear text, and it is taken; what follows is the same.

        Proves: RFC 2409 section 5
        """

        class Clear(Phase1Protection):
            def seal(self, message: Message) -> bytes:
                return message.encode()

        self.patch(method, "Phase1Protection", Clear)
        pair = between()
        established(pair)
        self.assertEqual([d.octets[19] for d in spoken(pair)], [0, 0, 0])
        self.assertEqual(disagreements(pair.a, pair.b), [])

    def test_forged_in_clear(self) -> None:
        """
        A forged copy in clear text that comes before the sealed message does not win, from
        wherever it comes.
        """
        for sender in (Path((ALICE, 500), (BOB, 500)), Path((MALLORY, 500), (BOB, 500))):
            pair = between()

            def tap(datagram: Datagram, pair: Pair = pair, sender: Path = sender) -> (
                Iterable[Datagram] | None
            ):
                octets = datagram.octets
                if octets[18] != AGGRESSIVE or not octets[19] & Flags.ENCRYPTION:
                    return None
                cookies = Message.decode(spoken(pair)[1].octets).cookies
                forged = Message(cookies, AGGRESSIVE, 0, 0, (Hash(bytes(32)),))
                return Datagram(forged.encode(), sender), datagram

            pair.network.taps.append(tap)
            established(pair)
            self.assertEqual(len(drops(pair.b)), 1)
            self.assertEqual(disagreements(pair.a, pair.b), [])

    def test_clear_elsewhere(self) -> None:
        """Main Mode's fifth message has to be sealed: one in clear text is dropped."""
        pair = two()
        seen: list[Datagram] = []

        def tap(datagram: Datagram) -> Iterable[Datagram] | None:
            if datagram.octets[18] == 2 and datagram.octets[19] & Flags.ENCRYPTION and not seen:
                seen.append(datagram)
                cookies = Message.decode(pair.wire[1].datagram.octets).cookies
                forged = Message(cookies, 2, 0, 0, (Identification(1, 0, 0, bytes(4)),))
                return replace(datagram, octets=forged.encode()), datagram
            return None

        pair.network.taps.append(tap)
        established(pair)
        (dropped,) = pair.b.published(MessageDropped)
        self.assertIn("clear text where the message must be sealed", str(dropped.error))

    def test_lost(self) -> None:
        """
        If it is lost, the initiator goes on, and what it says then has the responder say its own
        message again: one for one, and soon both have the SA.
        """
        pair = between()
        lost: list[Datagram] = []

        def tap(datagram: Datagram) -> Iterable[Datagram] | None:
            if datagram.octets[18] == AGGRESSIVE and len(spoken(pair)) == 3 and not lost:
                lost.append(datagram)
                return ()
            return None

        pair.network.taps.append(tap)
        settle(pair.clock, pair.a.establish(), 3.0)
        pair.wait(0.1)
        self.assertEqual(senders(pair), "ababa")
        self.assertEqual(disagreements(pair.a, pair.b), [])


    def test_asked_for_elsewhere(self) -> None:
        """
        From another address nobody has the responder say its message again to the initiator, with
        whatever cookies.
        """
        pair = between()

        def tap(datagram: Datagram) -> Iterable[Datagram] | None:
            return () if len(spoken(pair)) >= 3 and datagram.path.local[0] == ALICE else None

        pair.network.taps.append(tap)
        pair.a.establish().addErrback(lambda failure: None)
        pair.wait(0.5)
        self.assertEqual(senders(pair), "aba")
        first, second, _ = spoken(pair)
        for source, count in ((MALLORY, 3), (ALICE, 4)):
            octets = bytearray(second.octets[:28] + bytes(16))
            octets[18:20] = bytes([ExchangeType.QUICK_MODE, Flags.ENCRYPTION])
            octets[20:28] = b"\0\0\0\5" + len(octets).to_bytes(4, "big")
            pair.network.taps[:] = [lambda datagram: () if datagram.path.local[0] == BOB else None]
            path = replace(first.path, local=(source, 500))
            pair.network.inject(Datagram(bytes(octets), path))
            pair.wait(0.1)
            self.assertEqual(senders(pair), "aba" + "b" * (count - 3), source)


class RefusalTests(SynchronousTestCase):
    def refused(self, pair: Pair) -> PeerError:
        """Alice's attempt fails, and Bob has nothing of it."""
        error: list[PeerError] = []
        pair.a.establish().addErrback(lambda failure: error.append(failure.value))
        pair.clock.run_until(lambda: bool(error), 100.0)
        self.assertEqual((pair.b.sas, pair.a.sas), ([], []))
        pair.clock.run_until(pair.clock.seconds() + 200.0)
        assert_clean(self, pair.a, pair.b)
        return error[0]

    def test_wrong_secret(self) -> None:
        """
        The initiator finds out, soon, and says what differs; the responder has proved itself first.

        Proves: RFC 2409 section 5.4
        """
        pair = between(her_secrets=[SharedSecret(b"another", ())])
        error = self.refused(pair)
        self.assertIsInstance(error, AuthenticationFailed)
        self.assertIn("the pre-shared keys of the two ends differ", str(error))

    def test_no_opt_in(self) -> None:
        """A connection that does not name it is never answered in it, and nothing is said."""
        pair = two(aggressively())
        self.refused(pair)
        self.assertEqual(set(senders(pair)), {"a"})
        self.assertEqual(set(drops(pair.b)), {NoConnection})

    def test_unnamed_peer(self) -> None:
        """
        A connection that is for anybody is never answered in it, even if it names it.
        """
        for anybody in ("%any", "*.lab"):
            pair = between(
                his=lambda c, who=anybody: replace(  # type: ignore[misc]
                    c, remote=(), remote_identity=IdentityPattern(who)
                )
            )
            self.refused(pair)
            self.assertEqual(set(senders(pair)), {"a"})
            self.assertEqual(set(drops(pair.b)), {NoConnection})
            self.assertIn("nobody in particular", str(pair.b.published(MessageDropped)[0].error))

    def test_unknown_identity(self) -> None:
        """Whom no connection names is refused before anything is computed for it."""
        pair = between(his=lambda c: replace(c, remote_identity=IdentityPattern("x.lab")))
        self.refused(pair)
        self.assertIn(InvalidIdentity, drops(pair.b))
        self.assertEqual(set(senders(pair)), {"a"})

    def test_bad_public_value(self) -> None:
        """
        A public value that is none of the group's is refused, with either end's.

        Proves: RFC 2408 section 5.7
        """
        for sender, hearer in ((ALICE, "b"), (BOB, "a")):
            pair = between()

            def tap(datagram: Datagram, sender: str = sender) -> Iterable[Datagram] | None:
                octets = datagram.octets
                if datagram.path.local[0] != sender or octets[18] != AGGRESSIVE or octets[19]:
                    return None
                message = Message.decode(octets)
                changed = [
                    KeyExchange(bytes(32)) if isinstance(p, KeyExchange) else p
                    for p in message.payloads
                ]
                return (replace(datagram, octets=message.with_payloads(changed).encode()),)

            pair.network.taps.append(tap)
            self.refused(pair)
            self.assertIn(InvalidKeyInformation, drops(getattr(pair, hearer)))


class StrangerTests(SynchronousTestCase):
    """
    Who sends a first message has proved nothing, and the answer costs a key agreement.
    """

    def knock(self, pair: Pair, first: Datagram, count: int = 1) -> None:
        """The first message arrives, each time with another cookie."""
        for number in range(count):
            octets = bytes([number % 255 + 1]) + first.octets[1:]
            pair.network.inject(Datagram(octets, first.path))
        pair.wait(0.2)

    def answers(self, pair: Pair) -> list[bytes]:
        """What Bob said."""
        return pair.sent_by(pair.b)

    def test_octets(self) -> None:
        """
        The answer is not longer than the limit lets it be, or there is none.
        """
        pair = between()
        first = first_message(pair)
        self.knock(pair, first)
        (answer,) = self.answers(pair)
        more = len(answer) - len(first.octets)
        self.assertGreater(more, 0)
        self.assertLessEqual(more, Limits().aggressive_octets)
        for limit, count in ((more, 1), (more - 20, 1), (1, 0)):
            pair = limited(aggressive_octets=limit)
            self.knock(pair, first_message(pair))
            answers = self.answers(pair)
            self.assertEqual(len(answers), count, limit)
            self.assertEqual(drops(pair.b), [] if count else [LimitReached])
            self.assertEqual(len(pair.b.demultiplexer.half_open), count)

    def test_no_repeats(self) -> None:
        """
        The answer is said once, and again only if the very same datagram comes again; what nobody
        goes on with is forgotten as other half-open exchanges are.
        """
        pair = between()
        first = first_message(pair)
        for _ in range(3):
            pair.network.inject(first)
            pair.wait(1.0)
        self.assertEqual(len(set(self.answers(pair))), 1)
        self.assertEqual(len(self.answers(pair)), 3)
        self.assertEqual(len(pair.b.demultiplexer.half_open), 1)
        pair.wait(Limits().half_open_seconds)
        self.assertEqual(len(self.answers(pair)), 3)
        self.assertEqual(len(pair.b.demultiplexer.half_open), 0)
        pair.wait(200.0)
        assert_clean(self, pair.b)
        self.assertEqual(pair.b.failures, [])

    def test_repeated(self) -> None:
        """
        CVE-2016-5361: one datagram, repeated in somebody's name as often as one likes, does not
        make that address get more than it seems to have sent, but for what one answer may be
        longer; who is really there is still answered again.
        """
        measure = between()
        first = first_message(measure)
        self.knock(measure, first)
        more = len(self.answers(measure)[0]) - len(first.octets)
        for limit in (more, 2 * more, 512):
            pair = limited(aggressive_octets=limit)
            first = first_message(pair)
            for count in range(1, 301):
                pair.network.inject(first)
                pair.wait(0.01)
                answers = self.answers(pair)
                octets = sum(map(len, answers))
                self.assertLessEqual(octets, count * len(first.octets) + limit)
                self.assertLessEqual(len(answers), count)
            self.assertGreater(len(answers), 100)

    def test_bounded(self) -> None:
        """
        They count against the bounds on half-open exchanges; the oldest gives way, and leaves
        nothing.
        """
        pair = limited(half_open_per_address=4, aggressive_per_second=100)
        self.knock(pair, first_message(pair), 10)
        self.assertEqual(len(self.answers(pair)), 10)
        self.assertEqual(len(pair.b.demultiplexer.half_open), 4)
        self.assertEqual(pair.b.demultiplexer.half_open.evicted, 6)
        settle(pair.clock, pair.b.assembly.stop())
        pair.wait(200.0)
        assert_clean(self, pair.b)

    def test_rate(self) -> None:
        """
        No more are answered in a second than the limit says: each costs a key agreement.
        """
        pair = limited(aggressive_per_second=3)
        first = first_message(pair)
        self.knock(pair, first, 10)
        self.assertEqual(len(self.answers(pair)), 3)
        self.assertEqual(drops(pair.b), [LimitReached] * 7)
        pair.wait(1.0)
        self.knock(pair, another(first), 10)
        self.assertEqual(len(self.answers(pair)), 6)

    def test_unknown_ones_cost_nothing(self) -> None:
        """
        First messages that are refused for what they say, as of an identity that nobody knows, do
        not keep those out for whom there is a connection.
        """
        pair = limited(aggressive_per_second=3)
        first = first_message(pair)
        octets = first.octets.replace(b"i.lab", b"x.lab")
        self.assertNotEqual(octets, first.octets)
        self.knock(pair, replace(first, octets=octets), 20)
        self.assertEqual(drops(pair.b), [InvalidIdentity] * 20)
        self.knock(pair, first, 10)
        answers = [octets for octets in self.answers(pair) if octets[18] == AGGRESSIVE]
        self.assertEqual(len(answers), 3)

    def test_other_address(self) -> None:
        """The cookie that comes back from another address is not taken."""
        pair = between()

        def tap(datagram: Datagram) -> Iterable[Datagram] | None:
            if datagram.octets[18] == AGGRESSIVE and datagram.octets[19]:
                return (Datagram(datagram.octets, Path((MALLORY, 500), (BOB, 500))),)
            return None

        pair.network.taps.append(tap)
        pair.a.establish().addErrback(lambda failure: None)
        pair.wait(0.5)
        self.assertEqual(pair.b.sas, [])

    def test_slow_store(self) -> None:
        """
        A store that has to ask somebody first can be waited for; if the exchange gives way in the
        meantime, the question is given up.
        """
        asked: list[Deferred[bytes]] = []
        cancelled: list[Deferred[bytes]] = []

        def shared_secret(*arguments: object) -> Deferred[bytes]:
            asked.append(Deferred(cancelled.append))
            return asked[-1]

        pair = between()
        first = first_message(pair)
        self.patch(pair.b.node.credentials, "shared_secret", shared_secret)
        self.knock(pair, first)
        self.assertEqual((len(asked), self.answers(pair)), (1, []))
        self.knock(pair, first)
        self.assertEqual((len(asked), self.answers(pair)), (1, []), "the same again: no answer yet")
        asked[0].callback(SECRET)
        self.assertEqual(len(self.answers(pair)), 1)
        self.knock(pair, another(first))
        self.assertEqual(len(asked), 2)
        pair.wait(Limits().half_open_seconds)
        self.assertEqual(cancelled, asked[1:])
