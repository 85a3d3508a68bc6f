"""
Every key that strongSwan's swanctl.opt has (6.0.6), and what becomes of it here.

Facts of that file: names, kinds of values and defaults.  The sentences are ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from isakmp.config.keys import Key, Kind, Status, Table

_Row = tuple[str, Kind, str] | tuple[str, Kind, str, str | Mapping[str, Status]]

_CERTIFICATES = "certificates and raw public keys are not built yet"
_MODE_CONFIG = "Mode Config, and with it virtual addresses, is not built yet"
_SINK = "no sink does that yet"
_SECRETS = "nothing uses such secrets yet"
_PRIVATE = "private keys are not loaded yet"

_REASONS: Mapping[str, Mapping[str, str]] = {
    "unique": {
        "never": "INITIAL-CONTACT is not said, but a peer's is still heard",
        "keep": "to turn away a peer that has an ISAKMP SA already is not built yet",
    },
    "mode": dict.fromkeys(("transport_proxy", "iptfs", "beet"), "this mode is not built"),
    "close_action": {
        **dict.fromkeys(
            ("start", "restart"),
            "what the peer closes is begun again with start_action = start only",
        ),
        **dict.fromkeys(
            ("trap", "route", "trap|start", "start|trap"),
            "a trap stands with start_action = trap, whatever the peer closes",
        ),
    },
}
"""Why a word is not honoured, where the row says more than that."""

_H, _W, _R = Status.HONOURED, Status.WARNED, Status.REFUSED
_S, _B, _T, _V = Kind.SECTION, Kind.BOOLEAN, Kind.TIME, Kind.VOLUME


def _rows(under: str, status: Status, *rows: _Row) -> Iterator[Key]:
    """
    Keys of one status.

    :param rows: name, kind, text, and the harmless value; or the words, for a word.
    """
    for name, kind, text, *rest in rows:
        harmless = words = None
        if rest:
            harmless, words = (rest[0], None) if isinstance(rest[0], str) else (None, rest[0])
        pattern = f"{under}.{name}" if name else under
        yield Key(pattern, kind, status, text, harmless, words or {}, _REASONS.get(name, {}))


def _connection() -> Iterator[Key]:
    at = "connections.<conn>"
    yield from _rows("connections", _H, ("", _S, "the connections"))
    yield from _rows(
        at,
        _H,
        ("", _S, "one connection"),
        (
            "version",
            Kind.WORD,
            "1; 0 or none means 1 here; a connection with 2 is skipped, with one line",
            dict.fromkeys(("0", "1", "2"), _H),
        ),
        ("local_addrs", Kind.LIST, "addresses, networks and ranges; names are refused"),
        ("remote_addrs", Kind.LIST, "addresses, networks and ranges; names are refused"),
        (
            "aggressive",
            _B,
            "for a peer that is named, and with a warning; Main Mode unless said",
        ),
        ("local_port", Kind.PORT, "`port` of isakmp.toml unless said"),
        ("remote_port", Kind.PORT, "500 unless said"),
        ("proposals", Kind.LIST, "see Proposals"),
        ("reauth_time", _T, "as rekey_time: IKEv1 has one way to renew an ISAKMP SA"),
        ("rekey_time", _T, "4 hours unless reauth_time is said"),
        ("over_time", _T, "a tenth of the longer of both unless said; offered with it as lifetime"),
        ("rand_time", _T, "over_time unless said, at most half of the shorter of both"),
        (
            "if_id_in",
            Kind.INTERFACE_ID,
            "of children that say none themselves; %unique: one for all of them with a peer",
            "0",
        ),
        ("if_id_out", Kind.INTERFACE_ID, "likewise", "0"),
        ("children", _S, "the children"),
    )
    yield from _rows(
        at,
        _W,
        ("pull", _B, _MODE_CONFIG, "yes"),
        ("dscp", Kind.CODEPOINT, "messages are sent without a codepoint", "000000"),
        ("dpd_delay", _T, "liveness is not asked yet: a lost peer is missed when SAs expire", "0"),
        ("dpd_timeout", _T, "liveness is not asked yet", "0"),
        ("send_certreq", _B, _CERTIFICATES, "no"),
        ("keyingtries", Kind.NUMBER, "what start_action begins is begun until it stands", "0"),
        (
            "fragmentation",
            Kind.WORD,
            "messages are not fragmented yet, nor fragments put together",
            {"no": _H, "yes": _W, "accept": _W, "force": _W},
        ),
        (
            "send_cert",
            Kind.WORD,
            _CERTIFICATES,
            {"never": _H, "ifasked": _W, "always": _W},
        ),
        (
            "ocsp",
            Kind.WORD,
            _CERTIFICATES,
            {"never": _H, "reply": _W, "request": _W, "both": _W},
        ),
        (
            "unique",
            Kind.WORD,
            "replace: a peer's new ISAKMP SA takes the place of those it has by other addresses; "
            "with never, INITIAL-CONTACT is not said, but still heard; keep, which turns peers "
            "away, is not built yet",
            {"no": _H, "never": _W, "replace": _H, "keep": _R},
        ),
    )
    yield from _rows(
        at,
        Status.IKEV2,
        ("mobike", _B, "MOBIKE", "no"),
        (
            "childless",
            Kind.WORD,
            "childless IKE SAs",
            {"allow": _H, **dict.fromkeys(("prefer", "force", "never"), Status.IKEV2)},
        ),
        ("ppk_id", Kind.TEXT, "postquantum pre-shared keys"),
        ("mediation", _B, "mediation", "no"),
        ("mediated_by", Kind.TEXT, "mediation"),
        ("mediation_peer", Kind.TEXT, "mediation"),
    )
    yield from _rows(
        at,
        _R,
        ("encap", _B, "UDP encapsulation is not built yet", "no"),
        ("ppk_required", _B, "IKEv1 has no postquantum pre-shared keys", "no"),
        ("vips", Kind.LIST, _MODE_CONFIG),
        ("pools", Kind.LIST, _MODE_CONFIG),
    )


def _certificates(at: str, *names: str) -> Iterator[Key]:
    for name in names:
        section = f"{at}.{name}<suffix>"
        yield from _rows(
            section,
            _R,
            ("", _S, _CERTIFICATES),
            *((key, Kind.TEXT, _CERTIFICATES) for key in ("file", "handle", "slot", "module")),
        )


def _rounds() -> Iterator[Key]:
    local, remote = (f"connections.<conn>.{end}<suffix>" for end in ("local", "remote"))
    for at, who in ((local, "we are"), (remote, "the peer has to be")):
        yield from _rows(
            at,
            _H,
            ("", _S, f"who {who}: one round; a second is refused"),
            ("round", Kind.NUMBER, "the order of rounds, of which there is one"),
            ("auth", Kind.TEXT, "psk, and it has to be said; anything else is refused"),
        )
        yield from _rows(
            at, _R, ("certs", Kind.LIST, _CERTIFICATES), ("pubkeys", Kind.LIST, _CERTIFICATES)
        )
    yield from _rows(local, _H, ("id", Kind.IDENTITY, "our address unless said"))
    yield from _rows(
        local, _W, ("xauth_id", Kind.TEXT, "XAuth is not built yet, nor is it asked for")
    )
    yield from _rows(
        local, Status.IKEV2, ("eap_id", Kind.TEXT, "EAP"), ("aaa_id", Kind.TEXT, "EAP")
    )
    yield from _certificates(local, "cert")
    yield from _rows(
        remote, _H, ("id", Kind.IDENTITY, "anybody unless said; *.example.org is a pattern")
    )
    yield from _rows(
        remote,
        _R,
        ("eap_id", Kind.TEXT, "EAP is IKEv2's, so nobody can be asked for this"),
        ("groups", Kind.LIST, "groups of peers are not built yet"),
        ("cert_policy", Kind.LIST, _CERTIFICATES),
        ("cacerts", Kind.LIST, _CERTIFICATES),
        ("ca_id", Kind.TEXT, _CERTIFICATES),
        (
            "revocation",
            Kind.WORD,
            _CERTIFICATES,
            {"relaxed": _H, "ifuri": _R, "strict": _R},
        ),
    )
    yield from _certificates(remote, "cert", "cacert")


def _child() -> Iterator[Key]:
    at = "connections.<conn>.children.<child>"
    yield from _rows(
        at,
        _H,
        ("", _S, "one child"),
        ("esp_proposals", Kind.LIST, "see Proposals"),
        ("ah_proposals", Kind.LIST, "likewise; beside esp_proposals they are alternatives"),
        (
            "ipcomp",
            _B,
            "the proposals are offered with deflate first, then without; no: it is not taken",
            "no",
        ),
        (
            "sha256_96",
            _B,
            "HMAC-SHA-256 is cut to 96 bits, as by some peers; the number on the wire is the same",
            "no",
        ),
        (
            "rekey_bytes",
            _V,
            "octets of one SA, after which the child is renewed; life_bytes divided by 1.1 unless "
            "said; sink xfrm",
            "0",
        ),
        (
            "life_bytes",
            _V,
            "octets of one SA, after which it ends; rekey_bytes and a tenth of it unless said; "
            "sink xfrm",
            "0",
        ),
        (
            "rand_bytes",
            _V,
            "by how much it is renewed earlier, at most and by chance; life_bytes less "
            "rekey_bytes unless said",
        ),
        ("rekey_packets", Kind.PACKETS, "likewise packets", "0"),
        ("life_packets", Kind.PACKETS, "likewise packets", "0"),
        ("rand_packets", Kind.PACKETS, "likewise packets"),
        (
            "policies",
            _B,
            "with no, somebody else installs them in the kernel; a trap, pass and drop are "
            "policies, and need yes",
            "yes",
        ),
        (
            "policies_fwd_out",
            _B,
            "policies of their own for what is forwarded into the tunnel, for where a policy "
            "drops it; sink xfrm",
            "no",
        ),
        ("priority", Kind.NUMBER, "of the policies; 0: as strongSwan computes it", "0"),
        (
            "reqid",
            Kind.NUMBER,
            "of SAs and policies; 0: one is chosen; policies of children with one reqid name the "
            "SA that is theirs",
            "0",
        ),
        (
            "interface",
            Kind.INTERFACE,
            "by which traffic has to leave to be selected; without such an interface the child "
            "does not come up; sink xfrm",
        ),
        (
            "mark_in",
            Kind.MARK,
            "of packets that the inbound policies are for; %unique counts from 1; sink xfrm",
            "0/0",
        ),
        ("mark_in_sa", _B, "yes: the inbound SA is for packets with mark_in alone", "no"),
        ("mark_out", Kind.MARK, "of packets that the outbound policies and SA are for", "0/0"),
        (
            "set_mark_in",
            Kind.SET_MARK,
            "what packets get that have been opened; %same: the value of mark_in",
            "0/0",
        ),
        ("set_mark_out", Kind.SET_MARK, "what protected packets get; %same likewise", "0/0"),
        (
            "if_id_in",
            Kind.INTERFACE_ID,
            "of the XFRM interface that inbound policies and SA belong to; 0: the connection's",
            "0",
        ),
        ("if_id_out", Kind.INTERFACE_ID, "of the outbound policies and SA; likewise", "0"),
        ("replay_window", Kind.NUMBER, "packets; sink xfrm", "32"),
        ("copy_df", _B, "no: the tunnel's packets may be fragmented; sink xfrm", "yes"),
        ("copy_ecn", _B, "sink xfrm", "yes"),
        (
            "copy_dscp",
            Kind.WORD,
            "out: from the packet to the tunnel's header; in: from that to the packet; sink xfrm",
            dict.fromkeys(("out", "in", "yes", "no"), _H),
        ),
        (
            "icmp",
            _B,
            "yes: errors about protected traffic pass, whoever they come from; sink xfrm",
            "no",
        ),
        (
            "inactivity",
            _T,
            "after so long without traffic the child is deleted; counted anew with each renewal; "
            "a sink that counts nothing ends nothing",
            "0",
        ),
        ("updown", Kind.TEXT, "a command that is run without a shell when the child is up or gone"),
        ("hostaccess", _B, "sets PLUTO_HOST_ACCESS for the updown script", "no"),
        ("local_ts", Kind.LIST, "as initiator the first is asked for, as responder any is taken"),
        ("remote_ts", Kind.LIST, "likewise"),
        ("rekey_time", _T, "an hour, or life_time divided by 1.1"),
        ("life_time", _T, "rekey_time and a tenth of it; offered as lifetime"),
        ("rand_time", _T, "life_time less rekey_time unless said"),
        (
            "mode",
            Kind.WORD,
            "pass and drop stand from loading on, whatever start_action says: they need the sink "
            "xfrm, and one selector for each end; other modes are not built",
            {
                **dict.fromkeys(("tunnel", "transport", "pass", "drop"), _H),
                **dict.fromkeys(("transport_proxy", "iptfs", "beet"), _R),
            },
        ),
        (
            "start_action",
            Kind.WORD,
            "a trap needs the sink xfrm: traffic begins the child",
            dict.fromkeys(
                ("none", "clear", "start", "restart", "trap", "route", "trap|start", "start|trap"),
                _H,
            ),
        ),
    )
    yield from _rows(
        at,
        _W,
        (
            "hw_offload",
            Kind.WORD,
            "the kernel's software protects the traffic, not the network card",
            {"no": _H, "auto": _H, **dict.fromkeys(("yes", "crypto", "packet"), _W)},
        ),
        (
            "per_cpu_sas",
            Kind.WORD,
            _SINK,
            {
                **dict.fromkeys(("no", "false", "disabled", "0"), _H),
                **dict.fromkeys(("yes", "true", "enabled", "1", "encap"), _W),
            },
        ),
        (
            "label_mode",
            Kind.WORD,
            "there are no security labels in IKEv1",
            {"system": _H, "simple": _W, "selinux": _W},
        ),
        (
            "dpd_action",
            Kind.WORD,
            "liveness is not asked yet",
            {
                **dict.fromkeys(("clear", "none"), _H),
                **dict.fromkeys(("trap", "route", "restart", "start"), _W),
            },
        ),
        (
            "close_action",
            Kind.WORD,
            "what the peer closes is begun again with start_action = start only; a trap stands "
            "with start_action = trap, whatever the peer closes",
            {
                **dict.fromkeys(("none", "clear"), _H),
                **dict.fromkeys(("start", "restart"), _W),
                **dict.fromkeys(("trap", "route", "trap|start", "start|trap"), _R),
            },
        ),
    )
    yield from _rows(
        at,
        _R,
        (
            "tfc_padding",
            Kind.TEXT,
            "IKEv1 cannot agree on padding traffic, and strongSwan does not pad under it",
            "0",
        ),
        ("label", Kind.TEXT, "security labels are IKEv2's, and protect nothing here"),
    )


def _secrets() -> Iterator[Key]:
    yield from _rows("secrets", _H, ("", _S, "the secrets"))
    yield from _rows(
        "secrets.ike<suffix>",
        _H,
        ("", _S, "one pre-shared key"),
        ("secret", Kind.SECRET, "text, hexadecimal after 0x, base 64 after 0s"),
        ("id<suffix>", Kind.OWNER, "who shares it; anybody if there is none"),
    )
    for name in ("eap", "xauth", "ntlm", "ppk"):
        rows: list[_Row] = [("", _S, _SECRETS)]
        if name != "xauth":  # swanctl.opt says of it that it is as eap
            rows += [("secret", Kind.TEXT, _SECRETS), ("id<suffix>", Kind.TEXT, _SECRETS)]
        yield from _rows(f"secrets.{name}<suffix>", _W, *rows)
    for name in ("private", "rsa", "ecdsa", "pkcs8", "pkcs12"):
        keys = (("", _S), ("file", Kind.TEXT), ("secret", Kind.TEXT))
        yield from _rows(f"secrets.{name}<suffix>", _W, *((n, k, _PRIVATE) for n, k in keys))
    token = (("", _S), *((name, Kind.TEXT) for name in ("handle", "slot", "module", "pin")))
    yield from _rows("secrets.token<suffix>", _W, *((n, k, _PRIVATE) for n, k in token))


def _others() -> Iterator[Key]:
    unused = "no connection uses it: those that name a pool are refused"
    yield from _rows("pools", _H, ("", _S, "the pools"))
    rows = (("", _S), ("addrs", Kind.TEXT), ("<attr>", Kind.TEXT))
    yield from _rows("pools.<name>", _W, *((name, kind, unused) for name, kind in rows))
    yield from _rows("authorities", _H, ("", _S, "the certification authorities"))
    names = ("cacert", "file", "handle", "slot", "module", "crl_uris", "ocsp_uris", "cert_uri_base")
    yield from _rows(
        "authorities.<name>",
        _W,
        ("", _S, _CERTIFICATES),
        *((name, Kind.TEXT, _CERTIFICATES) for name in names),
    )


KEYS = Table((*_connection(), *_rounds(), *_child(), *_secrets(), *_others()))
"""All of them."""
