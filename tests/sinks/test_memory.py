"""
The sink in memory, and what every sink in this process shares.
"""

from __future__ import annotations

import os
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from isakmp.associations import IPsecParameters, SABundle, SPIKey
from isakmp.crypto.esp import ESPError
from isakmp.errors import LimitReached
from isakmp.interfaces import ISASink
from isakmp.numbers import DOI, AuthenticationAlgorithm, ESPTransform, ProtocolID
from isakmp.paths import Path
from isakmp.sinks import memory
from isakmp.sinks.memory import MemorySink, SPIs
from isakmp.testing import FixedEntropy
from isakmp.wire.attributes import Attribute
from isakmp.wire.proposals import Transform
from tests.samples import PATH, PEER, US, bundle, mirrored, policy, protection_sa, transform

ESP, IPCOMP = ProtocolID.ESP, ProtocolID.IPCOMP


def always(value: int) -> object:
    """Entropy that is not random at all."""
    return lambda n: value.to_bytes(n, "big")


class SPITests(SynchronousTestCase):
    def setUp(self) -> None:
        self.sink = MemorySink(FixedEntropy(1))

    def reserve(self, protocol: int = ESP, avoid: bytes = b"", path: Path = PATH) -> bytes:
        return self.successResultOf(self.sink.reserve_spi(DOI.IPSEC, protocol, path, avoid))

    @settings(max_examples=100, deadline=None)
    @given(st.binary(min_size=8, max_size=8))
    def test_range(self, random: bytes) -> None:
        """
        Whatever the random octets are: an SPI has 4 octets and is none of the reserved 0 to 255; a
        CPI has 2 and is one of those that are negotiated.
        """
        sink = MemorySink(lambda n: random[:n])
        spi = self.successResultOf(sink.reserve_spi(DOI.IPSEC, ESP, PATH))
        self.assertEqual(len(spi), 4)
        self.assertGreaterEqual(int.from_bytes(spi, "big"), 256)
        cpi = self.successResultOf(sink.reserve_spi(DOI.IPSEC, IPCOMP, PATH))
        self.assertEqual(len(cpi), 2)
        self.assertTrue(256 <= int.from_bytes(cpi, "big") <= 61439)

    def test_other_domain(self) -> None:
        """Protocol 4 means IPCOMP to the IPsec domain only."""
        spi = self.successResultOf(self.sink.reserve_spi(250, IPCOMP, PATH))
        self.assertEqual(len(spi), 4)

    def test_random(self) -> None:
        """
        Two lives of a process do not give the same SPIs; many of one life all differ.

        Proves: RFC 2408 section 5.5 (row 5.5-2)
        """
        spis = [self.reserve() for _ in range(200)]
        self.assertEqual(len(set(spis)), 200)
        other = MemorySink(FixedEntropy(2))
        self.assertNotIn(self.successResultOf(other.reserve_spi(DOI.IPSEC, ESP, PATH)), spis)

    def test_collision(self) -> None:
        """
        Even if the random octets are always the same, no SPI is given twice, not for another
        address of ours either, and never the peer's own.

        Proves: RFC 2409 section 5.5
        Proves: RFC 2408 section 5.5 (row 5.5-2)
        """
        self.sink = MemorySink(always(0x5000))  # type: ignore[arg-type]
        other = Path(("192.0.2.7", 500), (PEER, 500))
        first = self.reserve()
        peers = (int.from_bytes(first, "big") + 1).to_bytes(4, "big")
        second, third = self.reserve(avoid=peers), self.reserve(avoid=peers, path=other)
        self.assertEqual(len({first, second, third, peers}), 4)

    def test_protocols(self) -> None:
        """SPIs of AH and of ESP do not get in each other's way."""
        self.sink = MemorySink(always(0x5000))  # type: ignore[arg-type]
        self.assertEqual(self.reserve(ESP), self.reserve(ProtocolID.AH))

    def test_release(self) -> None:
        """What is released may be given again; releasing what is not reserved changes nothing."""
        self.sink = MemorySink(always(0x5000))  # type: ignore[arg-type]
        spi = self.reserve()
        key = SPIKey(DOI.IPSEC, ESP, spi, US)
        self.assertEqual(self.sink.reserved, {key})
        for _ in range(2):
            self.successResultOf(self.sink.release_spi(key))
            self.successResultOf(self.sink.release_spi(key._replace(destination=PEER)))
            self.assertEqual(self.sink.reserved, frozenset())
        self.assertEqual(self.reserve(), spi)

    def test_in_use(self) -> None:
        """An SPI by which something stands is not given, even if it is released; later it is."""
        self.sink = MemorySink(always(0x5000))  # type: ignore[arg-type]
        number = int.from_bytes(self.reserve(), "big")
        standing = bundle(number, 0x2001)
        self.successResultOf(self.sink.install(standing))
        self.assertEqual(self.sink.reserved, frozenset())
        self.successResultOf(self.sink.release_spi(standing.key))
        self.assertNotEqual(self.reserve(), standing.key.spi)
        self.successResultOf(self.sink.remove(standing))
        self.assertEqual(self.reserve(), standing.key.spi)

    def test_exhausted(self) -> None:
        """When every CPI is given the next is refused; one that comes back is given again."""
        self.patch(memory, "_CPIS", range(256, 556))
        spis = SPIs(FixedEntropy(3))
        given = [spis.reserve(DOI.IPSEC, IPCOMP, US, b"") for _ in range(300)]
        self.assertEqual(len(set(given)), 300)
        self.assertRaises(LimitReached, spis.reserve, DOI.IPSEC, IPCOMP, US, b"")
        spis.release(given[7])
        self.assertRaises(LimitReached, spis.reserve, DOI.IPSEC, IPCOMP, US, given[7].spi)
        self.assertEqual(spis.reserve(DOI.IPSEC, IPCOMP, US, b""), given[7])


class InstallTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.sink = MemorySink(FixedEntropy(1))

    def install(self, standing: SABundle) -> None:
        self.successResultOf(self.sink.install(standing))

    def test_interface(self) -> None:
        """It is what an exchange expects of a sink, and does not claim to protect traffic."""
        verifyObject(ISASink, self.sink)
        self.assertFalse(self.sink.protects)

    def test_exactly_this(self) -> None:
        """What is installed replaces all that stood under its name, and nothing else."""
        other = bundle(0x1009, 0x2009)
        first = bundle(0x1001, 0x2001, name="net")
        second = bundle(0x1002, 0x2002, name="net")
        for each in (other, first, second):
            self.install(each)
        self.assertEqual(dict(self.sink.standing), {other.name: other, "net": second})
        self.install(bundle(0x1001, 0x2001, name="free again"))

    def test_two_steps(self) -> None:
        """A responder installs what it receives by first, and both sides later."""
        whole = bundle()
        self.install(replace(whole, outbound=()))
        self.assertRaises(LookupError, self.sink.seal, whole.name, b"too early")
        self.install(whole)
        self.sink.seal(whole.name, b"now")
        self.assertEqual(dict(self.sink.standing), {whole.name: whole})

    def test_remove(self) -> None:
        """Removing is by name and idempotent; afterwards nothing is protected by it."""
        standing = bundle()
        self.install(standing)
        for _ in range(2):
            self.successResultOf(self.sink.remove(replace(standing, outbound=())))
            self.assertEqual(dict(self.sink.standing), {})
        self.assertRaises(LookupError, self.sink.seal, standing.name, b"x")
        self.assertRaises(LookupError, self.sink.open, standing.key.spi + bytes(60))

    def test_refused(self) -> None:
        """When an installation fails, what stood before still stands, and works."""
        before, after = bundle(0x1001, 0x2001, name="net"), bundle(0x1002, 0x2002, name="net")
        self.install(before)
        peer = MemorySink(FixedEntropy(2))
        self.successResultOf(peer.install(mirrored(before)))

        def refuse(_: SABundle) -> None:
            raise OSError("no buffer space")

        self.sink.refuse = refuse
        self.failureResultOf(self.sink.install(after), OSError)
        self.failureResultOf(self.sink.install(bundle(0x1003, 0x2003)), OSError)
        self.assertEqual(dict(self.sink.standing), {"net": before})
        self.assertEqual(peer.open(self.sink.seal("net", b"still")), b"still")
        self.assertRaises(LookupError, self.sink.open, after.key.spi + bytes(60))
        self.sink.refuse = None
        self.install(after)
        self.assertEqual(dict(self.sink.standing), {"net": after})

    def test_refused_by_a_subclass(self) -> None:
        """A sink that cannot program a bundle leaves what stood before, reservations included."""

        class Full(MemorySink):
            def _program(self, bundle: SABundle) -> None:
                if self.standing:
                    raise OSError("table full")
                super()._program(bundle)

        sink = Full(FixedEntropy(1))
        self.successResultOf(sink.install(bundle()))
        self.successResultOf(sink.reserve_spi(DOI.IPSEC, ESP, PATH))
        reserved = sink.reserved
        (key,) = reserved
        second = bundle(int.from_bytes(key.spi, "big"), 0x2002)
        self.failureResultOf(sink.install(second), OSError)
        self.assertEqual(sink.reserved, reserved)
        self.assertEqual(list(sink.standing), [bundle().name])

    def test_impossible_keys(self) -> None:
        """Keys that do not fit the algorithms, and algorithms nobody knows, change nothing."""
        before = bundle(name="net")
        self.install(before)
        for hostile in (
            protection_sa(0x1002, US, keys={"encryption": bytes(15), "integrity": bytes(32)}),
            protection_sa(0x1002, US, keys={}),
            protection_sa(0x1002, US, parameters=IPsecParameters("tunnel", "rot13", "none")),
        ):
            failing = self.sink.install(replace(before, inbound=(hostile,)))
            self.failureResultOf(failing, ValueError, LookupError)
            self.assertEqual(dict(self.sink.standing), {"net": before})
        self.sink.seal("net", b"x")

    def test_spi_of_another(self) -> None:
        """Two bundles cannot stand by one SPI, in either direction; the first one stays."""
        before = bundle(0x1001, 0x2001)
        self.install(before)
        elsewhere = SABundle(
            "elsewhere",
            before.parent,
            (protection_sa(0x1001, "192.0.2.7"),),
            (protection_sa(0x2009, PEER),),
            policy(),
        )
        for hostile in (
            bundle(0x1001, 0x2002, name="in"),
            bundle(0x1002, 0x2001, name="out"),
            elsewhere,
        ):
            self.failureResultOf(self.sink.install(hostile), ValueError)
        self.assertEqual(dict(self.sink.standing), {before.name: before})

    def test_other_protocols(self) -> None:
        """What is no ESP, or of another domain, is kept like anything; nothing is computed."""
        ah = SABundle(
            "ah",
            bundle().parent,
            (protection_sa(0x1001, US, protocol=ProtocolID.AH),),
            (protection_sa(0x2001, PEER, parameters=object()),),
            policy(),
        )
        self.install(ah)
        self.assertEqual(dict(self.sink.standing), {"ah": ah})
        self.assertRaises(LookupError, self.sink.seal, "ah", b"x")

    def test_inspection(self) -> None:
        """I can look at what stands but not change it, and no key is shown."""
        secret = os.urandom(16)
        keys = {"encryption": secret, "integrity": secret * 2}
        standing = replace(bundle(name="net"), inbound=(protection_sa(0x1001, US, keys=keys),))
        self.install(standing)
        self.successResultOf(self.sink.reserve_spi(DOI.IPSEC, ESP, PATH))
        with self.assertRaises(TypeError):
            self.sink.standing["net"] = standing  # type: ignore[index]
        for text in (repr(self.sink), repr(self.sink.standing), str(self.sink.reserved)):
            self.assertNotIn(repr(secret)[2:-1], text)
            self.assertNotIn(secret.hex(), text)
        self.assertIn("net", repr(self.sink))


class KeyTests(SynchronousTestCase):
    """A packet that one end seals is opened by the other, if the keys are the same."""

    def setUp(self) -> None:
        self.bundle = bundle(name="net")
        self.us, self.peer = MemorySink(FixedEntropy(1)), MemorySink(FixedEntropy(2))
        self.successResultOf(self.us.install(self.bundle))
        self.successResultOf(self.peer.install(mirrored(self.bundle)))

    def test_both_directions(self) -> None:
        """Both ends read what the other one writes, and each direction has keys of its own."""
        packet = self.us.seal("net", b"there")
        self.assertEqual(self.peer.open(packet), b"there")
        self.assertEqual(self.us.open(self.peer.seal("net", b"back")), b"back")
        self.assertNotIn(b"there", packet)
        self.assertRaises(LookupError, self.us.open, packet)

    def test_sequence(self) -> None:
        """Every packet has the next sequence number; that goes on when the same keys are installed
        again, and begins anew with new ones."""
        numbers = [self.us.seal("net", b"x")[4:8] for _ in range(2)]
        self.successResultOf(self.us.install(self.bundle))
        numbers.append(self.us.seal("net", b"x")[4:8])
        self.assertEqual([int.from_bytes(n, "big") for n in numbers], [1, 2, 3])
        keys = {"encryption": bytes(16), "integrity": bytes(32)}
        new = replace(self.bundle, outbound=(protection_sa(0x2001, PEER, keys=keys),))
        self.successResultOf(self.us.install(new))
        self.assertEqual(self.us.seal("net", b"x")[4:8], bytes([0, 0, 0, 1]))

    def test_forged(self) -> None:
        """A packet with one bit changed, cut short, or of other keys is not opened."""
        packet = self.us.seal("net", b"there")
        for index in range(4, len(packet)):
            forged = bytearray(packet)
            forged[index] ^= 1
            self.assertRaises(ESPError, self.peer.open, bytes(forged))
        for length in range(4, len(packet)):
            self.assertRaises(ESPError, self.peer.open, packet[:length])
        for short in (b"", packet[:3], bytes(40)):
            self.assertRaises(LookupError, self.peer.open, short)

    def test_other_keys(self) -> None:
        """If the two ends have derived different keys, it shows at the first packet."""
        keys = {"encryption": bytes(16), "integrity": bytes(32)}
        wrong = replace(mirrored(self.bundle), inbound=(protection_sa(0x2001, PEER, keys=keys),))
        self.successResultOf(self.peer.install(wrong))
        self.assertRaises(ESPError, self.peer.open, self.us.seal("net", b"there"))

    def test_fingerprints(self) -> None:
        """Both ends show the same fingerprints, other keys have others, and no key is shown."""
        shown = self.us.fingerprints(self.bundle)
        self.assertEqual(shown, self.peer.fingerprints(mirrored(self.bundle)))
        self.assertEqual(set(shown), {"00001001", "00002001"})
        self.assertEqual(len(set(shown.values())), 2)
        for change in ("encryption", "integrity"):
            (sa,) = self.bundle.inbound
            keys = {**sa.keys, change: bytes(len(sa.keys[change]))}
            other = replace(self.bundle, inbound=(protection_sa(0x1001, US, keys=keys),))
            self.assertNotEqual(self.us.fingerprints(other)["00001001"], shown["00001001"])
        for sa in (*self.bundle.inbound, *self.bundle.outbound):
            for key in sa.keys.values():
                self.assertNotIn(key.hex(), str(shown))


class SupportTests(SynchronousTestCase):
    def supports(self, offered: Transform, protocol: int = ESP, doi: int = DOI.IPSEC) -> bool:
        return MemorySink(FixedEntropy(1)).supports(doi, protocol, offered)

    def test_supported(self) -> None:
        """
        What ESP can be computed with is supported, whatever else a transform says.
        """
        sha = AuthenticationAlgorithm.HMAC_SHA2_256
        for offered in (
            transform(authentication_algorithm=sha),
            transform(key_length=256, authentication_algorithm=sha, encapsulation_mode=1),
            transform(transform_id=ESPTransform.TRIPLE_DES, authentication_algorithm=2),
            transform(transform_id=ESPTransform.NULL, authentication_algorithm=1),
            transform(transform_id=ESPTransform.AES_GCM_16, key_length=128),
            transform(transform_id=ESPTransform.AES_CCM_8, key_length=192),
            transform(
                transform_id=ESPTransform.AES_CTR, key_length=256, authentication_algorithm=7
            ),
            transform(
                transform_id=ESPTransform.CAMELLIA, key_length=256, authentication_algorithm=5
            ),
        ):
            self.assertTrue(self.supports(offered), offered)

    def test_unsupported(self) -> None:
        """
        What cannot be computed is not: unknown numbers, impossible lengths of a key, integrity
        beside a cipher that has its own or missing where there must be some, other protocols and
        domains.
        """
        for offered in (
            transform(transform_id=ESPTransform.RC4, authentication_algorithm=2),
            transform(transform_id=200),
            transform(authentication_algorithm=AuthenticationAlgorithm.KPDK),
            transform(authentication_algorithm=61440),
            transform(key_length=129, authentication_algorithm=2),
            transform(key_length=64, authentication_algorithm=2),
            transform(key_length=65535, authentication_algorithm=2),
            transform(key_length=0, authentication_algorithm=2),
            transform(transform_id=ESPTransform.AES_GCM_16, authentication_algorithm=2),
            transform(transform_id=ESPTransform.NULL),
            transform(transform_id=ESPTransform.AES_CTR),
        ):
            self.assertFalse(self.supports(offered), offered)
        good = transform(authentication_algorithm=2)
        self.assertTrue(self.supports(good))
        self.assertFalse(self.supports(good, protocol=ProtocolID.AH))
        self.assertFalse(self.supports(good, protocol=IPCOMP))
        self.assertFalse(self.supports(good, doi=DOI.GDOI))

    def test_monstrous_number(self) -> None:
        """A key length of two thousand octets is not computed with."""
        monster = Attribute.tlv(6, bytes([1]) * 2000)
        self.assertFalse(self.supports(Transform(1, ESPTransform.AES_CBC, (monster,))))
