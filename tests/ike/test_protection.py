"""
Sealing and unsealing, held against what other implementations have sealed.
"""

from __future__ import annotations

import hmac
from copy import copy
from typing import Any

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from isakmp.crypto.ciphers import BlockCipher, cipher
from isakmp.crypto.keys import phase2_iv
from isakmp.errors import InvalidHash, InvalidHashValue, Malformed, Unreadable
from isakmp.ike.protection import Phase1Protection, Phase2Protection
from isakmp.ike.quick_mode import QuickMode
from isakmp.interfaces import IMessageProtection
from isakmp.numbers import ExchangeType, NotifyType
from isakmp.parts import Role
from isakmp.wire.message import CookiePair, Flags, Header, Message, encode_chain
from isakmp.wire.payloads import Hash, Nonce, Notification
from tests.ike.recorded import KINDS, Recorded, Said, recorded


def phase_1(conversation: Recorded) -> Phase1Protection:
    """Before the first sealed message of phase 1."""
    return Phase1Protection(conversation.cipher(), conversation["initial_iv"], "Look there.")


def phase_2(conversation: Recorded, said: Said) -> Phase2Protection:
    """Before the first message of the exchange that this one belongs to."""
    sa = conversation.isakmp_sa(Role.INITIATOR)
    return sa.protection(KINDS[said.exchange], said.header.message_id)  # type: ignore[return-value]


def other_cipher(conversation: Recorded) -> BlockCipher:
    """With another key than both peers had; in DES the lowest bit of an octet is none."""
    key = bytes(octet ^ 0x10 for octet in conversation["ka"])
    return cipher(conversation.parameters.encryption, key)


def flipped(octets: bytes, bit: int) -> bytes:
    """A copy with one bit changed; bit 0 is the first octet's highest."""
    changed = bytearray(octets)
    changed[bit // 8] ^= 0x80 >> bit % 8
    return bytes(changed)


class Phase1Tests(SynchronousTestCase):
    """The last two messages of Main Mode."""

    def test_interface(self) -> None:
        """It is a protection of messages."""
        (conversation,) = recorded("main-psk")
        verifyObject(IMessageProtection, phase_1(conversation))

    def test_unsealed(self) -> None:
        """
        Each is opened, and the next vector is its last block of ciphertext.

        Proves: RFC 2409 appendix B (row B-2)
        """
        for conversation in recorded():
            ours = phase_1(conversation)
            sealed = [said for said in conversation.main_mode() if said.sealed]
            self.assertEqual([one.sender for one in sealed], [Role.INITIATOR, Role.RESPONDER])
            for said in sealed:
                message = ours.unseal(said.raw)
                self.assertEqual(message, said.clear, conversation.name)
                self.assertEqual(ours.iv, said.raw[-len(ours.iv) :])

    def test_sealed(self) -> None:
        """
        Each would have been sealed here to the same octets: cipher, vector, zeros for padding and
        the length in the header, which includes them.

        Proves: RFC 2409 appendix B (row B-1)
        Proves: RFC 2408 section 4.1.1 (row 4.1.1-2)
        Proves: RFC 2409 section 3.2 (row 3.2-2)
        """
        for conversation in recorded():
            ours = phase_1(conversation)
            for said in conversation.main_mode():
                if said.sealed:
                    self.assertEqual(set(said.padding), {0})
                    clear = said.clear
                    plain = Message(
                        clear.cookies, clear.exchange_type, 0, clear.message_id, clear.payloads
                    )
                    self.assertEqual(ours.seal(plain), said.raw, conversation.name)

    def test_wrong_key(self) -> None:
        """
        With another key nothing can be read; that is said, with what helps, and changes nothing.
        """
        for conversation in recorded():
            ours = Phase1Protection(
                other_cipher(conversation), conversation["initial_iv"], "Look there."
            )
            for said in conversation.main_mode():
                if said.sealed:
                    error = self.assertRaises(Unreadable, ours.unseal, said.raw)
                    self.assertIn("cannot be read with the agreed keys", str(error))
                    self.assertIn("Look there.", str(error))
                    self.assertEqual(ours.iv, conversation["initial_iv"])

    def test_bad_psk(self) -> None:
        """
        Where the pre-shared keys differ, the responder cannot read what the initiator has sealed.
        """
        conversation = Recorded("bad-psk")
        ours = Phase1Protection(conversation.cipher("ka_r"), conversation["initial_iv"])
        sealed = [said for said in conversation.main_mode() if said.sealed]
        self.assertEqual(len(sealed), 2)
        for said in sealed:
            self.assertRaises(Unreadable, ours.unseal, said.raw)
        theirs = phase_1(conversation)
        theirs.unseal(sealed[0].raw)

    def test_copies(self) -> None:
        """A copy has a state of its own."""
        (conversation,) = recorded("main-psk")
        first, second = (said for said in conversation.main_mode() if said.sealed)
        ours = phase_1(conversation)
        tried = copy(ours)
        tried.unseal(first.raw)
        self.assertEqual(ours.iv, conversation["initial_iv"])
        tried.unseal(second.raw)
        ours.unseal(first.raw)
        ours.unseal(second.raw)
        self.assertEqual(ours.iv, tried.iv)

    def test_not_blocks(self) -> None:
        """What is not whole blocks of ciphertext is refused."""
        (conversation,) = recorded("main-psk")
        said = next(said for said in conversation.main_mode() if said.sealed)
        ours = phase_1(conversation)
        for octets in (said.raw[:-1], said.raw[: Header.SIZE], said.raw + b"\0"):
            cut = octets[:24] + len(octets).to_bytes(4) + octets[28:]
            self.assertRaises(Unreadable, ours.unseal, cut)
            self.assertRaises(Malformed, ours.unseal, octets)
        self.assertEqual(ours.iv, conversation["initial_iv"])


class Phase2Tests(SynchronousTestCase):
    """Quick Mode and Informational exchanges under an SA."""

    def test_unsealed(self) -> None:
        """
        Each message is opened and proven: HASH(1), HASH(2), HASH(3), and that of a Delete.

        Proves: RFC 2409 section 5.5
        Proves: RFC 2409 section 5.7
        Proves: RFC 2409 appendix B
        Proves: RFC 2408 section 4.8 (row 4.8-2)
        """
        count = 0
        for conversation in recorded():
            for kind in KINDS:
                for _, exchange in conversation.later(kind):
                    ours = phase_2(conversation, exchange[0])
                    for said in exchange:
                        message = ours.unseal(said.raw)
                        proof, *rest = said.payloads
                        self.assertIsInstance(proof, Hash)
                        self.assertEqual(message.payloads, tuple(rest), conversation.name)
                        self.assertEqual(ours.iv, said.raw[-len(ours.iv) :])
                        count += 1
        self.assertEqual(count, 9 * 3 + 5 * 2 + 2 * 3)

    def test_sealed(self) -> None:
        """
        Each would have been sealed here to the same octets, its HASH in front; where the sender
        has filled up what was full already, to the same but for that block.

        Proves: RFC 2409 section 5.5 (row 5.5-1)
        Proves: RFC 2409 section 5.7
        Proves: RFC 2409 appendix B
        Proves: RFC 2408 section 4.1.1 (row 4.1.1-3)
        Proves: RFC 2409 section 3.2 (row 3.2-3)
        Proves: RFC 2409 section 5.5 (row 5.5-2)
        """
        same = fuller = 0
        for conversation in recorded():
            for kind in KINDS:
                for _, exchange in conversation.later(kind):
                    ours = phase_2(conversation, exchange[0])
                    for said in exchange:
                        self.assertEqual(set(said.padding), {0})
                        header = said.header
                        octets = ours.seal(
                            Message(
                                header.cookies,
                                header.exchange_type,
                                0,
                                header.message_id,
                                said.payloads[1:],
                            )
                        )
                        block = len(ours.iv)
                        if len(said.padding) < block:
                            self.assertEqual(octets, said.raw, conversation.name)
                            same += 1
                        else:
                            self.assertEqual(octets[28:], said.raw[28:-block], conversation.name)
                            ours.iv = said.raw[-block:]
                            fuller += 1
        self.assertEqual((same, fuller), (35, 8))

    def test_one_bit(self) -> None:
        """
        Whatever bit of the ciphertext is another, the message is refused and the state stays.

        Proves: RFC 2409 section 5.5
        """
        (conversation,) = recorded("main-psk-3des")
        for kind in KINDS:
            for _, exchange in conversation.later(kind):
                ours = phase_2(conversation, exchange[0])
                for said in exchange:
                    before = copy(ours)
                    # A block of padding alone says nothing, and no HASH covers it.
                    end = len(said.raw) - (len(said.padding) // 8) * 8
                    for bit in range(8 * Header.SIZE, 8 * end):
                        tried = flipped(said.raw, bit)
                        with self.assertRaises((Unreadable, InvalidHash, InvalidHashValue)):
                            ours.unseal(tried)
                        self.assertEqual(vars(ours), vars(before))
                    ours.unseal(said.raw)

    def test_padding(self) -> None:
        """
        Padding up to a whole block is taken, whatever is in it; more than that is refused, because
        anybody could add it and break the chain of vectors.
        """
        (conversation,) = recorded("main-psk")
        _, (first, *_) = next(conversation.later("quick"))
        assert first.plaintext is not None
        ours = phase_2(conversation, first)
        block = len(ours.iv)
        chain = first.plaintext[: -len(first.padding)]
        for padding, taken in (
            (first.padding, True),
            (b"\x55" * len(first.padding), True),
            (first.padding + bytes(block), False),
            (first.padding + bytes(20 * block), False),
        ):
            sealed = conversation.cipher().encrypt(ours.iv, chain + padding)
            length = (Header.SIZE + len(sealed)).to_bytes(4)
            octets = first.raw[: Header.SIZE - 4] + length + sealed
            tried = copy(ours)
            if taken:
                self.assertEqual(tried.unseal(octets).payloads, first.payloads[1:])
            else:
                self.assertRaises(Unreadable, tried.unseal, octets)
                self.assertEqual(tried.iv, ours.iv)

    def test_full_block_of_padding(self) -> None:
        """
        A message that needs no padding may have a block of it; strongSwan sends such.
        """
        full = 0
        for conversation in recorded():
            for _, exchange in conversation.later("informational"):
                (said,) = exchange
                ours = phase_2(conversation, said)
                if len(said.padding) == len(ours.iv):
                    self.assertEqual(ours.unseal(said.raw).payloads, said.payloads[1:])
                    full += 1
        self.assertEqual(full, 7)

    def test_order(self) -> None:
        """
        A message of the exchange is opened in its place only: each HASH covers the nonces before.

        Proves: RFC 2409 section 5.5
        """
        for conversation in recorded("main-psk", "pfs"):
            _, exchange = next(conversation.later("quick"))
            for number, said in enumerate(exchange):
                ours = phase_2(conversation, exchange[0])
                for position, expected in enumerate(exchange):
                    if position == number:
                        ours.unseal(said.raw)
                        break
                    with self.assertRaises((Unreadable, InvalidHash, InvalidHashValue)):
                        ours.unseal(said.raw)
                    ours.unseal(expected.raw)

    def test_wrong_key(self) -> None:
        """With another key nothing can be read, and nothing changes."""
        for conversation in recorded():
            _, (first, *_) = next(conversation.later("quick"))
            right = phase_2(conversation, first)
            ours = Phase2Protection(
                other_cipher(conversation),
                right.iv,
                conversation.isakmp_sa(Role.INITIATOR),
                QuickMode(),
                first.header.message_id,
            )
            self.assertRaises(Unreadable, ours.unseal, first.raw)
            self.assertEqual(ours.iv, right.iv)

    def test_bad_psk(self) -> None:
        """
        The complaint of a responder with another key cannot be read by the initiator; with the
        responder's own keys it is PAYLOAD-MALFORMED.
        """
        conversation = Recorded("bad-psk")
        initial = conversation["initial_iv"]
        complaints = [said for said in conversation.messages if said.exchange != "main"]
        self.assertEqual(len(complaints), 2)
        keyed = conversation.prf.keyed(conversation["skeyid_a_r"])

        class Theirs:
            """The responder's SA, as far as it is needed."""

            def authenticate(self, octets: bytes) -> bytes:
                return keyed(octets)

        for said in complaints:
            mid = said.header.message_id
            for last in (initial, conversation.main_mode()[-1].raw[-16:]):
                sa = conversation.isakmp_sa(Role.INITIATOR, last)
                ours = sa.protection(KINDS["informational"], mid)
                self.assertRaises(Unreadable, ours.unseal, said.raw)
            theirs: Any = Theirs()
            opened = Phase2Protection(
                conversation.cipher("ka_r"),
                phase2_iv(conversation.prf.hash, initial, mid, 16),
                theirs,
                KINDS["informational"],
                mid,
            ).unseal(said.raw)
            self.assertEqual(opened.one(Notification).kind, NotifyType.PAYLOAD_MALFORMED)

    def test_hash_missing(self) -> None:
        """
        A message that does not begin with a HASH is refused, also one that has it further behind,
        and one that says nothing.

        Proves: RFC 2409 section 5.5 (row 5.5-2)
        """
        (conversation,) = recorded("main-psk")
        sa = conversation.isakmp_sa(Role.INITIATOR)
        sealer = Phase1Protection(conversation.cipher(), b"")
        nonce = Nonce(bytes(16))
        proof = Hash(sa.authenticate((7).to_bytes(4) + encode_chain([nonce])))
        for payloads in ((nonce,), (nonce, proof)):
            ours = sa.protection(QuickMode(), 7)
            assert isinstance(ours, Phase2Protection)
            sealer.iv = ours.iv
            message = Message(sa.key, ExchangeType.QUICK_MODE, Flags.NONE, 7, payloads)
            error = self.assertRaises(InvalidHash, ours.unseal, sealer.seal(message))
            self.assertIn("begins with a HASH", str(error))
        ours = sa.protection(QuickMode(), 7)
        assert isinstance(ours, Phase2Protection)
        nothing = conversation.cipher().encrypt(ours.iv, bytes(16))
        header = Header(sa.key, 0, 0x10, ExchangeType.QUICK_MODE, 1, 7, Header.SIZE + 16)
        self.assertRaises(InvalidHash, ours.unseal, header.encode() + nothing)
        cut = Hash(proof.data[:-1])
        sealer.iv = ours.iv
        message = Message(sa.key, ExchangeType.QUICK_MODE, Flags.NONE, 7, (cut, nonce))
        error = self.assertRaises(InvalidHash, ours.unseal, sealer.seal(message))
        self.assertIn("another function", str(error))
        wrong = Hash(bytes(len(proof.data)))
        sealer.iv = ours.iv
        message = Message(sa.key, ExchangeType.QUICK_MODE, Flags.NONE, 7, (wrong, nonce))
        value = self.assertRaises(InvalidHashValue, ours.unseal, sealer.seal(message))
        self.assertIn("does not prove", str(value))

    def test_constant_time(self) -> None:
        """The HASH is compared in constant time: how long it takes tells nothing."""
        seen: list[tuple[bytes, bytes]] = []
        compare_digest = hmac.compare_digest

        def compare(one: bytes, other: bytes) -> bool:
            seen.append((one, other))
            return compare_digest(one, other)

        self.patch(hmac, "compare_digest", compare)
        (conversation,) = recorded("main-psk")
        _, (first, *_) = next(conversation.later("quick"))
        phase_2(conversation, first).unseal(first.raw)
        said = first.payloads[0].encode()
        self.assertEqual(seen, [(said, said)])

    def test_message_id(self) -> None:
        """
        The same words under two message ids are sealed to different octets from the first block on.

        Proves: RFC 2409 appendix B
        Proves: RFC 2408 section 4.8 (row 4.8-2)
        """
        (conversation,) = recorded("main-psk")
        sa = conversation.isakmp_sa(Role.INITIATOR)
        sealed = [
            sa.protection(QuickMode(), mid).seal(
                Message(CookiePair(bytes(8), bytes(8)), 32, 0, mid, (Nonce(bytes(16)),))
            )
            for mid in (1, 2)
        ]
        self.assertNotEqual(sealed[0][28:44], sealed[1][28:44])
