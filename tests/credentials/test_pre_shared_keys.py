"""
Pre-shared keys: which secret is meant for whom.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from isakmp.credentials.pre_shared_keys import PreSharedKeys, SharedSecret
from isakmp.errors import ConfigurationError
from isakmp.identity import Identity
from isakmp.interfaces import ICredentialStore
from isakmp.numbers import IdentityType
from isakmp.paths import Path

US = Identity.parse("us.example.org")


def at(address: str) -> Path:
    """A peer of whom only the address is known."""
    local = "2001:db8::ff" if ":" in address else "192.0.2.1"
    return Path((local, 500), (address, 500))


ELSEWHERE = Path(("192.0.2.1", 500), ("203.0.113.99", 500))
"""Where a peer is whose address no secret is for."""


def asked(keys: PreSharedKeys, ours: Identity, theirs: str | Identity | Path) -> Deferred[bytes]:
    """By its path a peer that is not named; by its name one that is at no known address."""
    if isinstance(theirs, Path):
        return keys.shared_secret(ours, None, theirs)
    who = Identity.parse(theirs) if isinstance(theirs, str) else theirs
    return keys.shared_secret(ours, who, ELSEWHERE)


class PreSharedKeyTests(SynchronousTestCase):
    def keys(self, *secrets: tuple[bytes, str]) -> PreSharedKeys:
        """Each with its owners, divided by spaces."""
        return PreSharedKeys(
            SharedSecret(secret, tuple(owners.split())) for secret, owners in secrets
        )

    def expect(
        self, keys: PreSharedKeys, theirs: str | Path, secret: bytes, ours: Identity = US
    ) -> None:
        self.assertEqual(self.successResultOf(asked(keys, ours, theirs)), secret)

    def refused(self, keys: PreSharedKeys, theirs: str | Path, ours: Identity = US) -> str:
        failure = self.failureResultOf(asked(keys, ours, theirs), LookupError)
        return str(failure.value)

    def test_interface(self) -> None:
        """It is what a key exchange asks."""
        verifyObject(ICredentialStore, PreSharedKeys(()))

    def test_main_mode(self) -> None:
        """
        While only the peer's address is known the secret is that of the address, however it is
        spelled, of its network, or anybody's.

        Proves: RFC 2409 section 5.4 (row 5.4-1)
        """
        keys = self.keys(
            (b"address", "198.51.100.7"),
            (b"six", "2001:DB8:0:0::7"),
            (b"small", "198.51.100.0/28"),
            (b"large", "198.51.100.0/24"),
            (b"any", "%any"),
            (b"name", "peer.example.org"),
        )
        self.expect(keys, at("198.51.100.7"), b"address")
        self.expect(keys, at("2001:db8::7"), b"six")
        self.expect(keys, at("198.51.100.8"), b"small")
        self.expect(keys, at("198.51.100.200"), b"large")
        self.expect(keys, at("203.0.113.1"), b"any")
        self.expect(keys, at("2001:db8::8"), b"any")

    def test_name_is_not_an_address(self) -> None:
        """A secret for a name, or for the end of one, is not given to an address."""
        keys = self.keys((b"name", "peer.example.org"), (b"tail", "*.example.org"))
        self.refused(keys, at("198.51.100.7"))

    def test_identity(self) -> None:
        """
        A peer that has said who it is gets the secret of that identity: a name without regard to
        its case, a user, a key id, an address.
        """
        keys = self.keys(
            (b"fqdn", "Peer.Example.org"),
            (b"user", "road@example.org"),
            (b"key id", "@#0aff"),
            (b"address", "198.51.100.7"),
            (b"network", "198.51.100.0/24"),
        )
        self.expect(keys, "peer.EXAMPLE.org", b"fqdn")
        self.expect(keys, "ROAD@example.org", b"user")
        self.expect(keys, "@#0AFF", b"key id")
        self.expect(keys, "198.51.100.7", b"address")
        self.expect(keys, "198.51.100.8", b"network")
        for nobody in ("peer2.example.org", "@peer.example.org.", "@#0aff00", "203.0.113.1"):
            self.refused(keys, nobody)

    def test_order(self) -> None:
        """
        Both identities are better than the peer's alone, that is better than the end of its name,
        and anybody comes last; in whatever order they are configured.
        """
        secrets = (
            (b"both", "us.example.org peer.example.org"),
            (b"peer", "peer.example.org"),
            (b"tail", "*.example.org"),
            (b"us", "us.example.org %any"),
            (b"any", "%any"),
        )
        other = Identity.parse("we.example.org")
        for order in (secrets, secrets[::-1]):
            keys = self.keys(*order)
            self.expect(keys, "peer.example.org", b"both")
            self.expect(keys, "peer.example.org", b"peer", other)
            self.expect(keys, "road.example.org", b"tail")
            self.expect(keys, "example.org", b"us")
            self.expect(keys, "example.org", b"any", other)

    def test_address_order(self) -> None:
        """An address is better than any network, and a small network better than a large one."""
        secrets = (
            (b"both", "192.0.2.1 198.51.100.7"),
            (b"address", "198.51.100.7"),
            (b"host", "198.51.100.7/32"),
            (b"everything", "0.0.0.0/0"),
        )
        ours = Identity.parse("192.0.2.1")
        for order in (secrets, secrets[::-1]):
            self.expect(self.keys(*order), at("198.51.100.7"), b"both", ours)
            self.expect(self.keys(*order), at("198.51.100.7"), b"address")
            self.expect(self.keys(*order[:1], *order[2:]), at("203.0.113.1"), b"everything")
        self.expect(self.keys(*secrets[2:]), at("198.51.100.7"), b"host")

    def test_group(self) -> None:
        """A secret of several is shared by any two of them, us included or not."""
        keys = self.keys((b"group", "sun moon venus"), (b"any", "%any"))
        for ours in ("sun", "mars"):
            self.expect(keys, "moon", b"group", Identity.parse(ours))
        self.expect(keys, "mars", b"any", Identity.parse("sun"))

    def test_not_our_own(self) -> None:
        """A secret that only says who we are is for nobody: one owner is the peer."""
        self.refused(self.keys((b"us", "us.example.org")), "peer.example.org")

    def test_several_of_ours(self) -> None:
        """With two identities of ours a peer may have two secrets; as a third we may not guess."""
        keys = self.keys((b"a", "a.example.org peer"), (b"b", "b.example.org peer"))
        self.expect(keys, "peer", b"a", Identity.parse("a.example.org"))
        self.expect(keys, "peer", b"b", Identity.parse("b.example.org"))
        said = self.refused(keys, "peer", Identity.parse("c.example.org"))
        self.assertIn("2 different", said)
        with_general = self.keys(
            (b"a", "a.example.org peer"), (b"b", "b.example.org peer"), (b"peer", "peer")
        )
        self.expect(with_general, "peer", b"peer", Identity.parse("c.example.org"))

    def test_no_owner(self) -> None:
        """A secret without an owner is anybody's."""
        self.expect(PreSharedKeys([SharedSecret(b"x", ())]), at("203.0.113.1"), b"x")
        self.expect(PreSharedKeys([SharedSecret(b"x")]), "peer", b"x")

    def test_none(self) -> None:
        """If there is none I read who was asked for, and never a secret."""
        keys = self.keys((b"hidden", "peer.example.org"))
        said = self.refused(keys, at("203.0.113.1"))
        self.assertIn("203.0.113.1", said)
        self.assertIn("us.example.org", said)
        said = self.refused(keys, "road@example.org")
        self.assertIn("road@example.org", said)
        self.assertNotIn("hidden", said)
        self.refused(PreSharedKeys(()), "peer.example.org")

    def test_hostile_identities(self) -> None:
        """
        Identities that are malformed get no secret but anybody's: not those of a network, and
        nothing breaks.
        """
        keys = self.keys((b"network", "0.0.0.0/4"), (b"name", "peer"), (b"tail", "*.org"))
        for hostile in (
            Identity(IdentityType.IPV4_ADDR, 0, 0, b""),
            Identity(IdentityType.IPV4_ADDR, 0, 0, bytes(5)),
            Identity(IdentityType.IPV4_ADDR_SUBNET, 0, 0, bytes([10, 0, 0, 0, 255, 0, 255, 0])),
            Identity(IdentityType.IPV4_ADDR_RANGE, 0, 0, bytes([9, 9, 9, 9, 1, 1, 1, 1])),
            Identity(IdentityType.FQDN, 0, 0, b""),
            Identity(IdentityType.FQDN, 0, 0, b".org"),
            Identity(IdentityType.FQDN, 0, 0, b"peer\0"),
            Identity(IdentityType.USER_FQDN, 0, 0, b"peer"),
            Identity(IdentityType.KEY_ID, 0, 0, b"peer"),
            Identity(200, 0, 0, b"peer"),
        ):
            self.failureResultOf(asked(keys, US, hostile), LookupError)

    def test_name_and_address(self) -> None:
        """
        A peer that is expected by name gets the secret of its address, if none names it, before
        one that is anybody's.
        """
        path = Path(("192.0.2.1", 500), ("198.51.100.7", 500))
        peer = Identity.parse("peer.example.org")
        keys = self.keys((b"any", "%any"), (b"address", "198.51.100.7"))
        self.assertEqual(self.successResultOf(keys.shared_secret(US, peer, path)), b"address")
        named = self.keys((b"name", "peer.example.org"), (b"address", "198.51.100.7"))
        self.assertEqual(self.successResultOf(named.shared_secret(US, peer, path)), b"name")

    def test_wider_than_the_network(self) -> None:
        """A peer that names itself a network gets the secret of one that contains all of it."""
        keys = self.keys((b"ten", "10.0.0.0/8"))
        wide = bytes([0, 0, 0, 0, 0, 0, 0, 0])
        inside = bytes([10, 1, 0, 0, 255, 255, 0, 0])
        kind = IdentityType.IPV4_ADDR_SUBNET
        self.failureResultOf(asked(keys, US, Identity(kind, 0, 0, wide)), LookupError)
        found = asked(keys, US, Identity(kind, 0, 0, inside))
        self.assertEqual(self.successResultOf(found), b"ten")

    def test_ambiguous(self) -> None:
        """
        Two different secrets for the same parties are refused at once, with whose they are, and
        without them.
        """
        for one, other in (
            ("peer.example.org", "PEER.example.org"),
            ("10.0.0.0/8", "10.1.2.3/8"),
            ("2001:db8::1", "2001:db8:0::1"),
            ("%any", ""),
            ("*.example.org", "*.Example.org"),
            ("us peer", "peer us"),
            ("us peer road", "us peer mars"),
        ):
            with self.assertRaises(ConfigurationError) as caught:
                self.keys((b"alpha", one), (b"omega", other))
            text = str(caught.exception)
            for secret in ("alpha", "omega"):
                self.assertNotIn(secret, text)
            self.assertIn(one.split()[0], text)

    def test_not_ambiguous(self) -> None:
        """The same secret twice is no contradiction; nor are others that only overlap."""
        self.keys((b"x", "peer"), (b"x", "PEER"))
        self.keys((b"x", "peer"), (b"y", "us peer"))
        self.keys((b"x", "10.0.0.0/8"), (b"y", "10.0.0.0/9"))
        self.keys((b"x", "peer peer"), (b"y", "peer us"))
        self.keys((b"x", "peer a"), (b"y", "peer b"))

    def test_mistakes(self) -> None:
        """A secret of nothing, and an owner that is none, are mistakes that name the text."""
        with self.assertRaises(ConfigurationError) as caught:
            self.keys((b"", "peer.example.org"))
        self.assertIn("peer.example.org", str(caught.exception))
        for text in ("10.0.0.0/33", "example/24", "%anyone", "@#0g", "10.0.0.0/8[tcp]", "ünïcode"):
            with self.assertRaises(ConfigurationError) as caught:
                self.keys((b"x", text))
            self.assertIn(text, str(caught.exception))

    def test_configure(self) -> None:
        """Other secrets take the place of those before, by name as by address."""
        keys = self.keys((b"old", "198.51.100.7"), (b"gone", "peer.example.org"), (b"any", ""))
        keys.configure([SharedSecret(b"new", ("198.51.100.7",)), SharedSecret(b"b", ("b.lab",))])
        self.expect(keys, at("198.51.100.7"), b"new")
        self.expect(keys, "b.lab", b"b")
        self.refused(keys, "peer.example.org")
        self.refused(keys, at("203.0.113.1"))
        keys.configure([])
        self.refused(keys, at("198.51.100.7"))

    def test_configure_wrongly(self) -> None:
        """If one of them cannot be, those before hold, all of them."""
        keys = self.keys((b"old", "198.51.100.7"), (b"named", "peer.example.org"))
        good = SharedSecret(b"new", ("198.51.100.7",))
        for bad in (
            SharedSecret(b"", ("b.lab",)),
            SharedSecret(b"x", ("%nobody",)),
            SharedSecret(b"another", ("198.51.100.7",)),
        ):
            error = self.assertRaises(ConfigurationError, keys.configure, [good, bad])
            self.assertNotIn("another", str(error))
            self.expect(keys, at("198.51.100.7"), b"old")
            self.expect(keys, "peer.example.org", b"named")

    def test_not_shown(self) -> None:
        """A secret is not in what Python prints of it."""
        secret = SharedSecret(b"hidden", ("peer",))
        for shown in (repr(secret), repr(PreSharedKeys([secret])), str([secret])):
            self.assertNotIn("hidden", shown)

    @settings(max_examples=150, deadline=None)
    @given(
        st.lists(
            st.tuples(st.binary(min_size=1, max_size=2), st.sampled_from(range(33))), max_size=8
        ),
        st.integers(0, 2**32 - 1),
    )
    def test_longest_prefix(self, networks: list[tuple[bytes, int]], address: int) -> None:
        """Of any networks that contain an address the smallest one's secret is used."""
        base = 0x0A000000
        configured = {length: secret for secret, length in networks}
        keys = PreSharedKeys(
            SharedSecret(secret, (f"10.0.0.0/{length}",)) for length, secret in configured.items()
        )
        containing = [
            length
            for length in configured
            if (address ^ base) >> (32 - length) == 0
            or length == 0  # every address; 10.0.0.0/0 is 0.0.0.0/0
        ]
        text = ".".join(str(octet) for octet in address.to_bytes(4, "big"))
        if containing:
            self.expect(keys, at(text), configured[max(containing)])
        else:
            self.refused(keys, at(text))

    def test_many(self) -> None:
        """With ten thousand peers, each is found by its own secret."""
        keys = self.keys(*((f"s{n}".encode(), f"p{n}.example.org us") for n in range(10_000)))
        for n in (0, 5000, 9999):
            self.expect(keys, f"p{n}.example.org", f"s{n}".encode())
        self.assertEqual(len(list(keys._possible([Identity.parse("p7.example.org")]))), 1)
