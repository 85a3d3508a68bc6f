"""
What the kernel's refusals mean, in words.
"""

from __future__ import annotations

import errno

_MODULES = {50: "ESP", 51: "AH", 108: "IPComp"}


def explained(number: int, protocol: int = 0, algorithms: str = "") -> str:
    """
    A sentence about an error of the kernel's.

    :param protocol: the IP protocol of the SA it is about, and ``algorithms`` the kernel's names of
        what it was to use; nothing, if it is about something else.
    """
    what = _MODULES.get(protocol, "IPsec")
    if number in (errno.EPERM, errno.EACCES):
        return "this process may not install SAs: it needs the capability CAP_NET_ADMIN"
    if number in (errno.EPROTONOSUPPORT, errno.EAFNOSUPPORT):
        return (
            f"this kernel has no {what}: its modules are {what.lower()}4 and {what.lower()}6 "
            f"(CONFIG_INET_{what.upper()}, CONFIG_INET6_{what.upper()})"
        )
    if number in (errno.ENOSYS, errno.ENOENT, errno.EOPNOTSUPP):
        said = algorithms or "what was asked for"
        return f"this kernel has no {said} for {what}: a module of its crypto is missing"
    if number == errno.EEXIST:
        return "there is such a one already, and it is not ours"
    if number == errno.ESRCH:
        return "there is no such one any more"
    if number in (errno.ENOBUFS, errno.ENOMEM):
        return "the kernel has no memory for it"
    if number == errno.EINVAL:
        said = f" with {algorithms}" if algorithms else ""
        return f"the kernel does not take this for {what}{said}"
    if number == errno.ETIMEDOUT:
        return "the kernel does not answer"
    return errno.errorcode.get(number, f"error {number}")


def unrouted(number: int) -> str:
    """A sentence about an error of the kernel's that is about routes and rules."""
    if number in (errno.EPERM, errno.EACCES):
        return "this process may not install routes: it needs the capability CAP_NET_ADMIN"
    if number in (errno.EOPNOTSUPP, errno.EAFNOSUPPORT):
        return (
            "this kernel has no more than one table of routes "
            "(CONFIG_IP_MULTIPLE_TABLES, CONFIG_IPV6_MULTIPLE_TABLES)"
        )
    if number == errno.EEXIST:
        return "there is one already, and it is not ours"
    if number in (errno.ENETUNREACH, errno.EHOSTUNREACH):
        return "the peer, or the gateway to it, cannot be reached"
    if number in (errno.ENETDOWN, errno.ENODEV):
        return "the interface that leads to the peer is down"
    if number == errno.EINVAL:
        return "the kernel does not take it: an address of it may not be ours any more"
    return explained(number)
