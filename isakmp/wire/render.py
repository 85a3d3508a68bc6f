"""
Messages in words, for logs, traces and the command line.

One line for a message, whatever is in it, of bounded length.  Of what proves or makes keys (nonces,
hashes, signatures, public values, passwords) only the size is told, and what a peer sends as text
comes out as printable ASCII.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from isakmp.errors import PeerError
from isakmp.numbers import (
    DOI,
    AHTransform,
    AuthenticationAlgorithm,
    AuthenticationMethod,
    CertificateEncoding,
    ConfigurationAttribute,
    ConfigurationType,
    ECNTunnel,
    Encapsulation,
    Encryption,
    ESPTransform,
    ExchangeType,
    Group,
    GroupType,
    HashAlgorithm,
    IdentityType,
    IPCOMPTransform,
    IPsecAttribute,
    ISAKMPTransform,
    LifeType,
    NotifyType,
    Number,
    PayloadType,
    Phase1Attribute,
    ProtocolID,
)
from isakmp.wire.attributes import Attribute
from isakmp.wire.message import Flags, Message
from isakmp.wire.payloads import (
    Certificate,
    CertificateRequest,
    ConfigurationAttributes,
    Delete,
    DraftNATOriginalAddress,
    Fragment,
    Identification,
    NATOriginalAddress,
    Notification,
    Opaque,
    Payload,
    SecurityAssociation,
    Unrecognized,
    VendorID,
)
from isakmp.wire.proposals import Proposal, Transform, decode_proposals
from isakmp.wire.reader import Reader
from isakmp.wire.vendor_names import vendor_name

MAX_LISTED: Final = 32
"""The most transforms, SPIs, attributes or payloads that are listed in one place."""

MAX_TEXT: Final = 64
"""The most octets of a peer's own text, or of an octet string, that are shown."""

MAX_LINE: Final = 8192
"""The most characters of anything said here."""

Situation = Callable[[Reader], object]


def render(message: Message, *, situation: Situation | None = None, proof: bool = False) -> str:
    """
    A message in one line: ``Identity Protection, message id 0: SA(IPSEC: ...), KE(256 octets)``.

    :param message: any message.
    :param situation: reads a situation off the reader, as the domain of interpretation has it;
        None: guess that it is a bitmap of four octets, or empty.
    :param proof: whether a HASH leads the message that is not among its payloads: what protects
        a message under an SA adds it and takes it away (RFC 2409 section 5.5).
    """
    words_ = [_exchange(message.exchange_type), f"message id {_message_id(message.message_id)}"]
    if message.version != 0x10:
        words_.append(f"version {message.version >> 4}.{message.version & 15}")
    if message.flags:
        words_.append(f"flags {_flags(message.flags)}")
    payloads = _listed(
        (words(payload, situation=situation) for payload in message.payloads[:MAX_LISTED]),
        len(message.payloads),
    )
    if proof:
        payloads = f"HASH, {payloads}" if payloads else "HASH"
    return _clipped(f"{', '.join(words_)}: {payloads or 'no payloads'}")


def words(payload: Payload, *, situation: Situation | None = None) -> str:
    """
    One payload in words: ``N(NO-PROPOSAL-CHOSEN)``, ``D(ESP 1 SPI c334c73f)``.

    :param payload: any payload.
    :param situation: as for :func:`render`.
    """
    return _clipped(_words(payload, situation))


def _words(payload: Payload, situation: Situation | None) -> str:
    name = _spelled(PayloadType, payload.number)
    match payload:
        case SecurityAssociation():
            return f"{name}({_spelled(DOI, payload.doi)}: {_offer(payload, situation)})"
        case Identification():
            return f"{name}({_identity(payload)})"
        case Certificate() | CertificateRequest():
            encoding = _spelled(CertificateEncoding, payload.encoding)
            return f"{name}({encoding}, {_octets(payload.data)})"
        case Notification():
            return f"{name}({_notification(payload)})"
        case Delete():
            protocol, count = _protocol(payload.doi, payload.protocol), len(payload.spis)
            spis = _listed((_hex(spi) for spi in payload.spis[:MAX_LISTED]), count)
            return f"{name}({protocol} {count} SPI{'s' if count > 1 else ''} {spis})"
        case VendorID():
            return f"{name}({vendor_name(payload.data) or _text(payload.data)})"
        case ConfigurationAttributes():
            kind = _spelled(ConfigurationType, payload.kind)
            return f"{name}({kind} {payload.identifier}: {_configuration(payload.attributes)})"
        case NATOriginalAddress() | DraftNATOriginalAddress():
            return f"{name}({_address(payload.address)})"
        case Fragment():
            last = " last" if payload.flags & Fragment.LAST else ""
            piece = f"id {payload.fragment_id} number {payload.index}{last}"
            return f"{name}({piece}, {_octets(payload.data)})"
        case Unrecognized():
            return f"payload type {payload.number}({_octets(payload.data)})"
        case Opaque():
            return f"{name}({_octets(payload.data)})"
        case _:
            return f"{type(payload).__name__}(payload type {payload.number})"


def _clipped(line: str) -> str:
    return line if len(line) <= MAX_LINE else line[: MAX_LINE - 3] + "..."


def _spelled(table: type[Number], number: int) -> str:
    try:
        return table(number).spelled
    except ValueError:
        return str(number)


def _exchange(number: int) -> str:
    known = ExchangeType.__members__.values()
    return _spelled(ExchangeType, number) if number in known else f"exchange type {number}"


def _message_id(message_id: int) -> str:
    return f"{message_id:08x}" if message_id else "0"


def _flags(flags: int) -> str:
    names = [flag.name.lower().replace("_", " ") for flag in Flags if flag & flags and flag.name]
    unknown = flags & ~7
    return "+".join(names + ([hex(unknown)] if unknown else []))


def _octets(data: bytes) -> str:
    return f"{len(data)} octet{'' if len(data) == 1 else 's'}"


def _listed(shown: Iterable[str], count: int) -> str:
    more = [f"and {count - MAX_LISTED} more"] if count > MAX_LISTED else []
    return ", ".join([*shown, *more])


def _hex(data: bytes) -> str:
    return data[:MAX_TEXT].hex() + ("..." if len(data) > MAX_TEXT else "")


def _text(data: bytes) -> str:
    # What is not printable ASCII throughout is not text.
    if data and all(0x20 <= octet < 0x7F for octet in data):
        return data[:MAX_TEXT].decode("ascii") + ("..." if len(data) > MAX_TEXT else "")
    return _hex(data) or "empty"


def _address(data: bytes) -> str:
    if len(data) == 4:
        return f"ipv4 {ipaddress.IPv4Address(data)}"
    if len(data) == 16:
        return f"ipv6 {ipaddress.IPv6Address(data)}"
    return f"address of {_octets(data)}"


def _subnet(data: bytes) -> str:
    half = len(data) // 2
    mask = int.from_bytes(data[half:])
    prefix = mask.bit_count()
    contiguous = mask == ((1 << prefix) - 1) << (8 * half - prefix)
    tail = f"/{prefix}" if contiguous else f" mask {_hex(data[half:])}"
    return _address(data[:half]) + tail


def _identity(payload: Identification) -> str:
    kind, data = payload.kind, payload.data
    match kind, len(data):
        case (IdentityType.IPV4_ADDR, 4) | (IdentityType.IPV6_ADDR, 16):
            spelled = _address(data)
        case (IdentityType.IPV4_ADDR_SUBNET, 8) | (IdentityType.IPV6_ADDR_SUBNET, 32):
            spelled = _subnet(data)
        case (IdentityType.IPV4_ADDR_RANGE, 8) | (IdentityType.IPV6_ADDR_RANGE, 32):
            half = len(data) // 2
            spelled = f"{_address(data[:half])} to {_address(data[half:])}"
        case (IdentityType.FQDN, _):
            spelled = f"fqdn {_text(data)}"
        case (IdentityType.USER_FQDN, _):
            spelled = f"user fqdn {_text(data)}"
        case (IdentityType.KEY_ID, _):
            spelled = f"key id {_text(data)}"
        case _:
            spelled = f"{_spelled(IdentityType, kind)}, {_octets(data)}"
    if payload.protocol or payload.port:
        spelled += f" protocol {payload.protocol} port {payload.port}"
    return spelled


def _protocol(doi: int, protocol: int) -> str:
    if doi in (DOI.ISAKMP, DOI.IPSEC):
        return _spelled(ProtocolID, protocol)
    return f"{_spelled(DOI, doi)} protocol {protocol}"


def _notification(payload: Notification) -> str:
    said = _spelled(NotifyType, payload.kind)
    if payload.spi:
        said += f" {_protocol(payload.doi, payload.protocol)} SPI {_hex(payload.spi)}"
    if payload.kind in (NotifyType.R_U_THERE, NotifyType.R_U_THERE_ACK) and len(payload.data) == 4:
        return f"{said}, sequence {int.from_bytes(payload.data)}"
    if payload.data:
        said += f", {_octets(payload.data)}"
    return said


def _configuration(attributes: tuple[Attribute, ...]) -> str:
    return _listed(map(_configured, attributes[:MAX_LISTED]), len(attributes)) or "nothing"


def _configured(attribute: Attribute) -> str:
    # A value may be a password; these two never are.
    name = _spelled(ConfigurationAttribute, attribute.kind)
    telling = (ConfigurationAttribute.XAUTH_TYPE, ConfigurationAttribute.XAUTH_STATUS)
    if attribute.kind in telling and attribute.basic:
        return f"{name} {attribute.number}"
    return name


@dataclass(frozen=True, slots=True)
class _Table:
    # How a proposal's attributes are read: RFC 2409 appendix A, or RFC 2407 section 4.5.

    names: type[Number]
    values: Mapping[int, type[Number]]
    key_length: int
    life_type: int
    life_duration: int


_PHASE_1 = _Table(
    Phase1Attribute,
    {
        Phase1Attribute.ENCRYPTION_ALGORITHM: Encryption,
        Phase1Attribute.HASH_ALGORITHM: HashAlgorithm,
        Phase1Attribute.AUTHENTICATION_METHOD: AuthenticationMethod,
        Phase1Attribute.GROUP_DESCRIPTION: Group,
        Phase1Attribute.GROUP_TYPE: GroupType,
    },
    Phase1Attribute.KEY_LENGTH,
    Phase1Attribute.LIFE_TYPE,
    Phase1Attribute.LIFE_DURATION,
)
_PHASE_2 = _Table(
    IPsecAttribute,
    {
        IPsecAttribute.GROUP_DESCRIPTION: Group,
        IPsecAttribute.ENCAPSULATION_MODE: Encapsulation,
        IPsecAttribute.AUTHENTICATION_ALGORITHM: AuthenticationAlgorithm,
        IPsecAttribute.ECN_TUNNEL: ECNTunnel,
    },
    IPsecAttribute.KEY_LENGTH,
    IPsecAttribute.SA_LIFE_TYPE,
    IPsecAttribute.SA_LIFE_DURATION,
)
_TRANSFORMS: Mapping[int, type[Number]] = {
    ProtocolID.ISAKMP: ISAKMPTransform,
    ProtocolID.AH: AHTransform,
    ProtocolID.ESP: ESPTransform,
    ProtocolID.IPCOMP: IPCOMPTransform,
}


def _offer(payload: SecurityAssociation, situation: Situation | None) -> str:
    guesses: tuple[Situation, ...] = (
        (situation,) if situation is not None else (lambda reader: reader.take(4), lambda _: None)
    )
    for guess in guesses:
        reader = Reader(payload.body)
        try:
            guess(reader)
            proposals = decode_proposals(reader)
        except PeerError:
            continue
        shown, listed = "", 0
        for proposal in proposals:
            room = max(0, MAX_LISTED - listed)
            listed += len(proposal.transforms)
            if room:
                shown += ("; " if shown else "") + _proposal(payload.doi, proposal, room)
        return shown + (f"; and {listed - MAX_LISTED} more" if listed > MAX_LISTED else "")
    return _octets(payload.body)


def _proposal(doi: int, proposal: Proposal, room: int) -> str:
    spi = f" SPI {_hex(proposal.spi)}" if proposal.spi else ""
    transforms = [_transform(doi, proposal.protocol, each) for each in proposal.transforms[:room]]
    head = f"#{proposal.number} {_protocol(doi, proposal.protocol)}{spi}"
    return f"{head} {' | '.join(transforms)}"


def _transform(doi: int, protocol: int, transform: Transform) -> str:
    names = _TRANSFORMS.get(protocol) if doi in (DOI.ISAKMP, DOI.IPSEC) else None
    if names is None:
        shown = [f"attribute {each.kind} {_value(each)}" for each in transform.attributes]
        said = [f"transform {transform.transform_id}", *shown[:MAX_LISTED]]
        return "/".join(said) + ("/..." if len(shown) > MAX_LISTED else "")
    table = _PHASE_1 if protocol == ProtocolID.ISAKMP else _PHASE_2
    said = [_spelled(names, transform.transform_id)]
    cipher, key_length, unit = 0, "", "units"
    for attribute in transform.attributes[:MAX_LISTED]:
        kind = attribute.kind
        if kind == table.key_length:
            key_length = f"-{_value(attribute)}"
        elif kind == table.life_type:
            unit = _spelled(LifeType, attribute.number) if attribute.basic else "units"
        elif kind == table.life_duration:
            said.append(f"{_value(attribute)} {unit}")
        elif kind in table.values and len(attribute.value) <= 4:
            if table.values[kind] is Encryption:
                cipher = len(said)
            said.append(_spelled(table.values[kind], attribute.number))
        else:
            said.append(f"{_spelled(table.names, kind)} {_value(attribute)}")
    # In phase 1 the key length is of the Encryption Algorithm, in phase 2 of the transform itself.
    said[cipher] += key_length
    return "/".join(said) + ("/..." if len(transform.attributes) > MAX_LISTED else "")


def _value(attribute: Attribute) -> str:
    if len(attribute.value) <= 8:
        return str(attribute.number)
    return f"of {_octets(attribute.value)}"
