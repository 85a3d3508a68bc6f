"""
The recorded conversations of tests/vectors, as IKE's own values.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from isakmp.associations import Agreed, Lifetime, Offer, ProtectionSA
from isakmp.crypto.ciphers import BlockCipher, cipher
from isakmp.crypto.prf import Prf, prf
from isakmp.doi.ipsec import IPsecDOI, ipsec
from isakmp.exchange.informational import Informational
from isakmp.exchange.phase1 import offer_of
from isakmp.identity import Identity
from isakmp.ike.parameters import Parameters
from isakmp.ike.quick_mode import QuickMode
from isakmp.ike.sa import ISAKMPSA, Keys
from isakmp.interfaces import IExchangeType
from isakmp.numbers import Encapsulation, IPsecAttribute
from isakmp.parts import Role
from isakmp.paths import Path
from isakmp.wire.attributes import Attribute
from isakmp.wire.message import CookiePair, Header, Message, decode_chain
from isakmp.wire.payloads import Payload, SecurityAssociation
from isakmp.wire.proposals import Proposal
from isakmp.wire.reader import Reader
from tests.vectors import conversation

SEALED_BY_PSK = (
    "main-psk",
    "main-psk-3des",
    "main-psk-ecp256",
    "pfs",
    "multi-child",
    "transport",
    "quick-rekey-pfs",
)
"""Main Mode with a pre-shared key, Quick Modes and Deletes."""

KINDS: dict[str, IExchangeType] = {"quick": QuickMode(), "informational": Informational()}


@dataclass(frozen=True, slots=True)
class Said:
    """
    One message of a recording.

    :ivar exchange: ``main``, ``aggressive``, ``quick`` or ``informational``.
    :ivar plaintext: what was sealed, padding included; None if it was not, or cannot be opened.
    """

    frame: int
    raw: bytes
    sender: Role
    exchange: str
    plaintext: bytes | None

    @property
    def header(self) -> Header:
        """The header."""
        return Header.decode(self.raw)

    @property
    def sealed(self) -> bool:
        """Whether it is encrypted."""
        return bool(self.header.flags & 1)

    @property
    def clear(self) -> Message:
        """The message in clear, with the HASH that proves it."""
        header = self.header
        if self.plaintext is None:
            return Message.decode(self.raw)
        payloads, _ = decode_chain(header.first, self.plaintext, padded=True)
        return Message(
            header.cookies, header.exchange_type, header.flags, header.message_id, payloads
        )

    @property
    def payloads(self) -> tuple[Payload, ...]:
        """What it says, the HASH included."""
        return self.clear.payloads

    @property
    def padding(self) -> bytes:
        """What the cipher's blocks were filled up with."""
        assert self.plaintext is not None
        _, length = decode_chain(self.header.first, self.plaintext, padded=True)
        return self.plaintext[length:]


class Recorded:
    """
    One conversation, with every secret of it.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.facts: dict[str, Any] = conversation(name)
        (self._sa,) = self.facts["isakmp_sas"]
        self.cookies = CookiePair(self["icookie"], self["rcookie"])
        self.parameters = Parameters.read(self.offer("sa_r").suites[0].proposals[0].transforms[0])
        self.secret = str(self.facts["psk"]).encode("ascii")
        self.ids = tuple(self.facts["ids"])

    def __getitem__(self, name: str) -> bytes:
        return bytes.fromhex(self._sa[name])

    def offer(self, name: str) -> Offer:
        """``sa_i`` or ``sa_r``, understood."""
        return understood(self[name])

    @cached_property
    def messages(self) -> tuple[Said, ...]:
        """In order."""
        facts = self.facts["messages"]
        begins = facts[0]["src"].partition(":")[0]
        return tuple(
            Said(
                one["frame"],
                bytes.fromhex(one["raw"]),
                Role.INITIATOR if one["src"].partition(":")[0] == begins else Role.RESPONDER,
                one["exchange"],
                bytes.fromhex(one["plaintext"]) if "plaintext" in one else None,
            )
            for one in facts
        )

    def main_mode(self) -> tuple[Said, ...]:
        """The messages of phase 1, which may have been Aggressive Mode."""
        return tuple(one for one in self.messages if one.exchange in ("main", "aggressive"))

    def later(self, exchange: str) -> Iterator[tuple[int, list[Said]]]:
        """Each exchange of this type under the SA: its message id and messages."""
        found: dict[int, list[Said]] = {}
        for one in self.messages:
            if one.exchange == exchange:
                found.setdefault(one.header.message_id, []).append(one)
        yield from found.items()

    def keymat(self, number: int) -> dict[str, bytes]:
        """Keys and seeds of the n-th Quick Mode, as both daemons logged them."""
        initiator, responder = self._sa["quick_i"][number], self._sa["quick_r"][number]
        assert initiator == responder
        return {name: bytes.fromhex(value) for name, value in initiator.items()}

    @property
    def prf(self) -> Prf:
        """The negotiated one."""
        return prf(self.parameters.hash)

    def cipher(self, ka: str = "ka") -> BlockCipher:
        """The cipher with the initiator's key, or the one of this name."""
        return cipher(self.parameters.encryption, self[ka])

    @property
    def path(self) -> Path:
        """As the initiator sees it."""
        first = self.facts["messages"][0]
        (ours, our_port), (theirs, their_port) = (
            first[end].split(":") for end in ("src", "dst")
        )
        return Path((ours, int(our_port)), (theirs, int(their_port)))

    def isakmp_sa(self, role: Role, last_block: bytes | None = None) -> ISAKMPSA:
        """
        The SA that phase 1 left, made of what was logged.

        :param last_block: of phase 1; None: of the last of its messages.
        """
        ours, theirs = map(Identity.parse, self.ids)
        path = self.path
        if role is Role.RESPONDER:
            ours, theirs, path = theirs, ours, path.reversed()
        cipher_ = self.cipher()
        return ISAKMPSA(
            self.cookies,
            role,
            ipsec.number,
            ours,
            theirs,
            "lab",
            path,
            Lifetime(),
            self.parameters,
            Keys(self.prf, self["skeyid_d"], self["skeyid_a"], cipher_),
            last_block or self.main_mode()[-1].raw[-cipher_.block :],
        )


def recorded(*names: str) -> Iterator[Recorded]:
    """These conversations; those of :data:`SEALED_BY_PSK` if none is named."""
    for name in names or SEALED_BY_PSK:
        yield Recorded(name)


def understood(body: bytes) -> Offer:
    """The body of an SA payload, as an offer."""
    return offer_of(ipsec, SecurityAssociation.decode(Reader(body)))


class UDPTunnels(IPsecDOI):
    """
    The IPsec DOI, to which a tunnel in UDP is a tunnel: most of the recordings went by port 4500.
    """

    def security_association(
        self, chosen: Proposal, spi: bytes, keymat: bytes, agreed: Agreed
    ) -> ProtectionSA:
        """As if plain tunnel mode had been chosen."""
        (transform,) = chosen.transforms
        attributes = tuple(
            Attribute.tv(attribute.kind, Encapsulation.TUNNEL)
            if attribute.kind == IPsecAttribute.ENCAPSULATION_MODE
            and attribute.number == Encapsulation.UDP_TUNNEL
            else attribute
            for attribute in transform.attributes
        )
        plain = replace(chosen, transforms=(replace(transform, attributes=attributes),))
        return super().security_association(plain, spi, keymat, agreed)
