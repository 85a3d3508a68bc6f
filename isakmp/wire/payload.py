"""
What every payload can do, whoever defines it.  RFC 2408 section 3.2.

The payloads themselves are in :mod:`isakmp.wire.payloads`; a domain of interpretation or a key
exchange with payloads of its own derives them from these two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from isakmp.wire.reader import Reader


class Payload:
    """
    What every payload can do.

    :cvar number: its payload type.
    """

    __slots__ = ()

    number: ClassVar[int]

    @classmethod
    def decode(cls, reader: Reader) -> Self:
        """
        Read a body.

        :param reader: bounded to the body; whoever made it checks that nothing is left over.
        :raises Malformed: and nothing else.
        """
        raise NotImplementedError(cls)

    def encode(self) -> bytes:
        """
        The body: for a decoded payload, the octets it was decoded from.

        :raises ValueError: if the value does not fit its fields.
        """
        raise NotImplementedError(type(self))


@dataclass(frozen=True, slots=True, repr=False)
class Opaque(Payload):
    """
    A payload that is data and nothing else.

    :ivar data: any number of octets.
    """

    data: bytes

    @classmethod
    def decode(cls, reader: Reader) -> Self:
        return cls(reader.rest())

    def encode(self) -> bytes:
        return self.data

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self.data)} octets)"
