"""What netlink messages to XFRM consist of."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from isakmp.sinks.xfrm import structures
from isakmp.sinks.xfrm.netlink import NetlinkError, attributes
from isakmp.sinks.xfrm.structures import (
    ALLOW,
    BLOCK,
    ESP,
    TUNNEL,
    Acquire,
    Attribute,
    Direction,
    Limits,
    Name,
    Policy,
    Selector,
    Standing,
    State,
    Template,
)


def network(version: int) -> st.SearchStrategy[structures.Network]:
    """Any, of one version of IP."""
    bits = 32 if version == 4 else 128
    kind: Callable[..., structures.Network] = (
        ipaddress.IPv4Network if version == 4 else ipaddress.IPv6Network
    )
    return st.builds(
        lambda number, length: kind((number, length), strict=False),
        st.integers(0, 2**bits - 1),
        st.integers(0, bits),
    )


PORT = st.integers(0, 0xFFFF)
SELECTOR = st.sampled_from([4, 6]).flatmap(
    lambda version: st.builds(
        *(Selector, network(version), network(version)),
        *(st.integers(0, 255), PORT, PORT, st.integers(0, 1000)),
    )
)
POLICY = st.builds(
    *(Policy, SELECTOR, st.sampled_from(list(Direction)), st.integers(0, 2**32 - 1)),
    *(st.sampled_from([ALLOW, BLOCK]), st.integers(0, 255), st.integers(0, 2**32 - 1)),
)
NET = ipaddress.IPv4Network("10.1.0.0/16"), ipaddress.IPv4Network("10.2.0.0/16")


class SizeTests(SynchronousTestCase):
    def test_sizes(self) -> None:
        """Every structure has the octets that linux/xfrm.h gives it on machines of 64 bits."""
        name = Name("192.0.2.1", ESP, bytes(4))
        template = Template("192.0.2.1", "192.0.2.2", ESP, TUNNEL, 7)
        for made, size in (
            (Selector(*NET).encode(), 56),
            (Limits().encode(), 64),
            (name.encode(), 24),
            (name.encode_id(), 24),
            (State("192.0.2.2", name, 7, TUNNEL).encode(), 224),
            (State("192.0.2.2", name, 7, TUNNEL).encode_range(256, 300), 232),
            (template.encode(), 64),
            (Policy(Selector(*NET), Direction.OUT).encode(), 168),
            (Policy(Selector(*NET), Direction.OUT).encode_id(), 64),
            (structures.mark(Attribute.MARK, 1, 2), 12),
            (structures.encapsulation(4500, 4501), 28),
            (structures.replay(64), 36),
            (structures.socket_policy(Direction.IN, socket.AF_INET), 168),
            (structures.socket_policy(Direction.IN, socket.AF_INET6), 168),
        ):
            self.assertEqual(len(made), size)
        self.assertEqual((State.SIZE, Policy.SIZE, Acquire.SIZE), (224, 168, 280))


class RoundTripTests(SynchronousTestCase):
    @settings(deadline=None)
    @given(SELECTOR)
    def test_selector(self, selector: Selector) -> None:
        """A selector is told as it was set, of either version of IP."""
        self.assertEqual(Selector.decode(selector.encode()), selector)

    @settings(deadline=None)
    @given(POLICY)
    def test_policy(self, policy: Policy) -> None:
        """So is a policy."""
        self.assertEqual(Policy.decode(policy.encode()), policy)

    @settings(deadline=None)
    @given(
        st.ip_addresses(),
        st.binary(min_size=4, max_size=4),
        st.integers(0, 2**32 - 1),
        st.booleans(),
    )
    def test_state(self, address: object, spi: bytes, reqid: int, ours: bool) -> None:
        """An SA keeps its name, its reqid, its mode, and the sign by which we know our own."""
        name = Name(str(address), ESP, spi)
        state = State(
            str(address), name, reqid, TUNNEL, Limits(sign=structures.SIGN if ours else 0)
        )
        told = Standing.decode(state.encode())
        self.assertEqual((told.name, told.reqid, told.mode), (name, reqid, TUNNEL))
        self.assertEqual(told.source, str(address))
        self.assertIs(told.signed, ours)
        self.assertEqual((told.octets, told.packets), (0, 0))

    def test_templates(self) -> None:
        """The reqid of the first template binds an ACQUIRE to its trap."""
        policy = Policy(
            Selector(*NET),
            Direction.OUT,
            templates=(Template("192.0.2.1", "192.0.2.2", ESP, TUNNEL, 0x49530001),),
        )
        told = attributes(policy.encode()[Policy.SIZE :])[Attribute.TMPL]
        self.assertEqual(Template.reqid_of(told), 0x49530001)
        self.assertEqual(Template.reqid_of(told[:-1]), 0)


class HostileTests(SynchronousTestCase):
    @settings(deadline=None, max_examples=300)
    @given(st.binary(max_size=320))
    def test_anything(self, octets: bytes) -> None:
        """Octets of any kind are what they are taken for, or refused as such."""
        for decode in (
            Selector.decode,
            Standing.decode,
            Policy.decode,
            Acquire.decode,
            structures.decode_mapping,
        ):
            try:
                decode(octets)  # type: ignore[operator]
            except NetlinkError:
                continue

    def test_cut_short(self) -> None:
        """One octet less than there must be, anywhere, is refused."""
        name = Name("192.0.2.1", ESP, b"abcd")
        state = State("192.0.2.2", name, 7, TUNNEL).encode()
        policy = Policy(Selector(*NET), Direction.OUT).encode()
        for decode, whole in ((Standing.decode, state), (Policy.decode, policy)):
            for size in range(len(whole)):
                self.assertRaises(NetlinkError, decode, whole[:size])

    def test_no_family(self) -> None:
        """Addresses of a family that there is not, a prefix longer than an address: refused."""
        octets = bytearray(Selector(*NET).encode())
        octets[42] = 33
        self.assertRaises(NetlinkError, Selector.decode, bytes(octets))
        octets = bytearray(Policy(Selector(*NET), Direction.OUT).encode())
        octets[160] = 9
        self.assertRaises(NetlinkError, Policy.decode, bytes(octets))

    def test_keys_are_not_shown(self) -> None:
        """No text about an SA has its keys."""
        name = Name("192.0.2.1", ESP, b"abcd")
        self.assertNotIn("hush", repr(State("192.0.2.2", name, 7, TUNNEL, algorithms=b"hush")))
