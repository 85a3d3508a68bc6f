"""
What every domain of interpretation owes to whoever calls it, as one call.

Most of it is RFC 2408's: bad input from a peer is an error of its own kind, and nothing else
(section 5), and an answer is one of the offers (section 4.2).  The rest is what the framework
builds on: that a domain is pure, and that no key is ever shown.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from functools import partial
from typing import Any

from zope.interface.exceptions import Invalid
from zope.interface.verify import verifyObject

from isakmp.associations import Situation, SPIKey
from isakmp.errors import PeerError
from isakmp.identity import Identity
from isakmp.interfaces import Effect, IDomainOfInterpretation, IExchangeType, INegotiatingDomain
from isakmp.paths import Path
from isakmp.testing.bargain import Bargain
from isakmp.testing.obligations import Broken, Obligations, Violations, kind_of
from isakmp.wire.payloads import Delete, Notification
from isakmp.wire.reader import Reader

_PATH = Path(("192.0.2.1", 500), ("198.51.100.2", 500))
_TAIL = bytes.fromhex("0000000801000000")
"""What follows a situation here; it is nobody's to read but the framework's."""


def check_doi(
    doi: IDomainOfInterpretation,
    *,
    suites: Sequence[str] | None = None,
    identities: Sequence[Identity] = (),
    seed: int = 1,
) -> None:
    """
    Check a domain of interpretation against everything that the framework relies on.

    What is hostile is made up, the same for the same seed.

    :param suites: how suites are spelled in a configuration, several that differ; by default the
        domain's ``examples``.
    :param identities: some that it has to take.
    :raises Violations: with a sentence for each obligation that is not met.
    """
    _Check(doi, suites, identities, random.Random(seed)).run()


class _Check(Obligations):
    def __init__(
        self,
        doi: IDomainOfInterpretation,
        spellings: Sequence[str] | None,
        identities: Sequence[Identity],
        chance: random.Random,
    ) -> None:
        super().__init__(chance)
        self.doi = doi
        self.negotiating: INegotiatingDomain | None = (
            doi if INegotiatingDomain.providedBy(doi) else None
        )
        self.spellings = spellings
        self.identities = identities

    def run(self) -> None:
        """All checks; each tells the first thing that is wrong."""
        name = str(getattr(self.doi, "name", "")) or type(self.doi).__qualname__
        self.attempt(self.interface)
        if not self.sentences:
            for check in (self.situations, self.hostile_situations, self.names, self.types):
                self.attempt(check)
            for check in (self.notifications, self.spis, self.deletes):
                self.attempt(check)
            if self.negotiating is not None:
                self.attempt(lambda: self.negotiation(self.negotiating))
        if self.sentences:
            raise Violations(name, self.sentences)

    # -- every domain --------------------------------------------------------------------------

    def interface(self) -> None:
        """It is what it says."""
        kind = IDomainOfInterpretation if self.negotiating is None else INegotiatingDomain
        try:
            verifyObject(kind, self.doi)
        except Invalid as error:
            text = " ".join(str(error).split())
            raise Broken(f"it does not provide its interface: {text}") from None
        number, name = self.doi.number, self.doi.name
        self.require(
            isinstance(number, int) and 0 <= number < 2**32,
            f"its number is {number!r}, not 32 bits",
        )
        self.require(
            isinstance(name, str) and name, f"its name is {name!r}, and cannot be configured"
        )

    def situations(self) -> None:
        """Its own situation is read as it was written, and nothing behind it."""
        ours = self.doi.phase1_situation
        octets = ours.encode()
        self.require(isinstance(octets, bytes), "a situation does not encode to octets")
        self.require(ours.encode() == octets, "a situation encodes differently the second time")

        def read() -> tuple[Situation, bytes]:
            reader = Reader(octets + _TAIL)
            return self.doi.situation(reader), reader.rest()

        try:
            found, left = self.pure(read, "situation")
        except PeerError as refusal:
            raise Broken(f"situation refuses phase1_situation itself: {refusal}") from None
        self.require(found == ours, "situation does not read phase1_situation as what was written")
        self.require(
            left == _TAIL, "situation does not leave the reader at the proposals behind it"
        )

    def hostile_situations(self) -> None:
        """Whatever a peer writes there is taken, or refused by a PeerError."""
        octets = self.doi.phase1_situation.encode()
        hostile = [octets[:length] for length in range(len(octets))]
        hostile += [
            octets[:place] + bytes([octets[place] ^ 1 << bit]) + octets[place + 1 :] + _TAIL
            for place in range(len(octets))
            for bit in range(8)
        ]
        hostile += [self.chance.randbytes(self.chance.randrange(64)) for _ in range(200)]
        hostile += [bytes(64), b"\xff" * 64]
        for each in hostile:
            reader = Reader(each)
            try:
                taken = self.doi.situation(reader)
            except PeerError:
                continue
            except Exception as error:  # that is what is looked for
                raise Broken(
                    f"situation raises {kind_of(error)} at {each[:16].hex()!r}: a peer's octets "
                    "may raise a PeerError, and nothing else"
                ) from None
            read = each[: len(each) - reader.remaining]
            self.require(
                taken.encode() == read,
                f"situation takes {read[:16].hex()!r} and encodes it as "
                f"{taken.encode()[:16].hex()!r}: an answer has to repeat what was said",
            )

    def names(self) -> None:
        """Identities are taken or refused; what is taken is what was said."""
        refused = 0
        for kind in range(256):
            for data in (b"", b"\0", b"a.example", bytes(4), b"\xff" * 8, self.chance.randbytes(6)):
                for protocol, port in ((0, 0), (17, 500)):
                    try:
                        self.name(kind, protocol, port, data)
                    except PeerError:
                        refused += 1
                    except Broken:
                        raise
                    except Exception as error:  # that is what is looked for
                        raise Broken(
                            f"identity raises {kind_of(error)} at type {kind} and {data.hex()!r}: "
                            "a peer's octets may raise InvalidIdentity, and nothing else"
                        ) from None
        self.require(refused, "identity refuses nothing: data of any form passes for any type")
        for wanted in self.identities:
            try:
                self.name(wanted.kind, wanted.protocol, wanted.port, wanted.data)
            except PeerError as refusal:
                raise Broken(f"identity refuses {wanted}: {refusal}") from None

    def name(self, kind: int, protocol: int, port: int, data: bytes) -> None:
        """One identity."""
        found = self.pure(lambda: self.doi.identity(kind, protocol, port, data), "identity")
        self.require(
            isinstance(found, Identity) and found.data == data,
            f"identity makes something else of type {kind} and {data.hex()!r}: {found}",
        )
        said = self.pure(lambda: self.doi.identification(found), "identification")
        self.require(
            said == Identity(kind, protocol, port, data),
            f"identification is not the inverse of identity, at type {kind} and {data.hex()!r}",
        )

    def types(self) -> None:
        """Its exchange types prove everything that they have to."""
        numbers: set[int] = set()
        for kind in self.doi.exchange_types:
            try:
                verifyObject(IExchangeType, kind)
            except Invalid as error:
                text = " ".join(str(error).split())
                raise Broken(f"an exchange type does not provide IExchangeType: {text}") from None
            self.require(
                isinstance(kind.number, int) and 31 < kind.number < 256,
                f"the exchange type {kind.name} has the number {kind.number!r}, not one of 32 to "
                "255",
            )
            self.require(
                kind.number not in numbers, f"two exchange types have the number {kind.number}"
            )
            numbers.add(kind.number)
            if not kind.one_way:
                self.proof(kind)

    def proof(self, kind: IExchangeType) -> None:
        """HASH(n) depends on all that it stands for."""
        sa: Any = _Authenticating()
        asked = [b"\1\2\3\4", b"nonce", b"payloads"]
        proven = kind.hashed(sa, *asked)
        self.require(kind.hashed(sa, *asked) == proven, f"{kind.name}: hashed is not pure")
        for place, what in enumerate(("the message id", "the nonces before", "the payloads")):
            other = list(asked)
            other[place] = bytes(octet ^ 1 for octet in other[place])
            self.require(
                kind.hashed(sa, *other) != proven,
                f"{kind.name}: what hashed gives does not depend on {what}, so that may be forged",
            )

    def notifications(self) -> None:
        """A notification asks for something or for nothing, whatever is in it."""
        for _ in range(300):
            chance = self.chance
            said = Notification(
                chance.choice([self.doi.number, 0, 1, chance.getrandbits(32)]),
                chance.randrange(256),
                chance.getrandbits(16),
                chance.randbytes(chance.choice([0, 4, 16, chance.randrange(40)])),
                chance.randbytes(chance.randrange(40)),
            )
            effect = self.total(partial(self.doi.notified, said), "notified", said)
            self.require(
                effect is None or isinstance(effect, Effect),
                f"notified answers {effect!r}, which is neither an Effect nor None",
            )

    def spis(self) -> None:
        """An SPI is taken, or refused by a PeerError."""
        for protocol in range(256):
            for size in (0, 1, 2, 4, 8, 255):
                try:
                    self.doi.check_spi(protocol, self.chance.randbytes(size))
                except PeerError:
                    continue
                except Exception as error:  # that is what is looked for
                    raise Broken(
                        f"check_spi raises {kind_of(error)} at protocol {protocol} and {size} "
                        "octets: it may raise a PeerError, and nothing else"
                    ) from None

    def deletes(self) -> None:
        """A Delete names SAs by which we send to its sender, and no others."""
        for _ in range(300):
            chance = self.chance
            doi = chance.choice([self.doi.number, self.doi.number, chance.getrandbits(32)])
            size = chance.choice([0, 1, 2, 4, 4, 8, 16, 200])
            spis = tuple(chance.randbytes(size) for _ in range(chance.randrange(5)))
            delete = Delete(doi, chance.choice([0, 1, 2, 3, chance.randrange(256)]), spis)
            keys = self.total(partial(self.doi.deleted, delete, _PATH), "deleted", delete)
            if doi != self.doi.number:
                self.require(not keys, "deleted heeds the Delete of another domain")
            for key in keys:
                self.require(
                    isinstance(key, SPIKey)
                    and key.doi == self.doi.number
                    and key.spi in spis
                    and key.destination == _PATH.remote[0],
                    f"deleted names {key}: only SAs by which we send to the sender of a Delete, by "
                    "the SPIs in it, are its to delete",
                )

    # -- one whose SAs are offered and chosen --------------------------------------------------

    def negotiation(self, doi: INegotiatingDomain | None) -> None:
        """Everything from the words of a configuration to the keys."""
        assert doi is not None
        spellings = tuple(doi.examples if self.spellings is None else self.spellings)
        self.require(
            len(spellings) > 1, "no suites to check with: give examples, two at least that differ"
        )
        bargain = Bargain(self, doi, spellings)
        for check in (
            bargain.words,
            bargain.choices,
            bargain.suites_are_whole,
            bargain.answers,
            bargain.keys,
        ):
            self.attempt(check)


class _Authenticating:
    """All that a proof asks of a management SA."""

    def authenticate(self, octets: bytes) -> bytes:
        """Something that depends on all of them."""
        return hashlib.sha256(octets).digest()
