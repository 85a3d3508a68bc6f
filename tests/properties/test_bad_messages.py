"""
Messages of a peer that has the keys and does not keep to the protocol, or that lacks the keys.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from isakmp.errors import (
    AuthenticationFailed,
    Cancelled,
    ExchangeTimeout,
    InvalidKeyInformation,
    PeerError,
)
from isakmp.events import MessageDropped
from isakmp.crypto.groups import GROUPS
from isakmp.identity import Identity
from isakmp.interfaces import ICredentialStore
from isakmp.numbers import Group
from isakmp.paths import Path
from isakmp.wire.payloads import (
    Hash,
    Identification,
    KeyExchange,
    Nonce,
    Payload,
    SecurityAssociation,
)
from tests.nodes import (
    SECRET,
    SHARED,
    Member,
    Pair,
    Settings,
    assert_clean,
    disagreements,
    pair,
    unfinished,
)
from tests.properties.meddling import MeddlingIKE, appended, changed, without

MANDATORY: tuple[tuple[str, type[Payload]], ...] = (
    ("Main 1", SecurityAssociation),
    ("Main 2", SecurityAssociation),
    ("Main 3", KeyExchange),
    ("Main 3", Nonce),
    ("Main 4", KeyExchange),
    ("Main 4", Nonce),
    ("Main 5", Identification),
    ("Main 5", Hash),
    ("Main 6", Identification),
    ("Main 6", Hash),
    ("Quick 1", SecurityAssociation),
    ("Quick 1", Nonce),
    ("Quick 2", SecurityAssociation),
    ("Quick 2", Nonce),
)
"""What each message must carry."""


def speaker(name: str) -> str:
    """Who says a message when Alice begins."""
    return "alices_ike" if name[-1] in "135" else "bobs_ike"


class Attempts(SynchronousTestCase):
    def attempt(self, both: Pair, where: str) -> list[PeerError]:
        """
        Alice begins and fails; whatever happens, both are done in time, and say why.

        :returns: what both published as reasons.
        """
        results: list[object] = []
        both.a.establish().addErrback(lambda failure: results.append(failure.value))
        both.wait(both.quiet)
        self.assertEqual(len(results), 1, where)
        self.assertIsInstance(results[0], PeerError, where)
        self.assertEqual(unfinished(both.a, both.b), [], where)
        self.assertEqual(both.a.bundles + both.b.bundles, [], where)
        failures = both.a.failures + both.b.failures
        self.assertTrue(all(str(failure.reason) for failure in failures), where)
        both.wait(both.expired)
        assert_clean(self, both.a, both.b)
        return failures


class MandatoryTests(Attempts):
    def test_missing(self) -> None:
        """
        Whichever payload is missing from whichever message: that message is dropped, both ends give
        up in time, and each says that it waited and what it dropped.

        Proves: RFC 2408 section 5.3
        """
        for name, kind in MANDATORY:
            both = pair(**{speaker(name): without(kind, name)})  # type: ignore[arg-type]
            where = f"{name} without {kind.__name__}"
            failures = self.attempt(both, where)
            listener = both.b if name[-1] in "135" else both.a
            dropped = [str(event.error) for event in listener.published(MessageDropped)]
            self.assertTrue(any(kind.__name__ in said for said in dropped), (where, dropped))
            if name != "Main 1":
                self.assertTrue(
                    any(kind.__name__ in str(failure.reason) for failure in failures), where
                )

    def test_doubled(self) -> None:
        """A payload of which there must be one, twice, is no better than none."""
        double: list[tuple[str, type[Payload]]] = [
            (name, kind) for name, kind in MANDATORY if kind is not SecurityAssociation
        ]
        for name, kind in double:

            def twice(
                passing: str, payloads: list[Payload], name: str = name, kind: type = kind
            ) -> list[Payload]:
                extra = [p for p in payloads if isinstance(p, kind) and passing == name]
                return [*payloads, *extra]

            both = pair(**{speaker(name): MeddlingIKE(twice)})  # type: ignore[arg-type]
            self.attempt(both, f"{name} with two {kind.__name__}")

    def test_not_expected(self) -> None:
        """A payload more that nobody asked for does no harm: it is not looked at."""
        for name, _ in MANDATORY[::2]:
            if name.startswith("Quick"):
                continue  # there a second nonce would be one too many
            extra = appended(Nonce(bytes(20)) if name in ("Main 1", "Main 5") else Hash(b""), name)
            both = pair(**{speaker(name): extra})  # type: ignore[arg-type]
            both.up()
            self.assertEqual(disagreements(both.a, both.b), [], name)


def bad_values(number: int) -> dict[str, bytes]:
    """Public values that a group must not take."""
    group = GROUPS[number]
    good = group.generate().public
    size = len(good)
    values = {
        "nothing": b"",
        "one octet": b"\2",
        "too short": good[:-1],
        "too long": good + b"\0",
        "zero": bytes(size),
    }
    if number == Group.MODP_1024:
        p = 2**1024 - 2**960 - 1 + 2**64 * 0x1921FB54442D18469898CC51701B839A252049C1114CF98E
        p = _modulus_1024()
        for text, value in (("one", 1), ("p - 1", p - 1), ("p", p), ("p + 1", p + 1)):
            values[text] = value.to_bytes(size, "big")
        values["all ones"] = b"\xff" * size
    elif number == Group.ECP_256:
        values["not on the curve"] = good[:-1] + bytes([good[-1] ^ 1])
        values["all ones"] = b"\xff" * size
    else:
        values["of low order"] = b"\1" + bytes(size - 1)
    return values
