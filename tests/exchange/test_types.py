"""Which exchange types there are, and whose numbers mean what."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from isakmp.doi.ipsec import IPsecDOI
from isakmp.doi.isakmp import ISAKMPDOI
from isakmp.errors import InvalidExchangeType
from isakmp.exchange.identity_protection import IdentityProtection
from isakmp.exchange.informational import Informational
from isakmp.exchange.types import (
    INFORMATIONAL,
    PHASE_1,
    establishing_type,
    exchange_type,
    key_exchange_named,
    types_under,
)
from isakmp.ike.key_exchange import IKE
from isakmp.ike.quick_mode import QuickMode
from isakmp.interfaces import IExchangeType
from isakmp.numbers import DOI, NotifyType
from tests.samples import SampleSA


@implementer(IExchangeType)
class Pull(Informational):
    """GROUPKEY-PULL has Quick Mode's number, under a domain of interpretation of its own."""

    number = 32
    name = "GROUPKEY-PULL"
    one_way = False
    establishes = True


class Knock(Informational):
    """An exchange type that a key exchange brings, below those of the domains."""

    number = 7
    name = "Knock"


class GroupDOI(IPsecDOI):
    """A domain with an exchange type of its own."""

    number = int(DOI.GDOI)
    name = "gdoi"
    exchange_types: Sequence[IExchangeType] = (Pull(),)


class KnockingIKE(IKE):
    """A key exchange with two types: one with a number below 32."""

    name = "knocking"
    transform_id = 200
    exchange_types: Sequence[IExchangeType] = (QuickMode(), Knock())


def node(*dois: object) -> Any:
    """As much of a node as is looked at."""
    enabled = dois or (ISAKMPDOI(), IPsecDOI(), GroupDOI())
    return SimpleNamespace(
        dois={doi.number: doi for doi in enabled},  # type: ignore[attr-defined]
        key_exchanges={1: IKE(), 200: KnockingIKE()},
    )


def sa(doi: int = DOI.IPSEC, owner: str = "ike") -> SampleSA:
    return SampleSA(doi=doi, owner=owner)


class TypesTests(SynchronousTestCase):
    def names(self, sa: SampleSA) -> dict[int, str]:
        return {number: kind.name for number, kind in types_under(node(), sa).items()}

    def test_interfaces(self) -> None:
        """Each is what the framework expects of an exchange type."""
        for kind in (INFORMATIONAL, *PHASE_1.values(), QuickMode(), Pull(), Knock()):
            verifyObject(IExchangeType, kind)

    def test_phase_1(self) -> None:
        """
        Identity Protection has number 2 and begins an SA; it waits for the responder's cookie.

        Proves: RFC 2408 section 3.1
        """
        self.assertIsInstance(PHASE_1[2], IdentityProtection)
        self.assertTrue(PHASE_1[2].waits_for_cookie)
        self.assertEqual([kind.number for kind in PHASE_1.values()], list(PHASE_1))
        self.assertNotIn(INFORMATIONAL.number, PHASE_1)

    def test_informational(self) -> None:
        """
        The Informational exchange has number 5 and runs under every SA.

        Proves: RFC 2408 section 3.1
        """
        for doi in (DOI.ISAKMP, DOI.IPSEC, DOI.GDOI):
            kind = exchange_type(node(), sa(doi), 5)
            self.assertIs(kind, INFORMATIONAL)
            self.assertTrue(kind.one_way)

    def test_of_the_key_exchange(self) -> None:
        """A domain without types of its own has those of the key exchange that made the SA."""
        self.assertEqual(self.names(sa()), {5: "Informational", 32: "Quick Mode"})
        self.assertEqual(
            self.names(sa(owner="knocking")), {5: "Informational", 7: "Knock", 32: "Quick Mode"}
        )

    def test_of_the_domain(self) -> None:
        """
        From 32 on a number means what the domain of interpretation says; a domain that has types of
        its own has no others there.  Below, numbers are everybody's.

        Proves: RFC 2408 section 3.1
        """
        self.assertEqual(
            self.names(sa(DOI.GDOI, "knocking")),
            {5: "Informational", 7: "Knock", 32: "GROUPKEY-PULL"},
        )
        self.assertEqual(exchange_type(node(), sa(DOI.GDOI), 32).name, "GROUPKEY-PULL")
        self.assertEqual(exchange_type(node(), sa(DOI.IPSEC), 32).name, "Quick Mode")

    def test_unknown(self) -> None:
        """
        A number that means nothing under an SA is refused, and the reason has the number.

        Proves: RFC 2408 section 5.2
        """
        for number in (0, 1, 2, 4, 6, 31, 33, 240, 255):
            error = self.assertRaises(InvalidExchangeType, exchange_type, node(), sa(), number)
            self.assertEqual(error.reason.offered, str(number))
            self.assertEqual(error.notify, NotifyType.INVALID_EXCHANGE_TYPE)

    def test_not_phase_1_again(self) -> None:
        """
        What begins an SA does not run under one.

        Proves: RFC 2409 section 4 (row 4-1)
        """
        for number in PHASE_1:
            self.assertNotIn(number, types_under(node(), sa()))

    def test_named(self) -> None:
        """A key exchange is found by its name, if it is enabled."""
        self.assertEqual(key_exchange_named(node(), "knocking").transform_id, 200)
        error = self.assertRaises(LookupError, key_exchange_named, node(), "kink")
        self.assertIn("kink", str(error))

    def test_gone(self) -> None:
        """An SA whose key exchange is not enabled any longer has no types: that is said."""
        self.assertRaises(LookupError, types_under, node(), sa(owner="kink"))

    def test_establishing(self) -> None:
        """What makes the children of a connection is the type that says so, of either."""
        self.assertEqual(establishing_type(node(), sa()).name, "Quick Mode")
        self.assertEqual(establishing_type(node(), sa(DOI.GDOI)).name, "GROUPKEY-PULL")

    def test_establishing_nothing(self) -> None:
        """Where no type does, that is an error that names the domain."""

        class Mute(IPsecDOI):
            exchange_types: Sequence[IExchangeType] = (Knock(),)

        error = self.assertRaises(LookupError, establishing_type, node(Mute()), sa())
        self.assertIn("DOI 1", str(error))
