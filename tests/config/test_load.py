"""``swanctl.conf``, from the file to the values that a node is made of."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isakmp.associations import Action, Lifetime, Offer
from isakmp.config.key_table import KEYS
from isakmp.config.load import Configuration, load
from isakmp.config.mistakes import ConfigurationErrors
from isakmp.config.proposals import DEFAULT_ESP, DEFAULT_IKE
from isakmp.config.settings import ChildSettings, ConnectionSettings, Settings, ViciSettings
from isakmp.connections import Child, Connection, Renewal, StartAction
from isakmp.doi.ipsec import ipsec
from isakmp.doi.isakmp import ISAKMPDOI
from isakmp.errors import ConfigurationError
from isakmp.identity import Identity, IdentityPattern, TrafficSelector
from isakmp.ike.key_exchange import ike
from isakmp.policy import ConfiguredPolicy
from isakmp.sinks.log import LogSink
from tests.config.samples import SECRET, ConfigurationTestCase, conf


def spelled(connection: Connection) -> list[str]:
    """Its proposals."""
    return [ike.spell(suite) for suite in connection.suites]


def suites(child: Child) -> list[str]:
    """The protection a child takes."""
    return [ipsec.spell(suite) for suite in child.suites]


class ConnectionTests(ConfigurationTestCase):
    def test_defaults(self) -> None:
        """What is not said is what strongSwan makes of it."""
        connection = self.connection(conf())
        self.assertEqual(connection.name, "gw")
        self.assertEqual((connection.local, connection.remote), ((), ()))
        self.assertEqual((connection.local_port, connection.remote_port), (500, 500))
        self.assertIsNone(connection.local_identity)
        self.assertEqual(connection.remote_identity, IdentityPattern("%any"))
        self.assertEqual(connection.lifetime, Lifetime(seconds=15840))
        self.assertEqual(connection.renewal, Renewal(14400, 1440))
        self.assertEqual(spelled(connection), list(DEFAULT_IKE))
        self.assertTrue(connection.initial_contact)
        self.assertEqual((connection.doi, connection.exchange), (1, 2))
        self.assertEqual(connection.key_exchange, "ike")
        (child,) = connection.children
        self.assertEqual((child.name, child.local, child.remote), ("net", (), ()))
        self.assertEqual(suites(child), ["esp=" + "|".join(DEFAULT_ESP)])
        self.assertEqual(child.lifetime, Lifetime(seconds=3960))
        self.assertEqual(child.renewal, Renewal(3600, 360))
        self.assertIs(child.start, StartAction.NONE)

    def test_everything(self) -> None:
        """Every honoured key does what it says."""
        connection = self.connection(
            conf(
                "local_addrs = 192.0.2.1\nremote_addrs = 198.51.100.0/24, 198.51.100.7\n"
                "local_port = 1500\nremote_port = 0x5dc\n"
                "proposals = aes256-sha384-ecp384, 3des-sha1-modp1024\n"
                "rekey_time = 2h\nover_time = 5m\nrand_time = 1m\nunique = no",
                local="auth = psk\nid = user@example.org\nround = 1",
                remote="auth = PSK\nid = *.example.org",
                child="local_ts = 10.0.0.0/8[tcp/80]\nremote_ts = 10.9.0.0/16\n"
                "esp_proposals = aes256gcm16-modp2048\nmode = transport\nrekey_time = 10m\n"
                "life_time = 20m\nrand_time = 30s\nstart_action = start",
            )
        )
        self.assertEqual(connection.local, ("192.0.2.1",))
        self.assertEqual(connection.remote, ("198.51.100.7", "198.51.100.0/24"))
        self.assertEqual((connection.local_port, connection.remote_port), (1500, 1500))
        self.assertEqual(spelled(connection), ["aes256-sha384-ecp384", "3des-sha1-modp1024"])
        self.assertEqual(connection.lifetime, Lifetime(seconds=7500))
        self.assertEqual(connection.renewal, Renewal(7200, 60))
        self.assertEqual(connection.local_identity, Identity.parse("user@example.org"))
        self.assertEqual(connection.remote_identity, IdentityPattern("*.example.org"))
        (child,) = connection.children
        self.assertEqual(child.local, (TrafficSelector.parse("10.0.0.0/8[tcp/80]"),))
        self.assertEqual(child.remote, (TrafficSelector.parse("10.9.0.0/16"),))
        self.assertEqual(suites(child), ["transport:esp=aes256gcm16-modp2048"])
        self.assertEqual(child.lifetime, Lifetime(seconds=1200))
        self.assertEqual(child.renewal, Renewal(600, 30))
        self.assertIs(child.start, StartAction.START)

    def test_beyond_esp(self) -> None:
        """
        AH instead of ESP, or either; compression before, and without it; 64-bit sequence numbers;
        an HMAC that the peer cuts.
        """
        for child, wanted in (
            ("ah_proposals = sha256, sha1", ["ah=sha256|sha1"]),
            ("mode = transport\nah_proposals = sha1-modp2048", ["transport:ah=sha1-modp2048"]),
            (
                "esp_proposals = aes128-sha256\nah_proposals = sha256",
                ["esp=aes128-sha256", "ah=sha256"],
            ),
            (
                "esp_proposals = aes128-sha256-modp2048\nipcomp = yes",
                ["esp=aes128-sha256-modp2048+ipcomp=deflate", "esp=aes128-sha256-modp2048"],
            ),
            (
                "esp_proposals = aes128ccm16-esn-noesn",
                ["esp=aes128ccm16-esn|aes128ccm16"],
            ),
        ):
            found = self.child(conf(child=child))
            self.assertEqual(suites(found), wanted)
            self.assertEqual(found.quirks, frozenset())
        self.assertEqual(
            self.child(conf(child="sha256_96 = yes")).quirks, frozenset({"sha256_96"})
        )

    def test_as_captured(self) -> None:
        """
        With a proposal and nothing else said, what is offered is octet by octet what charon with
        the same file offered.
        """
        vectors = Path(__file__).parents[1] / "vectors" / "data" / "main-psk.json"
        capture = json.loads(vectors.read_text())
        connection = self.connection(
            conf("proposals = aes128-sha256-modp2048", child="esp_proposals = aes128-sha256")
        )
        offer = Offer(1, ipsec.phase1_situation, connection.suites)
        self.assertEqual(offer.payload().encode().hex(), capture["isakmp_sas"][0]["sa_i"])

    def test_children(self) -> None:
        """Children keep their names and their order; a connection may have none."""
        found = self.connection(conf(children="b { }\na { }\n3 { }"))
        self.assertEqual([child.name for child in found.children], ["b", "a", "3"])
        self.assertEqual(self.connection(conf(children="")).children, ())

    def test_aggressive(self) -> None:
        """
        ``aggressive = yes`` begins with Aggressive Mode, and each time it is read it is said what
        that gives away; so does isakmp.toml's word for it.
        """
        named = "auth = psk\nid = r.lab"
        for key, own in (
            ("aggressive = yes", ConnectionSettings()),
            ("", ConnectionSettings(exchange="aggressive")),
        ):
            text = conf(f"{key}\nproposals = aes128-sha256-modp2048", remote=named)
            found = self.load(text, Settings(connections={"gw": own}))
            self.assertEqual([c.exchange for c in found.connections], [4])
            (warning,) = map(str, found.warnings)
            self.assertIn("guess the pre-shared key offline", warning)
        self.assertEqual(self.connection(conf("aggressive = no")).exchange, 2)

    def test_aggressive_with_whom(self) -> None:
        """
        A connection whose peer is anybody, or anybody of a domain, cannot have it.
        """
        for remote in ("auth = psk", "auth = psk\nid = *.lab"):
            for addresses in ("", "\nremote_addrs = 192.0.2.0/24", "\nremote_addrs = %any"):
                text = conf(f"aggressive = yes{addresses}", remote=remote)
                self.assertIn("the peer is not named", self.mistake(text))
        for addresses in ("192.0.2.1", "192.0.2.1, 192.0.2.2"):
            found = self.load(conf(f"aggressive = yes\nremote_addrs = {addresses}"))
            self.assertEqual(found.connections[0].exchange, 4)

    def test_aggressive_groups(self) -> None:
        """
        Proposals that cannot be offered in it are named: the group is that of the first.
        """
        first, other = "aes128-sha256-modp2048", "aes128-sha256-ecp256"
        text = conf(
            f"aggressive = yes\nproposals = {first}, {other}", remote="auth = psk\nid = r.lab"
        )
        _, warning = self.warnings(text)
        self.assertIn(f"where the group is that of the first: {other}", warning)

    def test_exchange(self) -> None:
        """
        What a connection is begun with, and what makes its children, has to be what its key
        exchange runs; and the two files may not contradict each other.
        """

        def own(**words: str) -> Settings:
            return Settings(connections={"gw": ConnectionSettings(**words)})  # type: ignore[arg-type]

        for name in ("main", "identity-protection"):
            self.assertEqual(self.connection(conf(), own(exchange=name)).exchange, 2)
        for name in ("base", "authentication-only"):
            told = self.mistake(conf(), own(exchange=name))
            self.assertIn(f"the key exchange ike does not run '{name}'", told)
            self.assertIn("valid: 'main', 'identity-protection' or 'aggressive'", told)
        told = self.mistake(conf("aggressive = yes"), own(exchange="main"))
        self.assertIn("connections.gw.aggressive: isakmp.toml says", told)
        self.assertEqual(self.connection(conf()).child_exchange, 0)
        found = self.connection(conf(), own(child_exchange="quick-mode"))
        self.assertEqual(found.child_exchange, 32)
        told = self.mistake(conf(), own(child_exchange="base"))
        self.assertIn("no exchange 'base' makes children with the key exchange ike", told)
        self.assertIn("valid: 'quick-mode'", told)

    def test_used_by_a_node(self) -> None:
        """The policy of a node takes what was read."""
        found = self.load(conf("remote_addrs = 192.0.2.0/24, 10.0.0.1-10.0.0.9, %any6"))
        policy = ConfiguredPolicy(found.connections, LogSink().supports, {1: ipsec})
        self.assertEqual(policy.connection("gw"), found.connections[0])

    def test_versions(self) -> None:
        """IKEv2's connections are skipped with one line each; 0 means IKEv1, and that is said."""
        both = (
            "connections { two { version = 2\naggressive = yes\nnonsense = 1\nx { } } }\n" + conf()
        )
        found = self.load(both)
        self.assertEqual([connection.name for connection in found.connections], ["gw"])
        (warning,) = found.warnings
        self.assertEqual(
            (warning.key, warning.text), ("connections.two", "skipped: it is for IKEv2")
        )
        for version in ("", "version = 0"):
            (text,) = self.warnings(conf(version=version))
            self.assertIn("1 is meant here", text)
        self.assertIn("version: '3' is not 0, 1 or 2", self.mistake(conf(version="version = 3")))
        only = self.warnings("connections { two { version = 2 } }")
        self.assertEqual(len(only), 2)
        self.assertIn("no connection is served", only[1] + only[0])

    def test_inheritance(self) -> None:
        """A connection made of templates is like one that says all itself."""
        found = self.connection(
            """
            psk { local { auth = psk }
              remote { auth = psk } }
            sha1 { proposals = aes128-sha1-modp1024
              version = 1 }
            connections {
              gw : psk, sha1 { remote { id = gw.example.org }
                children { net : nets { } } }
            }
            nets { local_ts = 10.0.0.0/8
              esp_proposals = aes128-sha1 }
            secrets { ike { secret = x } }
            """
        )
        self.assertEqual(spelled(found), ["aes128-sha1-modp1024"])
        self.assertEqual(found.remote_identity, IdentityPattern("gw.example.org"))
        self.assertEqual(found.children[0].local, (TrafficSelector.parse("10.0.0.0/8"),))

    def test_include(self) -> None:
        """Connections may stand in files of their own; a mistake names the file it is in."""
        at = self.mktemp()
        self.write("gw {\nversion = 1\nencap = yes\n}", "conf.d/gw.conf", at)
        path = self.write("connections { include conf.d/*.conf\n }\n", at=at)
        error = self.assertRaises(ConfigurationErrors, load, path)
        self.assertIn(f"{at}/conf.d/gw.conf:3: connections.gw.encap: ", str(error))

    def test_lifetimes(self) -> None:
        """strongSwan's arithmetic, for ISAKMP SAs."""
        for text, lifetime, after, spread in (
            ("rekey_time = 1h", 3960, 3600, 360),
            ("reauth_time = 1h", 3960, 3600, 360),
            ("reauth_time = 10h\nrekey_time = 1h", 39600, 3600, 1800),
            ("reauth_time = 1h\nrekey_time = 10h", 7200, 3600, 1800),
            ("rekey_time = 100\nover_time = 0", 100, 100, 0),
            ("rekey_time = 100\nrand_time = 1h", 110, 100, 100),
            ("rekey_time = 0", 0, 0, 0),
            ("rekey_time = 0\nreauth_time = 0", 0, 0, 0),
            ("over_time = 1h", 18000, 14400, 3600),
            ("rekey_time = 0xffffffff", 2**32 - 1, 2**32 - 1, (2**32 - 1) // 10),
        ):
            found = self.connection(conf(text))
            self.assertEqual(found.lifetime, Lifetime(seconds=lifetime), text)
            self.assertEqual(found.renewal, Renewal(after, spread), text)

    def test_child_lifetimes(self) -> None:
        """And for children; it divides by 1.1 and cuts off."""
        for text, lifetime, after, spread in (
            ("rekey_time = 1m", 66, 60, 6),
            ("life_time = 110", 110, 99, 11),
            ("life_time = 1h\nrekey_time = 1h", 3600, 3600, 0),
            ("rekey_time = 0", 0, 0, 0),
            ("rekey_time = 0\nlife_time = 1h", 3600, 0, 0),
            ("rekey_time = 50\nlife_time = 200\nrand_time = 100", 200, 50, 50),
        ):
            child = self.child(conf(child=text))
            self.assertEqual(child.lifetime, Lifetime(seconds=lifetime), text)
            self.assertEqual(child.renewal, Renewal(after, spread), text)
        (text,) = self.warnings(conf(child="life_time = 1m\nrekey_time = 2m"))
        self.assertIn("it ends after 60 s, before it is renewed", text)

    def test_start(self) -> None:
        """Only what has an address to go to can be begun at start."""
        for action, wanted in (
            ("none", StartAction.NONE),
            ("clear", StartAction.NONE),
            ("Start", StartAction.START),
            ("restart", StartAction.START),
        ):
            text = conf("remote_addrs = %any, 192.0.2.1", child=f"start_action = {action}")
            self.assertIs(self.child(text).start, wanted)
        for addresses in ("", "remote_addrs = %any", "remote_addrs = 192.0.2.0/24"):
            found = self.mistake(conf(addresses, child="start_action = start"))
            self.assertIn("no single address to begin with", found)

    def test_not_protected(self) -> None:
        """What passes or is dropped has an action, no proposals, and is never begun."""
        ends = "local_ts = 10.1.0.0/24\nremote_ts = 10.1.0.0/24[tcp/22]\nstart_action = start"
        for mode, action in (("pass", Action.PASS), ("DROP", Action.DROP)):
            child = self.child(conf(child=f"mode = {mode}\n{ends}"))
            self.assertIs(child.action, action)
            self.assertEqual((child.suites, child.start), ((), StartAction.NONE))
            self.assertEqual([str(one) for one in child.remote], ["10.1.0.0/24[tcp/22]"])
        self.assertIs(self.child(conf(child="mode = transport")).action, Action.PROTECT)

    def test_not_protected_of_many(self) -> None:
        """Of several selectors none is left out in silence, and none is guessed."""
        for local in ("", "local_ts = 10.1.0.0/24, 10.2.0.0/24", "local_ts = dynamic"):
            found = self.mistake(conf(child=f"mode = drop\nremote_ts = 10.9.0.0/24\n{local}"))
            self.assertIn("local_ts: what passes or is dropped needs one selector", found)

    def test_updown(self) -> None:
        """A script is kept as it is written, with whether the host itself may be reached."""
        for said, command, access in (
            ("", "", False),
            ("updown =", "", False),
            ("updown = /x/script", "/x/script", False),
            ("updown = \"/x/script 'two words' $HOME\"", "/x/script 'two words' $HOME", False),
            ("updown = /x/script\nhostaccess = yes", "/x/script", True),
        ):
            handling = self.child(conf(child=said)).handling
            self.assertEqual((handling.updown, handling.host_access), (command, access), said)
        self.assertEqual(self.warnings(conf(child="updown = /x/script\nhostaccess = yes")), [])

    def test_updown_mistaken(self) -> None:
        """A quotation that does not end is a mistake with its place, before anything runs."""
        found = self.mistake(conf(child="updown = /x/it's"))
        self.assertIn("updown: no closing quotation", found)

    def test_dynamic(self) -> None:
        """``dynamic`` is the known address where one is, and what it will be where none is."""
        here, there = "local_addrs = 192.0.2.1", "remote_addrs = 192.0.2.2"
        child = self.child(conf(here, child="local_ts = dynamic[tcp]\nremote_ts = dynamic"))
        self.assertEqual(child.local, (TrafficSelector.parse("192.0.2.1[tcp]"),))
        self.assertEqual(child.remote, ())
        text = conf(f"{here}\n{there}", child="remote_ts = dynamic, 10.0.0.0/8")
        (warning,) = self.warnings(text)
        self.assertIn("the first is asked for", warning)
        (child,) = self.load(text).connections[0].children
        self.assertEqual([str(s) for s in child.remote], ["192.0.2.2", "10.0.0.0/8"])
        self.assertIn("has to be known", self.mistake(conf(child="local_ts = dynamic[tcp]")))
        self.assertIn(
            "one known address", self.mistake(conf(child="local_ts = dynamic, 10.0.0.0/8"))
        )

    def test_groups(self) -> None:
        """Groups that differ are taken from a peer, but cannot be begun with."""
        text = "esp_proposals = aes128-sha256-modp2048, aes256-sha256-modp2048, aes128-sha256"
        (warning,) = self.warnings(conf(child=text))
        self.assertIn("the same group in every proposal", warning)
        (child,) = self.load(conf(child=text)).connections[0].children
        self.assertEqual(
            suites(child),
            ["esp=aes128-sha256-modp2048|aes256-sha256-modp2048", "esp=aes128-sha256"],
        )
        start = conf("remote_addrs = 192.0.2.1", child=f"{text}\nstart_action = start")
        self.assertIn("the same group in every proposal", self.mistake(start))

    def test_initial_contact(self) -> None:
        """With ``unique = never`` it is not said."""
        (connection,) = self.load(conf("unique = never")).connections
        self.assertFalse(connection.initial_contact)

    def test_unique(self) -> None:
        """With ``unique = replace`` a peer that comes back takes the place of what it had."""
        for text, unique in (("unique = replace", True), ("unique = no", False), ("", False)):
            (connection,) = self.load(conf(text)).connections
            self.assertEqual((connection.unique, connection.initial_contact), (unique, True))

    def test_left_out(self) -> None:
        """IKEv2's proposals beside others are left out with a warning."""
        text = conf("proposals = aes128gcm16-prfsha256-ecp256, aes128-sha256-modp2048")
        (warning,) = self.warnings(text)
        self.assertIn("proposals: left out: 'aes128gcm16-prfsha256-ecp256'", warning)


class MistakeTests(ConfigurationTestCase):
    def test_all_at_once(self) -> None:
        """All mistakes, in the order of the file, each with line and key."""
        found = self.mistakes(
            conf(
                "local_addrs = gateway\nencap = yes\ndpd_delai = 3\n"
                "proposals = aes128-md4-modp2048",
                local="auth = pubkey\ncerts = x.pem",
                remote="id = C=CH",
                child="mode = beet\nlocal_ts = 10.0.0.0/99\nesp_proposals = aes128\nfoo { }",
                secrets="ike { secret = 0xyz }\nikx { secret = x }",
            )
        )
        wanted = (
            ("4: connections.gw.local_addrs", "valid are addresses"),
            ("5: connections.gw.encap", "valid: no"),
            ("6: connections.gw.dpd_delai", "did you mean dpd_delay?"),
            ("7: connections.gw.proposals", "known are"),
            ("9: connections.gw.local.auth", "valid: psk"),
            ("10: connections.gw.local.certs", "leave it out"),
            ("12: connections.gw.remote.auth", "only psk"),
            ("13: connections.gw.remote.id", "valid are an IP address"),
            ("17: connections.gw.children.net.mode", "valid: tunnel, transport, pass or drop"),
            ("18: connections.gw.children.net.local_ts", "is not an address, a network or a range"),
            ("19: connections.gw.children.net.esp_proposals", "integrity: md5"),
            ("20: connections.gw.children.net.foo", "here is none"),
            ("26: secrets.ike.secret", "hexadecimal digits"),
            ("27: secrets.ikx", "did you mean ike<suffix>?"),
        )
        self.assertEqual(len(found), len(wanted), found)
        for text, (where, valid) in zip(found, wanted, strict=True):
            self.assertTrue(text.startswith(f"{where}: "), text)
            self.assertIn(valid, text)

    def test_values_are_not_said_to_be_missing_after_a_fault(self) -> None:
        """A faulty line is told alone: what it was meant to say is not missed as well."""
        for text in (
            conf(local="auth psk"),
            conf(secrets="ike { secret x }"),
            conf(secrets="ike secret = x"),
        ):
            self.assertIn("'='", self.mistake(text))

    def test_authentication(self) -> None:
        """Anything but one round of pre-shared keys at both ends is refused with a sentence."""
        for method, why in (
            ("pubkey", "certificates and raw public keys are not built yet"),
            ("rsa-2048", "certificates and raw public keys are not built yet"),
            ("ike:pubkey-sha256", "certificates and raw public keys are not built yet"),
            ("xauth-generic", "XAuth is not built yet"),
            ("eap-mschapv2", "EAP is IKEv2's"),
            ("none", "'none' is no way to authenticate"),
        ):
            for end in ("local", "remote"):
                found = self.mistake(conf(**{end: f"auth = {method}"}))
                self.assertIn(f"connections.gw.{end}.auth: {why}", found)
                self.assertIn("valid: psk", found)
        for end in ("local", "remote"):
            self.assertIn("it is pubkey unless said", self.mistake(conf(**{end: ""})))
        found = self.mistakes("connections { gw { version = 1 } }\nsecrets { ike { secret = x } }")
        self.assertEqual(len(found), 2)
        self.assertIn("valid: local { auth = psk }", found[0])
        self.assertIn("how the peer authenticates; valid: remote { auth = psk }", found[1])

    def test_rounds(self) -> None:
        """A second round is refused, whichever comes first; their order is that of ``round``."""
        for end in ("local", "remote"):
            for more in ("auth = xauth", "auth = psk", "auth = psk\nround = 1"):
                text = conf(f"{end}-2 {{\n{more}\nround = 2\n}}")
                found = self.mistake(text)
                self.assertIn(f"connections.gw.{end}-2: a second round", found)
        text = conf("local-2 {\nauth = psk\n}", local="auth = psk\nround = 1")
        self.assertIn("connections.gw.local: a second round", self.mistake(text))

    def test_certificate_sections(self) -> None:
        """A section that names a certificate is refused as a whole."""
        found = self.mistake(conf(remote="auth = psk\ncacert { file = x }"))
        self.assertIn("remote.cacert: certificates and raw public keys are not built yet", found)

    def test_local_pattern(self) -> None:
        """We are one, and say so or not at all."""
        found = self.mistake(conf(local="auth = psk\nid = *.example.org"))
        self.assertIn("here has to stand one identity", found)
        self.assertIsNone(self.connection(conf(local="auth = psk\nid = %any")).local_identity)

    def test_unknown_sections(self) -> None:
        """A misspelled section is a mistake, an unused one warned of, and a template neither."""
        self.assertIn("did you mean connections?", self.mistake("conections { }\n" + conf()))
        (warning,) = self.warnings("charon { x = 1 }\n" + conf())
        self.assertIn("no section of this name means anything", warning)
        self.assertEqual(self.warnings("t { x { y = 1 } }\n" + conf("local : t.x { y = }")), [])
        self.assertIn("a key outside of every section", self.mistake("x = 1\n" + conf()))

    def test_templates_are_checked_where_they_are_used(self) -> None:
        """A mistake in a template is told once, at its line, whoever inherits it."""
        text = (
            "t {\nencap = yes\nversion = 1\nlocal { auth = psk }\nremote { auth = psk } }\n"
            "connections {\na : t { }\nb : t { }\n}\nsecrets { ike { secret = x } }"
        )
        self.assertIn("2: connections.a.encap: ", self.mistake(text))

    def test_sections_and_keys_are_not_mixed_up(self) -> None:
        """A section where a key belongs is a mistake, and the other way round."""
        self.assertIn("no such section", self.mistake(conf("proposals { }")))
        self.assertIn("no such key", self.mistake(conf("children = x")))
        self.assertIn("no such key", self.mistake("connections { gw = x }\n"))
        self.assertIn("here are sections only", self.mistake("secrets { ike = x }\n"))

    def test_dangling_reference(self) -> None:
        """What a template would have said might protect: one that is not there is a mistake."""
        found = self.mistake(conf().replace("gw {", "gw : strict {"))
        self.assertEqual(found, "2: there is no section strict to take settings from")

    def test_no_file(self) -> None:
        """One line for a file that is not there."""
        error = self.assertRaises(ConfigurationErrors, load, "/no/such/swanctl.conf")
        self.assertEqual(
            str(error),
            "/no/such/swanctl.conf: this file cannot be read: No such file or directory",
        )
        self.assertIsInstance(error, ConfigurationError)

    def test_long(self) -> None:
        """A mistake is one line of some length, whatever stands in the file."""
        self.assertLess(len(self.mistake(conf(f"encap = {'x' * 100_000}"))), 2000)

    def test_refused_mode(self) -> None:
        """Where the mode itself is refused, no more is said of the proposals."""
        found = self.mistake(conf(child="mode = beet"))
        self.assertIn("mode: this mode is not built; valid: tunnel, transport, pass or drop", found)
        found = self.mistake(conf(child="esp_proposals = aes128-aes128gcm16"))
        self.assertIn("proposals of their own", found)
        (warning,) = self.warnings(
            conf(child="esp_proposals = aes128-sha1-ke1_mlkem768, aes128-sha1")
        )
        self.assertIn("left out: 'aes128-sha1-ke1_mlkem768'", warning)
        found = self.mistake(conf("proposals = aes128-sha256-prfsha1-modp2048"))
        self.assertIn("leave prfsha1 out", found)

    def test_once(self) -> None:
        """A key that a hundred connections have is warned of once, with the number."""
        one = "local { auth = psk }\nremote { auth = psk }\nversion = 1\ndpd_delay = 30s"
        many = "".join(f"c{n} {{ {one}\n }}\n" for n in range(100))
        text = f"connections {{ {many} }}\nsecrets {{ ike {{ secret = x }} }}"
        (warning,) = self.warnings(text)
        self.assertIn("connections.c0.dpd_delay: ignored: ", warning)
        self.assertIn("(100 times in all)", warning)

    def test_ignored_sections(self) -> None:
        """Secrets, pools and authorities that nothing uses are one warning each kind."""
        found = self.warnings(
            conf(secrets="ike { secret = x }\neap-a { secret = y\nid = z }\nprivate { any = 1 }")
            + "pools { p { addrs = 10.0.0.0/8\ndns = x } }\nauthorities { a { cacert = x } }"
        )
        self.assertEqual(len(found), 4)
        self.assertNotIn("y", " ".join(text.partition("ignored")[0] for text in found))
        self.assertIn("pools: Mode Config", self.mistake(conf("pools = p")))


class SecretTests(ConfigurationTestCase):
    def test_owners(self) -> None:
        """A secret knows its octets and its owners; of both nothing is shown."""
        found = self.load(
            conf(
                secrets=f"ike-1 {{ secret = {SECRET}\nid-1 = gw.example.org\nid-2 = 10.0.0.0/8 }}\n"
                "ike2 { secret = 0x0102 }\n"
                'ike { secret = "  blanks  "\nidx = fqdn:10.0.0.1 }'
            )
        )
        self.assertEqual(
            [(secret.secret, secret.owners) for secret in found.secrets],
            [
                (SECRET.encode(), ("gw.example.org", "10.0.0.0/8")),
                (b"\1\2", ("%any",)),
                (b"  blanks  ", ("@10.0.0.1",)),
            ],
        )
        self.assertNotIn(SECRET, repr(found))

    def test_missing(self) -> None:
        """A connection without a secret for its identities is a mistake, and says what to add."""
        for text, owner in (
            (conf(remote="auth = psk\nid = gw.example.org", secrets=""), "gw.example.org"),
            (conf("remote_addrs = 192.0.2.1", secrets=""), "192.0.2.1"),
            (conf(secrets=""), "%any"),
            (
                conf(
                    "remote_addrs = 192.0.2.1",
                    remote="auth = psk\nid = gw.example.org",
                    secrets="ike { secret = x\nid = other.example.org }",
                ),
                "gw.example.org",
            ),
            (
                conf("remote_addrs = 192.0.2.0/24", secrets="ike { secret = x\nid = 10.0.0.1 }"),
                "192.0.2.0/24",
            ),
            (
                conf(
                    local="auth = psk\nid = we.example.org",
                    secrets="ike { secret = x\nid = we.example.org }",
                ),
                "%any",
            ),
        ):
            found = self.mistake(text)
            self.assertIn("connections.gw: no pre-shared key is configured for ", found)
            self.assertIn(f"with id = {owner} and a secret", found)

    def test_found(self) -> None:
        """What a peer's identity, address or network finds is enough."""
        for text in (
            conf(remote="auth = psk\nid = gw", secrets="ike { secret = x\nid = gw }"),
            conf(remote="auth = psk\nid = gw", secrets="ike { secret = x\nid = *w }"),
            conf(
                "remote_addrs = 192.0.2.1",
                remote="auth = psk\nid = gw",
                secrets="ike { secret = x\nid = 192.0.2.1 }",
            ),
            conf("remote_addrs = 192.0.2.1", secrets="ike { secret = x\nid = 192.0.2.0/24 }"),
            conf("remote_addrs = 192.0.2.0/24", secrets="ike { secret = x\nid = 192.0.2.7 }"),
            conf("remote_addrs = 10.0.0.1, 10.0.0.2", secrets="ike { secret = x\nid = 10.0.0.2 }"),
            conf(secrets="ike { secret = x\nid = 192.0.2.7 }"),
        ):
            self.connection(text)

    def test_contradictions(self) -> None:
        """Two secrets for the same parties are a mistake, at the second."""
        found = self.mistake(
            conf(secrets="ike1 { secret = one\nid = gw }\nike2 { secret = two\nid = gw }")
        )
        self.assertIn("secrets.ike2: two different secrets are meant for the same parties", found)
        several = "\n".join(f"ike{n} {{ secret = x{n}\nid = gw{n // 2} }}" for n in range(8))
        self.assertEqual(len(self.mistakes(conf(secrets=several))), 4)

    def test_without_a_secret(self) -> None:
        """A section without the secret itself, or with an empty one, is a mistake."""
        self.assertIn("the secret itself is missing", self.mistake(conf(secrets="ike { id = gw }")))
        self.assertIn("it is empty", self.mistake(conf(secrets='ike { secret = "" }')))
        self.assertIn("is nobody", self.mistake(conf(secrets="ike { secret = x\nid = %one }")))


class SettingsTests(ConfigurationTestCase):
    def override(self, **values: object) -> Settings:
        """Settings that say something of the connection ``gw``."""
        return Settings(connections={"gw": ConnectionSettings(**values)})  # type: ignore[arg-type]

    def test_loaded_later(self) -> None:
        """
        Where clients can load connections, something may be said of one that is not in the file.
        """
        own = {"gv": ConnectionSettings()}
        self.assertIn("has no connection gv", self.mistake(conf(), Settings(connections=own)))
        given = Settings(connections=own, vici=ViciSettings(given=True))
        (line,) = self.warnings(conf(), given)
        self.assertIn("has no connection gv; there are: gw; it counts if vici loads one", line)

    def test_port(self) -> None:
        """A connection that says no port has the daemon's."""
        settings = Settings(port=4600)
        self.assertEqual(self.connection(conf(), settings).local_port, 4600)
        own = self.connection(conf("local_port = 500"), settings)
        self.assertEqual((own.local_port, own.remote_port), (500, 500))

    def test_suites(self) -> None:
        """A child's suites in isakmp.toml replace its proposals and mode."""
        spellings = ("transport:esp=aes128-sha1+ah=sha256", "aes256gcm16")
        settings = self.override(children={"net": ChildSettings(suites=spellings)})
        found = self.child(conf(child="esp_proposals = 3des-md5"), settings)
        self.assertEqual(suites(found), ["transport:esp=aes128-sha1+ah=sha256", "esp=aes256gcm16"])
        bad = self.override(children={"net": ChildSettings(suites=("rot13",))})
        self.assertIn("'rot13' is not understood", self.mistakes(conf(), bad)[0])

    def test_what_is_not_there(self) -> None:
        """A connection or child of isakmp.toml that swanctl.conf has not is a mistake."""
        path = self.write(conf())
        for given_, text in (
            (
                Settings(connections={"gv": ConnectionSettings()}),
                "connection.gv: {path} has no connection gv; there are: gw",
            ),
            (
                self.override(children={"ned": ChildSettings()}),
                "connection.gw.children.ned: connections.gw has no child ned; there are: net",
            ),
        ):
            error = self.assertRaises(ConfigurationErrors, load, path, given_)
            (mistake,) = error.mistakes
            self.assertEqual(f"{mistake.key}: {mistake.text}", text.format(path=path))

    def test_other_key_exchange(self) -> None:
        """Another key exchange than IKE has its own way to authenticate, and no shared secret."""

        class Other(type(ike)):  # type: ignore[misc]
            name = "other"
            transform_id = 250

        def read(text: str) -> Configuration:
            settings = self.override(key_exchange="other")
            return load(self.write(text), settings, key_exchanges=(Other(),))

        proposals = "proposals = aes128-sha256-modp2048"
        ids = {"local": "id = a.b", "remote": "id = c.d"}
        (connection,) = read(conf(proposals, secrets="", **ids)).connections
        self.assertEqual(str(connection.local_identity), "a.b")
        error = self.assertRaises(
            ConfigurationErrors, read, conf(proposals, secrets="", remote="auth = psk")
        )
        self.assertIn("connections.gw.remote.auth", str(error))
        self.assertIn("other has its own way to authenticate: leave it out", str(error))

    def test_what_is_not_switched_on(self) -> None:
        """A domain or key exchange has to be there."""
        for given_, text in (
            (self.override(doi="isakmp"), "no domain of interpretation isakmp is switched on"),
            (self.override(doi="gdoi"), "no domain of interpretation gdoi is switched on"),
            (self.override(key_exchange="kink"), "no key exchange kink is switched on"),
        ):
            self.assertIn(text, self.mistake(conf(), given_))
        path = self.write(conf())
        error = self.assertRaises(
            ConfigurationErrors, load, path, dois=(ISAKMPDOI(),), key_exchanges=()
        )
        self.assertEqual(len(error.mistakes), 2)

    def test_identities(self) -> None:
        """A child's traffic may be named as its domain does, which looks at the names."""

        class Other(type(ipsec)):  # type: ignore[misc]
            name = "other"
            number = 7

        def read(doi: str, *lines: str, ours: bytes = b"a.b") -> Configuration:
            net = ChildSettings(suites=("ah=sha1",), identities=((2, ours), (2, b"c.d")))
            settings = self.override(doi=doi, children={"net": net})
            text = conf(children="net {\n" + "\n".join(lines) + "\n}")
            return load(self.write(text), settings, dois=(Other(), ipsec))

        (connection,) = read("other").connections
        named = connection.children[0].identities
        assert named is not None
        self.assertEqual(str(named), "a.b - c.d")
        for doi, lines, ours, why in (
            ("ipsec", (), b"a.b", "are named by addresses: give local_ts and remote_ts instead"),
            ("other", (), b"a b", "a name of other than printable octets"),
            ("other", ("local_ts = 10.0.0.0/8",), b"a.b", "named by identities in isakmp.toml"),
        ):
            error = self.assertRaises(ConfigurationErrors, read, doi, *lines, ours=ours)
            self.assertIn(why, str(error))

    def test_without_children(self) -> None:
        """
        A connection in DOI 0 has ISAKMP SAs only, between addresses: that is what it is read as,
        and a child or a name is a mistake.
        """
        text = """
            connections { gw { version = 1
                remote_addrs = 192.0.2.2
                local { auth = psk
                    id = %s }
                remote { auth = psk
                    id = 192.0.2.2 }
                %s } }
            secrets { ike { secret = 0x6162636465666768 } }
            """
        dois = (ISAKMPDOI(),)
        path = self.write(text % ("192.0.2.1", ""))
        loaded = load(path, self.override(doi="isakmp"), dois=dois)
        (connection,) = loaded.connections
        self.assertEqual((connection.doi, connection.children), (0, ()))
        for inner, told in (
            (("gw.example.org", ""), "DOI 0 knows addresses and subnets only"),
            (("192.0.2.1", "children { net { } }"), "there can be no child net"),
        ):
            path = self.write(text % inner)
            error = self.assertRaises(
                ConfigurationErrors, load, path, self.override(doi="isakmp"), dois=dois
            )
            (mistake,) = error.mistakes
            self.assertIn(told, mistake.text)

    def test_another_domain(self) -> None:
        """A domain that has no ESP takes its suites from isakmp.toml, and needs them."""

        class Other(type(ipsec)):  # type: ignore[misc]
            name = "other"
            number = 7

        def read(settings: Settings) -> Configuration:
            return load(self.write(conf()), settings, dois=(Other(),))

        error = self.assertRaises(ConfigurationErrors, read, self.override(doi="other"))
        self.assertIn("has no ESP: give suites in isakmp.toml", str(error))
        self.assertIn(f"like {ipsec.examples[0]!r}", str(error))
        net = ChildSettings(suites=("ah=sha1",))
        (connection,) = read(self.override(doi="other", children={"net": net})).connections
        self.assertEqual((connection.doi, suites(connection.children[0])), (7, ["ah=sha1"]))


class HostileTests(ConfigurationTestCase):
    @settings(
        max_examples=200, deadline=None, suppress_health_check=[HealthCheck.differing_executors]
    )
    @given(
        st.lists(
            st.tuples(
                st.sampled_from([key.pattern for key in KEYS.keys]),
                st.text(st.characters(exclude_characters="\0"))
                | st.sampled_from(["psk", "1", "0", "*", "0x"]),
            ),
            max_size=6,
        )
    )
    def test_any_values(self, rows: list[tuple[str, str]]) -> None:
        """Any value of any key gives a configuration or mistakes, never anything else."""
        text = conf()
        for pattern, value in rows:
            *path, key = (word.partition("<")[0] or "gw" for word in pattern.split("."))
            quoted = value.replace("\\", "\\\\").replace('"', '\\"')
            line = f'{key} = "{quoted}"'
            for word in reversed(path):
                line = f"{word} {{ {line}\n }}"
            text += f"{line}\n"
        try:
            self.load(text.encode("utf-8", "surrogatepass"))
        except ConfigurationErrors as error:
            self.assertTrue(error.mistakes)

    def test_large(self) -> None:
        """A thousand connections, each with a secret of its own, are read at once."""
        one = "local { auth = psk }\nversion = 1\nproposals = aes128-sha256-modp2048\n"
        many = "".join(
            f"c{n} {{ {one} remote {{ auth = psk\nid = c{n}.example.org }}\n"
            "children { net { } } }\n"
            for n in range(1000)
        )
        keys = "".join(f"ike{n} {{ secret = x{n}\nid = c{n}.example.org }}\n" for n in range(1000))
        found = self.load(f"connections {{ {many} }}\nsecrets {{ {keys} }}")
        self.assertEqual((len(found.connections), len(found.secrets)), (1000, 1000))
