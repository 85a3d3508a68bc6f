"""
Every group agrees with itself and with the RFCs' test data, and refuses what no honest peer sends.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from twisted.trial.unittest import SynchronousTestCase

from isakmp import numbers
from isakmp.crypto import modp
from isakmp.crypto.curves import CurveGroup, CurveKeyPair, MontgomeryGroup
from isakmp.crypto.groups import GROUPS, Group, KeyPair, group, supported
from isakmp.crypto.modp import ModularGroup
from isakmp.crypto.primes import Modulus
from isakmp.errors import InvalidKeyInformation

_CASES = json.loads((Path(__file__).parent / "data" / "diffie-hellman.json").read_text("utf-8"))

_P25519 = 2**255 - 19
_P448 = 2**448 - 2**224 - 1
_P521 = 2**521 - 1


class RegistryTests(SynchronousTestCase):
    def test_all(self) -> None:
        """The groups are there by their numbers, under the names that swanctl.conf uses."""
        names = {
            **{1: "modp768", 2: "modp1024", 5: "modp1536", 14: "modp2048", 15: "modp3072"},
            **{16: "modp4096", 17: "modp6144", 18: "modp8192", 19: "ecp256", 20: "ecp384"},
            **{21: "ecp521", 22: "modp1024s160", 23: "modp2048s224", 24: "modp2048s256"},
            **{25: "ecp192", 26: "ecp224", 28: "ecp256bp", 29: "ecp384bp", 30: "ecp512bp"},
            **{31: "curve25519", 32: "curve448"},
        }
        self.assertEqual({number: found.name for number, found in GROUPS.items()}, names)
        for number, found in GROUPS.items():
            self.assertIs(group(number), found)
            self.assertEqual(found.number, number)
        self.assertIs(group(numbers.Group.MODP_2048), GROUPS[14])

    def test_lengths(self) -> None:
        """
        Public values have the length of the group: 521 bits are 66 octets, and twice that.

        Proves: RFC 5903 section 7
        """
        lengths = {number: found.public_length for number, found in GROUPS.items()}
        self.assertEqual(
            lengths,
            {
                **{1: 96, 2: 128, 5: 192, 14: 256, 15: 384, 16: 512, 17: 768, 18: 1024},
                **{19: 64, 20: 96, 21: 132, 22: 128, 23: 256, 24: 256, 25: 48, 26: 56},
                **{28: 64, 29: 96, 30: 128, 31: 32, 32: 56},
            },
        )

    def test_unsupported(self) -> None:
        """A group that is not supported is refused with the reason why."""
        for number, why in (
            (3, "GF[2^N]"),
            (4, "GF[2^N]"),
            (13, "GF[2^N]"),
            (27, "brainpoolP224r1"),
            (0, "known"),
            (33, "known"),
            (65535, "known"),
            (numbers.Group.EC2N_155, "GF[2^N]"),
        ):
            error = self.assertRaises(LookupError, group, number)
            self.assertIn(why, str(error))
            self.assertIn(str(int(number)), str(error))

    def test_library_without(self) -> None:
        """A curve that the installed library was built without is not among the groups."""

        class Missing(CurveGroup):
            def key_pair(self, private: bytes) -> CurveKeyPair:
                raise UnsupportedAlgorithm("this library was built without it")

        there = GROUPS[19]
        assert isinstance(there, CurveGroup)
        missing = Missing(99, "missing", 256, there.curve)
        self.assertEqual(dict(supported((there, missing))), {19: there})


class AgreementTests(SynchronousTestCase):
    def test_agrees(self) -> None:
        """Two ends that exchange public values in the same group have the same secret."""
        for found in GROUPS.values():
            ours, theirs = found.generate(), found.generate()
            self.assertEqual(len(ours.public), found.public_length)
            self.assertNotEqual(ours.public, theirs.public)
            secret = ours.agree(theirs.public)
            self.assertEqual(secret, theirs.agree(ours.public))
            halved = isinstance(found, CurveGroup)
            self.assertEqual(len(secret), found.public_length // (2 if halved else 1))
            self.assertIs(ours.group, found)

    def test_vectors(self) -> None:
        """
        The public values and secrets are those of the RFCs' test data.

        Proves: RFC 5114 appendix A
        Proves: RFC 5903 section 7
        Proves: RFC 5903 section 8
        Proves: RFC 6932 appendix A
        Proves: RFC 8031 section 3.1
        """
        cases = _CASES["cases"]
        for case in cases:
            found = group(case["group"])
            a, b = (found.key_pair(bytes.fromhex(case[f"private_{end}"])) for end in "ab")
            self.assertEqual(a.public.hex(), case["public_a"], case["source"])
            self.assertEqual(b.public.hex(), case["public_b"], case["source"])
            for ours, theirs in ((a, b), (b, a)):
                self.assertEqual(ours.agree(theirs.public).hex(), case["secret"], case["source"])
        self.assertEqual(len(cases), 19)
        self.assertEqual(
            {case["group"] for case in cases}, {19, 20, 21, 22, 23, 24, 25, 26, 28, 29, 30, 31, 32}
        )

    def test_leading_zeros(self) -> None:
        """
        A public value or a secret that is a small number keeps its length.

        Proves: RFC 2409 section 5 (row 5-7)
        Proves: RFC 2408 section 5.7 (row 5.7-1)
        """
        for number in (1, 14):
            found = group(number)
            tiny = found.key_pair(b"\x05")
            self.assertEqual(tiny.public, (32).to_bytes(found.public_length, "big"))
            small = found.key_pair(b"\x02")
            self.assertEqual(tiny.agree(small.public), (2**10).to_bytes(found.public_length, "big"))

    def test_again(self) -> None:
        """After a forged public value the true one still leads to the shared secret, and again."""
        for found in GROUPS.values():
            ours, theirs, forger = found.generate(), found.generate(), found.generate()
            ours.agree(forger.public)
            self.assertRaises(InvalidKeyInformation, ours.agree, b"")
            secrets = {ours.agree(theirs.public), ours.agree(theirs.public)}
            self.assertEqual(secrets, {theirs.agree(ours.public)})

    def test_fresh(self) -> None:
        """No two key pairs are alike."""
        for number in (1, 19, 22, 31):
            self.assertEqual(len({group(number).generate().public for _ in range(20)}), 20)

    def test_hidden(self) -> None:
        """What is printed of a key pair is its group."""
        private = bytes.fromhex("0123456789abcdef" * 4)
        for number, name in ((14, "modp2048"), (19, "ecp256"), (31, "curve25519")):
            self.assertRegex(repr(group(number).key_pair(private)), rf"^<\w+KeyPair of {name}>$")

    def test_bad_private_value(self) -> None:
        """A private value that does not exist in a group makes no key pair."""
        for number, private in ((14, b""), (14, b"\0"), (14, b"\xff" * 256), (22, b"\xff" * 20)):
            self.assertRaises(ValueError, group(number).key_pair, private)
        self.assertRaises(ValueError, group(19).key_pair, bytes(32))
        self.assertRaises(ValueError, group(31).key_pair, bytes(31))


def _outside(found: ModularGroup) -> Iterator[int]:
    """Numbers modulo the prime that are not in the subgroup."""
    prime, order = found.modulus.prime, found.modulus.order
    assert order is not None
    yield next(base for base in range(2, 100) if pow(base, order, prime) != 1)
    # Of a small order: what a small-subgroup attack sends.
    for factor in (3, 5, 7, 11, 13, 17, 19, 23):
        if (prime - 1) // order % factor == 0:
            element = pow(2, (prime - 1) // factor, prime)
            if element != 1:
                yield element


class RefusalTests(SynchronousTestCase):
    def tearDown(self) -> None:
        modp.use(None)

    def _refused(self, pair: KeyPair, public: bytes, rule: str) -> None:
        """The value is refused before a private value is used, and when one is."""
        for refuse in (pair.group.check, pair.agree):
            error = self.assertRaises(InvalidKeyInformation, refuse, public)
            self.assertIn(rule, error.reason.rule)
            self.assertIn(pair.group.name, error.reason.rule)

    def _useless(self, pair: KeyPair, public: bytes) -> None:
        """The value passes for one of the group, but there is no secret in it."""
        pair.group.check(public)
        error = self.assertRaises(InvalidKeyInformation, pair.agree, public)
        self.assertIn("small an order", error.reason.rule)

    def test_honest(self) -> None:
        """What an honest peer sends passes the check, in every group."""
        for found in GROUPS.values():
            for _ in range(3):
                found.check(found.generate().public)

    def test_checked_as_computed(self) -> None:
        """
        On the Montgomery curves the check refuses those values, and only those, that lead to no
        secret when one computes with them; however they are written.

        Proves: RFC 8031 section 3.2
        """
        for found in GROUPS.values():
            if not isinstance(found, MontgomeryGroup):
                continue
            pair, octets = found.generate(), found.public_length
            near = {value + d for value in found.small for d in range(-2, 3)}
            near |= {value * 2 % found.prime for value in found.small} | set(range(2, 20))
            refused = 0
            for value in {v + n * found.prime for v in near for n in (0, 1)}:
                for written in (value, value | 1 << (8 * octets - 1)):
                    if not 0 <= written < 1 << 8 * octets:
                        continue
                    public = written.to_bytes(octets, "little")
                    outcomes = []
                    for refuse in (found.check, pair.agree):
                        try:
                            refuse(public)
                        except InvalidKeyInformation as error:
                            outcomes.append(error.reason.rule)
                        else:
                            outcomes.append("")
                    self.assertEqual(*outcomes, f"{found.name}: {written}")
                    refused += outcomes != ["", ""]
            self.assertGreaterEqual(refused, len(found.small) + 2, found.name)

    def test_length(self) -> None:
        """
        In every group, a public value of another length is refused: no zeros are added for it.

        Proves: RFC 2409 section 5 (row 5-7)
        """
        for found in GROUPS.values():
            pair = found.generate()
            good = found.generate().public
            for public in (b"", good[:-1], good + b"\0", b"\0" + good, good[1:], good * 2, b"\4"):
                self._refused(pair, public, "wrong length")
            error = self.assertRaises(InvalidKeyInformation, pair.agree, good[1:])
            self.assertEqual(error.reason.offered, f"{len(good) - 1} octets")
            self.assertEqual(error.reason.configured, f"{len(good)} octets")

    def test_modular_range(self) -> None:
        """
        With each provider, 0, 1, p - 1, p and what is above are refused; 2 and p - 2 are not.

        Proves: RFC 6989 section 2.1
        """
        tried = 0
        for provider in modp.available():
            modp.use(provider)
            for found in modp.MODULAR_GROUPS:
                pair, prime = found.generate(), found.modulus.prime
                highest = 256**found.public_length - 1
                for value in (0, 1, prime - 1, prime, prime + 1, prime + 2, highest):
                    public = value.to_bytes(found.public_length, "big")
                    self._refused(pair, public, "out of range")
                    tried += 1
                if found.modulus.order is None:
                    for value in (2, prime - 2):
                        public = value.to_bytes(found.public_length, "big")
                        found.check(public)
                        pair.agree(public)
        self.flushWarnings()
        self.assertEqual(tried, 11 * 7 * len(modp.available()))

    def test_subgroup(self) -> None:
        """
        In groups 22 to 24, with each provider, a value outside the subgroup is refused.

        Proves: RFC 6989 section 2.2
        """
        tried = 0
        for provider in modp.available():
            modp.use(provider)
            for number in (22, 23, 24):
                found = group(number)
                assert isinstance(found, ModularGroup)
                pair = found.generate()
                for value in _outside(found):
                    public = value.to_bytes(found.public_length, "big")
                    self._refused(pair, public, "outside the subgroup")
                    tried += 1
        self.flushWarnings()
        self.assertGreater(tried, 3 * len(modp.available()))

    def test_subgroup_without_gmp(self) -> None:
        """Without gmpy2 the subgroup is checked just the same."""
        self.patch(modp, "_public_power", pow)
        self.test_subgroup()

    def test_small_order_in_private_group(self) -> None:
        """
        A private group whose generator is of small order gives no shared secret, whoever computes.

        Proves: RFC 2409 section 5.6
        """
        element = pow(3, (_P521 - 1) // 3, _P521)  # _P521 is no safe prime
        self.assertNotEqual(element, 1)
        private = ModularGroup(32768, "private", 521, Modulus(_P521, 5, None, 192))
        public = element.to_bytes(private.public_length, "big")
        for provider in modp.available():
            modp.use(provider)
            if provider == "openssl":  # it takes safe primes only
                self.assertRaises(ValueError, private.generate)
                continue
            self._useless(private.key_pair(b"\x03"), public)
            # -1 to an odd power, hidden as the product of it and an element of order 3.
            hidden = (_P521 - element).to_bytes(private.public_length, "big")
            self._useless(private.key_pair(b"\x03"), hidden)
            self.assertEqual(private.key_pair(b"\x04").agree(public), public)
        self.flushWarnings()

    def test_refused_by_provider(self) -> None:
        """A value that a provider refuses to compute with is the peer's fault, not an accident."""
        found = group(14)

        class Refusing:
            name = "refusing"

            def exponentiation(self, exponent: int, modulus: Modulus) -> Callable[[int], int]:
                def power(base: int) -> int:
                    if base != modulus.generator:
                        raise ValueError("no shared secret")
                    return pow(base, exponent, modulus.prime)

                return power

        self.patch(modp, "_used", Refusing())
        pair = found.generate()
        self._useless(pair, (3).to_bytes(found.public_length, "big"))

    def test_point(self) -> None:
        """
        On every ECP curve, a point that is not on it, and (0, 0), are refused.

        Proves: RFC 6989 section 2.3
        """
        tried = 0
        for found in GROUPS.values():
            if not isinstance(found, CurveGroup):
                continue
            pair, good = found.generate(), found.generate().public
            half = len(good) // 2
            other_y = int.from_bytes(good[half:], "big") ^ 1
            for public in (
                bytes(len(good)),
                b"\xff" * len(good),
                good[:half] + other_y.to_bytes(half, "big"),
                good[half:] + good[:half],
                good[:half] + bytes(half),
                bytes(half) + good[half:],
                bytes([good[0] ^ 1]) + good[1:],
            ):
                self._refused(pair, public, "not a point")
                tried += 1
        self.assertEqual(tried, 7 * 8)

    def test_coordinates_below_prime(self) -> None:
        """
        A coordinate is refused if it is the right one plus the prime.

        Proves: RFC 6989 section 2.3
        """
        pair, good = group(21).generate(), group(21).generate().public
        x, y = int.from_bytes(good[:66], "big"), int.from_bytes(good[66:], "big")
        pair.agree(good)
        for point in ((x + _P521, y), (x, y + _P521), (x + _P521, y + _P521)):
            public = b"".join(number.to_bytes(66, "big") for number in point)
            self._refused(pair, public, "not a point")

    def test_zero_secret(self) -> None:
        """
        The public values of Curve25519 and Curve448 that lead to the secret zero are refused.

        Proves: RFC 8031 section 3.2
        """
        low_25519 = [
            *(0, 1, _P25519 - 1, _P25519, _P25519 + 1),
            325606250916557431795983626356110631294008115727848805560023387167927233504,
            39382357235489614581723060781553021112529911719440698176882885853963445705823,
        ]
        for number, prime, values in (
            (31, _P25519, low_25519),
            (32, _P448, [0, 1, _P448 - 1, _P448, _P448 + 1]),
        ):
            found = group(number)
            pair = found.generate()
            for value in values:
                public = value.to_bytes(found.public_length, "little")
                self._refused(pair, public, "small an order")
            self.assertEqual(found.bits, prime.bit_length())

    def test_non_canonical(self) -> None:
        """
        The base point plus the prime is the base point; the top bit of Curve25519 is not looked at.

        Proves: RFC 8031 section 3.2
        """
        for number, prime, base in ((31, _P25519, 9), (32, _P448, 5)):
            pair = group(number).generate()
            for value in (base, base + prime):
                public = value.to_bytes(group(number).public_length, "little")
                self.assertEqual(pair.agree(public), pair.public)
        pair, good = group(31).generate(), group(31).generate().public
        marked = good[:-1] + bytes((good[-1] | 0x80,))
        self.assertEqual(pair.agree(marked), pair.agree(good))

    def test_kinds(self) -> None:
        """Every group is of a kind that is tried above."""
        kinds = [
            sum(isinstance(found, kind) for found in GROUPS.values())
            for kind in (ModularGroup, CurveGroup, MontgomeryGroup, Group)
        ]
        self.assertEqual(kinds, [11, 8, 2, 21])
