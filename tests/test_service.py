"""A node as a service: real sockets on loopback, opened when it starts and free when it stops."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from twisted.application.service import IService, IServiceCollection, MultiService
from twisted.internet import reactor
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from isakmp.associations import SABundle
from isakmp.connections import Connection, Intervals
from isakmp.credentials.pre_shared_keys import SharedSecret
from isakmp.demo import addresses
from isakmp.errors import Cancelled, ConfigurationError, ExchangeTimeout
from isakmp.events import Established, MessageDropped, Removal, Removed
from isakmp.interfaces import IEvents, IPorts, ISASink
from isakmp.marker import MARKER
from isakmp.paths import Address, Datagram, Path
from isakmp.service import ISAKMPService, responder_service
from isakmp.sinks.memory import MemorySink
from tests import nodes
from tests.loopback import UNBOUND, bindable, quietly_collect, unbound
from tests.samples import logged

SECRETS = (SharedSecret(b"correct horse", ()),)


def connection(local: Address, remote: Address, ours: str, theirs: str) -> Connection:
    """One of a pair, at these ports."""
    made = nodes.connection(local[0], remote[0], ours, theirs)
    return replace(made, local_port=local[1], remote_port=remote[1])


def bundles(service: ISAKMPService) -> list[SABundle]:
    return [sa for sa in service.node.registry if isinstance(sa, SABundle)]


@implementer(IPorts)
class Tap:
    """
    Stands between a node and its sockets.

    :ivar sent: everything that was sent.
    """

    def __init__(self, ports: IPorts) -> None:
        self._ports = ports
        self.sent: list[Datagram] = []

    def send(self, datagram: Datagram) -> None:
        """Send it, and keep it."""
        self.sent.append(datagram)
        self._ports.send(datagram)

    def source(self, remote: str, port: int) -> Address:
        """The sockets know."""
        return self._ports.source(remote, port)


class ServiceTestCase(TestCase):
    """Tests that start services have them stopped; what is left on the clock is a failure."""

    def setUp(self) -> None:
        self.addCleanup(quietly_collect)

    def assert_nothing_pending(self) -> None:
        """Nothing is on the clock but trial's own time-out."""
        self.assertEqual(
            [
                call
                for call in reactor.getDelayedCalls()
                if not call.func.__module__.startswith("twisted.trial.")  # type: ignore[attr-defined]
            ],
            [],
        )

    async def turn(self) -> None:
        """The reactor closes what is to be closed."""
        await deferLater(reactor, 0.0, lambda: None)

    def service(
        self, listen: Sequence[Address], connections: Iterable[Connection] = (), **words: Any
    ) -> ISAKMPService:
        words.setdefault("sink", MemorySink())
        made = ISAKMPService(connections, SECRETS, listen=listen, **words)
        self.addCleanup(made.stopService)
        return made

    def taken(self, address: str = "127.0.0.1") -> Address:
        """A port that somebody else has, who never answers."""
        other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(other.close)
        other.bind((address, 0))
        host, port = other.getsockname()
        return host, port

    def happens(self, service: ISAKMPService, kind: type[Any], count: int = 1) -> Deferred[None]:
        """Fires when so many events of a class have been published, within some seconds."""
        waiting: Deferred[None] = Deferred()
        seen: list[object] = []

        def note(event: object) -> None:
            seen.append(event)
            if len(seen) == count:
                waiting.callback(None)

        service.node.events.subscribe(kind, note)
        return waiting.addTimeout(5.0, reactor)


class PairTestCase(ServiceTestCase):
    """Two of them on one host, with a socket each."""

    def setUp(self) -> None:
        super().setUp()
        self.one, self.two = addresses()
        self.ours = self.service((self.one,), (connection(self.one, self.two, "i.lab", "r.lab"),))
        self.theirs = self.service((self.two,), (connection(self.two, self.one, "r.lab", "i.lab"),))

    async def up(self) -> None:
        """A tunnel between them."""
        self.ours.startService()
        self.theirs.startService()
        installed = self.happens(self.theirs, Established, 2)
        road = self.ours.node.policy.connection("lab")
        await self.ours.endpoint.establish(road, road.child("net"))
        await installed


class TwoServicesTests(PairTestCase):
    """What two of them do."""

    async def test_tunnel(self) -> None:
        """Two daemons that have each other's secret agree a tunnel, with the same keys."""
        await self.up()
        (ours,), (theirs,) = bundles(self.ours), bundles(self.theirs)
        prints = [
            one.node.sink.fingerprints(bundle)  # type: ignore[attr-defined]
            for one, bundle in ((self.ours, ours), (self.theirs, theirs))
        ]
        self.assertEqual(prints[0], prints[1])
        self.assertEqual(len(prints[0]), 2)
        self.assertEqual(ours.inbound[0].key.spi, theirs.outbound[0].key.spi)

    async def test_stop(self) -> None:
        """
        When a daemon stops it tells its peer, who forgets both SAs at once; it leaves nothing on
        the clock, nothing in the sink, and its port is free for the next.
        """
        await self.up()
        whys: list[Removal] = []
        self.theirs.node.events.subscribe(Removed, lambda event: whys.append(event.why))
        gone = self.happens(self.theirs, Removed, 2)
        await self.ours.stopService()
        self.assertEqual(list(self.ours.node.registry), [])
        self.assertEqual(dict(self.ours.node.sink.standing), {})  # type: ignore[attr-defined]
        self.assertTrue(bindable(self.one))
        await gone
        self.assertEqual(whys, [Removal.DELETED_BY_PEER] * 2)
        self.assertEqual(list(self.theirs.node.registry), [])
        self.assertEqual(dict(self.theirs.node.sink.standing), {})  # type: ignore[attr-defined]
        await self.theirs.stopService()
        self.assertTrue(bindable(self.two))
        self.assert_nothing_pending()

    async def test_stop_both(self) -> None:
        """Both may stop at once, and twice: nobody waits for an answer to a Delete."""
        await self.up()
        for service in (self.ours, self.theirs, self.ours):
            await service.stopService()
        self.assertTrue(bindable(self.one) and bindable(self.two))
        self.assert_nothing_pending()

    async def test_stop_while_beginning(self) -> None:
        """A daemon that stops in the middle of an exchange gives it up, and leaves no timer."""
        silent = self.taken()
        ours = self.service((self.one,), (connection(self.one, silent, "i.lab", "r.lab"),))
        ours.startService()
        road = ours.node.policy.connection("lab")
        agreeing = ours.endpoint.establish(road, road.child("net"))
        self.assertNoResult(agreeing)
        await ours.stopService()
        self.failureResultOf(agreeing, Cancelled)
        self.assertTrue(bindable(self.one))
        self.assert_nothing_pending()

    async def test_nobody_there(self) -> None:
        """A peer that is not there is a sentence that names it, and no traceback."""
        road = replace(
            connection(self.one, self.two, "i.lab", "r.lab"), intervals=Intervals(0.01, 1.0, 2)
        )
        ours = self.service((self.one,), (road,))
        ours.startService()
        with self.assertRaises(ExchangeTimeout) as caught:
            await ours.endpoint.establish(road, road.child("net"))
        self.assertIn(f"no answer from {self.two[0]}:{self.two[1]}", str(caught.exception))

    async def test_sink_fails(self) -> None:
        """A sink that cannot remove what it has does not keep the ports open."""
        await self.up()
        sink = self.ours.node.sink
        self.patch(sink, "remove", lambda bundle: fail(ZeroDivisionError()))
        await self.ours.stopService()
        self.assertTrue(self.flushLoggedErrors(ZeroDivisionError))
        self.assertTrue(bindable(self.one))

    async def test_sink_never_answers(self) -> None:
        """
        A sink that does not answer does not keep the process: it ends within two seconds, its ports
        are free, and the log says what is left.
        """
        await self.up()
        notes = logged(self)
        sink = self.ours.node.sink
        self.patch(sink, "remove", lambda bundle: Deferred())
        self.patch(sink, "stop", Deferred)
        began = reactor.seconds()  # type: ignore[attr-defined]
        await self.ours.stopService()
        self.assertLess(reactor.seconds() - began, 2.0)  # type: ignore[attr-defined]
        late = [note["what"] for note in notes if note["log_level"].name == "error"]
        self.assertEqual(len(late), 2, late)
        self.assertTrue(bindable(self.one))
        self.assert_nothing_pending()

    async def test_wrap(self) -> None:
        """What is put between a node and its sockets sees everything that is sent."""
        taps: list[Tap] = []

        def wrap(ports: IPorts) -> Tap:
            taps.append(Tap(ports))
            return taps[-1]

        self.theirs = self.service(
            (self.two,),
            (connection(self.two, self.one, "r.lab", "i.lab"),),
            wrap=wrap,
        )
        await self.up()
        (tap,) = taps
        self.assertEqual(len(tap.sent), 4)
        self.assertEqual({datagram.path for datagram in tap.sent}, {Path(self.two, self.one)})


class StartTests(ServiceTestCase):
    """Its sockets, and what becomes of them."""

    suppress = UNBOUND

    def test_interfaces(self) -> None:
        """It is a service of Twisted's, and can be one of several."""
        service = self.service(())
        verifyObject(IService, service)
        parent = MultiService()
        service.setServiceParent(IServiceCollection(parent))
        self.assertIs(parent.getServiceNamed("isakmp"), service)

    async def test_before(self) -> None:
        """To make it binds nothing; with privileges it is bound before it runs, and only once."""
        (one, two) = addresses()
        service = self.service((one, two))
        self.assertTrue(bindable(one) and bindable(two))
        self.assertEqual(service.bound, ())
        service.privilegedStartService()
        self.assertEqual(service.bound, (one, two))
        self.assertFalse(service.running)
        self.assertFalse(bindable(one) or bindable(two))
        service.startService()
        self.assertEqual(service.bound, (one, two))
        self.assertTrue(service.running)
        await service.stopService()
        self.assertFalse(service.running)

    def test_says_where(self) -> None:
        """The log says where it listens."""
        notes = logged(self)
        service = self.service((("127.0.0.1", 0),))
        service.startService()
        port = service.bound[0][1]
        said = [n["log_format"].format(**n) for n in notes if "addresses" in n]
        self.assertEqual(said, [f"listening on 127.0.0.1:{port}"])

    def test_port_in_use(self) -> None:
        """A port that another daemon has is one line, and the end: no traceback."""
        host, port = self.taken()
        service = self.service(((host, port),))
        error = self.assertRaises(SystemExit, service.privilegedStartService)
        self.assertEqual(
            error.code, f"isakmp: cannot listen on 127.0.0.1:{port}: Address already in use"
        )
        self.assertRaises(ConfigurationError, service.startService)
        self.assertFalse(service.running)

    @unbound
    async def test_all_or_none(self) -> None:
        """If one address cannot be had, the others are given back, and it can be tried again."""
        (one, two) = addresses()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(two)
            service = self.service((one, two))
            self.assertRaises(ConfigurationError, service.bind)
            self.assertEqual(service.bound, ())
            await self.turn()
            self.assertTrue(bindable(one))
        service.startService()
        self.assertEqual(service.bound, (one, two))

    async def test_stop_before(self) -> None:
        """To stop what never started is nothing."""
        await self.service((("127.0.0.1", 0),)).stopService()
        self.assert_nothing_pending()

    async def test_once(self) -> None:
        """A node that was stopped says that it does not start again: it is not deaf in silence."""
        service = self.service((("127.0.0.1", 0),))
        service.startService()
        await service.stopService()
        for start in (service.startService, service.bind):
            error = self.assertRaises(ConfigurationError, start)
            self.assertIn("does not start again", str(error))
        self.assertRaises(SystemExit, service.privilegedStartService)
        self.assertFalse(service.running)

    def test_configuration(self) -> None:
        """What is configured wrongly is said when it is made, before anything is bound."""
        road = connection(("127.0.0.1", 1), ("127.0.0.2", 1), "i.lab", "r.lab")
        error = self.assertRaises(ConfigurationError, self.service, (), (road, road))
        self.assertIn("lab", str(error))


class ResponderServiceTests(ServiceTestCase):
    """What ``twistd isakmp`` runs as long as no connection is configured."""

    async def test_stranger(self) -> None:
        """It listens on every address of mine, answers no stranger, and says in its log why."""
        one, two = addresses()
        hosts = tuple(dict.fromkeys((one[0], two[0])))  # some hosts have but one
        service = responder_service(hosts, one[1])
        self.addCleanup(service.stopService)
        service.startService()
        self.assertEqual(service.bound, tuple((host, one[1]) for host in hosts))
        self.assertTrue(ISASink.providedBy(service.node.sink))
        self.assertFalse(service.node.sink.protects)
        notes = logged(self)
        for host in hosts:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
                stranger.bind(("127.0.0.1", 0))
                stranger.setblocking(False)
                local = stranger.getsockname()
                dropped = self.happens(service, MessageDropped)
                message = MARKER + first_message(local, (host, one[1]))
                stranger.sendto(message, (host, one[1]))
                await dropped
                self.assertRaises(BlockingIOError, stranger.recv, 100)
            said = [n["log_format"].format(**n) for n in notes if "why" in n]
            self.assertEqual(len([line for line in said if str(local[1]) in line]), 1, said)
            self.assertIn("no connection is configured for this peer", said[-1])


def first_message(local: Address, remote: Address) -> bytes:
    """What an honest initiator sends first."""
    taps: list[Tap] = []

    def wrap(ports: IPorts) -> Tap:
        taps.append(Tap(ports))
        return taps[-1]

    road = connection(local, remote, "i.lab", "r.lab")
    service = ISAKMPService((road,), SECRETS, listen=(), sink=MemorySink(), wrap=wrap)
    agreeing = service.endpoint.establish(road, road.child("net"))
    agreeing.addErrback(lambda failure: failure.trap(Cancelled))
    service.stopService()
    return taps[0].sent[0].octets


class SinkTests(ServiceTestCase):
    """The sink begins first and ends last."""

    def service(self, sink: ISASink) -> ISAKMPService:
        (address, _) = addresses()
        return ISAKMPService((), SECRETS, listen=(address,), sink=sink)

    async def test_order(self) -> None:
        """
        The sink is started when the sockets are bound and before anything is begun, and stopped
        when all that stood has been removed from it.
        """
        said: list[str] = []
        waiting: Deferred[None] = Deferred()

        class Slow(MemorySink):
            def start(self, events: IEvents) -> Deferred[None]:
                said.append("start")
                return waiting

            def stop(self) -> Deferred[None]:
                said.append("stop")
                return super().stop()

        service = self.service(Slow())
        service._assembly.initiation.keep = lambda connections: said.append(  # type: ignore[method-assign, misc, assignment]
            "keep"
        )
        service.startService()
        self.assertEqual(said, ["start"])
        waiting.callback(None)
        self.assertEqual(said, ["start", "keep"])
        await service.stopService()
        self.assertEqual(said, ["start", "keep", "stop"])

    async def test_cannot(self) -> None:
        """Where the sink cannot do what it is for, that is one line, and the port is free again."""

        class Unable(MemorySink):
            def start(self, events: IEvents) -> Deferred[None]:
                return fail(ConfigurationError("this kernel has no ESP"))

        service = self.service(Unable())
        error = self.assertRaises(SystemExit, service.privilegedStartService)
        self.assertEqual(str(error), "isakmp: this kernel has no ESP")
        self.assertEqual(service.bound, ())
        await service.stopService()
        await self.turn()
        self.assertTrue(bindable(service._listen[0]))
