"""What each command does, asked by a client of a node in memory."""

from __future__ import annotations

import pathlib
import time
from dataclasses import replace

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.logger import LogLevel, formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import alsoProvides

from isakmp.associations import ChildPolicy, IPsecParameters, SABundle, Usage
from isakmp.config.loaded import Loaded
from isakmp.connections import Renewal, StartAction
from isakmp.control.codec import Section
from isakmp.control.listing import Listing
from isakmp.control.watching import EVENTS
from isakmp.credentials.pre_shared_keys import SharedSecret
from isakmp.events import TrafficWaiting
from isakmp.handling import Handling, Mark, Unique
from isakmp.interfaces import IChoices, IReqids
from isakmp.numbers import ProtocolID
from isakmp.paths import Path
from isakmp.sinks.memory import MemorySink
from isakmp.testing import settle
from tests.control.harness import Client, MemberDaemon
from tests.nodes import ALICE, BOB, SECRET, Pair, Settings, connection, pair
from tests.renewing import configure
from tests.samples import logged

PAGE = pathlib.Path(__file__).resolve().parents[2] / "doc" / "reference" / "vici.rst"

GW: Section = {
    "version": "1",
    "local_addrs": ["192.0.2.1"],
    "remote_addrs": ["192.0.2.9"],
    "proposals": ["aes128-sha256-curve25519"],
    "local-1": {"auth": "psk", "id": "i.lab"},
    "remote-1": {"auth": "psk", "id": "gw.lab"},
    "children": {
        "net": {
            "local_ts": ["10.1.0.0/24"],
            "remote_ts": ["10.9.0.0/24"],
            "esp_proposals": ["aes128-sha256"],
        }
    },
}
"""As ``swanctl --load-conns`` sends a connection."""


def section(message: object, *path: str) -> Section:
    """A section inside a message."""
    for name in path:
        assert isinstance(message, dict)
        message = message[name]
    assert isinstance(message, dict)
    return message


class CommandTestCase(SynchronousTestCase):
    """Alice's daemon has clients; Bob is a peer."""

    def prepare(self, settings: Settings = Settings(), **how: object) -> None:
        """Both, and one client."""
        self.both: Pair = pair(settings, **how)  # type: ignore[arg-type]
        self.daemon = MemberDaemon(self.both.a)
        self.addCleanup(self.daemon.stop)
        self.client: Client = self.daemon.client()

    def setUp(self) -> None:
        self.prepare()

    def wait(self, seconds: float = 1.0) -> None:
        """Let time go by."""
        self.both.wait(seconds)

    def later(self, command: str, message: Section, seconds: float = 1.0) -> Section:
        """A command whose answer takes time; the answer."""
        self.client.ask(command, message)
        self.assertEqual(self.client.received(), [])
        self.wait(seconds)
        (answer,) = self.client.received()
        return answer.message

    def assert_refused(self, command: str, message: Section, *words: str) -> None:
        """It is not done, and the sentence has these words."""
        answer = self.client.call(command, message)
        self.assertEqual(answer["success"], "no", answer)
        for word in words:
            self.assertIn(word, str(answer["errmsg"]))


class AskingTests(CommandTestCase):
    def test_version(self) -> None:
        """It says who it is, and on which system."""
        answer = self.client.call("version")
        self.assertEqual(set(answer), {"daemon", "version", "sysname", "release", "machine"})
        self.assertEqual(answer["daemon"], "isakmp")

    def test_stats(self) -> None:
        """It says how many SAs stand, and how many are only begun."""
        self.assertEqual(self.client.call("stats")["ikesas"], {"total": "0", "half-open": "0"})
        self.both.up()
        answer = self.client.call("stats")
        self.assertEqual(answer["ikesas"], {"total": "1", "half-open": "0"})
        self.assertIn("ike", answer["plugins"])
        self.assertEqual(set(section(answer["uptime"])), {"running", "since"})

    def test_half_open(self) -> None:
        """What a peer has begun and not finished is half open."""
        self.prepare()
        self.both.b.establish().addErrback(lambda _: None)
        while len(self.both.wire) < 4:
            self.both.clock.next_event()
        self.assertEqual(self.client.call("stats")["ikesas"], {"total": "1", "half-open": "1"})

    def test_uptime(self) -> None:
        """How long it has been answering is said in a unit that fits."""
        for seconds, said in ((5, "5 seconds"), (130, "2 minutes"), (8000, "2 hours")):
            self.prepare()
            self.daemon.began = self.both.clock.seconds()
            self.wait(seconds)
            self.assertEqual(section(self.client.call("stats"), "uptime")["running"], said)

    def test_algorithms(self) -> None:
        """It lists what can be negotiated, by strongSwan's names."""
        answer = self.client.call("get-algorithms")
        for kind, name in (
            ("encryption", "AES_CBC"),
            ("encryption", "3DES_CBC"),
            ("integrity", "HMAC_SHA2_256_128"),
            ("prf", "PRF_HMAC_SHA1"),
            ("dh", "MODP_2048"),
            ("ke", "CURVE_25519"),
        ):
            self.assertIn(name, answer[kind])

    def test_conns(self) -> None:
        """A connection is listed as it is configured, and under its name only if one is given."""
        self.assertEqual(self.client.call("get-conns"), {"conns": ["lab"]})
        (event,) = self.client.streamed("list-conns", "list-conn")
        lab = section(event, "lab")
        self.assertEqual(lab["local_addrs"], [ALICE])
        self.assertEqual(lab["remote_addrs"], [BOB])
        self.assertEqual(section(lab, "local-1")["id"], "i.lab")
        self.assertEqual(section(lab, "remote-1")["class"], "pre-shared key")
        net = section(lab, "children", "net")
        self.assertEqual((net["mode"], net["local-ts"]), ("TUNNEL", ["10.1.0.0/24"]))
        self.assertEqual(net["rekey_bytes"], "0")
        self.assertEqual(self.client.streamed("list-conns", "list-conn", {"ike": "zz"}), [])

    def test_transport(self) -> None:
        """A child in transport mode is said to be one."""
        self.prepare(Settings(child_suite="transport:esp=aes128-sha256"))
        (event,) = self.client.streamed("list-conns", "list-conn")
        self.assertEqual(section(event, "lab", "children", "net")["mode"], "TRANSPORT")

    def test_sas(self) -> None:
        """What stands is listed, with the same cookies and SPIs as the peer has."""
        configure(self.both.a, parent=Renewal(2000.0), child=Renewal(600.0))
        self.assertEqual(self.client.streamed("list-sas", "list-sa"), [])
        self.both.up()
        self.wait(10.0)
        (event,) = self.client.streamed("list-sas", "list-sa")
        lab = section(event, "lab")
        (theirs,), (bundle,) = self.both.b.sas, self.both.b.bundles
        self.assertEqual(lab["uniqueid"], "1")
        self.assertEqual(lab["state"], "ESTABLISHED")
        self.assertEqual((lab["local-host"], lab["remote-port"]), (ALICE, "500"))
        self.assertEqual((lab["local-id"], lab["remote-id"]), ("i.lab", "r.lab"))
        self.assertEqual(lab["initiator"], "yes")
        self.assertEqual(lab["initiator-spi"], theirs.key.initiator.hex())
        self.assertEqual(lab["responder-spi"], theirs.key.responder.hex())
        self.assertEqual((lab["encr-alg"], lab["encr-keysize"]), ("AES_CBC", "128"))
        self.assertEqual((lab["dh-group"], lab["established"]), ("CURVE_25519", "10"))
        self.assertIn(lab["rekey-time"], ("1989", "1990"))
        net = section(lab, "child-sas", "net-1")
        self.assertEqual((net["name"], net["uniqueid"], net["state"]), ("net", "1", "INSTALLED"))
        self.assertEqual(net["spi-in"], bundle.outbound[0].key.spi.hex())
        self.assertEqual(net["spi-out"], bundle.inbound[0].key.spi.hex())
        self.assertEqual((net["mode"], net["protocol"]), ("TUNNEL", "ESP"))
        self.assertEqual(net["local-ts"], ["10.1.0.0/24"])
        self.assertIn(net["rekey-time"], ("589", "590"))
        self.assertIn(net["life-time"], ("1189", "1190"))

    def test_as_responder(self) -> None:
        """Of an SA that the peer began it is not said that we did."""
        self.prepare()
        settle(self.both.clock, self.both.b.establish())
        self.wait()
        (event,) = self.client.streamed("list-sas", "list-sa")
        self.assertNotIn("initiator", section(event, "lab"))

    def test_pfs(self) -> None:
        """The group of a child's own key agreement is listed; AES-GCM has no other integrity."""
        self.prepare(Settings(child_suite="aes256gcm16-curve25519"))
        self.both.up()
        (event,) = self.client.streamed("list-sas", "list-sa")
        net = section(event, "lab", "child-sas", "net-1")
        self.assertEqual(
            (net["encr-alg"], net["encr-keysize"], net["dh-group"]),
            ("AES_GCM_16", "256", "CURVE_25519"),
        )
        self.assertNotIn("integ-alg", net)

    def test_usage(self) -> None:
        """How much traffic a child has protected is what its sink has counted."""
        self.both.up()
        (bundle,) = self.both.a.bundles
        asked: list[str] = []

        def query(one: SABundle) -> Deferred[Usage]:
            asked.append(one.name)
            return succeed(Usage(1000, 10, 500, 5, time.time() - 3.0))

        self.patch(self.both.a.sink, "query", query)
        (event,) = self.client.streamed("list-sas", "list-sa")
        net = section(event, "lab", "child-sas", "net-1")
        self.assertEqual(asked, [bundle.name])
        self.assertEqual((net["bytes-in"], net["packets-out"]), ("1000", "5"))
        self.assertEqual((net["use-in"], "use-out" in net), ("3", False))

    def test_goes_meanwhile(self) -> None:
        """What goes while the list is made is left out of it, and the rest is listed."""
        self.prepare(Settings(children=2))
        self.both.up()
        settle(self.both.clock, self.both.a.establish("net1"))
        answers: list[Deferred[Usage]] = []

        def query(one: SABundle) -> Deferred[Usage]:
            answers.append(Deferred())
            return answers[-1]

        self.patch(self.both.a.sink, "query", query)
        self.client.register("list-sa")
        self.client.ask("list-sas")
        settle(self.both.clock, self.both.a.endpoint.delete(self.both.a.bundles[1:]))
        self.client.received()
        answers[0].callback(Usage())
        event, answer = self.client.received()
        self.assertEqual(list(section(event.message, "lab", "child-sas")), ["net-1"])
        self.client.ask("list-sas")
        settle(self.both.clock, self.both.a.endpoint.delete(self.both.a.sas))
        self.client.received()
        answers[1].callback(Usage())
        (answer,) = self.client.received()
        self.assertEqual(answer.message, {})

    def test_beginning_goes(self) -> None:
        """What was being negotiated and ends while the client does not read is told as it was."""
        other = replace(self.both.a.connection(), name="other")
        self.prepare()
        known = (self.both.a.connection(), other)
        self.both.a.assembly.configure(known, [SharedSecret(SECRET, ())])
        self.both.network.cut = True
        begun = [self.both.a.endpoint.begin_management_sa(each) for each in known]
        self.client.register("list-sa")
        self.client.wire.full_after = 1
        self.client.ask("list-sas")
        for one in begun:
            one.cancel()
            self.failureResultOf(one, CancelledError)
        self.client.wire.drain()
        *told, answer = self.client.received()
        self.assertEqual([list(event.message) for event in told], [["lab"], ["other"]])
        self.assertEqual(answer.message, {})

    def test_protocols(self) -> None:
        """AH is listed as what it is; of ESP with compression the SPI is that of ESP."""
        self.both.up()
        (bundle,) = self.both.a.bundles
        (esp,) = bundle.inbound
        listing = Listing(self.both.a.node, self.both.a.assembly.renewals)
        compressed = replace(
            esp,
            key=esp.key._replace(protocol=ProtocolID.IPCOMP, spi=b"\x12\x34"),
            parameters=IPsecParameters("tunnel", "none", "none", "deflate"),
        )
        found = listing.child(replace(bundle, inbound=(compressed, esp), outbound=()), 7)
        self.assertEqual((found["protocol"], found["spi-in"]), ("ESP", esp.key.spi.hex()))
        self.assertEqual((found["cpi-in"], "spi-out" in found), ("1234", False))
        authenticated = replace(
            esp,
            key=esp.key._replace(protocol=ProtocolID.AH),
            parameters=IPsecParameters("transport", "none", "hmac-sha1-96", extended=True),
        )
        found = listing.child(replace(bundle, inbound=(authenticated,)), 7)
        self.assertEqual((found["protocol"], found["mode"]), ("AH", "TRANSPORT"))
        self.assertEqual((found["integ-alg"], found["esn"]), ("HMAC_SHA1_96", "1"))
        self.assertNotIn("encr-alg", found)

    def test_selected(self) -> None:
        """One can ask for an SA by name or by number, and for those that have a child."""
        self.prepare(Settings(children=2))
        self.both.up()
        settle(self.both.clock, self.both.a.establish("net1"))
        for message, children in (
            ({"ike": "lab"}, ["net-1", "net1-2"]),
            ({"ike-id": "1"}, ["net-1", "net1-2"]),
            ({"child": "net1"}, ["net1-2"]),
            ({"child-id": "1"}, ["net-1"]),
            ({"child": "zz"}, None),
            ({"ike": "zz"}, None),
            ({"ike-id": "2"}, None),
        ):
            found = self.client.streamed("list-sas", "list-sa", dict(message))
            listed = [sorted(section(one, "lab", "child-sas")) for one in found]
            self.assertEqual(listed, [] if children is None else [children], message)

    def test_connecting(self) -> None:
        """An SA that is being negotiated is listed as one."""
        self.both.a.establish().addErrback(lambda _: None)
        (event,) = self.client.streamed("list-sas", "list-sa")
        lab = section(event, "lab")
        self.assertEqual((lab["state"], lab["responder-spi"]), ("CONNECTING", "0" * 16))
        self.assertEqual(lab["remote-host"], BOB)

    def test_many(self) -> None:
        """With several SAs each is an event of its own."""
        self.both.up()
        settle(self.both.clock, self.both.a.endpoint.reauthenticate(self.both.a.sas[0]))
        self.assertEqual(len(self.client.streamed("list-sas", "list-sa")), 2)

    def test_reqid(self) -> None:
        """By the reqid I find a child in ``ip xfrm``; where the sink has none it is 0."""
        self.both.up()
        for number in (0, 7):
            (event,) = self.client.streamed("list-sas", "list-sa")
            (child,) = section(event, "lab", "child-sas").values()
            assert isinstance(child, dict)
            self.assertEqual(child["reqid"], str(number))
            sink = self.both.a.sink
            vars(sink)["reqid"] = lambda bundle: 7
            alsoProvides(sink, IReqids)

    def test_marks(self) -> None:
        """Marks and interface ids are listed as they were chosen; what is not chosen is not."""
        self.both.up()
        sink = self.both.a.sink
        keys = ("mark-in", "mark-mask-in", "mark-out", "mark-mask-out", "if-id-in", "if-id-out")
        for handling, wanted in (
            (Handling(), ()),
            (Handling(mark_in=Mark(Unique()), if_id_in=Unique()), ()),
            (
                Handling(mark_in=Mark(42, 0xFF), mark_out=Mark(1), if_id_out=16),
                ("0000002a", "000000ff", "00000001", None, None, "00000010"),
            ),
        ):
            vars(sink)["handling"] = lambda bundle, of=handling: of
            alsoProvides(sink, IChoices)
            (event,) = self.client.streamed("list-sas", "list-sa")
            (child,) = section(event, "lab", "child-sas").values()
            assert isinstance(child, dict)
            self.assertEqual(tuple(child.get(key) for key in keys), wanted or (None,) * 6)

    def test_nothing_there(self) -> None:
        """Of what is not built yet nothing is listed, and nothing is said to be there."""
        for command, event in (
            ("list-certs", "list-cert"),
            ("list-authorities", "list-authority"),
        ):
            self.assertEqual(self.client.streamed(command, event), [])
            self.assertEqual(self.client.call(command), {})
        self.assertEqual(self.client.call("get-pools"), {})
        self.assertEqual(self.client.call("get-keys"), {"keys": []})
        self.assertEqual(self.client.call("get-authorities"), {"authorities": []})

    def test_page(self) -> None:
        """The reference page has every command and every event."""
        page = PAGE.read_text(encoding="utf-8")
        for name in (*self.daemon.server.commands, *EVENTS):
            self.assertIn(f"``{name}``", page)


class NotBuiltTests(CommandTestCase):
    def test_not_built(self) -> None:
        """What is not built yet is refused with a sentence, and never as if it were done."""
        for command, message, words in (
            ("load-cert", {"type": "X509", "flag": "CA", "data": "x"}, "not built yet"),
            ("load-key", {"type": "any", "data": "x"}, "not built yet"),
            ("load-token", {"handle": "01"}, "not built yet"),
            ("load-pool", {"p": {"addrs": "10.0.0.0/24"}}, "not built yet"),
            ("unload-pool", {"name": "p"}, "not built yet"),
            ("load-authority", {"a": {"cacert": "x"}}, "not built yet"),
            ("unload-authority", {"name": "a"}, "not built yet"),
            ("unload-key", {"id": "0102"}, "no private key 0102"),
            ("unload-key", {}, "not named"),
            ("redirect", {"ike": "lab", "gateway": "10.0.0.1"}, "IKEv2"),
        ):
            self.assert_refused(command, dict(message), words)  # type: ignore[arg-type]


class PolicyTests(CommandTestCase):
    """Policies that stand without an SA."""

    def setUp(self) -> None:
        super().setUp()
        self.policies: list[str] = []

        def trap(sink: MemorySink, policy: ChildPolicy, path: Path | None) -> Deferred[None]:
            self.policies.append(policy.name)
            return succeed(None)

        def untrap(sink: MemorySink, connection: str, child: str) -> Deferred[None]:
            self.policies.remove(child)
            return succeed(None)

        self.can = trap
        self.patch(MemorySink, "untrap", untrap)

    def listed(self, **message: str) -> list[str]:
        events = self.client.streamed("list-policies", "list-policy", dict(message))
        return [name for event in events for name in event]

    def test_life(self) -> None:
        """
        A client installs a trap, sees it, has traffic begin the child, and takes it away; loading
        the same again leaves it, and unloading the connection takes it.
        """
        self.patch(MemorySink, "trap", self.can)
        self.assertEqual(self.listed(), [])
        for _ in range(2):
            answer = self.client.call("install", {"child": "net", "ike": "lab"})
            self.assertEqual(answer, {"success": "yes"})
        self.assertEqual(self.policies, ["net"])
        (event,) = self.client.streamed("list-policies", "list-policy")
        found = section(event, "lab/net")
        self.assertEqual((found["child"], found["ike"]), ("net", "lab"))
        self.assertEqual(found["local-ts"], ["10.1.0.0/24"])
        self.assertEqual(self.listed(trap="yes", child="net"), ["lab/net"])
        self.assertEqual(self.listed(drop="yes"), [])
        self.assertEqual(self.listed(ike="other"), [])
        self.both.a.node.events.publish(TrafficWaiting("lab", "net", "x"))
        self.wait(3.0)
        self.assertEqual(len(self.both.a.bundles), 1)
        traps = self.both.a.assembly.traps
        traps.keep([self.both.a.connection()])
        self.assertEqual(self.listed(), ["lab/net"])
        self.assertEqual(self.client.call("uninstall", {"child": "net"}), {"success": "yes"})
        self.assertEqual((self.listed(), self.policies), ([], []))
        self.client.call("install", {"child": "net"})
        traps.keep([])
        self.assertEqual((self.listed(), self.policies), ([], []))

    def test_refused(self) -> None:
        """What cannot be is a sentence, and nothing is said to stand."""
        self.assert_refused("install", {"child": "net"}, "sees no traffic, and cannot trap it")
        self.assertEqual(self.listed(), [])
        self.both.a.assembly.traps.keep([self.both.a.connection()])
        self.assertEqual(self.policies, [])
        self.assert_refused("install", {"ike": "lab"}, "nothing says which child")
        self.assert_refused("install", {"child": "other"}, "there is no child other")
        self.assert_refused("uninstall", {"child": "net"}, "no policy of net is installed")
        self.assert_refused("uninstall", {}, "nothing says which child")


class InitiateTests(CommandTestCase):
    def test_child(self) -> None:
        """A child is begun; the answer comes when it stands at both ends."""
        self.assertEqual(self.later("initiate", {"child": "net"}), {"success": "yes"})
        self.assertEqual((len(self.both.a.bundles), len(self.both.b.bundles)), (1, 1))

    def test_ike(self) -> None:
        """An ISAKMP SA is begun without a child."""
        self.assertEqual(self.later("initiate", {"ike": "lab"}), {"success": "yes"})
        self.assertEqual((len(self.both.a.sas), self.both.a.bundles), (1, []))

    def test_which(self) -> None:
        """A child of a certain connection is meant where two have one of its name."""
        other = connection(ALICE, "192.0.2.9", "i.lab", "x.lab", name="other")
        loaded = self.daemon.loaded
        self.daemon.apply(replace(loaded, file={"other": other, **loaded.file}))
        message: Section = {"child": "net", "ike": "lab"}
        self.assertEqual(self.later("initiate", message), {"success": "yes"})
        self.assertEqual([sa.connection for sa in self.both.a.sas], ["lab"])

    def test_no_such(self) -> None:
        """What is not configured is refused, and what is is named."""
        self.assert_refused("initiate", {"child": "zz"}, "no child zz", "lab/net")
        children: Section = {"net": {**section(GW, "children", "net"), "mode": "drop"}}
        self.client.call("load-conn", {"gw": {**GW, "children": children}})
        self.assert_refused(
            "initiate", {"ike": "gw", "child": "net"}, "mode = drop protects nothing"
        )
        self.assert_refused("initiate", {"ike": "zz"}, "no connection zz", "lab")
        self.assert_refused("initiate", {"ike": "lab", "child": "zz"}, "lab has no child zz")
        self.assert_refused("initiate", {}, "ike", "child")
        self.assert_refused("initiate", {"child": ["net"]}, "child")
        self.assert_refused("initiate", {"child": "net", "timeout": "soon"}, "timeout")

    def test_fails(self) -> None:
        """Why it failed is the answer: what was offered, and what would help."""
        self.prepare(bobs_settings=Settings(suite="3des-sha1-modp1024"))
        answer = self.later("initiate", {"child": "net"}, 20.0)
        self.assertEqual(answer["success"], "no")
        for words in ("lab/net is not established", "aes128-sha256-curve25519", "NO-PROPOSAL"):
            self.assertIn(words, str(answer["errmsg"]))

    def test_silent(self) -> None:
        """A peer that does not answer: the answer says so when hope is given up."""
        self.both.b.endpoint.close()
        answer = self.later("initiate", {"child": "net"}, 200.0)
        self.assertEqual(answer["success"], "no")
        self.assertIn("UDP may be blocked", str(answer["errmsg"]))

    def test_timeout(self) -> None:
        """A client may wait shorter than the exchange; that goes on."""
        self.both.network.delay = 0.2
        self.client.ask("initiate", {"child": "net", "timeout": "500"})
        self.wait(0.6)
        (answer,) = self.client.received()
        self.assertEqual(answer.message["success"], "no")
        self.assertIn("after 500 ms; it goes on", str(answer.message["errmsg"]))
        self.wait(5.0)
        self.assertEqual(len(self.both.a.bundles), 1)

    def test_at_once(self) -> None:
        """With a timeout of -1 the answer does not wait, whatever comes of it."""
        message: Section = {"child": "net", "timeout": "-1"}
        self.assertEqual(self.client.call("initiate", message), {"success": "yes"})
        self.wait()
        self.assertEqual(len(self.both.a.bundles), 1)
        self.both.b.endpoint.close()
        settle(self.both.clock, self.both.a.endpoint.delete(self.both.a.sas))
        self.client.call("initiate", message)
        self.wait(300.0)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_client_dies(self) -> None:
        """The client dies meanwhile: what it began goes on."""
        self.client.ask("initiate", {"child": "net"})
        self.client.session.connectionLost(Failure(ConnectionError()))
        self.wait()
        self.assertEqual(len(self.both.a.bundles), 1)

    def test_control_log(self) -> None:
        """While it runs, the lines of the log about this connection are told, and no others."""
        self.prepare(bobs_settings=Settings(suite="3des-sha1-modp1024"))
        self.client.register("control-log")
        self.client.ask("initiate", {"child": "net"})
        self.wait(20.0)
        *lines, answer = self.client.received()
        self.assertEqual({line.name for line in lines}, {"control-log"})
        failed = [one.message for one in lines if "failed" in str(one.message["msg"])]
        self.assertEqual(len(failed), 1)
        self.assertEqual((failed[0]["group"], failed[0]["level"]), ("IKE", "1"))
        self.assertEqual(failed[0]["ikesa-name"], "lab")
        # The same sentence in both, from its first word to its last.
        self.assertEqual(
            answer.message["errmsg"], f"lab/net is not established: {failed[0]['msg']}"
        )
        self.assertEqual(self.client.received(), [])

    def test_loglevel(self) -> None:
        """Of level 0 only what is always said is told."""
        self.client.register("control-log")
        self.client.ask("initiate", {"child": "net", "loglevel": "0"})
        self.wait()
        self.assertEqual([one.name for one in self.client.received()], [""])


class TerminateTests(CommandTestCase):
    def setUp(self) -> None:
        self.prepare(Settings(children=2))
        self.both.up()
        settle(self.both.clock, self.both.a.establish("net1"))
        self.wait()

    def test_child(self) -> None:
        """One child is ended at both ends; the rest stays."""
        answer = self.client.call("terminate", {"child": "net1"})
        self.assertEqual(answer, {"success": "yes", "matches": "1", "terminated": "1"})
        self.wait()
        for member in (self.both.a, self.both.b):
            self.assertEqual([one.policy.name for one in member.bundles], ["net"])

    def test_ike(self) -> None:
        """With an ISAKMP SA go its children."""
        for message in ({"ike": "lab"}, {"ike-id": "1"}):
            self.setUp()
            answer = self.client.call("terminate", dict(message))
            self.assertEqual(answer["terminated"], "1")
            self.wait()
            for member in (self.both.a, self.both.b):
                self.assertEqual(list(member.registry), [])

    def test_numbers(self) -> None:
        """A child is meant by its number."""
        self.client.call("terminate", {"child-id": "2"})
        self.assertEqual([one.policy.name for one in self.both.a.bundles], ["net"])

    def slow_sink(self) -> list[Deferred[None]]:
        """From now on Alice's sink takes its time; what fires when it has removed a bundle."""
        removing: list[Deferred[None]] = []

        def remove(bundle: SABundle) -> Deferred[None]:
            removing.append(Deferred())
            return removing[-1]

        self.patch(self.both.a.sink, "remove", remove)
        return removing

    def test_waits(self) -> None:
        """Without a timeout, or with one of 0, the answer comes when all is gone."""
        for more in ({}, {"timeout": "0"}, {"force": "yes"}):
            self.setUp()
            removing = self.slow_sink()
            self.client.ask("terminate", {"ike": "lab", **more})
            self.wait(3600.0)
            self.assertEqual(self.client.received(), [])
            first, second = removing
            first.callback(None)
            self.assertEqual(self.client.received(), [])
            second.callback(None)
            (answer,) = self.client.received()
            self.assertEqual(
                answer.message, {"success": "yes", "matches": "1", "terminated": "1"}
            )

    def test_timeout(self) -> None:
        """
        With a timeout the answer is an error when that is over, and tells how many are gone.  The
        rest goes on.
        """
        removing = self.slow_sink()
        self.client.ask("terminate", {"ike": "lab", "child": "net", "timeout": "500"})
        other = self.daemon.client()
        other.ask("terminate", {"ike": "lab", "child": "net1", "timeout": "500"})
        removing[1].callback(None)
        (answer,) = other.received()
        self.assertEqual(answer.message["success"], "yes")
        self.wait(0.4)
        self.assertEqual(self.client.received(), [])
        self.wait(0.2)
        (answer,) = self.client.received()
        self.assertEqual(
            answer.message,
            {
                "success": "no",
                "matches": "1",
                "terminated": "0",
                "errmsg": "not all SAs are gone after 500 ms; it goes on",
            },
        )
        removing[0].callback(None)
        self.wait()
        self.assertEqual(self.both.b.bundles, [])
        self.assertEqual(self.client.call("version")["daemon"], "isakmp")

    def test_some_in_time(self) -> None:
        """Of several SAs those count as terminated that are gone when the time is over."""
        settle(self.both.clock, self.both.a.establish("net1"))
        removing = self.slow_sink()
        self.client.ask("terminate", {"child": "net1", "timeout": "500"})
        first, _ = removing
        first.callback(None)
        self.wait(0.6)
        (answer,) = self.client.received()
        self.assertEqual((answer.message["matches"], answer.message["terminated"]), ("2", "1"))

    def test_at_once(self) -> None:
        """With a timeout of -1 the answer does not wait."""
        self.slow_sink()
        answer = self.client.call("terminate", {"ike": "lab", "timeout": "-1"})
        self.assertEqual(answer, {"success": "yes", "matches": "1", "terminated": "1"})
        self.assertEqual(self.both.a.bundles, [])

    def test_sink_fails(self) -> None:
        """A sink that cannot remove a child is the log's matter: for the peer it is gone."""
        removing = self.slow_sink()
        self.client.ask("terminate", {"child": "net1"})
        removing[0].errback(Failure(OSError(5, "no")))
        (answer,) = self.client.received()
        self.assertEqual(answer.message["success"], "yes")
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)

    def test_begun_by_the_peer(self) -> None:
        """What a peer has begun with a connection, and not finished, is ended with it."""
        self.prepare()
        self.both.b.establish().addErrback(lambda _: None)
        while len(self.both.wire) < 4:
            self.both.clock.next_event()
        (begun,) = self.client.streamed("list-sas", "list-sa")
        self.assertEqual(section(begun, "lab")["state"], "CONNECTING")
        self.assertEqual(self.client.call("terminate", {"ike": "lab"})["terminated"], "1")
        self.assertEqual(self.client.streamed("list-sas", "list-sa"), [])

    def test_no_such(self) -> None:
        """What does not stand, or is not said, ends nothing."""
        for message, words in (
            ({"ike": "zz"}, "no such SA"),
            ({"child": "zz"}, "no such SA"),
            ({"ike-id": "7"}, "no such SA"),
            ({"child-id": "7"}, "no such SA"),
            ({"ike": "zz", "child": "net"}, "no such SA"),
            ({}, "nothing says which"),
            ({"ike-id": "x"}, "ike-id"),
        ):
            self.assert_refused("terminate", dict(message), words)
        self.assertEqual(len(self.both.a.bundles), 2)

    def test_control_log(self) -> None:
        """What goes is told."""
        self.client.register("control-log")
        self.client.ask("terminate", {"child": "net1"})
        (line,) = self.client.events("control-log")
        self.assertIn("is gone: deleted here", str(line["msg"]))
        self.assertEqual((line["group"], line["ikesa-uniqueid"]), ("CHD", "1"))


class GiveUpTests(CommandTestCase):
    """A peer that does not answer."""

    def setUp(self) -> None:
        super().setUp()
        settle(self.both.clock, self.both.b.endpoint.close())

    def test_begun_by_a_client(self) -> None:
        """What a client began is given up when another ends it; the first one is told."""
        self.client.ask("initiate", {"child": "net"})
        self.wait()
        other = self.daemon.client()
        answer = other.call("terminate", {"ike": "lab"})
        self.assertEqual(answer, {"success": "yes", "matches": "1", "terminated": "1"})
        (answered,) = self.client.received()
        self.assertEqual(answered.message["success"], "no")
        self.assertIn("given up here", str(answered.message["errmsg"]))
        self.assertEqual(self.client.streamed("list-sas", "list-sa"), [])
        self.wait()
        self.assertEqual(self.both.clock.getDelayedCalls(), [])

    def test_kept(self) -> None:
        """
        What the configuration has begun is given up, between two attempts too, and is not tried
        again, until it is loaded anew.
        """
        for seconds in (1.0, 76.0):
            self.setUp()
            self.daemon.child_configured(start=StartAction.START)
            keep = self.both.a.assembly.initiation.keep
            keep(self.daemon.loaded.connections)
            self.wait(seconds)
            self.assertEqual(self.client.call("terminate", {"ike": "lab"})["terminated"], "1")
            self.wait(1000.0)
            sent = len(self.both.wire)
            self.assertEqual(self.both.clock.getDelayedCalls(), [])
            self.assert_refused("terminate", {"ike": "lab"}, "no such SA")
            keep(self.daemon.loaded.connections, ended=False)
            self.wait()
            self.assertEqual(len(self.both.wire), sent)
            keep(self.daemon.loaded.connections)
            self.wait()
            self.assertGreater(len(self.both.wire), sent)

    def test_others(self) -> None:
        """By the name of a child, or by a number, nothing is given up that is only begun."""
        self.client.ask("initiate", {"child": "net"})
        other = self.daemon.client()
        for message in ({"child": "net"}, {"ike": "lab", "child": "net"}, {"ike-id": "1"}):
            self.assertEqual(other.call("terminate", dict(message))["success"], "no")
        self.assertEqual(len(other.streamed("list-sas", "list-sa")), 1)


class RekeyTests(CommandTestCase):
    def setUp(self) -> None:
        self.prepare()
        self.both.up()

    def test_child(self) -> None:
        """A child is renewed; the answer does not wait for that."""
        before = self.both.a.bundles[0].key
        answer = self.client.call("rekey", {"child": "net"})
        self.assertEqual(answer, {"success": "yes", "matches": "1"})
        (event,) = self.client.streamed("list-sas", "list-sa")
        self.assertEqual(section(event, "lab", "child-sas", "net-1")["state"], "REKEYING")
        self.wait()
        (event,) = self.client.streamed("list-sas", "list-sa")
        children = section(event, "lab", "child-sas")
        self.assertEqual(section(children, "net-1")["state"], "REKEYED")
        self.assertEqual(section(children, "net-2")["state"], "INSTALLED")
        self.wait(100.0)
        (bundle,) = self.both.a.bundles
        self.assertNotEqual(bundle.key, before)
        self.assertEqual(len(self.both.b.bundles), 1)

    def test_ike(self) -> None:
        """An ISAKMP SA is renewed, and its children go on."""
        before = self.both.a.sas[0].key
        self.assertEqual(self.client.call("rekey", {"ike": "lab", "reauth": "yes"})["matches"], "1")
        self.wait(100.0)
        (sa,) = self.both.a.sas
        self.assertNotEqual(sa.key, before)
        self.assertEqual(len(self.both.a.bundles), 1)

    def test_no_such(self) -> None:
        """
        What does not stand, or was renewed already, is not renewed; the latter counts as a match,
        as it does in charon.
        """
        self.assert_refused("rekey", {"child": "zz"}, "no such SA")
        self.assert_refused("rekey", {}, "nothing says which")
        self.client.call("rekey", {"child": "net"})
        self.wait()
        self.assertEqual(self.client.call("rekey", {"child": "net"})["matches"], "2")
        self.assert_refused("rekey", {"child-id": "1"}, "renewed already")


class CounterTests(CommandTestCase):
    def counters(self, message: Section | None = None) -> Section:
        answer = self.client.call("get-counters", message)
        self.assertEqual(answer["success"], "yes")
        return section(answer, "counters")

    def test_global(self) -> None:
        """Messages of all connections together, by exchange and direction."""
        self.both.up()
        found = section(self.counters(), "")
        said = {key: value for key, value in found.items() if value != "0"}
        self.assertEqual(
            said,
            {
                "ike-init-out-req": "3",
                "ike-init-in-resp": "3",
                "create-child-out-req": "2",
                "create-child-in-resp": "1",
            },
        )

    def test_renewals(self) -> None:
        """Renewals of each connection, and what was not accepted from anybody."""
        self.both.up()
        self.client.call("rekey", {"child": "net"})
        self.wait()
        self.client.call("rekey", {"ike": "lab"})
        self.wait()
        self.assertEqual(
            self.counters({"all": "yes"}),
            {"lab": {"ike-rekey-init": "1", "ike-rekey-resp": "0", "child-rekey": "1"}},
        )
        self.assertEqual(self.counters({"name": "lab"}), self.counters({"all": "yes"}))
        together = section(self.counters(), "")
        self.assertEqual((together["ike-rekey-init"], together["invalid"]), ("1", "0"))
        self.assert_refused("get-counters", {"name": "zz"}, "zz")

    def test_reset(self) -> None:
        """They begin again with 0: together, of one connection, of all."""
        self.both.up()
        self.client.call("rekey", {"child": "net"})
        self.wait()
        self.assertEqual(self.client.call("reset-counters"), {"success": "yes"})
        self.assertEqual(set(section(self.counters(), "").values()), {"0"})
        self.assertEqual(list(self.counters({"all": "yes"})), ["lab"])
        self.client.call("reset-counters", {"name": "lab"})
        self.assertEqual(self.counters({"all": "yes"}), {})
        self.assert_refused("reset-counters", {"name": "lab"}, "lab")
        self.assertEqual(self.client.call("reset-counters", {"all": "yes"}), {"success": "yes"})


class LoadingTests(CommandTestCase):
    def test_load_conn(self) -> None:
        """A connection that is loaded is served, and is listed."""
        self.assertEqual(self.client.call("load-conn", {"gw": GW}), {"success": "yes"})
        self.assertEqual(self.client.call("get-conns"), {"conns": ["lab", "gw"]})
        self.assertEqual(self.both.a.node.policy.connection("gw").remote, ("192.0.2.9",))

    def test_no_text(self) -> None:
        """What is no text, whatever key it stands at, is refused with its key."""
        net: Section = {"updown": "/usr/bin/env \0", "local_ts": ["10.1.0.0/24\0", "10.3.0.0/24"]}
        answer = self.client.call("load-conn", {"gw": {**GW, "children": {"net": net}}})
        self.assertEqual(answer["success"], "no")
        for key in ("updown", "local_ts"):
            words = f"connections.gw.children.net.{key}: a character of value 0: this is no text"
            self.assertIn(words.removeprefix("connections."), str(answer["errmsg"]))
        self.assertEqual(self.client.call("get-conns"), {"conns": ["lab"]})

    def test_mistakes(self) -> None:
        """All mistakes are told at once, each with its key, and nothing is loaded."""
        wrong: Section = {
            **GW,
            "local_adrs": ["192.0.2.1"],
            "rekey_time": "soon",
            "local-1": {"auth": "pubkey"},
        }
        answer = self.client.call("load-conn", {"gw": wrong})
        self.assertEqual(answer["success"], "no")
        lines = str(answer["errmsg"]).split("; load-conn: ")
        self.assertEqual(len(lines), 3)
        for words in (
            "connections.gw.local_adrs: there is no such key; did you mean local_addrs?",
            "connections.gw.rekey_time: 'soon' is not a time",
            "connections.gw.local-1.auth: certificates and raw public keys are not built yet",
        ):
            self.assertTrue([line for line in lines if words in line], words)
        self.assertEqual(self.client.call("get-conns"), {"conns": ["lab"]})

    def test_without_a_secret(self) -> None:
        """A connection may come before its secret; a line of the log says that it has none yet."""
        notes = logged(self)

        def warned() -> list[str]:
            return [
                formatEvent(note)
                for note in notes
                if note["log_level"] is LogLevel.warn and "load-conn" in formatEvent(note)
            ]

        self.client.call("load-conn", {"gw": GW})
        self.assertEqual(warned(), [])
        self.client.call("unload-shared", {"id": "ike-lab"})
        self.assertEqual(self.client.call("load-conn", {"gw": GW}), {"success": "yes"})
        (line,) = warned()
        self.assertIn("connections.gw: no pre-shared key is configured for ", line)

    def test_no_connection(self) -> None:
        """What is no connection at all is refused, and so is one of IKEv2."""
        self.assert_refused("load-conn", {}, "a section with the name of a connection")
        self.assert_refused("load-conn", {"gw": "x"}, "load-conn: gw: a section")
        self.assert_refused("load-conn", {"gw": {**GW, "version": "2"}}, "gw", "IKEv2")
        for name in ("", "a\nb", "\udcff"):
            self.assert_refused("load-conn", {name: GW}, "printable characters")
            children: Section = {**GW, "children": {name: {}}}
            self.assert_refused("load-conn", {"gw": children}, "printable characters")
        self.assertEqual(self.client.call("get-conns"), {"conns": ["lab"]})

    def test_unload_conn(self) -> None:
        """A connection can be unloaded, the file's as well as another; not one that is not."""
        self.client.call("load-conn", {"gw": GW})
        self.assertEqual(self.client.call("unload-conn", {"name": "lab"}), {"success": "yes"})
        self.assertEqual(self.client.call("get-conns"), {"conns": ["gw"]})
        self.client.call("unload-conn", {"name": "gw"})
        self.assertEqual(self.client.call("get-conns"), {"conns": []})
        self.assert_refused("unload-conn", {"name": "gw"}, "no connection gw")
        self.assert_refused("unload-conn", {}, "not named")

    def test_shared(self) -> None:
        """A secret can be loaded, replaced under its name, listed by it, and unloaded."""
        message: Section = {"id": "ike-gw", "type": "IKE", "data": "one", "owners": ["gw.lab"]}
        self.assertEqual(self.client.call("load-shared", message), {"success": "yes"})
        self.client.call("load-shared", {**message, "data": "\udcff two"})
        self.assertEqual(self.client.call("get-shared"), {"keys": ["ike-lab", "ike-gw"]})
        secrets = self.daemon.loaded.secrets
        self.assertEqual(secrets[1:], (SharedSecret(b"\xff two", ("gw.lab",)),))
        self.client.call("unload-shared", {"id": "ike-gw"})
        self.assertEqual(self.client.call("get-shared"), {"keys": ["ike-lab"]})

    def test_shared_without_a_name(self) -> None:
        """A secret without a name is one more, and goes with clear-creds."""
        for data in ("one", "one", "two"):
            owners = [f"{data}.lab"]
            self.client.call("load-shared", {"type": "ike", "data": data, "owners": owners})
        self.assertEqual(len(self.daemon.loaded.secrets), 3)
        self.assertEqual(self.client.call("get-shared"), {"keys": ["ike-lab"]})
        self.assertEqual(self.client.call("clear-creds"), {"success": "yes"})
        self.assertEqual([one.name for one in self.daemon.loaded.secrets], ["ike-lab"])

    def test_wrong_secrets(self) -> None:
        """A secret that cannot be used is refused, and never repeated."""
        hidden = "never in a sentence"
        for message, words in (
            ({}, "its type is missing"),
            ({"type": "xauth", "data": hidden}, "XAuth is not built yet"),
            ({"type": "eap", "data": hidden}, "IKEv2"),
            ({"type": "zz", "data": hidden}, "'zz' is no type"),
            ({"type": "ike"}, "the secret is empty"),
            ({"type": "ike", "id": "a\nb", "data": hidden}, "printable characters"),
            ({"type": "ike", "data": hidden, "owners": ["C=CH, O=x"]}, "distinguished names"),
            ({"type": "ike", "data": hidden, "owners": ["%nobody"]}, "nobody"),
            ({"type": "ike", "id": "other", "data": hidden, "owners": []}, "two different"),
        ):
            self.assert_refused("load-shared", dict(message), words)  # type: ignore[arg-type]
            self.assertNotIn(hidden, str(self.client.call("load-shared", dict(message))))  # type: ignore[arg-type]
        self.assertEqual(len(self.daemon.loaded.secrets), 1)

    def test_unload_shared(self) -> None:
        """To unload a secret its name is needed; one that is not there is gone already."""
        self.assert_refused("unload-shared", {}, "not named")
        self.assertEqual(self.client.call("unload-shared", {"id": "zz"}), {"success": "yes"})

    def test_reload(self) -> None:
        """The files are read again; if they cannot be, the answer says why."""
        self.assertEqual(self.client.call("reload-settings"), {"success": "yes"})
        self.daemon.trouble = "swanctl.conf:3: it is wrong"
        self.assert_refused("reload-settings", {}, "swanctl.conf:3: it is wrong")

    def test_certs(self) -> None:
        """There are no cached certificates, and after flushing them there are none."""
        self.assertEqual(self.client.call("flush-certs"), {"success": "yes"})


class LoadedTests(SynchronousTestCase):
    """What counts, of what the file says and what clients load."""

    def setUp(self) -> None:
        lab = connection(ALICE, BOB, "i.lab", "r.lab")
        self.lab, self.other = lab, replace(lab, lifetime=replace(lab.lifetime, seconds=99))
        self.file = Loaded({"lab": lab})

    def test_before_the_file(self) -> None:
        """What a client loads counts, and stays when the file is read again."""
        loaded = self.file.with_connections([self.other])
        self.assertEqual(loaded.connections, (self.other,))
        self.assertEqual((loaded.hidden, self.file.hidden), (("lab",), ()))
        self.assertEqual(loaded.connection("lab"), self.other)

    def test_unloaded(self) -> None:
        """What is unloaded is gone, wherever it was from."""
        loaded = self.file.with_connections([self.other]).without_connection("lab")
        self.assertEqual((loaded.connections, loaded.connection("lab")), ((), None))

    def test_start(self) -> None:
        """A value never changes: who keeps one keeps what it was."""
        child = replace(self.lab.children[0], start=StartAction.START)
        self.file.with_connections([replace(self.lab, children=(child,))])
        self.assertEqual(self.file.connections, (self.lab,))
