"""
Where a message came from and where it goes.
"""

from __future__ import annotations

from dataclasses import dataclass

Address = tuple[str, int]
"""An IP address in its canonical spelling, and a UDP port."""


@dataclass(frozen=True, slots=True)
class Path:
    """
    Both ends of a conversation, seen from here.

    :ivar local: our address and port: where the peer's datagrams arrive, and ours leave.
    :ivar remote: the peer's.
    """

    local: Address
    remote: Address

    def reversed(self) -> Path:
        """The same path seen from the other end."""
        return Path(self.remote, self.local)

    def __str__(self) -> str:
        return f"{endpoint(self.local)} - {endpoint(self.remote)}"


@dataclass(frozen=True, slots=True)
class Datagram:
    """Octets that arrived, or shall leave, by a path."""

    octets: bytes
    path: Path


def endpoint(address: Address) -> str:
    """
    An address and port as people write them: ``192.0.2.1:500``, ``[2001:db8::1]:500``.
    """
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
