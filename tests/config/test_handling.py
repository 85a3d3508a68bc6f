"""What ``swanctl.conf`` says of how a child's traffic is treated, and what is wrong with it."""

from __future__ import annotations

from isakmp.handling import Handling, Mark, Number, Unique
from tests.config.samples import ConfigurationTestCase, conf

EACH, EACH_WAY = Unique(), Unique(by_direction=True)
SHARED, SHARED_WAY = Unique(of_connection=True), Unique(by_direction=True, of_connection=True)


class HandlingTests(ConfigurationTestCase):
    def handling(self, child: str, connection: str = "") -> Handling:
        """Of the one child; nothing is warned of."""
        return self.child(conf(connection, child=child)).handling

    def test_defaults(self) -> None:
        """What is not said is what strongSwan makes of it."""
        self.assertEqual(self.handling(""), Handling())

    def test_plain(self) -> None:
        """Every key that stands by itself."""
        for child, wanted in (
            ("policies = no", Handling(policies=False)),
            ("policies_fwd_out = yes", Handling(policies_fwd_out=True)),
            ("priority = 4294967295", Handling(priority=4294967295)),
            ("reqid = 0x11", Handling(reqid=17)),
            ("interface = eth0", Handling(interface="eth0")),
            ("replay_window = 4096", Handling(replay_window=4096)),
            ("copy_dscp = out", Handling()),
            ("copy_dscp = IN", Handling(copy_dscp_in=True, copy_dscp_out=False)),
            ("copy_dscp = yes", Handling(copy_dscp_in=True)),
            ("copy_dscp = no", Handling(copy_dscp_out=False)),
            ("icmp = yes", Handling(icmp=True)),
            ("inactivity = 10m", Handling(inactivity=600)),
            ("mark_in = 42\nmark_in_sa = yes", Handling(mark_in=Mark(42), mark_in_sa=True)),
            ("mark_out = 0x2a/0xff", Handling(mark_out=Mark(42, 255))),
            ("mark_in = %unique", Handling(mark_in=Mark(EACH))),
            ("mark_out = %unique-dir/7", Handling(mark_out=Mark(EACH_WAY, 7))),
            ("set_mark_in = 3/3", Handling(set_mark_in=Mark(3, 3))),
            ("if_id_in = 9\nif_id_out = %unique", Handling(if_id_in=9, if_id_out=EACH)),
        ):
            self.assertEqual(self.handling(child), wanted, child)

    def test_same(self) -> None:
        """A mark to set is that of the policies, chosen or not, under a mask of its own."""
        found = self.handling(
            "mark_in = 42/0xff\nset_mark_in = %same\n"
            "mark_out = %unique-dir\nset_mark_out = %same/0xf0"
        )
        self.assertEqual(found.set_mark_in, Mark(42))
        self.assertEqual(found.set_mark_out, Mark(EACH_WAY, 0xF0))

    def test_same_as_nothing(self) -> None:
        """... which there has to be."""
        for way in ("in", "out"):
            self.assertIn(
                f"net.set_mark_{way}: %same is the mark of mark_{way}, and there is none",
                self.mistake(conf(child=f"set_mark_{way} = %same")),
            )

    def test_inherited(self) -> None:
        """Interface ids are the connection's where the child says none; then children share."""
        cases: tuple[tuple[str, str, tuple[Number, Number]], ...] = (
            ("if_id_in = 5\nif_id_out = 6", "", (5, 6)),
            ("if_id_in = 5\nif_id_out = 6", "if_id_out = 7", (5, 7)),
            ("if_id_in = 5", "if_id_in = 0", (5, 0)),
            ("if_id_in = %unique\nif_id_out = %unique-dir", "", (SHARED, SHARED_WAY)),
            ("if_id_in = %unique", "if_id_in = %unique", (EACH, 0)),
        )
        for connection, child, wanted in cases:
            found = self.handling(child, connection)
            self.assertEqual((found.if_id_in, found.if_id_out), wanted)

    def test_volumes(self) -> None:
        """
        Unless said, an SA ends a tenth after its renewal, and that is by how much it is spread; if
        only its end is said, its renewal is a tenth before.
        """
        for said, wanted in (
            ((), (0, 0, 0)),
            ((1000,), (1000, 1100, 100)),
            ((1000, 2000), (1000, 2000, 1000)),
            ((1000, 2000, 7), (1000, 2000, 7)),
            ((0, 2000), (0, 2000, 0)),
            ((None, 1100), (1000, 1100, 100)),
            ((1000, None, 0), (1000, 1100, 0)),
            ((1000, 0), (1000, 0, 0)),
            ((2**64 - 1,), (2**64 - 1, 2**64 - 1, 0)),
        ):
            for of in ("bytes", "packets"):
                keys = (f"rekey_{of}", f"life_{of}", f"rand_{of}")
                lines = [f"{k} = {n}" for k, n in zip(keys, said, strict=False) if n is not None]
                found = self.handling("\n".join(lines))
                octets = found.rekey_octets, found.life_octets, found.rand_octets
                packets = found.rekey_packets, found.life_packets, found.rand_packets
                self.assertEqual(octets if of == "bytes" else packets, wanted, lines)
                self.assertEqual(packets if of == "bytes" else octets, (0, 0, 0))

    def test_ends_first(self) -> None:
        """What would end before it is renewed is warned of."""
        for of in ("bytes", "packets"):
            (told,) = self.warnings(conf(child=f"rekey_{of} = 20\nlife_{of} = 10"))
            self.assertIn(f"net.life_{of}: it ends after 10, before it is renewed (20)", told)

    def test_never_idle(self) -> None:
        """So is a time without traffic that each renewal begins anew before it is over."""
        (told,) = self.warnings(conf(child="inactivity = 2h"))
        self.assertIn("net.inactivity: never reached: it is counted anew with each renewal", told)
        self.assertEqual(self.warnings(conf(child="inactivity = 2h\nrekey_time = 0")), [])

    def test_no_policies(self) -> None:
        """What is nothing but policies cannot be without them."""
        both = "local_ts = 10.1.0.0/16\nremote_ts = 10.2.0.0/16\npolicies = no\n"
        for child in ("mode = pass", "mode = drop", "start_action = trap"):
            told = self.mistake(conf("remote_addrs = 192.0.2.2", child=both + child))
            self.assertIn("net.policies: a trap is a policy", told)

    def test_wrong(self) -> None:
        """Nothing that would select other traffic than was meant is taken for something else."""
        for child, sentence in (
            ("mark_in = %same", "'%same' is not a mark: a number, %unique or %unique-dir; /mask"),
            ("mark_out = %unique/0", "a mark of its own needs a mask with bits"),
            ("mark_in = 0x1ffffffff", "is more than 4294967295"),
            ("mark_in_sa = perhaps", "'perhaps' is neither yes nor no"),
            ("set_mark_in = %unique", "'%unique' is not a mark to set: a number or %same; /mask"),
            ("if_id_in = 7/255", "'7/255' is not an interface id: a number, %unique"),
            ("if_id_out = -1", "'-1' is not a number"),
            ("interface = eth0/1", "'eth0/1' is not an interface's name"),
            ("interface = an-interface-too-long", "up to 15 octets"),
            ("priority = 4294967296", "is more than 4294967295"),
            ("reqid = one", "'one' is not a number"),
            ("copy_dscp = both", "'both' is not out, in, yes or no"),
            ("icmp = maybe", "'maybe' is neither yes nor no"),
            ("policies_fwd_out = 2", "'2' is neither yes nor no"),
            ("inactivity = soon", "'soon' is not a time"),
            ("rand_bytes = 10%", "'10%' is not a volume"),
            ("rand_packets = 1k", "'1k' is not a number"),
            ("replay_window = 4097", "4097 is more than 4096, the most there is"),
            ("replay_window = 4294967295", "4294967295 is more than 4096"),
        ):
            self.assertIn(sentence, self.mistake(conf(child=child)), child)
        for key in ("if_id_in", "if_id_out"):
            self.assertIn("is not an interface id", self.mistake(conf(f"{key} = %same")))

    def test_offload(self) -> None:
        """The kernel's software protects: with auto that is what is meant, else it is said."""
        for value in ("no", "auto"):
            self.assertEqual(self.warnings(conf(child=f"hw_offload = {value}")), [])
        for value in ("yes", "crypto", "packet"):
            (told,) = self.warnings(conf(child=f"hw_offload = {value}"))
            self.assertIn("the kernel's software protects the traffic, not the network", told)
