"""
How long reading the first message of Main Mode takes, beside scapy's ISAKMP layer.

Both take the same 284 octets apart down to the attributes of every transform.  Rounds of the two
are interleaved, so that whatever else the machine does falls on both; the medians are compared.

Run as ``python -m tests.bench.decode [ROUNDS]``.  Prints JSON: ``ours_us`` and ``scapy_us``,
microseconds of processor time for one message; ``ratio``; and ``ours_cold_us``, ours when no
attribute was ever seen before.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable

from isakmp.numbers import (
    AuthenticationMethod,
    Encryption,
    ExchangeType,
    Group,
    HashAlgorithm,
    ISAKMPTransform,
    LifeType,
    ProtocolID,
    Situation,
)
from isakmp.numbers import Phase1Attribute as Kind
from isakmp.wire import attributes
from isakmp.wire.attributes import Attribute
from isakmp.wire.message import CookiePair, Flags, Message
from isakmp.wire.payloads import SecurityAssociation, VendorID
from isakmp.wire.proposals import Proposal, Transform, decode_proposals, encode_proposals
from isakmp.wire.reader import Reader

ROUNDS = 31
MESSAGES_PER_ROUND = 100

VENDOR_IDS = (
    "09002689dfd6b712",
    "afcad71368a1f1c96b8696fc77570100",
    "4a131c81070358455c5728f20e95452f",
    "90cb80913ebb696e086381b5ec427b1f",
    "7d9419a65310ca6f2c179d9215529d56",
)


def _transform(number: int, encryption: tuple[int, int], hash_: int, group: int) -> Transform:
    algorithm, key_length = encryption
    chosen = [Attribute.tv(Kind.ENCRYPTION_ALGORITHM, algorithm)]
    if key_length:
        chosen.append(Attribute.tv(Kind.KEY_LENGTH, key_length))
    chosen += [
        Attribute.tv(Kind.HASH_ALGORITHM, hash_),
        Attribute.tv(Kind.GROUP_DESCRIPTION, group),
        Attribute.tv(Kind.AUTHENTICATION_METHOD, AuthenticationMethod.PRE_SHARED_KEY),
        Attribute.tv(Kind.LIFE_TYPE, LifeType.SECONDS),
        Attribute.tv(Kind.LIFE_DURATION, 28800)
        if key_length
        else Attribute.tlv(Kind.LIFE_DURATION, 28800),
    ]
    return Transform(number, ISAKMPTransform.KEY_IKE, tuple(chosen))


def first_message() -> bytes:
    """What a usual client says first: four transforms, five vendor IDs, 284 octets."""
    transforms = (
        _transform(1, (Encryption.AES_CBC, 256), HashAlgorithm.SHA2_256, Group.MODP_2048),
        _transform(2, (Encryption.AES_CBC, 128), HashAlgorithm.SHA2_256, Group.MODP_2048),
        _transform(3, (Encryption.AES_CBC, 256), HashAlgorithm.SHA, Group.MODP_1024),
        _transform(4, (Encryption.TRIPLE_DES_CBC, 0), HashAlgorithm.SHA, Group.MODP_1024),
    )
    offer = Situation.IDENTITY_ONLY.to_bytes(4) + encode_proposals(
        [Proposal(1, ProtocolID.ISAKMP, b"", transforms)]
    )
    payloads = (
        SecurityAssociation(1, offer),
        *(VendorID(bytes.fromhex(vendor_id)) for vendor_id in VENDOR_IDS),
    )
    cookies = CookiePair(bytes.fromhex("4a8bdf03c13a8d06"), CookiePair.ZERO)
    message = Message(cookies, ExchangeType.IDENTITY_PROTECTION, Flags.NONE, 0, payloads)
    return message.encode()


def ours(data: bytes) -> tuple[Message, tuple[Proposal, ...]]:
    """The message and its offer."""
    message = Message.decode(data)
    reader = Reader(message.one(SecurityAssociation).body)
    reader.take(4)
    return message, decode_proposals(reader)


def _cold(data: bytes) -> object:
    attributes._known.clear()
    return ours(data)


def _round(decode: Callable[[bytes], object], data: bytes) -> float:
    started = time.process_time_ns()
    for _ in range(MESSAGES_PER_ROUND):
        decode(data)
    return (time.process_time_ns() - started) / MESSAGES_PER_ROUND / 1000


def measure(rounds: int = ROUNDS) -> dict[str, float]:
    """
    The medians of interleaved rounds.

    :param rounds: of each.
    """
    from scapy.layers.isakmp import ISAKMP

    data = first_message()
    decoders: dict[str, Callable[[bytes], object]] = {
        "ours_us": ours,
        "scapy_us": ISAKMP,
        "ours_cold_us": _cold,
    }
    times: dict[str, list[float]] = {name: [] for name in decoders}
    for _ in range(rounds):
        for name, decode in decoders.items():
            times[name].append(_round(decode, data))
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    return {name: round(median, 2) for name, median in medians.items()} | {
        "ratio": round(medians["scapy_us"] / medians["ours_us"], 1)
    }


if __name__ == "__main__":
    print(json.dumps(measure(*map(int, sys.argv[1:]))))
