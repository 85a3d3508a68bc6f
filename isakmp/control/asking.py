"""
Commands that ask, and change nothing.
"""

from __future__ import annotations

import os
import resource
import time

from isakmp import __version__
from isakmp.associations import Action, SABundle
from isakmp.control import listing, names
from isakmp.control.acting import Selector
from isakmp.control.call import Call
from isakmp.control.codec import Content
from isakmp.control.controlled import Controlled
from isakmp.crypto.ciphers import CBC
from isakmp.crypto.groups import GROUPS
from isakmp.interfaces import INode
from isakmp.parts import Role

_POLICIES = {"trap", "pass", "drop"}
_LIBRARY = "cryptography"
_HASHES = ("md5", "sha1", "sha256", "sha384", "sha512")


class Asking:
    """
    What clients ask about a daemon.
    """

    def __init__(self, daemon: Controlled, described: listing.Listing) -> None:
        self._daemon = daemon
        self._listing = described

    @property
    def _node(self) -> INode:
        return self._daemon.assembly.node

    async def version(self, call: Call) -> Content:
        """Who answers."""
        system = os.uname()
        return {
            "daemon": "isakmp",
            "version": __version__,
            "sysname": system.sysname,
            "release": system.release,
            "machine": system.machine,
        }

    async def stats(self, call: Call) -> Content:
        """How long it has been answering, and what it holds."""
        node = self._node
        now = node.clock.seconds()
        began = self._daemon.began
        beginning = [one for one in node.exchanges.running() if one.sa is None]
        standing = [sa for sa in node.registry if not isinstance(sa, SABundle)]
        waiting = [one for one in beginning if one.role is Role.RESPONDER]
        nobody = {"critical": "0", "high": "0", "medium": "0", "low": "0"}
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        return {
            "uptime": {
                "running": _ago(now - began),
                "since": time.strftime("%b %d %H:%M:%S %Y", time.localtime(began)),
            },
            # There are no threads to count: one does everything.
            "workers": {"total": "1", "idle": "0", "active": {**nobody, "critical": "1"}},
            "queues": nobody,
            "scheduled": str(_scheduled(node)),
            "ikesas": {
                "total": str(len(standing) + len(beginning)),
                "half-open": str(len(waiting)),
            },
            "plugins": sorted(self._daemon.plugins),
            "mallinfo": {"used": str(used)},
        }

    async def list_sas(self, call: Call) -> Content:
        """ISAKMP SAs with their children, those that are being negotiated too."""
        selector, node = Selector.of(call), self._node
        for sa in tuple(selector.management(node)):
            if node.registry.find(sa.key) is None:
                continue  # it went while others were told
            children = tuple(selector.children(node, sa))
            if selector.of_children and not children:
                continue
            found = await self._listing.everything(sa, children)
            if found:
                await call.stream("list-sa", found)
        if not selector.of_children and not selector.ike_id:
            # Described before any is told: what ends meanwhile can be asked nothing any more.
            beginning = [
                self._listing.beginning(exchange)
                for exchange in node.exchanges.running()
                if exchange.sa is None
                and exchange.connection is not None
                and selector.ike in ("", exchange.connection.name)
            ]
            for found in beginning:
                await call.stream("list-sa", found)
        return {}

    async def list_conns(self, call: Call) -> Content:
        """Configured connections."""
        wanted = call.text("ike")
        for one in self._daemon.loaded.connections:
            if wanted in ("", one.name):
                await call.stream("list-conn", listing.connection(one, self._node))
        return {}

    async def list_policies(self, call: Call) -> Content:
        """Policies that stand without an SA: traps, and what passes or is dropped."""
        ike, child = call.text("ike"), call.text("child")
        kinds = {kind for kind in _POLICIES if call.text(kind) == "yes"} or _POLICIES
        for name, (connection, one) in [*self._daemon.assembly.traps.standing.items()]:
            kind = "trap" if one.action is Action.PROTECT else one.action.value
            if kind in kinds and ike in ("", name[0]) and child in ("", name[1]):
                found = listing.policy(one, connection, self._node)
                await call.stream("list-policy", {"/".join(name): found})
        return {}

    async def get_algorithms(self, call: Call) -> Content:
        """What can be negotiated here for an ISAKMP SA, by strongSwan's names."""
        encryption: dict[str, str] = {}
        for cipher in CBC.values():
            try:
                cipher.schedule(os.urandom(cipher.default))
            except LookupError:
                continue  # the installed library does not have it
            encryption[names.suite(cipher.name).get("encr-alg", cipher.name)] = _LIBRARY
        hashes = [names.suite(word) for word in _HASHES]
        hashers = (name.replace("PRF_HMAC_", "HASH_") for name in (h["prf-alg"] for h in hashes))
        groups = {names.group(number): _LIBRARY for number in GROUPS}
        return {
            "encryption": encryption,
            "integrity": dict.fromkeys((one["integ-alg"] for one in hashes), _LIBRARY),
            "aead": {f"AES_GCM_{octets}": _LIBRARY for octets in (16, 12, 8)},
            "hasher": dict.fromkeys(hashers, _LIBRARY),
            "prf": dict.fromkeys((one["prf-alg"] for one in hashes), _LIBRARY),
            "xof": {},
            "kdf": {},
            "drbg": {},
            # The first is what strongSwan before version 6 calls it.
            "dh": groups,
            "ke": groups,
            "rng": {"RNG_STRONG": "os.urandom"},
            "nonce-gen": {"NONCE_GEN": "os.urandom"},
        }


def _scheduled(node: INode) -> int:
    """Calls that wait for their time."""
    pending = getattr(node.clock, "getDelayedCalls", None)
    return 0 if pending is None else len(pending())


def _ago(seconds: float) -> str:
    """As strongSwan writes it: in the largest unit that fits."""
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} seconds"
