"""
What the documentation has root do works as it is written: every command, and what each prints.

The pages use names that anybody may use, and write into ``/run``.  Here each has networks, mounts
and processes of its own, and all that it makes ends with its shell.
"""

from __future__ import annotations

import shutil

from twisted.trial.unittest import SynchronousTestCase

from tests.interop import charon
from tests.pages import DOC, Command, Shell, commands

APART = (
    *("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
    *("sh", "-ec", 'mount -t tmpfs none /run; ip link set lo up; exec "$@"', "sh"),
)

#: Seconds for what a reader would wait for.
PATIENCE = 20.0

#: A host with a card, eth0, and its network; beyond the gateway there is the peer of site-to-site.
NEIGHBOURHOOD = r"""
set -e
ip netns add far
ip link add eth0 type veth peer name eth0 netns far
ip address add 192.0.2.10/24 dev eth0
ip link set eth0 up
ip route add default via 192.0.2.254
ip -n far address add 192.0.2.254/24 dev eth0
ip -n far address add 198.51.100.1/32 dev lo
ip -n far link set eth0 up
ip -n far link set lo up
sed -e 's/192\.0\.2\.1/HERE/; s/198\.51\.100\.1/192.0.2.1/; s/HERE/198.51.100.1/' \
    -e 's/id = left/id = HERE/; s/id = right/id = left/; s/id = HERE/id = right/' \
    -e 's/10\.1\.0/HERE/; s/10\.2\.0/10.1.0/; s/HERE/10.2.0/' -e /start_action/d \
    doc/examples/site-to-site.conf > /run/far.conf
printf 'vici = "unix:///run/far.vici"\nsink = "log"\n' > /run/far.toml
ip netns exec far .venv/bin/twistd -n --pidfile= isakmp --config /run/far.conf \
    --settings /run/far.toml > /run/far.log 2>&1 &
set +e
"""

CHARON = r"""
cp -r doc/examples/two-namespaces /run/lab
sh /run/lab/strongswan.sh charon-systemd > /run/lab/charon.log 2>&1 &
"""


#: swanctl as if it were installed, and the address of our end of site-to-site.
SWANCTL = r"""
cp -r doc/examples/two-namespaces /run/lab
mkdir /run/bin
printf '#!/bin/sh\nexec sh /run/lab/strongswan.sh swanctl "$@"\n' > /run/bin/swanctl
chmod +x /run/bin/swanctl
PATH=/run/bin:$PATH
ip address delete 192.0.2.10/24 dev eth0
ip address add 192.0.2.1/24 dev eth0
ip route add default via 192.0.2.254
"""


#: What stands at the far end; it fails until somebody answers there.
FAR = ".venv/bin/isakmpctl sas --uri unix:///run/far.vici"


def settle(shell: Shell, command: str) -> None:
    """Wait until a command succeeds."""
    shell.run(f"for n in $(seq 200); do {command} > /dev/null && break; sleep 0.1; done")


class TutorialTests(SynchronousTestCase):
    skip = charon.obstacle() or (None if shutil.which("unshare") else "unshare is not here")

    def follow(self, shell: Shell, *shown: Command) -> None:
        """Do what a page says."""
        for command in shown:
            shell.follow(command, PATIENCE)

    def test_two_namespaces(self) -> None:
        """The tutorial with strongSwan, from ``make peers`` to the last ``rm``, is as I read it."""
        peers, *shown = commands(DOC / "tutorial" / "two-namespaces.rst")
        self.assertEqual(peers.text, "make peers")  # that has been done, or this would be skipped
        self.assertGreater(len(shown), 20)
        with Shell(APART) as shell:
            self.follow(shell, *shown)
            self.assertEqual(shell.run("ls /run/netns /run/lab")[0].count("No such file"), 1)

    def test_from_charon(self) -> None:
        """
        My file is judged before anything is started; mended it is served; and as long as charon
        runs the daemon ends at the port.
        """
        *before, beside, stop, start = commands(DOC / "how-to" / "from-charon.rst")
        with Shell(APART) as shell:
            self.follow(shell, *before)
            settle(shell, "! ss -Huln 'sport = 500' | grep 500")
            shell.run(CHARON)
            settle(shell, "ss -Huln 'sport = 500' | grep 500")
            self.follow(shell, beside)
        self.assertEqual(stop.text, "systemctl stop strongswan")
        self.assertEqual(start.text, ".venv/bin/twistd -n --pidfile= isakmp")

    def test_swanctl(self) -> None:
        """``swanctl`` drives the daemon as the page shows it, and says why it fails."""
        shown = commands(DOC / "how-to" / "swanctl.rst")
        with Shell(APART) as shell:
            shell.run(NEIGHBOURHOOD)
            shell.run(SWANCTL)
            settle(shell, FAR)
            daemon, *others = shown
            self.follow(shell, daemon)
            settle(shell, ".venv/bin/isakmpctl sas")
            self.follow(shell, *others)
            self.assertNotIn("Traceback", shell.run("cat /run/isakmp.log")[0])

    def test_beside_charon(self) -> None:
        """Beside charon there are two ways, and each works as it stands in the page."""
        shown = commands(DOC / "how-to" / "beside-charon.rst")
        with Shell(APART) as shell:
            shell.run(NEIGHBOURHOOD)
            shell.run(CHARON)
            settle(shell, "ss -Huln 'sport = 500' | grep 500")
            settle(shell, FAR)
            self.follow(shell, *shown)
            shell.run(f"{FAR} > /run/far.sas")
            self.assertEqual(shell.run("cat /run/far.sas")[0].strip(), "no SA stands")
            self.assertIn("is gone: deleted by the peer", shell.run("cat /run/far.log")[0])
