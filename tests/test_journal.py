"""What an administrator reads in the log: each SA that comes or goes, and no key."""

from __future__ import annotations

from dataclasses import dataclass, replace

from twisted.logger import LogEvent, LogLevel, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from isakmp.events import Established, NotificationReceived, Removal, Removed, Replaced
from isakmp.identity import Identity
from isakmp.ike.parameters import Parameters
from isakmp.journal import Journal
from isakmp.numbers import IdentityType, NotifyType, ProtocolID
from isakmp.paths import Path
from isakmp.stream import EventStream
from isakmp.testing import settle
from tests import nodes
from tests.nodes import ALICE, BOB, SECRET, Settings
from tests.samples import PATH, PEER, US, SampleSA, bundle, cookies, logged, protection_sa

COOKIES = "0000000000000001:ffffffff00000001"


@dataclass(frozen=True, slots=True, eq=False)
class SpelledSA(SampleSA):
    """One that knows its algorithms, as IKE's does."""

    parameters: object = None


class JournalTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.events = EventStream()
        Journal(self.events)
        self.notes = logged(self)

    def note(self, event: object) -> LogEvent:
        """The one line that an event becomes."""
        self.notes.clear()
        self.events.publish(event)
        (note,) = self.notes
        self.assertIs(note["log_level"], LogLevel.info)
        return note

    def fields(self, event: object, *names: str) -> dict[str, str]:
        note = self.note(event)
        return {name: note[name] for name in names}

    def test_isakmp_sa(self) -> None:
        """
        An ISAKMP SA: by which connection, with whom and where, with which algorithms; and when it
        is gone, why.
        """
        parameters = Parameters(7, 128, 4, 14, 1)
        sa = SpelledSA(parameters=parameters)
        self.assertEqual(
            formatEvent(self.note(Established(sa))),
            f"road, ISAKMP SA {COOKIES} with peer.example.org at 192.0.2.2:500, is established: "
            "aes128-sha256-modp2048",
        )
        self.assertEqual(
            formatEvent(self.note(Removed(sa, Removal.EXPIRED))),
            f"road, ISAKMP SA {COOKIES} with peer.example.org at 192.0.2.2:500, is gone: expired",
        )

    def test_not_wanted(self) -> None:
        """
        A peer that deletes an ISAKMP SA before anything was done with it may not want to talk to
        who we say we are: that is said, and only then.
        """
        hint = "it may not know this end as us.example.org"
        sa, gone = SampleSA(), Removed(SampleSA(), Removal.DELETED_BY_PEER)
        self.note(Established(sa))
        line = formatEvent(self.note(gone))
        self.assertIn("is gone: deleted by the peer, before it had a child", line)
        self.assertIn(hint, line)
        self.assertNotIn(hint, formatEvent(self.note(gone)))
        for event in (
            Established(sa),
            Established(bundle()),
            Established(SampleSA(cookies(2))),
            Replaced(bundle(), bundle(parent=cookies(2))),
        ):
            self.events.publish(event)
        for key in (cookies(1), cookies(2)):
            line = formatEvent(self.note(Removed(SampleSA(key), Removal.DELETED_BY_PEER)))
            self.assertTrue(line.endswith("is gone: deleted by the peer"), line)
        self.note(Established(sa))
        self.assertNotIn(hint, formatEvent(self.note(Removed(sa, Removal.EXPIRED))))

    def test_other_key_exchange(self) -> None:
        """Another key exchange's SA, which has no algorithms to tell, has its line all the same."""
        for sa in (SampleSA(), SpelledSA(parameters=object())):
            self.assertIn(
                "is established: algorithms not told", formatEvent(self.note(Established(sa)))
            )

    def test_child(self) -> None:
        """A child: which one, its SPIs in both directions, and the traffic it is for."""
        self.assertEqual(
            formatEvent(self.note(Established(bundle()))),
            "road/net, SPI 00001001 in, 00002001 out, is established: 10.1.0.0/16 - 10.2.0.0/16",
        )
        self.assertEqual(
            formatEvent(self.note(Removed(bundle(), Removal.EXPIRED))),
            "road/net, SPI 00001001 in, 00002001 out, is gone: expired",
        )

    def test_number(self) -> None:
        """The line of the end of an ISAKMP SA has the number that it had in lists."""
        gone = Removed(SampleSA(), Removal.EXPIRED, 7)
        self.assertEqual(self.fields(gone, "uniqueid"), {"uniqueid": "7"})

    def test_not_protected(self) -> None:
        """
        Of a sink that protects nothing, and does not say so itself, each child is said to be not
        protected, as a warning; whatever else comes or goes is not.
        """
        powerless = EventStream()
        Journal(powerless, "memory")
        for event in (Established(SampleSA()), Removed(bundle(), Removal.EXPIRED)):
            powerless.publish(event)
            self.assertNotIn("not protected", formatEvent(self.notes[-1]))
        powerless.publish(Established(bundle()))
        self.assertIn("is established", formatEvent(self.notes[-2]))
        self.assertIs(self.notes[-1]["log_level"], LogLevel.warn)
        self.assertEqual(
            formatEvent(self.notes[-1]),
            "not protected: road/net: the sink memory protects no traffic",
        )
        self.assertEqual(self.notes[-1]["spi_in"], "00001001")

    def test_several_protocols(self) -> None:
        """A child of two protocols has all its SPIs in its line; one without some says none."""
        both = replace(
            bundle(),
            inbound=(protection_sa(1, US), protection_sa(2, US, protocol=ProtocolID.AH)),
            outbound=(),
        )
        self.assertIn(
            "SPI 00000001 00000002 in, none out", formatEvent(self.note(Established(both)))
        )

    def test_fields(self) -> None:
        """A program that reads the log finds the same names in each line."""
        sa = SampleSA()
        self.assertEqual(
            self.fields(Established(sa), "connection", "peer", "local", "cookies"),
            {
                "connection": "road",
                "peer": "192.0.2.2:500",
                "local": "192.0.2.1:500",
                "cookies": COOKIES,
            },
        )
        names = ("connection", "child", "peer", "local", "cookies", "spi_in", "spi_out")
        expected = {
            "connection": "road",
            "child": "net",
            "peer": PEER,
            "local": US,
            "cookies": COOKIES,
            "spi_in": "00001001",
            "spi_out": "00002001",
        }
        self.assertEqual(self.fields(Established(bundle()), *names), expected)
        for why in Removal:
            gone = self.fields(Removed(bundle(), why), *names, "why")
            self.assertEqual(gone, {**expected, "why": why.value})
            self.assertEqual(self.fields(Removed(sa, why), "why"), {"why": why.value})

    def test_what_peers_say(self) -> None:
        """
        What a peer has proven to say is a line; what anybody could have said in its name is none.
        """
        said = NotificationReceived(PATH, NotifyType.NO_PROPOSAL_CHOSEN, True)
        self.assertEqual(formatEvent(self.note(said)), "192.0.2.2:500 says NO-PROPOSAL-CHOSEN")
        self.notes.clear()
        self.events.publish(replace(said, authenticated=False))
        self.assertEqual(self.notes, [])
        # A number that nobody has assigned.
        self.assertIn("says", formatEvent(self.note(replace(said, kind=54321))))

    def test_ipv6(self) -> None:
        """Addresses of IPv6 are told from their ports."""
        path = Path(("2001:db8::1", 500), ("2001:db8::2", 4500))
        line = formatEvent(self.note(Established(SampleSA(path=path))))
        self.assertIn("at [2001:db8::2]:4500,", line)

    def test_one_line(self) -> None:
        """A peer cannot write lines of its own into my log by what it calls itself."""
        hostile = b"x\n2026-01-01 [-] all is well\r\x1b[2J"
        for kind in (IdentityType.FQDN, IdentityType.USER_FQDN, IdentityType.KEY_ID):
            theirs = Identity(kind, 0, 0, hostile)
            line = formatEvent(self.note(Established(SampleSA(theirs=theirs))))
            self.assertTrue(line.isprintable(), line)


class SecrecyTests(SynchronousTestCase):
    def test_no_key(self) -> None:
        """In the lines of a whole life, and in their fields, there is neither secret nor key."""
        both = nodes.pair(Settings(child_suite="aes128-sha256-curve25519"))
        notes = logged(self)
        for member in (both.a, both.b):
            Journal(member.node.events)
        both.up()
        keys = [
            key
            for made in both.a.bundles
            for sa in (*made.inbound, *made.outbound)
            for key in sa.keys.values()
        ]
        settle(both.clock, both.a.assembly.stop())
        both.wait(1.0)
        lines = [note for note in notes if note["log_namespace"].startswith("isakmp.journal")]
        self.assertEqual(len(lines), 8)
        written = "\n".join(f"{formatEvent(note)} {note!r}" for note in lines)
        self.assertEqual(len(keys), 4)
        for secret in (SECRET, *keys):
            for spelled in (secret.hex(), repr(secret)[2:-1]):
                self.assertNotIn(spelled, written)

    def test_both_ends(self) -> None:
        """The lines of two ends name the same SAs: what is in here is out there."""
        both = nodes.pair()
        notes = logged(self)
        for member in (both.a, both.b):
            Journal(member.node.events)
        both.up()
        ours, theirs = (
            [n for n in notes if n.get("local", "").startswith(x)] for x in (ALICE, BOB)
        )
        self.assertEqual([n["cookies"] for n in ours], [n["cookies"] for n in theirs])
        crosswise = [(n["spi_in"], n["spi_out"]) for n in ours if "child" in n]
        self.assertEqual(crosswise, [(n["spi_out"], n["spi_in"]) for n in theirs if "child" in n])
        self.assertEqual(len(crosswise), 1)
