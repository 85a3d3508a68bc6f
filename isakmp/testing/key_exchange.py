"""
What every key exchange owes, as one call.

Two complete nodes run whatever a key exchange offers, in both phases and both roles, over a network
in memory and a clock that stands still until told.  Copies of what it protects, with one bit
changed, race the real messages; RFC 2408 section 5 has them dropped, and the exchange go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from zope.interface.exceptions import Invalid
from zope.interface.verify import verifyObject

from isakmp.associations import SABundle
from isakmp.connections import Intervals
from isakmp.errors import ConfigurationError, PeerError
from isakmp.events import Removal
from isakmp.exchange.informational import INFORMATIONAL, AuthenticatedOnly
from isakmp.exchange.types import PHASE_1
from isakmp.interfaces import (
    IExchangeType,
    IISAKMPKeyExchange,
    IManagementSA,
)
from isakmp.numbers import NotifyType, ProtocolID
from isakmp.testing.clock import Unsettled, settle
from isakmp.testing.forgery import Forger
from isakmp.testing.parties import Parties, Party
from isakmp.testing.trial import Case, Trial
from isakmp.wire.payloads import Notification

_FIRST_OF_DOI = 32
_LOSSES = 0.2
_QUIET = 600.0
"""Seconds in which all that the parties have begun is over."""


class Violation(AssertionError):
    """A key exchange does not do what every key exchange has to; the text says what, and where."""


def check_key_exchange(key_exchange: IISAKMPKeyExchange, trial: Trial) -> None:
    """
    Try everything that a key exchange offers.

    For each of the exchanges it runs in phase 1, and for each by which children are made under its
    SAs, begun by each of two parties:

    * both ends have the same result, with equal keys, and each knows who the other is;
    * a copy of a protected message, or of one that carries AUTH, with one bit changed anywhere,
      arrives before the real one: it is refused, the real one is taken, and the result is the same;
    * over a network that loses, doubles and reorders datagrams it comes to the same;
    * a peer that is not who is expected is refused;
    * a message that is refused changes nothing in the method;
    * afterwards nothing is left: in memory, in the sink, on the clock.

    Under its SAs notifications and Deletes arrive, encrypted and, with the Authentication Only flag
    of RFC 2408 section 3.1, proven alone, and no forged copy of them does.

    :raises Violation: at the first obligation that is not met.
    """
    _check_plugin(key_exchange, trial)
    for case in _cases(key_exchange, trial):
        for check in (_agrees, _withstands, _endures, _refuses):
            try:
                check(key_exchange, trial, case)
            except Violation:
                raise
            except Exception as error:  # whatever somebody else's code raises is its violation
                raise Violation(f"{case}: {type(error).__name__}: {error}") from error
    _check_informational(key_exchange, trial)


def _cases(key_exchange: IISAKMPKeyExchange, trial: Trial) -> Iterator[Case]:
    """Each exchange in each phase, begun by each party."""
    first = sorted(key_exchange.offers)
    own = [
        kind
        for kind in (*trial.doi.exchange_types, *key_exchange.exchange_types)
        if kind.establishes
        and (
            kind in trial.doi.exchange_types
            or not trial.doi.exchange_types
            or kind.number < _FIRST_OF_DOI
        )
    ]
    second: list[IExchangeType] = [*own, *(PHASE_1[n] for n in key_exchange.offers_phase_2)]
    for swapped in (False, True):
        for number in first:
            yield Case(PHASE_1[number], None, swapped)
        for kind in second:
            yield Case(PHASE_1[first[0]], kind, swapped)


# -- the obligations ----------------------------------------------------------------------------


def _require(condition: object, sentence: str) -> None:
    if not condition:
        raise Violation(sentence)


def _check_plugin(key_exchange: IISAKMPKeyExchange, trial: Trial) -> None:
    name = getattr(key_exchange, "name", type(key_exchange).__name__)
    try:
        verifyObject(IISAKMPKeyExchange, key_exchange)
    except Invalid as error:
        raise Violation(f"{name} is no key exchange: {' '.join(str(error).split())}") from None
    _require(name, "a key exchange has a name")
    for numbers, phase in ((key_exchange.offers, 1), (key_exchange.offers_phase_2, 2)):
        for number in numbers:
            _require(
                number in PHASE_1,
                f"{name} offers exchange type {number} in phase {phase}, "
                f"which is none of {', '.join(map(str, sorted(PHASE_1)))}",
            )
    _require(key_exchange.offers, f"{name} offers no exchange in phase 1: nothing can begin")
    try:
        suite = key_exchange.suite(trial.suite, Case.LIFETIME)
    except ConfigurationError as error:
        raise Violation(f"{name} does not understand the suite it is tried with: {error}") from None
    _require(
        key_exchange.spell(suite),
        f"{name} has no spelling for a suite that it spelled {trial.suite!r} itself",
    )
    _require(
        all(
            proposal.protocol == ProtocolID.ISAKMP
            and all(t.transform_id == key_exchange.transform_id for t in proposal.transforms)
            for proposal in suite.proposals
        ),
        f"the suite {trial.suite!r} of {name} is not of PROTO_ISAKMP with its own Transform-ID",
    )
    try:
        key_exchange.suite("nothing that has a meaning", Case.LIFETIME)
    except ConfigurationError:
        return
    raise Violation(
        f"{name} takes any spelling for a suite; it has to name the word that it does not know"
    )


def _agrees(key_exchange: IISAKMPKeyExchange, trial: Trial, case: Case) -> None:
    """Over a network that loses nothing."""
    parties = Parties(key_exchange, trial, case)
    _run(parties)
    _check_agreement(parties)
    _check_nothing_left(parties)


def _withstands(key_exchange: IISAKMPKeyExchange, trial: Trial, case: Case) -> None:
    """Forged copies race the real messages."""
    for where in Forger.PLACES:
        parties = Parties(key_exchange, trial, case)
        forger = Forger(parties, where)
        try:
            _run(parties)
        except Violation as failure:
            _check_refused(case, forger, f", and then: {failure}")
            raise Violation(
                f"{case}: copies with one bit changed came before the real messages "
                f"({where}), and ended it: {failure}"
            ) from None
        _check_refused(case, forger)
        _require(
            forger.forged,
            f"{case}: nothing was sent that is protected or carries AUTH",
        )
        _check_agreement(parties, f"although a copy with one bit changed was refused ({where})")
        leaks = [leak for party in parties.both for leak in party.watched.leaks]
        _require(not leaks, f"{case}: {'; '.join(dict.fromkeys(leaks))}")
        _check_nothing_left(parties)


def _check_refused(case: Case, forger: Forger, then: str = "") -> None:
    accepted = forger.accepted()
    _require(
        not accepted,
        f"{case}: a copy of {', '.join(accepted)} with one bit changed was taken{then}",
    )


def _endures(key_exchange: IISAKMPKeyExchange, trial: Trial, case: Case) -> None:
    """Datagrams are lost, doubled and late."""
    default = next((c.child_type for c in _cases(key_exchange, trial) if c.child_type), None)
    for seed in range(3):
        parties = Parties(
            key_exchange,
            trial,
            case.with_child(default),
            intervals=Intervals(first=1.0, factor=1.2, repeats=20),
            seed=seed,
            drop=_LOSSES,
            duplicate=_LOSSES,
            reorder=_LOSSES,
        )
        _run(parties)
        # What was lost last is repeated when it is missed.
        parties.clock.run_until(lambda p=parties: _complete(p), 120.0)  # type: ignore[misc]
        _check_agreement(parties, "over a network that loses, doubles and reorders")
        _check_nothing_left(parties)


def _refuses(key_exchange: IISAKMPKeyExchange, trial: Trial, case: Case) -> None:
    """One party expects somebody else: in phase 1 it has to notice."""
    if case.child_type is not None:
        return
    for wrong in (0, 1):
        parties = Parties(key_exchange, trial, case, expects_other=wrong)
        with suppress(PeerError, ConfigurationError, Unsettled):
            settle(parties.clock, parties.begin(), _QUIET)
        parties.clock.run_until(parties.clock.seconds() + 1.0)
        party = parties.both[wrong]
        _require(
            not party.sas,
            f"{case}: {party.who}, which expects somebody else, has an SA with {party.peer}",
        )
        leaks = [leak for each in parties.both for leak in each.watched.leaks]
        _require(not leaks, f"{case}: {'; '.join(dict.fromkeys(leaks))}")
        _check_nothing_left(parties)


def _check_informational(key_exchange: IISAKMPKeyExchange, trial: Trial) -> None:
    """Notifications and Deletes, sealed and proven alone; and forged."""
    case = next(_cases(key_exchange, trial))
    for clear in (False, True):
        for where in Forger.PLACES:
            parties = Parties(key_exchange, trial, case)
            _run(parties)
            begun, other = parties.beginner, parties.other
            forger = Forger(parties, where)
            notice = Notification(
                begun.sas[0].doi, ProtocolID.ISAKMP, NotifyType.CONNECTED, b"", b"told"
            )
            order: object = AuthenticatedOnly((notice,)) if clear else (notice,)
            what = "proven and not encrypted" if clear else "encrypted"
            told = begun.node.exchanges.begin(begun.sas[0], INFORMATIONAL.number, order)
            settle(parties.clock, told, _QUIET)
            parties.clock.run_until(parties.clock.seconds() + 1.0)
            _require(
                other.told == [int(NotifyType.CONNECTED)],
                f"Informational: of one notification, {what}, {len(other.told)} arrived; "
                "a copy with one bit changed came with it",
            )
            _require(not forger.accepted(), f"Informational, {what}: a forged copy was taken")
            if clear:
                _require(
                    any(b"told" in octets for octets in forger.seen),
                    "Informational: a message with the Authentication Only flag was encrypted",
                )
            else:
                settle(parties.clock, begun.endpoint.delete(begun.sas, Removal.DELETED), _QUIET)
                parties.clock.run_until(parties.clock.seconds() + 1.0)
                _require(not other.sas, "Informational: a Delete of the SA was not understood")
            _check_nothing_left(parties)


# -- what is the same in all of them -------------------------------------------------------------


def _run(parties: Parties) -> None:
    """Until the case has its result, and what was sent last has arrived."""
    try:
        result = settle(parties.clock, parties.begin(), _QUIET)
    except (PeerError, ConfigurationError) as error:
        raise Violation(f"{parties.case}: {error}") from None
    except Unsettled:
        raise Violation(f"{parties.case}: it never ends") from None
    if parties.case.child_type is not None:
        _require(
            isinstance(result, Sequence) and all(isinstance(one, SABundle) for one in result),
            f"{parties.case}: its result is no sequence of SABundle",
        )
    parties.clock.run_until(parties.clock.seconds() + 1.0)


def _complete(parties: Parties) -> bool:
    child = parties.case.child_type
    return all(party.sas and (party.bundles or not child) for party in parties.both)


def _check_agreement(parties: Parties, circumstance: str = "") -> None:
    case = f"{parties.case}{', ' if circumstance else ''}{circumstance}"
    one, other = parties.both
    for party in parties.both:
        _require(party.sas, f"{case}: {party.who} has no SA")
        for sa in party.sas:
            try:
                verifyObject(IManagementSA, sa)
            except Invalid as error:
                text = " ".join(str(error).split())
                raise Violation(f"{case}: what phase 1 left is no IManagementSA: {text}") from None
    _require(len(one.sas) == len(other.sas) == 1, f"{case}: more than one SA came of it")
    (mine,), (yours,) = one.sas, other.sas
    _require(mine.key == yours.key, f"{case}: the cookies of the two ends differ")
    _require(mine.role is yours.role.other, f"{case}: both SAs say {mine.role.value}")
    for sa, party in ((mine, one), (yours, other)):
        _require(
            (str(sa.ours), str(sa.theirs)) == (party.who, party.peer),
            f"{case}: {party.who} takes itself for {sa.ours} and its peer for {sa.theirs}",
        )
        _require(sa.owner == parties.name, f"{case}: the SA belongs to {sa.owner!r}")
    _check_keys(case, mine, yours)
    if parties.case.child_type:
        _check_children(case, parties)


def _check_keys(case: str, mine: IManagementSA, yours: IManagementSA) -> None:
    for what, ask in _QUESTIONS:
        _require(ask(mine) == ask(yours), f"{case}: {what} differs between the two ends")
        _require(
            ask(mine) == ask(mine), f"{case}: {what} is another each time it is asked for"
        )
    _require(
        mine.authenticate(b"a") != mine.authenticate(b"b"),
        f"{case}: authenticate proves different octets by the same",
    )
    for length in (0, 1, 16, 100):
        _require(
            len(mine.derive(b"seed", length)) == length,
            f"{case}: derive was asked for {length} octets and gave "
            f"{len(mine.derive(b'seed', length))}",
        )
    _require(
        mine.derive(b"seed", 32) != mine.derive(b"deed", 32),
        f"{case}: derive gives the same for different seeds",
    )


_QUESTIONS: Sequence[tuple[str, Callable[[IManagementSA], bytes]]] = (
    ("what authenticate says of the same octets", lambda sa: sa.authenticate(b"octets")),
    ("what derive makes of the same seed", lambda sa: sa.derive(b"a seed of some length", 100)),
)


def _check_children(case: str, parties: Parties) -> None:
    one, other = parties.both
    for party in parties.both:
        _require(party.bundles, f"{case}: {party.who} has no child")
        _require(
            {b.name for b in party.bundles} == set(party.sink.standing),
            f"{case}: what {party.who} has registered is not what its sink was given",
        )
        _require(not party.sink.reserved, f"{case}: {party.who} keeps SPIs that nothing uses")
    _require(
        _keys(one, inbound=True) == _keys(other, inbound=False)
        and _keys(one, inbound=False) == _keys(other, inbound=True),
        f"{case}: the children of the two ends have different keys or SPIs",
    )
    sent, received = _keys(one, inbound=False), _keys(one, inbound=True)
    _require(
        all(mine != yours for (_, mine) in sent for (_, yours) in received if any(mine)),
        f"{case}: a child has the same keys in both directions",
    )


def _keys(party: Party, *, inbound: bool) -> set[tuple[bytes, tuple[bytes, ...]]]:
    """SPI, and keys by their uses."""
    return {
        (sa.key.spi, tuple(sa.keys[use] for use in sorted(sa.keys)))
        for bundle in party.bundles
        for sa in (bundle.inbound if inbound else bundle.outbound)
    }


def _check_nothing_left(parties: Parties) -> None:
    """After both have stopped."""
    for party in parties.both:
        settle(parties.clock, party.assembly.stop(), _QUIET)
    parties.clock.run_until(parties.clock.seconds() + _QUIET)
    for party in parties.both:
        for what, count in party.kept().items():
            _require(not count, f"{parties.case}: afterwards {party.who} keeps {count} {what}")
    pending = parties.clock.getDelayedCalls()
    _require(not pending, f"{parties.case}: afterwards {len(pending)} calls are on the clock")

