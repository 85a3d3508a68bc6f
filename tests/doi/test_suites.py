"""How a configuration spells protection suites of the IPsec DOI."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from isakmp.associations import Lifetime, ProtectionSuite
from isakmp.crypto.groups import GROUPS
from isakmp.doi.ipsec import ipsec
from isakmp.doi.suites import MAX_ALTERNATIVES, spell_all
from isakmp.doi.transforms import CIPHERS, INTEGRITIES, LONGEST, Protection, read
from isakmp.errors import ConfigurationError
from isakmp.numbers import AHTransform, ESPTransform, ProtocolID
from isakmp.wire.attributes import Attribute
from isakmp.wire.proposals import Proposal, encode_proposals
from tests.doi.offers import (
    DURATION,
    HOUR,
    KEY,
    TYPE,
    basic,
    bodies,
    esp,
    proposals,
    read_offer,
    suites,
    transform,
)

ESP, AH = ProtocolID.ESP, ProtocolID.AH


def protections(suite: ProtectionSuite) -> list[list[Protection]]:
    """What each proposal of a suite asks for."""
    return [
        [read(proposal.protocol, wanted).protection for wanted in proposal.transforms]
        for proposal in suite.proposals
    ]


class SuiteTests(SynchronousTestCase):
    def test_words(self) -> None:
        """strongSwan's words mean here what they mean there."""
        for spelling, wanted in (
            ("aes128-sha256", Protection(ESP, 12, 128, 5, 1)),
            ("aes-sha", Protection(ESP, 12, 128, 2, 1)),
            ("aes192-sha384", Protection(ESP, 12, 192, 6, 1)),
            ("aes256-sha2_512", Protection(ESP, 12, 256, 7, 1)),
            ("aes128-sha256-modp2048", Protection(ESP, 12, 128, 5, 1, 14)),
            ("aes256gcm16", Protection(ESP, 20, 256, 0, 1)),
            ("aes128gcm128-ecp256", Protection(ESP, 20, 128, 0, 1, 19)),
            ("aes192gcm96", Protection(ESP, 19, 192, 0, 1)),
            ("aes256gcm64", Protection(ESP, 18, 256, 0, 1)),
            ("3des-sha1", Protection(ESP, 3, 0, 2, 1)),
            ("3des-md5-modp1024", Protection(ESP, 3, 0, 1, 1, 2)),
            ("null-sha256", Protection(ESP, 11, 0, 5, 1)),
            ("aes128-sha1-x25519", Protection(ESP, 12, 128, 2, 1, 31)),
            ("ah=sha256", Protection(AH, 5, 0, 5, 1)),
            ("ah=md5-modp1536", Protection(AH, 2, 0, 1, 1, 5)),
            ("esp=aes128-sha256", Protection(ESP, 12, 128, 5, 1)),
            ("tunnel:aes128-sha256", Protection(ESP, 12, 128, 5, 1)),
            ("transport:aes128-sha256", Protection(ESP, 12, 128, 5, 2)),
            (" Transport:ESP=AES128-SHA256 ", Protection(ESP, 12, 128, 5, 2)),
        ):
            self.assertEqual(protections(ipsec.suite(spelling, HOUR)), [[wanted]], spelling)

    def test_as_charon_offers(self) -> None:
        """
        What is offered for a configuration is, octet by octet, what charon offers for it.

        Proves: RFC 2407 section 4.5 (row 4.5-1)
        Proves: RFC 2408 section 3.6 (row 3.6-2)
        Proves: RFC 2407 section 4.5 (row 4.5-5)
        """
        lifetime = Lifetime(seconds=0x0F78)
        for name, spelling in (
            ("transport", "transport:aes128-sha256"),
            ("main-psk", "aes128-sha256"),
            ("pfs", "aes128-sha256-modp2048"),
            ("main-psk-3des", "3des-sha1"),
        ):
            (theirs, *_) = bodies(name, "quick", "SA")
            (recorded,) = read_offer(theirs).suites
            suite = ipsec.suite(spelling, lifetime)
            suite = suite.with_spis({ESP: recorded.proposals[0].spi})
            ours = encode_proposals(suite.proposals)
            if name != "transport":
                # These went through a translator of addresses, hence UDP encapsulation.
                self.assertEqual(theirs.count(bytes.fromhex("80040003")), 1)
                theirs = theirs.replace(bytes.fromhex("80040003"), bytes.fromhex("80040001"))
            self.assertEqual(ours, theirs[8:], name)

    def test_together(self) -> None:
        """
        Parts with + between them are proposals of one number: all of them or none.

        Proves: RFC 2408 section 4.2 (row 4.2-1)
        """
        suite = ipsec.suite("ah=sha1+esp=aes128-sha256", HOUR)
        self.assertEqual([p.protocol for p in suite.proposals], [AH, ESP])
        self.assertEqual({p.number for p in suite.proposals}, {1})
        self.assertEqual({p.spi for p in suite.proposals}, {b""})

    def test_alternatives(self) -> None:
        """
        Alternatives with | between them are numbered transforms, the preferred first.

        Proves: RFC 2408 section 4.2 (row 4.2-6)
        Proves: RFC 2408 section 5.6 (row 5.6-1)
        """
        (proposal,) = ipsec.suite("aes256-sha256|aes128-sha1|3des-md5", HOUR).proposals
        self.assertEqual([(t.number, t.transform_id) for t in proposal.transforms], [
            (1, ESPTransform.AES_CBC),
            (2, ESPTransform.AES_CBC),
            (3, ESPTransform.TRIPLE_DES),
        ])  # fmt: skip

    def test_lifetime(self) -> None:
        """
        Each bound is a type and then a duration; what has no bound is not said.

        Proves: RFC 2407 section 4.5.2
        Proves: RFC 2407 section 4.5 (row 4.5-2)
        """
        for lifetime, wanted in (
            (Lifetime(), ()),
            (Lifetime(3600), (Attribute.tv(TYPE, 1), Attribute.tv(DURATION, 3600))),
            (Lifetime(65536), (Attribute.tv(TYPE, 1), Attribute.tlv(DURATION, 65536))),
            (Lifetime(0, 9), (Attribute.tv(TYPE, 2), Attribute.tv(DURATION, 9))),
            (
                Lifetime(3600, LONGEST),
                (
                    Attribute.tv(TYPE, 1),
                    Attribute.tv(DURATION, 3600),
                    Attribute.tv(TYPE, 2),
                    Attribute(DURATION, b"\xff" * 4, False),
                ),
            ),
        ):
            (proposal,) = ipsec.suite("3des-md5", lifetime).proposals
            (only,) = proposal.transforms
            self.assertEqual(only.attributes, (*basic(auth=1, mode=1), *wanted))
            self.assertEqual(read(ESP, only).lifetime, lifetime)
        for lifetime in (Lifetime(-1), Lifetime(LONGEST + 1), Lifetime(0, LONGEST + 1)):
            self.assertRaises(ConfigurationError, ipsec.suite, "3des-md5", lifetime)

    def test_mistakes(self) -> None:
        """A mistake is answered with the word that is wrong and with what would be right."""
        for spelling, wrong, right in (
            ("aes129-sha256", "'aes129'", "aes128"),
            ("aes128-sha3", "'sha3'", "sha512"),
            ("aes128-sha1-modp2049", "'modp2049'", "modp2048"),
            ("camellia512-sha1", "'camellia512'", "aes256"),
            ("serpent128-sha1", "'serpent128'", "camellia128"),
            ("aes128-sha256-esn-noesn", "'esn' and 'noesn'", "|"),
            ("esp=aes128-sha1+ipcomp=deflate-modp2048", "'modp2048' means nothing", "deflate"),
            ("esp=aes128-sha1+ipcomp=lzs", "'lzs'", "deflate"),
            ("aes128-prfsha256", "'prfsha256'", "sha256"),
            ("aes128-sha256,aes256-sha256", "'sha256,aes256'", "aes128"),
            ("", "a word is missing", "aes128"),
            ("esp=", "a word is missing", "aes128"),
            ("aes128--sha1", "a word is missing", "aes128"),
            ("aes128-sha1|", "a word is missing", "aes128"),
            ("ah=sha1+", "a word is missing", "aes128"),
            ("aes128-sha1+", "esp stands twice", "in one suite"),
            ("aes128", "'aes128' does not authenticate", "sha256"),
            ("null", "'null' does not authenticate", "sha256"),
            ("3des-modp2048", "'3des' does not authenticate", "sha256"),
            ("aes128gcm16-sha256", "takes no 'sha256'", "authenticates by itself"),
            ("sha256", "ESP needs a cipher", "aes128"),
            ("modp2048", "ESP needs a cipher", "aes128"),
            ("ah=aes128-sha1", "'aes128' means nothing", "sha256"),
            ("ah=modp2048", "AH needs an integrity algorithm", "sha256"),
            ("ah=foo", "'foo' is not understood", "sha256"),
            ("aes128-aes256-sha1", "'aes128' and 'aes256'", "|"),
            ("aes128-sha1-sha256", "'sha1' and 'sha256'", "|"),
            ("aes128-sha1-modp2048-modp1024", "'modp2048' and 'modp1024'", "|"),
            ("beet:aes128-sha1", "'beet' is not a mode", "transport"),
            (":aes128-sha1", "'' is not a mode", "tunnel"),
            ("ipcomp=deflate", "compression alone protects nothing", "ESP or AH"),
            ("ipcom=deflate", "'ipcom' is not a protocol", "esp, ah, ipcomp"),
            ("esp=aes128-sha1+esp=aes256-sha1", "esp stands twice", "in one suite"),
            ("aes128-sha1-modp2048|aes128-sha1", "perfect forward secrecy", "the same in every"),
            ("aes128-sha1-modp2048+ah=sha1", "perfect forward secrecy", "the same in every"),
            ("aes128-sha1-modp2048+ah=sha1-ecp256", "perfect forward secrecy", "in none"),
            ("|".join(["3des-md5"] * (MAX_ALTERNATIVES + 1)), "more than 64", "alternatives"),
        ):
            error = self.assertRaises(ConfigurationError, ipsec.suite, spelling, HOUR)
            self.assertIn(wrong, str(error), spelling)
            self.assertIn(right, str(error), spelling)

    def test_ah_is_not_told_of_ciphers(self) -> None:
        """What AH cannot use is not proposed to whoever misspelled it."""
        error = self.assertRaises(ConfigurationError, ipsec.suite, "ah=foo", HOUR)
        self.assertNotIn("aes128", str(error))

    @settings(deadline=None)
    @given(st.text(max_size=40))
    def test_any_text(self, text: str) -> None:
        """Any text is a suite or a mistake that is explained."""
        try:
            suite = ipsec.suite(text, HOUR)
        except ConfigurationError as error:
            self.assertIn(repr(text), str(error))
        else:
            self.assertTrue(suite.proposals)


ciphers = st.sampled_from(
    [
        (word.format(bits), cipher.combined)
        for cipher in CIPHERS.values()
        for word in cipher.words
        for bits in cipher.lengths
    ]
)
integrities = st.sampled_from([word for known in INTEGRITIES.values() for word in known.words])


@st.composite
def spellings(draw: st.DrawFn) -> str:
    """Suites that can be configured."""
    group = draw(st.sampled_from(["", *(f"-{known.name}" for known in GROUPS.values())]))

    def alternative() -> str:
        cipher, combined = draw(ciphers)
        return cipher + ("" if combined else f"-{draw(integrities)}") + group

    def part(name: str) -> str:
        texts = [
            alternative() if name == "esp" else draw(integrities) + group
            for _ in range(draw(st.integers(1, 3)))
        ]
        return f"{name}={'|'.join(texts)}"

    names = draw(st.sampled_from([["esp"], ["ah"], ["esp", "ah"], ["ah", "esp"]]))
    mode = draw(st.sampled_from(["", "tunnel:", "transport:"]))
    return mode + "+".join(part(name) for name in names)


class SpellTests(SynchronousTestCase):
    def test_back(self) -> None:
        """A suite is spelled as it would be configured, in our own words."""
        for spelling, spelled in (
            ("aes128-sha256-modp2048", "esp=aes128-sha256-modp2048"),
            ("esp=aes-sha", "esp=aes128-sha1"),
            ("tunnel:aes256gcm128-x25519", "esp=aes256gcm16-curve25519"),
            ("transport:3des-md5|null-sha2_512", "transport:esp=3des-md5|null-sha512"),
            ("ah=sha1+esp=aes192gcm8", "ah=sha1+esp=aes192gcm8"),
        ):
            self.assertEqual(ipsec.spell(ipsec.suite(spelling, HOUR)), spelled)

    @settings(deadline=None)
    @given(spellings(), st.builds(Lifetime, st.integers(0, LONGEST), st.integers(0, LONGEST)))
    def test_round_trip(self, spelling: str, lifetime: Lifetime) -> None:
        """What is spelled can be configured, and is the same suite again."""
        suite = ipsec.suite(spelling, lifetime)
        self.assertEqual(ipsec.suite(ipsec.spell(suite), lifetime), suite)
        self.assertTrue(all(p.supported for found in protections(suite) for p in found))

    def test_what_cannot_be_configured(self) -> None:
        """What a peer offers and nobody here knows can still be read in a log."""
        for suite, spelled in (
            (esp(transform(1, 7, *basic(key=128, auth=2, mode=1))), "esp=blowfish128-sha1"),
            (esp(transform(1, 2, *basic(auth=1, mode=1))), "esp=des-md5"),
            (esp(transform(1, 12, *basic(key=64, auth=2, mode=1))), "esp=aes_cbc_64-sha1"),
            (esp(transform(1, 20, *basic(mode=1))), "esp=aes_gcm_16_of_no_key_length"),
            (esp(transform(1, 3, *basic(key=192, mode=1))), "esp=3des_cbc_192"),
            (esp(transform(1, 99, *basic(auth=99, mode=1))), "esp=unknown_99-unknown_99"),
            (esp(transform(1, 12, *basic(key=128, mode=1))), "esp=aes128"),
            (esp(transform(1, 12, *basic(auth=9, group=3, mode=1))),
             "esp=aes128-aesxcbc-group_ec2n_155"),
            (esp(transform(1, 12, *basic(auth=2, group=999, mode=1))),
             "esp=aes128-sha1-group_unknown_999"),
            (esp(transform(1, 12, *basic(auth=2, mode=3))), "udp_tunnel:esp=aes128-sha1"),
            (esp(transform(1, 12, *basic(auth=2, mode=61444))),
             "draft_udp_transport:esp=aes128-sha1"),
            (esp(transform(1, 12, *basic(auth=2, mode=77))), "mode_77:esp=aes128-sha1"),
            (esp(transform(1, 12, *basic(auth=2))), "unspecified:esp=aes128-sha1"),
            (esp(transform(1, 12, *basic(auth=2, mode=1)),
                 transform(2, 12, *basic(auth=2, mode=2))),
             "esp=aes128-sha1-tunnel|aes128-sha1-transport"),
            (esp(transform(1, 12, *basic(auth=2, mode=1), Attribute.tv(11, 1))),
             "esp=aes128-sha1-esn"),
            (esp(transform(1, 12, *basic(auth=2, mode=1), Attribute.tv(10, 0))),
             "esp=aes128-sha1-ecn_tunnel=0x0"),
            (esp(transform(1, 12, *basic(auth=2, mode=1), Attribute.tlv(32001, b"\1" * 999))),
             "esp=aes128-sha1-security_context=0x0101010101010101..."),
            (esp(transform(1, 12, *basic(auth=2, mode=1), *basic(auth=1))),
             "esp=aes128-sha1(Authentication Algorithm is said twice, differently)"),
            (esp(transform(1, 3, Attribute.tlv(KEY, 192), *basic(auth=2, mode=1))),
             "esp=3des_cbc_192-sha1(basic-as-variable)"),
            (ProtectionSuite((Proposal(1, AH, b"", (transform(1, 3, *basic(auth=1, mode=1)),)),)),
             "ah=sha_with_md5"),
            (ProtectionSuite((Proposal(1, AH, b"", (transform(1, 8, *basic(mode=1)),)),)),
             "ah=ripemd_with_nothing"),
            (ProtectionSuite((Proposal(1, 4, b"", (transform(1, 2, *basic(mode=1)),)),)),
             "ipcomp=deflate"),
            (ProtectionSuite((Proposal(1, 77, b"", (transform(1, 2, *basic(mode=1)),)),)),
             "unknown_77=transform_2"),
            (esp(), "esp="),
            (ProtectionSuite(()), ""),
        ):  # fmt: skip
            self.assertEqual(ipsec.spell(suite), spelled)

    def test_bounded(self) -> None:
        """An offer as large as it may be takes a line, not a log."""
        many = tuple(transform(n % 256, 12, *basic(auth=n + 1, mode=1)) for n in range(1000))
        self.assertTrue(ipsec.spell(esp(*many)).endswith("|992 more"))
        attributes = [Attribute.tlv(200 + n, b"\xff" * 99) for n in range(128)]
        self.assertLess(len(ipsec.spell(esp(transform(1, 12, *attributes)))), 1000)
        exactly = [Attribute.tv(200 + n, 1) for n in range(8)]
        self.assertNotIn("more", ipsec.spell(esp(transform(1, 12, *exactly))))
        self.assertIn("-1 more", ipsec.spell(esp(transform(1, 12, *exactly, Attribute.tv(99, 1)))))
        everything = tuple(ProtectionSuite((Proposal(n, ESP, b"", many),) * 64) for n in range(64))
        self.assertLess(len(spell_all(everything)), 20000)
        self.assertIn("56 more", spell_all(everything))
        self.assertEqual(spell_all(suites("3des-md5", "ah=sha1")), "esp=3des-md5, ah=sha1")

    @settings(deadline=None)
    @given(st.lists(proposals, min_size=1, max_size=3))
    def test_anything(self, received: list[Proposal]) -> None:
        """Whatever is offered can be spelled, in one line without anything unprintable."""
        spelled = ipsec.spell(ProtectionSuite(tuple(received)))
        self.assertTrue(spelled.isprintable())

    def test_every_number(self) -> None:
        """Every transform of every protocol has a word, known or not."""
        for protocol in range(256):
            for transform_id in (0, 1, 2, 11, 12, 255):
                wanted = transform(1, transform_id, *basic(auth=2, mode=1))
                suite = ProtectionSuite((Proposal(1, protocol, b"", (wanted,)),))
                name, equals, word = ipsec.spell(suite).partition("=")
                self.assertTrue(name and equals and word)
        for number in AHTransform:
            self.assertTrue(ipsec.spell(esp(transform(1, number, *basic(mode=1)))))
