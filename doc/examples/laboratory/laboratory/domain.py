"""
The laboratory's domain of interpretation: frames between two benches of one room.

What it says of its SAs, where RFC 2408 leaves that to a domain of interpretation:

* the situation is the number of a room, two octets; nobody outside of this room is answered;
* there is one protocol, FRAME, with two transforms, by which frames are sealed with AES-GCM; each
  may say a rate, in frames per second, that must not be exceeded;
* traffic is between two benches; the identity of a bench is the six octets of its link address;
* what makes an SA is an exchange of its own, number 32: see :class:`LinkExchange`.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from zope.interface import implementer

from isakmp.associations import Agreed, Lifetime, ProtectionSA, ProtectionSuite, Terms
from isakmp.errors import ConfigurationError, InvalidIdentity, Reason, SituationNotSupported
from isakmp.exchange.phase2 import Phase2Method
from isakmp.identity import Identity
from isakmp.interfaces import IExchange, IExchangeType, IKeyExchangeMethod, IManagementSA, Sealed
from isakmp.parts import AUTH, NONCE, SA
from isakmp.plain import PlainDomain
from isakmp.wire.attributes import Attribute
from isakmp.wire.payloads import PAYLOADS
from isakmp.wire.proposals import Proposal, Transform
from isakmp.wire.reader import Reader

NUMBER = 0x4C414200  # "LAB": IANA has assigned 0 to 2, and set none aside for such as us
FRAME = 2  # a Protocol-ID; 1 is ISAKMP in every domain
TRANSFORMS = {"aes128": (1, 16), "aes256": (2, 32)}  # Transform-ID, and octets of the key
SALT = 4  # octets, after the key
RATE = 1  # an attribute: frames per second; without it there is no limit
BENCH = 200  # an identity: a link address


@dataclass(frozen=True)
class Room:
    """The situation: a room, by its number."""

    number: int = 7

    def encode(self) -> bytes:
        return self.number.to_bytes(2)


@dataclass(frozen=True)
class FrameParameters:
    """How frames are sealed: what a sink has to know besides the keys."""

    cipher: str
    rate: int


@implementer(IExchangeType)
class LinkExchange:
    """A bench that is called weighs no offer before it has seen that the caller is there."""

    number = 32  # the first of those that RFC 2408 leaves to a domain of interpretation
    name = "Link"
    payloads = PAYLOADS
    sealed = Sealed.REQUIRED
    one_way = False
    establishes = True
    waits_for_cookie = False

    def hashed(self, sa: IManagementSA, message_id: bytes, nonces: bytes, rest: bytes) -> bytes:
        """What proves a message: all of it, and the nonces before it."""
        return sa.authenticate(b"link" + message_id + nonces + rest)

    def method(self, exchange: IExchange, order: Any) -> IKeyExchangeMethod:
        """The framework knows what these words consist of; beside SA it says for which benches."""
        return Phase2Method(exchange, order or ())

    async def run(self, exchange: IExchange) -> object:
        """
        ::

            Initiator              Responder
            HDR*; NONCE       -->
                              <--  HDR*; NONCE
            HDR*; SA          -->
                              <--  HDR*; SA; AUTH
            HDR*; AUTH        -->
        """
        await exchange.initiator(NONCE)
        await exchange.responder(NONCE)
        await exchange.initiator(SA)
        await exchange.responder(SA, AUTH)
        await exchange.initiator(AUTH)
        return await exchange.method.established()


class Laboratory(PlainDomain):
    """The plug-in."""

    number = NUMBER
    name = "laboratory"
    phase1_situation = Room()
    examples = ("aes128", "aes256@50", "aes256", "aes128@9")
    exchange_types: Sequence[IExchangeType] = (LinkExchange(),)

    def situation(self, reader: Reader) -> Room:
        room = Room(reader.u16())
        if room != self.phase1_situation:
            raise SituationNotSupported(Reason("another room", str(room.number), "7"))
        return room

    def identity(self, kind: int, protocol: int, port: int, data: bytes) -> Identity:
        if kind == BENCH and (len(data) != 6 or protocol or port):
            raise InvalidIdentity(Reason("a bench is named by six octets", data[:16].hex()))
        return Identity(kind, protocol, port, data).checked()  # the others: people, as in IPsec

    def suite(self, spelling: str, lifetime: Lifetime) -> ProtectionSuite:
        cipher, _, rate = spelling.partition("@")
        if cipher not in TRANSFORMS or ("@" in spelling and not rate.isdecimal()):
            raise ConfigurationError(f"{spelling!r}: aes128 or aes256 is expected, and maybe @RATE")
        if rate and not 0 < int(rate) < 65536:
            raise ConfigurationError(f"{spelling!r}: a rate is a number from 1 to 65535")
        attributes = (Attribute.tv(RATE, int(rate)),) if rate else ()
        transform = Transform(1, TRANSFORMS[cipher][0], attributes)
        return ProtectionSuite((Proposal(1, FRAME, b"", (transform,)),))

    def spell(self, suite: ProtectionSuite) -> str:
        said = (read(t) for proposal in suite.proposals for t in proposal.transforms)
        return " or ".join(f"{p.cipher}@{p.rate}" if p.rate else p.cipher for p, _ in said)

    def terms(self, chosen: Proposal) -> Terms:
        return Terms(read(chosen.transforms[0])[1])

    def security_association(
        self, chosen: Proposal, spi: bytes, keymat: bytes, agreed: Agreed
    ) -> ProtectionSA:
        parameters, octets = read(chosen.transforms[0])
        if len(keymat) != octets:
            raise ValueError(f"{len(keymat)} octets of keying material, not {octets}")
        keys = {"key": keymat[:-SALT], "salt": keymat[-SALT:]}
        return ProtectionSA(self.key(chosen, spi, agreed), keys, parameters, agreed.lifetime)


def read(transform: Transform) -> tuple[FrameParameters, int]:
    """What a transform means, and the octets of keying material it takes; never fails."""
    rate = next((int.from_bytes(a.value) for a in transform.attributes if a.kind == RATE), 0)
    for cipher, (number, octets) in TRANSFORMS.items():
        if number == transform.transform_id:
            return FrameParameters(cipher, rate), octets + SALT
    return FrameParameters(f"transform {transform.transform_id}", rate), 0
