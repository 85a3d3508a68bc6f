"""Reading the attributes of a transform."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from isakmp.associations import Lifetime
from isakmp.crypto.esp import ENCRYPTION, INTEGRITY, esp_transform
from isakmp.departures import BASIC_AS_VARIABLE
from isakmp.doi.transforms import (
    CIPHERS,
    INTEGRITIES,
    LONGEST,
    Protection,
    Reading,
    read,
)
from isakmp.numbers import AHTransform, Encapsulation, ESPTransform, ProtocolID
from isakmp.wire.attributes import Attribute
from tests.doi.offers import AUTH, DURATION, GROUP, KEY, MODE, TYPE, basic, transform, transforms

ESP, AH = ProtocolID.ESP, ProtocolID.AH
AES = ESPTransform.AES_CBC
USUAL = basic(key=128, auth=5, mode=1)
SECONDS, KILOBYTES = Attribute.tv(TYPE, 1), Attribute.tv(TYPE, 2)


def reading(*attributes: Attribute, protocol: int = ESP, transform_id: int = AES) -> Reading:
    return read(protocol, transform(1, transform_id, *attributes))


class ReadingTests(SynchronousTestCase):
    def test_usual(self) -> None:
        """What a transform says is read from its attributes."""
        got = reading(*basic(key=256, auth=7, group=14, mode=2))
        self.assertEqual(got.protection, Protection(ESP, AES, 256, 7, 2, 14))
        self.assertEqual((got.fault, got.contradictory), ("", False))

    @settings(deadline=None)
    @given(st.permutations(basic(key=256, auth=7, group=14, mode=2)))
    def test_order(self, attributes: list[Attribute]) -> None:
        """The order of attributes means nothing."""
        self.assertEqual(reading(*attributes).protection, Protection(ESP, AES, 256, 7, 2, 14))

    def test_nothing_said(self) -> None:
        """A transform without attributes says nothing but its algorithm."""
        got = reading(transform_id=ESPTransform.TRIPLE_DES)
        self.assertEqual(got.protection, Protection(ESP, ESPTransform.TRIPLE_DES))
        self.assertEqual(got.lifetime, Lifetime())

    def test_aes_without_key_length(self) -> None:
        """AES-CBC without a key length is AES-128, by custom; AES-GCM without one is nothing."""
        self.assertEqual(reading(*basic(auth=2)).protection.key_length, 128)
        gcm = reading(transform_id=ESPTransform.AES_GCM_16)
        self.assertEqual(gcm.protection.key_length, 0)
        self.assertFalse(gcm.protection.supported)
        self.assertEqual(reading(protocol=AH, transform_id=AES).protection.key_length, 0)

    def test_basic_as_variable(self) -> None:
        """
        A basic attribute in the format of a variable one is a fault if its value does not fit, and
        otherwise something that whoever takes it has to overlook.

        Proves: RFC 2407 section 4.5 (row 4.5-1)
        """
        for kind in (KEY, AUTH, MODE, GROUP, TYPE):
            for value in (b"", b"\0\1\0\0", bytes(9), bytes(1000)):
                got = reading(Attribute.tlv(kind, value))
                self.assertIn("encoded as variable", got.fault)
                self.assertFalse(got.contradictory)
            for value in (b"\0\1", b"\1", b"\0\0\0\1"):
                got = reading(Attribute.tlv(kind, value))
                self.assertEqual((got.fault, got.departures), ("", {BASIC_AS_VARIABLE}))
                plain = reading(Attribute.tv(kind, 1))
                self.assertEqual((plain.protection, plain.departures), (got.protection, set()))

    def test_reserved_zero(self) -> None:
        """The reserved value 0 is not the same as saying nothing."""
        for kind in (KEY, AUTH, MODE, GROUP):
            self.assertIn("reserved value 0", reading(Attribute.tv(kind, 0)).fault)

    def test_twice_the_same(self) -> None:
        """
        An attribute that is said twice, the same each time, is no fault.

        Proves: RFC 2407 section 4.5.2 (row 4.5.2-1)
        """
        got = reading(*USUAL, *reversed(USUAL), SECONDS, *USUAL)
        self.assertEqual((got.protection, got.fault), (Protection(ESP, AES, 128, 5, 1), ""))

    def test_contradictions(self) -> None:
        """
        Attributes that say two different things are found, whatever stands between them.

        Proves: RFC 2407 section 4.5.2
        """
        for kind, one, other in ((KEY, 128, 256), (AUTH, 1, 5), (MODE, 1, 2), (GROUP, 2, 14)):
            got = reading(Attribute.tv(kind, one), *basic(unit=1), Attribute.tv(kind, other))
            self.assertTrue(got.contradictory)
            self.assertIn("said twice, differently", got.fault)
        unknown = reading(Attribute.tv(32001, 1), Attribute.tlv(32001, b"\2"))
        self.assertTrue(unknown.contradictory)

    def test_contradiction_is_told_first(self) -> None:
        """Of several faults it is the contradiction that is told."""
        got = reading(Attribute.tlv(KEY, 128), *basic(auth=1), *basic(auth=2))
        self.assertIn("said twice", got.fault)

    def test_contradiction_of_the_unknown(self) -> None:
        """
        A transform that is not known is not read for contradictions: it is ignored.

        Proves: RFC 2408 section 5.6 (row 5.6-2)
        """
        for protocol, transform_id in ((ESP, 99), (AH, 99), (4, 99), (200, 1)):
            got = reading(
                *basic(auth=1), *basic(auth=2), protocol=protocol, transform_id=transform_id
            )
            self.assertFalse(got.contradictory)
            self.assertTrue(got.fault)
        known = reading(*basic(auth=1), *basic(auth=2), protocol=AH, transform_id=AHTransform.SHA)
        self.assertTrue(known.contradictory)

    def test_unknown_attribute(self) -> None:
        """An attribute that means nothing here is kept, and is the same in either format."""
        tv = reading(*USUAL, Attribute.tv(32001, 7)).protection
        tlv = reading(*USUAL, Attribute.tlv(32001, b"\0\0\0\7")).protection
        self.assertEqual(tv, tlv)
        self.assertEqual(tv.others, ((32001, b"\7"),))
        self.assertFalse(tv.supported)

    @settings(deadline=None)
    @given(transforms, st.integers(0, 255))
    def test_anything(self, received: object, protocol: int) -> None:
        """Whatever a peer sends can be read: nothing is raised."""
        got = read(protocol, received)  # type: ignore[arg-type]
        self.assertEqual(got.transform, received)
        if got.contradictory:
            self.assertTrue(got.fault)


class LifetimeTests(SynchronousTestCase):
    def test_both(self) -> None:
        """
        A lifetime may be 24 hours or 100 megabytes: the RFC's own example.

        Proves: RFC 2407 section 4.5.2 (row 4.5.2-1)
        """
        got = reading(
            SECONDS,
            Attribute(DURATION, bytes.fromhex("00015180"), False),
            KILOBYTES,
            Attribute(DURATION, bytes.fromhex("000186a0"), False),
        )
        self.assertEqual((got.lifetime, got.fault), (Lifetime(86400, 100000), ""))

    def test_formats(self) -> None:
        """
        A duration may be basic or variable, and of any length up to eight octets.

        Proves: RFC 2407 section 4.5
        """
        for attribute in (
            Attribute.tv(DURATION, 3600),
            Attribute.tlv(DURATION, 3600),
            *(Attribute.tlv(DURATION, (3600).to_bytes(n)) for n in range(2, 9)),
        ):
            self.assertEqual(reading(SECONDS, attribute).lifetime, Lifetime(3600))

    def test_order_of_the_pairs(self) -> None:
        """Kilobytes may come first, and other attributes between type and duration."""
        got = reading(
            KILOBYTES, *USUAL, Attribute.tv(DURATION, 9), SECONDS, Attribute.tv(DURATION, 8)
        )
        self.assertEqual((got.lifetime, got.fault), (Lifetime(8, 9), ""))

    def test_duration_without_type(self) -> None:
        """
        A duration before any type is a fault.

        Proves: RFC 2407 section 4.5 (row 4.5-2)
        """
        got = reading(Attribute.tv(DURATION, 8), SECONDS)
        self.assertIn("without SA Life Type", got.fault)
        self.assertEqual(got.lifetime, Lifetime())

    def test_unknown_type(self) -> None:
        """A duration in units that nobody knows is a fault, not a number of seconds."""
        for unit in (0, 3, 61440, 65535):
            got = reading(*basic(unit=unit), Attribute.tv(DURATION, 8))
            self.assertTrue(got.fault)
            self.assertEqual(got.lifetime, Lifetime())

    def test_two_durations(self) -> None:
        """
        Two durations of one type contradict each other, unless they are equal.

        Proves: RFC 2407 section 4.5.2
        """
        one, other = Attribute.tv(DURATION, 8), Attribute.tlv(DURATION, 9)
        self.assertTrue(reading(SECONDS, one, SECONDS, other).contradictory)
        self.assertTrue(reading(SECONDS, one, other).contradictory)
        self.assertFalse(reading(SECONDS, one, SECONDS, Attribute.tlv(DURATION, 8)).fault)

    def test_huge(self) -> None:
        """An absurd duration counts as the longest there is; one of nine octets is a fault."""
        for value in (b"\1" + bytes(4), b"\xff" * 8):
            got = reading(SECONDS, Attribute.tlv(DURATION, value))
            self.assertEqual((got.lifetime.seconds, got.fault), (LONGEST, ""))
        for value in (bytes(9), b"\xff" * 9, b"\xff" * 65535):
            self.assertIn("octets", reading(SECONDS, Attribute.tlv(DURATION, value)).fault)

    def test_none(self) -> None:
        """A duration of 0 counts as not said; one of no octets is a fault."""
        got = reading(SECONDS, Attribute.tv(DURATION, 0))
        self.assertEqual((got.lifetime, got.fault), (Lifetime(), ""))
        self.assertIn("is empty", reading(SECONDS, Attribute.tlv(DURATION, b"")).fault)


class ProtectionTests(SynchronousTestCase):
    def test_supported(self) -> None:
        """
        Only combinations that authenticate, with a key length the cipher has, are supported.

        Proves: RFC 2407 section 4.5 (row 4.5-4)
        """
        for transform_id, key_length, integrity, supported in (
            (AES, 128, 1, True),
            (AES, 192, 2, True),
            (AES, 256, 5, True),
            (AES, 128, 0, False),
            (AES, 64, 2, False),
            (AES, 0, 2, False),
            (AES, 128, 9, True),
            (AES, 128, 8, False),
            (ESPTransform.TRIPLE_DES, 0, 2, True),
            (ESPTransform.TRIPLE_DES, 192, 2, False),
            (ESPTransform.TRIPLE_DES, 0, 0, False),
            (ESPTransform.NULL, 0, 2, True),
            (ESPTransform.NULL, 0, 0, False),
            (ESPTransform.AES_GCM_16, 128, 0, True),
            (ESPTransform.AES_GCM_16, 256, 0, True),
            (ESPTransform.AES_GCM_16, 0, 0, False),
            (ESPTransform.AES_GCM_16, 128, 5, False),
            (ESPTransform.AES_GCM_16, 128, 9, False),
            (ESPTransform.DES, 0, 2, True),
            (ESPTransform.DES, 64, 2, False),
            (ESPTransform.BLOWFISH, 128, 2, True),
            (ESPTransform.BLOWFISH, 448, 2, False),
            (ESPTransform.CAST, 128, 2, True),
            (ESPTransform.AES_CTR, 128, 2, True),
            (ESPTransform.AES_CTR, 128, 0, False),
            (ESPTransform.AES_CCM_16, 192, 0, True),
            (ESPTransform.CAMELLIA, 256, 2, True),
            (ESPTransform.NULL_AUTH_AES_GMAC, 128, 0, True),
            (ESPTransform.NULL_AUTH_AES_GMAC, 128, 2, False),
            (ESPTransform.RC5, 128, 2, False),
            (99, 0, 2, False),
        ):
            protection = Protection(ESP, transform_id, key_length, integrity)
            self.assertEqual(protection.supported, supported, protection)
            if not supported:
                self.assertRaises(ValueError, lambda wanted=protection: wanted.octets)

    def test_ah(self) -> None:
        """
        AH needs the transform and the attribute of one and the same algorithm.

        Proves: RFC 2407 section 4.4.3 (row 4.4.3-1)
        """
        for number, integrity in INTEGRITIES.items():
            for other in AHTransform:
                protection = Protection(AH, other, 0, number)
                self.assertEqual(protection.supported, other == integrity.transform)
        self.assertFalse(Protection(AH, AHTransform.SHA).supported)
        self.assertFalse(Protection(AH, AHTransform.SHA, 128, 2).supported)
        self.assertTrue(Protection(4, 2).supported)
        self.assertFalse(Protection(4, 3).supported)
        self.assertFalse(Protection(4, 2, 128).supported)
        self.assertFalse(Protection(4, 2, 0, 2).supported)
        self.assertFalse(Protection(4, 2, extended=1).supported)

    def test_octets(self) -> None:
        """
        So many octets of keying material each algorithm takes.

        Proves: RFC 2404 section 3
        Proves: RFC 4868 section 2.1.1
        Proves: RFC 4106 section 8.1
        """
        for transform_id, bits, integrity, octets in (
            (AES, 128, 1, (16, 16)),
            (AES, 192, 2, (24, 20)),
            (AES, 256, 5, (32, 32)),
            (AES, 256, 6, (32, 48)),
            (AES, 256, 7, (32, 64)),
            (ESPTransform.TRIPLE_DES, 0, 2, (24, 20)),
            (ESPTransform.NULL, 0, 5, (0, 32)),
            (ESPTransform.AES_GCM_8, 128, 0, (20, 0)),
            (ESPTransform.AES_GCM_12, 192, 0, (28, 0)),
            (ESPTransform.AES_GCM_16, 256, 0, (36, 0)),
        ):
            self.assertEqual(Protection(ESP, transform_id, bits, integrity).octets, octets)
        self.assertEqual(Protection(AH, AHTransform.SHA, 0, 2).octets, (0, 20))

    def test_datapath(self) -> None:
        """Every combination that can be negotiated can also be used, by its names, for packets."""
        for transform_id, cipher in CIPHERS.items():
            self.assertIn(cipher.name, ENCRYPTION)
            for bits in cipher.lengths:
                for number in (0, *INTEGRITIES):
                    protection = Protection(ESP, transform_id, bits, number)
                    if protection.supported:
                        integrity = INTEGRITIES[number].name if number else "none"
                        self.assertIn(integrity, INTEGRITY)
                        first, second = protection.octets
                        esp_transform(cipher.name, integrity, bytes(range(first)), bytes(second))

    def test_accepts(self) -> None:
        """What is offered has to be the same in everything."""
        ours = Protection(ESP, AES, 128, 5, 1, 14)
        self.assertTrue(ours.accepts(ours))
        for other in (
            Protection(AH, AES, 128, 5, 1, 14),
            Protection(ESP, 20, 128, 5, 1, 14),
            Protection(ESP, AES, 256, 5, 1, 14),
            Protection(ESP, AES, 128, 2, 1, 14),
            Protection(ESP, AES, 128, 5, 2, 14),
            Protection(ESP, AES, 128, 5, 3, 14),
            Protection(ESP, AES, 128, 5, 1, 0),
            Protection(ESP, AES, 128, 5, 1, 2),
            Protection(ESP, AES, 128, 5, 1, 14, ((10, b"\1"),)),
        ):
            self.assertFalse(ours.accepts(other), other)

    def test_mode_left_to_the_host(self) -> None:
        """
        An offer without encapsulation mode leaves it to the host, so any mode of ours will do.

        Proves: RFC 2407 section 4.5
        """
        for mode in (Encapsulation.TUNNEL, Encapsulation.TRANSPORT):
            ours = Protection(ESP, AES, 128, 5, mode)
            self.assertTrue(ours.accepts(Protection(ESP, AES, 128, 5)))
