"""
Pre-shared keys in Main Mode: which one is used, and what becomes of a proof that is none.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from isakmp.connections import Connection
from isakmp.credentials.pre_shared_keys import SharedSecret
from isakmp.errors import (
    AuthenticationFailed,
    ConfigurationError,
    ExchangeTimeout,
    InvalidIdentity,
    PeerError,
    PeerRefused,
    UnexpectedPayload,
    Unreadable,
)
from isakmp.events import MessageSent
from isakmp.identity import Identity, IdentityPattern
from isakmp.ike.authentication import AUTHENTICATIONS, Authentication, PreSharedKey
from isakmp.ike.method import IKEMethod
from isakmp.numbers import AuthenticationMethod
from isakmp.parts import Role
from isakmp.wire.payloads import Hash, Identification, Notification, Payload
from tests.ike.ends import Change, established, two
from tests.nodes import ALICE, BOB, Member, Pair, connection, disagreements

ONE, TWO = b"the first secret", b"the second secret"


def shared(secret: bytes, *owners: str) -> SharedSecret:
    """A secret and who has it."""
    return SharedSecret(secret, owners)


def road(name: str, identity: str) -> Connection:
    """One of Bob's connections, for a peer that may come from anywhere."""
    return replace(connection(BOB, ALICE, "r.lab", identity, name=name), remote=())


def named(identity: str) -> Change:
    """Alice under this name."""
    return lambda connection: replace(connection, local_identity=Identity.parse(identity))


def fails(
    test: SynchronousTestCase, pair: Pair, kind: type[PeerError], *, bob_too: bool = True
) -> str:
    """
    Alice gets no SA; neither end has anything.

    :param bob_too: not where Bob has said the last word and cannot know that it was refused.
    """
    with test.assertRaises(kind) as raised:
        established(pair)
    pair.wait(pair.quiet)
    for member in (pair.a, pair.b) if bob_too else (pair.a,):
        test.assertEqual(member.sas, [])
        test.assertEqual(len(member.demultiplexer.conversations), 0)
    return str(raised.exception)


def published(member: Member) -> str:
    """All that a node told of why exchanges failed, and what was dropped."""
    return "\n".join(str(event) for _, event in member.events)


class SecretTests(SynchronousTestCase):
    """Which secret is used."""

    def agree(self, pair: Pair) -> None:
        """They have the same SAs."""
        established(pair)
        self.assertEqual(disagreements(pair.a, pair.b), [])
        self.assertEqual((len(pair.a.sas), len(pair.b.sas)), (1, 1))

    def test_by_both_names(self) -> None:
        """The secret of the two identities is used, whatever others there are."""
        others = (shared(ONE, "r.lab"), shared(ONE, "i.lab", "x.lab"), shared(ONE))
        self.agree(
            two(
                her_secrets=(*others, shared(TWO, "i.lab", "r.lab")),
                his_secrets=(shared(TWO, "r.lab", "i.lab"), *others),
            )
        )

    def test_by_address(self) -> None:
        """
        Where the peer's name is not known beforehand, the secret of its address is used.

        Proves: RFC 2409 section 5.4 (row 5.4-1)
        """
        self.agree(
            two(
                his=lambda c: replace(c, remote_identity=IdentityPattern("%any")),
                her_secrets=(shared(TWO, BOB), shared(ONE)),
                his_secrets=(shared(TWO, ALICE), shared(ONE)),
            )
        )

    def test_by_name_and_by_address(self) -> None:
        """One end may know the secret by name and the other by address."""
        self.agree(
            two(her_secrets=(shared(TWO, "r.lab"),), his_secrets=(shared(TWO, "192.0.2.0/28"),))
        )

    def test_addresses_as_names(self) -> None:
        """Ends that are named by nothing but their addresses agree."""

        def nameless(connection: Connection) -> Connection:
            pattern = IdentityPattern(connection.remote[0])
            return replace(connection, local_identity=None, remote_identity=pattern)

        pair = two(
            nameless,
            nameless,
            her_secrets=(shared(TWO, ALICE, BOB),),
            his_secrets=(shared(TWO, ALICE, BOB),),
        )
        self.agree(pair)
        (sa,) = pair.b.sas
        self.assertEqual((str(sa.ours), str(sa.theirs)), (BOB, ALICE))

    def narrowing(self, identity: str, secret: bytes) -> Pair:
        """
        Bob has three connections for peers from anywhere: the second has another secret than the
        first and the third.
        """
        return two(
            named(identity),
            lambda _: road("one", "one.lab"),
            his_others=(road("two", "two.lab"), road("three", "three.lab")),
            her_secrets=(shared(secret),),
            his_secrets=(
                shared(ONE, "one.lab", "r.lab"),
                shared(TWO, "two.lab", "r.lab"),
                shared(ONE, "three.lab", "r.lab"),
            ),
        )

    def test_narrowed(self) -> None:
        """
        Before the peer is named the first connection decides, and those with the same secret stay;
        the name then says which it is.

        Proves: RFC 2409 section 5.4
        Proves: RFC 2407 section 4.6.2 (row 4.6.2-1)
        """
        for identity, name in (("one.lab", "one"), ("three.lab", "three")):
            pair = self.narrowing(identity, ONE)
            established(pair)
            self.assertEqual([sa.connection for sa in pair.b.sas], [name])

    def test_another_secret_is_left_out(self) -> None:
        """
        A connection with another secret cannot be meant any more: neither by its own secret, which
        opens nothing here, nor by its name under the first secret.

        Proves: RFC 2409 section 5.4
        """
        fails(self, self.narrowing("two.lab", TWO), PeerError)
        pair = self.narrowing("two.lab", ONE)
        fails(self, pair, PeerError)
        (failure,) = pair.b.failures
        self.assertIsInstance(failure, InvalidIdentity)
        self.assertIn("identity (offered: two.lab; configured: one.lab, three.lab", str(failure))
        self.assertIn("two: pre-shared key", str(failure))

    def test_name_of_another(self) -> None:
        """
        Where a connection is for any identity, whoever has a secret of its own cannot take the name
        of somebody who has another: else it could delete what that one has.
        """
        def anybody(connection: Connection) -> Connection:
            return replace(connection, remote=(), remote_identity=IdentityPattern("%any"))

        for claimed, owner in (("192.0.2.99", "192.0.2.99"), ("C.Lab", "c.lab")):
            for hers in (ALICE, "192.0.2.0/28", "%any"):
                pair = two(
                    named(claimed),
                    anybody,
                    her_secrets=[shared(ONE)],
                    his_secrets=[shared(ONE, hers), shared(TWO, owner)],
                )
                fails(self, pair, PeerRefused)
                self.assertIn("another key than that of its identity", published(pair.b))
        for claimed in ("192.0.2.99", "c.lab", ALICE):
            pair = two(
                named(claimed),
                anybody,
                her_secrets=[shared(ONE)],
                his_secrets=[shared(ONE, ALICE), shared(TWO, "somebody.else")],
            )
            self.assertEqual(len(established(pair)), 1)

    def test_none(self) -> None:
        """
        An end without a secret for its peer says so in a sentence, with both parties in it.
        """
        pair = two(his_secrets=(shared(ONE, "somebody.else", "r.lab"),))
        fails(self, pair, PeerError)
        (failure,) = pair.b.failures
        self.assertIsInstance(failure, AuthenticationFailed)
        self.assertIn("no pre-shared key for this peer (offered: 192.0.2.1:500", str(failure))
        self.assertIn("is configured for i.lab at 192.0.2.1 with r.lab", str(failure))
        pair = two(her_secrets=(shared(ONE, "somebody.else", "i.lab"),))
        sentence = fails(self, pair, AuthenticationFailed)
        self.assertIn("is configured for r.lab at 192.0.2.2 with i.lab", sentence)

    def test_different(self) -> None:
        """
        Where the secrets differ nothing can be read: each end says what that most likely means,
        and neither says anything of a secret.
        """
        pair = two(her_secrets=(shared(ONE),), his_secrets=(shared(TWO),))
        sentence = fails(self, pair, PeerError)
        self.assertIn("secrets configured for this peer", sentence)
        (failure,) = pair.b.failures
        self.assertIsInstance(failure, (Unreadable, ExchangeTimeout))
        self.assertIn("Most likely the pre-shared keys of the two ends differ", str(failure))
        for member in (pair.a, pair.b):
            for secret in (ONE, TWO):
                self.assertNotIn(secret.decode(), published(member))

    def test_unknown_method(self) -> None:
        """
        A connection with an authentication that is not known here is a mistake of configuration.
        """

        def signatures(connection: Connection) -> Connection:
            (suite,) = connection.suites
            (proposal,) = suite.proposals
            (transform,) = proposal.transforms
            attributes = tuple(
                replace(a, value=b"\0\3") if a.kind == 3 else a for a in transform.attributes
            )
            other = replace(proposal, transforms=(replace(transform, attributes=attributes),))
            return replace(connection, suites=(replace(suite, proposals=(other,)),))

        with self.assertRaisesRegex(ConfigurationError, "lab: no authentication for aes128"):
            established(two(signatures))
        with self.assertRaisesRegex(ConfigurationError, "lab: no proposals"):
            established(two(lambda connection: replace(connection, suites=())))


class ProofTests(SynchronousTestCase):
    """HASH_I and HASH_R."""

    def lie(self, role: Role, *proof: Payload | str) -> None:
        """One end proves itself by this; a name stands for the hash of that role."""

        async def other(_: Authentication, method: IKEMethod) -> Sequence[Payload]:
            if method.exchange.role is not role:
                return (Hash(await method.hash_of(method.exchange.role)),)
            return [
                one if isinstance(one, Payload) else Hash(await method.hash_of(Role(one)))
                for one in proof
            ]

        self.patch(PreSharedKey, "proof", other)

    def test_wrong_hash(self) -> None:
        """
        A HASH that is not exactly what it must be proves nothing: another, a shorter, a longer, an
        empty one, or the initiator's own sent back.

        Proves: RFC 2409 section 5
        Proves: RFC 2408 section 5.11 (row 5.11-3)
        Proves: RFC 2408 section 1.5.3 (row 1.5.3-1)
        Proves: RFC 2408 section 1.6.2 (row 1.6.2-1)
        """
        wrong = (Hash(bytes(32)), Hash(bytes(31)), Hash(bytes(33)), Hash(b""))
        for role, end, proofs in (
            (Role.INITIATOR, "b", wrong),
            (Role.RESPONDER, "a", (*wrong, "initiator")),
        ):
            for proof in proofs:
                self.lie(role, proof)
                pair = two()
                kind = AuthenticationFailed if end == "a" else PeerError
                fails(self, pair, kind, bob_too=end == "b")
                member: Member = getattr(pair, end)
                failure = member.failures[0]
                self.assertIsInstance(failure, AuthenticationFailed)
                self.assertIn("the peer's HASH does not prove it", str(failure))
                self.assertIn("Most likely the pre-shared keys", str(failure))

    def test_one_hash(self) -> None:
        """Two proofs are none, even if one of them is right; and so is no proof."""
        self.lie(Role.INITIATOR, Hash(bytes(32)), "initiator")
        pair = two()
        fails(self, pair, PeerError)
        self.assertIsInstance(pair.b.failures[0], UnexpectedPayload)
        self.lie(Role.INITIATOR, Notification(1, 1, 24578, b"", b""))
        pair = two()
        fails(self, pair, PeerError)
        self.assertIn("a message without Hash", published(pair.b))

    def test_told_nothing(self) -> None:
        """
        A peer that has not proved itself is not told what it was: the name or the proof.
        """
        self.lie(Role.INITIATOR, Hash(bytes(32)))
        proof = two()
        fails(self, proof, PeerError)
        name = two(named("nobody.lab"))
        fails(self, name, PeerError)
        self.assertIsInstance(name.b.failures[0], InvalidIdentity)
        told = [
            [
                event.message.one(Notification).kind
                for event in pair.b.published(MessageSent)
                if event.message.has(Notification)
            ]
            for pair in (proof, name)
        ]
        self.assertEqual(told[0], told[1])

    def test_constant_time(self) -> None:
        """Each end compares the peer's HASH in constant time, and nothing else does it."""
        seen: list[bytes] = []
        real = hmac.compare_digest

        def compare(one: bytes, other: bytes) -> bool:
            seen.extend({one, other})
            return real(one, other)

        said: list[bytes] = []
        method = PreSharedKey.proof

        async def noted(self: PreSharedKey, of: IKEMethod) -> Sequence[Payload]:
            payloads = await method(self, of)
            said.extend(p.encode() for p in payloads)
            return payloads

        self.patch(PreSharedKey, "proof", noted)
        pair = two()
        self.patch(hmac, "compare_digest", compare)
        established(pair)
        self.assertEqual(len(said), 2)
        self.assertEqual(seen[:2], said)

    def test_table(self) -> None:
        """What is known is found by its number."""
        method = AUTHENTICATIONS[AuthenticationMethod.PRE_SHARED_KEY]
        self.assertIsInstance(method, PreSharedKey)
        self.assertIs(method.expects(), Hash)
        self.assertTrue(method.remedy)


class IdentityTests(SynchronousTestCase):
    """Who the peer says it is."""

    def test_protocol_and_port(self) -> None:
        """
        The protocol and port of an identity in phase 1 are zero, or UDP's 500; anything else ends
        it.  (17/0 and 17/4500, which known implementations send, are let pass.)

        Proves: RFC 2407 section 4.6.2 (row 4.6.2-2)
        Proves: RFC 2407 section 4.6.2 (row 4.6.2-3)
        Proves: RFC 2407 section 4.6.2 (row 4.6.2-4)
        """
        make = IKEMethod._make

        for protocol, port, taken in (
            (0, 0, True),
            (17, 500, True),
            (17, 0, True),
            (17, 4500, True),
            (6, 500, False),
            (17, 501, False),
            (0, 500, False),
            (6, 0, False),
            (255, 65535, False),
        ):

            def said(
                method: IKEMethod, part: object, protocol: int = protocol, port: int = port
            ) -> Payload:
                payload = make(method, part)  # type: ignore[arg-type]
                if isinstance(payload, Identification) and method.exchange.role is Role.INITIATOR:
                    return replace(payload, protocol=protocol, port=port)
                return payload

            self.patch(IKEMethod, "_make", said)
            pair = two()
            if taken:
                established(pair)
                self.assertEqual(disagreements(pair.a, pair.b), [])
            else:
                fails(self, pair, PeerError)
                (failure,) = pair.b.failures
                self.assertIsInstance(failure, InvalidIdentity)
                self.assertIn(f"in phase 1 (offered: {protocol}/{port}", str(failure))

    def test_unknown(self) -> None:
        """
        A name that is not configured is refused by either end, with both names in the sentence.
        """
        pair = two(named("other.lab"))
        fails(self, pair, PeerError)
        (failure,) = pair.b.failures
        self.assertIn("identity (offered: other.lab; configured: i.lab)", str(failure))
        self.assertIn("Compare the remote id configured here", str(failure))
        pair = two(his=named("other.lab"))
        sentence = fails(self, pair, InvalidIdentity, bob_too=False)
        self.assertIn("identity (offered: other.lab; configured: r.lab)", sentence)

    def test_our_own(self) -> None:
        """An end without a configured identity is named by its address."""
        pair = two(
            lambda c: replace(c, local_identity=None),
            lambda c: replace(c, remote_identity=IdentityPattern(ALICE)),
        )
        established(pair)
        self.assertEqual(str(pair.b.sas[0].theirs), ALICE)
