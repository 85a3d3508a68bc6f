"""
Which network interface has an address, as the C library's ``getifaddrs`` says.
"""

from __future__ import annotations

import ctypes
import ipaddress
import socket


class _Entry(ctypes.Structure):
    """``struct ifaddrs``, as far as it is read."""


_Entry._fields_ = [
    ("next", ctypes.POINTER(_Entry)),
    ("name", ctypes.c_char_p),
    ("flags", ctypes.c_uint),
    ("address", ctypes.c_void_p),
]

_OFFSETS = {socket.AF_INET: (4, 4), socket.AF_INET6: (8, 16)}
"""Where the address stands in a ``sockaddr`` of each family, and how many octets it has."""


def interface_of(address: str) -> str:
    """
    The name of the interface that has this address; empty if there is none.
    """
    try:
        wanted = ipaddress.ip_address(address.partition("%")[0])
        library = ctypes.CDLL(None)
        getifaddrs, freeifaddrs = library.getifaddrs, library.freeifaddrs
    except (ValueError, OSError, AttributeError):
        return ""
    family = socket.AF_INET if wanted.version == 4 else socket.AF_INET6
    offset, size = _OFFSETS[family]
    first = ctypes.POINTER(_Entry)()
    if getifaddrs(ctypes.byref(first)):
        return ""
    freeifaddrs.argtypes = [ctypes.POINTER(_Entry)]
    freeifaddrs.restype = None
    try:
        entry = first
        while entry:
            one = entry.contents
            if one.address:
                kind = ctypes.c_ushort.from_address(one.address).value
                if kind == family and wanted.packed == ctypes.string_at(one.address + offset, size):
                    return bytes(one.name).decode("ascii", "replace")
            entry = one.next
    finally:
        freeifaddrs(first)
    return ""
