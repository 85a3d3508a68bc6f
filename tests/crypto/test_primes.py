"""
The moduli are the ones that the RFCs describe.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from isakmp.crypto.primes import MODULI

# group: bits of the prime, and the number that RFC 2409 section 6 or RFC 3526 adds to pi.
_OAKLEY = {
    1: (768, 149686),
    2: (1024, 129093),
    5: (1536, 741804),
    14: (2048, 124476),
    15: (3072, 1690314),
    16: (4096, 240904),
    17: (6144, 929484),
    18: (8192, 4743158),
}


def _arctan_of_inverse(number: int, one: int) -> int:
    """arctan(1 / number), in units of 1 / one."""
    term = total = one // number
    divisor, sign = 1, 1
    while term:
        term //= number * number
        divisor, sign = divisor + 2, -sign
        total += sign * (term // divisor)
    return total


def _pi(bits: int) -> int:
    """[2^bits pi], by Machin's formula."""
    guard = 64
    one = 1 << (bits + guard)
    return (16 * _arctan_of_inverse(5, one) - 4 * _arctan_of_inverse(239, one)) >> guard


def _probably_prime(number: int) -> bool:
    """Miller and Rabin's test with four bases."""
    odd, twos = number - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for base in (2, 3, 5, 7):
        power = pow(base, odd, number)
        if power in (1, number - 1):
            continue
        for _ in range(twos - 1):
            power = power * power % number
            if power == number - 1:
                break
        else:
            return False
    return True


class ModulusTests(SynchronousTestCase):
    def test_pi(self) -> None:
        """The pi that the primes are compared with is the one that everybody knows."""
        self.assertEqual(_pi(64), 0x3243F6A8885A308D3)

    def test_formula(self) -> None:
        """
        The safe primes are 2^n - 2^(n-64) - 1 + 2^64 * { [2^(n-130) pi] + c }, generator 2.

        Proves: RFC 2409 section 6.1
        Proves: RFC 2409 section 6.2
        Proves: RFC 3526 section 2
        Proves: RFC 3526 section 3
        Proves: RFC 3526 section 4
        Proves: RFC 3526 section 5
        Proves: RFC 3526 section 6
        Proves: RFC 3526 section 7
        """
        for number, (bits, constant) in _OAKLEY.items():
            prime = 2**bits - 2 ** (bits - 64) - 1 + 2**64 * (_pi(bits - 130) + constant)
            modulus = MODULI[number]
            self.assertEqual(modulus.prime, prime, number)
            self.assertEqual((modulus.generator, modulus.order), (2, None))
            self.assertEqual((modulus.bits, modulus.octets), (bits, bits // 8))

    def test_safe_prime(self) -> None:
        """2 generates the subgroup of order (p - 1) / 2, which is prime as p is."""
        for number in (1, 2, 5, 14):
            prime = MODULI[number].prime
            self.assertTrue(_probably_prime(prime))
            self.assertTrue(_probably_prime(prime // 2))
            self.assertEqual(pow(2, prime // 2, prime), 1)
        self.assertFalse(_probably_prime(MODULI[1].prime * MODULI[2].prime))

    def test_subgroup(self) -> None:
        """
        In groups 22 to 24 p and q are prime, and g generates the subgroup of order q.

        Proves: RFC 5114 section 2.1
        Proves: RFC 5114 section 2.2
        Proves: RFC 5114 section 2.3
        """
        for number, bits, order_bits in ((22, 1024, 160), (23, 2048, 224), (24, 2048, 256)):
            modulus = MODULI[number]
            order = modulus.order or 0
            self.assertEqual((modulus.bits, order.bit_length()), (bits, order_bits))
            self.assertTrue(_probably_prime(modulus.prime))
            self.assertTrue(_probably_prime(order))
            self.assertEqual((modulus.prime - 1) % order, 0)
            self.assertTrue(1 < modulus.generator < modulus.prime)
            self.assertEqual(pow(modulus.generator, order, modulus.prime), 1)

    def test_no_other(self) -> None:
        """Every MODP group that is there has been looked at above."""
        self.assertEqual(set(MODULI), {*_OAKLEY, 22, 23, 24})

    def test_exponents(self) -> None:
        """
        Private exponents are long enough: RFC 3526's first estimate at least, 160 bits at least.

        Proves: RFC 3526 section 8
        Proves: RFC 2409 section 8
        """
        estimate = {1: 160, 2: 160, 5: 180, 14: 220, 15: 260, 16: 300, 17: 340, 18: 380}
        for number, bits in estimate.items():
            self.assertGreaterEqual(MODULI[number].exponent_bits, bits)
