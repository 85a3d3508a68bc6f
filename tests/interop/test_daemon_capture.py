"""
What our daemon sends to strongSwan's charon, read by Wireshark's dissector.
"""

from __future__ import annotations

from collections.abc import Sequence

from tests.interop import capture
from tests.interop.capture import Capture
from tests.interop.configured import ConfiguredTestCase
from tests.interop.keys import dumps

TUNNEL = "aes128-sha256-modp2048"
MAIN_MODE, QUICK_MODE, INFORMATIONAL = 2, 32, 5
SA, P, T, KE, ID, HASH, NONCE, N, D, VID = 1, 2, 3, 4, 5, 8, 10, 11, 12, 13


class CapturedAsInitiatorTests(ConfiguredTestCase):
    """
    Our daemon begins.

    :cvar address: ours.
    :cvar said: our messages: exchange type, whether sealed, payload types.
    """

    skip = ConfiguredTestCase.skip or capture.obstacle()
    role = "initiator"
    address = "10.77.1.1"
    said: Sequence[tuple[int, bool, tuple[int, ...]]] = (
        (MAIN_MODE, False, (SA, P, T, VID)),
        (MAIN_MODE, False, (KE, NONCE)),
        (MAIN_MODE, True, (ID, N, HASH)),
        (QUICK_MODE, True, (HASH, SA, P, T, NONCE, ID, ID)),
        (QUICK_MODE, True, (HASH,)),
        (INFORMATIONAL, True, (HASH, D)),
        (INFORMATIONAL, True, (HASH, D)),
    )

    def test_opened(self) -> None:
        """
        tshark opens our sealed messages with the Ka that charon logs, and finds in each what the
        RFCs put there: our name, the SPIs that we list, a Delete for every SA at our stop.
        """
        ours, peer = self.prepare(TUNNEL, levels={"ike": 4})
        cable = Capture(ours.namespace, ours.directory)
        self.addCleanup(cable.stop)
        cable.start()
        self.run_both(ours, peer)
        self.wait_for_children(ours, peer, (TUNNEL, "net"))
        self.wait_for_agreement(ours, peer)
        (sa,) = ours.list_sas()
        (child,) = sa.children
        self.assert_ends(ours, peer)
        cable.stop()

        seen = cable.seen(sa.initiator_spi, dict(dumps(peer.log()))["encryption key Ka"])
        sent = [message for message in seen if message.source == self.address]
        self.assertEqual(
            [(message.exchange, message.sealed, message.payloads) for message in sent],
            list(self.said),
        )
        names = {m.name for m in sent if m.exchange == MAIN_MODE and m.sealed}
        self.assertEqual(names, {f"{self.our_end}.lab"})
        spis = {(m.source == self.address, *m.spis) for m in seen if SA in m.payloads and m.sealed}
        self.assertEqual(spis, {(True, child.spi_in), (False, child.spi_out)})
        deleted = [m.spis for m in sent if m.exchange == INFORMATIONAL]
        self.assertEqual(deleted, [(child.spi_in,), (sa.initiator_spi + sa.responder_spi,)])


class CapturedAsResponderTests(CapturedAsInitiatorTests):
    """
    charon begins.
    """

    role = "responder"
    address = "10.77.1.2"
    said = (
        (MAIN_MODE, False, (SA, P, T, VID)),
        (MAIN_MODE, False, (KE, NONCE)),
        (MAIN_MODE, True, (ID, N, HASH)),
        (QUICK_MODE, True, (HASH, SA, P, T, NONCE, ID, ID)),
        (INFORMATIONAL, True, (HASH, D)),
        (INFORMATIONAL, True, (HASH, D)),
    )
