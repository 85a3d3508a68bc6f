"""
Real daemons that speak KINK on loopback, and what their files say.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Sequence

from twisted.trial.unittest import SynchronousTestCase

from isakmp.config.mistakes import ConfigurationErrors
from isakmp.description import Description, Files
from isakmp.packet_info import AVAILABLE
from tests.daemons import Folder, free_ports
from tests.interop.daemon import DaemonProcess
from tests.interop.vici import Refused

HER, HIS = "kink/a.lab@LAB.TEST", "kink/b.lab@LAB.TEST"
REALM = "never in any log"

SWITCHED_ON = (
    "[plugins]",
    'key_exchange = ["ike", "kink"]',
    "[connection.road]",
    'key_exchange = "kink"',
)
DOUBLE = ("[plugin.kink]", 'kerberos = "test-double"', f'secret = "{REALM}"')


def road(
    local: str,
    remote: str,
    ours: str,
    theirs: str,
    lines: Sequence[str] = (),
    child: Sequence[str] = (),
    ends: Sequence[str] = (),
) -> str:
    """A connection of KINK's in ``swanctl.conf``; the smaller address has 10.1.0.0/24."""
    networks = ["10.1.0.0/24", "10.2.0.0/24"]
    if local > remote:
        networks.reverse()
    return "\n".join(
        [
            "connections { road {",
            "  version = 1",
            f"  local_addrs = {local}",
            f"  remote_addrs = {remote}",
            *(f"  {line}" for line in lines),
            f"  local {{\n    id = {ours}\n",
            *(f"    {line}" for line in ends),
            f"  }}\n  remote {{\n    id = {theirs}\n  }}",
            "  children { net {",
            f"    local_ts = {networks[0]}",
            f"    remote_ts = {networks[1]}",
            "    esp_proposals = aes128-sha256",
            *(f"    {line}" for line in child),
            "  } }",
            "} }\n",
        ]
    )


class FilesTests(SynchronousTestCase):
    """What a daemon makes of its files."""

    def read(
        self,
        *settings: str,
        lines: Sequence[str] = (),
        ends: Sequence[str] = (),
    ) -> Description:
        folder = Folder(self)
        folder.write_settings("port = 9500", *settings)
        folder.config.write_text(road("192.0.2.1", "192.0.2.2", HER, HIS, lines, ends=ends))
        return Files(str(folder.config), str(folder.settings)).read()

    def refused(self, *settings: str, **more: Sequence[str]) -> str:
        return str(self.assertRaises(ConfigurationErrors, self.read, *settings, **more))

    def test_connection(self) -> None:
        """
        A connection of KINK's has its port, principals for identities, no proposals, no secret and
        no lifetime of its own.
        """
        found = self.read(*SWITCHED_ON, *DOUBLE, "port = 9100")
        (connection,) = found.configuration.connections
        self.assertEqual(connection.key_exchange, "kink")
        self.assertEqual((connection.local_port, connection.remote_port), (9100, 9100))
        self.assertEqual(str(connection.local_identity), HER)
        self.assertEqual((connection.suites, connection.exchange), ((), 0))
        self.assertEqual(connection.lifetime.seconds, 0)
        self.assertEqual({port for _, port in found.listen}, {9500})
        self.assertEqual([kx.name for kx in found.enabled.key_exchanges], ["ike", "kink"])

    def test_not_built(self) -> None:
        """Switched on without a Kerberos: the sentence that it is not built yet."""
        self.assertIn("Kerberos is not built yet", self.refused(*SWITCHED_ON))

    def test_wrong_key(self) -> None:
        """A key of [plugin.kink] that is unknown is a mistake."""
        text = self.refused(*SWITCHED_ON, *DOUBLE, "prot = 7")
        self.assertIn("[plugin.kink] prot: unknown; valid: kerberos, secret, port", text)

    def test_port_of_isakmp(self) -> None:
        """A port that is ISAKMP's: both are named."""
        text = self.refused(*SWITCHED_ON, *DOUBLE, "port = 9500")
        self.assertIn("and ISAKMP have the same port and major version, 9500 and 1", text)

    def test_not_for_kink(self) -> None:
        """What only an ISAKMP SA has is refused, with what would be valid."""
        for lines, ends, text in (
            (["proposals = aes128-sha256-modp2048"], [], "negotiates no protection of its own"),
            ([], ["auth = psk"], "has its own way to authenticate: leave it out"),
            (["local_port = 500"], [], "has ports of its own, and this is none of them"),
        ):
            said = self.refused(*SWITCHED_ON, *DOUBLE, lines=lines, ends=ends)
            self.assertIn(text, said)

    def test_ignored(self) -> None:
        """The times of an ISAKMP SA are ignored, with a warning."""
        found = self.read(*SWITCHED_ON, *DOUBLE, lines=["rekey_time = 1h"])
        (warning,) = found.configuration.warnings
        self.assertIn("there is no ISAKMP SA to renew", str(warning))

    def test_not_switched_on(self) -> None:
        """A connection of KINK's, and KINK is not switched on."""
        text = self.refused("[connection.road]", 'key_exchange = "kink"')
        self.assertIn("it is not switched on: see [plugins]", text)


class ProcessTests(SynchronousTestCase):
    """Alice at 127.0.0.1, Bob at 127.0.0.2."""

    skip = None if AVAILABLE else "127.0.0.2 is there on Linux only"

    def setUp(self) -> None:
        self.ours, self.theirs = Folder(self), Folder(self)
        port, self.kink = free_ports(2)
        self.port = port
        self.settings(self.ours, "127.0.0.1")
        self.settings(self.theirs, "127.0.0.2")
        self.alice, self.bob = self.ours.process(self), self.theirs.process(self)

    def settings(self, folder: Folder, address: str, *more: str) -> None:
        folder.write_settings(
            f"port = {self.port}",
            f'listen = ["{address}"]',
            *SWITCHED_ON,
            *DOUBLE,
            f"port = {self.kink}",
            *more,
        )

    def write(self, child: Sequence[str] = ()) -> None:
        start = ("start_action = start", *child)
        self.ours.config.write_text(road("127.0.0.1", "127.0.0.2", HER, HIS, child=start))
        self.theirs.config.write_text(road("127.0.0.2", "127.0.0.1", HIS, HER))

    def children(self, one: DaemonProcess) -> set[tuple[str, str]]:
        """SPIs in and out, as seen from Alice."""
        found = {(into, out) for _, _, into, out in one.standing().children}
        return found if one is self.alice else {(out, into) for into, out in found}

    def agree(self) -> None:
        """Waits until both have the same one child."""
        self.alice.wait_until(
            lambda: len(self.children(self.alice)) == 1
            and self.children(self.alice) == self.children(self.bob)
        )

    def assert_clean(self) -> None:
        for one in (self.alice, self.bob):
            self.assertEqual(one.faults(), [])
            self.assertNotIn(REALM, one.log())

    def test_life(self) -> None:
        """
        What shall stand comes up by itself in two messages, is renewed and its predecessor deleted,
        is asked after, and is gone at the peer when the daemon stops.  The log warns that the
        double proves nothing.
        """
        self.settings(self.ours, "127.0.0.1", "probe = 1")
        self.write(("rekey_time = 1s", "life_time = 30s", "rand_time = 0s"))
        self.bob.start()
        self.alice.start()
        self.agree()
        for one in (self.alice, self.bob):
            one.expect(
                rf"listening on .*127\.0\.0\.\d:{self.kink}",
                r"so it proves nothing about any peer",
                r"road, session kink/\w\.lab@LAB\.TEST since \d+ with .* is established: tickets",
            )
        self.alice.wait_until(lambda: len(self.alice.happened("child-rekey")) >= 2)
        self.agree()
        gone = set(re.findall(r"SPI .* is gone: (.*)", "\n".join(self.bob.told())))
        self.assertEqual(gone, {"deleted by the peer"})
        self.alice.stop()
        self.bob.wait_until(lambda: not self.bob.standing())
        self.bob.wait_for_told(r"session kink/a\.lab@LAB\.TEST .* is gone: deleted by the peer")
        self.bob.stop()
        self.assert_clean()

    def test_killed(self) -> None:
        """
        A peer that is killed and comes back is found to have another epoch when it is asked; what
        shall stand is begun again.
        """
        self.settings(self.ours, "127.0.0.1", "probe = 1")
        self.settings(self.theirs, "127.0.0.2", "contribute = true")
        self.write()
        self.bob.start()
        self.alice.start()
        self.agree()
        before = self.children(self.alice)
        self.bob.kill()
        self.assertTrue(self.alice.pid)
        self.bob.start()
        self.alice.wait_for_told(r"is gone: the peer began afresh", r"road/net is tried again in")
        self.agree()
        self.assertNotEqual(self.children(self.alice), before)
        self.assert_clean()

    def test_terminate(self) -> None:
        """
        A peer that does not answer a DELETE: by vici I am told so when my patience is over, and the
        rest goes on; with force I do not wait for it; and if it answers, I am told when it has.
        """
        self.write()
        self.bob.start()
        self.alice.start()
        self.agree()
        self.assertEqual(self.alice.terminate(ike="road", child="net"), 1)
        self.bob.wait_until(lambda: not self.children(self.bob))
        for force in (False, True):
            self.alice.initiate("road", "net")
            self.agree()
            os.kill(self.bob.pid, signal.SIGSTOP)
            try:
                begun = time.monotonic()
                if force:
                    self.alice.terminate(child="net", force="yes")
                    self.assertLess(time.monotonic() - begun, 0.5)
                else:
                    with self.assertRaisesRegex(Refused, "not all SAs are gone after 700 ms") as no:
                        self.alice.terminate(child="net", timeout="700")
                    self.assertGreater(time.monotonic() - begun, 0.6)
                    self.assertEqual(no.exception.answer["matches"], "1")
                    self.assertEqual(no.exception.answer["terminated"], "0")
                self.assertEqual(self.alice.standing().children, frozenset())
            finally:
                os.kill(self.bob.pid, signal.SIGCONT)
            self.bob.wait_until(lambda: not self.children(self.bob))
        self.assert_clean()

    def test_refused(self) -> None:
        """A peer that knows another realm: both logs say what was wrong."""
        self.settings(self.theirs, "127.0.0.2")
        text = self.theirs.settings.read_text().replace(REALM, "another realm")
        self.theirs.settings.write_text(text)
        self.write()
        self.bob.start()
        self.alice.start()
        refused = r"refused 127\.0\.0\.1:\d+: .*the ticket is not for us"
        self.bob.wait_for_told(refused)
        self.assertRegex(str(self.bob.happened("alert")[0]["msg"]), refused)
        self.alice.expect(r"KRB_AP_ERR_NOT_US")

    def test_not_built(self) -> None:
        """Without the double the daemon does not start, and says why in one line."""
        text = self.ours.settings.read_text().split("[plugin.kink]")[0]
        self.ours.settings.write_text(text)
        self.write()
        self.assertRaises(AssertionError, self.alice.start)
        (line,) = self.alice.log().splitlines()
        self.assertIn("Kerberos is not built yet", line)
