"""What control asks of a node: numbers of SAs, messages counted, renewal on demand."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from isakmp.associations import IPsecParameters
from isakmp.connections import Renewal
from isakmp.events import Tally
from isakmp.numbers import ExchangeType
from isakmp.testing import settle
from tests.nodes import Member, Settings, disagreements, pair
from tests.renewing import renewing, spis

MAIN, QUICK, INFORMATIONAL = ExchangeType.IDENTITY_PROTECTION, 32, ExchangeType.INFORMATIONAL


def counted(member: Member) -> dict[tuple[int, bool, bool], int]:
    """The messages of a node, by exchange type, whether the initiator sent, whether it was we."""
    return {
        tuple(what): count  # type: ignore[misc]
        for what, count in member.node.events.tallied().items()
        if isinstance(what, Tally)
    }


class NumberTests(SynchronousTestCase):
    def test_numbers(self) -> None:
        """
        Every SA has a number at its node, and management SAs are counted apart from children; a
        number is not given again.
        """
        both = pair(Settings(children=2))
        both.up()
        settle(both.clock, both.a.establish("net1"))
        number = both.a.registry.number
        self.assertEqual([number(sa) for sa in both.a.sas], [1])
        self.assertEqual([number(bundle) for bundle in both.a.bundles], [1, 2])
        settle(both.clock, both.a.endpoint.delete(both.a.bundles[:1]))
        settle(both.clock, both.a.establish())
        self.assertEqual([number(bundle) for bundle in both.a.bundles], [2, 3])

    def test_adopted(self) -> None:
        """A child that another ISAKMP SA adopts keeps its number; an SA that is gone has none."""
        both = renewing()
        (old,), (child,) = both.a.sas, both.a.bundles
        settle(both.clock, both.a.endpoint.reauthenticate(old))
        (adopted,) = both.a.bundles
        self.assertNotEqual(adopted.parent, child.parent)
        self.assertEqual(both.a.registry.number(adopted), 1)
        settle(both.clock, both.a.endpoint.delete([old]))
        self.assertRaises(LookupError, both.a.registry.number, old)


class TallyTests(SynchronousTestCase):
    def test_handshake(self) -> None:
        """
        Both ends count the six messages of Main Mode and the three of Quick Mode, each once: what
        one has sent the other has accepted.
        """
        both = pair()
        both.up()
        self.assertEqual(
            counted(both.a),
            {
                (MAIN, True, True): 3,
                (MAIN, False, False): 3,
                (QUICK, True, True): 2,
                (QUICK, False, False): 1,
            },
        )
        self.assertEqual(
            counted(both.b),
            {
                (MAIN, True, False): 3,
                (MAIN, False, True): 3,
                (QUICK, True, False): 2,
                (QUICK, False, True): 1,
            },
        )

    def test_informational(self) -> None:
        """A Delete is one message of an Informational exchange."""
        both = pair()
        both.up()
        settle(both.clock, both.a.endpoint.delete(both.a.bundles))
        both.wait(0.5)
        self.assertEqual(counted(both.a)[INFORMATIONAL, True, True], 1)
        self.assertEqual(counted(both.b)[INFORMATIONAL, True, False], 1)

    def test_copy(self) -> None:
        """Who asks for the counts cannot change them."""
        both = pair()
        both.a.node.events.tally("something")
        both.a.node.events.tallied().clear()  # type: ignore[attr-defined]
        self.assertEqual(both.a.node.events.tallied(), {"something": 1})


class RenewalTests(SynchronousTestCase):
    def test_child(self) -> None:
        """A child can be renewed before its time, also one that is never renewed by itself."""
        for times in (Renewal(600.0), Renewal()):
            with self.subTest(times):
                both = renewing(a={"child": times})
                (bundle,), before = both.a.bundles, spis(both.a.bundles)
                self.assertTrue(both.a.assembly.renewals.now(bundle))
                self.assertTrue(both.a.assembly.renewals.now(bundle), "it is under way")
                both.wait(100.0)
                self.assertEqual(len(both.a.bundles), 1)
                self.assertFalse(spis(both.a.bundles) & before)
                self.assertEqual(disagreements(both.a, both.b), [])
                self.assertFalse(both.a.assembly.renewals.now(bundle), "it was renewed")

    def test_management(self) -> None:
        """So can an ISAKMP SA, and its children go on under the new one."""
        both = renewing()
        (sa,), before = both.a.sas, spis(both.a.bundles)
        self.assertTrue(both.a.assembly.renewals.now(sa))
        both.wait(100.0)
        self.assertEqual(len(both.a.sas), 1)
        self.assertNotEqual(both.a.sas, [sa])
        self.assertEqual(spis(both.a.bundles), before)
        self.assertEqual(disagreements(both.a, both.b), [])

    def test_not_configured(self) -> None:
        """An SA whose connection is gone is not renewed."""
        both = renewing()
        both.a.assembly.configure((), ())
        self.assertFalse(both.a.assembly.renewals.now(both.a.bundles[0]))

    def test_due(self) -> None:
        """It is known when an SA will be renewed; not of one that is not to be, or just was."""
        both = renewing(a={"child": Renewal(600.0)})
        due = both.a.assembly.renewals.due
        (bundle,), (sa,) = both.a.bundles, both.a.sas
        since = both.a.registry.since(bundle)
        self.assertEqual(due(bundle), since + 600.0)
        self.assertIsNone(due(sa))
        both.a.assembly.renewals.now(bundle)
        both.wait(1.0)
        self.assertIsNone(due(bundle))


class GroupTests(SynchronousTestCase):
    def test_group(self) -> None:
        """What protects says whether keys were agreed for it alone, and in which group."""
        for suite, group in (("aes128-sha256", 0), ("aes128-sha256-curve25519", 31)):
            with self.subTest(suite):
                both = pair(Settings(child_suite=suite))
                both.up()
                for member in (both.a, both.b):
                    (bundle,) = member.bundles
                    for sa in (*bundle.inbound, *bundle.outbound):
                        assert isinstance(sa.parameters, IPsecParameters)
                        self.assertEqual(sa.parameters.group, group)
