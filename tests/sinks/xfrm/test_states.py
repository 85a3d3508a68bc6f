"""SAs in the kernel's words: algorithms, windows, lifetimes; and its refusals in ours."""

from __future__ import annotations

import errno
import struct
from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from isakmp.associations import Action, Handling, IPsecParameters, Lifetime, Mark
from isakmp.doi.transforms import CIPHERS, INTEGRITIES
from isakmp.numbers import ESPTransform, ProtocolID
from isakmp.sinks.xfrm import algorithms, structures, transforms
from isakmp.sinks.xfrm.netlink import attributes
from isakmp.sinks.xfrm.policies import Between, innermost_first, layers_of, policies, priority
from isakmp.sinks.xfrm.refusals import explained
from isakmp.sinks.xfrm.states import state_of
from isakmp.sinks.xfrm.structures import (
    AH,
    BLOCK,
    COMP,
    ESP,
    TRANSPORT,
    TUNNEL,
    Attribute,
    Direction,
)
from tests.samples import PEER, US, bundle, protection_sa, transform

KEYS = {"encryption": bytes(range(20)), "integrity": bytes(range(32))}


class AlgorithmTests(SynchronousTestCase):
    def test_every_name(self) -> None:
        """Whatever the domain of interpretation agrees the sink has a name of the kernel's for."""
        for number in CIPHERS:
            tried = transforms.wanted(
                ProtocolID.ESP,
                transform(1, number, authentication_algorithm=2, key_length=128),
            )
            self.assertIsNotNone(tried, number)
            assert tried is not None
            self.assertTrue(algorithms.attributes(*tried), number)
        for number in INTEGRITIES:
            tried = transforms.wanted(
                ProtocolID.ESP, transform(1, authentication_algorithm=int(number))
            )
            assert tried is not None, number
            self.assertIn(algorithms.INTEGRITIES[tried[0].integrity][0], algorithms.names(tried[0]))

    def test_layout(self) -> None:
        """Name in 64 octets, bits of the key, bits of the proof, key."""
        made = attributes(
            algorithms.attributes(
                IPsecParameters("tunnel", "aes-cbc", "hmac-sha2-256-128"),
                {"encryption": b"k" * 16, "integrity": b"i" * 32},
            )
        )
        self.assertEqual(
            made,
            {
                Attribute.ALG_CRYPT: b"cbc(aes)".ljust(64, b"\0")
                + struct.pack("=I", 128)
                + b"k" * 16,
                Attribute.ALG_AUTH_TRUNC: b"hmac(sha256)".ljust(64, b"\0")
                + struct.pack("=II", 256, 128)
                + b"i" * 32,
            },
        )

    def test_combined(self) -> None:
        """What encrypts and authenticates at once is one algorithm; its key has the salt."""
        (found,) = attributes(
            algorithms.attributes(IPsecParameters("tunnel", "aes-gcm-16", "none"), KEYS)
        ).items()
        self.assertEqual(found[0], Attribute.ALG_AEAD)
        self.assertEqual(found[1][64:72], struct.pack("=II", 160, 128))

    def test_unknown(self) -> None:
        """An algorithm that the kernel has no name for is a LookupError, not another one."""
        for parameters in (
            IPsecParameters("tunnel", "idea-cbc", "none"),
            IPsecParameters("tunnel", "aes-cbc", "hmac-tiger"),
            IPsecParameters("tunnel", "none", "none", "lzs"),
        ):
            self.assertRaises(LookupError, algorithms.attributes, parameters, KEYS)

    def test_not_offered(self) -> None:
        """A transform that the kernel cannot have is not wanted."""
        for protocol, one in (
            (ProtocolID.ESP, transform(1, ESPTransform.IDEA)),
            (ProtocolID.ESP, transform(1, authentication_algorithm=99)),
            (ProtocolID.AH, transform(1, 3)),
            (ProtocolID.IPCOMP, transform(1, 3)),
        ):
            self.assertIsNone(transforms.wanted(protocol, one), one)


class StateTests(SynchronousTestCase):
    def state(
        self, parameters: IPsecParameters, handling: Handling = Handling(), out: bool = False
    ) -> structures.State:
        sa = protection_sa(0x1001, US, parameters=parameters)
        return state_of(sa, (sa,), PEER, 7, handling, out=out)

    def test_window(self) -> None:
        """Incoming packets have a window; a wide one, and numbers of 64 bits, an attribute."""
        plain = IPsecParameters("tunnel", "aes-cbc", "hmac-sha2-256-128")
        self.assertEqual(self.state(plain, Handling(replay_window=32)).window, 32)
        self.assertEqual(self.state(plain, Handling(replay_window=32), out=True).window, 0)
        wide = self.state(plain, Handling(replay_window=100))
        self.assertEqual(wide.window, 0)
        told = attributes(wide.others)[Attribute.REPLAY_ESN]
        self.assertEqual(struct.unpack_from("=6I", told), (4, 0, 0, 0, 0, 100))
        extended = self.state(replace(plain, extended=True), out=True)
        self.assertTrue(extended.flags & structures.ESN)
        self.assertIn(Attribute.REPLAY_ESN, attributes(extended.others))
        for out in (True, False):  # without a window the kernel would count nothing there
            none = self.state(replace(plain, extended=True), Handling(replay_window=0), out)
            told = attributes(none.others)[Attribute.REPLAY_ESN]
            self.assertEqual(struct.unpack_from("=6I", told), (1, 0, 0, 0, 0, 32))

    def test_compressed(self) -> None:
        """Compressed packets have no numbers, and so no window."""
        sa = protection_sa(
            0x1001,
            US,
            protocol=ProtocolID.IPCOMP,
            parameters=IPsecParameters("tunnel", "none", "none", "deflate"),
        )
        self.assertEqual(state_of(sa, (sa,), PEER, 7).window, 0)

    def test_alignment(self) -> None:
        """
        AH is a multiple of 32 bits in IPv4 and of 64 in IPv6, so that one with a proof of 128 bits
        is as long as the peer expects it: RFC 4302 section 2.6.
        """
        parameters = IPsecParameters("tunnel", "none", "hmac-sha2-256-128")
        for protocol, to, sender, aligned in (
            (ProtocolID.AH, US, PEER, True),
            (ProtocolID.AH, "2001:db8::1", "2001:db8::2", False),
            (ProtocolID.ESP, US, PEER, False),
        ):
            sa = protection_sa(0x1001, to, protocol=protocol, parameters=parameters)
            for out in (False, True):
                made = state_of(sa, (sa,), sender, 7, out=out)
                self.assertEqual(bool(made.flags & structures.ALIGN_4), aligned, to)

    def test_udp(self) -> None:
        """ESP in UDP: incoming from the peer's port, outgoing from ours."""
        parameters = IPsecParameters("tunnel", "aes-cbc", "hmac-sha2-256-128", udp=(4500, 4501))
        for out, ports in ((True, (4500, 4501)), (False, (4501, 4500))):
            told = attributes(self.state(parameters, out=out).others)[Attribute.ENCAP]
            self.assertEqual(struct.unpack_from("=H", told)[0], 2)
            self.assertEqual(struct.unpack_from("!HH", told, 2), ports)

    def test_marks(self) -> None:
        """
        A mark tells one child's SAs from another's, in each direction its own; the inbound one,
        which its SPI names, has none unless that is asked for.
        """
        handling = Handling(mark_in=Mark(5, 0xFF), mark_out=Mark(6, 0xFF))
        parameters = IPsecParameters("tunnel", "aes-cbc", "hmac-sha2-256-128")
        marked = replace(handling, mark_in_sa=True)
        for how, out, value in ((handling, True, 6), (marked, False, 5), (marked, True, 6)):
            told = attributes(self.state(parameters, how, out).others)[Attribute.MARK]
            self.assertEqual(struct.unpack("=II", told), (value, 0xFF))
        self.assertNotIn(Attribute.MARK, attributes(self.state(parameters, handling).others))

    def test_limits(self) -> None:
        """Octets and packets as configured; without, no limit."""
        parameters = IPsecParameters("tunnel", "aes-cbc", "hmac-sha2-256-128")
        limits = self.state(parameters, Handling(rekey_packets=40, life_octets=7)).limits
        numbers = struct.unpack("=8Q", limits.encode())
        self.assertEqual(numbers[:4], (structures.UNLIMITED, 7, 40, structures.UNLIMITED))

    def test_agreed(self) -> None:
        """
        What was agreed ends an SA, in seconds and kilobytes, whatever a peer may have said, from
        the least to the most; and every SA is signed.
        """
        most = 2**32 - 1
        for seconds, kilobytes, rekey, life in (
            (3600, 10, 9309, 10240),
            (1, 1, 930, 1024),
            (most, most, 1024 * most * 10 // 11, 1024 * most),
            (0, 0, structures.UNLIMITED, structures.UNLIMITED),
        ):
            sa = protection_sa(0x1001, US)
            sa = replace(sa, lifetime=Lifetime(seconds, kilobytes))
            numbers = struct.unpack("=8Q", state_of(sa, (sa,), PEER, 7).limits.encode())
            self.assertEqual(numbers[:2], (rekey, life))
            self.assertEqual(numbers[4:], (0, seconds, structures.SIGN, 0))

    def test_told_of_moves(self) -> None:
        """The kernel tells of a peer that has moved, once in a second: by what comes in UDP."""
        plain = IPsecParameters("tunnel", "aes-cbc", "hmac-sha2-256-128")
        in_udp = replace(plain, udp=(4500, 4500))
        kinds = (in_udp, False, 1), (in_udp, True, None), (plain, False, None)
        for parameters, out, told in kinds:
            said = attributes(self.state(parameters, out=out).others)
            wanted = None if told is None else struct.pack("=I", told)
            self.assertEqual(said.get(Attribute.MTIMER_THRESH), wanted)

    def test_stranger(self) -> None:
        """SAs of another domain of interpretation are refused in words."""
        sa = protection_sa(0x1001, US, parameters=object())
        error = self.assertRaises(LookupError, state_of, sa, (sa,), PEER, 7)
        self.assertIn("SAs of IPsec", str(error))


class PolicyTests(SynchronousTestCase):
    def test_directions(self) -> None:
        """A tunnel has policies out, in and forward, turned around, with the same reqid."""
        made = bundle()
        found = policies(made.policy, Between(US, PEER), layers_of(made), 7)
        self.assertEqual(
            [one.direction for one in found], [Direction.OUT, Direction.IN, Direction.FORWARD]
        )
        out, inward, _ = found
        self.assertEqual(out.selector.source, inward.selector.destination)
        self.assertEqual({one.templates[0].reqid for one in found}, {7})
        self.assertEqual(out.templates[0].destination, PEER)
        self.assertEqual(inward.templates[0].destination, US)

    def test_optional(self) -> None:
        """
        Protection is never optional; only IPComp is, of what comes in: what does not get smaller
        is not compressed (RFC 3173 section 2.2).
        """
        layers = [(COMP, TUNNEL), (ESP, TRANSPORT), (AH, TRANSPORT)]
        for one in policies(bundle().policy, Between(US, PEER), layers, 7):
            compression, *others = one.templates
            self.assertEqual(compression.optional, one.direction is not Direction.OUT)
            self.assertEqual([template.optional for template in others], [False, False])
            self.assertEqual([t.protocol for t in one.templates], [COMP, ESP, AH])
            self.assertEqual(one.action, structures.ALLOW)

    def test_actions(self) -> None:
        """What is to be dropped is, in every direction; what passes is let pass."""
        for action, wanted in ((Action.DROP, BLOCK), (Action.PASS, structures.ALLOW)):
            one = replace(bundle().policy, action=action)
            found = policies(one, Between(US, PEER), [], 7)
            self.assertEqual({policy.action for policy in found}, {wanted})
            self.assertEqual(
                [policy.direction for policy in found],
                [Direction.OUT, Direction.IN, Direction.FORWARD],
            )

    def test_transport(self) -> None:
        """A child between two hosts forwards nothing."""
        found = policies(bundle().policy, Between(US, PEER), [(ESP, TRANSPORT)], 7)
        self.assertEqual([one.direction for one in found], [Direction.OUT, Direction.IN])

    def test_priority(self) -> None:
        """The more a policy selects the weaker it is; a trap is weaker than what has SAs."""
        policy = bundle().policy
        wide = bundle(local="10.0.0.0/8", remote="10.0.0.0/8").policy
        own = [policies(one, Between(US, PEER), [], 7)[0] for one in (policy, wide)]
        self.assertLess(own[0].priority, own[1].priority)
        trap = policies(policy, Between(US, PEER), [], 7, trap=True)[0]
        self.assertEqual(trap.priority, own[0].priority + 1)
        set_ = priority(trap.selector, Handling(priority=9), trap=True, action=policy.action)
        self.assertEqual(set_, 9)

    def test_too_many(self) -> None:
        """Two ranges that take very many policies are refused, not installed in part."""
        policy = bundle(local="10.0.0.1-10.255.255.254", remote="10.0.0.1-10.255.255.254").policy
        error = self.assertRaises(ValueError, policies, policy, Between(US, PEER), [], 7)
        self.assertIn("policies of the kernel", str(error))

    def test_order(self) -> None:
        """IPComp is applied first, then ESP, then AH, in whatever order they were agreed."""
        sas = [
            protection_sa(0x1000 + protocol, US, protocol=protocol)
            for protocol in (ProtocolID.ESP, ProtocolID.AH, ProtocolID.IPCOMP)
        ]
        self.assertEqual(
            [sa.key.protocol for sa in innermost_first(sas)],
            [ProtocolID.IPCOMP, ProtocolID.ESP, ProtocolID.AH],
        )


class RefusalTests(SynchronousTestCase):
    def test_words(self) -> None:
        """A refusal names what is missing: a capability, a module, an algorithm."""
        for number, words in (
            (errno.EPERM, "CAP_NET_ADMIN"),
            (errno.EPROTONOSUPPORT, "this kernel has no ESP: its modules are esp4 and esp6"),
            (errno.ENOSYS, "no cbc(camellia) for ESP"),
            (errno.EEXIST, "already, and it is not ours"),
            (errno.ENOBUFS, "no memory"),
            (errno.EINVAL, "does not take this for ESP with cbc(camellia)"),
            (errno.ESRCH, "no such one any more"),
            (errno.ETIMEDOUT, "does not answer"),
            (errno.EIO, "EIO"),
            (9999, "error 9999"),
        ):
            self.assertIn(words, explained(number, structures.ESP, "cbc(camellia)"))

