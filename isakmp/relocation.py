"""
SAs that follow their peer: RFC 3947 section 7.

A NAT between us may forget where the peer was, and give it another address or port.  An end that is
not behind one goes on to where the last packet came from that an SA has proven.  Only ESP in UDP
says where that is, because without UDP no NAT is between; and only packets that count once prove
it: an SA without a replay window stays where it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from isakmp.associations import IPsecParameters, ProtectionSA, SABundle, SPIKey
from isakmp.events import PeerMoved, Removed
from isakmp.interfaces import IManagementSA, INode, IRelocating
from isakmp.logs import Logger
from isakmp.paths import Address, Path, endpoint

AT_MOST = 1.0
"""
Seconds between two moves of one SA.  Whoever can hold back a peer's packets and change where they
are from has us move; the next that is the peer's own has us move back, and the sink says so again.
"""


class Relocations:
    """
    Has the SAs of a node follow their peers, as its sink says where these are.

    With the bundle go all SAs with the same peer that were at the same place: they are behind the
    same NAT.
    """

    _log = Logger()

    def __init__(self, node: INode) -> None:
        self._node = node
        self._last: dict[SPIKey, float] = {}
        self._moving: set[SPIKey] = set()
        self._unsubscribe: tuple[Callable[[], None], ...] = (
            node.events.subscribe(PeerMoved, self._moved),
            node.events.subscribe(Removed, self._removed),
        )

    def stop(self) -> None:
        """Follow nobody any more; idempotent."""
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        self._unsubscribe = ()

    def _removed(self, event: Removed) -> None:
        if isinstance(event.sa, SABundle):
            self._last.pop(event.sa.key, None)

    def _moved(self, event: PeerMoved) -> None:
        bundle = self._node.registry.find(event.key)
        if not isinstance(bundle, SABundle):
            return
        before, now = place_of(bundle), self._node.clock.seconds()
        if before is None or before == event.remote or (":" in before[0]) is not (
            ":" in event.remote[0]
        ):
            return
        if not refuses_replays(bundle):
            return  # whoever has recorded one of its packets could send it from anywhere
        parent = self._node.registry.find(bundle.parent)
        if IRelocating.providedBy(parent) and not IRelocating(parent).follows:
            return
        last = self._last.get(bundle.key)
        if bundle.key in self._moving or (last is not None and 0 <= now - last < AT_MOST):
            return
        self._log.info(
            "{connection}: the peer has moved from {before} to {peer}, as an SA of its proves",
            connection=bundle.connection,
            child=bundle.policy.name,
            before=endpoint(before),
            peer=endpoint(event.remote),
        )
        bundles = [bundle]
        if IManagementSA.providedBy(parent):
            for sa in self._node.registry.by_peer(parent.theirs):
                bundles += [one for one in self._there(sa, before) if one is not bundle]
                self._relocate(sa, before, event.remote)
        for one in bundles:
            self._last[one.key] = now
            self._moving.add(one.key)
            moving = Deferred.fromCoroutine(self._follow(one, event.remote))
            moving.addBoth(self._followed, one)

    def _there(self, sa: IManagementSA, place: Address) -> Iterator[SABundle]:
        for bundle in self._node.registry.children(sa.key):
            if place_of(bundle) == place:
                yield bundle

    def _relocate(self, sa: IManagementSA, before: Address, after: Address) -> None:
        """What is said to the peer goes by the same mapping, if it did so before."""
        if sa.path.remote == before and IRelocating.providedBy(sa):
            there = IRelocating(sa).relocated(Path(sa.path.local, after))
            self._node.registry.replace(sa, there).addErrback(self._not_stored)

    async def _follow(self, bundle: SABundle, remote: Address) -> None:
        there = relocated(bundle, remote)
        for sa in there.outbound:
            other = self._node.registry.find(sa.key)
            if other is not None and other.key != bundle.key:
                raise ValueError(f"SPI {sa.key.spi.hex()} is another SA's there")
        await self._node.sink.install(there)
        now = self._node.registry.find(bundle.key)  # it may have another parent since
        if isinstance(now, SABundle) and now.name == bundle.name:
            await self._node.registry.replace(now, relocated(now, remote))
        else:
            await self._node.sink.remove(bundle)  # it went meanwhile

    def _followed(self, result: object, bundle: SABundle) -> None:
        self._moving.discard(bundle.key)
        if not isinstance(result, Failure):
            return
        if result.check(OSError, ValueError):
            self._log.error(
                "{connection}: its SA cannot follow the peer: {why}",
                connection=bundle.connection,
                child=bundle.policy.name,
                why=result.getErrorMessage(),
            )
        else:
            self._log.failure("an SA cannot follow its peer", result)

    def _not_stored(self, failure: Failure) -> None:
        self._log.failure("where the peer of an SA is cannot be stored", failure)


def place_of(bundle: SABundle) -> Address | None:
    """Where the peer receives ESP in UDP; None: it does not."""
    for sa in bundle.outbound:
        parameters = sa.parameters
        if isinstance(parameters, IPsecParameters) and parameters.udp is not None:
            return sa.key.destination, parameters.udp[1]
    return None


def refuses_replays(bundle: SABundle) -> bool:
    """Whether a packet of its counts once: else it does not prove where the peer is now."""
    return bundle.policy.handling.replay_window > 0 or any(
        isinstance(sa.parameters, IPsecParameters) and sa.parameters.extended
        for sa in bundle.inbound
    )


def relocated(bundle: SABundle, remote: Address) -> SABundle:
    """
    The same bundle with the peer elsewhere; the keys stay, and so do the SPIs.
    """
    before, path = place_of(bundle), bundle.path
    if path is not None and path.remote == before:
        path = Path(path.local, remote)
    return replace(
        bundle,
        inbound=tuple(_ported(sa, remote[1]) for sa in bundle.inbound),
        outbound=tuple(
            replace(_ported(sa, remote[1]), key=sa.key._replace(destination=remote[0]))
            for sa in bundle.outbound
        ),
        path=path,
    )


def _ported(sa: ProtectionSA, port: int) -> ProtectionSA:
    parameters = sa.parameters
    if not isinstance(parameters, IPsecParameters) or parameters.udp is None:
        return sa
    return replace(sa, parameters=replace(parameters, udp=(parameters.udp[0], port)))
