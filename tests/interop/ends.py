"""
Our daemon at both ends of the cable in a guest, started once: connections are loaded, begun, ended
and unloaded by the control sockets, one after the other.

A daemon takes seconds to start under user-mode Linux, and a connection a fraction of one.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import ClassVar

from isakmp.control.codec import Section
from tests.interop.daemon import DaemonProcess
from tests.interop.guest import (
    LEFT,
    LEFT_NET,
    RIGHT,
    RIGHT_NET,
    SECRET,
    GuestTestCase,
    add_foreign,
    assert_empty,
    cable,
    ip,
    standing,
)
from tests.interop.namespaces import Namespace, NamespacePair
from tests.interop.vici import Refused

LEFT_6, RIGHT_6 = "fd00:77::1", "fd00:77::2"
LEFT_NET_6, RIGHT_NET_6 = "fd00:81::/64", "fd00:82::/64"
LEFT_INNER_6, RIGHT_INNER_6 = "fd00:81::1", "fd00:82::1"

_CLONE_NEWNET = 0x40000000

_TURNED = {"local_ts": "remote_ts", "remote_ts": "local_ts"}
"""The keys of a child whose values change places at the other end."""


def keys_of(text: str) -> dict[str, str]:
    """``esp_proposals = aes128-sha256``, each on a line."""
    lines = (line.partition("=") for line in text.splitlines() if line.strip())
    return {key.strip(): value.strip() for key, _, value in lines}


@contextmanager
def inside(end: Namespace) -> Iterator[None]:
    """
    Sockets that are made now belong to this end, and do so as long as they live.

    :raises OSError: if it cannot be entered.
    """
    libc = ctypes.CDLL(None, use_errno=True)

    def enter(descriptor: int) -> None:
        if libc.setns(descriptor, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")

    here = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    there = os.open(f"/run/netns/{end.name}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        enter(there)
        try:
            yield
        finally:
            enter(here)
    finally:
        os.close(here)
        os.close(there)


def datagrams(end: Namespace, address: str, port: int) -> socket.socket:
    """A UDP socket there; it waits 5 s for what is to come."""
    with inside(end):
        made = socket.socket(
            socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM
        )
    made.settimeout(5.0)
    made.bind((address, port))
    return made


class Ends:
    """
    :param toml: of both, more than the sink.
    :param beside: whether an SA and a policy that are nobody's of ours stand at both, throughout.
    """

    def __init__(self, toml: str = "", beside: bool = False) -> None:
        self.pair: NamespacePair = cable()
        self._foreign: list[str] = []
        self._stack = [self.pair.close]
        atexit.register(self.close)
        for end, ours, inner, network, via in (
            (self.pair.left, LEFT_6, LEFT_INNER_6, RIGHT_NET_6, RIGHT_6),
            (self.pair.right, RIGHT_6, RIGHT_INNER_6, LEFT_NET_6, LEFT_6),
        ):
            ip(end, f"addr add {ours}/64 dev eth0 nodad")
            ip(end, f"addr add {inner}/64 dev lo nodad")
            ip(end, f"route add {network} via {via} src {inner}")
            if beside:
                add_foreign(end)
                self._foreign = standing(end)
        try:
            self.left, self.right = (
                self._started(end, toml) for end in (self.pair.left, self.pair.right)
            )
        except BaseException:
            self.close()
            raise

    def _started(self, end: Namespace, toml: str) -> DaemonProcess:
        directory = Path(tempfile.mkdtemp(prefix="ends-"))
        (directory / "swanctl.conf").write_text(f'secrets {{ ike {{ secret = "{SECRET}" }} }}\n')
        (directory / "isakmp.toml").write_text(f'sink = "auto"\n{toml}')
        daemon = DaemonProcess(end, directory)
        self._stack.append(daemon.kill)
        return daemon.start()

    def close(self) -> None:
        """Ends the daemons by force, and takes the cable away; idempotent."""
        while self._stack:
            self._stack.pop()()

    @property
    def both(self) -> tuple[DaemonProcess, DaemonProcess]:
        """The left one first."""
        return self.left, self.right

    def load(
        self,
        child: str | Mapping[str, str],
        connection: str = "",
        *,
        hosts: tuple[str, str] = (LEFT, RIGHT),
        left: str = "",
        right: str = "",
        name: str = "net",
    ) -> None:
        """
        A connection with a child ``child``, at both ends.

        :param child: keys of the child as the left end has them, each on a line; without any
            selectors, and not in transport mode, it is for the two networks.  Or several children,
            by name.
        :param connection: keys of the connection.
        :param hosts: the addresses, the left one first.
        :param left: more keys of the children, of this end alone; ``right`` likewise.
        """
        children = {"child": child} if isinstance(child, str) else child
        for daemon, more, (here, there) in (
            (self.right, right, hosts[::-1]),
            (self.left, left, hosts),
        ):
            ours: Section = {}
            for called, text in children.items():
                keys = keys_of(text)
                if keys.get("mode") != "transport":
                    keys = {"local_ts": LEFT_NET, "remote_ts": RIGHT_NET, **keys}
                if daemon is self.right:
                    keys = {_TURNED.get(key, key): value for key, value in keys.items()}
                ours[called] = {**keys, **keys_of(more)}
            message: Section = {
                name: {
                    "version": "1",
                    "local_addrs": [here],
                    "remote_addrs": [there],
                    "proposals": ["aes128-sha256-modp2048"],
                    **keys_of(connection),
                    "local": {"auth": "psk"},
                    "remote": {"auth": "psk"},
                    "children": ours,
                }
            }
            daemon.ask("load-conn", message)

    def begin(self, name: str = "net") -> None:
        """
        The left end begins it, and it stands at both.

        :raises AssertionError: if it does not.
        """
        self.left.initiate(name, "child")
        self.stand()

    def stand(self) -> None:
        """
        :raises AssertionError: if no child comes to stand.
        """
        for daemon in self.both:
            standing = daemon.standing
            daemon.wait_until(lambda: standing().children, "no child stands")  # noqa: B023

    def end(self, name: str = "net") -> None:
        """
        The left end ends it; it is gone from both, and no SA and no policy of it stands.

        :raises AssertionError: if something does.
        """
        self.left.terminate(ike=name)
        self.gone()

    def gone(self) -> None:
        """
        Nothing stands, and nothing is in the kernels.

        :raises AssertionError: if something does.
        """
        for daemon in self.both:
            listed = daemon.list_sas
            daemon.wait_until(lambda: not listed(), "SAs stand")  # noqa: B023
        assert_empty(self.pair.left, self.pair.right, but=self._foreign)

    def settle(self) -> None:
        """
        As they were in the beginning: without a connection, an SA or a policy.

        :raises AssertionError: if a daemon tells of a fault, or something stays in a kernel.
        """
        for daemon in self.both:
            for name in daemon.ask("get-conns").get("conns", []):
                daemon.ask("unload-conn", {"name": name})
        for daemon in self.both:
            with suppress(Refused):  # the other end's deletion was faster
                daemon.terminate_all()
        self.gone()
        for daemon in self.both:
            if faults := daemon.faults():
                raise AssertionError(f"{faults}\n{daemon.log()}")

    def stop(self) -> None:
        """
        Both end in good order, and nothing of them is left in the kernels.

        :raises AssertionError: if something is.
        """
        for daemon in self.both:
            daemon.stop()
        assert_empty(self.pair.left, self.pair.right, but=self._foreign)


class EndsTestCase(GuestTestCase):
    """
    One pair of daemons for all tests of a kind.  After each test they have nothing left; if they
    have, that test has failed, and the next one gets new daemons.

    :cvar toml: of both daemons, more than the sink.
    :cvar beside: whether something that is nobody's of ours stands in both kernels, throughout.
    """

    toml = ""
    beside = False
    _shared: ClassVar[dict[str, Ends]] = {}

    def setUp(self) -> None:
        """What other tests have used, if it can be."""
        if self.toml not in self._shared:
            self._shared[self.toml] = Ends(self.toml, self.beside)
        self.ends = self._shared[self.toml]
        self.left, self.right = self.ends.pair.left, self.ends.pair.right
        self._daemons = list(self.ends.both)
        self.addCleanup(self._settle)

    def _settle(self) -> None:
        try:
            self.ends.settle()
        except BaseException:
            self._shared.pop(self.toml).close()
            raise
