"""
The codec against messages that other implementations sent.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from isakmp.crypto.ciphers import cipher
from isakmp.errors import Malformed
from isakmp.numbers import Encryption, NotifyType
from isakmp.wire.message import Flags, Header, Message, decode_chain, encode_chain
from isakmp.wire.payloads import (
    Certificate,
    CertificateRequest,
    ConfigurationAttributes,
    Delete,
    Fragment,
    Hash,
    Identification,
    KeyExchange,
    NATDiscovery,
    Nonce,
    Notification,
    Payload,
    SecurityAssociation,
    Signature,
    VendorID,
)
from isakmp.wire.proposals import decode_proposals, encode_proposals
from isakmp.wire.reader import Reader
from isakmp.wire.render import render
from tests.vectors import conversation, conversations

CLASSES: dict[str, type[Payload]] = {
    "SA": SecurityAssociation,
    "KE": KeyExchange,
    "ID": Identification,
    "CERT": Certificate,
    "CR": CertificateRequest,
    "HASH": Hash,
    "SIG": Signature,
    "NONCE": Nonce,
    "N": Notification,
    "D": Delete,
    "VID": VendorID,
    "ATTR": ConfigurationAttributes,
    "NAT-D": NATDiscovery,
}

EXCHANGES = {
    "main": "Identity Protection",
    "aggressive": "Aggressive",
    "quick": "Quick Mode",
    "informational": "Informational",
    "transaction": "Transaction",
}


def opened(facts: dict[str, Any]) -> Iterator[tuple[dict[str, Any], Message, bytes]]:
    """
    Every message of a conversation that can be read, fragments put together again.

    :return: what was recorded of it; the message; its payloads' octets without padding.
    """
    for recorded in facts["messages"]:
        raw = bytes.fromhex(recorded.get("reassembled", recorded["raw"]))
        if "plaintext" in recorded:
            header = Header.decode(raw)
            plaintext = bytes.fromhex(recorded["plaintext"])
            payloads, consumed = decode_chain(header.first, plaintext, padded=True)
            message = Message(
                header.cookies,
                header.exchange_type,
                header.flags,
                header.message_id,
                payloads,
                header.version,
            )
            yield recorded, message, plaintext[:consumed]
        elif "undecryptable" not in recorded:
            yield recorded, Message.decode(raw), raw[Header.SIZE :]


class RecordedMessagesTests(SynchronousTestCase):
    """What strongSwan and vpnc said."""

    def test_there_are_conversations(self) -> None:
        """All sixteen recorded conversations are looked at, and none of them is empty."""
        found = dict(conversations())
        self.assertEqual(len(found), 16)
        read = sum(len(list(opened(facts))) for facts in found.values())
        self.assertEqual(read, 203)

    def test_messages_in_clear(self) -> None:
        """
        A message that others sent in clear is read and written again octet by octet.

        Proves: RFC 2408 section 3.1
        Proves: RFC 2408 section 3.2
        """
        for name, facts in conversations():
            for recorded in facts["messages"]:
                if not recorded["encrypted"]:
                    raw = bytes.fromhex(recorded["raw"])
                    self.assertEqual(Message.decode(raw).encode(), raw, name)
                if "reassembled" in recorded and "plaintext" not in recorded:
                    raw = bytes.fromhex(recorded["reassembled"])
                    self.assertEqual(Message.decode(raw).encode(), raw, name)

    def test_encrypted_messages(self) -> None:
        """
        The payloads of a message that others encrypted are read up to its padding, and written
        again octet by octet.
        """
        for name, facts in conversations():
            for recorded, message, chain in opened(facts):
                if "plaintext" not in recorded:
                    continue
                plaintext = bytes.fromhex(recorded["plaintext"])
                padding = plaintext[len(chain) :]
                self.assertEqual(encode_chain(message.payloads) + padding, plaintext, name)
                self.assertTrue(message.flags & Flags.ENCRYPTION)
                raw = bytes.fromhex(recorded.get("reassembled", recorded["raw"]))
                self.assertEqual(message.header(len(raw)).encode(), raw[: Header.SIZE], name)
                self.assertEqual(len(raw), Header.SIZE + len(plaintext), name)

    def test_encrypted_message_is_not_read_in_clear(self) -> None:
        """Ciphertext is never taken for payloads."""
        for _, facts in conversations():
            for recorded in facts["messages"]:
                if recorded["encrypted"]:
                    with self.assertRaises(Malformed):
                        Message.decode(bytes.fromhex(recorded["raw"]))

    def test_payloads(self) -> None:
        """
        Each payload becomes a value of its own class, with the body that was recorded.

        Proves: RFC 2408 section 3.7
        Proves: RFC 2408 section 3.8
        Proves: RFC 2408 section 3.9
        Proves: RFC 2408 section 3.10
        Proves: RFC 2408 section 3.11
        Proves: RFC 2408 section 3.12
        Proves: RFC 2408 section 3.13
        Proves: RFC 2408 section 3.14
        Proves: RFC 2408 section 3.15
        Proves: RFC 2408 section 3.16
        """
        seen: set[type[Payload]] = set()
        for name, facts in conversations():
            for recorded, message, _ in opened(facts):
                if "payloads" not in recorded:
                    self.assertIn("fragment", recorded)
                    continue
                expected = recorded["payloads"]
                if "reassembled" in recorded and "plaintext" not in recorded:
                    message = Message.decode(bytes.fromhex(recorded["reassembled"]))
                self.assertEqual(
                    [(type(each), each.encode().hex()) for each in message.payloads],
                    [(CLASSES[word], body) for word, body in expected],
                    name,
                )
                seen.update(map(type, message.payloads))
        self.assertEqual(seen, set(CLASSES.values()))

    def test_proposals(self) -> None:
        """
        Every offer and choice is read, and written again octet by octet.

        Proves: RFC 2408 section 3.3
        Proves: RFC 2408 section 3.4
        Proves: RFC 2408 section 3.5
        Proves: RFC 2408 section 3.6
        """
        offers = 0
        for name, facts in conversations():
            for _, message, _ in opened(facts):
                for payload in message.all(SecurityAssociation):
                    reader = Reader(payload.body)
                    situation = reader.take(4)
                    proposals = decode_proposals(reader)
                    self.assertEqual(situation + encode_proposals(proposals), payload.body, name)
                    offers += 1
        self.assertGreater(offers, 60)

    def test_fragments(self) -> None:
        """The pieces of a cut message are read as fragments; together they are the message."""
        facts = conversation("frag-chain")
        pieces: dict[str, list[bytes]] = {}
        reassembled = 0
        for recorded in facts["messages"]:
            if "fragment" not in recorded:
                continue
            message = Message.decode(bytes.fromhex(recorded["raw"]))
            fragment = message.one(Fragment)
            self.assertEqual(
                {
                    "id": fragment.fragment_id,
                    "number": fragment.index,
                    "last": bool(fragment.flags & Fragment.LAST),
                },
                recorded["fragment"],
            )
            collected = pieces.setdefault(recorded["src"], [])
            collected.append(fragment.data)
            if fragment.flags & Fragment.LAST:
                self.assertEqual(b"".join(collected).hex(), recorded["reassembled"])
                collected.clear()
                reassembled += 1
        self.assertEqual(reassembled, 3)

    def test_in_words(self) -> None:
        """Every message can be written in a log line: exchange, payloads and transforms by name."""
        for name, facts in conversations():
            for recorded, message, _ in opened(facts):
                line = render(message)
                self.assertTrue(line.startswith(EXCHANGES[recorded["exchange"]]), name)
                self.assertNotIn("\n", line)
                for payload in message.all(SecurityAssociation):
                    self.assertRegex(
                        line,
                        r"ESP_[A-Z0-9_]+-?\d*/.*(Tunnel|Transport)"
                        if recorded["exchange"] == "quick"
                        else r"KEY_IKE/[\w-]+/.*(MODP|ECP)-\d+/.* seconds",
                    )
                    self.assertNotIn(payload.body.hex(), line)
                for word, body in recorded.get("payloads", ()):
                    if word in ("KE", "NONCE", "HASH", "SIG"):
                        self.assertNotIn(body, line)

    def test_password_stays_out_of_words(self) -> None:
        """A user's password is neither in the log line nor in the representation."""
        for name in ("xauth-modecfg", "hybrid-main", "vpnc-lab"):
            replies = 0
            for _, message, _ in opened(conversation(name)):
                for payload in message.all(ConfigurationAttributes):
                    for attribute in payload.attributes:
                        if attribute.kind == 16522 and attribute.value:
                            replies += 1
                            for shown in (render(message), repr(message), repr(attribute)):
                                self.assertNotIn(attribute.value.decode(), shown)
                                self.assertNotIn(attribute.value.hex(), shown)
                                self.assertNotIn(repr(attribute.value), shown)
            self.assertGreater(replies, 0, name)


class WrongKeyTests(SynchronousTestCase):
    """Both sides have a pre-shared key, and not the same one."""

    def setUp(self) -> None:
        self.facts = conversation("bad-psk")
        self.sa = self.facts["isakmp_sas"][0]

    def open(self, recorded: dict[str, Any], key: str) -> tuple[tuple[Payload, ...], int]:
        raw = bytes.fromhex(recorded["raw"])
        header = Header.decode(raw)
        iv = bytes.fromhex(self.sa["initial_iv"])
        if header.message_id:
            # RFC 2409 appendix B; message 5 was not accepted, so the chain stands where it began.
            iv = hashlib.sha256(iv + raw[20:24]).digest()[:16]
        plaintext = cipher(Encryption.AES_CBC, bytes.fromhex(self.sa[key])).decrypt(
            iv, raw[Header.SIZE :]
        )
        return decode_chain(header.first, plaintext, padded=True)

    def test_initiator_s_proof_is_noise_to_the_responder(self) -> None:
        """What the wrong key makes of Main Mode's fifth message is refused, and so again."""
        proofs = [
            each
            for each in self.facts["messages"]
            if each["encrypted"] and each["exchange"] == "main"
        ]
        self.assertEqual([("undecryptable" in each) for each in proofs], [False, True])
        for recorded in proofs:
            self.open(recorded, "ka")
            with self.assertRaises(Malformed):
                self.open(recorded, "ka_r")

    def test_responder_s_complaint_is_noise_to_the_initiator(self) -> None:
        """
        The notification under the responder's key is PAYLOAD-MALFORMED for whoever has that key,
        and refused by whoever has the other one.
        """
        complaints = [
            each for each in self.facts["messages"] if each["exchange"] == "informational"
        ]
        self.assertEqual(len(complaints), 2)
        for recorded in complaints:
            (_, notification), _ = self.open(recorded, "ka_r")
            assert isinstance(notification, Notification)
            self.assertEqual(notification.kind, NotifyType.PAYLOAD_MALFORMED)
            with self.assertRaises(Malformed):
                self.open(recorded, "ka")
