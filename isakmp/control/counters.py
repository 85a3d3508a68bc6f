"""
Messages and renewals, counted as strongSwan's ``counters`` plugin has them.

Its words are IKEv2's: here phase 1 counts as ``ike-init``, what makes children as ``create-child``,
an Informational exchange as ``info``, and a Transaction exchange, which authenticates users, as
``ike-auth``.  A request is what the initiator of an exchange sends.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from isakmp.associations import SABundle
from isakmp.control.call import Call, Refused
from isakmp.control.codec import Content
from isakmp.errors import InvalidCookie, InvalidSPI
from isakmp.events import Established, MessageDropped, Tally
from isakmp.interfaces import INode
from isakmp.numbers import ExchangeType
from isakmp.parts import Role
from isakmp.rekeying import others

_KINDS: Mapping[int, str] = {
    ExchangeType.BASE: "ike-init",
    ExchangeType.IDENTITY_PROTECTION: "ike-init",
    ExchangeType.AUTHENTICATION_ONLY: "ike-init",
    ExchangeType.AGGRESSIVE: "ike-init",
    ExchangeType.INFORMATIONAL: "info",
    6: "ike-auth",
}
_OTHERS = "create-child"

_RENEWALS = ("ike-rekey-init", "ike-rekey-resp", "child-rekey")
_MESSAGES = tuple(
    f"{kind}-{way}-{part}"
    for kind in ("ike-init", "ike-auth", "create-child", "info")
    for way in ("in", "out")
    for part in ("req", "resp")
)
_GLOBAL = (*_RENEWALS, "invalid", "invalid-spi", *_MESSAGES)


class Counters:
    """
    Of one node, all connections together; and of each connection, what belongs to it alone.
    """

    def __init__(self, node: INode) -> None:
        self._node = node
        self._before: Mapping[object, int] = {}
        self._all: Counter[str] = Counter()
        self._each: dict[str, Counter[str]] = {}
        self._unsubscribe: tuple[Callable[[], None], ...] = (
            node.events.subscribe(Established, self._established),
            node.events.subscribe(MessageDropped, self._dropped),
        )

    def stop(self) -> None:
        """Count no longer; idempotent."""
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        self._unsubscribe = ()

    def _established(self, event: Established) -> None:
        if next(others(self._node, event.sa), None) is None:
            return  # it is in place of none
        if isinstance(event.sa, SABundle):
            key = "child-rekey"
        else:
            key = "ike-rekey-init" if event.sa.role is Role.INITIATOR else "ike-rekey-resp"
        self._all[key] += 1
        self._each.setdefault(event.sa.connection, Counter())[key] += 1

    def _dropped(self, event: MessageDropped) -> None:
        unknown = isinstance(event.error, InvalidCookie | InvalidSPI)
        self._all["invalid-spi" if unknown else "invalid"] += 1

    def _together(self) -> dict[str, str]:
        found = Counter(self._all)
        for what, count in self._node.events.tallied().items():
            if isinstance(what, Tally):
                kind = _KINDS.get(what.exchange, _OTHERS)
                way = "out" if what.sent else "in"
                part = "req" if what.initiator else "resp"
                found[f"{kind}-{way}-{part}"] += count - self._before.get(what, 0)
        return {key: str(found[key]) for key in _GLOBAL}

    async def get(self, call: Call) -> Content:
        """Those of all together, of the connection ``name``, or of each, with ``all``."""
        name = call.text("name")
        if call.flag("all"):
            each = {name: _renewals(counted) for name, counted in self._each.items()}
            return {"counters": each, "success": "yes"}
        if not name:
            return {"counters": {"": self._together()}, "success": "yes"}
        if name not in self._each:
            raise Refused(f"nothing was counted for a connection {name}")
        return {"counters": {name: _renewals(self._each[name])}, "success": "yes"}

    async def reset(self, call: Call) -> Content:
        """They begin again with 0."""
        name = call.text("name")
        if call.flag("all"):
            self._each.clear()
        elif not name:
            self._all.clear()
            self._before = self._node.events.tallied()
        elif self._each.pop(name, None) is None:
            raise Refused(f"nothing was counted for a connection {name}")
        return {"success": "yes"}


def _renewals(counted: Counter[str]) -> dict[str, str]:
    return {key: str(counted[key]) for key in _RENEWALS}
