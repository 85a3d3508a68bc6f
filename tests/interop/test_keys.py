"""
The keys that charon logs are read right, and ours are compared without being shown.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from isakmp.crypto.fingerprints import fingerprint
from isakmp.parts import Role
from tests.ike.recorded import recorded
from tests.interop.keys import dumps, expected, expected_of_child, fingerprints, logged_keys

#: Logged by charon 5.9.8 at level 4; the keys of a closed test network.
LOG = """\
10[IKE] shared Diffie Hellman secret => 4 bytes @ 0x7ffb9800dd20
10[IKE]    0: 9A 89 44 2E                                      ..D.
10[IKE] SKEYID_d => 20 bytes @ 0x7ffb98008a40
10[IKE]    0: B1 7C 01 88 46 23 45 84 34 44 77 5C D8 D3 E8 DC  .|..F#E.4Dw\\....
10[IKE]   16: D3 DC 7F 07                                      ....
10[IKE] SKEYID_a => 4 bytes @ 0x7ffb9800fb20
10[IKE]    0: 09 F5 F2 FF                                      AA BB
10[IKE] encryption key Ka => 16 bytes @ 0x7ffb9800fb50
10[IKE]    0: 90 2B CA 14 AD 6D BF FE 8C F1 72 91 61 54 F3 5C  .+...m....r.aT.\\
10[ENC] generating ID_PROT response 0 [ KE No ]
04[CHD] encryption initiator key => 2 bytes @ 0x7ffb8c002590
04[CHD]    0: A8 79                                            .y
04[CHD] encryption responder key => 2 bytes @ 0x7ffb8c000ce0
04[CHD]    0: 5C 00                                            \\.
04[CHD] integrity initiator key => 1 bytes @ 0x7ffba40013d0
04[CHD]    0: 13                                               .
04[CHD] adding inbound ESP SA
05[CHD] encryption initiator key => 1 bytes @ 0x7ffb8c002590
05[CHD]    0: 44                                               .y
"""


class LoggedKeysTests(SynchronousTestCase):
    """What charon writes becomes octets, or is refused."""

    def test_values(self) -> None:
        """Each key is there, whole, and those of two Quick Modes are apart."""
        logged = logged_keys(LOG)
        self.assertEqual(sorted(logged.isakmp), ["Ka", "SKEYID_a", "SKEYID_d"])
        self.assertEqual(len(logged.isakmp["SKEYID_d"]), 20)
        self.assertEqual(logged.isakmp["SKEYID_d"][-4:], bytes.fromhex("d3dc7f07"))
        self.assertEqual(logged.isakmp["SKEYID_a"], bytes.fromhex("09f5f2ff"))
        self.assertEqual(
            logged.children,
            [
                {
                    "encryption initiator": b"\xa8\x79",
                    "encryption responder": b"\x5c\0",
                    "integrity initiator": b"\x13",
                },
                {"encryption initiator": b"\x44"},
            ],
        )
        self.assertEqual(dumps(LOG)[0], ("shared Diffie Hellman secret", b"\x9a\x89\x44\x2e"))

    def test_refused(self) -> None:
        """A dump that is cut short, keys of two SAs and none at all are refused."""
        lines = LOG.splitlines(keepends=True)
        for without in (1, 3, 4, 8, 11):
            self.assertRaises(ValueError, dumps, "".join(lines[:without] + lines[without + 1 :]))
        self.assertRaises(ValueError, logged_keys, LOG + LOG)
        self.assertRaises(ValueError, logged_keys, "")


class FingerprintTests(SynchronousTestCase):
    """What is compared."""

    def test_same(self) -> None:
        """
        An SA of ours with the keys that strongSwan has logged has the fingerprints of these keys,
        and with any other key it has another.
        """
        for conversation in recorded():
            keys = {
                "SKEYID_d": conversation["skeyid_d"],
                "SKEYID_a": conversation["skeyid_a"],
                "Ka": conversation["ka"],
            }
            ours = fingerprints(conversation.isakmp_sa(Role.INITIATOR))
            self.assertEqual(expected(keys, conversation.parameters), ours)
            for name, key in keys.items():
                other = {**keys, name: bytes([key[0] ^ 2]) + key[1:]}
                differing = expected(other, conversation.parameters)
                self.assertNotEqual(differing.pop(name), ours[name])
                self.assertLessEqual(differing.items(), ours.items())
            for key in keys.values():
                self.assertNotIn(key.hex()[:16], str(ours))

    def test_child(self) -> None:
        """A child's fingerprint is that of both keys of one direction, in this order."""
        keys = {"encryption initiator": b"ab", "integrity initiator": b"c"}
        self.assertEqual(expected_of_child(keys, "initiator"), fingerprint(b"abc"))
        del keys["integrity initiator"]
        self.assertEqual(expected_of_child(keys, "initiator"), fingerprint(b"ab"))
