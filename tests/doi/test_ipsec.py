"""The IPsec domain of interpretation: everything but the choice of suites."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from hypothesis import given, settings
from twisted.plugin import IPlugin
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from isakmp.associations import (
    Agreed,
    ChildPolicy,
    IPsecParameters,
    Lifetime,
    ProtectionSA,
    ProtectionSuite,
    SPIKey,
    Terms,
)
from isakmp.doi.ipsec import IPsecSituation, ipsec
from isakmp.doi.transforms import CIPHERS, INTEGRITIES
from isakmp.errors import (
    AttributesNotSupported,
    BadProposalSyntax,
    InvalidIdentity,
    Malformed,
    PeerError,
    SituationNotSupported,
)
from isakmp.identity import Identity, TrafficSelector
from isakmp.interfaces import Effect, IDomainOfInterpretation, INegotiatingDomain
from isakmp.numbers import AHTransform, IdentityType, NotifyType, ProtocolID, Situation
from isakmp.paths import Path
from isakmp.wire.attributes import Attribute
from isakmp.wire.payloads import Delete, Identification, Notification
from isakmp.wire.proposals import Proposal
from isakmp.wire.reader import Reader
from tests.doi.offers import (
    AUTH,
    DURATION,
    HOUR,
    KEY,
    SPI,
    TYPE,
    acceptable,
    basic,
    bodies,
    esp,
    payloads,
    proposals,
    read_offer,
    suites,
    transform,
)
from tests.vectors import conversation

ESP, AH = ProtocolID.ESP, ProtocolID.AH
PATH = Path(("192.0.2.1", 500), ("198.51.100.2", 4500))
COOKIES = bytes(range(16))


def policy(*spellings: str) -> ChildPolicy:
    """A configured child with these suites."""
    return ChildPolicy(
        "lab",
        "net",
        ipsec.number,
        ipsec.phase1_situation,
        TrafficSelector.parse("10.1.0.0/16"),
        TrafficSelector.parse("10.2.0.0/16"),
        suites(*spellings),
        HOUR,
    )


def agreed(*spellings: str, outbound: bool = True, path: Path = PATH) -> Agreed:
    """The circumstances of one SA."""
    return Agreed(path, policy(*spellings), outbound, Lifetime(1234, 56))


def proposal(spelling: str) -> Proposal:
    """The only proposal of a suite."""
    (only,) = ipsec.suite(spelling, HOUR).proposals
    return only


class PluginTests(SynchronousTestCase):
    def test_interfaces(self) -> None:
        """It is a domain of interpretation that negotiates, and a plug-in."""
        verifyObject(INegotiatingDomain, ipsec)
        verifyObject(IDomainOfInterpretation, ipsec)
        verifyObject(IPlugin, ipsec)

    def test_number(self) -> None:
        """
        DOI 1, whose exchange types are the key exchange's.

        Proves: RFC 2407 section 3
        """
        self.assertEqual((ipsec.number, ipsec.name), (1, "ipsec"))
        self.assertEqual(tuple(ipsec.exchange_types), ())


class SituationTests(SynchronousTestCase):
    def test_identity_only(self) -> None:
        """
        SIT_IDENTITY_ONLY is read as four octets, and the proposals are left to be read.

        Proves: RFC 2407 section 4.2.1 (row 4.2.1-1)
        """
        reader = Reader(b"\0\0\0\1proposals")
        situation = ipsec.situation(reader)
        self.assertEqual(situation, ipsec.phase1_situation)
        self.assertEqual(situation.encode(), b"\0\0\0\1")
        self.assertEqual(reader.rest(), b"proposals")

    def test_labels(self) -> None:
        """
        A situation with secrecy or integrity labels is refused; what follows is not looked at.

        Proves: RFC 2407 section 4.2.2 (row 4.2.2-2)
        Proves: RFC 2407 section 4.2.3 (row 4.2.3-2)
        Proves: RFC 2407 section 4.2.2 (row 4.2.2-3)
        Proves: RFC 2407 section 4.2.3 (row 4.2.3-3)
        """
        for bits, words in (
            (2, "SIT_SECRECY"),
            (3, "SIT_IDENTITY_ONLY+SIT_SECRECY"),
            (4, "SIT_INTEGRITY"),
            (7, "SIT_IDENTITY_ONLY+SIT_SECRECY+SIT_INTEGRITY"),
        ):
            reader = Reader(bits.to_bytes(4) + b"\0\0\0\0\xff\xff\0\0")
            error = self.assertRaises(SituationNotSupported, ipsec.situation, reader)
            self.assertEqual(error.reason.offered, words)
            self.assertEqual(reader.remaining, 8)

    def test_unassigned(self) -> None:
        """No bit, and bits that nobody assigned, all of them at once, are refused as well."""
        for bits, words in (
            (0, "0x00000000"),
            (8, "0x00000008"),
            (9, "SIT_IDENTITY_ONLY+0x00000008"),
            (2**32 - 1, "SIT_IDENTITY_ONLY+SIT_SECRECY+SIT_INTEGRITY+0xfffffff8"),
        ):
            error = self.assertRaises(
                SituationNotSupported, ipsec.situation, Reader(bits.to_bytes(4))
            )
            self.assertEqual(error.reason.offered, words)

    def test_cut_short(self) -> None:
        """
        Fewer than four octets are no situation.

        Proves: RFC 2408 section 3.4 (row 3.4-3)
        """
        for octets in (b"", b"\0", b"\0\0\1"):
            self.assertRaises(Malformed, ipsec.situation, Reader(octets))

    def test_value(self) -> None:
        """A situation is written as it is."""
        self.assertEqual(IPsecSituation(Situation(3)).encode(), b"\0\0\0\3")


class IdentityTests(SynchronousTestCase):
    def test_recorded(self) -> None:
        """What peers send is understood."""
        first, second, *_ = (
            cast(Identification, found) for found in payloads("main-psk", "quick", "ID")
        )
        for found, spelled in ((first, "10.81.0.0/24"), (second, "10.82.0.0/24")):
            identity = ipsec.identity(found.kind, found.protocol, found.port, found.data)
            self.assertEqual(str(identity), spelled)
        for found in (cast(Identification, p) for p in payloads("main-psk", "main", "ID")):
            identity = ipsec.identity(found.kind, found.protocol, found.port, found.data)
            self.assertIn(str(identity), ("i.lab", "r.lab"))

    def test_malformed(self) -> None:
        """
        An identity whose data has not its type's form is refused.

        Proves: RFC 2407 section 4.6.2
        """
        for kind, data in (
            (IdentityType.IPV4_ADDR, b"\1\2\3"),
            (IdentityType.IPV6_ADDR, bytes(4)),
            (IdentityType.IPV4_ADDR_SUBNET, bytes(7)),
            (IdentityType.FQDN, b""),
            (IdentityType.FQDN, b"host\n"),
        ):
            self.assertRaises(InvalidIdentity, ipsec.identity, kind, 0, 0, data)

    def test_client(self) -> None:
        """
        Protocol and port are kept, and the numbers are the same when it is said.

        Proves: RFC 2408 section 5.8 (row 5.8-1)
        """
        identity = Identity.address("1.2.3.4", 6, 80)
        self.assertEqual(ipsec.identity(1, 6, 80, b"\1\2\3\4"), identity)
        self.assertEqual(ipsec.identification(identity), identity)


class NotifiedTests(SynchronousTestCase):
    def test_initial_contact(self) -> None:
        """
        INITIAL-CONTACT asks to forget the SAs of an earlier life.

        Proves: RFC 2407 section 4.6.3.3
        """
        (recorded,) = payloads("main-psk", "main", "N")
        found = cast(Notification, recorded)
        self.assertIs(ipsec.notified(found), Effect.START_AFRESH)
        for protocol in (ESP, AH):
            self.assertIs(ipsec.notified(replace(found, protocol=protocol)), Effect.START_AFRESH)

    def test_not_quite(self) -> None:
        """
        What only looks like it asks for nothing.

        Proves: RFC 2407 section 4.6.3.3 (row 4.6.3.3-2)
        Proves: RFC 2408 section 5.14 (row 5.14-7)
        Proves: RFC 2408 section 5.14 (row 5.14-8)
        Proves: RFC 2408 section 5.14 (row 5.14-9)
        """
        good = Notification(1, 1, NotifyType.INITIAL_CONTACT, COOKIES, b"")
        for bad in (
            replace(good, doi=0),
            replace(good, doi=2),
            replace(good, protocol=0),
            replace(good, protocol=4),
            replace(good, spi=b""),
            replace(good, spi=SPI),
            replace(good, spi=COOKIES * 2),
        ):
            self.assertIsNone(ipsec.notified(bad), bad)

    def test_others(self) -> None:
        """
        No other notification asks for anything.

        Proves: RFC 2408 section 5.14 (row 5.14-10)
        """
        for kind in (*NotifyType, 0, 999, 65535):
            if kind != NotifyType.INITIAL_CONTACT:
                self.assertIsNone(ipsec.notified(Notification(1, 1, kind, COOKIES, b"")))


class DeletedTests(SynchronousTestCase):
    def test_ours(self) -> None:
        """
        A peer deletes what it receives by: our outbound SAs, at its address.

        Proves: RFC 2408 section 3.15
        """
        for protocol in (ESP, AH):
            self.assertEqual(
                ipsec.deleted(Delete(1, protocol, (SPI, b"\xff" * 4)), PATH),
                (
                    SPIKey(1, protocol, SPI, "198.51.100.2"),
                    SPIKey(1, protocol, b"\xff" * 4, "198.51.100.2"),
                ),
            )

    def test_recorded(self) -> None:
        """charon's Delete names the SPI that it offered; its ISAKMP SA is not for us to delete."""
        protocol, isakmp = (
            cast(Delete, found) for found in payloads("main-psk", "informational", "D")
        )
        offered = read_offer(bodies("main-psk", "quick", "SA")[0])
        (key,) = ipsec.deleted(protocol, PATH)
        self.assertEqual(key.spi, offered.suites[0].proposals[0].spi)
        self.assertEqual(ipsec.deleted(isakmp, PATH), ())

    def test_repeated(self) -> None:
        """An SPI that is said a thousand times is one SA."""
        (key,) = ipsec.deleted(Delete(1, ESP, (SPI,) * 1000), PATH)
        self.assertEqual(key.spi, SPI)

    def test_invalid(self) -> None:
        """
        SPIs that no SA can have, other domains and other protocols delete nothing.

        Proves: RFC 2408 section 5.15 (row 5.15-7)
        Proves: RFC 2408 section 5.15 (row 5.15-8)
        Proves: RFC 2408 section 5.15 (row 5.15-9)
        """
        bad = (bytes(4), b"\0\0\0\xff", b"\1\2\3", b"\1" * 8, b"\1" * 16)
        for spi in bad:
            self.assertEqual(ipsec.deleted(Delete(1, ESP, (spi,)), PATH), ())
        for doi, protocol in ((0, ESP), (2, ESP), (1, 0), (1, 1), (1, 4), (1, 99)):
            self.assertEqual(ipsec.deleted(Delete(doi, protocol, (SPI,)), PATH), ())


class TermsTests(SynchronousTestCase):
    def test_terms(self) -> None:
        """Keying material, group and lifetime are read from the only transform."""
        self.assertEqual(ipsec.terms(proposal("aes128-sha256")), Terms(48, None, HOUR))
        self.assertEqual(ipsec.terms(proposal("aes256gcm16-modp2048")), Terms(36, 14, HOUR))
        self.assertEqual(ipsec.terms(proposal("3des-sha1-ecp256")), Terms(44, 19, HOUR))
        self.assertEqual(ipsec.terms(proposal("null-md5")), Terms(16, None, HOUR))
        self.assertEqual(ipsec.terms(proposal("ah=sha512")), Terms(64, None, HOUR))

    def test_default_lifetime(self) -> None:
        """
        Where no lifetime is said it is 28800 seconds; so it is beside a bound in kilobytes.

        Proves: RFC 2407 section 4.5
        """
        (none,) = ipsec.suite("3des-md5", Lifetime()).proposals
        self.assertEqual(ipsec.terms(none).lifetime, Lifetime(28800))
        (volume,) = ipsec.suite("3des-md5", Lifetime(0, 5)).proposals
        self.assertEqual(ipsec.terms(volume).lifetime, Lifetime(28800, 5))

    def test_first_of_an_offer(self) -> None:
        """Of an offer with several transforms the first counts."""
        self.assertEqual(ipsec.terms(proposal("aes128-sha1|aes256-sha512")).keymat, 36)

    def test_unknown(self) -> None:
        """Of an algorithm that is not known the group can still be read."""
        (suite,) = (esp(transform(1, 5, *basic(key=128, auth=2, mode=1, group=2))).proposals,)
        self.assertEqual(ipsec.terms(suite[0]), Terms(0, 2, Lifetime(28800)))

    def test_faults(self) -> None:
        """Attributes at fault have no terms, and neither has a proposal without transforms."""
        for attributes in (
            (*basic(auth=1), *basic(auth=2)),
            (Attribute.tlv(KEY, 2**20), *basic(auth=2)),
            (Attribute.tv(DURATION, 9),),
        ):
            (bad,) = esp(transform(1, 12, *attributes)).proposals
            self.assertRaises(AttributesNotSupported, ipsec.terms, bad)
        self.assertRaises(BadProposalSyntax, ipsec.terms, Proposal(1, ESP, SPI, ()))

    @settings(deadline=None)
    @given(proposals)
    def test_anything(self, received: Proposal) -> None:
        """Whatever is offered has terms or is refused."""
        try:
            terms = ipsec.terms(received)
        except PeerError:
            return
        self.assertTrue(0 <= terms.keymat <= 36 + 64)
        self.assertTrue(0 < terms.lifetime.seconds < 2**32)


class SecurityAssociationTests(SynchronousTestCase):
    def test_recorded(self) -> None:
        """
        Keying material is cut as charon cuts it: encryption first, then integrity.

        Proves: RFC 2409 section 5.5
        """
        for name, spelling, mode in (
            ("main-psk", "aes128-sha256", "tunnel"),
            ("transport", "transport:aes128-sha256", "transport"),
            ("main-psk-3des", "3des-sha1", "tunnel"),
        ):
            keys = conversation(name)["isakmp_sas"][0]["quick_i"][0]
            encryption, integrity = (bytes.fromhex(keys[kind]) for kind in ("encr_i", "integ_i"))
            chosen = proposal(spelling)
            keymat = encryption + integrity
            self.assertEqual(ipsec.terms(chosen).keymat, len(keymat))
            sa = ipsec.security_association(chosen, SPI, keymat, agreed(spelling))
            self.assertEqual(sa.keys, {"encryption": encryption, "integrity": integrity})
            self.assertEqual(cast(IPsecParameters, sa.parameters).mode, mode)

    def test_names(self) -> None:
        """A sink is told algorithms by name."""
        for spelling, encryption, integrity in (
            ("aes128-sha256", "aes-cbc", "hmac-sha2-256-128"),
            ("aes192-sha384", "aes-cbc", "hmac-sha2-384-192"),
            ("aes256-sha512", "aes-cbc", "hmac-sha2-512-256"),
            ("3des-md5", "3des-cbc", "hmac-md5-96"),
            ("null-sha1", "null", "hmac-sha1-96"),
            ("aes128gcm8", "aes-gcm-8", "none"),
            ("aes128gcm12", "aes-gcm-12", "none"),
            ("aes128gcm16", "aes-gcm-16", "none"),
            ("ah=sha256", "none", "hmac-sha2-256-128"),
        ):
            chosen = proposal(spelling)
            keymat = bytes(range(ipsec.terms(chosen).keymat))
            sa = ipsec.security_association(chosen, SPI, keymat, agreed(spelling))
            self.assertEqual(sa.parameters, IPsecParameters("tunnel", encryption, integrity))
            self.assertEqual(sa.keys["encryption"] + sa.keys["integrity"], keymat)
            self.assertEqual(bool(sa.keys["integrity"]), integrity != "none")
            self.assertEqual(sa.lifetime, Lifetime(1234, 56))

    def test_aes_gcm(self) -> None:
        """
        The salt is the last four octets of AES-GCM's keying material, and stays behind the key.

        Proves: RFC 4106 section 8.1
        """
        keymat = bytes(range(20))
        sa = ipsec.security_association(proposal("aes128gcm16"), SPI, keymat, agreed("aes128gcm16"))
        self.assertEqual(sa.keys, {"encryption": keymat, "integrity": b""})

    def test_key(self) -> None:
        """
        An SA is named by its receiver's SPI and address.

        Proves: RFC 2408 section 2.4
        """
        for outbound, destination in ((True, "198.51.100.2"), (False, "192.0.2.1")):
            sa = ipsec.security_association(
                proposal("null-md5"), SPI, bytes(16), agreed("null-md5", outbound=outbound)
            )
            self.assertEqual(sa.key, SPIKey(1, ESP, SPI, destination))

    def test_mode_left_to_us(self) -> None:
        """Where the peer left the mode to us, it is that of the suite that accepted its offer."""
        (chosen,) = esp(transform(1, 3, *basic(auth=1))).proposals
        for spellings, mode in (
            (("aes128-sha1", "transport:3des-md5"), "transport"),
            (("transport:aes128-sha1", "3des-md5"), "tunnel"),
            (("3des-md5", "transport:3des-md5"), "tunnel"),
            ((), "tunnel"),
        ):
            sa = ipsec.security_association(chosen, SPI, bytes(40), agreed(*spellings))
            self.assertEqual(cast(IPsecParameters, sa.parameters).mode, mode)

    def test_impossible(self) -> None:
        """Keys are never cut for what was not, or could not be, agreed."""
        good = proposal("aes128-sha256")

        def made(chosen: Proposal = good, spi: bytes = SPI, octets: int = 48) -> ProtectionSA:
            return ipsec.security_association(chosen, spi, bytes(octets), agreed("aes128-sha256"))

        self.assertEqual(made().key.spi, SPI)
        for octets in (0, 47, 49, 96):
            self.assertRaises(ValueError, made, octets=octets)
        for spi in (b"", bytes(4), b"\0\0\0\xff", b"\1" * 5):
            self.assertRaises(ValueError, made, spi=spi)
        for transform_id, values in (
            (5, {"key": 128, "auth": 2, "mode": 1}),
            (12, {"key": 128, "mode": 1}),
            (11, {"mode": 1}),
            (12, {"key": 64, "auth": 2, "mode": 1}),
        ):
            (bad,) = esp(transform(1, transform_id, *basic(**values))).proposals
            self.assertEqual(ipsec.terms(bad).keymat, 0)
            self.assertRaises(ValueError, made, bad, octets=0)
        (udp,) = esp(transform(1, 12, *basic(key=128, auth=5, mode=3))).proposals
        self.assertRaises(ValueError, made, udp)

    def test_no_secrets_shown(self) -> None:
        """Keys do not show in what is logged of an SA."""
        keymat = b"\xab" * 48
        sa = ipsec.security_association(
            proposal("aes128-sha256"), SPI, keymat, agreed("aes128-sha256")
        )
        self.assertNotIn("xab", repr(sa))
        self.assertNotIn("abab", repr(sa))

    def test_all(self) -> None:
        """Whatever can be selected can be installed: terms and keys fit each other."""
        words = [
            (word.format(bits), cipher.combined)
            for cipher in CIPHERS.values()
            for word in cipher.words
            for bits in cipher.lengths
        ]
        spelled = [
            word + ("" if combined else f"-{integrity.words[0]}")
            for word, combined in words
            for integrity in INTEGRITIES.values()
        ] + [f"ah={integrity.words[0]}" for integrity in INTEGRITIES.values()]
        for spelling in spelled:
            wanted = acceptable(spelling)
            offered = replace(
                wanted, suites=tuple(s.with_spis({ESP: SPI, AH: SPI}) for s in wanted.suites)
            )
            (chosen,) = ipsec.select(offered, wanted).proposals
            keymat = bytes(ipsec.terms(chosen).keymat)
            sa = ipsec.security_association(chosen, SPI, keymat, agreed(spelling))
            self.assertEqual(sum(map(len, sa.keys.values())), len(keymat))

    def test_ah(self) -> None:
        """AH with the attribute of another algorithm is nothing that has keys."""
        odd = Proposal(
            1, AH, SPI, (transform(1, AHTransform.SHA, Attribute.tv(AUTH, 1), *basic(mode=1)),)
        )
        self.assertEqual(ipsec.terms(odd).keymat, 0)
        self.assertRaises(
            ValueError, ipsec.security_association, odd, SPI, bytes(16), agreed("ah=md5")
        )


class SuiteAndSpellTests(SynchronousTestCase):
    def test_through_the_plugin(self) -> None:
        """Suites are made, and spelled, by the plug-in."""
        suite = ipsec.suite("transport:ah=sha1+esp=null-md5", Lifetime(0, 70000))
        self.assertIsInstance(suite, ProtectionSuite)
        self.assertEqual(ipsec.spell(suite), "transport:ah=sha1+esp=null-md5")
        self.assertEqual(
            suite.proposals[0].transforms[0].attributes[-2:],
            (Attribute.tv(TYPE, 2), Attribute.tlv(DURATION, 70000)),
        )
