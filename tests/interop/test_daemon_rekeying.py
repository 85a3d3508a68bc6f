"""
New SAs for old between our daemon and strongSwan's charon, whoever began the old ones and whoever
wants the new ones.
"""

from __future__ import annotations

from tests.interop.charon import Charon
from tests.interop.configured import DELETE_REKEYED, ConfiguredTestCase
from tests.interop.daemon import DaemonProcess

TUNNEL = "aes128-sha256-modp2048"


class RekeyingAsInitiatorTests(ConfiguredTestCase):
    """
    Our daemon has begun the SAs that are renewed.
    """

    role = "initiator"

    def test_by_us(self) -> None:
        """
        A short ``rekey_time`` at our end: the child is renewed under the same ISAKMP SA, again and
        again, and the old ones go at both ends.  So is the ISAKMP SA, and its child stays.
        """
        child, isakmp = f"rekey-child-by-{self.role}", f"rekey-isakmp-by-{self.role}"
        ours, peer = self.begin(child, isakmp)
        self.wait_for_children(ours, peer, (child, "net"), (isakmp, "net"))
        before = ours.standing()
        ours.wait_until(lambda: self.rekeyed(ours, "child-rekey", child) >= 2)
        ours.wait_until(lambda: self.rekeyed(ours, "ike-rekey", isakmp) >= 2)
        self.wait_for_agreement(
            ours, peer, lambda now: (len(now.isakmp), len(now.children)) == (2, 2)
        )
        stayed = {name for name, *_ in before.isakmp & ours.standing().isakmp}
        self.assertEqual(stayed, {child})
        stayed = {name for name, *_ in before.children & ours.standing().children}
        self.assertEqual(stayed, {isakmp})
        self.assert_stops(ours, peer)

    def rekeyed(self, ours: DaemonProcess, event: str, connection: str) -> int:
        """How often our daemon has told that SAs of a connection were renewed."""
        return sum(connection in content for content in ours.happened(event))

    def test_by_them(self) -> None:
        """
        ``swanctl --rekey`` at charon's end: the child is renewed and the old one goes.  So is the
        ISAKMP SA; its child lives on under the new one, and can be renewed there.
        """
        ours, peer = self.begin(TUNNEL, options=DELETE_REKEYED)
        self.wait_for_children(ours, peer, (TUNNEL, "net"))
        self.rekey_child(ours, peer)
        before = ours.standing()
        peer.swanctl("--rekey", "--ike", TUNNEL)
        # charon does not delete its old ISAKMP SA, it lets it expire: there may be two.
        self.wait_for_agreement(ours, peer, lambda now: now.isakmp - before.isakmp)
        self.assertEqual(ours.standing().children, before.children)
        (renewed,) = ours.standing().isakmp - before.isakmp
        self.assertEqual(self.parent(peer), renewed)
        self.rekey_child(ours, peer)
        self.assert_stops(ours, peer)

    def rekey_child(self, ours: DaemonProcess, peer: Charon) -> None:
        """charon renews the child: both ends have the new one only, under the same ISAKMP SA."""
        before, parent = ours.standing(), self.parent(peer)
        peer.swanctl("--rekey", "--child", "net")
        self.wait_for_agreement(
            ours,
            peer,
            lambda now: len(now.children) == 1 and not now.children & before.children,
        )
        self.assertEqual(self.parent(peer), parent)

    def parent(self, peer: Charon) -> tuple[str, str, str]:
        """The one ISAKMP SA that has a child."""
        (sa,) = (sa for sa in peer.list_sas() if sa.children)
        self.assertEqual(sa.state, "ESTABLISHED")
        return sa.name, sa.initiator_spi, sa.responder_spi


class RekeyingAsResponderTests(RekeyingAsInitiatorTests):
    """
    charon has begun the SAs that are renewed.
    """

    role = "responder"
