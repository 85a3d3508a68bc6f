"""What a value of ``swanctl.conf`` can be."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from isakmp.config import values
from isakmp.handling import Mark, Unique
from isakmp.identity import TrafficSelector


class ValueTests(SynchronousTestCase):
    def assert_reads(
        self, read: Callable[[str], object], valid: dict[str, object], *invalid: str
    ) -> None:
        """The valid ones are read so; the others are refused with a sentence."""
        for text, wanted in valid.items():
            self.assertEqual(read(text), wanted, text)
        for text in invalid:
            error = self.assertRaises(ValueError, read, text)
            self.assertIn(" ", str(error), text)

    def test_booleans(self) -> None:
        """All of strongSwan's words, in any case."""
        self.assert_reads(
            values.boolean,
            {
                **dict.fromkeys(("yes", "true", "enabled", "1", "YES", "True"), True),
                **dict.fromkeys(("no", "false", "disabled", "0", "No", "FALSE"), False),
            },
            "",
            "on",
            "2",
            "yes no",
        )

    def test_numbers(self) -> None:
        """Decimal, and hexadecimal and octal as C writes them."""
        self.assert_reads(
            values.number,
            {"0": 0, "00": 0, "10": 10, "0x10": 16, "0X1f": 31, "020": 16, "4294967295": 2**32 - 1},
            *(
                "",
                "-1",
                "+1",
                "1.5",
                "x",
                "0x",
                "08",
                "1 2",
                "4294967296",
                "9" * 50,
                "1k",
                "\u0663",
            ),
        )

    def test_times(self) -> None:
        """Seconds, minutes, hours, days."""
        self.assert_reads(
            values.seconds,
            {"0": 0, "90": 90, "90s": 90, "3m": 180, "4h": 14400, "1d": 86400, "2 H": 7200},
            *("", "s", "-1s", "1w", "1h30m", "1.5h", "1hh", "49711d", "forever"),
        )
        self.assertIn("days", str(self.assertRaises(ValueError, values.seconds, "1w")))

    def test_volumes(self) -> None:
        """Octets, and multiples of 1024."""
        self.assert_reads(
            values.octets,
            {"0": 0, "500": 500, "1k": 1024, "2M": 2 * 2**20, "1 g": 2**30},
            *("", "1t", "k", "1kb", "99999999999999999999"),
        )

    def test_ports(self) -> None:
        """1 to 65535."""
        self.assert_reads(values.port, {"1": 1, "500": 500, "65535": 65535}, "0", "65536", "isakmp")

    def test_codepoints(self) -> None:
        """Binary digits."""
        self.assert_reads(values.binary, {"000000": 0, "101110": 46}, "", "2", "1111111", "0b1")

    def test_marks(self) -> None:
        """Numbers with a mask, and what is to be unique; what is beyond a mask does not count."""
        self.assert_reads(
            values.mark,
            {
                "0/0x00000000": None,
                "0": Mark(0),
                "0/0xff": Mark(0, 0xFF),
                "42": Mark(42),
                "0x2a/0xff": Mark(42, 0xFF),
                "0x12a/0xff": Mark(42, 0xFF),
                "%unique": Mark(Unique()),
                "%UNIQUE-dir/0xff00": Mark(Unique(by_direction=True), 0xFF00),
            },
            *("", "%any", "%same", "%unique/0", "1/", "1/2/3", "x", "0x100000000"),
        )

    def test_marks_to_set(self) -> None:
        """A number with a mask, or that of the policies; nothing that would be unique."""
        self.assert_reads(
            values.set_mark,
            {"0/0": None, "42/0xff": Mark(42, 0xFF), "%same/0xf": Mark(Unique(), 0xF)},
            *("", "%unique", "%unique-dir", "%same/", "same"),
        )

    def test_interface_ids(self) -> None:
        """A number, and nothing with a mask."""
        self.assert_reads(
            values.interface_id,
            {"0": 0, "0x2a": 42, "%unique": Unique(), "%unique-dir": Unique(by_direction=True)},
            *("", "1/0xff", "%same", "%unique/1", "xfrm0"),
        )

    def test_interfaces(self) -> None:
        """What Linux would take for a name."""
        self.assert_reads(
            values.interface,
            {"": "", "eth0": "eth0", "enp0s31f6.4094": "enp0s31f6.4094"},
            *("a b", "../eth0", "sixteen-letters-", "ethernet0\n"),
        )

    def test_lists(self) -> None:
        """What stands between commas."""
        self.assert_reads(
            values.items,
            {"": (), "a": ("a",), " a , b,c ": ("a", "b", "c"), ",,a,": ("a",), "a b": ("a b",)},
        )

    def test_addresses(self) -> None:
        """Addresses, networks, ranges and anything; a single address comes first."""
        self.assert_reads(
            values.addresses,
            {
                "": (),
                "%any": (),
                "192.0.2.1": ("192.0.2.1",),
                "192.0.2.9/24": ("192.0.2.0/24",),
                "192.0.2.1 , 2001:DB8::0:1": ("192.0.2.1", "2001:db8::1"),
                "10.0.0.1-10.0.0.9": ("10.0.0.1-10.0.0.9",),
                "10.0.0.0/8, 192.0.2.1": ("192.0.2.1", "10.0.0.0/8"),
                "192.0.2.1, %any": ("192.0.2.1", "0.0.0.0/0", "::/0"),
                "%any4": ("0.0.0.0/0",),
                "%any6": ("::/0",),
                "0.0.0.0": ("0.0.0.0/0",),
                "::": ("::/0",),
                "192.0.2.1, 192.0.2.1": ("192.0.2.1",),
            },
            *("192.0.2", "192.0.2.1/33", "192.0.2.1/x", "192.0.2.1/255.0.0.0", "192.0.2.1[tcp]"),
            *("10.0.0.9-10.0.0.1", "fe80::1%eth0", "%all", "192.0.2.256", "1/2/3"),
        )

    def test_names_are_not_resolved(self) -> None:
        """A name for an address is refused with a sentence, for it would select less."""
        for text in ("vpn.example.org", "gateway", "192.0.2.1, vpn.example.org", "cafe"):
            error = self.assertRaises(ValueError, values.addresses, text)
            self.assertIn("names are not resolved yet; valid are addresses", str(error))

    def test_selectors(self) -> None:
        """Networks and ranges, with protocol and port by number or name."""
        ten = TrafficSelector.parse("10.0.0.0/8")
        for text, wanted in (
            ("10.0.0.0/8", ten),
            ("10.1.2.3/8", ten),
            ("10.0.0.1-10.0.0.9", TrafficSelector(4, 0x0A000001, 0x0A000009)),
            ("2001:db8::/32", TrafficSelector.parse("2001:db8::/32")),
            ("10.0.0.0/8[tcp/80]", TrafficSelector(4, ten.first, ten.last, 6, 80)),
            ("10.0.0.0/8[6/0x50]", TrafficSelector(4, ten.first, ten.last, 6, 80)),
            ("10.0.0.0/8 [udp]", TrafficSelector(4, ten.first, ten.last, 17)),
            ("10.0.0.0/8[tcp/any]", TrafficSelector(4, ten.first, ten.last, 6)),
            ("10.0.0.0/8[ipv6-icmp/128]", TrafficSelector(4, ten.first, ten.last, 58, 128)),
            *((f"10.0.0.0/8[{nothing}]", ten) for nothing in ("", "any", "0", "/", "any/any")),
        ):
            self.assertEqual(values.selector(text, None), wanted, text)
        for text in (
            *("", "10.0.0.0/40", "10.0.0.0/8[", "10.0.0.0/8[tcp", "10.0.0.0/8]", "x", "%any"),
            *("10.0.0.0/8[tcp/http/x]", "10.0.0.0/8[256]", "10.0.0.0/8[tcp/65536]"),
            *("10.0.0.0/8[no-such]", "10.0.0.0/8[tcp/no-such]", "10.0.0.0/8[tcp][udp]"),
        ):
            self.assertRaises(ValueError, values.selector, text, None)

    def test_services(self) -> None:
        """Names of protocols and services are those of this host's tables."""
        self.patch(values.socket, "getprotobyname", {"sctp": 132}.__getitem__)
        self.patch(values.socket, "getservbyname", {"http": 80}.__getitem__)
        found = values.selector("10.0.0.1[sctp/http]", None)
        assert found is not None
        self.assertEqual((found.protocol, found.port), (132, 80))

    def test_what_ikev1_cannot_select(self) -> None:
        """One port or all; and a port is of a protocol."""
        for text in ("10.0.0.1[tcp/1-1023]", "10.0.0.1[tcp/opaque]"):
            error = self.assertRaises(ValueError, values.selector, text, None)
            self.assertIn("IKEv1 selects one port or all", str(error))
        error = self.assertRaises(ValueError, values.selector, "10.0.0.1[any/80]", None)
        self.assertIn("a port needs a protocol before it: [tcp/80]", str(error))

    def test_dynamic(self) -> None:
        """``dynamic`` is the one address that is known, or whatever it will be."""
        host = TrafficSelector.host("192.0.2.1")
        self.assertEqual(values.selector("dynamic", "192.0.2.1"), host)
        self.assertEqual(
            values.selector("dynamic[udp/53]", "192.0.2.1"),
            TrafficSelector(4, host.first, host.last, 17, 53),
        )
        self.assertIsNone(values.selector("dynamic", None))
        error = self.assertRaises(ValueError, values.selector, "dynamic[tcp]", None)
        self.assertIn("has to be known", str(error))

    def test_secrets(self) -> None:
        """Text, hexadecimal, base 64; whatever is wrong, it is not repeated."""
        self.assert_reads(
            values.secret,
            {
                "secret": b"secret",
                "pässword": "pässword".encode(),
                "\udce4": b"\xe4",
                "0x010203": b"\1\2\3",
                "0XfF": b"\xff",
                "0x1:02:03": b"\1\2\3",
                "0x123": b"\1\x23",
                "0sAQID": b"\1\2\3",
                "0SAQI=": b"\1\2",
                "0sAQI": b"\1\2",
                "0": b"0",
                "00x1": b"00x1",
            },
        )
        for text in ("0xhunter2", "0shunter2!", "0sA", "", "0x", "0s"):
            error = self.assertRaises(ValueError, values.secret, text)
            self.assertNotIn("hunter", str(error))

    @given(st.text())
    def test_any_text(self, text: str) -> None:
        """No text raises anything else."""
        for read in (
            *(values.boolean, values.number, values.seconds, values.octets, values.port),
            *(values.mark, values.items, values.addresses, values.secret, values.binary),
            lambda text: values.selector(text, None),
            lambda text: values.selector(f"10.0.0.1[{text}]", "10.0.0.1"),
        ):
            try:
                read(text)  # type: ignore[operator]
            except ValueError:
                continue
