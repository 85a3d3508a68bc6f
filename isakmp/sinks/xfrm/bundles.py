"""
Bundles of SAs in the kernel: what was agreed for a child is set, changed and removed as a whole.
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from isakmp.associations import ChildPolicy, IPsecParameters, SABundle, SPIKey, Usage
from isakmp.handling import Handling
from isakmp.logs import Logger
from isakmp.sinks.xfrm import algorithms
from isakmp.sinks.xfrm.chosen import Choices
from isakmp.sinks.xfrm.link import UNSURE, Ask, Refused, gone
from isakmp.sinks.xfrm.moving import before_of, carried_on, change
from isakmp.sinks.xfrm.needs import Need, needs_of
from isakmp.sinks.xfrm.netlink import NetlinkError, attributes
from isakmp.sinks.xfrm.policies import (
    Between,
    index_of,
    innermost_first,
    layers_of,
    policies,
    spis_of,
)
from isakmp.sinks.xfrm.policy_table import PolicyTable
from isakmp.sinks.xfrm.refusals import explained
from isakmp.sinks.xfrm.spis import ReservedSPIs
from isakmp.sinks.xfrm.states import named, state_of
from isakmp.sinks.xfrm.structures import Attribute, Kind, Name, Policy, Standing, State
from isakmp.sinks.xfrm.waiting import WaitingPackets

_Undo = list[Callable[[], Awaitable[object]]]


@dataclass(frozen=True, slots=True)
class _Installed:
    """
    What stands of a bundle, or is to.

    :ivar between: our address and the peer's.
    :ivar policy: its own, with all that was chosen.
    :ivar policies: that lead traffic to it; none, if it installs none.
    """

    bundle: SABundle
    between: Between
    states: Mapping[SPIKey, State]
    reqid: int
    policy: ChildPolicy
    policies: Sequence[Policy]


class Bundles:
    """
    :param ask: asks the kernel.
    :param names: filled with the bundle that each SA belongs to, by what the kernel calls the SA.
    :param entropy: by which the volumes of SAs are spread.
    :param doubted: is called when the SAs of a bundle may not stand any more.
    """

    _log = Logger()

    def __init__(
        self,
        ask: Ask,
        table: PolicyTable,
        spis: ReservedSPIs,
        choices: Choices,
        waiting: WaitingPackets,
        names: MutableMapping[Name, SPIKey],
        entropy: Callable[[int], bytes],
        doubted: Callable[[], object],
    ) -> None:
        self._ask = ask
        self._table = table
        self._spis = spis
        self._choices = choices
        self._waiting = waiting
        self._names = names
        self._entropy = entropy
        self._doubted = doubted
        self._installed: dict[str, _Installed] = {}

    async def install(self, bundle: SABundle) -> Sequence[Need]:
        """
        Then exactly this stands under the bundle's name; on failure what stood before.

        :return: the routes that it needs.
        :raises OSError: as the kernel refuses it, in words.
        :raises LookupError: if it has no such algorithm.
        :raises LimitReached: if there are no numbers for it.
        """
        name = bundle.name
        before = self._installed.get(name)
        undo: _Undo = []
        try:
            wanted = self._wanted(bundle, before)
            await self._set(wanted, before, undo)
            if wanted.policies:
                # As responder too, before the peer has confirmed: what it sends may be here before
                # its last message, and what answers that must not leave in clear.  It waits.
                self._waiting.keep()
                if before is None:
                    undo.append(partial(self._table.give_up, name))
                await self._claim(name, wanted.policies)
        except BaseException:
            await self._undone(name, undo)
            if before is None:
                self._choices.give_up(name)
            else:
                self._doubted()
            raise
        if before is not None:
            await self._unset(before, wanted.states)
        for key, state in wanted.states.items():
            self._names[state.name] = bundle.key
            self._spis.used(key)
        self._installed[name] = wanted
        return needs_of(wanted.policy, wanted.between, layers_of(bundle))

    async def remove(self, name: str) -> bool:
        """Idempotent; whether it stood."""
        installed = self._installed.pop(name, None)
        if installed is None:
            return False
        await self._table.give_up(name)
        await self._unset(installed)
        self._choices.give_up(name)
        return True

    async def remove_all(self) -> None:
        """Every bundle."""
        for name in tuple(self._installed):
            await self.remove(name)

    def reqid(self, bundle: SABundle) -> int:
        """The number of what is installed under the bundle's name; 0: nothing is."""
        installed = self._installed.get(bundle.name)
        return 0 if installed is None else installed.reqid

    def handling(self, bundle: SABundle) -> Handling:
        """With every number that was chosen for it; as it is configured, if it does not stand."""
        installed = self._installed.get(bundle.name)
        return (bundle if installed is None else installed).policy.handling

    async def query(self, bundle: SABundle) -> Usage:
        """
        As the kernel counts it, in the innermost SA of each direction.

        An older one does not tell when the last packet passed, but when the first did.
        """
        installed = self._installed.get(bundle.name)
        if installed is None:
            return Usage()
        found: list[tuple[int, int, float]] = []
        for sas in (installed.bundle.inbound, installed.bundle.outbound):
            if not sas:
                found.append((0, 0, 0.0))
                continue
            state = installed.states[innermost_first(sas)[0].key]
            try:
                (told,) = await self._ask(Kind.GETSA, named(state), "an SA", flags=0)
            except Refused:
                return Usage()
            standing = Standing.decode(told.body)
            last = attributes(told.body[State.SIZE :]).get(Attribute.LASTUSED, b"")
            used = float(int.from_bytes(last, sys.byteorder)) if len(last) == 8 else 0.0
            found.append((standing.octets, standing.packets, used))
        (octets_in, packets_in, last_in), (octets_out, packets_out, last_out) = found
        counts = octets_in, packets_in, octets_out, packets_out
        return Usage(*counts, last_in, last_out, counted=True)

    # -- what is to stand ----------------------------------------------------------------------

    def _wanted(self, bundle: SABundle, before: _Installed | None) -> _Installed:
        between = _between(bundle)
        interface = index_of(bundle.policy.handling.interface)
        if before is None:
            reqid, policy = self._choices.take(bundle.policy, between.peer, bundle.name)
        else:
            reqid = self._choices.reqid(bundle.policy, between.peer, bundle.name)
            policy = replace(bundle.policy, handling=before.policy.handling)
        states = self._states(bundle, between, reqid, policy.handling.spread(self._entropy))
        standing = {} if before is None else before.states
        for key, state in states.items():
            earlier = standing.get(key) or before_of(key, standing, states)
            if earlier is not None:  # what it may carry was chosen by chance
                states[key] = replace(state, limits=earlier.limits)
        found: Sequence[Policy] = ()
        if policy.handling.policies:
            spis = spis_of(bundle) if policy.handling.reqid else ()
            try:
                found = policies(policy, between, layers_of(bundle), reqid, interface, spis=spis)
            except ValueError as error:
                raise OSError(errno.E2BIG, f"{bundle.name}: {error}") from None
        return _Installed(bundle, between, states, reqid, policy, found)

    def _states(
        self, bundle: SABundle, between: Between, reqid: int, handling: Handling
    ) -> dict[SPIKey, State]:
        found = {}
        for sas, source, out in (
            (bundle.inbound, between.peer, False),
            (bundle.outbound, between.ours, True),
        ):
            for sa in sas:
                found[sa.key] = state_of(sa, sas, source, reqid, handling, out=out)
        return found

    # -- making it so --------------------------------------------------------------------------

    async def _set(self, wanted: _Installed, before: _Installed | None, undo: _Undo) -> None:
        """
        Add and change SAs; those that are not wanted any more stay for now.

        :param undo: is given what takes back each step.
        """
        standing = {} if before is None else before.states
        for key, state in wanted.states.items():
            old, out = standing.get(key), key.destination != wanted.between.ours
            if old is None:
                earlier = before_of(key, standing, wanted.states)
                added = state
                if earlier is not None:
                    added = await carried_on(self._ask, earlier, state, out=out)
                removal = partial(gone, self._ask, Kind.DELSA, named(state), "to undo")
                try:
                    await self._add(key, added, wanted.bundle)
                except OSError as error:
                    if error.errno in UNSURE:
                        undo.append(removal)
                    raise
                undo.append(removal)
            elif old != state:
                await change(self._ask, old, state, out=out)
                undo.append(partial(change, self._ask, state, old, out=out))

    async def _claim(self, name: str, policies: Sequence[Policy]) -> None:
        try:
            await self._table.claim(name, policies)
        except Refused as error:
            words = f"{name}: {error.what}: {explained(error.errno or 0)}"
            raise OSError(error.errno, words) from None

    async def _undone(self, name: str, undo: _Undo) -> None:
        """Take back every step, the last first, whatever becomes of another."""
        for step in reversed(undo):
            try:
                await step()
            except (OSError, NetlinkError) as error:
                self._log.error("{child}: not all is as before: {why}", child=name, why=error)

    async def _unset(self, installed: _Installed, but: Mapping[SPIKey, State] = {}) -> None:
        """Remove its SAs, but for those that stand on."""
        for key, state in installed.states.items():
            if key not in but:
                if self._names.get(state.name) == installed.bundle.key:
                    del self._names[state.name]
                await gone(self._ask, Kind.DELSA, named(state), "to remove an SA")

    async def _add(self, key: SPIKey, state: State, bundle: SABundle) -> None:
        what = f"{bundle.name}: an SA with SPI {key.spi.hex()}"
        try:
            if key in self._spis:
                try:
                    await self._ask(Kind.UPDSA, state.encode(), what)
                    return
                except Refused as error:
                    if error.errno != errno.ESRCH:  # the kernel keeps an SPI for half a minute
                        raise
            await self._ask(Kind.NEWSA, state.encode(), what)
        except Refused as error:
            sas = (*bundle.inbound, *bundle.outbound)
            parameters = next(sa.parameters for sa in sas if sa.key == key)
            assert isinstance(parameters, IPsecParameters)
            words = explained(error.errno or 0, state.name.protocol, algorithms.names(parameters))
            raise OSError(error.errno, f"{what}: {words}") from None


def _between(bundle: SABundle) -> Between:
    ours = bundle.inbound[0].key.destination
    if bundle.outbound:
        return Between(ours, bundle.outbound[0].key.destination)
    if bundle.path is None:
        raise ValueError(f"{bundle.name}: the kernel has to know the peer's address")
    return Between(ours, bundle.path.remote[0])
