"""
What KINK asks of Kerberos.  RFC 4430 sections 4.2.1 to 4.2.3, 4.2.7, 7 and 8.

What can be asked for each datagram is answered at once; only a ticket may take a journey to a KDC.
"""

from __future__ import annotations

from collections.abc import Collection

from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

from isakmp.errors import PeerError, Reason
from isakmp.kink.numbers import KerberosError


class ISessionKey(Interface):
    """The session key of one ticket at work: it answers, and is never handed out."""

    def encrypt(octets: bytes) -> bytes:
        """The etype's encrypt function under key usage 39."""

    def decrypt(octets: bytes) -> bytes:
        """
        What was encrypted, and maybe padding after it.

        :raises Malformed: if it was not, under this key.
        """

    def checksum(octets: bytes) -> bytes:
        """The etype's get_mic function under key usage 40: a keyed checksum."""

    def verify(octets: bytes, checksum: bytes) -> bool:
        """The etype's verify_mic function under key usage 40."""

    def prf(octets: bytes) -> bytes:
        """The etype's pseudo-random function; RFC 4430 section 7."""


class KerberosRefusal(PeerError):
    """
    What Kerberos says of a request or a reply.

    :param code: its error code.
    :ivar key: the session key, where the ticket could be opened all the same: then the error can be
        protected.  RFC 4430 section 4.2.3.
    :ivar skew: seconds that the server's clock is ahead of the client's, where that is known.
    """

    def __init__(
        self,
        reason: Reason | str,
        code: int,
        key: ISessionKey | None = None,
        skew: float | None = None,
    ) -> None:
        super().__init__(reason)
        self.code = KerberosError(code)
        self.key = key
        self.skew = skew


class ITicket(Interface):
    """
    A service ticket of ours.

    :ivar ours: our principal; ``theirs`` the service's.
    """

    ours: str = Attribute("The client, in full.")
    theirs: str = Attribute("The service, in full.")
    key: ISessionKey = Attribute("Its session key.")

    def request() -> tuple[bytes, object]:
        """
        A new AP-REQ, which asks for mutual authentication; and its authenticator, by which a reply
        is told to be one.
        """

    def check(reply: bytes, authenticators: Collection[object]) -> None:
        """
        Whether an AP-REP answers one of these.

        :raises KerberosRefusal: if it does not.
        """

    def adjust(skew: float) -> None:
        """The service's clock is so many seconds ahead: later requests count with that."""


class IAPRequest(Interface):
    """An AP-REQ of a peer's, opened: its ticket is for us, and not over."""

    ours: str = Attribute("The service it is for: a principal of ours.")
    theirs: str = Attribute("The client, in full.")
    key: ISessionKey = Attribute("The session key of its ticket; sub-keys are ignored.")

    def fresh() -> bool:
        """
        Whether its authenticator is seen for the first time; it is, from now on.

        Asked when the message has been proven: else a forged copy could use it up.
        """

    def reply() -> bytes:
        """An AP-REP."""


class IKerberos(Interface):
    """Kerberos, for a node."""

    def ticket(ours: str, theirs: str, until: float) -> Deferred[ITicket]:
        """
        A service ticket; fails with :class:`KerberosRefusal`.

        :param until: it is valid then, in seconds of the node's clock.
        """

    def open(request: bytes) -> IAPRequest:
        """
        Open an AP-REQ.

        :raises KerberosRefusal: if it is not for us, too late or too early.
        """

    def error(refusal: KerberosRefusal) -> bytes:
        """A KRB-ERROR that says so."""

    def refusal(error: bytes) -> KerberosRefusal:
        """
        What a KRB-ERROR says.

        :raises Malformed: if it is none.
        """
