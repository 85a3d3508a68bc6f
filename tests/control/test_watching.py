"""What clients are told without asking."""

from __future__ import annotations

from twisted.internet.error import ConnectionDone
from twisted.logger import Logger, LogLevel, globalLogPublisher
from twisted.python.failure import Failure

from isakmp import errors
from isakmp.connections import Renewal
from isakmp.control.groups import Line
from isakmp.control.watching import alert
from isakmp.events import ExchangeFailed
from isakmp.exchange.types import PHASE_1
from isakmp.logs import group_of
from isakmp.numbers import ExchangeType, NotifyType
from isakmp.parts import Role
from isakmp.paths import Datagram, Path
from isakmp.testing import settle
from isakmp.wire.message import CookiePair
from tests.control.test_commands import CommandTestCase, section
from tests.nodes import Settings

MAIN = PHASE_1[ExchangeType.IDENTITY_PROTECTION].name
BOTH = CookiePair(b"i" * 8, b"r" * 8)
FIRST = CookiePair(b"i" * 8, CookiePair.ZERO)
PATH = Path(("192.0.2.1", 500), ("192.0.2.2", 500))


def failed(
    error: errors.PeerError,
    exchange: str = MAIN,
    role: Role = Role.INITIATOR,
    cookies: CookiePair = BOTH,
) -> ExchangeFailed:
    """An exchange that has."""
    return ExchangeFailed("lab", PATH, exchange, role, cookies, error)


class UpDownTests(CommandTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.client.register("ike-updown", "child-updown", "child-rekey", "ike-rekey")

    def told(self) -> list[tuple[str, bool]]:
        """The events that have arrived: their names, and whether something is up."""
        return [(one.name, "up" in one.message) for one in self.client.received()]

    def test_life(self) -> None:
        """An ISAKMP SA and its child come up, and go."""
        self.both.up()
        self.assertEqual(self.told(), [("ike-updown", True), ("child-updown", True)])
        settle(self.both.clock, self.both.b.endpoint.delete(self.both.b.sas))
        self.wait()
        self.assertEqual(self.told(), [("child-updown", False), ("ike-updown", False)])

    def test_content(self) -> None:
        """What is told of a child has the keys of a list, and its ISAKMP SA around it."""
        self.both.up()
        _, up = self.client.received()
        lab = section(up.message, "lab")
        net = section(lab, "child-sas", "net-1")
        self.assertEqual((lab["uniqueid"], net["state"]), ("1", "INSTALLED"))
        settle(self.both.clock, self.both.a.endpoint.delete(self.both.a.bundles))
        (down,) = self.client.received()
        net = section(down.message, "lab", "child-sas", "net-1")
        self.assertEqual((net["state"], net["spi-in"]), ("DELETED", net["spi-in"]))

    def test_times_of_what_is_gone(self) -> None:
        """
        A child that goes down is told with its times: for how long it was up, when it would have
        been renewed, and when it would have ended.
        """
        self.daemon.child_configured(renewal=Renewal(600.0))
        self.both.up()
        self.wait(59.5)
        self.told()
        (bundle,) = self.both.a.bundles
        now, registry = self.both.clock.seconds(), self.both.a.registry
        due = self.both.a.assembly.renewals.due(bundle)
        assert due is not None
        times = {
            "install-time": str(int(now - registry.since(bundle))),
            "rekey-time": str(round(due - now)),
            "life-time": str(round(registry.expiry(bundle).hard - now)),
        }
        self.assertEqual(len(set(times.values())), 3)
        settle(self.both.clock, self.both.a.endpoint.delete([bundle]))
        (down,) = self.client.received()
        net = section(down.message, "lab", "child-sas", "net-1")
        self.assertEqual({key: net[key] for key in times}, times)

    def test_renewed_by_the_peer(self) -> None:
        """A child that the peer renews is renewed, and neither up nor down."""
        self.both.up()
        self.told()
        (old,) = self.both.b.bundles
        self.both.b.assembly.renewals.now(old)
        self.wait(100.0)
        self.assertEqual(len(self.both.a.bundles), 1)
        self.assertEqual(self.told(), [("child-rekey", False)])

    def test_renewed_sa(self) -> None:
        """An ISAKMP SA that is renewed is told as one that comes, one that goes, and both."""
        self.both.up()
        self.told()
        self.both.a.assembly.renewals.now(self.both.a.sas[0])
        self.wait(100.0)
        self.assertEqual(
            self.told(), [("ike-updown", True), ("ike-rekey", False), ("ike-updown", False)]
        )

    def test_stopped(self) -> None:
        """Nothing is told any more when it is stopped."""
        self.daemon.stop()
        self.both.up()
        self.assertEqual(self.told(), [])


class LogTests(CommandTestCase):
    def say(self, namespace: str = "isakmp.exchange.endpoint", **what: object) -> None:
        """A line of the log."""
        Logger(namespace).emit(LogLevel.info, "it is {what}", **{"what": "so", **what})

    def test_number_of_what_is_gone(self) -> None:
        """The line that tells of the end of an ISAKMP SA has its number, and not another's."""
        self.both.up()
        settle(self.both.clock, self.both.a.endpoint.begin_management_sa(self.both.a.connection()))
        self.client.register("log")
        settle(self.both.clock, self.both.a.endpoint.delete(self.both.a.sas[:1]))
        (line,) = [
            one.message
            for one in self.client.received()
            if "ISAKMP SA" in str(one.message["msg"]) and "is gone" in str(one.message["msg"])
        ]
        self.assertEqual(line["ikesa-uniqueid"], "1")

    def test_log(self) -> None:
        """Who listens to the log has its lines, with group and level, and the SA they are of."""
        self.client.register("log")
        self.say(connection="lab")
        self.say("isakmp.udp")
        self.say("twisted.something")
        of_lab, of_nobody = self.client.events("log")
        self.assertEqual(
            of_lab,
            {"group": "IKE", "level": "1", "thread": "1", "ikesa-name": "lab", "msg": "it is so"},
        )
        self.assertEqual((of_nobody["group"], "ikesa-name" in of_nobody), ("NET", False))
        self.both.up()
        self.client.received()
        self.say(connection="lab")
        self.assertEqual(self.client.events("log")[0]["ikesa-uniqueid"], "1")

    def test_nobody_listens(self) -> None:
        """As long as nobody listens, the log is not looked at; nor when the last one has gone."""

        def observers() -> int:
            return len(globalLogPublisher._observers)

        before = observers()
        self.client.register("log")
        self.daemon.client().register("log")
        self.assertEqual(observers(), before + 1)
        for session in tuple(self.daemon.server.sessions):
            session.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(observers(), before)

    def test_hostile_line(self) -> None:
        """What a line has in it, a client's terminal is not told to do; and it is not endless."""
        self.client.register("log")
        self.say(what="\x1b[2J\nnext" + "x" * 20_000)
        (line,) = self.client.events("log")
        self.assertNotIn("\x1b", str(line["msg"]))
        self.assertLess(len(str(line["msg"])), 10_000)

    def test_failing(self) -> None:
        """A line that cannot be made is none less for that."""
        self.client.register("log")
        Logger("isakmp.x").emit(LogLevel.info, "{a.b.c}", a=1)
        self.assertEqual(len(self.client.events("log")), 1)

    def test_groups(self) -> None:
        """Each part of the daemon has a group; levels are 0, 1 and 2."""
        for namespace, group in (
            ("isakmp.exchange.endpoint.ISAKMPEndpoint", "IKE"),
            ("isakmp.sinks.log.LogSink", "KNL"),
            ("isakmp.daemon.Daemon", "CFG"),
            ("isakmp.udp", "NET"),
            ("isakmp.unheard", "LIB"),
        ):
            self.assertEqual(group_of(namespace), group)
        for level, number in ((LogLevel.error, 0), (LogLevel.info, 1), (LogLevel.debug, 2)):
            event = {"log_namespace": "isakmp.ike", "log_level": level, "log_format": "x"}
            self.assertEqual(Line.of(event), Line("IKE", number, "", "x"))
        child = {"log_namespace": "isakmp.journal", "child": "net", "log_format": "x"}
        self.assertEqual(Line.of(child), Line("CHD", 1, "", "x"))


class AlertTests(CommandTestCase):
    def test_told(self) -> None:
        """A failure is one alert: whose it is, the rule, what was offered, and the sentence."""
        self.prepare(bobs_settings=Settings(suite="3des-sha1-modp1024"))
        self.client.register("alert", "log")
        self.both.a.establish().addErrback(lambda _: None)
        self.wait(20.0)
        received = self.client.received()
        said = [str(one.message["msg"]) for one in received if one.name == "log"]
        (told,) = [one.message for one in received if one.name == "alert"]
        self.assertEqual(told["type"], "proposal-mismatch-ike")
        self.assertEqual((told["role"], told["exchange"]), ("initiator", MAIN))
        self.assertEqual(told["offered"], "aes128-sha256-curve25519")
        (line,) = [line for line in said if " failed: " in line]
        self.assertEqual(told["msg"], line)
        self.assertTrue(line.endswith(f" failed: {self.both.a.failures[0]}"), line)
        self.assertEqual(section(told, "ike-sa")["name"], "lab")

    def test_refused(self) -> None:
        """
        Who refuses what a peer would begin tells it by an alert too, in the sentence of the log:
        what was offered, and what is configured.
        """
        self.prepare(bobs_settings=Settings(suite="3des-sha1-modp1024"))
        self.client.register("alert", "log")
        self.both.b.establish().addErrback(lambda _: None)
        self.wait(20.0)
        received = self.client.received()
        told = next(one.message for one in received if one.name == "alert")
        (line,) = {
            str(one.message["msg"])
            for one in received
            if one.name == "log" and str(one.message["msg"]).startswith("refused ")
        }
        self.assertEqual(told["msg"], line)
        self.assertEqual(told["type"], "proposal-mismatch-ike")
        self.assertEqual(told["offered"], "3des-sha1-modp1024")
        self.assertEqual(told["configured"], "aes128-sha256-curve25519")

    def test_strangers(self) -> None:
        """However many a stranger makes, alerts are as few as lines of the log."""
        self.client.register("alert")
        hello = bytes(7) + b"x" + bytes(8) + bytes.fromhex("01100200000000000000001c")
        for number in range(1000):
            octets = number.to_bytes(8, "big") + hello[8:]
            self.both.a.endpoint.datagram_received(Datagram(octets, PATH))
        told = self.client.events("alert")
        self.assertGreater(len(told), 0)
        self.assertLessEqual(len(told), self.both.a.node.limits.notifications)

    def test_given_up(self) -> None:
        """What was given up here is no alert."""
        self.client.register("alert")
        self.both.a.establish().addErrback(lambda _: None).cancel()
        self.assertEqual(len(self.both.a.failures), 1)
        self.assertEqual(self.client.events("alert"), [])

    def test_types(self) -> None:
        """Each failure has the name that strongSwan gives to its like."""
        quick = "Quick Mode"
        refused = errors.PeerRefused("x", NotifyType.INVALID_ID_INFORMATION)
        chosen = errors.PeerRefused("x", NotifyType.NO_PROPOSAL_CHOSEN)
        for event, name in (
            (failed(errors.NoProposalChosen("x")), "proposal-mismatch-ike"),
            (failed(errors.NoProposalChosen("x"), quick), "proposal-mismatch-child"),
            (failed(chosen, quick), "proposal-mismatch-child"),
            (failed(refused), "local-auth-failed"),
            (failed(refused, quick), "ts-mismatch"),
            (failed(errors.InvalidIdentity("x"), quick), "ts-mismatch"),
            (failed(errors.InvalidIdentity("x")), "authorization-failed"),
            (failed(errors.AuthenticationFailed("x")), "peer-auth-failed"),
            (failed(errors.InvalidHash("x")), "peer-auth-failed"),
            (failed(errors.ExchangeTimeout("x"), cookies=FIRST), "peer-init-unreachable"),
            (failed(errors.ExchangeTimeout("x")), "retransmit-send-timeout"),
            (failed(errors.ExchangeTimeout("x"), role=Role.RESPONDER), "half-open-timeout"),
            (failed(errors.Unreadable("x")), "peer-auth-failed"),
            (failed(errors.Unreadable("x"), quick), "parse-error-body"),
            (failed(errors.LimitReached("x")), "authorization-failed"),
            (failed(errors.LimitReached("x"), quick), "install-child-sa-failed"),
        ):
            self.assertEqual(alert(event), name, event)
