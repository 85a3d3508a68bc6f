"""
The pre-shared keys in ``swanctl.conf``, and whether every connection has one.

What finds a secret is :class:`isakmp.credentials.pre_shared_keys.PreSharedKeys`; here is asked
beforehand what it will be asked when a peer comes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

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
            found.append((inner, SharedSecret(values.secret(datum.value), _owners(inner))))
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
        low, high = 0, len(found)
        trouble = ""
        while low < high:  # the longest beginning without a contradiction
            middle = (low + high + 1) // 2
            try:
                PreSharedKeys(secret for _, secret in found[:middle])
                low = middle
            except ConfigurationError as error:
                high, trouble = middle - 1, str(error)
        if low == len(found):
            break
        section, _ = found.pop(low)
        findings.faulty = True
        findings.mistake(section.place, section.path, trouble)
    return found


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
    for path, (place, connection) in connections.items():
        reasons = tuple(_reasons(connection, store, secrets))
        if all(reasons):
            peer = connection.remote_identity.exact
            owner = str(peer or next(iter(connection.remote), ANYBODY))
            findings.missing(
                place,
                path,
                f"{reasons[0]}; valid: a section secrets.ike... with id = {owner} and a secret",
            )


def _reasons(
    connection: Connection, store: PreSharedKeys, secrets: Sequence[SharedSecret]
) -> Iterator[str]:
    """For each way to find the secret: why there is none, or nothing if there is one."""
    address = next(filter(values.is_address, connection.local), "0.0.0.0")
    ours = connection.local_identity or Identity.address(address)
    exact = connection.remote_identity.exact
    single = [remote for remote in connection.remote if values.is_address(remote)]
    wide = len(single) < len(connection.remote) or not connection.remote
    for remote in single or (["0.0.0.0"] if exact is not None else []):
        path = Path((address, connection.local_port), (remote, connection.remote_port))
        yield _missing(store.shared_secret(ours, exact, path))
    if wide:
        # In Main Mode only the address of a peer is known when its secret is needed.
        whom = ", ".join(connection.remote) or "peers with any address"
        known = any(_may_own(owner, connection.remote) for s in secrets for owner in s.owners)
        yield "" if known else f"no pre-shared key is configured for {whom}"


def _missing(asked: Deferred[bytes]) -> str:
    """Why there is no secret; empty if there is one."""
    reasons: list[str] = []
    asked.addCallbacks(lambda _: None, lambda failure: reasons.append(failure.getErrorMessage()))
    return "".join(reasons)


def _may_own(owner: str, networks: Sequence[str]) -> bool:
    """Whether some peer in these networks can be who is meant; no networks are all."""
    if owner == ANYBODY:
        return True
    try:
        addresses = TrafficSelector.parse(owner)
    except ConfigurationError:
        return False
    return not networks or any(
        addresses.version == other.version
        and addresses.first <= other.last
        and other.first <= addresses.last
        for other in map(TrafficSelector.parse, networks)
    )
