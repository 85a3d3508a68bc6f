"""
A sink that installs whatever it is given, and moves no packet: what kernel-null is for charon.

With it our daemon says what it says with a kernel, and a test needs none.  It is installed as any
other distribution's sink is: by a module in ``twisted/plugins``.
"""

from __future__ import annotations

from pathlib import Path

from twisted.internet.defer import Deferred, succeed
from twisted.plugin import IPlugin
from zope.interface import implementer

from isakmp.associations import ChildPolicy, SABundle, Transform
from isakmp.interfaces import IReqids, ISASink
from isakmp.paths import Path as Road
from isakmp.sinks.memory import RecordingSink

SETTINGS = 'sink = "null"\n[plugins]\nsink = ["null"]\n'
"""For ``isakmp.toml``."""


@implementer(IPlugin, ISASink, IReqids)
class NullSink(RecordingSink):
    """Installs SAs and traps, and gives each child a number of its own."""

    name = "null"
    protects = True

    def __init__(self) -> None:
        super().__init__()
        self._numbers: dict[tuple[str, str], int] = {}

    def supports(self, doi: int, protocol: int, transform: Transform) -> bool:
        """Everything."""
        return True

    def trap(self, policy: ChildPolicy, path: Road | None) -> Deferred[None]:
        """At once."""
        return succeed(None)

    def reqid(self, bundle: SABundle) -> int:
        """The children of one configuration have one number, whenever they are made."""
        name = bundle.connection, bundle.policy.name
        return self._numbers.setdefault(name, len(self._numbers) + 1)


def install(directory: Path) -> None:
    """Make it a plug-in of the daemon that has this directory in its ``PYTHONPATH``."""
    module = directory / "twisted" / "plugins" / "null_sink.py"
    module.parent.mkdir(parents=True)
    module.write_text("from tests.interop.null_sink import NullSink\n\nnull = NullSink()\n")
