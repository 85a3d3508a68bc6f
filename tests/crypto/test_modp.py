"""
Whoever does the arithmetic of the MODP groups, the results are the same.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from isakmp.crypto import modp
from isakmp.crypto.modp import MODULAR_GROUPS, ModularGroup, NotConstantTime
from isakmp.crypto.primes import MODULI, Modulus

_NAMED = MODULI[14]
_UNNAMED = MODULI[2]


def _quiet(name: str) -> modp.FiniteField:
    """A provider of its own, that has said what it has to say."""
    field = modp.available()[name]
    if name == "python":
        field = modp._Python()
        field._said = True
    return field


class ProviderTests(SynchronousTestCase):
    def tearDown(self) -> None:
        modp.use(None)

    def test_there(self) -> None:
        """OpenSSL and Python are always there, fastest first; gmpy2 where it is installed."""
        names = list(modp.available())
        self.assertIn(names, [["openssl", "gmp", "python"], ["openssl", "python"]])

    def test_gmp_installed(self) -> None:
        """gmpy2 is among the providers that the other tests compare."""
        if "gmp" not in modp.available():
            raise SkipTest("gmpy2 is not installed")
        self.assertEqual(modp.available()["gmp"].name, "gmp")

    def test_same(self) -> None:
        """In every group, all providers make the same public value and the same secret."""
        compared = 0
        for group in MODULAR_GROUPS:
            modulus = group.modulus
            exponents = 3**90 % (modulus.order or modulus.prime), 5**60
            peer = pow(modulus.generator, 7**40, modulus.prime)
            for exponent in exponents:
                results = set()
                for name in modp.available():
                    power = _quiet(name).exponentiation(exponent, modulus)
                    results.add((power(modulus.generator), power(peer)))
                    compared += 1
                self.assertEqual(len(results), 1, group.name)
                (result,) = results
                self.assertEqual(result[0], pow(modulus.generator, exponent, modulus.prime))
        self.assertEqual(compared, 11 * 2 * len(modp.available()))

    @settings(max_examples=40, deadline=None)
    @given(st.integers(2, MODULI[5].prime - 2), st.integers(1, 2**256))
    def test_same_for_any(self, base: int, exponent: int) -> None:
        """For any base and any exponent the providers agree."""
        results = {
            _quiet(name).exponentiation(exponent, MODULI[5])(base) for name in modp.available()
        }
        self.assertEqual(results, {pow(base, exponent, MODULI[5].prime)})

    def test_between_providers(self) -> None:
        """Two ends that compute with different providers have the same secret."""
        group = MODULAR_GROUPS[3]
        for ours_name in modp.available():
            for theirs_name in modp.available():
                modp.use(ours_name)
                ours = group.generate()
                modp.use(theirs_name)
                theirs = group.generate()
                self.assertEqual(ours.agree(theirs.public), theirs.agree(ours.public))
        self.flushWarnings()

    def test_private_group(self) -> None:
        """
        A group that two peers agreed on by themselves works with every provider.

        Proves: RFC 2409 section 5.6
        """
        safe_prime = 2**591 + 2**301 + 42967
        group = ModularGroup(32768, "private", 592, Modulus(safe_prime, 2, None, 200))
        for name in modp.available():
            modp.use(name)
            ours, theirs = group.generate(), group.generate()
            self.assertEqual(len(ours.public), 74)
            self.assertEqual(ours.agree(theirs.public), theirs.agree(ours.public))
        self.flushWarnings()


class ExponentTests(SynchronousTestCase):
    """The private exponents that are drawn."""

    def setUp(self) -> None:
        self.exponents: list[int] = []
        self.patch(modp, "_used", self)

    name = "recording"

    def exponentiation(self, exponent: int, modulus: Modulus) -> Callable[[int], int]:
        self.exponents.append(exponent)
        return lambda base: pow(base, exponent, modulus.prime)

    def test_length(self) -> None:
        """Exponents have the length of their group, all of them the same, and are not alike."""
        for number, group in enumerate(MODULAR_GROUPS[:4]):
            for _ in range(8):
                group.generate()
            drawn = self.exponents[8 * number :]
            self.assertEqual(
                [exponent.bit_length() for exponent in drawn], [group.modulus.exponent_bits] * 8
            )
            self.assertEqual(len(set(drawn)), 8)

    def test_order(self) -> None:
        """
        In groups 22 to 24 exponents are below the order of the subgroup, anywhere below it.

        Proves: RFC 2631 section 2.2
        """
        group = MODULAR_GROUPS[8]
        order = group.modulus.order or 0
        for _ in range(64):
            group.generate()
        self.assertTrue(all(0 < exponent < order for exponent in self.exponents))
        halves = [2 * exponent < order for exponent in self.exponents]
        self.assertGreater(sum(halves), 4)
        self.assertLess(sum(halves), 60)


class ChoiceTests(SynchronousTestCase):
    def tearDown(self) -> None:
        modp.use(None)

    def _found(self, *names: str) -> None:
        found = {name: modp.available()[name] for name in names if name in modp.available()}
        if len(found) < len(names):
            raise SkipTest("gmpy2 is not installed")
        self.patch(modp, "_available", found)

    def test_by_prime(self) -> None:
        """OpenSSL computes with primes that it knows, gmpy2 with the others."""
        self._found("openssl", "gmp", "python")
        self.assertEqual(modp.field_for(_NAMED).name, "openssl")
        self.assertEqual(modp.field_for(MODULI[24]).name, "openssl")
        self.assertEqual(modp.field_for(_UNNAMED).name, "gmp")
        self.assertEqual(modp.field_for(MODULI[1]).name, "gmp")
        self.assertEqual(modp.field_for(Modulus(2**607 - 1, 5, None, 200)).name, "gmp")

    def test_without_gmp(self) -> None:
        """Without gmpy2 OpenSSL computes with every prime."""
        self._found("openssl", "python")
        self.assertEqual(modp.field_for(_NAMED).name, "openssl")
        self.assertEqual(modp.field_for(_UNNAMED).name, "openssl")

    def test_without_openssl(self) -> None:
        """When cryptography no longer has it, gmpy2 computes with every prime."""
        self._found("gmp", "python")
        self.assertEqual(modp.field_for(_NAMED).name, "gmp")
        self.assertEqual(modp.field_for(_UNNAMED).name, "gmp")

    def test_last_resort(self) -> None:
        """With neither, Python computes, and says once that this tells of private exponents."""
        self.patch(modp, "_available", {"python": modp._Python()})
        group = MODULAR_GROUPS[2]
        ours, theirs = group.generate(), group.generate()
        self.assertEqual(ours.agree(theirs.public), theirs.agree(ours.public))
        (warning,) = self.flushWarnings()
        self.assertIs(warning["category"], NotConstantTime)
        self.assertIn("gmpy2", warning["message"])

    def test_use(self) -> None:
        """One provider can be told to do all of it; a name that is not there is refused."""
        for name in modp.available():
            modp.use(name)
            for modulus in (_NAMED, _UNNAMED):
                self.assertEqual(modp.field_for(modulus).name, name)
        error = self.assertRaises(LookupError, modp.use, "abacus")
        self.assertIn("openssl", str(error))
        self.assertEqual(modp.field_for(_NAMED).name, "python")

    def test_missing_library(self) -> None:
        """A provider whose library is gone, or has lost what is needed, is left out."""

        def not_installed() -> modp.FiniteField:
            raise ImportError

        def removed() -> modp.FiniteField:
            raise AttributeError

        found = modp._find(not_installed, removed, modp._Python)
        self.assertEqual(list(found), ["python"])


class WarningTests(SynchronousTestCase):
    def test_deprecation(self) -> None:
        """With every warning an error the MODP groups work, and no filter is left behind."""
        program = (
            "import warnings\n"
            "before = list(warnings.filters)\n"
            "from isakmp.crypto import groups\n"
            "assert warnings.filters == before\n"
            "for number in 1, 14, 22:\n"
            "    a, b = groups.group(number).generate(), groups.group(number).generate()\n"
            "    assert a.agree(b.public) == b.agree(a.public)\n"
            "groups.use('openssl')\n"
            "a, b = groups.group(14).generate(), groups.group(14).generate()\n"
            "assert a.agree(b.public) == b.agree(a.public)\n"
            "print('agreed')\n"
        )
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", program],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "agreed\n", ""))
