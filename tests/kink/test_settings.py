"""
``[plugin.kink]``, and a node that has KINK switched on.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from isakmp.assembly import Assembly
from isakmp.errors import ConfigurationError, Malformed
from isakmp.interfaces import IKeyExchange, IKeyExchangeEndpoint
from isakmp.kink.kerberos import IAPRequest, IKerberos, ISessionKey, ITicket
from isakmp.kink.key_exchange import KINK, kink
from isakmp.kink.settings import Settings
from isakmp.kink.testing import RealmMember
from isakmp.paths import Datagram, Path
from isakmp.sinks.memory import MemorySink
from isakmp.testing import FixedEntropy, LossyNetwork, VirtualClock
from tests.kink.ends import HER, HIS, ends

DOUBLE = {"kerberos": "test-double", "secret": "realm"}


class SettingsTests(SynchronousTestCase):
    def test_defaults(self) -> None:
        """What is not said is as the RFC has it."""
        self.assertEqual(Settings.read(DOUBLE), Settings("realm"))
        self.assertEqual(Settings("realm").port, 910)
        self.assertNotIn("realm", repr(Settings("realm")))

    def test_said(self) -> None:
        """Everything can be said."""
        more = {"port": 9100, "skew": 60, "contribute": True, "probe": 30.5, "grace": 0}
        self.assertEqual(
            Settings.read({**DOUBLE, **more}), Settings("realm", 9100, 60, True, 30.5, 0)
        )

    def test_kerberos_is_not_built(self) -> None:
        """Without the double, named explicitly, there is one sentence that says what is missing."""
        for table in ({}, {"kerberos": "mit"}, {"secret": "x"}, {"kerberos": True}):
            error = self.assertRaises(ConfigurationError, Settings.read, table)
            self.assertIn("Kerberos is not built yet", str(error))

    def test_wrong(self) -> None:
        """An unknown key, or a value that cannot be, is named with what would be valid."""
        wrong: list[tuple[dict[str, Any], str]] = [
            ({"prot": 910}, "prot: unknown; valid: kerberos, secret, port"),
            ({"secret": ""}, "secret: the test double needs one"),
            ({"secret": 7}, "secret: "),
            ({"port": 0}, "port: 0 cannot be; valid: a UDP port"),
            ({"port": 65_536}, "port: "),
            ({"port": "910"}, "port: "),
            ({"port": 910.5}, "port: "),
            ({"port": True}, "port: True cannot be"),
            ({"skew": 0}, "skew: 0 cannot be; valid: seconds, 1"),
            ({"contribute": 1}, "contribute: 1 cannot be; valid: true or false"),
            ({"probe": -1}, "probe: "),
            ({"grace": float("nan")}, "grace: "),
        ]
        for more, text in wrong:
            error = self.assertRaises(ConfigurationError, Settings.read, {**DOUBLE, **more})
            self.assertIn(text, str(error))


class PluginTests(SynchronousTestCase):
    def test_interfaces(self) -> None:
        """Everything is what it says."""
        verifyObject(IKeyExchange, kink)
        pair = ends()
        verifyObject(IKeyExchangeEndpoint, pair.a.endpoint)
        member = pair.a.kerberos
        verifyObject(IKerberos, member)
        ticket = self.successResultOf(member.ticket(HER, HIS, 0.0))
        verifyObject(ITicket, ticket)
        verifyObject(ISessionKey, ticket.key)
        verifyObject(IAPRequest, member.open(ticket.request()[0]))

    def test_speaks(self) -> None:
        """By port and major version."""
        path = Path(("192.0.2.1", 910), ("192.0.2.2", 910))
        self.assertTrue(kink.speaks(Datagram(b"\1\x10", path)))
        self.assertTrue(kink.speaks(Datagram(b"\1\x1f", path)))
        for octets in (b"", b"\1", b"\1\x20", b"\1\x00"):
            self.assertFalse(kink.speaks(Datagram(octets, path)))
        other = Path(("192.0.2.1", 500), ("192.0.2.2", 910))
        self.assertFalse(kink.speaks(Datagram(b"\1\x10", other)))
        moved = kink.configured({**DOUBLE, "port": 9100})
        self.assertEqual((moved.ports, kink.ports), ((9100,), (910,)))

    def test_not_configured(self) -> None:
        """It cannot be opened before somebody has said by what Kerberos."""
        clock = VirtualClock()
        network = LossyNetwork(clock)
        error = self.assertRaises(
            ConfigurationError,
            Assembly,
            (),
            (),
            clock=clock,
            ports=network.attach("192.0.2.1", lambda _: None),
            sink=MemorySink(FixedEntropy(1)),
            key_exchanges=[KINK()],
        )
        self.assertIn("Kerberos is not built yet", str(error))


class RealmTests(SynchronousTestCase):
    """The double is real in what it does."""

    def setUp(self) -> None:
        self.clock = VirtualClock()
        self.clock.advance(1000)
        self.member = RealmMember(b"realm", self.clock, FixedEntropy(1))
        self.ticket = self.successResultOf(self.member.ticket(HER, HIS, 0.0))

    def test_purposes(self) -> None:
        """What is made for one purpose, or by one key, is nothing for another."""
        key = self.ticket.key
        other = self.successResultOf(self.member.ticket(HIS, HER, 0.0)).key
        sealed = key.encrypt(b"octets")
        self.assertTrue(key.decrypt(sealed).startswith(b"octets"))
        self.assertNotEqual(sealed, key.encrypt(b"octets"))
        for made in (other.encrypt(b"octets"), sealed[:-1], b"", bytes(64)):
            self.assertRaises(Malformed, key.decrypt, made)
        mic = key.checksum(b"octets")
        self.assertTrue(key.verify(b"octets", mic))
        self.assertFalse(key.verify(b"octetS", mic))
        self.assertFalse(key.verify(b"octets", mic[:-1]))
        self.assertFalse(other.verify(b"octets", mic))
        self.assertNotEqual(key.prf(b"octets")[:16], mic)
        self.assertNotIn(key.octets.hex(), repr(key))

    def test_same_ticket(self) -> None:
        """A ticket serves until it is too old; then there is another, with another key."""
        again = self.successResultOf(self.member.ticket(HER, HIS, 2000.0))
        self.assertIs(again, self.ticket)
        later = self.successResultOf(self.member.ticket(HER, HIS, 100_000.0))
        self.assertNotEqual(later.key, self.ticket.key)

    def test_authenticators(self) -> None:
        """Each is another, counts once, and is forgotten when its time would not be believed."""
        first, second = self.ticket.request()[0], self.ticket.request()[0]
        self.assertNotEqual(first, second)
        self.assertTrue(self.member.open(first).fresh())
        self.assertFalse(self.member.open(first).fresh())
        self.assertTrue(self.member.open(second).fresh())
        self.clock.advance(601)
        self.assertTrue(self.member.open(self.ticket.request()[0]).fresh())
        self.assertEqual(len(self.member._seen), 1)
