"""
What a kernel can protect with, as far as it may be asked.
"""

from __future__ import annotations

import errno

from twisted.trial.unittest import SynchronousTestCase

from isakmp.associations import Transform
from isakmp.numbers import (
    DOI,
    AHTransform,
    AuthenticationAlgorithm,
    ESPTransform,
    IPsecAttribute,
    ProtocolID,
)
from isakmp.sinks.xfrm.link import ACK, Refused
from isakmp.sinks.xfrm.netlink import Message
from isakmp.sinks.xfrm.structures import AH, ESP, Kind, Standing
from isakmp.sinks.xfrm.trying import Trials
from isakmp.wire.attributes import Attribute


def transform(number: int) -> Transform:
    """One with HMAC-SHA-1."""
    kind = IPsecAttribute.AUTHENTICATION_ALGORITHM
    return Transform(1, number, (Attribute.tv(kind, AuthenticationAlgorithm.HMAC_SHA),))


ESP_AES = ProtocolID.ESP, transform(ESPTransform.AES_CBC)
ESP_CAST = ProtocolID.ESP, transform(ESPTransform.CAST)
AH_SHA = ProtocolID.AH, transform(AHTransform.SHA)


class Kernel:
    """
    One that refuses by IP protocol, or by the name of a cipher.
    """

    def __init__(self, refused: dict[int | bytes, int]) -> None:
        self.refused = refused
        self.asked: list[int] = []

    async def ask(self, kind: int, body: bytes, what: str, flags: int = ACK) -> list[Message]:
        self.asked.append(kind)
        if kind == Kind.NEWSA:
            protocol = Standing.decode(body).name.protocol
            for what_for, number in self.refused.items():
                if what_for == protocol or (isinstance(what_for, bytes) and what_for in body):
                    raise Refused(number, what)
        return []


class TrialsTests(SynchronousTestCase):
    """
    ``supports`` of the sink ``xfrm``.
    """

    def supports(self, kernel: Kernel) -> list[bool]:
        """Of AES-CBC, CAST and AH."""
        trials = Trials(kernel.ask)
        return [trials.supports(DOI.IPSEC, *asked) for asked in (ESP_AES, ESP_CAST, AH_SHA)]

    def test_all(self) -> None:
        """What the kernel takes is offered, and what has been tried is removed."""
        kernel = Kernel({})
        self.assertEqual(self.supports(kernel), [True, True, True])
        self.assertEqual(kernel.asked, 3 * [Kind.NEWSA, Kind.DELSA])

    def test_no_cipher(self) -> None:
        """A cipher whose module is missing is not offered."""
        kernel = Kernel({b"cast5": errno.ENOSYS})
        self.assertEqual(self.supports(kernel), [True, False, True])

    def test_no_protocol(self) -> None:
        """A kernel with ESP and without AH: AH is not offered."""
        kernel = Kernel({AH: errno.EPROTONOSUPPORT})
        self.assertEqual(self.supports(kernel), [True, True, False])

    def test_not_asked(self) -> None:
        """
        Who may not ask, a reader of a file without privileges for instance, is told what a kernel
        may have.
        """
        kernel = Kernel({AH: errno.EPERM, ESP: errno.EPERM})
        self.assertEqual(self.supports(kernel), [True, True, True])

    def test_once(self) -> None:
        """What has been tried is not tried again."""
        kernel = Kernel({})
        trials = Trials(kernel.ask)
        for _ in range(3):
            self.assertTrue(trials.supports(DOI.IPSEC, *ESP_AES))
        self.assertEqual(kernel.asked, [Kind.NEWSA, Kind.DELSA])

    def test_other_domain(self) -> None:
        """Of another domain of interpretation the kernel has nothing."""
        kernel = Kernel({})
        self.assertFalse(Trials(kernel.ask).supports(99, *ESP_AES))
        self.assertEqual(kernel.asked, [])
