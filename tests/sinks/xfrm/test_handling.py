"""
Every key about traffic, from the text of ``swanctl.conf`` to what the kernel is told.
"""

from __future__ import annotations

import errno
import socket
import struct
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from isakmp.associations import Usage
from isakmp.errors import ConfigurationError, PeerError
from isakmp.events import SAExpiring, TrafficWaiting
from isakmp.interfaces import IChoices
from isakmp.node import handling_of
from isakmp.sinks.xfrm.netlink import Message
from isakmp.sinks.xfrm.structures import (
    UNLIMITED,
    Attribute,
    Direction,
    Kind,
    Name,
    Policy,
    Selector,
    Standing,
    State,
    Template,
    mark,
)
from isakmp.stream import EventStream
from isakmp.testing import settle
from tests.samples import PATH, PEER, US, bundle
from tests.sinks.xfrm.kernel import Ends, RecordedSink, Told, configured, ends, refusing

IN, OUT, FORWARD = Direction.IN, Direction.OUT, Direction.FORWARD
ALL = 0xFFFFFFFF


class HandlingTestCase(SynchronousTestCase):
    def up(self, child: str, connection: str = "", sink: RecordedSink | None = None) -> Ends:
        """Our end of a tunnel that has come up."""
        both = ends(Path(self.mktemp()), child, connection, sink)
        both.establish()
        return both

    def told(self, child: str, connection: str = "") -> tuple[Told, Told, dict[Direction, Told]]:
        """The inbound SA, the outbound SA, and one policy for each direction."""
        sink = self.up(child, connection).sink
        states, by_direction = sink.states(), sink.by_direction()
        self.assertEqual({len(found) for found in by_direction.values()}, {1})
        policies = {way: found[0] for way, found in by_direction.items()}
        return states[US], states[PEER], policies


class MarkTests(HandlingTestCase):
    def test_unmarked(self) -> None:
        """A child of which nothing is said has no marks, and is selected by its networks alone."""
        inward, outward, policies = self.told("")
        for one in (inward, outward, *policies.values()):
            self.assertIsNone(one.numbers(Attribute.MARK))
            self.assertIsNone(one.numbers(Attribute.SET_MARK))
            self.assertIsNone(one.numbers(Attribute.IF_ID))
            self.assertIsNone(one.numbers(Attribute.EXTRA_FLAGS))

    def test_marks(self) -> None:
        """
        ``mark_in`` is of the policies for what comes, and not of the SA; ``mark_out`` of both.
        """
        inward, outward, policies = self.told("mark_in = 0x12a/0xff\nmark_out = 43")
        self.assertIsNone(inward.numbers(Attribute.MARK))
        self.assertEqual(outward.numbers(Attribute.MARK), (43, ALL))
        for way, wanted in ((IN, (42, 0xFF)), (FORWARD, (42, 0xFF)), (OUT, (43, ALL))):
            self.assertEqual(policies[way].numbers(Attribute.MARK), wanted)

    def test_of_the_sa(self) -> None:
        """With ``mark_in_sa`` the inbound SA has it as well."""
        inward, _, _ = self.told("mark_in = 42\nmark_in_sa = yes")
        self.assertEqual(inward.numbers(Attribute.MARK), (42, ALL))

    def test_set(self) -> None:
        """``set_mark_in`` and ``set_mark_out`` are of the SAs; ``%same`` is the policies' mark."""
        inward, outward, policies = self.told(
            "mark_in = 42\nset_mark_in = %same/0xff\nset_mark_out = 7"
        )
        for one, value, mask in ((inward, 42, 0xFF), (outward, 7, ALL)):
            self.assertEqual(one.numbers(Attribute.SET_MARK), (value,))
            self.assertEqual(one.numbers(Attribute.SET_MARK_MASK), (mask,))
        for policy in policies.values():
            self.assertIsNone(policy.numbers(Attribute.SET_MARK))

    def test_unique(self) -> None:
        """
        ``%unique`` is a number of the child's own, the same in both directions, in the bits of its
        mask; ``%same`` is it too.  Control and scripts are told.
        """
        both = self.up("mark_in = %unique/0xff00\nmark_out = %unique\nset_mark_in = %same")
        states, policies = both.sink.states(), both.sink.by_direction()
        self.assertEqual(policies[IN][0].numbers(Attribute.MARK), (0x100, 0xFF00))
        self.assertEqual(policies[OUT][0].numbers(Attribute.MARK), (1, ALL))
        self.assertEqual(states[US].numbers(Attribute.SET_MARK), (0x100,))
        self.assertEqual(states[PEER].numbers(Attribute.MARK), (1, ALL))
        self.assertTrue(IChoices.providedBy(both.sink))
        (made,) = both.ours.bundles
        handling = handling_of(both.ours.node, made)
        assert handling.mark_out is not None
        self.assertEqual(handling.mark_out.value, 1)

    def test_unique_by_direction(self) -> None:
        """With ``%unique-dir`` each direction has its own."""
        _, outward, policies = self.told("mark_in = %unique-dir\nmark_out = %unique-dir")
        self.assertEqual(policies[IN].numbers(Attribute.MARK), (1, ALL))
        self.assertEqual(outward.numbers(Attribute.MARK), (2, ALL))

    def test_renewed(self) -> None:
        """What a child is renewed by has its numbers."""
        both = self.up("mark_out = %unique\nif_id_out = %unique")
        first = both.sink.states()[PEER]
        (old,) = both.ours.bundles
        both.sink.asked.clear()
        self.assertTrue(both.ours.assembly.renewals.now(old))
        both.clock.run_until(both.clock.seconds() + 30.0)
        second = both.sink.states()[PEER]
        self.assertNotEqual(first.what, second.what)
        for kind in (Attribute.MARK, Attribute.IF_ID):
            self.assertEqual(first.numbers(kind), second.numbers(kind))

    def test_removed(self) -> None:
        """SAs and policies are removed by names that have the marks: the kernel needs them."""
        both = self.up("mark_in = 42\nmark_in_sa = yes\nmark_out = 43\nif_id_out = 9")
        both.sink.asked.clear()
        both.ours.assembly.stop()
        both.clock.run_until(both.clock.seconds() + 1.0)
        gone = [body for kind, body in both.sink.asked if kind == Kind.DELSA]
        self.assertEqual(len(gone), 2)
        self.assertEqual(sum(mark(Attribute.MARK, 42, ALL) in one for one in gone), 1)
        self.assertEqual(sum(mark(Attribute.MARK, 43, ALL) in one for one in gone), 1)
        policies = [body for kind, body in both.sink.asked if kind == Kind.DELPOLICY]
        self.assertEqual(len(policies), 3)
        self.assertEqual(sum(mark(Attribute.MARK, 43, ALL) in one for one in policies), 1)

    def test_interfaces(self) -> None:
        """``if_id_in`` and ``if_id_out`` are of policies and SAs; the connection's of its child."""
        inward, outward, policies = self.told("if_id_out = 0x10", "if_id_in = 5\nif_id_out = 6")
        self.assertEqual(inward.numbers(Attribute.IF_ID), (5,))
        self.assertEqual(outward.numbers(Attribute.IF_ID), (16,))
        for way, wanted in ((IN, 5), (FORWARD, 5), (OUT, 16)):
            self.assertEqual(policies[way].numbers(Attribute.IF_ID), (wanted,))


class PolicyTests(HandlingTestCase):
    def test_priority(self) -> None:
        """A priority that is said is that of all policies, whatever they select."""
        _, _, policies = self.told("priority = 4294967295")
        for told in policies.values():
            assert isinstance(told.what, Policy)
            self.assertEqual(told.what.priority, ALL)

    def test_bound(self) -> None:
        """
        ``interface`` binds what leaves, and a little stronger; what comes in has to be protected
        wherever it comes from.
        """
        _, _, bound = self.told("interface = lo")
        _, _, free = self.told("")
        index = socket.if_nametoindex("lo")
        for way, wanted in ((OUT, index), (IN, 0), (FORWARD, 0)):
            told = bound[way].what
            assert isinstance(told, Policy)
            self.assertEqual(told.selector.interface, wanted)
        strong, weak = bound[OUT].what, free[OUT].what
        assert isinstance(strong, Policy) and isinstance(weak, Policy)
        self.assertEqual(weak.priority - strong.priority, 2)

    def test_bound_to_nothing(self) -> None:
        """
        Without such an interface the child does not come up, whoever begins it; that is said, and
        the kernel is told nothing.
        """
        for ours in (True, False):
            both = ends(Path(self.mktemp()), "interface = nowhere0")
            both.sink.asked.clear()
            beginning = (both.ours if ours else both.peer).establish("net", "gw")
            self.assertRaises(PeerError, settle, both.clock, beginning)
            (said,) = both.ours.failures
            self.assertIn("not installed here: there is no interface nowhere0", str(said))
            self.assertEqual(both.sink.states(), {})
            self.assertEqual(both.sink.policies(), [])
            self.assertEqual(both.ours.bundles, [])

    def test_too_many(self) -> None:
        """Two ranges that take very many policies are refused in words, not installed in part."""
        sink = RecordedSink()
        policy = configured(
            Path(self.mktemp()),
            "local_ts = 10.1.0.1-10.1.255.254\nremote_ts = 10.2.0.1-10.2.255.254",
        )
        failure = self.failureResultOf(
            sink.install(replace(bundle(), policy=policy)), OSError
        )
        self.assertIn("policies of the kernel", str(failure.value))
        self.assertEqual((sink.states(), sink.policies()), ({}, []))

    def test_forwarded(self) -> None:
        """
        ``policies_fwd_out`` adds one that lets what is forwarded go on to its protection, a little
        weaker than what asks for protection.
        """
        sink = self.up("policies_fwd_out = yes\nmark_out = 9").sink
        inward, outward = sink.by_direction()[FORWARD]
        (out,) = sink.by_direction()[OUT]
        assert isinstance(outward.what, Policy) and isinstance(out.what, Policy)
        assert isinstance(inward.what, Policy)
        self.assertEqual(outward.what.selector, out.what.selector)
        self.assertEqual(inward.what.selector.source, out.what.selector.destination)
        self.assertNotIn(Attribute.TMPL, outward.others)
        self.assertIn(Attribute.TMPL, inward.others)
        self.assertEqual(outward.numbers(Attribute.MARK), (9, ALL))
        self.assertEqual(outward.what.priority, out.what.priority + 1)

    def test_not_forwarded(self) -> None:
        """In transport mode nothing is forwarded."""
        sink = self.up(
            f"mode = transport\npolicies_fwd_out = yes\nlocal_ts = {US}\nremote_ts = {PEER}"
        ).sink
        self.assertNotIn(FORWARD, sink.by_direction())

    def test_same_networks(self) -> None:
        """
        Where both ends have the same networks, what comes in clear and is forwarded is not let
        through by it: protection is asked for.
        """
        sink = RecordedSink()
        policy = configured(
            Path(self.mktemp()),
            "policies_fwd_out = yes\nlocal_ts = 10.0.0.0/8\nremote_ts = 10.0.0.0/8",
        )
        self.successResultOf(sink.install(replace(bundle(), policy=policy)))
        (forward,) = sink.by_direction()[FORWARD]
        self.assertIn(Attribute.TMPL, forward.others)

    def test_turned_around(self) -> None:
        """
        Nor where another child has the networks turned around, whichever comes first, and though
        that one is only a trap; when it goes, the weaker one is told again.
        """
        turned = "local_ts = 10.2.0.0/16\nremote_ts = 10.1.0.0/16"
        for first in (True, False):
            sink = RecordedSink()
            lets = replace(
                bundle(), policy=configured(Path(self.mktemp()), "policies_fwd_out = yes")
            )
            asks = replace(configured(Path(self.mktemp()), turned), name="turned")
            if first:
                self.successResultOf(sink.install(lets))
            self.successResultOf(sink.trap(asks, PATH))
            if not first:
                self.successResultOf(sink.install(lets))
            standing: dict[tuple[Selector, Direction], bool] = {}
            for told in sink.policies():
                assert isinstance(told.what, Policy)
                key = told.what.selector, told.what.direction
                standing[key] = Attribute.TMPL in told.others
            forward = {key: asked for key, asked in standing.items() if key[1] is FORWARD}
            self.assertEqual(len(forward), 2)
            self.assertEqual(set(forward.values()), {True})
            sink.asked.clear()
            self.successResultOf(sink.untrap(asks.connection, asks.name))
            (again,) = sink.policies()
            self.assertNotIn(Attribute.TMPL, again.others)

    def test_no_policies(self) -> None:
        """With ``policies = no`` there are SAs, and somebody else's policies select for them."""
        sink = self.up("policies = no\nreqid = 77").sink
        self.assertEqual(sink.policies(), [])
        for told in sink.states().values():
            assert isinstance(told.what, Standing)
            self.assertEqual(told.what.reqid, 77)

    def test_reqid(self) -> None:
        """
        A reqid that is said is of SAs and policies, and what leaves names its SA: so two children
        may have the same.
        """
        sink = self.up("reqid = 77").sink
        states, policies = sink.states(), sink.by_direction()
        out = states[PEER].what
        assert isinstance(out, Standing)
        for way, spi in ((OUT, out.name.spi), (IN, bytes(4)), (FORWARD, bytes(4))):
            template = policies[way][-1].others[Attribute.TMPL]
            self.assertEqual(Template.reqid_of(template), 77)
            self.assertEqual(template[16:20], spi)

    def test_chosen_reqid(self) -> None:
        """One that is said is not chosen for others; of one that is chosen no SA is named."""
        sink = self.up("").sink
        (out,) = sink.by_direction()[OUT]
        first = Template.reqid_of(out.others[Attribute.TMPL])
        self.assertEqual(out.others[Attribute.TMPL][16:20], bytes(4))
        sink = RecordedSink()
        taken = configured(Path(self.mktemp()), f"reqid = {first}")
        self.successResultOf(sink.install(replace(bundle(), policy=taken)))
        other = configured(Path(self.mktemp()), "")
        made = replace(bundle(0x3001, 0x4001), policy=other)
        self.successResultOf(sink.install(made))
        self.assertNotIn(sink.reqid(made), (0, first))

    def test_errors(self) -> None:
        """
        ``icmp`` lets errors pass: the inbound SA and the policies for what goes on are told so.
        """
        inward, outward, policies = self.told("icmp = yes")
        self.assertTrue(inward.flags & 16)
        self.assertFalse(outward.flags & 16)
        told = {way: bool(one.flags & 2) for way, one in policies.items()}
        self.assertEqual(told, {OUT: True, IN: False, FORWARD: True})

    def test_codepoints(self) -> None:
        """Of ``copy_dscp`` the inbound SA is told for in and yes, the outbound for in and no."""
        for word, inbound, outbound in (
            ("out", False, None),
            ("in", True, (1,)),
            ("yes", True, None),
            ("no", False, (1,)),
        ):
            inward, outward, _ = self.told(f"copy_dscp = {word}")
            self.assertEqual(bool(inward.flags & 2), inbound, word)
            self.assertFalse(outward.flags & 2)
            self.assertEqual(outward.numbers(Attribute.EXTRA_FLAGS), outbound, word)
            self.assertIsNone(inward.numbers(Attribute.EXTRA_FLAGS))


class VolumeTests(HandlingTestCase):
    def limits(self, child: str, drawn: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Of the inbound and the outbound SA, where chance gives this of 256."""
        sink = RecordedSink(lambda number: bytes([drawn]) + bytes(number - 1))
        states = self.up(child, sink=sink).sink.states()
        return states[US].limits, states[PEER].limits

    def test_none(self) -> None:
        """Unless said there are none."""
        self.assertEqual(self.limits("", 0), ((UNLIMITED,) * 4, (UNLIMITED,) * 4))

    def test_spread(self) -> None:
        """
        A renewal is earlier by chance, by ``rand_bytes`` at most; unless said, by what is between
        renewal and end, which is a tenth.
        """
        for child, drawn, soft, hard in (
            ("rekey_{} = 1000", 0, 1000, 1100),
            ("rekey_{} = 1000", 128, 950, 1100),
            ("rekey_{} = 1000", 255, 900, 1100),
            ("rekey_{} = 1000\nrand_{} = 0", 255, 1000, 1100),
            ("rekey_{} = 1000\nlife_{} = 5000\nrand_{} = 511", 128, 744, 5000),
            ("rekey_{} = 2\nrand_{} = 100", 255, 1, 2),
            ("life_{} = 1100", 255, 900, 1100),
        ):
            octets = soft, hard, UNLIMITED, UNLIMITED
            packets = UNLIMITED, UNLIMITED, soft, hard
            for of, wanted in (("bytes", octets), ("packets", packets)):
                inward, outward = self.limits(child.replace("{}", of), drawn)
                self.assertEqual((inward, outward), (wanted, wanted), child)

    def test_expiring(self) -> None:
        """The kernel says that it is time, and the child is renewed."""
        both = self.up("rekey_packets = 10")
        (old,) = both.ours.bundles
        standing = both.sink.states()[US].what
        assert isinstance(standing, Standing)
        info = State(PEER, Name(US, 50, standing.name.spi), 7, 1)
        body = info.encode()[: State.SIZE] + bytes(8)
        both.sink._events = both.ours.node.events
        told: list[SAExpiring] = []
        both.ours.node.events.subscribe(SAExpiring, told.append)
        both.sink.hearing.heard(Message(Kind.EXPIRE, 0, 0, 0, body))
        self.assertEqual(told, [SAExpiring(old.key, hard=False)])
        both.clock.run_until(both.clock.seconds() + 90.0)
        (new,) = both.ours.bundles
        self.assertNotEqual(new.key, old.key)


class TrapTests(HandlingTestCase):
    """
    Traps that stand together, and which of them the kernel means.
    """

    def setUp(self) -> None:
        self.sink = RecordedSink()
        events = EventStream()
        self.heard: list[TrafficWaiting] = []
        events.subscribe(TrafficWaiting, self.heard.append)
        self.sink._events = events

    def trap(self, child: str, name: str = "net") -> Told:
        """The outbound policy of one that is set."""
        policy = replace(configured(Path(self.mktemp()), child), name=name)
        self.sink.asked.clear()
        self.successResultOf(self.sink.trap(policy, PATH))
        return self.sink.by_direction()[OUT][0]

    def acquire(self, told: Told, destination: str = "10.2.0.1") -> list[str]:
        """The children that the kernel's question for a packet under a policy begins."""
        policy = told.what
        assert isinstance(policy, Policy)
        traffic = Selector(ip_network("10.1.0.1/32"), ip_network(f"{destination}/32"), 1)
        head = bytes(40) + traffic.encode() + policy.encode()[: Policy.SIZE] + bytes(16)
        pieces = [
            struct.pack("=HH", 4 + len(octets), kind) + octets
            for kind, octets in told.others.items()
            if kind in (Attribute.TMPL, Attribute.MARK, Attribute.IF_ID)
        ]
        self.heard.clear()
        self.sink.hearing.heard(Message(Kind.ACQUIRE, 0, 0, 0, head + b"".join(pieces)))
        return [event.child for event in self.heard]

    def test_unique(self) -> None:
        """A trap with ``%unique`` has a mark of its own, and its question is known by it."""
        one, two = self.trap("mark_out = %unique", "one"), self.trap("mark_out = %unique", "two")
        self.assertEqual(one.numbers(Attribute.MARK), (1, ALL))
        self.assertEqual(two.numbers(Attribute.MARK), (2, ALL))
        self.assertEqual(self.acquire(one), ["one"])
        self.assertEqual(self.acquire(two), ["two"])

    def test_narrowed(self) -> None:
        """What comes up by a trap has its mark, though the peer has narrowed its traffic."""
        trapped = self.trap("mark_out = %unique")
        narrow = configured(
            Path(self.mktemp()),
            "mark_out = %unique\nlocal_ts = 10.1.0.0/16\nremote_ts = 10.2.7.0/24",
        )
        for made in (bundle(), bundle(0x3001, 0x4001)):
            self.sink.asked.clear()
            self.successResultOf(self.sink.install(replace(made, policy=narrow)))
            self.assertEqual(
                self.sink.states()[PEER].numbers(Attribute.MARK), trapped.numbers(Attribute.MARK)
            )

    def test_one_reqid(self) -> None:
        """Of two traps with one reqid that is meant whose policy asks, by networks or mark."""
        one = self.trap("reqid = 7", "one")
        two = self.trap(
            "reqid = 7\nlocal_ts = 10.1.0.0/16\nremote_ts = 10.3.0.0/16", "two"
        )
        three = self.trap("reqid = 7\nmark_out = 3", "three")
        self.assertEqual(self.acquire(one), ["one"])
        self.assertEqual(self.acquire(two, "10.3.0.1"), ["two"])
        self.assertEqual(self.acquire(three), ["three"])

    def test_strange(self) -> None:
        """A question for nobody's reqid begins nothing."""
        one = self.trap("reqid = 7")
        self.successResultOf(self.sink.untrap("gw", "net"))
        self.assertEqual(self.acquire(one), [])

    def test_changed(self) -> None:
        """A trap whose mark is changed gives up the old one."""
        self.trap("mark_out = %unique")
        self.assertEqual(self.trap("mark_out = 77").numbers(Attribute.MARK), (77, ALL))
        removed = [body for kind, body in self.sink.asked if kind == Kind.DELPOLICY]
        self.assertEqual(len(removed), 1)
        self.assertIn(mark(Attribute.MARK, 1, ALL), removed[0])

    def test_no_interface(self) -> None:
        """A trap by an interface that is not there is refused in words, and keeps no number."""
        policy = configured(Path(self.mktemp()), "interface = nowhere0\nmark_out = %unique")
        failure = self.failureResultOf(self.sink.trap(policy, PATH), ConfigurationError)
        self.assertEqual(
            failure.getErrorMessage(), "gw/net, trapped: there is no interface nowhere0"
        )
        self.assertEqual(self.sink.asked, [])
        self.assertEqual(self.trap("mark_out = %unique").numbers(Attribute.MARK), (1, ALL))

    def test_refused(self) -> None:
        """One that the kernel refuses keeps no number either, and what stood stands."""
        self.sink.refuse = refusing((Kind.NEWPOLICY,), errno.EEXIST)
        policy = configured(Path(self.mktemp()), "mark_out = %unique/1")
        failure = self.failureResultOf(self.sink.trap(policy, PATH), ConfigurationError)
        self.assertIn("already, and it is not ours", failure.getErrorMessage())
        self.sink.refuse = lambda kind, body: None
        self.assertEqual(self.trap("mark_out = %unique/1", "two").numbers(Attribute.MARK), (1, 1))

    def test_no_marks_left(self) -> None:
        """A mask without room for another says so, and the child is refused."""
        self.trap("mark_out = %unique/1", "one")
        policy = replace(configured(Path(self.mktemp()), "mark_out = %unique/1"), name="two")
        failure = self.failureResultOf(self.sink.trap(policy, PATH), ConfigurationError)
        self.assertEqual(
            failure.getErrorMessage(), "gw/two, trapped: all marks of 1 bits are in use"
        )

    def test_passed_and_dropped(self) -> None:
        """
        What passes is stronger than what protects, and what drops is weaker: a policy that drops
        all the rest does not close the tunnels.
        """
        priorities = []
        for child in ("mode = pass", "", "mode = drop"):
            told = self.trap(child).what
            assert isinstance(told, Policy)
            priorities.append(told.priority)
        self.assertEqual(priorities, sorted(priorities))
        self.assertEqual(priorities[2] - priorities[0] > 300_000, True)

    def test_drop_all(self) -> None:
        """... however small the networks are that it is for, next to all there are."""
        everything = "local_ts = 0.0.0.0/0\nremote_ts = 0.0.0.0/0"
        protected, dropped = (
            self.trap(f"{how}\n{of}").what
            for how, of in (("", everything), ("mode = drop", "priority = 0"))
        )
        assert isinstance(protected, Policy) and isinstance(dropped, Policy)
        self.assertLess(protected.priority, dropped.priority)


class QueryTests(HandlingTestCase):
    def test_counted(self) -> None:
        """The kernel counts; where it cannot say, that is not taken for no traffic."""
        both = self.up("mark_out = 3")
        (made,) = both.ours.bundles
        both.sink.counts = (1000, 10, 1_700_000_000)
        both.sink.asked.clear()
        usage = self.successResultOf(both.sink.query(made))
        self.assertEqual(usage.packets_out, 10)
        self.assertTrue(usage.counted)
        self.assertEqual((usage.last_in, usage.last_out), (1_700_000_000.0, 1_700_000_000.0))
        asked = [body for kind, body in both.sink.asked if kind == Kind.GETSA]
        self.assertIn(mark(Attribute.MARK, 3, ALL), asked[1])
        both.sink.counts = (1000, 10, 0)  # an older Linux tells of the first use alone
        usage = self.successResultOf(both.sink.query(made))
        self.assertEqual((usage.packets_in, usage.last_in, usage.last_out), (10, 0.0, 0.0))
        both.sink.refuse = refusing((Kind.GETSA,), errno.ESRCH)
        self.assertEqual(self.successResultOf(both.sink.query(made)), Usage())
        self.assertFalse(Usage().counted)
