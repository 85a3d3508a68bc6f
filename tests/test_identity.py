"""Identities of peers, patterns of them, and traffic selectors."""

from __future__ import annotations

import ipaddress

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from isakmp.errors import ConfigurationError, InvalidIdentity
from isakmp.identity import Identity, IdentityPattern, TrafficSelector
from isakmp.numbers import IdentityType as T

V4, V6 = b"\n\0\0\1", b"\x20\1\r\xb8" + bytes(11) + b"\1"
addresses = st.one_of(
    st.integers(0, 2**32 - 1).map(ipaddress.IPv4Address),
    st.integers(0, 2**128 - 1).map(ipaddress.IPv6Address),
)
identities = st.builds(
    Identity,
    st.one_of(st.integers(0, 14), st.integers(0, 255)),
    st.integers(0, 255),
    st.integers(0, 65535),
    st.one_of(
        st.binary(max_size=40),
        st.sampled_from([4, 8, 16, 32]).flatmap(lambda n: st.binary(min_size=n, max_size=n)),
        st.text("ab.@#%*1:", min_size=1, max_size=12).map(str.encode),
    ),
)


@st.composite
def selectors(draw: st.DrawFn) -> TrafficSelector:
    """Any addresses, protocol and port."""
    version = draw(st.sampled_from([4, 6]))
    largest = 2 ** (32 if version == 4 else 128) - 1
    ends = st.one_of(st.integers(0, largest), st.integers(0, 20), st.just(largest))
    first, last = sorted((draw(ends), draw(ends)))
    protocol = draw(st.one_of(st.integers(0, 255), st.sampled_from([0, 1, 6, 17])))
    return TrafficSelector(version, first, last, protocol, draw(st.integers(0, 65535)))


class ParseTests(SynchronousTestCase):
    def test_kinds(self) -> None:
        """
        An identity is spelled as strongSwan's users spell it.

        Proves: RFC 2407 section 4.6.2.1
        """
        for text, kind, data in (
            ("10.0.0.1", T.IPV4_ADDR, V4),
            ("2001:DB8:0::1", T.IPV6_ADDR, V6),
            ("gw.example.org", T.FQDN, b"gw.example.org"),
            ("@gw.example.org", T.FQDN, b"gw.example.org"),
            ("@10.0.0.1", T.FQDN, b"10.0.0.1"),
            ("joe@example.org", T.USER_FQDN, b"joe@example.org"),
            ("@@joe@example.org", T.USER_FQDN, b"joe@example.org"),
            ("@@joe", T.USER_FQDN, b"joe"),
            ("@#00ff10", T.KEY_ID, b"\0\xff\x10"),
            ("10.0.0.256", T.FQDN, b"10.0.0.256"),
        ):
            self.assertEqual(Identity.parse(text), Identity(kind, 0, 0, data), text)

    def test_mistakes(self) -> None:
        """What could never be matched by a peer's identity is a mistake at once."""
        for text in (
            *("", "@", "@@", "@#", "@#0", "@#xy", "a b", "C=DE, CN=gw", "gw\n", "\x7f"),
            *("münchen.example", "@münchen", "joe@münchen"),
        ):
            error = self.assertRaises(ConfigurationError, Identity.parse, text)
            self.assertIn(repr(text), str(error))

    def test_address(self) -> None:
        """An address may have a protocol and a port; anything else is not one."""
        self.assertEqual(Identity.address("10.0.0.1", 6, 80), Identity(T.IPV4_ADDR, 6, 80, V4))
        self.assertRaises(ValueError, Identity.address, "gw.example.org")

    @settings(deadline=None)
    @given(st.text(max_size=30))
    def test_any_text(self, text: str) -> None:
        """Any text is an identity that a peer may send, or a mistake that is named."""
        try:
            identity = Identity.parse(text)
        except ConfigurationError:
            return
        self.assertEqual(identity.checked(), identity)
        self.assertEqual(Identity.parse(str(identity)), identity)


class CheckedTests(SynchronousTestCase):
    def test_good(self) -> None:
        """
        Data of the form that its type asks for is taken.

        Proves: RFC 2407 section 4.6.2
        """
        for kind, data in (
            (T.IPV4_ADDR, V4),
            (T.IPV6_ADDR, V6),
            (T.IPV4_ADDR_SUBNET, V4 + b"\xff\xff\xff\0"),
            (T.IPV4_ADDR_SUBNET, bytes(8)),
            (T.IPV4_ADDR_SUBNET, V4 + b"\xff" * 4),
            (T.IPV6_ADDR_SUBNET, V6 + b"\xff" * 8 + bytes(8)),
            (T.IPV4_ADDR_RANGE, V4 + V4),
            (T.IPV6_ADDR_RANGE, bytes(16) + b"\xff" * 16),
            (T.FQDN, b"x"),
            (T.USER_FQDN, b"~!"),
            (T.KEY_ID, b"\0\n\xff"),
            (T.DER_ASN1_DN, b"0\0"),
            (99, b"anything"),
            (0, b""),
        ):
            identity = Identity(kind, 0, 0, data)
            self.assertIs(identity.checked(), identity)

    def test_bad(self) -> None:
        """
        Data of another form is refused, and why is said.

        Proves: RFC 2407 section 4.6.2
        """
        for kind, data, why in (
            (T.IPV4_ADDR, b"", "0 octets where 4"),
            (T.IPV4_ADDR, V6, "16 octets where 4"),
            (T.IPV6_ADDR, V4, "4 octets where 16"),
            (T.IPV4_ADDR_SUBNET, V4, "4 octets where 8"),
            (T.IPV6_ADDR_SUBNET, V6 + b"\xff", "17 octets where 32"),
            (T.IPV4_ADDR_RANGE, bytes(9), "9 octets where 8"),
            (T.IPV6_ADDR_RANGE, V6, "16 octets where 32"),
            (T.IPV4_ADDR_SUBNET, V4 + b"\xff\0\xff\0", "not contiguous"),
            (T.IPV4_ADDR_SUBNET, V4 + b"\0\0\0\xff", "not contiguous"),
            (T.IPV6_ADDR_SUBNET, V6 + bytes(15) + b"\1", "not contiguous"),
            (T.IPV4_ADDR_RANGE, V4 + bytes(4), "ends before"),
            (T.IPV6_ADDR_RANGE, V6 + bytes(16), "ends before"),
            (T.FQDN, b"", "printable"),
            (T.FQDN, b"gw.example.org\0", "printable"),
            (T.FQDN, b"gw example", "printable"),
            (T.FQDN, b"gw\x7f", "printable"),
            (T.USER_FQDN, "jörg@example.org".encode(), "printable"),
        ):
            error = self.assertRaises(InvalidIdentity, Identity(kind, 0, 0, data).checked)
            self.assertIn(why, str(error))
            self.assertIn(T(kind).spelled, str(error))

    def test_short(self) -> None:
        """What is refused is not written into the log at its full length."""
        error = self.assertRaises(InvalidIdentity, Identity(1, 0, 0, b"\xff" * 65000).checked)
        self.assertLess(len(str(error)), 300)

    @settings(deadline=None)
    @given(identities)
    def test_anything(self, identity: Identity) -> None:
        """Whatever a peer sends is an identity or refused, and can be written down."""
        self.assertTrue(str(identity).isprintable())
        self.assertTrue(str(identity))
        try:
            identity.checked()
        except InvalidIdentity:
            return
        bounds = identity.bounds
        if bounds is not None:
            version, first, last = bounds
            self.assertTrue(0 <= first <= last < 2 ** (32 if version == 4 else 128))


class SpellTests(SynchronousTestCase):
    def test_spelled(self) -> None:
        """Each kind can be recognized, and none looks like another."""
        for kind, data, text in (
            (T.IPV4_ADDR, V4, "10.0.0.1"),
            (T.IPV6_ADDR, V6, "2001:db8::1"),
            (T.IPV4_ADDR_SUBNET, V4 + b"\xff\0\0\0", "10.0.0.0/8"),
            (T.IPV4_ADDR_RANGE, V4 + b"\n\0\0\x09", "10.0.0.1-10.0.0.9"),
            (T.FQDN, b"gw.example.org", "gw.example.org"),
            (T.FQDN, b"10.0.0.1", "@10.0.0.1"),
            (T.FQDN, b"joe@example.org", "@joe@example.org"),
            (T.FQDN, b"@x", "ID_FQDN:4078"),
            (T.FQDN, b"#00", "#00"),
            (T.FQDN, b"@#00", "ID_FQDN:40233030"),
            (T.USER_FQDN, b"joe@example.org", "joe@example.org"),
            (T.USER_FQDN, b"joe", "@@joe"),
            (T.KEY_ID, b"\0\xff", "@#00ff"),
            (T.KEY_ID, b"", "ID_KEY_ID:"),
            (T.FQDN, b"gw\nforged line", "ID_FQDN:67770a666f72676564206c696e65"),
            (T.FQDN, b"\x1b[31m", "ID_FQDN:1b5b33316d"),
            (T.IPV4_ADDR, b"\1\2\3", "ID_IPV4_ADDR:010203"),
            (T.DER_ASN1_DN, b"0\0", "ID_DER_ASN1_DN:3000"),
            (200, b"\1", "UNKNOWN-200:01"),
            (T.KEY_ID, b"\1" * 64, "@#" + "01" * 64),
            (T.KEY_ID, b"\1" * 1000, "@#" + "01" * 64 + "..."),
            (T.FQDN, b"x" * 1000, "ID_FQDN:" + "78" * 64 + "..."),
        ):
            self.assertEqual(str(Identity(kind, 0, 0, data)), text)

    @settings(deadline=None)
    @given(identities)
    def test_not_mistaken(self, identity: Identity) -> None:
        """A spelling that can be read is read as the identity it was made of."""
        spelled = str(identity)
        if spelled.startswith(("ID_", "UNKNOWN")) or "/" in spelled or "-" in spelled:
            return
        try:
            again = Identity.parse(spelled)
        except ConfigurationError:
            self.assertIn("...", spelled)
        else:
            wanted = identity.bounds or identity.data
            self.assertEqual(again.bounds or again.data, wanted)


class SamePartyTests(SynchronousTestCase):
    def test_same(self) -> None:
        """Case does not matter in names, protocol and port never."""
        for one, other in (
            ("GW.Example.org", "gw.example.ORG"),
            ("Joe@example.org", "joe@EXAMPLE.org"),
            ("10.0.0.1", "10.0.0.1"),
            ("2001:db8::1", "2001:DB8:0:0::1"),
            ("@#AB", "@#ab"),
        ):
            self.assertTrue(Identity.parse(one).same_party(Identity.parse(other)))
        self.assertTrue(
            Identity.address("10.0.0.1", 17, 500).same_party(Identity.parse("10.0.0.1"))
        )

    def test_other(self) -> None:
        """A name is not an address, a user not a host, a key id exact."""
        for one, other in (
            ("10.0.0.1", "@10.0.0.1"),
            ("10.0.0.1", "10.0.0.2"),
            ("joe@example.org", "@joe@example.org"),
            ("gw.example.org", "gw.example.org."),
            ("@#6162", "@ab"),
            ("@#6162", "@#4142"),
        ):
            self.assertFalse(Identity.parse(one).same_party(Identity.parse(other)))


class PatternTests(SynchronousTestCase):
    def test_matches(self) -> None:
        """%any takes all, * all names, *.domain its hosts, *@domain its users."""
        for pattern, yes, no in (
            ("%any", ("10.0.0.1", "gw.example.org", "joe@example.org", "@#00"), ()),
            ("*", ("gw.example.org", "joe@example.org"), ("10.0.0.1", "@#00")),
            (
                "*.Example.org",
                ("gw.example.org", "A.B.EXAMPLE.ORG"),
                (
                    *("example.org", "gw.example.com", "gwexample.org", "@.example.org"),
                    *("joe@gw.example.org", "10.0.0.1", "gw.example.org.evil"),
                ),
            ),
            (
                "*@example.org",
                ("joe@example.org", "JOE@EXAMPLE.ORG"),
                ("@@@example.org", "joe@gw.example.org", "@joe@example.org", "example.org"),
            ),
            ("gw.example.org", ("GW.example.org",), ("x.gw.example.org", "10.0.0.1")),
            ("10.0.0.1", ("10.0.0.1",), ("10.0.0.2", "@10.0.0.1")),
            ("@#0102", ("@#0102",), ("@#01", "@#010203")),
        ):
            for text in yes:
                self.assertTrue(IdentityPattern(pattern).matches(Identity.parse(text)), text)
            for text in no:
                self.assertFalse(IdentityPattern(pattern).matches(Identity.parse(text)), text)
            self.assertEqual(str(IdentityPattern(pattern)), pattern)

    def test_mistakes(self) -> None:
        """A pattern that no identity could match is a mistake when it is configured."""
        for text in ("", "@#xy", "two words", "@"):
            self.assertRaises(ConfigurationError, IdentityPattern, text)

    @settings(deadline=None)
    @given(identities, st.sampled_from(["%any", "*", "*.a", "*@b.a", "a.b", "10.0.0.1", "@#00"]))
    def test_anything(self, identity: Identity, text: str) -> None:
        """Whatever identity a peer sends, a pattern says yes or no."""
        self.assertIsInstance(IdentityPattern(text).matches(identity), bool)


    def test_no_names(self) -> None:
        """
        A pattern of octets that no name has is refused where it is configured: it would match
        nobody, or whom it does not mean, and could write what it likes into the log.
        """
        for text in ("*.\x1b[31m", "*\nb.example.org", "*@a b", "*\0", "*\u00e9.org", "*\udcff"):
            with self.assertRaises(ConfigurationError) as raised:
                IdentityPattern(text)
            self.assertTrue(str(raised.exception).isprintable())


class SelectorTests(SynchronousTestCase):
    def test_parse(self) -> None:
        """Traffic is spelled as strongSwan's users spell it."""
        for text, spelled in (
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("10.0.0.1", "10.0.0.1"),
            ("10.0.0.1/32", "10.0.0.1"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("::/0", "::/0"),
            ("2001:db8::/64", "2001:db8::/64"),
            ("10.0.0.1-10.0.0.9", "10.0.0.1-10.0.0.9"),
            ("10.0.0.1 - 10.0.0.9", "10.0.0.1-10.0.0.9"),
            ("10.0.0.0-10.0.0.255", "10.0.0.0/24"),
            ("10.0.0.1[tcp/80]", "10.0.0.1[tcp/80]"),
            ("10.0.0.1[TCP]", "10.0.0.1[tcp]"),
            ("10.0.0.1[6/80]", "10.0.0.1[tcp/80]"),
            ("10.0.0.1[udp/any]", "10.0.0.1[udp]"),
            ("10.0.0.1[any/53]", "10.0.0.1[any/53]"),
            ("10.0.0.1[132]", "10.0.0.1[132]"),
            ("10.0.0.1[]", "10.0.0.1"),
            ("10.0.0.0/8[1]", "10.0.0.0/8[icmp]"),
            ("10.0.0.0/8[47]", "10.0.0.0/8[gre]"),
            ("::/0[58]", "::/0[icmpv6]"),
            ("10.0.0.1[115]", "10.0.0.1[l2tp]"),
        ):
            selector = TrafficSelector.parse(text)
            self.assertEqual(str(selector), spelled)
            self.assertEqual(TrafficSelector.parse(spelled), selector)

    def test_mistakes(self) -> None:
        """What is not a selector is named."""
        for text in (
            *("", "x", "10.0.0.0/33", "10.0.0.9-10.0.0.1", "10.0.0.1-2001:db8::1", "10.0.0.1-"),
            *("10.0.0.1[", "10.0.0.1[tcp", "10.0.0.1[tcp/80", "10.0.0.1[foo]", "10.0.0.1[256]"),
            *("10.0.0.1[tcp/65536]", "10.0.0.1[tcp/-1]", "10.0.0.1[-1]", "10.0.0.1[tcp/http]"),
            *("gw.example.org", "10.0.0.0/8/8", "10.0.0.1]"),
        ):
            error = self.assertRaises(ConfigurationError, TrafficSelector.parse, text)
            self.assertIn(repr(text), str(error))

    def test_of(self) -> None:
        """
        A client identity names traffic if it names addresses, else it is refused.

        Proves: RFC 2409 section 5.5
        """
        identity = Identity(T.IPV4_ADDR_SUBNET, 6, 80, V4 + b"\xff\0\0\0")
        self.assertEqual(TrafficSelector.of(identity), TrafficSelector.parse("10.0.0.0/8[tcp/80]"))
        for kind, data in (
            (T.FQDN, b"gw.example.org"),
            (T.USER_FQDN, b"joe@example.org"),
            (T.KEY_ID, b"\1\2\3\4"),
            (T.DER_ASN1_DN, b"0\0"),
            (T.LIST, b"\1\0\0\0" + V4),
            (0, V4),
            (255, b""),
            (T.IPV4_ADDR, b"\1"),
            (T.IPV4_ADDR_RANGE, V4 + bytes(4)),
        ):
            self.assertRaises(InvalidIdentity, TrafficSelector.of, Identity(kind, 0, 0, data))

    def test_identity(self) -> None:
        """
        Traffic becomes the plainest type of identity that names it.

        Proves: RFC 2407 section 4.6.2
        """
        for text, kind in (
            ("10.0.0.1", T.IPV4_ADDR),
            ("10.0.0.0/8", T.IPV4_ADDR_SUBNET),
            ("0.0.0.0/0", T.IPV4_ADDR_SUBNET),
            ("10.0.0.1-10.0.0.2", T.IPV4_ADDR_RANGE),
            ("2001:db8::1", T.IPV6_ADDR),
            ("::/0", T.IPV6_ADDR_SUBNET),
            ("2001:db8::1-2001:db8::9", T.IPV6_ADDR_RANGE),
        ):
            self.assertEqual(TrafficSelector.parse(text).identity().kind, kind)
        self.assertEqual(
            TrafficSelector.parse("10.0.0.0/8[17/53]").identity(),
            Identity(T.IPV4_ADDR_SUBNET, 17, 53, b"\n\0\0\0\xff\0\0\0"),
        )

    @settings(deadline=None)
    @given(selectors())
    def test_round_trip(self, selector: TrafficSelector) -> None:
        """What is said to a peer, or in a configuration, is understood as it was meant."""
        self.assertEqual(TrafficSelector.of(selector.identity()), selector)
        self.assertEqual(TrafficSelector.parse(str(selector)), selector)

    def test_host(self) -> None:
        """All traffic of an address."""
        self.assertEqual(TrafficSelector.host("10.0.0.1"), TrafficSelector.parse("10.0.0.1"))
        self.assertEqual(TrafficSelector.host("2001:db8::1").version, 6)

    def test_within(self) -> None:
        """Narrower is within wider, for addresses, protocol and port each."""
        for narrow, wide, within in (
            ("10.1.0.0/16", "10.0.0.0/8", True),
            ("10.0.0.0/8", "10.0.0.0/8", True),
            ("10.0.0.0/8", "10.1.0.0/16", False),
            ("10.0.0.0-10.1.0.0", "10.0.0.0/16", False),
            ("9.255.255.255-10.0.0.1", "10.0.0.0/8", False),
            ("0.0.0.0/0", "::/0", False),
            ("0.0.0.1", "::/0", False),
            ("10.0.0.1[tcp/80]", "10.0.0.0/8", True),
            ("10.0.0.1[tcp/80]", "10.0.0.0/8[tcp]", True),
            ("10.0.0.1[tcp]", "10.0.0.0/8[tcp/80]", False),
            ("10.0.0.1", "10.0.0.0/8[tcp]", False),
            ("10.0.0.1[udp/80]", "10.0.0.0/8[tcp/80]", False),
        ):
            pair = TrafficSelector.parse(narrow), TrafficSelector.parse(wide)
            self.assertEqual(pair[0].within(pair[1]), within, (narrow, wide))

    @settings(deadline=None)
    @given(selectors(), selectors(), selectors())
    def test_order(self, a: TrafficSelector, b: TrafficSelector, c: TrafficSelector) -> None:
        """Within is an order: of itself, not both ways, and through."""
        self.assertTrue(a.within(a))
        if a.within(b) and b.within(a):
            self.assertEqual(a, b)
        if a.within(b) and b.within(c):
            self.assertTrue(a.within(c))

    @settings(deadline=None)
    @given(addresses)
    def test_addresses(self, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
        """An address is the same as identity, selector and text."""
        identity = Identity.address(str(address))
        self.assertEqual(TrafficSelector.of(identity), TrafficSelector.host(str(address)))
        self.assertEqual(str(identity), str(address))
