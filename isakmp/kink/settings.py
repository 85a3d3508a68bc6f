"""
``[plugin.kink]`` of ``isakmp.toml``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from isakmp.errors import ConfigurationError
from isakmp.kink.numbers import PORT

TEST_DOUBLE = "test-double"
"""The only Kerberos there is."""

NOT_BUILT = (
    "Kerberos is not built yet, so that KINK cannot prove who anybody is; for tests alone there is "
    f'kerberos = "{TEST_DOUBLE}" with a secret, which proves nothing'
)


@dataclass(frozen=True, slots=True)
class Settings:
    """
    How KINK is spoken.

    :ivar secret: of the realm of the test double.
    :ivar port: ours, and that of peers for whom no other is said.
    :ivar skew: seconds that a peer's clock may differ (RFC 4430 section 3.5).
    :ivar contribute: as responder always add a nonce, and have the reply acknowledged (section
        3.2.1); else only where the first proposal is not taken, or there is a KE payload.
    :ivar probe: seconds between two STATUS messages to every peer (section 3.7); 0: none.
    :ivar grace: seconds that what we receive by stays after a DELETE (section 3.3).
    """

    secret: str = field(repr=False)
    port: int = PORT
    skew: float = 300.0
    contribute: bool = False
    probe: float = 0.0
    grace: float = 2.0

    @classmethod
    def read(cls, table: Mapping[str, object]) -> Settings:
        """
        From a configuration.

        :raises ConfigurationError: naming the key that is wrong, and what would be valid.
        """
        unknown = sorted(set(table) - set(_KEYS))
        if unknown:
            raise ConfigurationError(f"{unknown[0]}: unknown; valid: {', '.join(_KEYS)}")
        if table.get("kerberos") != TEST_DOUBLE:
            raise ConfigurationError(f"kerberos: {NOT_BUILT}")
        secret = table.get("secret")
        if not isinstance(secret, str) or not secret:
            raise ConfigurationError("secret: the test double needs one, of at least one letter")
        found: dict[str, Any] = {"secret": secret}
        for key, (kind, lowest, highest, valid) in _OTHERS.items():
            if key not in table:
                continue
            value = table[key]
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if kind is bool:
                good = isinstance(value, bool)
            elif kind is int:
                good = number and isinstance(value, int)
            else:
                good = number
            if not good or (number and not lowest <= value <= highest):  # type: ignore[operator]
                raise ConfigurationError(f"{key}: {value!r} cannot be; valid: {valid}")
            found[key] = value
        return cls(**found)


_OTHERS: Mapping[str, tuple[type, float, float, str]] = {
    "port": (int, 1, 65535, "a UDP port, 1 to 65535"),
    "skew": (float, 1, 86_400, "seconds, 1 to 86400"),
    "contribute": (bool, 0, 0, "true or false"),
    "probe": (float, 0, 86_400, "seconds, 0 to 86400; 0: none are sent"),
    "grace": (float, 0, 3600, "seconds, 0 to 3600"),
}

_KEYS = ("kerberos", "secret", *_OTHERS)
