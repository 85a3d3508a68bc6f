"""
The pre-shared keys in ``swanctl.conf``, and whether every connection has one.

What finds a secret is :class:`isakmp.credentials.pre_shared_keys.PreSharedKeys`; here is asked
beforehand what it will be asked when a peer comes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from twisted.internet.defer import Deferred

from isakmp.config import values
from isakmp.config.identities import ANYBODY, owners
from isakmp.config.mistakes import Findings, Place
from isakmp.config.tree import Section
from isakmp.connections import Connection
from isakmp.credentials.pre_shared_keys import PreSharedKeys, SharedSecret
from isakmp.errors import ConfigurationError
from isakmp.identity import Identity, TrafficSelector
from isakmp.paths import Path

_MOST = 16
"""How many contradictions between secrets are told."""


def secrets(section: Section, findings: Findings) -> tuple[SharedSecret, ...]:
    """The pre-shared keys of the section ``secrets``; those that contradict others are told."""
    found: list[tuple[Section, SharedSecret]] = []
    for name, inner in section.sections.items():
        if not name.startswith("ike"):
            continue
        datum = inner.data.get("secret")
        if datum is None:
            findings.missing(inner.place, inner.key("secret"), "the secret itself is missing")
            findings.faulty = True
            continue
        try:
            found.append((inner, SharedSecret(values.secret(datum.value), _owners(inner), name)))
        except ValueError:
            findings.faulty = True  # it was told when the keys were checked
    return tuple(secret for _, secret in _consistent(found, findings))


def _owners(section: Section) -> tuple[str, ...]:
    """:raises ValueError: if one is nobody."""
    texts = (datum.value for key, datum in section.data.items() if key.startswith("id"))
    return tuple(dict.fromkeys(owner for text in texts for owner in owners(text))) or (ANYBODY,)


def _consistent(
    found: list[tuple[Section, SharedSecret]], findings: Findings
) -> list[tuple[Section, SharedSecret]]:
    """Without those that say something else than one before them."""
    for _ in range(_MOST):
        trouble = _trouble(found)
        if not trouble:
            break
        low, high = 0, len(found) - 1
        while low < high:  # the longest beginning without a contradiction
            middle = (low + high + 1) // 2
            if again := _trouble(found[:middle]):
                high, trouble = middle - 1, again
            else:
                low = middle
        section, _ = found.pop(low)
        findings.faulty = True
        findings.mistake(section.place, section.path, trouble)
    return found


def _trouble(found: Sequence[tuple[Section, SharedSecret]]) -> str:
    """Why these cannot be used together; empty if they can."""
    try:
        PreSharedKeys(secret for _, secret in found)
    except ConfigurationError as error:
        return str(error)
    return ""


def check_secrets(
    connections: Mapping[str, tuple[Place, Connection]],
    secrets: Sequence[SharedSecret],
    findings: Findings,
) -> None:
    """
    Whether there is a secret for every connection.

    :param connections: by their path in the file.
    """
    try:
        store = PreSharedKeys(secrets)
    except ConfigurationError:
        return  # told before
    known = _Addresses.of(secrets)
    for path, (place, connection) in connections.items():
        reason = _reason(connection, store, known)
        if reason:
            peer = connection.remote_identity.exact
            owner = str(peer or next(iter(connection.remote), ANYBODY))
            findings.missing(
                place,
                path,
                f"{reason}; valid: a section secrets.ike... with id = {owner} and a secret",
            )


def _reason(connection: Connection, store: PreSharedKeys, known: _Addresses) -> str:
    """Why no secret can be found for a connection; empty if one can."""
    address = next(filter(values.is_address, connection.local), "0.0.0.0")
    ours = connection.local_identity or Identity.address(address)
    exact = connection.remote_identity.exact
    single = [remote for remote in connection.remote if values.is_address(remote)]
    reason = ""
    for remote in single or (["0.0.0.0"] if exact is not None else []):
        path = Path((address, connection.local_port), (remote, connection.remote_port))
        missing = _missing(store.shared_secret(ours, exact, path))
        if not missing:
            return ""
        reason = reason or missing
    if len(single) < len(connection.remote) or not connection.remote:
        # In Main Mode only the address of a peer is known when its secret is needed.
        if known.touch(connection.remote):
            return ""
        whom = ", ".join(connection.remote) or "peers with any address"
        reason = reason or f"no pre-shared key is configured for {whom}"
    return reason


def _missing(asked: Deferred[bytes]) -> str:
    """Why there is no secret; empty if there is one."""
    reasons: list[str] = []
    asked.addCallbacks(lambda _: None, lambda failure: reasons.append(failure.getErrorMessage()))
    return "".join(reasons)


@dataclass(frozen=True, slots=True)
class _Addresses:
    """
    The addresses that own secrets.

    :ivar anybody: whether there is a secret of everybody's.
    """

    anybody: bool
    some: tuple[TrafficSelector, ...]

    @classmethod
    def of(cls, secrets: Sequence[SharedSecret]) -> _Addresses:
        """Those among the owners of secrets."""
        owners = dict.fromkeys(owner for secret in secrets for owner in secret.owners)
        some = []
        for owner in owners:
            try:
                some.append(TrafficSelector.parse(owner))
            except ConfigurationError:
                continue  # a name
        return cls(ANYBODY in owners, tuple(some))

    def touch(self, networks: Sequence[str]) -> bool:
        """Whether any peer in these networks can be meant; no networks are all."""
        if self.anybody or not networks:
            return self.anybody or bool(self.some)
        return any(
            one.version == other.version and one.first <= other.last and other.first <= one.last
            for other in map(TrafficSelector.parse, networks)
            for one in self.some
        )
