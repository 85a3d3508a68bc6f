"""
A realm for tests: Kerberos in what KINK sees of it, without a KDC.

Whoever knows the secret of the realm can make every ticket, so that it proves nothing to anybody;
but what is built on it is real: session keys are random and known to two ends only, tickets and
authenticators are sealed (AES-CBC, then HMAC-SHA-256) and checked, times count, nothing counts
twice.  The octets are not those of RFC 4120.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from hmac import compare_digest

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from isakmp.crypto.ciphers import CBC, BlockCipher
from isakmp.crypto.prf import prf
from isakmp.errors import LimitReached, Malformed, Reason
from isakmp.kink.kerberos import IAPRequest, IKerberos, ISessionKey, ITicket, KerberosRefusal
from isakmp.kink.numbers import KerberosError
from isakmp.wire.reader import Reader

SKEW = 300.0
"""Seconds that two clocks may differ."""

LIFE = 36_000.0
"""Seconds that a ticket is valid."""

MAX_AUTHENTICATORS = 65_536
"""The most that are remembered: as many messages are heard in the time that clocks may differ."""

_MAC = 16
_HMAC = prf(4)
_TICKET, _AUTHENTICATOR, _ENCRYPT, _CHECKSUM, _REPLY = 2, 11, 39, 40, 12
_STAMP = struct.Struct("!QI")
_TIMES = struct.Struct("!IQQ")
_AP_REQ, _AP_REP, _KRB_ERROR = b"\x6e", b"\x6f", b"\x7e"


def _seal(key: bytes, usage: int, octets: bytes, entropy: Callable[[int], bytes]) -> bytes:
    """Encrypted and proven, for one purpose; zeros may follow what is decrypted."""
    initial = entropy(16)
    cipher = BlockCipher(CBC["aes"], _HMAC(key, b"encrypt%d" % usage)[:16])
    sealed = initial + cipher.encrypt(initial, octets + bytes(16 - len(octets) % 16))
    return sealed + _mac(key, usage, sealed)


def _open(key: bytes, usage: int, sealed: bytes) -> bytes:
    """:raises Malformed: if it was not sealed so."""
    body, mac = sealed[:-_MAC], sealed[-_MAC:]
    if not compare_digest(mac, _mac(key, usage, body)):
        raise Malformed("not sealed by this key")
    cipher = BlockCipher(CBC["aes"], _HMAC(key, b"encrypt%d" % usage)[:16])
    return cipher.decrypt(body[:16], body[16:])


def _mac(key: bytes, usage: int, octets: bytes) -> bytes:
    return _HMAC(_HMAC(key, b"prove%d" % usage), octets)[:_MAC]


def _text(text: str) -> bytes:
    octets = text.encode()
    return len(octets).to_bytes(2) + octets


def _read_text(reader: Reader) -> str:
    try:
        return reader.take(reader.u16()).decode()
    except UnicodeDecodeError as error:
        raise Malformed(str(error)) from None


@implementer(ISessionKey)
@dataclass(frozen=True, slots=True)
class SessionKey:
    """Implements ISessionKey."""

    octets: bytes = field(repr=False)
    entropy: Callable[[int], bytes] = field(repr=False)

    def encrypt(self, octets: bytes) -> bytes:
        """Sealed under usage 39."""
        return _seal(self.octets, _ENCRYPT, octets, self.entropy)

    def decrypt(self, octets: bytes) -> bytes:
        """Opened under usage 39; :raises Malformed: if it does not open."""
        return _open(self.octets, _ENCRYPT, octets)

    def checksum(self, octets: bytes) -> bytes:
        """HMAC under usage 40."""
        return _mac(self.octets, _CHECKSUM, octets)

    def verify(self, octets: bytes, checksum: bytes) -> bool:
        """Whether that is it."""
        return compare_digest(checksum, self.checksum(octets))

    def prf(self, octets: bytes) -> bytes:
        """HMAC under a key for this alone."""
        return _HMAC(_HMAC(self.octets, b"prf"), octets)


@implementer(ITicket)
class Ticket:
    """Implements ITicket."""

    def __init__(
        self, realm: RealmMember, ours: str, theirs: str, key: SessionKey, octets: bytes, end: float
    ) -> None:
        self._realm = realm
        self.ours, self.theirs, self.key = ours, theirs, key
        self.until = end
        self._octets = octets
        self._skew = 0.0

    def request(self) -> tuple[bytes, object]:
        """An AP-REQ with a new authenticator."""
        stamp = _STAMP.pack(*self._realm.stamp(self._skew))
        sealed = _seal(
            self.key.octets, _AUTHENTICATOR, _text(self.ours) + stamp, self._realm.entropy
        )
        ticket = _text(self.theirs) + len(self._octets).to_bytes(2) + self._octets
        return _AP_REQ + ticket + sealed, stamp

    def check(self, reply: bytes, authenticators: Collection[object]) -> None:
        """Whether it repeats the time of one of these."""
        try:
            if not reply.startswith(_AP_REP):
                raise Malformed("no AP-REP")
            stamp = _open(self.key.octets, _REPLY, reply[1:])[: _STAMP.size]
        except Malformed as error:
            raise KerberosRefusal(str(error), KerberosError.MODIFIED) from None
        if stamp not in authenticators:
            raise KerberosRefusal("an AP-REP to another request", KerberosError.MUT_FAIL)

    def adjust(self, skew: float) -> None:
        """Later requests are of the service's time."""
        self._skew += skew


@implementer(IAPRequest)
@dataclass(frozen=True, slots=True)
class APRequest:
    """Implements IAPRequest."""

    realm: RealmMember = field(repr=False)
    ours: str
    theirs: str
    key: SessionKey
    stamp: bytes = field(repr=False)

    def fresh(self) -> bool:
        """Once."""
        return self.realm.fresh(self.theirs, self.stamp)

    def reply(self) -> bytes:
        """The time of its authenticator, sealed anew."""
        return _AP_REP + _seal(self.key.octets, _REPLY, self.stamp, self.realm.entropy)


@implementer(IKerberos)
class RealmMember:
    """
    Implements IKerberos, for one node.

    :param secret: the realm's.
    :param entropy: for keys.
    :param skew: seconds that a client's clock may differ from ours.
    :ivar offset: seconds that our clock is ahead of the node's: for tests of bad clocks.
    """

    def __init__(
        self,
        secret: bytes,
        clock: IReactorTime,
        entropy: Callable[[int], bytes],
        skew: float = SKEW,
    ) -> None:
        self.entropy = entropy
        self.offset = 0.0
        self._secret = secret
        self._clock = clock
        self._skew = skew
        self._tickets: dict[tuple[str, str], Ticket] = {}
        self._last = (0, 0)
        self._seen: OrderedDict[tuple[str, bytes], float] = OrderedDict()

    def now(self) -> float:
        """By our clock, in seconds."""
        return self._clock.seconds() + self.offset

    def stamp(self, skew: float) -> tuple[int, int]:
        """A time in microseconds and a number: no two are the same."""
        time = max(0, int((self.now() + skew) * 1e6))
        number = self._last[1] + 1 & 0xFFFFFFFF
        self._last = time, number
        return self._last

    def ticket(self, ours: str, theirs: str, until: float) -> Deferred[ITicket]:
        """Made here: everybody in this realm is its KDC."""
        ticket = self._tickets.get((ours, theirs))
        if ticket is None or ticket.until < until + self.offset:
            key = SessionKey(self.entropy(32), self.entropy)
            end = max(self.now() + LIFE, until + self.offset)
            plain = _text(ours) + _text(theirs) + int(end * 1e6).to_bytes(8) + key.octets
            sealed = _seal(self._of(theirs), _TICKET, plain, self.entropy)
            ticket = self._tickets[ours, theirs] = Ticket(self, ours, theirs, key, sealed, end)
        return succeed(ticket)

    def open(self, request: bytes) -> IAPRequest:
        """:raises KerberosRefusal: with the code that RFC 4120 section 3.2.3 names."""
        try:
            reader = Reader(request)
            if reader.take(1) != _AP_REQ:
                raise Malformed("no AP-REQ")
            service = _read_text(reader)
            sealed, authenticator = reader.take(reader.u16()), reader.rest()
        except Malformed as error:
            raise KerberosRefusal(str(error), KerberosError.MSG_TYPE) from None
        return self._opened(service, sealed, authenticator)

    def _opened(self, service: str, sealed: bytes, authenticator: bytes) -> IAPRequest:
        try:
            reader = Reader(_open(self._of(service), _TICKET, sealed))
            client, named = _read_text(reader), _read_text(reader)
            end, key = int.from_bytes(reader.take(8)) / 1e6, reader.take(32)
        except Malformed:
            named = ""
        if named != service:
            raise KerberosRefusal("the ticket is not for us", KerberosError.NOT_US)
        session = SessionKey(key, self.entropy)
        if end + self._skew < self.now():
            raise KerberosRefusal("the ticket is over", KerberosError.TKT_EXPIRED, session)
        try:
            inside = Reader(_open(key, _AUTHENTICATOR, authenticator))
            name, stamp = _read_text(inside), inside.take(_STAMP.size)
        except Malformed as error:
            raise KerberosRefusal(str(error), KerberosError.BAD_INTEGRITY) from None
        if name != client:
            raise KerberosRefusal(
                Reason("the authenticator is of another", name, client), KerberosError.BADMATCH
            )
        ahead = self.now() - _STAMP.unpack(stamp)[0] / 1e6
        if abs(ahead) > self._skew:
            reason = Reason("clocks differ", f"{-ahead:.0f} s ahead", f"{self._skew:.0f} s at most")
            raise KerberosRefusal(reason, KerberosError.SKEW, session, ahead)
        return APRequest(self, service, client, session, stamp)

    def fresh(self, client: str, stamp: bytes) -> bool:
        """
        Remember an authenticator for as long as its time would be believed.

        :raises LimitReached: if too many are: to forget one would be to believe it again.
        """
        now = self.now()
        while self._seen and next(iter(self._seen.values())) < now:
            self._seen.popitem(last=False)
        if (client, stamp) in self._seen:
            return False
        if len(self._seen) >= MAX_AUTHENTICATORS:
            raise LimitReached(Reason("authenticators remembered"))
        self._seen[client, stamp] = now + 2 * self._skew
        return True

    def error(self, refusal: KerberosRefusal) -> bytes:
        """Code, whether a time is known, and how much our clock is ahead."""
        now = max(0, int(self.now() * 1e6))
        ahead = 0 if refusal.skew is None else int(refusal.skew * 1e6)
        known = b"\0" if refusal.skew is None else b"\1"
        return _KRB_ERROR + known + _TIMES.pack(refusal.code, now, max(0, now - ahead))

    def refusal(self, error: bytes) -> KerberosRefusal:
        """What it says; :raises Malformed: if it says nothing."""
        if len(error) != 2 + _TIMES.size or not error.startswith(_KRB_ERROR):
            raise Malformed("no KRB-ERROR")
        code, server, client = _TIMES.unpack_from(error, 2)
        skew = (server - client) / 1e6 if error[1] else None
        return KerberosRefusal(Reason(KerberosError(code).spelled), code, skew=skew)

    def _of(self, principal: str) -> bytes:
        """The long-term key of a principal."""
        return _HMAC(self._secret, b"key of " + principal.encode())
