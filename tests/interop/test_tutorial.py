"""
The tutorial with strongSwan works as it is written: every command, and what each of them prints.
"""

from __future__ import annotations

import shutil

from twisted.trial.unittest import SynchronousTestCase

from tests.interop import charon
from tests.pages import DOC, Shell, commands

PAGE = DOC / "tutorial" / "two-namespaces.rst"

#: The tutorial's namespaces have names that anybody may use, and it writes into /run.  Here it has
#: networks, mounts and processes of its own: all that it makes ends with its shell.
APART = (
    *("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
    *("sh", "-ec", 'mount -t tmpfs none /run; exec "$@"', "sh"),
)

#: Seconds for what a reader would wait for.
PATIENCE = 20.0


class TutorialTests(SynchronousTestCase):
    skip = charon.obstacle() or (None if shutil.which("unshare") else "unshare is not here")

    def test_two_namespaces(self) -> None:
        """From ``make peers`` to the last ``rm`` it is as I read it."""
        shown = commands(PAGE)
        self.assertGreater(len(shown), 20)
        self.assertTrue(all(command.root for command in shown))
        with Shell(APART) as shell:
            for command in shown:
                if command.text != "make peers":  # that has been done, or this would be skipped
                    shell.follow(command, PATIENCE)
            left, _ = shell.run("ls /run /run/netns; ip netns pids left; ip netns pids right")
        self.assertEqual([line for line in left.splitlines() if "lab" in line], [])
