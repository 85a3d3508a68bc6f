"""
Main Mode and Quick Mode as other implementations have run them: our method, in the place of either
end, says the same octets and arrives at the same keys.
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterator
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from isakmp.associations import Lifetime, SABundle
from isakmp.connections import Candidates
from isakmp.crypto.ciphers import cipher
from isakmp.crypto.groups import group
from isakmp.crypto.keys import Phase1Keys, cipher_key
from isakmp.exchange import phase2
from isakmp.exchange.phase2 import Agreement
from isakmp.ike import method, sa
from isakmp.ike.method import IKEMethod
from isakmp.ike.parameters import Parameters
from isakmp.ike.quick_mode import QuickMethod, QuickMode
from isakmp.ike.sa import ISAKMPSA
from isakmp.interfaces import IExchange, IKeyAgreement, IKeyExchangeMethod, IManagementSA
from isakmp.parts import Role
from isakmp.wire.payloads import Hash, KeyExchange
from tests.ike.recorded import SEALED_BY_PSK, Recorded, Said, recorded
from tests.ike.replay import (
    RecordedGroup,
    RecordedPair,
    Replay,
    exchanged,
    key_octets,
    main_mode,
    player,
    quick_mode,
)

NAMES = (*SEALED_BY_PSK, "nat-main-psk", "aggr-psk")


class ReplayTests(SynchronousTestCase):
    """Each recording, played from both ends."""

    def played(self, conversation: Recorded, role: Role) -> tuple[Replay, ISAKMPSA]:
        """Main Mode, run to its end."""
        pair = exchanged(
            group(conversation.parameters.group),
            conversation.main_mode(),
            role,
            conversation["g_xy"],
        )
        self.patch(method, "group", RecordedGroup(group, iter([pair])))
        connection, node = player(conversation, role)
        self.node = node
        replay = main_mode(conversation, role, node, Candidates((connection,)))
        result = self.result(replay)
        self.assertTrue(replay.complete)
        assert isinstance(result, ISAKMPSA)
        return replay, result

    def result(self, replay: Replay) -> object:
        """Of the diagram, which never waits: both ends are here."""
        running = cast("Coroutine[Deferred[object], Any, object]", replay.type.run(replay))
        return self.successResultOf(Deferred.fromCoroutine(running))

    def test_interfaces(self) -> None:
        """What is played is what the interfaces say."""
        (conversation,) = recorded("main-psk")
        replay, result = self.played(conversation, Role.INITIATOR)
        verifyObject(IExchange, replay)
        verifyObject(IKeyExchangeMethod, replay.method)
        verifyObject(IManagementSA, result)

    def test_main_mode(self) -> None:
        """
        All six messages, and the three of Aggressive Mode, are said as they were, the encrypted
        ones to the octet, HASH_I and HASH_R among them; what the other end said is believed.

        Proves: RFC 2409 section 5 (row 5-1)
        Proves: RFC 2409 section 5.4
        Proves: RFC 2407 section 4.4.2.1 (row 4.4.2.1-1)
        Proves: RFC 2407 section 4.6.2 (row 4.6.2-2)
        Proves: RFC 2408 section 1.6.2 (row 1.6.2-1)
        Proves: RFC 2408 section 4.5 (row 4.5-1)
        Proves: RFC 2408 section 5.7 (row 5.7-1)
        Proves: RFC 2408 section 5.8 (row 5.8-1)
        Proves: RFC 2408 section 5.11 (row 5.11-1)
        Proves: RFC 2409 section 4 (row 4-10)
        """
        for conversation in recorded(*NAMES):
            for role in Role:
                replay, _ = self.played(conversation, role)
                proof = replay.spoken[-1][-1]
                assert isinstance(proof, Hash)
                end = "i" if role is Role.INITIATOR else "r"
                self.assertEqual(proof.data, conversation[f"hash_{end}"], conversation.name)

    def test_keys(self) -> None:
        """
        SKEYID and its three children are what both peers computed, and so is the cipher's key: they
        are what the ISAKMP SA works with.

        Proves: RFC 2409 section 5
        Proves: RFC 2409 section 5.4
        Proves: RFC 2409 appendix B
        """
        seen: list[Phase1Keys] = []
        real = sa.Keys.of

        def noted(derived: Phase1Keys, parameters: Parameters) -> sa.Keys:
            seen.append(derived)
            return real(derived, parameters)

        self.patch(method, "Keys", type("Noted", (), {"of": staticmethod(noted)}))
        for conversation in recorded(*NAMES):
            for role in Role:
                replay, result = self.played(conversation, role)
                expected = Phase1Keys(
                    conversation["skeyid_d"], conversation["skeyid_a"], conversation["skeyid_e"]
                )
                self.assertEqual(seen.pop(), expected, conversation.name)
                self.assertEqual(seen, [])
                phase_1 = cast(IKEMethod, replay.method)
                self.assertEqual(phase_1._skeyid, conversation["skeyid"])
                keyed = conversation.prf.keyed
                self.assertEqual(result.authenticate(b"x"), keyed(expected.skeyid_a)(b"x"))
                self.assertEqual(
                    result.derive(b"x", 8), keyed(expected.skeyid_d)(b"x")[:8], conversation.name
                )
                used, theirs = result.keys.cipher, conversation.cipher()
                block = bytes(used.block)
                self.assertEqual(used.encrypt(block, block), theirs.encrypt(block, block))
                ka = cipher_key(
                    conversation.prf, expected.skeyid_e, len(conversation["ka"])
                )
                self.assertEqual(ka, conversation["ka"])

    def test_isakmp_sa(self) -> None:
        """
        The SA that is left is named by both cookies and knows who both are, what was agreed, and
        the last block of phase 1, from which every later vector comes.

        Proves: RFC 2409 appendix B
        Proves: RFC 2408 section 1.4.2 (row 1.4.2-1)
        """
        for conversation in recorded(*NAMES):
            for role in Role:
                _, result = self.played(conversation, role)
                expected = conversation.isakmp_sa(role)
                for name in ("key", "role", "doi", "ours", "theirs", "path", "connection"):
                    self.assertEqual(getattr(result, name), getattr(expected, name), name)
                self.assertEqual(result.last_block, expected.last_block)
                self.assertEqual(result.parameters, conversation.parameters)
                self.assertEqual(result.lifetime, conversation.parameters.lifetime)
                self.assertTrue(result.permits(32))
                for mid, messages in conversation.later("quick"):
                    opened = result.protection(QuickMode(), mid).unseal(messages[0].raw)
                    self.assertEqual(opened.payloads, messages[0].payloads[1:])

    def test_no_secret_shown(self) -> None:
        """Neither the SA nor the method shows a secret when it is printed."""
        for conversation in recorded("main-psk"):
            replay, result = self.played(conversation, Role.INITIATOR)
            shown = repr((result, replay.method, result.keys, vars(replay)))
            for name in ("skeyid", "skeyid_a", "skeyid_d", "skeyid_e", "g_xy", "ka"):
                self.assertNotIn(repr(conversation[name])[2:12], shown)
                self.assertNotIn(conversation[name].hex()[:12], shown)
            self.assertNotIn("lab secret", shown)

    def test_quick_modes(self) -> None:
        """
        Every Quick Mode is said as it was, to the octet, with and without a Diffie-Hellman
        exchange of its own; and the keys of both directions are those that both peers installed.

        Proves: RFC 2409 section 5.5 (row 5.5-3)
        Proves: RFC 2409 section 4 (row 4-10)
        Proves: RFC 2409 section 5 (row 5-3)
        """
        count = with_pfs = 0
        for conversation in recorded(*NAMES):
            for role in Role:
                _, phase_1 = self.played(conversation, role)
                for number, (_, messages) in enumerate(conversation.later("quick")):
                    facts = conversation.keymat(number)
                    played = RecordedGroup(group, pairs(messages, role, facts))
                    self.patch(phase2, "group", played)
                    replay = quick_mode(conversation, messages, role, self.node, phase_1)
                    (bundle,) = cast("tuple[SABundle, ...]", self.result(replay))
                    self.assertTrue(replay.complete)
                    expected = {
                        name: key for name, key in facts.items() if name[:4] in ("encr", "inte")
                    }
                    self.assertEqual(key_octets(bundle, role), expected, conversation.name)
                    (child,) = self.node.policy.connection("lab").children[number : number + 1]
                    self.assertEqual((bundle.policy.local,), child.local)
                    self.assertEqual((bundle.policy.remote,), child.remote)
                    count += 1
                    with_pfs += "pfs_g_xy" in facts
        self.assertEqual((count, with_pfs), (22, 6))

    def test_quick_method(self) -> None:
        """The method of Quick Mode is one, and has no protection to give."""
        (conversation,) = recorded("transport")
        _, phase_1 = self.played(conversation, Role.RESPONDER)
        ((_, messages),) = conversation.later("quick")
        replay = quick_mode(conversation, messages, Role.RESPONDER, self.node, phase_1)
        verifyObject(IKeyExchangeMethod, replay.method)
        assert isinstance(replay.method, QuickMethod)
        self.assertEqual(replay.connection, self.node.policy.connection("lab"))
        self.failureResultOf(
            Deferred.fromCoroutine(replay.method.protection()), RuntimeError
        )
        connections = Candidates((self.node.policy.connection("lab"),))
        phase_1_exchange = main_mode(conversation, Role.RESPONDER, self.node, connections)
        self.assertRaises(RuntimeError, QuickMethod, phase_1_exchange, ())


class KeysTests(SynchronousTestCase):
    """What is made of SKEYID_d, SKEYID_a and SKEYID_e."""

    def test_weak_key(self) -> None:
        """
        A weak key of DES is passed over for the octets that follow it; other ciphers have none.

        Proves: RFC 2409 appendix B
        """
        weak, next_one = bytes.fromhex("01fe01fe01fe01fe"), bytes(range(2, 18, 2))
        derived = Phase1Keys(bytes(20), bytes(20), weak + next_one + bytes(4))
        block = bytes(8)
        for words, key in (("des", next_one), ("blowfish128", weak + next_one)):
            parameters = Parameters.parse(f"{words}-sha1-modp768", 1, Lifetime())
            used = sa.Keys.of(derived, parameters).cipher
            expected = cipher(parameters.encryption, key)
            self.assertEqual(used.encrypt(block, block), expected.encrypt(block, block))


class AgreementTests(SynchronousTestCase):
    """The other Diffie-Hellman exchanges under an SA."""

    def test_agreement(self) -> None:
        """Two halves agree; a group that is not known is a LookupError."""
        (conversation,) = recorded("main-psk")
        ours, theirs = (conversation.isakmp_sa(role).agreement(31) for role in Role)
        verifyObject(IKeyAgreement, ours)
        self.assertIsInstance(ours, Agreement)
        self.assertEqual(ours.agree(theirs.public), theirs.agree(ours.public))
        self.assertNotEqual(ours.public, theirs.public)
        self.assertRaises(LookupError, conversation.isakmp_sa(Role.INITIATOR).agreement, 4)


def pairs(
    messages: list[Said], role: Role, facts: dict[str, bytes]
) -> Iterator[RecordedPair]:
    """The one key pair of a Quick Mode; none if it had no Diffie-Hellman exchange."""
    if messages[0].clear.has(KeyExchange):
        length = len(messages[0].clear.one(KeyExchange).data)
        of = group({192: 5, 256: 14}[length])
        yield exchanged(of, messages, role, facts["pfs_g_xy"])
