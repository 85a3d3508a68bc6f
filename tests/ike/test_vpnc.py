"""
An offer of somebody else's, as it was recorded: vpnc 0.5.3.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from isakmp.associations import Lifetime
from isakmp.errors import AttributesNotSupported, NoProposalChosen
from isakmp.ike.parameters import Parameters
from isakmp.ike.selection import acceptable_to, choose, confirm
from isakmp.numbers import AuthenticationMethod, Encryption, Phase1Attribute
from isakmp.wire.proposals import Transform
from tests.ike.recorded import Recorded
from tests.ike.test_selection import candidates


class VpncTests(SynchronousTestCase):
    """The 24 transforms of vpnc 0.5.3, as they were recorded."""

    def setUp(self) -> None:
        self.offer = Recorded("vpnc-lab").offer("sa_i")
        (suite,) = self.offer.suites
        (self.proposal,) = suite.proposals

    def test_read(self) -> None:
        """
        All are read but those with an encryption algorithm 0; the key's length stands first.
        """
        self.assertEqual(len(self.proposal.transforms), 24)
        readable, unreadable = [], 0
        for one in self.proposal.transforms:
            try:
                readable.append(Parameters.read(one))
            except AttributesNotSupported as error:
                self.assertIn("encryption algorithm 0", str(error))
                unreadable += 1
        self.assertEqual((len(readable), unreadable), (20, 4))
        kinds = [a.kind for a in self.proposal.transforms[0].attributes]
        self.assertLess(
            kinds.index(Phase1Attribute.KEY_LENGTH),
            kinds.index(Phase1Attribute.ENCRYPTION_ALGORITHM),
        )
        self.assertEqual({p.lifetime for p in readable}, {Lifetime(2147483)})
        self.assertEqual(
            {p.encryption for p in readable},
            {Encryption.AES_CBC, Encryption.TRIPLE_DES_CBC, Encryption.DES_CBC},
        )

    def test_chosen(self) -> None:
        """
        The first with a pre-shared key alone that is configured is chosen, and answered as it was.
        """
        for spelling in ("aes128-sha1-modp1024", "3des-md5-modp1024", "aes256-sha1-modp1024"):
            ours = candidates(lab=f"aes128-sha256-modp1024 {spelling}")
            suite, parameters = choose(self.offer, acceptable_to(self.offer, ours))
            self.assertEqual(parameters.spelled, spelling)
            self.assertEqual(parameters.authentication, AuthenticationMethod.PRE_SHARED_KEY)
            (chosen,) = suite.proposals[0].transforms
            self.assertIn(chosen, self.proposal.transforms)

    def test_refused(self) -> None:
        """It offers no SHA-2: that is what a connection with nothing else is told."""
        ours = candidates(lab="aes128-sha256-modp1024")
        error = self.assertRaises(NoProposalChosen, acceptable_to, self.offer, ours)
        self.assertIn("16 more", str(error))
        self.assertIn("Nearest: the peer's hash sha1 against sha256 here.", str(error))

    def test_charon(self) -> None:
        """What charon answered it is one of what it had offered."""
        answer = Recorded("vpnc-lab").offer("sa_r")
        offered = [
            Parameters.read(t) for t in self.proposal.transforms if 0 not in encryption_of(t)
        ]
        got = confirm(answer, offered)
        self.assertEqual(got.authentication, AuthenticationMethod.XAUTH_INIT_PRE_SHARED)


def encryption_of(transform: Transform) -> set[int]:
    """The encryption algorithms that it names."""
    return {
        attribute.number
        for attribute in transform.attributes
        if attribute.kind == Phase1Attribute.ENCRYPTION_ALGORITHM
    }
