"""
Messages of a peer that has the keys and does not keep to the protocol, or that lacks the keys.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred, fail
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from isakmp.credentials.pre_shared_keys import SharedSecret
from isakmp.crypto.groups import GROUPS
from isakmp.crypto.modp import ModularGroup
from isakmp.errors import (
    AuthenticationFailed,
    Cancelled,
    ExchangeTimeout,
    InvalidKeyInformation,
    PeerError,
)
from isakmp.events import MessageDropped
from isakmp.identity import Identity
from isakmp.interfaces import ICredentialStore
from isakmp.numbers import Group
from isakmp.paths import Path
from isakmp.wire.payloads import (
    Certificate,
    CertificateRequest,
    Hash,
    Identification,
    KeyExchange,
    Nonce,
    Payload,
    SecurityAssociation,
    VendorID,
)
from tests.nodes import (
    SECRET,
    SHARED,
    Pair,
    Settings,
    assert_clean,
    disagreements,
    pair,
    unfinished,
)
from tests.properties.meddling import MeddlingIKE, appended, changed, without
from tests.properties.wiretap import MESSAGES

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
        Proves: RFC 2407 section 4.2.1 (row 4.2.1-2)
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
        """
        A payload more that nobody asked for does no harm: it is not looked at.

        Proves: RFC 2408 section 3.9 (row 3.9-2)
        Proves: RFC 2408 section 5.9 (row 5.9-2)
        Proves: RFC 2408 section 5.9 (row 5.9-3)
        """
        for name in MESSAGES:
            extra = appended(Certificate(4, b"whose?"), name)
            both = pair(**{speaker(name): extra})  # type: ignore[arg-type]
            both.up()
            self.assertEqual(disagreements(both.a, both.b), [], name)

    def test_certificate_request(self) -> None:
        """
        A request for a certificate is taken with any message, and discarded, because there is
        none: of no encoding, an unknown or a known one, of no authority or of a malformed one.

        Proves: RFC 2408 section 3.10 (row 3.10-2)
        Proves: RFC 2408 section 5.10 (row 5.10-2)
        Proves: RFC 2408 section 5.10 (row 5.10-3)
        Proves: RFC 2408 section 5.10 (row 5.10-4)
        Proves: RFC 2409 section 5 (row 5-9)
        """
        for name in MESSAGES:
            for request in (
                CertificateRequest(0, b""),
                CertificateRequest(4, b""),
                CertificateRequest(4, b"no distinguished name"),
                CertificateRequest(255, b"\0" * 40),
            ):
                both = pair(**{speaker(name): appended(request, name)})  # type: ignore[arg-type]
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
    if isinstance(group, ModularGroup):
        p = group.modulus.prime
        for text, value in (("one", 1), ("p - 1", p - 1), ("p", p), ("p + 1", p + 1)):
            values[text] = value.to_bytes(size, "big")
    elif number == Group.CURVE25519:
        values["of low order"] = b"\1" + bytes(size - 1)
    else:
        values["not on the curve"] = good[:-1] + bytes([good[-1] ^ 1])
        values["all ones"] = b"\xff" * size
    return values


class PublicValueTests(Attempts):
    GROUPS = ("modp1024", "ecp256", "curve25519")

    def check(self, settings: Settings, group: str, *names: str) -> None:
        number = next(n for n, known in GROUPS.items() if known.name == group)
        for text, value in bad_values(number).items():
            for name in names:
                meddler = changed(KeyExchange, KeyExchange(value), name)
                both = pair(settings, **{speaker(name): meddler})  # type: ignore[arg-type]
                where = f"{text} of {group} in {name}"
                failures = self.attempt(both, where)
                said = [
                    *(event.error for event in both.a.published(MessageDropped)),
                    *(event.error for event in both.b.published(MessageDropped)),
                    *failures,
                ]
                self.assertTrue(any(isinstance(e, InvalidKeyInformation) for e in said), where)

    def test_main_mode(self) -> None:
        """
        A public value of 0, 1, p - 1, p or more, off the curve, of low order, or of another length
        is refused by either end, and nothing comes up.

        Proves: RFC 2408 section 5.7 (row 5.7-2)
        """
        for group in self.GROUPS:
            self.check(Settings(suite=f"aes128-sha256-{group}"), group, "Main 3", "Main 4")

    def test_quick_mode(self) -> None:
        """
        The same for perfect forward secrecy, from a peer that has proven who it is.

        Proves: RFC 2408 section 5.7 (row 5.7-2)
        """
        for group in self.GROUPS:
            self.check(Settings(child_suite=f"aes128-sha256-{group}"), group, "Quick 1", "Quick 2")


class StrangeValueTests(Attempts):
    """What is well formed and means nothing, or nothing good, from a peer that has the keys."""

    DATA = (
        b"",
        b"\0",
        b"\xff" * 4,
        b"r.lab",
        b"user@r.lab",
        bytes(8),
        b"\xff" * 16,
        bytes(32),
        b"\x30\x84\xff\xff\xff\xff",  # DER that promises more than there is
        b"\x30\x80\x00\x00",
        b"\x30\x0c\x31\x0a\x30\x08\x06\x03\x55\x04\x03\x0c\x01x",
        b"%n%s\r\n\0" * 20,
    )

    def test_identity(self) -> None:
        """
        CVE-2013-6075: an identity of any type with any data, in either direction: it is refused
        with a reason, and nothing comes up.

        Proves: RFC 2408 section 5.8 (row 5.8-2)
        """
        for number, data in enumerate(self.DATA):
            for kind in range(14):
                if (kind, data) == (2, b"r.lab"):
                    continue
                name = ("Main 5", "Main 6")[(number + kind) % 2]
                meddler = changed(Identification, Identification(kind, 0, 0, data), name)
                both = pair(**{speaker(name): meddler})  # type: ignore[arg-type]
                self.attempt(both, f"identity {kind} {data!r} in {name}")

    def test_identity_out_of_place(self) -> None:
        """
        A first message of a stranger with an identity in it that is none: nothing of it is a fault
        of ours, in the log or elsewhere, and it is answered like any other.
        """
        for data in self.DATA:
            for kind in (0, 1, 2, 4, 9, 255):
                both = pair(alices_ike=appended(Identification(kind, 0, 0, data), "Main 1"))
                both.up()
                self.assertEqual(disagreements(both.a, both.b), [])

    def test_traffic(self) -> None:
        """
        CVE-2023-38711: client identities of any type with any data, a host name among them: the
        Quick Mode fails with a reason.
        """
        for number, data in enumerate(self.DATA):
            for kind in range(14):
                name = ("Quick 1", "Quick 2")[(number + kind) % 2]
                meddler = changed(Identification, Identification(kind, 255, 65535, data), name)
                both = pair(**{speaker(name): meddler})  # type: ignore[arg-type]
                self.attempt(both, f"client identity {kind} {data!r} in {name}")

    def test_situation(self) -> None:
        """
        CVE-2015-3204: every bit of the situation set, another domain, or nothing behind them.

        Proves: RFC 2408 section 5.4 (row 5.4-2)
        Proves: RFC 2407 section 4.2.2 (row 4.2.2-3)
        Proves: RFC 2407 section 4.2.3 (row 4.2.3-3)
        Proves: RFC 2408 section 5.4 (row 5.4-3)
        """
        for name in ("Main 1", "Main 2", "Quick 1", "Quick 2"):
            for doi in (0, 1, 2, 0xFFFFFFFF):
                for body in (b"", b"\0\0\0\1", b"\xff" * 4, b"\xff" * 12):
                    meddler = changed(SecurityAssociation, SecurityAssociation(doi, body), name)
                    both = pair(**{speaker(name): meddler})  # type: ignore[arg-type]
                    self.attempt(both, f"DOI {doi}, {body!r} in {name}")

    def test_many_payloads(self) -> None:
        """CVE-2026-12413: more payloads than anybody needs: all are read, or the message is not."""
        for name in MESSAGES:
            for count in (20, 120, 300):

                def many(
                    passing: str, payloads: list[Payload], name: str = name, count: int = count
                ) -> list[Payload]:
                    extra = [VendorID(b"%d" % n) for n in range(count)]
                    return [*payloads, *extra] if passing == name else payloads

                both = pair(**{speaker(name): MeddlingIKE(many)})  # type: ignore[arg-type]
                if count < 128:
                    both.up()
                    self.assertEqual(disagreements(both.a, both.b), [], name)
                elif name != "Quick 3":  # whose sender cannot know that it was not taken
                    self.attempt(both, f"{count} payloads in {name}")


@implementer(ICredentialStore)
class Secrets:
    """
    A store that may have nothing, or take its time.

    :ivar asked: the questions that are not answered yet.
    """

    def __init__(self, answers: bool = True) -> None:
        self._answers = answers
        self.asked: list[Deferred[bytes]] = []
        self.cancelled = 0

    def shared_secret(
        self, ours: Identity, theirs: Identity | None, path: Path
    ) -> Deferred[bytes]:
        """Never, or when the test says so."""
        if not self._answers:
            return fail(LookupError("there is none"))
        question: Deferred[bytes] = Deferred(self._cancel)
        self.asked.append(question)
        return question

    def _cancel(self, question: Deferred[bytes]) -> None:
        self.asked.remove(question)
        self.cancelled += 1


class SecretTests(Attempts):
    def test_missing(self) -> None:
        """
        An end that has no secret for its peer says so itself, and keeps nothing of the exchange;
        the other is not told what was missing.
        """
        lacking = Secrets(answers=False)
        for secrets in ((lacking, SHARED), (SHARED, lacking)):
            both = pair(secrets=secrets)
            failures = self.attempt(both, str(secrets))
            (mine,) = (both.b if secrets[1] is lacking else both.a).failures
            self.assertIsInstance(mine, AuthenticationFailed)
            self.assertIn("no pre-shared key", str(mine))
            others = [failure for failure in failures if failure is not mine]
            self.assertFalse([e for e in others if "there is none" in str(e)])

    def test_slow(self) -> None:
        """
        While the store is asked, what the peer repeats is not lost, and when it answers the
        exchange goes on.
        """
        for slow_one in (0, 1):
            store = Secrets()
            both = pair(secrets=(store, SHARED) if slow_one == 0 else (SHARED, store))
            results: list[object] = []
            both.a.establish().addBoth(results.append)
            both.wait(3.0)
            self.assertEqual(results, [])
            (question,) = store.asked
            question.callback(SECRET)
            both.wait(10.0)
            self.assertIsInstance(results[0], tuple)
            self.assertEqual(disagreements(both.a, both.b), [])

    def test_given_up(self) -> None:
        """Whoever gives an exchange up takes back what it had asked the store."""
        store = Secrets()
        both = pair(secrets=(store, SHARED))
        reasons: list[object] = []
        attempt = both.a.establish()
        attempt.addErrback(lambda failure: reasons.append(failure.value))
        both.wait(0.1)
        self.assertEqual(len(store.asked), 1)
        attempt.cancel()
        self.assertEqual((store.asked, store.cancelled, len(reasons)), ([], 1, 1))
        self.assertIsInstance(both.a.failures[0], Cancelled)
        self.assertEqual(unfinished(both.a), [])
        both.wait(both.quiet)
        assert_clean(self, both.a, both.b)

    def test_never(self) -> None:
        """
        A store that never answers, or a sink, does not keep an exchange for ever: else there would
        soon be no room for others.
        """
        for hers in (True, False):
            store = Secrets()
            both = pair(secrets=(store, SHARED) if hers else (SHARED, store))
            begun = both.a.establish()
            both.wait(7 * both.settings.intervals.total)
            self.failureResultOf(begun, PeerError)
            self.assertEqual((store.asked, store.cancelled), ([], 1))
            self.assertEqual(unfinished(both.a, both.b), [])
            both.wait(both.expired)
            assert_clean(self, both.a, both.b)
        for member, what in (("a", "reserve_spi"), ("b", "reserve_spi"), ("a", "install")):
            both = pair()
            sink = getattr(both, member).sink
            setattr(sink, what, lambda *asked: Deferred())
            both.a.establish().addErrback(lambda failure: None)
            both.wait(0.5)
            delattr(sink, what)
            both.wait(7 * both.settings.intervals.total)
            self.assertEqual(both.a.bundles + both.b.bundles, [], what)
            both.up()
            self.assertEqual(disagreements(both.a, both.b), [])

    def test_different(self) -> None:
        """
        With different secrets both ends fail within ``grace`` of the first sealed message, and both
        say that the secrets most likely differ.

        Proves: RFC 2409 section 5.4
        """
        both = pair(secrets=(SHARED, [SharedSecret(b"another one", ())]))
        both.a.establish().addErrback(lambda failure: None)
        both.wait(0.1 + both.settings.limits.grace)
        for member in (both.a, both.b):
            (failure,) = member.failures
            self.assertNotIsInstance(failure, ExchangeTimeout)
            self.assertIn("differ", str(failure))
        both.wait(both.quiet)
        assert_clean(self, both.a, both.b)
