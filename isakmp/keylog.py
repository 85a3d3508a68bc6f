"""
The key log: the keys of SAs, in the files from which Wireshark decrypts.

Whoever has these files reads what the SAs protect.  They are written only where somebody has asked
for them, in a directory and files that nobody else may read.

The formats are those of Wireshark's tables (and of strongSwan's save-keys plug-in):
``ikev1_decryption_table`` has the initiator's cookie and the key of the cipher, both bare
hexadecimal; ``esp_sa`` has quoted fields.  With the environment variable ``WIRESHARK_CONFIG_DIR``
set to the directory, Wireshark and tshark find both.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

from isakmp.associations import IPsecParameters, ProtectionSA, SABundle
from isakmp.errors import ConfigurationError
from isakmp.events import Established
from isakmp.interfaces import IDisclosing, IEvents
from isakmp.logs import Logger
from isakmp.numbers import ProtocolID

ESP_TABLE = "esp_sa"

# A pipe that somebody has put there must not be waited for.
_FLAGS = (
    os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
)

_ENCRYPTION: Mapping[str, str] = {
    "null": "NULL",
    "des-cbc": "DES-CBC [RFC2405]",
    "3des-cbc": "TripleDES-CBC [RFC2451]",
    "cast-cbc": "CAST5-CBC [RFC2144]",
    "blowfish-cbc": "BLOWFISH-CBC [RFC2451]",
    "aes-cbc": "AES-CBC [RFC3602]",
    "aes-ctr": "AES-CTR [RFC3686]",
    **{f"aes-gcm-{n}": f"AES-GCM with {n} octet ICV [RFC4106]" for n in (8, 12, 16)},
}
"""Of what Wireshark can decrypt, its names."""

_INTEGRITY: Mapping[str, str] = {
    "hmac-md5-96": "HMAC-MD5-96 [RFC2403]",
    "hmac-sha1-96": "HMAC-SHA-1-96 [RFC2404]",
    "hmac-sha2-256-96": "HMAC-SHA-256-96 [draft-ietf-ipsec-ciph-sha-256-00]",
    "hmac-sha2-256-128": "HMAC-SHA-256-128 [RFC4868]",
    "hmac-sha2-384-192": "HMAC-SHA-384-192 [RFC4868]",
    "hmac-sha2-512-256": "HMAC-SHA-512-256 [RFC4868]",
    "aes-xcbc-96": "ANY 96 bit authentication [no checking]",
}


class KeyLog:
    """
    Writes the keys of every SA as it comes up.

    :param directory: made if it is not there.
    :raises ConfigurationError: if it cannot be made or written to, or somebody else may look
        into it.
    """

    _log = Logger()

    def __init__(self, directory: str, events: IEvents) -> None:
        self.directory = Path(directory)
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(self._open(ESP_TABLE))
        except OSError as error:
            why = error.strerror or str(error)
            raise ConfigurationError(f"keys cannot be written to {directory}: {why}") from None
        self._log.warn(
            "the keys of all SAs are written to {directory}: whoever reads them reads the traffic",
            directory=directory,
        )
        self.stop = events.subscribe(Established, self._established)

    def _established(self, event: Established) -> None:
        sa = event.sa
        rows: Sequence[tuple[str, str]] = ()
        if isinstance(sa, SABundle):
            rows = tuple((ESP_TABLE, row) for row in esp_rows(sa))
        elif IDisclosing.providedBy(sa):
            rows = cast(IDisclosing, sa).disclosed()
        try:
            for name, row in rows:
                file = self._open(name)
                try:
                    os.write(file, f"{row}\n".encode())
                finally:
                    os.close(file)
        except OSError as error:
            self._log.error("keys could not be written: {why}", why=error)

    def _open(self, name: str) -> int:
        # Opened for each row: the file may be moved away meanwhile, and SAs come up seldom.
        _check_own(os.stat(self.directory), stat.S_ISDIR, self.directory)
        path = self.directory / name
        file = os.open(path, _FLAGS, 0o600)
        try:
            _check_own(os.fstat(file), stat.S_ISREG, path)
        except OSError:
            os.close(file)
            raise
        return file


def _check_own(status: os.stat_result, kind: Callable[[int], bool], path: Path) -> None:
    """
    What was there before us may be somebody else's.

    :raises PermissionError: if others can read it or put something in its place, or it is not what
        it should be.
    """
    if not kind(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
        why = f"{path.name} must be this user's, and nobody else may look into it"
        raise PermissionError(errno.EPERM, why, str(path))


def esp_rows(bundle: SABundle) -> Iterator[str]:
    """
    A row for each ESP SA of a bundle, in both directions, that Wireshark can decrypt.
    """
    sender = {False: bundle.outbound, True: bundle.inbound}  # who receives by the others
    for inbound, sas in ((True, bundle.inbound), (False, bundle.outbound)):
        source = next((sa.key.destination for sa in sender[not inbound]), "*")
        for sa in sas:
            row = _row(sa, source)
            if row:
                yield row


def _row(sa: ProtectionSA, source: str) -> str:
    parameters = sa.parameters
    if sa.key.protocol != ProtocolID.ESP or not isinstance(parameters, IPsecParameters):
        return ""
    encryption = _ENCRYPTION.get(parameters.encryption)
    # Of what authenticates by itself the name of the cipher says how long the proof is.
    combined = parameters.encryption.startswith("aes-gcm")
    integrity = "NULL" if combined else _INTEGRITY.get(parameters.integrity)
    if encryption is None or integrity is None:
        return ""
    fields = (
        "IPv6" if ":" in sa.key.destination else "IPv4",
        source,
        sa.key.destination,
        f"0x{sa.key.spi.hex()}",
        encryption,
        _hexadecimal(sa.keys["encryption"]),
        integrity,
        "" if combined else _hexadecimal(sa.keys["integrity"]),
    )
    return ",".join(f'"{field}"' for field in fields)


def _hexadecimal(key: bytes) -> str:
    return f"0x{key.hex()}" if key else ""
