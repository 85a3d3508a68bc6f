"""
A sink that keeps what is installed in this process, and can protect a packet to prove the keys.

What every sink has to do is written here once: SPIs are chosen by whoever receives by them
(RFC 2408 section 2.5.2's "SPI" of a protocol; RFC 4303 section 2.1 for their range), and what
stands is replaced whole or not at all.
"""

from __future__ import annotations

import os
import socket
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from hmac import compare_digest
from types import MappingProxyType

from twisted.internet.defer import Deferred, execute, fail, succeed
from zope.interface import implementer

from isakmp.associations import (
    ChildPolicy,
    IPsecParameters,
    ProtectionSA,
    SABundle,
    SPIKey,
    Transform,
    Usage,
)
from isakmp.crypto.esp import ENCRYPTION, ESPTransform, esp_transform
from isakmp.crypto.fingerprints import fingerprint
from isakmp.errors import ConfigurationError, LimitReached, Malformed
from isakmp.interfaces import IEvents, ISASink
from isakmp.numbers import DOI, AuthenticationAlgorithm, IPsecAttribute, ProtocolID
from isakmp.numbers import ESPTransform as ESPTransformID
from isakmp.paths import Path

_SPIS = range(256, 2**32)
"""RFC 4303 section 2.1 and RFC 2402 section 2.4: 0 is local, 1 to 255 are reserved."""

_CPIS = range(256, 61440)
"""RFC 3173 section 3.3: those that are negotiated."""

_IP_IN_IP = 4  # the next header of an IPv4 packet


class SPIs:
    """
    The SPIs that are taken: reserved for an exchange, or in use by what stands.

    :param entropy: gives that many unpredictable octets.
    """

    def __init__(self, entropy: Callable[[int], bytes]) -> None:
        self._entropy = entropy
        self._reserved: set[SPIKey] = set()
        # Whatever the destination: nobody need know an address to tell our SAs apart.
        self._taken: Counter[tuple[int, int, bytes]] = Counter()

    @property
    def reserved(self) -> frozenset[SPIKey]:
        """Reserved, and neither released nor used."""
        return frozenset(self._reserved)

    def reserve(self, doi: int, protocol: int, destination: str, avoid: bytes) -> SPIKey:
        """
        One that no SA of this protocol has.

        :param avoid: the peer's own.
        :raises LimitReached: if none is left.
        """
        compressed = doi == DOI.IPSEC and protocol == ProtocolID.IPCOMP
        values, size = (_CPIS, 2) if compressed else (_SPIS, 4)
        # From a random place on to the first that is free: that ends, however few are left.
        start = int.from_bytes(self._entropy(size + 4), "big")
        for offset in range(len(values)):
            spi = values[(start + offset) % len(values)].to_bytes(size, "big")
            if spi != avoid and (doi, protocol, spi) not in self._taken:
                key = SPIKey(doi, protocol, spi, destination)
                self._reserved.add(key)
                self._taken[doi, protocol, spi] += 1
                return key
        raise LimitReached(f"no SPI of protocol {protocol} is free")

    def release(self, key: SPIKey) -> None:
        """It is not reserved any longer; idempotent."""
        if key in self._reserved:
            self._reserved.remove(key)
            self._free(key)

    def use(self, keys: Iterable[SPIKey]) -> None:
        """They stand from now on, reserved or not."""
        for key in keys:
            self._taken[key.doi, key.protocol, key.spi] += 1
            self.release(key)

    def free(self, keys: Iterable[SPIKey]) -> None:
        """They stand no longer."""
        for key in keys:
            self._free(key)

    def _free(self, key: SPIKey) -> None:
        name = key.doi, key.protocol, key.spi
        self._taken[name] -= 1
        if not self._taken[name]:
            del self._taken[name]


class RecordingSink:
    """
    The records of a sink in this process: which SPIs are reserved, which bundles stand.

    A subclass says what it is and what it supports, and may do something with what stands in
    :meth:`_program` and :meth:`_withdraw`.

    :param entropy: for the SPIs.
    :ivar name: of the sink; a subclass has it.
    :ivar refuse: called with each bundle before it is installed; what it raises is why the
        installation fails.  For tests.
    """

    name: str

    def __init__(self, entropy: Callable[[int], bytes] = os.urandom) -> None:
        self._entropy = entropy
        self._spis = SPIs(entropy)
        self._standing: dict[str, SABundle] = {}
        self._owners: dict[SPIKey, str] = {}
        self.refuse: Callable[[SABundle], object] | None = None

    def start(self, events: IEvents) -> Deferred[None]:
        """At once: there is nothing to begin."""
        return succeed(None)

    def stop(self) -> Deferred[None]:
        """At once: what stands goes with the process."""
        return succeed(None)

    def query(self, bundle: SABundle) -> Deferred[Usage]:
        """No traffic passes here, and of what passes elsewhere nothing is known."""
        return succeed(Usage())

    def trap(self, policy: ChildPolicy, path: Path | None) -> Deferred[None]:
        """
        :raises ConfigurationError: always: it sees no traffic.
        """
        error = f"the sink {self.name} sees no traffic, and cannot trap it, let it pass or drop it"
        return fail(ConfigurationError(error))

    def untrap(self, connection: str, child: str) -> Deferred[None]:
        """At once: there is none."""
        return succeed(None)

    def exempt(self, socket: socket.socket) -> None:
        """Nothing has to be done: no traffic is taken."""

    @property
    def reserved(self) -> frozenset[SPIKey]:
        """The SPIs that were reserved and are neither released nor used."""
        return self._spis.reserved

    @property
    def standing(self) -> Mapping[str, SABundle]:
        """The bundles that stand, by name; a copy."""
        return MappingProxyType(dict(self._standing))

    def reserve_spi(
        self, doi: int, protocol: int, path: Path, avoid: bytes = b""
    ) -> Deferred[bytes]:
        """
        An SPI for us to receive by: 4 octets; 2 for IPCOMP.

        :param avoid: the peer's own, which would give equal keys in both directions.
        :raises LimitReached: if none is left.
        """
        return execute(lambda: self._spis.reserve(doi, protocol, path.local[0], avoid).spi)

    def release_spi(self, key: SPIKey) -> Deferred[None]:
        """Idempotent; an SPI by which a bundle stands is not given up by it."""
        return execute(self._spis.release, key)

    def install(self, bundle: SABundle) -> Deferred[None]:
        """
        Then exactly this stands under the bundle's name; on failure what stood before.

        :raises ValueError: if one of its SPIs is in use by another bundle.
        """
        return execute(self._install, bundle)

    def remove(self, bundle: SABundle) -> Deferred[None]:
        """Whatever stands under its name; idempotent."""
        return execute(self._remove, bundle)

    def _install(self, bundle: SABundle) -> None:
        if self.refuse is not None:
            self.refuse(bundle)
        for key in bundle.keys:
            owner = self._owners.get(key, bundle.name)
            if owner != bundle.name:
                raise ValueError(f"{bundle.name}: SPI {key.spi.hex()} is in use by {owner}")
        self._program(bundle)
        self._forget(bundle.name)
        self._standing[bundle.name] = bundle
        self._owners.update(dict.fromkeys(bundle.keys, bundle.name))
        self._spis.use(bundle.keys)

    def _remove(self, bundle: SABundle) -> None:
        if bundle.name in self._standing:
            self._withdraw(bundle.name)
            self._forget(bundle.name)

    def _forget(self, name: str) -> None:
        before = self._standing.pop(name, None)
        if before is not None:
            self._spis.free(before.keys)
            for key in before.keys:
                self._owners.pop(key, None)

    def _program(self, bundle: SABundle) -> None:
        """
        Put it in the place of what stands under its name.

        If it raises, that has to be as it was.
        """

    def _withdraw(self, name: str) -> None:
        """Take away what stands under this name."""

    def __repr__(self) -> str:
        names = ", ".join(self._standing) or "nothing"
        return f"<{type(self).__name__}: {names} standing, {len(self.reserved)} SPIs reserved>"


@dataclass(slots=True, eq=False)
class Programmed:
    """
    One direction of one ESP SA at work.

    :ivar sequence: of the last packet sealed.
    """

    sa: ProtectionSA
    transform: ESPTransform
    sequence: int = 0

    def same_keys(self, sa: ProtectionSA) -> bool:
        """Whether that SA has the keys of this: then it must not begin to count anew."""
        return sa.keys.keys() == self.sa.keys.keys() and all(
            compare_digest(key, self.sa.keys[use]) for use, key in sa.keys.items()
        )


@implementer(ISASink)
class MemorySink(RecordingSink):
    """
    Keeps SAs and takes no traffic; but a packet can be sealed and opened under them.

    It supports what :mod:`isakmp.crypto.esp` can do.  It has no replay window.

    :param entropy: for the SPIs.
    """

    name = "memory"
    protects = False

    def __init__(self, entropy: Callable[[int], bytes] = os.urandom) -> None:
        super().__init__(entropy)
        self._programmed: dict[str, dict[SPIKey, Programmed]] = {}
        self._inbound: dict[bytes, Programmed] = {}

    def supports(self, doi: int, protocol: int, transform: Transform) -> bool:
        """ESP with algorithms, and a length of the key, that can be computed here."""
        if doi != DOI.IPSEC or protocol != ProtocolID.ESP:
            return False
        numbers: dict[int, int] = {}
        try:
            for attribute in transform.attributes:
                if attribute.kind == IPsecAttribute.EXTENDED_SEQUENCE_NUMBER:
                    return False
                if attribute.kind in _ALGORITHM_ATTRIBUTES:
                    numbers[attribute.kind] = attribute.number
        except Malformed:
            return False
        return _possible(
            transform.transform_id,
            numbers.get(IPsecAttribute.KEY_LENGTH),
            numbers.get(IPsecAttribute.AUTHENTICATION_ALGORITHM),
        )

    def seal(self, bundle_name: str, payload: bytes, next_header: int = _IP_IN_IP) -> bytes:
        """
        A packet under the bundle's outbound SA.  RFC 4303 section 3.3.

        :param payload: what it protects, as :meth:`isakmp.crypto.esp.ESPTransform.seal` takes it.
        :raises LookupError: if there is no such bundle, or it has no outbound ESP SA.
        :raises ValueError: if all sequence numbers are used.
        """
        bundle = self._standing[bundle_name]
        for sa in bundle.outbound:
            programmed = self._programmed[bundle_name].get(sa.key)
            if programmed is not None:
                spi, sequence = sa.key.spi, programmed.sequence + 1
                packet = programmed.transform.seal(spi, sequence, payload, next_header)
                programmed.sequence = sequence
                return packet
        raise LookupError(f"{bundle_name} has no outbound ESP SA")

    def open(self, packet: bytes) -> bytes:
        """
        The payload of a packet, by the inbound SA that its SPI names.  RFC 4303 section 3.4.

        :raises LookupError: if there is no such SA.
        :raises ESPError: if the packet is not of that SA.
        """
        programmed = self._inbound.get(packet[:4])
        if programmed is None:
            raise LookupError(f"no inbound ESP SA has the SPI {packet[:4].hex() or 'of nothing'}")
        _, _, payload, _ = programmed.transform.open(packet)
        return payload

    def fingerprints(self, bundle: SABundle) -> Mapping[str, str]:
        """
        What two people compare to see that both ends have the same keys.

        :return: by SPI, in hexadecimal digits, a fingerprint of all keying material of that SA.
        """
        return {
            sa.key.spi.hex(): fingerprint(b"".join(sa.keys[use] for use in sorted(sa.keys)))
            for sa in (*bundle.inbound, *bundle.outbound)
            if sa.keys
        }

    def _program(self, bundle: SABundle) -> None:
        before = self._programmed.get(bundle.name, {})
        programmed: dict[SPIKey, Programmed] = {}
        for sa in (*bundle.inbound, *bundle.outbound):
            if isinstance(sa.parameters, IPsecParameters) and sa.key.protocol == ProtocolID.ESP:
                there = before.get(sa.key)
                counted = there.sequence if there is not None and there.same_keys(sa) else 0
                programmed[sa.key] = Programmed(sa, _transform(sa, sa.parameters), counted)
        for sa in bundle.inbound:
            other = self._inbound.get(sa.key.spi)
            if sa.key in programmed and other is not None and other is not before.get(other.sa.key):
                raise ValueError(f"{bundle.name}: SPI {sa.key.spi.hex()} is in use")
        self._withdraw(bundle.name)
        self._programmed[bundle.name] = programmed
        for sa in bundle.inbound:
            if sa.key in programmed:
                self._inbound[sa.key.spi] = programmed[sa.key]

    def _withdraw(self, name: str) -> None:
        for key, programmed in self._programmed.pop(name, {}).items():
            if self._inbound.get(key.spi) is programmed:
                del self._inbound[key.spi]


def _transform(sa: ProtectionSA, parameters: IPsecParameters) -> ESPTransform:
    return esp_transform(
        parameters.encryption,
        parameters.integrity,
        sa.keys.get("encryption", b""),
        sa.keys.get("integrity", b""),
    )


_ALGORITHM_ATTRIBUTES = frozenset(
    {IPsecAttribute.KEY_LENGTH, IPsecAttribute.AUTHENTICATION_ALGORITHM}
)

_ENCRYPTION: Mapping[int, tuple[str, int]] = {
    ESPTransformID.DES: ("des-cbc", 0),
    ESPTransformID.TRIPLE_DES: ("3des-cbc", 0),
    ESPTransformID.CAST: ("cast-cbc", 0),
    ESPTransformID.BLOWFISH: ("blowfish-cbc", 0),
    ESPTransformID.NULL: ("null", 0),
    ESPTransformID.AES_CBC: ("aes-cbc", 0),
    ESPTransformID.AES_CTR: ("aes-ctr", 4),
    ESPTransformID.AES_CCM_8: ("aes-ccm-8", 3),
    ESPTransformID.AES_CCM_12: ("aes-ccm-12", 3),
    ESPTransformID.AES_CCM_16: ("aes-ccm-16", 3),
    ESPTransformID.AES_GCM_8: ("aes-gcm-8", 4),
    ESPTransformID.AES_GCM_12: ("aes-gcm-12", 4),
    ESPTransformID.AES_GCM_16: ("aes-gcm-16", 4),
    ESPTransformID.CAMELLIA: ("camellia-cbc", 0),
    ESPTransformID.NULL_AUTH_AES_GMAC: ("aes-gmac", 4),
}
"""Names of the algorithms, and the octets of salt that follow the key."""

_INTEGRITY: Mapping[int | None, tuple[str, int]] = {
    None: ("none", 0),
    AuthenticationAlgorithm.HMAC_MD5: ("hmac-md5-96", 16),
    AuthenticationAlgorithm.HMAC_SHA: ("hmac-sha1-96", 20),
    AuthenticationAlgorithm.HMAC_SHA2_256: ("hmac-sha2-256-128", 32),
    AuthenticationAlgorithm.HMAC_SHA2_384: ("hmac-sha2-384-192", 48),
    AuthenticationAlgorithm.HMAC_SHA2_512: ("hmac-sha2-512-256", 64),
    AuthenticationAlgorithm.AES_XCBC_MAC: ("aes-xcbc-96", 16),
}
"""Names of the algorithms, and the octets of their keys."""

_USUAL_KEY = 16  # octets, where no length is said: RFC 3602 section 2.2, RFC 3686 section 2


@lru_cache(maxsize=256)
def _possible(transform_id: int, key_bits: int | None, authentication: int | None) -> bool:
    """Whether :mod:`isakmp.crypto.esp` makes a transform of these numbers; it is asked."""
    if transform_id not in _ENCRYPTION or authentication not in _INTEGRITY:
        return False
    encryption, salt = _ENCRYPTION[transform_id]
    integrity, integrity_octets = _INTEGRITY[authentication]
    lengths = ENCRYPTION.get(encryption, ())
    if key_bits is not None:
        octets, odd = divmod(key_bits, 8)
        wanted = -1 if odd else octets + salt
    else:
        wanted = lengths[0] if len(lengths) == 1 else _USUAL_KEY + salt
    if wanted not in lengths:
        return False
    try:
        esp_transform(encryption, integrity, bytes(wanted), bytes(integrity_octets))
    except (LookupError, ValueError):
        return False
    return True
