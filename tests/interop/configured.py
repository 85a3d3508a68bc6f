"""
Our daemon and charon, each with one half of the same folder of ``configurations``.

Each of these has ``i``, for the end that begins, and ``r``, for the end that answers: a
``swanctl.conf``, which either daemon can read, and an ``isakmp.toml`` for ours.  No two have an
address in common, so one pair of daemons can serve several of them.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.interop import charon
from tests.interop.charon import Charon
from tests.interop.daemon import DaemonProcess, Standing
from tests.interop.namespaces import NamespacePair
from tests.interop.swanctl import IKESA

CONFIGURATIONS = Path(__file__).with_name("configurations")

#: For strongswan.conf.  kernel-null raises no expiry, and so charon would keep a child that it has
#: rekeyed.
DELETE_REKEYED = "delete_rekeyed = yes"

NOTHING = "nothing.conf"
"""The file that our daemon reads before it is told what to do."""

_LOCAL = re.compile(r"^ *local_addrs *= *(\S+)$", re.MULTILINE)


def including(names: Iterable[str], end: str) -> str:
    """
    The text of a ``swanctl.conf`` with all of these.

    :param end: ``i`` or ``r``.
    """
    return "".join(f"include {CONFIGURATIONS / name / end / 'swanctl.conf'}\n" for name in names)


def settings(names: Iterable[str], end: str) -> str:
    """
    The text of the ``isakmp.toml`` that all of these have.

    :raises ValueError: if they differ: then one daemon cannot serve them together.
    """
    texts = {(CONFIGURATIONS / name / end / "isakmp.toml").read_text() for name in names}
    if len(texts) != 1:
        raise ValueError(f"{', '.join(names)} do not go together: they have {len(texts)} settings")
    return texts.pop()


def addresses(names: Iterable[str], end: str) -> list[str]:
    """The addresses that this end has to have."""
    found = []
    for name in names:
        text = (CONFIGURATIONS / name / end / "swanctl.conf").read_text()
        found += _LOCAL.findall(text)
    return found


def listed(sas: Iterable[IKESA]) -> Standing:
    """What charon lists, from our point of view."""
    return Standing.of(sas).crosswise


class ConfiguredTestCase(SynchronousTestCase):
    """
    Our daemon is one end, and charon the other.

    :cvar role: ours: ``initiator`` or ``responder``.
    """

    skip = charon.obstacle()
    role = "initiator"

    @property
    def our_end(self) -> str:
        """Our half of a configuration."""
        return self.role[0]

    @property
    def their_end(self) -> str:
        """charon's half."""
        return "r" if self.role == "initiator" else "i"

    def prepare(
        self, *names: str, options: str = "", levels: Mapping[str, int] | None = None
    ) -> tuple[DaemonProcess, Charon]:
        """
        Two namespaces with the addresses of these configurations, and a daemon in each that has
        not been started.

        :param options: for charon's ``strongswan.conf``; ``levels`` of its log.
        """
        ends = self.enterContext(NamespacePair())
        for namespace, end in ((ends.left, "i"), (ends.right, "r")):
            namespace.add_addresses(addresses(names, end))
        mine, theirs = ends.left, ends.right
        if self.role == "responder":
            mine, theirs = theirs, mine
        files = Path(self.mktemp()).resolve()
        folder = files / "ours"
        folder.mkdir(parents=True)
        (folder / "swanctl.conf").write_text(including(names, self.our_end))
        ours = DaemonProcess(mine, folder)
        (folder / "isakmp.toml").write_text(settings(names, self.our_end))
        peer = Charon(
            theirs,
            including(names, self.their_end),
            files / "peer",
            options=options,
            levels=levels,
        )
        self.addCleanup(peer.stop)
        self.addCleanup(ours.kill)
        return ours, peer

    def run_both(self, ours: DaemonProcess, peer: Charon) -> None:
        """
        Starts both: whoever answers first, so that whoever begins need not begin twice.  Both are
        configured by ``swanctl --load-all``.
        """
        if self.role == "initiator":
            peer.start()
        (ours.directory / NOTHING).write_text("")
        ours.start(NOTHING).load()
        if self.role == "responder":
            peer.start()

    def begin(
        self, *names: str, options: str = "", levels: Mapping[str, int] | None = None
    ) -> tuple[DaemonProcess, Charon]:
        """Both ends run, and the initiator begins what its configuration says."""
        ours, peer = self.prepare(*names, options=options, levels=levels)
        self.run_both(ours, peer)
        return ours, peer

    def wait_for_children(
        self, ours: DaemonProcess, peer: Charon, *wanted: tuple[str, str]
    ) -> list[IKESA]:
        """
        Until these children stand at both ends.

        :param wanted: connection and child.
        :returns: what charon lists then.
        """
        ours.wait_until(lambda: set(wanted) <= {sa[:2] for sa in ours.standing().children})
        return peer.wait_for_sas(lambda sas: set(wanted) <= {sa[:2] for sa in listed(sas).children})

    def wait_for_agreement(
        self,
        ours: DaemonProcess,
        peer: Charon,
        also: Callable[[Standing], object] = lambda standing: True,
    ) -> list[IKESA]:
        """
        Until our daemon and charon list the same SAs, with the same cookies and SPIs.

        :param also: what else must be so.
        :returns: what charon lists then.
        """

        def same(sas: Collection[IKESA]) -> bool:
            standing = listed(sas)
            return bool(standing == ours.standing() and also(standing))

        try:
            return peer.wait_for_sas(same)
        except AssertionError as error:
            raise AssertionError(f"{ours.log()}\n{ours.standing()}\n{error}") from None

    def assert_stops(self, ours: DaemonProcess, peer: Charon) -> None:
        """
        All that stands is ended by our control socket: neither end lists anything any more, and
        ours has told that it went.  After SIGTERM our daemon exits in time, as twistd does.  No
        fault of ours is in the log.
        """
        ours.terminate_all()
        peer.wait_for_sas(lambda sas: not sas, timeout=2.0)
        self.assert_ends(ours, peer)

    def assert_ends(self, ours: DaemonProcess, peer: Charon) -> None:
        """
        After SIGTERM our daemon exits in time, as twistd does, and has told that what stood went;
        charon lists nothing: it has been told.  No fault of ours is in the log.
        """
        self.assertEqual(ours.stop(within=2.0), -signal.SIGTERM)
        peer.wait_for_sas(lambda sas: not sas, timeout=2.0)
        self.assertEqual(ours.told_up(), set())
        self.assertEqual(ours.faults(), [])
