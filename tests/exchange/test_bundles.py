"""
The core of phase 2: keying material, and what stands when.
"""

from __future__ import annotations

from dataclasses import replace

from twisted.internet.defer import Deferred, fail

from isakmp.associations import (
    Lifetime,
    SABundle,
)
from isakmp.errors import InvalidSPI
from isakmp.exchange import negotiation
from isakmp.numbers import ExchangeType
from isakmp.wire.payloads import Delete
from tests.exchange.ends import AH, ESP, N_I, N_R, Begun, NegotiationTestCase, keymat


class BundleTests(NegotiationTestCase):
    """SAs and their keys."""

    def test_keymat(self) -> None:
        """
        KEYMAT is prf(SKEYID_d, protocol | SPI | Ni_b | Nr_b), stretched, for each SA with the SPI
        of its receiver; so both ends have the same, and both directions different keys.

        Proves: RFC 2409 section 5.5 (row 5.5-9)
        """
        self.assert_keys(b"", "aes256-sha512", 32, 64)

    def test_keymat_with_pfs(self) -> None:
        """
        With perfect forward secrecy g(qm)^xy comes first.

        Proves: RFC 2409 section 5.5
        """
        self.assert_keys(b"shared secret", "aes128-sha256-modp2048", 16, 32)

    def assert_keys(self, g_xy: bytes, spelling: str, encryption: int, integrity: int) -> None:
        ours, theirs = self.bundles(spelling, g_xy=g_xy)
        seen: set[bytes] = set()
        for sending, receiving in ((ours, theirs), (theirs, ours)):
            (out,), (into,) = sending.outbound, receiving.inbound
            expected = keymat(g_xy, ESP, out.key.spi, encryption + integrity)
            for one in (out, into):
                self.assertEqual(one.keys["encryption"], expected[:encryption])
                self.assertEqual(one.keys["integrity"], expected[encryption:])
            self.assertEqual(out.key, into.key)
            self.assertEqual(out.key.destination, receiving_address(receiving))
            seen.add(expected)
        self.assertEqual(len(seen), 2)

    def test_two_protocols(self) -> None:
        """
        Of AH and ESP together each has keys of its own, by its protocol number, and both go in one
        bundle, in the order of the offer.

        Proves: RFC 2408 section 4.2
        Proves: RFC 2409 section 5.5
        """
        ours, theirs = self.bundles("aes128-sha256+ah=sha256")
        self.assertEqual([one.key.protocol for one in ours.inbound], [ESP, AH])
        for bundle in (ours, theirs):
            esp, ah = bundle.outbound
            self.assertEqual(
                esp.keys["encryption"] + esp.keys["integrity"], keymat(b"", ESP, esp.key.spi, 48)
            )
            self.assertEqual(ah.keys["integrity"], keymat(b"", AH, ah.key.spi, 32))
        self.assertEqual({sa.key for sa in ours.inbound}, {sa.key for sa in theirs.outbound})

    def test_names(self) -> None:
        """Each bundle knows its SA, its child, and has a name of its own at its end."""
        ours, _ = self.bundles()
        again, _ = self.bundles()
        self.assertEqual(ours.parent, self.ours.sa.key)
        self.assertEqual((ours.connection, ours.policy.name), ("road", "net"))
        self.assertTrue(ours.name.startswith("road/net/"))
        self.assertNotEqual(ours.name, again.name)

    def test_lifetime(self) -> None:
        """
        An SA lives as long as the shorter of what was agreed and what is configured here.

        Proves: RFC 2407 section 4.5
        """
        for mine, yours, expected in ((3600, 600, (600, 3600)), (600, 3600, (600, 600))):
            ours, theirs = self.agree(lifetimes=(Lifetime(mine), Lifetime(yours)))
            # What stands in the proposal is the initiator's; the responder adds its own bound.
            made = [
                negotiation.bundle(end, agreed, b"", N_I, N_R)
                for end, agreed in ((self.ours, ours), (self.theirs, theirs))
            ]
            for bundle, configured in zip(made, (mine, yours), strict=True):
                for one in (*bundle.inbound, *bundle.outbound):
                    self.assertEqual(one.lifetime.seconds, min(mine, configured))
            self.assertEqual(made[1].inbound[0].lifetime.seconds, min(expected))

    def test_under_an_sa(self) -> None:
        """Without a management SA there are no keys: that is a fault of ours, and said."""
        ours, _ = self.agree()
        self.ours.sa = None
        self.assertRaises(RuntimeError, negotiation.bundle, self.ours, ours, b"", N_I, N_R)

    def test_no_keys_shown(self) -> None:
        """Whoever prints a bundle sees no key of it."""
        ours, _ = self.bundles()
        (one,) = ours.inbound
        for key in one.keys.values():
            self.assertNotIn(repr(key)[2:-1], repr(ours))
            self.assertNotIn(key.hex(), repr(ours))


def receiving_address(bundle: SABundle) -> str:
    """The address of the end whose bundle this is."""
    return bundle.inbound[0].key.destination


class InstallTests(NegotiationTestCase):
    """What stands when, and what is taken back."""

    def test_initiator(self) -> None:
        """An initiator installs everything before it is registered and anybody is told."""
        ours, _ = self.bundles()
        self.now(negotiation.install(self.ours, ours))
        self.assertEqual(self.ours.notes, ["install 1 in, 1 out", "registered"])
        self.assertIs(self.ours.registry.find(ours.inbound[0].key), ours)
        self.assertEqual(self.ours.sink.reserved, frozenset())

    def test_responder(self) -> None:
        """
        A responder first installs what it receives by, under the same name, and registers nothing;
        then everything.
        """
        _, theirs = self.bundles()
        self.now(negotiation.install_inbound(self.theirs, theirs))
        self.assertEqual(self.theirs.notes, ["install 1 in, 0 out"])
        self.assertIsNone(self.theirs.registry.find(theirs.key))
        self.now(negotiation.install(self.theirs, theirs))
        self.assertEqual(self.theirs.notes[1:], ["install 1 in, 1 out", "registered"])
        self.assertEqual(list(self.theirs.sink.standing), [theirs.name])

    def test_expiry(self) -> None:
        """It is registered until its lifetime in seconds is over; without one, for ever."""
        self.ours.clock.advance(100)
        ours, _ = self.bundles()
        self.now(negotiation.install(self.ours, ours))
        self.assertEqual(self.ours.registry.expiry(ours).hard, 3700.0)
        endless = replace(
            self.bundles()[0],
            inbound=tuple(replace(one, lifetime=Lifetime()) for one in self.bundles()[0].inbound),
        )
        self.now(negotiation.install(self.ours, endless))
        self.assertEqual(self.ours.registry.expiry(endless).hard, 0.0)

    def test_initiator_fails_later(self) -> None:
        """If the exchange comes to nothing after that, nothing stands and nothing is registered."""
        ours, _ = self.bundles()
        self.now(negotiation.install(self.ours, ours))
        self.ours.fails()
        self.assertEqual(dict(self.ours.sink.standing), {})
        self.assertIsNone(self.ours.registry.find(ours.key))
        self.assertEqual(self.ours.sink.reserved, frozenset())

    def test_never_confirmed(self) -> None:
        """
        A responder that is never confirmed takes back what it installed and tells the peer, who may
        believe in it: a Delete with the SPIs that it receives by, one for each protocol.

        Proves: RFC 2408 section 3.15 (row 3.15-1)
        Proves: RFC 2408 section 3.15 (row 3.15-2)
        Proves: RFC 2408 section 5.15 (row 5.15-3)
        """
        _, theirs = self.bundles("aes128-sha256+ah=sha256")
        self.now(negotiation.install_inbound(self.theirs, theirs))
        self.theirs.fails()
        self.assertEqual(dict(self.theirs.sink.standing), {})
        self.assertEqual(self.theirs.sink.reserved, frozenset())
        self.assertEqual(
            self.theirs.begun,
            [
                Begun(
                    self.theirs.sa,
                    ExchangeType.INFORMATIONAL,
                    (Delete(1, one.key.protocol, (one.key.spi,)),),
                )
                for one in theirs.inbound
            ],
        )

    def test_sa_gone(self) -> None:
        """If the management SA is gone by then, nobody is told; it is taken back all the same."""
        _, theirs = self.bundles()
        self.now(negotiation.install_inbound(self.theirs, theirs))
        self.theirs.registry._leave(self.theirs.registry._entries[self.theirs.sa.key])
        self.theirs.fails()
        self.assertEqual((dict(self.theirs.sink.standing), self.theirs.begun), ({}, []))

    def test_cannot_take_back(self) -> None:
        """A sink that cannot remove it is logged, and the peer is told all the same."""
        _, theirs = self.bundles()
        self.now(negotiation.install_inbound(self.theirs, theirs))
        self.patch(self.theirs.sink, "remove", lambda bundle: fail(ZeroDivisionError()))
        self.theirs.fails()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(len(self.theirs.begun), 1)

    def test_spi_taken(self) -> None:
        """
        If another exchange was faster and has an SA with that SPI of the peer's, nothing of this
        one is installed.
        """
        first, _ = self.bundles()
        self.now(negotiation.install(self.ours, first))
        second, _ = self.bundles()
        second = replace(second, outbound=first.outbound)
        asked = Deferred.fromCoroutine(negotiation.install(self.ours, second))
        self.failureResultOf(asked, InvalidSPI)
        self.assertEqual(list(self.ours.sink.standing), [first.name])

    def test_sink_refuses(self) -> None:
        """If the sink does not take it, nothing is registered; the failure is the exchange's."""
        ours, _ = self.bundles()

        def refuse(bundle: SABundle) -> None:
            raise ZeroDivisionError

        self.ours.sink.refuse = refuse
        asked = negotiation.install(self.ours, ours)
        self.failureResultOf(Deferred.fromCoroutine(asked), ZeroDivisionError)
        self.assertIsNone(self.ours.registry.find(ours.key))
        self.ours.fails()
        self.assertEqual(self.ours.sink.reserved, frozenset())
