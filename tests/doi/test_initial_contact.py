"""INITIAL-CONTACT: saying it, and believing it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, cast

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from isakmp.connections import Connection
from isakmp.doi.initial_contact import InitialContact
from isakmp.doi.ipsec import ipsec
from isakmp.doi.isakmp import isakmp_doi
from isakmp.identity import Identity, IdentityPattern
from isakmp.interfaces import IExchange, IManagementSA, IRider
from isakmp.numbers import ExchangeType, NotifyType
from isakmp.parts import AUTH, ID, KE, NONCE, SA, Arrow, Part, Role
from isakmp.paths import Path
from isakmp.wire.message import CookiePair, Flags, Message
from isakmp.wire.payloads import Identification, Nonce, Notification, Payload
from tests.doi.offers import bodies
from tests.samples import PATH, US, SampleSA, bundle
from tests.vectors import conversation

COOKIES = CookiePair(b"initiate", b"responds")
ESTABLISHED = cast(IManagementSA, object())


class Endpoint:
    """Notes for which SA it was told that its peer started afresh."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def started_afresh(self, sa: object) -> None:
        self.told.append(sa)


class Registry:
    """Knows the management SAs that stand."""

    def __init__(self) -> None:
        self.standing: list[SampleSA] = []

    def by_connection(self, name: str) -> list[SampleSA]:
        return [sa for sa in self.standing if sa.connection == name]

    def by_peer(self, theirs: Identity) -> list[SampleSA]:
        return [sa for sa in self.standing if sa.theirs.same_party(theirs)]

    def __iter__(self) -> Iterator[object]:
        return iter([bundle(), *self.standing])


@dataclass
class Conversation:
    """What a rider sees of an exchange: by default of the last messages of Main Mode."""

    doi: Any = ipsec
    number: int = ExchangeType.IDENTITY_PROTECTION
    role: Role = Role.INITIATOR
    sa: object = None
    protection: object = field(default_factory=object)
    cookies: CookiePair = COOKIES
    path: Path = PATH
    connection: Connection | None = Connection("road", ())

    def __post_init__(self) -> None:
        self.endpoint, self.registry = Endpoint(), Registry()
        self.node = SimpleNamespace(
            registry=self.registry, endpoints={"isakmp": self.endpoint, "kink": object()}
        )
        self.rider = InitialContact()

    @property
    def exchange(self) -> IExchange:
        return cast(IExchange, self)

    def says(self, *parts: Part) -> list[Payload]:
        arrow = Arrow("Identity Protection", self.role, frozenset(parts or (ID, AUTH)))
        return list(self.rider.outgoing(self.exchange, arrow))

    def hears(
        self,
        *payloads: Payload,
        parts: frozenset[Part] = frozenset((ID, AUTH)),
        flags: int = Flags.ENCRYPTION,
    ) -> None:
        message = Message(self.cookies, self.number, flags, 0, payloads)
        arrow = Arrow("Identity Protection", self.role.other, parts)
        self.rider.incoming(self.exchange, arrow, message)

    def ends(self) -> list[object]:
        self.rider.established(self.exchange, ESTABLISHED)
        return self.endpoint.told


def notification(**changes: Any) -> Notification:
    """INITIAL-CONTACT as it should be, but for these changes."""
    good = Notification(1, 1, NotifyType.INITIAL_CONTACT, COOKIES.octets, b"")
    return replace(good, **changes)


class OutgoingTests(SynchronousTestCase):
    def test_interface(self) -> None:
        """It is a rider."""
        verifyObject(IRider, InitialContact())

    def test_as_charon_says_it(self) -> None:
        """
        It is said beside our proof, by either side, octet by octet as charon says it.

        Proves: RFC 2407 section 4.6.3.3 (row 4.6.3.3-1)
        Proves: RFC 2407 section 4.6.3 (row 4.6.3-1)
        Proves: RFC 2407 section 4.6.3 (row 4.6.3-3)
        Proves: RFC 2407 section 4.6.3.3 (row 4.6.3.3-2)
        """
        first = conversation("main-psk")["isakmp_sas"][0]
        (recorded,) = bodies("main-psk", "main", "N")
        cookies = CookiePair(recorded[8:16], recorded[16:24])
        self.assertIn(cookies.initiator.hex(), str(first))
        for role in Role:
            talk = Conversation(cookies=cookies, role=role)
            (said,) = talk.says()
            self.assertEqual(said.encode(), recorded)

    def test_every_exchange_that_seals_its_proof(self) -> None:
        """It goes with the proof of any sealed exchange of phase 1 but Aggressive."""
        talk = Conversation(number=ExchangeType.BASE)
        self.assertEqual(len(talk.says(KE, ID, AUTH)), 1)

    def test_not_in_clear(self) -> None:
        """
        It is not said before the exchange is sealed.

        Proves: RFC 2407 section 4.6.3 (row 4.6.3-1)
        """
        self.assertEqual(Conversation(protection=None).says(), [])

    def test_not_in_aggressive(self) -> None:
        """
        It is not said in Aggressive Mode, where a message can be sealed as well.

        Proves: RFC 2407 section 4.6.3 (row 4.6.3-2)
        """
        self.assertEqual(Conversation(number=ExchangeType.AGGRESSIVE).says(AUTH), [])

    def test_not_elsewhere(self) -> None:
        """It is not said with other messages, in phase 2, or in another domain."""
        for parts in ((SA,), (KE, NONCE), (SA, NONCE)):
            self.assertEqual(Conversation().says(*parts), [])
        self.assertEqual(Conversation(sa=object()).says(), [])
        self.assertEqual(Conversation(doi=isakmp_doi).says(), [])

    def test_only_if_it_is_true(self) -> None:
        """
        It is not said while another SA stands with the connection, or if that is not configured.

        Proves: RFC 2407 section 4.6.3.3
        """
        talk = Conversation()
        talk.registry.standing = [SampleSA(path=Path((US, 500), ("203.0.113.1", 500)))]
        self.assertEqual(talk.says(), [])
        talk.registry.standing = [replace(talk.registry.standing[0], connection="home")]
        self.assertEqual(len(talk.says()), 1)
        silent = Conversation(connection=Connection("road", (), initial_contact=False))
        self.assertEqual(silent.says(), [])
        self.assertEqual(Conversation(connection=None).says(), [])

    def test_by_another_connection(self) -> None:
        """
        It is not said while the same peer has an SA by another connection: it would remove that.
        Who it is, an initiator knows by its configuration, or by its address; a responder has heard
        it.

        Proves: RFC 2407 section 4.6.3.3
        """
        b, c = Identity.parse("b.lab"), Identity.parse("c.lab")
        elsewhere = Path((US, 500), ("203.0.113.1", 500))
        road = Connection("road", (), remote_identity=IdentityPattern("b.lab"))
        for standing, said in (
            (SampleSA(connection="home", theirs=b, path=elsewhere), 0),
            (SampleSA(connection="home", theirs=c, path=PATH), 1),
        ):
            talk = Conversation(connection=road)
            talk.registry.standing = [standing]
            self.assertEqual(len(talk.says()), said)
        anybody = Conversation()
        anybody.registry.standing = [SampleSA(connection="home", theirs=c, path=PATH)]
        self.assertEqual(anybody.says(), [])
        for theirs, said in ((b, 0), (c, 1)):
            talk = Conversation(role=Role.RESPONDER)
            talk.registry.standing = [SampleSA(connection="home", theirs=b, path=elsewhere)]
            talk.hears(Identification(theirs.kind, 0, 0, theirs.data))
            self.assertEqual(len(talk.says()), said)


class IncomingTests(SynchronousTestCase):
    def test_believed(self) -> None:
        """The framework is told, once, with the new SA, and only when that is established."""
        for role in Role:
            talk = Conversation(role=role)
            talk.hears(Nonce(bytes(16)), notification(), notification())
            self.assertEqual(talk.endpoint.told, [])
            self.assertEqual(talk.ends(), [ESTABLISHED])

    def test_aggressive(self) -> None:
        """vpnc says it in the third message of Aggressive Mode, encrypted: that counts."""
        (recorded,) = bodies("vpnc-lab", "aggressive", "N")
        cookies = CookiePair(recorded[8:16], recorded[16:24])
        talk = Conversation(number=ExchangeType.AGGRESSIVE, cookies=cookies)
        talk.hears(notification(spi=cookies.octets), parts=frozenset((AUTH,)))
        self.assertEqual(talk.ends(), [ESTABLISHED])

    def test_not_said(self) -> None:
        """A peer that does not say it keeps its SAs."""
        talk = Conversation()
        talk.hears(Nonce(bytes(16)), notification(kind=NotifyType.REPLAY_STATUS))
        self.assertEqual(talk.ends(), [])

    def test_in_clear(self) -> None:
        """
        In clear anybody could say it, so it counts for nothing.

        Proves: RFC 2407 section 4.6.3
        """
        talk = Conversation()
        talk.hears(notification(), flags=0)
        self.assertEqual(talk.ends(), [])
        talk = Conversation(protection=None)
        talk.hears(notification())
        self.assertEqual(talk.ends(), [])

    def test_of_another_sa(self) -> None:
        """It has to be about the SA that is being made, and in its own format."""
        for bad in (
            notification(spi=bytes(16)),
            notification(spi=COOKIES.octets[::-1]),
            notification(spi=b""),
            notification(spi=COOKIES.initiator),
            notification(doi=0),
            notification(protocol=4),
        ):
            talk = Conversation()
            talk.hears(bad)
            self.assertEqual(talk.ends(), [], bad)

    def test_phase_2(self) -> None:
        """In phase 2 this rider is not asked."""
        talk = Conversation(sa=object())
        talk.hears(notification())
        self.assertEqual(talk.ends(), [])

    def test_another_domain(self) -> None:
        """Under another domain of interpretation it means nothing."""
        talk = Conversation(doi=isakmp_doi)
        talk.hears(notification())
        self.assertEqual(talk.ends(), [])

    def test_failed(self) -> None:
        """If the exchange fails after it was heard, nothing is removed; the next begins anew."""
        failed = Conversation()
        failed.hears(notification())
        again = Conversation()
        self.assertEqual(again.ends(), [])
        self.assertEqual(failed.endpoint.told, [])
