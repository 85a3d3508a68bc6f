"""
The attributes of a phase-1 transform: spelled, offered, read.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from isakmp.associations import Lifetime
from isakmp.connections import Connection
from isakmp.crypto.ciphers import key_length
from isakmp.departures import BASIC_AS_VARIABLE
from isakmp.errors import AttributesNotSupported
from isakmp.ike.key_exchange import ike
from isakmp.ike.parameters import KEY_IKE, Parameters, configured, proposal_of
from isakmp.numbers import (
    AuthenticationMethod,
    Encryption,
    Group,
    HashAlgorithm,
    LifeType,
    Phase1Attribute,
)
from isakmp.wire.attributes import Attribute
from isakmp.wire.proposals import Transform
from tests.ike.test_key_exchange import CIPHERS, GROUPS, HASHES, parse
from tests.wire.strategies import transforms

ENCRYPTION = Phase1Attribute.ENCRYPTION_ALGORITHM
HASH = Phase1Attribute.HASH_ALGORITHM
METHOD = Phase1Attribute.AUTHENTICATION_METHOD
GROUP = Phase1Attribute.GROUP_DESCRIPTION
KEY = Phase1Attribute.KEY_LENGTH
TYPE = Phase1Attribute.LIFE_TYPE
DURATION = Phase1Attribute.LIFE_DURATION

USUAL = (
    Attribute.tv(ENCRYPTION, Encryption.AES_CBC),
    Attribute.tv(KEY, 256),
    Attribute.tv(HASH, HashAlgorithm.SHA2_256),
    Attribute.tv(GROUP, Group.MODP_2048),
    Attribute.tv(METHOD, AuthenticationMethod.PRE_SHARED_KEY),
)
SECONDS = Attribute.tv(TYPE, LifeType.SECONDS)
KILOBYTES = Attribute.tv(TYPE, LifeType.KILOBYTES)


def read(*attributes: Attribute) -> Parameters:
    """From a transform with these."""
    return Parameters.read(Transform(1, KEY_IKE, attributes))


def without(kind: int) -> tuple[Attribute, ...]:
    """The usual ones but for one."""
    return tuple(attribute for attribute in USUAL if attribute.kind != kind)


every = st.builds(
    parse,
    st.tuples(*(st.sampled_from(list(words)) for words in (CIPHERS, HASHES, GROUPS))).map("-".join),
    st.builds(Lifetime, st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)),
)
"""Everything that can be agreed here."""

nearly = st.lists(
    st.builds(
        Attribute,
        st.integers(0, 17),
        st.integers(0, 300).map(lambda number: number.to_bytes(2)),
        st.just(True) | st.booleans(),
    )
    | st.sampled_from([*USUAL, SECONDS, KILOBYTES, Attribute.tv(DURATION, 60)]),
    max_size=12,
).map(lambda attributes: Transform(1, KEY_IKE, tuple(attributes)))
"""What somebody may send who knows the numbers."""


class OfferTests(SynchronousTestCase):
    """What is written."""

    @given(every)
    @settings(deadline=None)
    def test_round_trip(self, parameters: Parameters) -> None:
        """
        What is offered is read as what was meant, durations in either format.

        Proves: RFC 2409 appendix A
        """
        attributes = parameters.attributes()
        self.assertEqual(read(*attributes), parameters)
        self.assertEqual(parse(parameters.spelled, parameters.lifetime), parameters)

    def test_octets(self) -> None:
        """
        The attributes stand as strongSwan writes them; a long duration in the TLV format.

        Proves: RFC 2409 appendix A (row A-1)
        """
        self.assertEqual(
            parse("aes128-sha256-modp2048", Lifetime(15840)).attributes(),
            (
                Attribute.tv(ENCRYPTION, 7),
                Attribute.tv(KEY, 128),
                Attribute.tv(HASH, 4),
                Attribute.tv(GROUP, 14),
                Attribute.tv(METHOD, 1),
                Attribute.tv(TYPE, 1),
                Attribute.tv(DURATION, 15840),
            ),
        )
        self.assertEqual(
            parse("3des-sha1-modp1024", Lifetime(86400, 65535)).attributes()[-4:],
            (
                SECONDS,
                Attribute(DURATION, bytes.fromhex("00015180"), False),
                KILOBYTES,
                Attribute.tv(DURATION, 65535),
            ),
        )

    def test_fixed_key(self) -> None:
        """
        A cipher whose key has one length is offered without a Key Length.

        Proves: RFC 2409 appendix A (row A-2)
        """
        for cipher, (number, bits) in CIPHERS.items():
            kinds = [a.kind for a in parse(f"{cipher}-sha1-modp1024").attributes()]
            self.assertEqual(KEY in kinds, bits is not None)
            self.assertEqual(bits is None, number in (1, 2, 5))

    def test_one_proposal(self) -> None:
        """
        However many suites a connection takes, they are transforms of one proposal, by preference.

        Proves: RFC 2409 section 5 (row 5-10)
        Proves: RFC 2408 section 4.2 (row 4.2-6)
        Proves: RFC 2409 section 5 (row 5-11)
        """
        spellings = ["aes256-sha512-modp4096", "aes128-sha256-modp2048", "3des-sha1-modp1024"]
        suites = tuple(ike.suite(spelling, Lifetime(60)) for spelling in spellings)
        choices = configured(Connection("lab", suites))
        self.assertEqual([choice.spelled for choice in choices], spellings)
        proposal = proposal_of(choices)
        self.assertEqual((proposal.number, proposal.protocol, proposal.spi), (1, 1, b""))
        self.assertEqual([t.number for t in proposal.transforms], [1, 2, 3])
        self.assertEqual([Parameters.read(t) for t in proposal.transforms], list(choices))


class ReadingTests(SynchronousTestCase):
    """What a peer offers."""

    def refused(self, *attributes: Attribute, because: str) -> None:
        """This transform cannot be taken, and the reason has these words."""
        error = self.assertRaises(AttributesNotSupported, read, *attributes)
        self.assertIn(because, str(error))
        self.assertLess(len(str(error)), 200)

    def test_order(self) -> None:
        """The order of the attributes does not matter; vpnc says the key's length first."""
        usual = read(*USUAL)
        self.assertEqual(usual.spelled, "aes256-sha256-modp2048")
        self.assertEqual(read(*reversed(USUAL)), usual)
        self.assertEqual(read(USUAL[1], USUAL[0], *USUAL[2:]), usual)
        self.assertEqual(read(SECONDS, Attribute.tv(DURATION, 9), *USUAL).lifetime, Lifetime(9))

    def test_no_key_length(self) -> None:
        """
        AES without a Key Length means 128 bits, and is the same as AES that says so.
        """
        unsaid = read(*without(KEY))
        self.assertIsNone(unsaid.key_bits)
        self.assertEqual(unsaid.algorithms, parse("aes128-sha256-modp2048").algorithms)
        self.assertNotEqual(unsaid.algorithms, read(*USUAL).algorithms)
        for number, octets in ((3, 56), (6, 16), (8, 16)):
            self.assertEqual(key_length(number, None), octets)

    def test_durations(self) -> None:
        """
        A duration may be basic or variable, of either unit or both; without one there is none.

        Proves: RFC 2409 appendix A
        """
        day = Attribute(DURATION, bytes.fromhex("00015180"), False)
        for attributes, lifetime in (
            ((), Lifetime()),
            ((SECONDS, Attribute.tv(DURATION, 3600)), Lifetime(3600)),
            ((SECONDS, Attribute.tlv(DURATION, 3600)), Lifetime(3600)),
            ((SECONDS, day), Lifetime(86400)),
            ((KILOBYTES, day, SECONDS, Attribute.tv(DURATION, 5)), Lifetime(5, 86400)),
            ((SECONDS, Attribute(DURATION, bytes(7) + b"\7", False)), Lifetime(7)),
            ((SECONDS, Attribute(DURATION, b"\xff" * 8, False)), Lifetime(2**32 - 1)),
            ((SECONDS, Attribute(DURATION, b"\0", False)), Lifetime()),
            ((SECONDS,), Lifetime()),
        ):
            self.assertEqual(read(*USUAL, *attributes).lifetime, lifetime)

    def test_bad_durations(self) -> None:
        """A duration that means nothing, or is written to cost something, is refused."""
        hour = Attribute.tv(DURATION, 3600)
        for attributes, because in (
            ((hour,), "Life Duration stands without a Life Type"),
            ((SECONDS, hour, hour), "Life Duration stands without a Life Type"),
            ((SECONDS, hour, SECONDS, Attribute.tv(DURATION, 7)), "Life Duration is said twice"),
            ((SECONDS, KILOBYTES, hour), "Life Type is said twice"),
            ((Attribute.tv(TYPE, 0), hour), "Life Type has the unknown value 0"),
            ((Attribute.tv(TYPE, 3), hour), "Life Type has the unknown value 3"),
            ((SECONDS, Attribute(DURATION, b"", False)), "Life Duration has 0 octets"),
            ((SECONDS, Attribute(DURATION, bytes(9), False)), "Life Duration has 9 octets"),
            ((SECONDS, Attribute(DURATION, bytes(65535), False)), "Life Duration has 65535 octets"),
        ):
            self.refused(*USUAL, *attributes, because=because)

    def test_missing(self) -> None:
        """
        Cipher, hash, group and authentication are all needed.

        Proves: RFC 2409 section 4 (row 4-4)
        Proves: RFC 2409 section 4 (row 4-6)
        """
        for kind in (ENCRYPTION, HASH, GROUP, METHOD):
            self.refused(*without(kind), because=f"{kind.spelled} is missing")
        self.refused(because="is missing")

    def test_twice(self) -> None:
        """An attribute that is said twice is refused, be it the same or another value."""
        for attribute in USUAL:
            for again in (attribute, Attribute.tv(attribute.kind, attribute.number + 1)):
                name = Phase1Attribute(attribute.kind).spelled
                self.refused(*USUAL, again, because=f"{name} is said twice")

    def test_basic_as_variable(self) -> None:
        """
        An attribute that is basic must not be written as a variable one: whoever takes it has to
        overlook that, and nobody can if its value does not fit.

        Proves: RFC 2409 appendix A (row A-1)
        """
        for attribute in (*USUAL, SECONDS):
            others = tuple(one for one in USUAL if one.kind != attribute.kind)
            name = Phase1Attribute(attribute.kind).spelled
            for value in (b"", b"\0\1\0\0", bytes(9)):
                variable = Attribute(attribute.kind, value, False)
                self.refused(*others, variable, because=f"{name} is basic")
        for attribute in USUAL:
            variables = [
                Attribute(one.kind, one.value, one is not attribute) for one in USUAL
            ]
            self.assertEqual(read(*variables), read(*USUAL))
            self.assertEqual(read(*variables).departures, {BASIC_AS_VARIABLE})
        self.assertEqual(read(*USUAL).departures, set())

    def test_unknown(self) -> None:
        """
        An attribute that is not known makes its transform unacceptable, a prf among them: there is
        none but the HMAC of the hash.  So do those of a group of one's own beside a known one.

        Proves: RFC 2409 section 4 (row 4-7)
        """
        known = {ENCRYPTION, HASH, METHOD, GROUP, KEY, TYPE, DURATION}
        for kind in (*range(18), 16383, 16384, 32767):
            if kind not in known:
                name = Phase1Attribute(kind).spelled
                for extra in (Attribute.tv(kind, 1), Attribute.tlv(kind, b"\1")):
                    self.refused(*USUAL, extra, because=f"{name} is not supported")

    def test_not_served(self) -> None:
        """
        A value that cannot be served is told: which one, and beside what.

        Proves: RFC 2408 section 5.11 (row 5.11-2)
        """
        for kind, value, because in (
            (ENCRYPTION, 0, "encryption algorithm 0 is not supported"),
            (ENCRYPTION, Encryption.RC5_R16_B64_CBC, "encryption algorithm 4"),
            (ENCRYPTION, 65535, "encryption algorithm 65535"),
            (HASH, HashAlgorithm.TIGER, "hash algorithm 3 is not supported"),
            (HASH, 0, "hash algorithm 0"),
            (GROUP, Group.EC2N_155, "a group not supported here"),
            (GROUP, 0, "a group not supported here"),
            (GROUP, 40000, "a group not supported here"),
            (KEY, 0, "a key of 0 bits"),
            (KEY, 100, "a key of 100 bits"),
            (KEY, 129, "a key of 129 bits"),
            (KEY, 512, "a key of 512 bits"),
        ):
            self.refused(*without(kind), Attribute.tv(kind, value), because=because)
        self.refused(
            *without(ENCRYPTION), Attribute.tv(ENCRYPTION, 5), because="a key of 256 bits"
        )

    def test_any_authentication(self) -> None:
        """Which authentication it is to be is not asked here: the choice among offers does."""
        for number in (0, 2, 3, 65001):
            got = read(*without(METHOD), Attribute.tv(METHOD, number))
            self.assertEqual(got.authentication, number)

    def test_many(self) -> None:
        """Two hundred attributes are refused at the first that is wrong, in few words."""
        numbers = range(100, 300)
        self.refused(*(Attribute.tv(n, n) for n in numbers), because="UNKNOWN-100 is not supported")
        self.refused(*USUAL * 40, because="Encryption Algorithm is said twice")
        self.refused(*USUAL, *(SECONDS,) * 200, because="Life Type is said twice")

    @given(transforms | nearly)
    @settings(deadline=None)
    def test_anything(self, received: Transform) -> None:
        """Whatever a peer sends is read, or refused by one kind of error and with a reason."""
        try:
            got = Parameters.read(received)
        except AttributesNotSupported as error:
            self.assertTrue(error.reason.rule)
        else:
            self.assertTrue(got.spelled)
            self.assertTrue(got.algorithms)
