"""
Pre-shared keys.  RFC 2409 section 5.4.

In Main Mode the key is needed before the peer has said who it is: only its address is known then,
and a key may belong to an address, a network or anybody.  In the other exchanges it belongs to an
identity.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hmac import compare_digest

from twisted.internet.defer import Deferred, execute
from zope.interface import implementer

from isakmp.errors import ConfigurationError, InvalidIdentity
from isakmp.identity import Identity, IdentityPattern, TrafficSelector
from isakmp.interfaces import ICredentialStore
from isakmp.paths import Path

_ANY = "%any"

Specificity = tuple[int, int]
"""How exactly an owner names somebody; the larger is the more exact."""

_IDENTITY, _ADDRESS, _WIDE, _ANYBODY, _UNSAID, _SOMEBODY_ELSE = range(5, -1, -1)


@dataclass(frozen=True, slots=True)
class SharedSecret:
    """
    A secret and who shares it.

    :ivar secret: its octets.
    :ivar owners: identities as :meth:`isakmp.identity.Identity.parse` takes them, ``*.example.org``
        and ``*@example.org``, networks (``10.0.0.0/8``), or ``%any``; none means ``%any``.  One
        owner is the peer; of several, one may be we.
    """

    secret: bytes = field(repr=False)
    owners: tuple[str, ...] = (_ANY,)


@dataclass(frozen=True, slots=True)
class _Owner:
    """
    One owner, understood; exactly one of these is set, or none for anybody.

    :ivar name: an identity, lower case where its case does not matter.
    :ivar network: addresses.
    :ivar pattern: the end of a name.
    """

    name: Identity | None = None
    network: TrafficSelector | None = None
    pattern: IdentityPattern | None = None

    @classmethod
    def parse(cls, text: str) -> _Owner:
        """:raises ConfigurationError: if it names nobody."""
        if text == _ANY:
            return cls()
        if text.startswith("%"):
            raise ConfigurationError(f"{text!r} is nobody; who is meant by {_ANY!r} is anybody")
        if text.startswith("*"):
            return cls(pattern=IdentityPattern(text.lower()))
        if meant_as_network(text):
            if "[" in text:
                raise ConfigurationError(f"{text!r} is not a network: it has a protocol or a port")
            return cls(network=TrafficSelector.parse(text))
        identity = Identity.parse(text)
        kind, data = _bucket(identity)
        lower = Identity(kind, 0, 0, data)
        return cls(name=lower if lower.same_party(identity) else identity)

    def match(self, who: Identity | Path) -> Specificity | None:
        """How exactly this names somebody; None: somebody else."""
        if self.name is not None:
            if isinstance(who, Identity):
                return (_IDENTITY, 0) if self.name.same_party(who) else None
            return (_ADDRESS, 0) if self.name.same_party(_at(who)) else None
        if self.network is not None:
            host = _host(_at(who) if isinstance(who, Path) else who)
            if host is None or not host.within(self.network):
                return None
            return _WIDE, self.network.first - self.network.last
        if self.pattern is not None:
            matches = isinstance(who, Identity) and self.pattern.matches(who)
            return (_WIDE, len(self.pattern.text)) if matches else None
        return _ANYBODY, 0


@dataclass(frozen=True, slots=True, eq=False)
class _Shared:
    """A secret with its owners, understood."""

    secret: bytes = field(repr=False)
    owners: tuple[_Owner, ...]

    def match(
        self, ours: Identity, whom: Sequence[Identity | Path]
    ) -> tuple[Specificity, ...] | None:
        """
        How exactly this is meant for us two; None: it is not meant for the peer.

        :param whom: everything that is known of the peer.

        The peer decides first.  Of two secrets for the same peer the one that names us is better
        than one that says nothing of us, and that is better than one that names others.
        """
        fits: list[tuple[Specificity, Specificity]] = []
        for peer in self.owners:
            exactly = max((m for m in map(peer.match, whom) if m is not None), default=None)
            if exactly is not None:
                us = [owner.match(ours) for owner in self.owners if owner != peer]
                nobody = _SOMEBODY_ELSE if us else _UNSAID
                fits.append((exactly, max((m for m in us if m), default=(nobody, 0))))
        return max(fits, default=None)


@implementer(ICredentialStore)
class PreSharedKeys:
    """
    A fixed set of secrets; the one that is most exactly meant for the two parties is used.

    Both identities are better than the peer's identity alone, that is better than its address, that
    than its network (the smaller the better), and anybody comes last.

    :param secrets: in any order.
    :raises ConfigurationError: if an owner names nobody, a secret is empty, or two different
        secrets are meant for the same parties.
    """

    def __init__(self, secrets: Iterable[SharedSecret]) -> None:
        # Those that name an identity by it, the others one after another.
        self._by_name: dict[tuple[int, bytes], list[_Shared]] = {}
        self._wide: list[_Shared] = []
        self._enter_all(secrets)

    def configure(self, secrets: Iterable[SharedSecret]) -> None:
        """
        From now on these secrets, and no others; nothing changes if one of them is refused.

        :raises ConfigurationError: as when the store was made.
        """
        fresh = PreSharedKeys(secrets)
        self._by_name, self._wide = fresh._by_name, fresh._wide

    def _enter_all(self, secrets: Iterable[SharedSecret]) -> None:
        pairs: dict[tuple[_Owner, _Owner | None], tuple[bytes, SharedSecret]] = {}
        for secret in secrets:
            if not secret.secret:
                raise ConfigurationError(f"the secret of {_spelled(secret)} is empty")
            owners = tuple(dict.fromkeys(map(_Owner.parse, secret.owners or (_ANY,))))
            for pair in _pairs(owners):
                same, other = pairs.setdefault(pair, (secret.secret, secret))
                if not compare_digest(same, secret.secret):
                    raise ConfigurationError(
                        "two different secrets are meant for the same parties: that of "
                        f"{_spelled(other)} and that of {_spelled(secret)}"
                    )
            self._enter(_Shared(secret.secret, owners))

    def shared_secret(self, ours: Identity, theirs: Identity | None, path: Path) -> Deferred[bytes]:
        """
        The secret with a peer; None: it is not named yet.

        :raises LookupError: if there is none, or two are meant equally.
        """
        return execute(self._find, ours, theirs, path)

    def _enter(self, shared: _Shared) -> None:
        names = [_bucket(owner.name) for owner in shared.owners if owner.name is not None]
        for name in dict.fromkeys(names):
            self._by_name.setdefault(name, []).append(shared)
        if len(names) < len(shared.owners):
            self._wide.append(shared)

    def _possible(self, names: Sequence[Identity]) -> Iterator[_Shared]:
        """Those that can be meant for a peer; the others need not be looked at."""
        for name in names:
            yield from self._by_name.get(_bucket(name), ())
        yield from self._wide

    def _find(self, ours: Identity, theirs: Identity | None, path: Path) -> bytes:
        whom = (path,) if theirs is None else (theirs, path)
        names = [_at(path)] if theirs is None else [theirs, _at(path)]
        best: tuple[Specificity, ...] | None = None
        secrets: set[bytes] = set()
        for shared in self._possible(names):
            fit = shared.match(ours, whom)
            if fit is not None and (best is None or fit >= best):
                if fit != best:
                    best, secrets = fit, set()
                secrets.add(shared.secret)
        peer = path.remote[0] if theirs is None else f"{theirs} at {path.remote[0]}"
        if not secrets:
            raise LookupError(f"no pre-shared key is configured for {peer} with {ours}")
        if len(secrets) > 1:
            raise LookupError(
                f"{len(secrets)} different pre-shared keys are meant equally for {peer} with {ours}"
            )
        return secrets.pop()


def _pairs(owners: Sequence[_Owner]) -> Iterator[tuple[_Owner, _Owner | None]]:
    """The parties an owners' list is for: peer and we; or the peer and whoever we are."""
    for peer in owners:
        for us in owners:
            if us != peer:
                yield peer, us
    if len(owners) == 1:
        yield owners[0], None


def meant_as_network(text: str) -> bool:
    """Whether an owner is meant as a network, right or wrong: a name may have a slash too."""
    address, slash, length = text.partition("/")
    numeric = ":" in address or address.replace(".", "").isdigit() or length.isdigit()
    return bool(slash) and "@" not in text and numeric


def _bucket(identity: Identity) -> tuple[int, bytes]:
    """Equal for whatever ``same_party`` may call the same; it has the last word."""
    return identity.kind, identity.data.lower()


def _at(path: Path) -> Identity:
    """The peer, as far as its path names it."""
    return _address(path.remote[0])


_address = lru_cache(maxsize=1024)(Identity.address)


def _host(identity: Identity) -> TrafficSelector | None:
    """The addresses that an identity consists of."""
    try:
        bounds = identity.checked().bounds
    except InvalidIdentity:
        return None
    return None if bounds is None else TrafficSelector(*bounds)


def _spelled(secret: SharedSecret) -> str:
    return ", ".join(secret.owners) or _ANY
