"""How strongSwan's users spell who somebody is."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from isakmp.config.identities import identity, owners, spelled
from isakmp.credentials.pre_shared_keys import PreSharedKeys, SharedSecret
from isakmp.identity import Identity, IdentityPattern
from isakmp.numbers import IdentityType

FQDN, USER, KEY = IdentityType.FQDN, IdentityType.USER_FQDN, IdentityType.KEY_ID
V4, V6 = IdentityType.IPV4_ADDR, IdentityType.IPV6_ADDR


class IdentityTests(SynchronousTestCase):
    def test_types(self) -> None:
        """The type is what the spelling says, as strongSwan reads it."""
        for text, kind, data in (
            ("gw.example.org", FQDN, b"gw.example.org"),
            ("gw", FQDN, b"gw"),
            ("@gw.example.org", FQDN, b"gw.example.org"),
            ("user@example.org", USER, b"user@example.org"),
            ("@@user", USER, b"user"),
            ("192.0.2.1", V4, b"\xc0\0\2\1"),
            ("2001:db8::1", V6, bytes.fromhex("20010db8") + bytes(11) + b"\1"),
            ("@#0102ff", KEY, b"\1\2\xff"),
            ("fqdn:192.0.2.1", FQDN, b"192.0.2.1"),
            ("dns:gw", FQDN, b"gw"),
            ("FQDN:gw", FQDN, b"gw"),
            ("email:user", USER, b"user"),
            ("rfc822:a@b", USER, b"a@b"),
            ("userfqdn:a@b", USER, b"a@b"),
            ("fqdn:#6777", FQDN, b"gw"),
            ("keyid:gw", KEY, b"gw"),
            ("keyid:#01:02", KEY, b"\1\2"),
            ("keyid:p\xe4ss", KEY, "p\xe4ss".encode()),
            ("ipv4:#c0000201", V4, b"\xc0\0\2\1"),
            ("{2}:gw", FQDN, b"gw"),
            ("{11}:#00", KEY, b"\0"),
            ("some:thing", KEY, b"some:thing"),
        ):
            wanted = Identity(kind, 0, 0, data)
            self.assertEqual(identity(text), wanted, text)
            self.assertEqual(IdentityPattern(spelled(text)).exact, wanted, text)

    def test_anybody(self) -> None:
        """All ways to say it; our own identity is our address then."""
        for text in ("%any", "%any6", "*", "0.0.0.0", "::", "0::0", ""):
            self.assertEqual(spelled(text), "%any")
            self.assertIsNone(identity(text))
            self.assertEqual(owners(text), ("%any",))

    def test_patterns(self) -> None:
        """Patterns are for others, not for us."""
        for text, wanted in (
            ("*.example.org", "*.example.org"),
            ("*@example.org", "*@example.org"),
            ("fqdn:*.example.org", "*.example.org"),
            ("email:*@example.org", "*@example.org"),
        ):
            self.assertEqual(spelled(text), wanted)
            self.assertIn("is a pattern", str(self.assertRaises(ValueError, identity, text)))
        for text in ("email:*.example.org", "fqdn:*@example.org"):
            self.assertIn("can match no", str(self.assertRaises(ValueError, spelled, text)))

    def test_refused(self) -> None:
        """What is not built is named; nothing is taken for something else."""
        for text, why in (
            ("C=CH, O=strongSwan, CN=gw", "distinguished names are not built yet"),
            ("asn1dn:#3000", "not built yet"),
            ("asn1gn:x", "not built yet"),
            ("uri:http://x", "not built yet"),
            ("ipv4net:10.0.0.0/8", "not built yet"),
            ("{9}:x", "not built yet"),
            ("{0xff}:x", "not built yet"),
            ("fqdn:^gw[0-9]$", "regular expressions are not built yet"),
            ("10.0.0.0/8", "a network is no identity"),
            ("10.0.0.1-10.0.0.9", "a network is no identity"),
            ("ipv4:10.0.0.1", "belong 4 octets"),
            ("ipv6:#0001", "belong 16 octets"),
            ("keyid:#0g", "hexadecimal"),
            ("keyid:", "empty"),
            ("fqdn:", "empty"),
            ("@", "empty"),
            ("%anybody", "is nobody"),
            ("two words", "blanks"),
            ("g\xe4teway", "is not an identity"),
            ("fqdn:#236161", "is not a name"),
            ("fqdn:#ff", "is not an identity"),
        ):
            error = str(self.assertRaises(ValueError, spelled, text))
            self.assertIn(why, error, text)

    def test_owners(self) -> None:
        """A secret may belong to a network, or to a range of addresses."""
        for text, wanted in (
            ("10.0.0.0/8", ("10.0.0.0/8",)),
            ("10.0.0.0-10.0.0.2", ("10.0.0.0/31", "10.0.0.2/32")),
            ("2001:db8::/32", ("2001:db8::/32",)),
            ("gate-way/x", ("gate-way/x",)),
            ("fqdn:gw", ("@gw",)),
            ("user@10.0.0.0/8", ("user@10.0.0.0/8",)),
        ):
            self.assertEqual(owners(text), wanted)

    @given(st.text())
    @example("gate-way/x")
    @example("/")
    @example("10.0.0.0/33")
    @example("1:/")
    def test_any_text(self, text: str) -> None:
        """No text raises anything else, and what is taken can be used."""
        try:
            IdentityPattern(spelled(text))
            identity(text)
        except ValueError:
            pass
        try:
            found = owners(text)
        except ValueError:
            return
        PreSharedKeys([SharedSecret(b"x", found)])
