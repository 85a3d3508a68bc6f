"""
What is configured and what stands, as ``swanctl`` shows it.

The keys are those of strongSwan's vici, so that its tools find them; what has no counterpart in
IKEv1 here is left out.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence

from isakmp.associations import Action, ManagementKey, ProtectionSA, SABundle
from isakmp.connections import Child, Connection, StartAction
from isakmp.control import names
from isakmp.control.codec import Content
from isakmp.events import Removed
from isakmp.handling import Handling
from isakmp.interfaces import IExchange, IManagementSA, INegotiatingDomain, INode, IReqids
from isakmp.node import handling_of
from isakmp.numbers import ProtocolID
from isakmp.parts import Role
from isakmp.rekeying import is_superseded
from isakmp.renewal import Renewals

_PRE_SHARED_KEY = "pre-shared key"
_NOBODY = "%any"


class Listing:
    """
    Describes the SAs of one node.

    :param renewals: know when an SA is renewed.
    """

    def __init__(self, node: INode, renewals: Renewals) -> None:
        self._node = node
        self._renewals = renewals

    def management(self, sa: IManagementSA, number: int) -> dict[str, str]:
        """
        An ISAKMP SA, without its children.

        :param number: what this process calls it.
        """
        found = {
            "uniqueid": str(number),
            "version": "1",
            "state": "ESTABLISHED",
            "local-host": sa.path.local[0],
            "local-port": str(sa.path.local[1]),
            "local-id": str(sa.ours),
            "remote-host": sa.path.remote[0],
            "remote-port": str(sa.path.remote[1]),
            "remote-id": str(sa.theirs),
        }
        if sa.role is Role.INITIATOR:
            found["initiator"] = "yes"
        found |= cookies_of(sa.key)
        parameters = getattr(sa, "parameters", None)  # not every key exchange's SA has them
        found |= names.suite(getattr(parameters, "spelled", ""))
        if self._node.registry.find(sa.key) is None:
            found["state"] = "DELETING"
            return found
        found["established"] = self._ago(self._node.registry.since(sa))
        found |= self._until_renewal(sa)
        return found

    def child(
        self, bundle: SABundle, number: int, gone: Removed | None = None
    ) -> dict[str, str | list[str]]:
        """
        A child.

        :param number: what this process calls it.
        :param gone: that it is being told to be.
        """
        sa = _protecting(bundle.inbound or bundle.outbound)
        found: dict[str, str | list[str]] = {
            "name": bundle.policy.name,
            "uniqueid": str(number),
            "reqid": str(self._reqid(bundle)),
            "state": self._state(bundle),
            "mode": str(getattr(sa.parameters, "mode", "tunnel")).upper(),
            "protocol": ProtocolID(sa.key.protocol).spelled,
        }
        for way, sas in (("in", bundle.inbound), ("out", bundle.outbound)):
            if sas:
                found[f"spi-{way}"] = _protecting(sas).key.spi.hex()
            for one in sas:
                if one.key.protocol == ProtocolID.IPCOMP:
                    found[f"cpi-{way}"] = one.key.spi.hex()
        found |= _numbers(handling_of(self._node, bundle))
        found |= names.protection(sa)
        if getattr(sa.parameters, "extended", False):
            found["esn"] = "1"
        if not self._node.sink.protects:
            found["protected"] = "no"
            name = self._node.sink.name
            found["label"] = label(f"NOT PROTECTED: the sink {name} protects nothing")
        for key in ("bytes-in", "packets-in", "bytes-out", "packets-out"):
            found[key] = "0"  # until its sink has been asked
        registry = self._node.registry
        if gone is not None:
            found |= self._times(bundle, gone.since, gone.hard)
        elif registry.find(bundle.key) is not None:
            found |= self._times(bundle, registry.since(bundle), registry.expiry(bundle).hard)
        found["local-ts"] = [names.selector(bundle.policy.local)]
        found["remote-ts"] = [names.selector(bundle.policy.remote)]
        return found

    def _reqid(self, bundle: SABundle) -> int:
        sink = self._node.sink
        return sink.reqid(bundle) if IReqids.providedBy(sink) else 0

    async def counted(self, bundle: SABundle) -> Mapping[str, str]:
        """How much traffic a child has protected, as far as its sink counts."""
        usage = await self._node.sink.query(bundle)
        found = {
            "bytes-in": str(usage.octets_in),
            "packets-in": str(usage.packets_in),
            "bytes-out": str(usage.octets_out),
            "packets-out": str(usage.packets_out),
        }
        now = time.time()  # as the kernel says when it was, whatever has been set since
        for key, last in (("use-in", usage.last_in), ("use-out", usage.last_out)):
            if last:
                found[key] = str(max(0, round(now - last)))
        return found

    async def everything(self, sa: IManagementSA, children: Iterable[SABundle]) -> Content:
        """
        An ISAKMP SA with these of its children, by the connection's name.
        """
        registry = self._node.registry
        inside: dict[str, Content] = {}
        for bundle in children:
            if registry.find(bundle.key) is None:
                continue  # it went while others were asked
            number = registry.number(bundle)
            described = self.child(bundle, number)
            described |= await self.counted(bundle)
            inside[f"{bundle.policy.name}-{number}"] = described
        if registry.find(sa.key) is None:
            return {}  # it went meanwhile
        described_sa: dict[str, str | Content] = {**self.management(sa, registry.number(sa))}
        described_sa["child-sas"] = inside
        return {sa.connection: described_sa}

    def beginning(self, exchange: IExchange) -> Content:
        """An ISAKMP SA that is being negotiated, by the connection's name."""
        assert exchange.connection is not None
        found = {
            "uniqueid": "0",
            "version": "1",
            "state": "CONNECTING",
            "local-host": exchange.path.local[0],
            "local-port": str(exchange.path.local[1]),
            "local-id": str(exchange.connection.local_identity or exchange.path.local[0]),
            "remote-host": exchange.path.remote[0],
            "remote-port": str(exchange.path.remote[1]),
            "remote-id": str(exchange.connection.remote_identity),
        }
        if exchange.role is Role.INITIATOR:
            found["initiator"] = "yes"
        found["initiator-spi"] = exchange.cookies.initiator.hex()
        found["responder-spi"] = exchange.cookies.responder.hex()
        active: list[str] = [exchange.type.name.upper().replace(" ", "_")]
        return {exchange.connection.name: {**found, "tasks-active": active, "child-sas": {}}}

    def _state(self, bundle: SABundle) -> str:
        if self._node.registry.find(bundle.key) is None:
            return "DELETED"
        if is_superseded(self._node, bundle):
            return "REKEYED"
        return "REKEYING" if self._renewals.is_renewing(bundle) else "INSTALLED"

    def _times(self, bundle: SABundle, since: float, hard: float) -> dict[str, str]:
        found = self._until_renewal(bundle)
        if hard:
            found["life-time"] = str(max(0, round(hard - self._node.clock.seconds())))
        found["install-time"] = self._ago(since)
        return found

    def _ago(self, since: float) -> str:
        return str(max(0, int(self._node.clock.seconds() - since)))

    def _until_renewal(self, sa: IManagementSA | SABundle) -> dict[str, str]:
        due = self._renewals.due(sa)
        if due is None:
            return {}
        return {"rekey-time": str(max(0, round(due - self._node.clock.seconds())))}


def label(text: str) -> str:
    """
    A text that ``swanctl`` prints with a child: of what it does not know it prints nothing, but a
    security label in whatever words.  vici has it in hexadecimal digits, with an octet of zero.
    """
    return (text.encode("ascii", "replace") + b"\0").hex()


def _numbers(handling: Handling) -> dict[str, str]:
    """Marks and interfaces, in hexadecimal digits as swanctl shows them."""
    found: dict[str, str] = {}
    for way, mark in (("in", handling.mark_in), ("out", handling.mark_out)):
        if mark is not None and isinstance(mark.value, int):
            found[f"mark-{way}"] = f"{mark.value:08x}"
            if mark.mask != 0xFFFFFFFF:
                found[f"mark-mask-{way}"] = f"{mark.mask:08x}"
    for way, interface in (("in", handling.if_id_in), ("out", handling.if_id_out)):
        if interface and isinstance(interface, int):
            found[f"if-id-{way}"] = f"{interface:08x}"
    return found


def cookies_of(key: ManagementKey) -> dict[str, str]:
    """As swanctl calls them; not every key exchange has cookies."""
    initiator = getattr(key, "initiator", None)
    responder = getattr(key, "responder", None)
    if not isinstance(initiator, bytes) or not isinstance(responder, bytes):
        return {}
    return {"initiator-spi": initiator.hex(), "responder-spi": responder.hex()}


def _protecting(sas: Sequence[ProtectionSA]) -> ProtectionSA:
    """The one that is shown, of several protocols: what encrypts, or else authenticates."""
    order = (ProtocolID.ESP, ProtocolID.AH)
    return min(sas, key=lambda sa: order.index(p) if (p := sa.key.protocol) in order else 9)


def connection(configured: Connection, node: INode) -> Content:
    """A configured connection, by its name."""
    after = round(configured.renewal.after)
    local: dict[str, str | list[str]] = {"class": _PRE_SHARED_KEY}
    if configured.local_identity is not None:
        local = {"id": str(configured.local_identity), **local}
    remote: dict[str, str | list[str]] = {"class": _PRE_SHARED_KEY}
    if configured.remote_identity.text != _NOBODY:
        remote = {"id": str(configured.remote_identity), **remote}
    nothing: dict[str, list[str]] = {"groups": [], "cert_policy": [], "certs": [], "cacerts": []}
    return {
        configured.name: {
            "local_addrs": list(configured.local) or [_NOBODY],
            "remote_addrs": list(configured.remote) or [_NOBODY],
            "local_port": str(configured.local_port),
            "remote_port": str(configured.remote_port),
            "version": "IKEv1",
            "reauth_time": "0",
            "rekey_time": str(after),
            "unique": "UNIQUE_NO" if configured.initial_contact else "UNIQUE_NEVER",
            "local-1": {**local, **nothing},
            "remote-1": {**remote, **nothing},
            "children": {one.name: _child(one, configured, node) for one in configured.children},
        }
    }


def _child(child: Child, connection: Connection, node: INode) -> Content:
    return {
        "mode": mode(child, connection, node),
        "rekey_time": str(round(child.renewal.after)),
        "rekey_bytes": str(child.handling.rekey_octets),
        "rekey_packets": str(child.handling.rekey_packets),
        "dpd_action": "none",
        "close_action": "none",
        "start_action": "start" if child.start is StartAction.START else "none",
        "local-ts": [names.selector(one) for one in child.local] or ["dynamic"],
        "remote-ts": [names.selector(one) for one in child.remote] or ["dynamic"],
    }


def policy(child: Child, connection: Connection, node: INode) -> Content:
    """A policy that stands without an SA, as ``swanctl --list-pols`` prints it."""
    return {
        "child": child.name,
        "ike": connection.name,
        "mode": mode(child, connection, node),
        "local-ts": [names.selector(one) for one in child.local] or ["dynamic"],
        "remote-ts": [names.selector(one) for one in child.remote] or ["dynamic"],
    }


def mode(child: Child, connection: Connection, node: INode) -> str:
    """``TUNNEL`` or ``TRANSPORT``; ``PASS`` or ``DROP`` of what is not protected."""
    if child.action is not Action.PROTECT:
        return child.action.name
    doi = node.dois.get(connection.doi)
    if INegotiatingDomain.providedBy(doi):
        for suite in child.suites:
            if doi.spell(suite).startswith("transport:"):
                return "TRANSPORT"
    return "TUNNEL"
