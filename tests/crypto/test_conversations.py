"""
Every secret of the captured conversations, computed again from what it is made of.

The conversations are those of tests/vectors/data: strongSwan with strongSwan, and vpnc with
strongSwan.  g^xy and the nonces are taken as given; everything else is computed and compared.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from isakmp.crypto.ciphers import BlockCipher, cipher, key_length
from isakmp.crypto.groups import group
from isakmp.crypto.keys import (
    Phase1Keys,
    cipher_key,
    keymat,
    phase1_iv,
    phase2_iv,
    skeyid_pre_shared_key,
    skeyid_signature,
)
from isakmp.crypto.prf import Prf, prf

_DATA = Path(__file__).parent.parent / "vectors" / "data"
_NAMES = (
    "aggr-psk",
    "bad-psk",
    "frag-chain",
    "hybrid-main",
    "main-ecdsa",
    "main-psk",
    "main-psk-3des",
    "main-psk-ecp256",
    "main-rsa",
    "multi-child",
    "nat-main-psk",
    "pfs",
    "quick-rekey-pfs",
    "transport",
    "vpnc-lab",
    "xauth-modecfg",
)
_PRE_SHARED = {1, 65001}  # authentication methods: pre-shared key, XAUTHInitPreShared
_SIGNATURES = {3, 9, 64221}  # RSA, ECDSA on P-256, HybridInitRSA
_HEADER = 28  # octets of an ISAKMP header


def _attributes(sa: bytes) -> dict[int, int]:
    """The attributes of the one transform of an SA payload's body (RFC 2408 section 3.3)."""
    spi_size = sa[8 + 6]
    rest = sa[8 + 8 + spi_size + 8 :]
    found = {}
    while rest:
        kind, value = int.from_bytes(rest[:2], "big"), int.from_bytes(rest[2:4], "big")
        if kind & 0x8000:
            found[kind & 0x7FFF], rest = value, rest[4:]
        else:
            found[kind], rest = int.from_bytes(rest[4 : 4 + value], "big"), rest[4 + value :]
    return found


def _after_first(plaintext: bytes) -> tuple[bytes, bytes]:
    """The body of the first payload, and the payloads behind it without the cipher's padding."""
    following, start = plaintext[0], int.from_bytes(plaintext[2:4], "big")
    end = start
    while following:
        following, end = plaintext[end], end + int.from_bytes(plaintext[end + 2 : end + 4], "big")
    return plaintext[4:start], plaintext[start:end]


@dataclass
class Encrypted:
    """One encrypted message as captured, and the vector that was computed for it."""

    facts: dict[str, Any]
    iv: bytes

    @property
    def ciphertext(self) -> bytes:
        return bytes.fromhex(self.facts.get("reassembled", self.facts["raw"]))[_HEADER:]

    @property
    def message_id(self) -> int:
        return int(self.facts["mid"], 16)

    def payloads(self, kind: str) -> list[bytes]:
        return [bytes.fromhex(body) for name, body in self.facts["payloads"] if name == kind]


class Conversation:
    """The facts of one conversation, and the objects that its algorithms stand for."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.facts = json.loads((_DATA / f"{name}.json").read_text("utf-8"))
        (self.sa,) = self.facts["isakmp_sas"]
        agreed = _attributes(self["sa_r"])
        self.encryption, self.method, self.group = agreed[1], agreed[3], agreed[4]
        self.prf: Prf = prf(agreed[2])
        self.key_length = key_length(self.encryption, agreed.get(14))
        self.cookies = self["icookie"], self["rcookie"]

    def __getitem__(self, name: str) -> bytes:
        return bytes.fromhex(self.sa[name])

    @property
    def skeyid(self) -> bytes:
        if self.method in _PRE_SHARED:
            secret = self.facts["psk"].encode("ascii")
            return skeyid_pre_shared_key(self.prf, secret, self["nonce_i"], self["nonce_r"])
        assert self.method in _SIGNATURES, self.method
        return skeyid_signature(self.prf, self["nonce_i"], self["nonce_r"], self["g_xy"])

    @property
    def keys(self) -> Phase1Keys:
        return Phase1Keys.derive(self.prf, self.skeyid, self["g_xy"], *self.cookies)

    @property
    def cipher(self) -> BlockCipher:
        key = cipher_key(self.prf, self.keys.skeyid_e, self.key_length)
        return cipher(self.encryption, key)

    def encrypted(self) -> Iterator[Encrypted]:
        """Every message that can be decrypted, with its initialization vector by appendix B."""
        block = self.cipher.block
        chain: dict[int, bytes] = {}
        last = phase1_iv(self.prf.hash, self["ke_i"], self["ke_r"], block)
        for facts in self.facts["messages"]:
            if "plaintext" not in facts:
                continue
            mid = int(facts["mid"], 16)
            if mid == 0:
                message = Encrypted(facts, last)
                last = message.ciphertext[-block:]
            else:
                if mid not in chain:
                    chain[mid] = phase2_iv(self.prf.hash, last, mid, block)
                message = Encrypted(facts, chain[mid])
                chain[mid] = message.ciphertext[-block:]
            yield message


def _conversations() -> Iterator[Conversation]:
    for name in _NAMES:
        yield Conversation(name)


class Phase1Tests(SynchronousTestCase):
    """What phase 1 of real conversations derived is what is derived here."""

    def test_all_there(self) -> None:
        """No conversation is left out, and both kinds of SKEYID are among them."""
        self.assertEqual(
            sorted(_NAMES),
            sorted(p.stem for p in _DATA.glob("*.json") if p.stem != "nist-acvp-ikev1"),
        )
        methods = [c.method for c in _conversations()]
        self.assertEqual(sorted(methods), [1] * 10 + [3] * 2 + [9] + [64221] + [65001] * 2)

    def test_skeyid(self) -> None:
        """
        SKEYID is what both peers computed, for each method of authentication.

        Proves: RFC 2409 section 5
        Proves: RFC 2409 section 5.1
        Proves: RFC 2409 section 5.4
        """
        for conversation in _conversations():
            self.assertEqual(conversation.skeyid, conversation["skeyid"], conversation.name)

    def test_children(self) -> None:
        """
        SKEYID_d, SKEYID_a and SKEYID_e are what both peers computed.

        Proves: RFC 2409 section 5
        """
        for conversation in _conversations():
            expected = Phase1Keys(
                conversation["skeyid_d"], conversation["skeyid_a"], conversation["skeyid_e"]
            )
            self.assertEqual(conversation.keys, expected, conversation.name)

    def test_cipher_key(self) -> None:
        """
        Ka is what both peers computed: SKEYID_e cut, and SKEYID_e expanded.

        Proves: RFC 2409 appendix B
        """
        expanded = 0
        for conversation in _conversations():
            ka = cipher_key(conversation.prf, conversation["skeyid_e"], conversation.key_length)
            self.assertEqual(ka, conversation["ka"], conversation.name)
            expanded += conversation.key_length > conversation.prf.size
        self.assertEqual(expanded, 2)  # 3DES and AES-256 with SHA-1

    def test_initial_iv(self) -> None:
        """
        The first initialization vector is what both peers computed.

        Proves: RFC 2409 appendix B
        """
        blocks = []
        for conversation in _conversations():
            block = conversation.cipher.block
            iv = phase1_iv(conversation.prf.hash, conversation["ke_i"], conversation["ke_r"], block)
            self.assertEqual(iv, conversation["initial_iv"], conversation.name)
            blocks.append(block)
        self.assertEqual(sorted(blocks), [8] + [16] * 15)

    def test_public_values(self) -> None:
        """
        KE payloads and g^xy have the length of the group, and our own key pair takes the values.

        Proves: RFC 2409 section 5
        """
        seen = set()
        for conversation in _conversations():
            its_group = group(conversation.group)
            ours = its_group.generate()
            for name in ("ke_i", "ke_r"):
                self.assertEqual(len(conversation[name]), its_group.public_length)
                self.assertEqual(len(ours.agree(conversation[name])), len(conversation["g_xy"]))
            seen.add(conversation.group)
        self.assertEqual(seen, {2, 14, 19})

    def test_hashes(self) -> None:
        """
        HASH_I and HASH_R are what was sent or signed, over what the RFC says.

        Proves: RFC 2409 section 5
        """
        proved, sent = [], 0
        for conversation in _conversations():
            keyed = conversation.prf.keyed(conversation["skeyid"])
            cky_i, cky_r = conversation.cookies
            g_xi, g_xr, sa_i = (conversation[name] for name in ("ke_i", "ke_r", "sa_i"))
            parts = {"i": (g_xi, g_xr, cky_i, cky_r, sa_i), "r": (g_xr, g_xi, cky_r, cky_i, sa_i)}
            payloads = [
                body
                for message in conversation.facts["messages"]
                if message["mid"] == "00000000"
                for kind, body in message.get("payloads", ())
                if kind == "HASH"
            ]
            for role, before in parts.items():
                if f"hash_{role}" not in conversation.sa:
                    continue  # the responder that did not know the initiator's key
                data = b"".join(before) + conversation[f"id_{role}"]
                self.assertEqual(data, conversation[f"hash_{role}_data"], conversation.name)
                self.assertEqual(keyed(data), conversation[f"hash_{role}"], conversation.name)
                sent += keyed(data).hex() in payloads
                proved.append(role)
        self.assertEqual((proved.count("i"), proved.count("r")), (16, 15))
        self.assertEqual(sent, 11 * 2 + 1 + 1)  # pre-shared keys; bad-psk and hybrid: initiator

    def test_wrong_key(self) -> None:
        """
        A responder with another pre-shared key derives other keys, and under them it complained.
        """
        conversation = Conversation("bad-psk")
        skeyid = skeyid_pre_shared_key(
            conversation.prf, b"other psk", conversation["nonce_i"], conversation["nonce_r"]
        )
        keys = Phase1Keys.derive(
            conversation.prf, skeyid, conversation["g_xy"], *conversation.cookies
        )
        self.assertEqual(skeyid, conversation["skeyid_r"])
        self.assertEqual(keys.skeyid_d, conversation["skeyid_d_r"])
        self.assertEqual(keys.skeyid_a, conversation["skeyid_a_r"])
        self.assertEqual(keys.skeyid_e, conversation["skeyid_e_r"])
        its_cipher = cipher(
            conversation.encryption,
            cipher_key(conversation.prf, keys.skeyid_e, conversation.key_length),
        )
        keyed = conversation.prf.keyed(keys.skeyid_a)
        complaints = [m for m in conversation.facts["messages"] if m["exchange"] != "main"]
        for facts in complaints:
            # It had read nothing yet: its last block of phase 1 is still the initial vector.
            mid = int(facts["mid"], 16)
            initial = conversation["initial_iv"]
            iv = phase2_iv(conversation.prf.hash, initial, mid, its_cipher.block)
            ciphertext = bytes.fromhex(facts["raw"])[_HEADER:]
            value, rest = _after_first(its_cipher.decrypt(iv, ciphertext))
            self.assertEqual(value, keyed(mid.to_bytes(4, "big") + rest))
            self.assertEqual(rest[-2:], b"\x00\x10")  # PAYLOAD-MALFORMED
        self.assertEqual(len(complaints), 2)


class MessageTests(SynchronousTestCase):
    """Real encrypted messages are read here, and would have been written so."""

    def test_decrypted(self) -> None:
        """
        Each message has the computed initialization vector and decrypts to the known plaintext.

        Proves: RFC 2409 appendix B
        """
        count = 0
        for conversation in _conversations():
            its_cipher = conversation.cipher
            messages = list(conversation.encrypted())
            for message in messages:
                plaintext = bytes.fromhex(message.facts["plaintext"])
                where = f"{conversation.name}, frame {message.facts['frame']}"
                self.assertEqual(message.iv.hex(), message.facts["iv"], where)
                decrypted = its_cipher.decrypt(message.iv, message.ciphertext)
                self.assertEqual(decrypted, plaintext, where)
                encrypted = its_cipher.encrypt(message.iv, plaintext)
                self.assertEqual(encrypted, message.ciphertext, where)
            self.assertEqual(len(messages), conversation.facts["checks"]["decrypted"])
            count += len(messages)
        self.assertEqual(count, 130)

    def test_chain(self) -> None:
        """
        The chain of vectors is, to the last block, the one in the logs of the peers.

        Proves: RFC 2409 appendix B (row B-2)
        """
        count = 0
        for conversation in _conversations():
            chain: list[dict[str, str]] = []
            for message in conversation.encrypted():
                mid, block = message.facts["mid"], len(message.iv)
                if mid != "00000000" and all(logged["mid"] != mid for logged in chain):
                    chain.append({"mid": mid, "iv": message.iv.hex()})
                if message.facts["exchange"] != "informational":
                    chain.append({"mid": mid, "iv": message.ciphertext[-block:].hex()})
            logs = [conversation.sa[log] for log in ("ivs_i", "ivs_r") if log in conversation.sa]
            if conversation.name == "bad-psk":
                logs = [logs[0][:1]]  # what follows belongs to messages that nobody could read
            for log in logs:
                self.assertEqual(chain, log, conversation.name)
                count += len(log)
        self.assertEqual(count, 291)

    def test_authenticated(self) -> None:
        """
        HASH(1), HASH(2), HASH(3) and the hashes of other exchanges are what was sent.

        Proves: RFC 2409 section 5.5
        Proves: RFC 2409 section 5.7
        """
        counts = dict.fromkeys(("HASH(1)", "HASH(2)", "HASH(3)", "informational", "transaction"), 0)
        for conversation in _conversations():
            keyed = conversation.prf.keyed(conversation["skeyid_a"])
            quick: dict[int, list[bytes]] = {}
            for message in conversation.encrypted():
                exchange, mid = message.facts["exchange"], message.message_id
                if mid == 0:
                    continue
                m_id = mid.to_bytes(4, "big")
                value, rest = _after_first(bytes.fromhex(message.facts["plaintext"]))
                if exchange != "quick":
                    counts[exchange] += 1
                    self.assertEqual(value, keyed(m_id + rest), conversation.name)
                    continue
                nonces = quick.setdefault(mid, [])
                counts[f"HASH({len(nonces) + 1})"] += 1
                if len(nonces) == 2:
                    expected = keyed(b"\0" + m_id + b"".join(nonces))
                else:
                    expected = keyed(m_id + b"".join(nonces) + rest)
                    nonces += message.payloads("NONCE")
                self.assertEqual(value, expected, conversation.name)
        self.assertEqual(
            counts,
            {
                "HASH(1)": 17,
                "HASH(2)": 17,
                "HASH(3)": 17,
                "informational": 34,
                "transaction": 16,
            },
        )


class KeymatTests(SynchronousTestCase):
    """The keys of real ESP security associations."""

    def _quick_modes(self, conversation: Conversation) -> list[dict[str, str]]:
        log = conversation.sa.get("quick_i") or conversation.sa["quick_r"]
        return log if isinstance(log, list) else []

    def test_keymat(self) -> None:
        """
        KEYMAT of each Quick Mode, cut into the keys of both directions, is what the peers used.

        Proves: RFC 2409 section 5.5 (row 5.5-9)
        """
        count, expanded = 0, 0
        for conversation in _conversations():
            keyed = conversation.prf.keyed(conversation["skeyid_d"])
            for quick in self._quick_modes(conversation):
                for role in "ir":
                    expected = quick[f"encr_{role}"] + quick.get(f"integ_{role}", "")
                    made = keymat(keyed, bytes.fromhex(quick[f"seed_{role}"]), len(expected) // 2)
                    self.assertEqual(made.hex(), expected, conversation.name)
                    count += 1
                    expanded += len(made) > conversation.prf.size
        self.assertEqual((count, expanded), (34, 32))  # AES-256-GCM under SHA-384 needs but one

    def test_seed(self) -> None:
        """
        The seed is g(qm)^xy, if any, protocol, the receiver's SPI and both nonces as sent.

        Proves: RFC 2409 section 5.5
        """
        count = with_pfs = 0
        for conversation in _conversations():
            said: dict[int, list[Encrypted]] = {}
            for message in conversation.encrypted():
                if message.facts["exchange"] == "quick":
                    said.setdefault(message.message_id, []).append(message)
            quick_modes = self._quick_modes(conversation)
            self.assertEqual(len(said), len(quick_modes))
            for (first, second, _), quick in zip(said.values(), quick_modes, strict=True):
                (sa_1,), (sa_2,) = first.payloads("SA"), second.payloads("SA")
                nonces = first.payloads("NONCE")[0] + second.payloads("NONCE")[0]
                g_xy = bytes.fromhex(quick.get("pfs_g_xy", ""))
                self.assertEqual(bool(g_xy), bool(first.payloads("KE")))
                for sa, role in ((sa_2, "i"), (sa_1, "r")):  # an SPI is chosen by who receives
                    protocol, spi_size = sa[8 + 5 : 8 + 6], sa[8 + 6]
                    spi = sa[8 + 8 : 8 + 8 + spi_size]
                    self.assertEqual((g_xy + protocol + spi + nonces).hex(), quick[f"seed_{role}"])
                    count += 1
                    with_pfs += bool(g_xy)
        self.assertEqual((count, with_pfs), (34, 6))


class ACVPTests(SynchronousTestCase):
    """NIST's sample cases of IKEv1 key derivation."""

    def test_cases(self) -> None:
        """
        SKEYID and its children are NIST's, for a pre-shared key and for signatures.

        Proves: RFC 2409 section 5
        """
        cases = json.loads((_DATA / "nist-acvp-ikev1.json").read_text("utf-8"))["cases"]
        methods: dict[str, Callable[[Prf, dict[str, bytes]], bytes]] = {
            "psk": lambda p, v: skeyid_pre_shared_key(p, v["psk"], v["nonce_i"], v["nonce_r"]),
            "signature": lambda p, v: skeyid_signature(p, v["nonce_i"], v["nonce_r"], v["g_xy"]),
        }
        for case in cases:
            self.assertEqual(case["hash"], "SHA-1")
            values = {
                name: bytes.fromhex(value)
                for name, value in case.items()
                if name not in ("hash", "authentication")
            }
            sha_1 = prf(2)
            skeyid = methods[case["authentication"]](sha_1, values)
            self.assertEqual(skeyid, values["skeyid"])
            self.assertEqual(
                Phase1Keys.derive(sha_1, skeyid, values["g_xy"], values["cky_i"], values["cky_r"]),
                Phase1Keys(values["skeyid_d"], values["skeyid_a"], values["skeyid_e"]),
            )
        self.assertEqual([case["authentication"] for case in cases], ["psk", "signature"])
