"""
``isakmpctl`` and a daemon.
"""

from __future__ import annotations

import contextlib
import io
import json
import select
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from isakmp import cli
from isakmp.commands import control
from isakmp.commands.client import DEFAULT, Client, uri_of
from isakmp.control.codec import Kind, Packet
from tests.daemons import SECRET, secret
from tests.interop import CHECKOUT
from tests.test_daemon_processes import SECRETS, STARTED, ProcessTestCase


def run_command(*arguments: str) -> tuple[object, str, str]:
    """Status, standard output and standard error."""
    out, err = io.StringIO(), io.StringIO()
    status: object = None
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            cli.main(arguments)
        except SystemExit as left:
            status = left.code
    return status, out.getvalue(), err.getvalue()


class DaemonTests(ProcessTestCase):
    """Alice's daemon is controlled; nothing is begun by itself."""

    def setUp(self) -> None:
        super().setUp()
        path = self.ours.path / "vici"
        self.uri = f"unix://{path}"
        self.ours.write_settings(
            f"port = {self.port}", 'listen = ["127.0.0.1"]', f'vici = "{self.uri}"'
        )
        quiet = ("esp_proposals = aes128-sha256",)
        self.assertNotEqual(quiet, STARTED)
        self.road = replace(self.hers(), child=quiet)
        self.ours.write(self.road, secrets=SECRETS)
        self.theirs.write(self.his(), secrets=SECRETS)

    def both(self) -> None:
        self.bob.start()
        self.alice.start()

    def ctl(self, command: str, *arguments: str) -> tuple[object, str, str]:
        """What the command says about Alice's daemon."""
        return run_command(command, "--uri", self.uri, *arguments)

    def answer(self, *arguments: str) -> Any:
        status, out, err = self.ctl(*arguments, "--json")
        self.assertEqual((status, err), (0, ""), out)
        return json.loads(out)

    def test_life(self) -> None:
        """
        I see what is configured, bring it up and see how, look at what stands, and end it: by the
        connection's name, the child's, or both.
        """
        self.both()
        self.assertEqual(list(self.answer("conns")), ["road"])
        _, out, _ = self.ctl("conns")
        self.assertIn("road: IKEv1, 127.0.0.1 - 127.0.0.2", out)
        self.assertIn("net: ", out)
        self.assertEqual(self.ctl("sas"), (0, "no SA stands\n", ""))
        status, out, err = self.ctl("up", "road")
        self.assertEqual((status, err), (0, ""), out)
        self.assertEqual(out.splitlines()[-1], "road/net is up")
        self.assertRegex(out, r"\[IKE\] .* is established")
        (sa,) = self.answer("sas")
        self.assertEqual((sa["name"], sa["state"]), ("road", "ESTABLISHED"))
        (child,) = sa["children"]
        self.assertEqual((child["name"], child["state"]), ("net", "INSTALLED"))
        _, out, _ = self.ctl("sas", "road")
        self.assertIn(f"in  {child['spi-in']}, 0 octets, 0 packets", out)
        self.assertIn("10.1.2.0/24 - 10.2.2.0/24", out)
        self.assertEqual(self.ctl("sas", "rail")[1], "no SA stands\n")
        status, out, _ = self.ctl("down", "road/net")
        self.assertEqual(status, 0, out)
        self.assertIn("road/net is down", out)
        for name in ("net", "road/net"):
            self.assertEqual(self.ctl("up", name)[0], 0)
            self.assertEqual(self.ctl("down", name)[0], 0)
        self.assertEqual(self.ctl("up", "road")[0], 0)
        self.assertEqual(self.ctl("down", "road", "--timeout", "20", "--force")[0], 0)
        self.assertEqual(self.ctl("sas"), (0, "no SA stands\n", ""))
        self.assert_clean()

    def test_wrong_secret(self) -> None:
        """
        Where the secrets differ, the status is 4, and the last line says so, and not what they are.
        """
        self.theirs.write(self.his(), secrets=(secret("a.lab", "b.lab", octets="another secret"),))
        self.both()
        status, out, err = self.ctl("up", "road")
        self.assertEqual((status, err), (4, ""), out)
        self.assertIn("the secrets configured for this peer differ", out.splitlines()[-1])
        self.assertNotIn(SECRET, out)

    def test_refused(self) -> None:
        """Where nothing is common, the status is 1, and the last line says what to ask whom."""
        other = replace(self.his(), child=("esp_proposals = aes256-sha512",))
        self.theirs.write(other, secrets=SECRETS)
        self.both()
        status, out, _ = self.ctl("up", "road")
        self.assertEqual(status, 1, out)
        self.assertIn("NO-PROPOSAL-CHOSEN", out.splitlines()[-1])
        (result,) = json.loads(self.ctl("up", "road", "--json")[1])
        self.assertEqual((result["name"], result["status"]), ("road/net", 1))
        self.assertIn("NO-PROPOSAL-CHOSEN", result["text"])

    def test_names(self) -> None:
        """A name that means nothing is told, with those that there are."""
        self.both()
        status, out, err = self.ctl("up", "rail")
        self.assertEqual((status, out), (2, ""))
        self.assertIn("nothing is named rail; there are: road, road/net", err)
        status, _, err = self.ctl("down", "rail")
        self.assertNotEqual(status, 0)
        self.assertTrue(err)

    def test_down_waits(self) -> None:
        """``down`` asks the daemon for what its options say: how long to wait, and for whom."""
        asked: list[dict[str, str]] = []

        def ask(_: Client, command: str, message: dict[str, str]) -> dict[str, str]:
            asked.append(message)
            return {"success": "yes", "terminated": "1"}

        self.patch(Client, "__init__", lambda *_: None)
        self.patch(Client, "__exit__", lambda *_: None)
        self.patch(Client, "ask", ask)
        self.patch(control, "_sas", lambda *_: [{"name": "road"}])
        for options in ((), ("--timeout", "1.5"), ("--force",)):
            self.assertIn(run_command("down", "road", *options)[0], (None, 0))
        ours = {"ike": "road", "timeout": "0"}
        self.assertEqual(asked, [ours, {**ours, "timeout": "1500"}, {**ours, "force": "yes"}])

    def test_watch_and_log(self) -> None:
        """The table again and again, and the log as it is written, until the daemon stops."""
        self.both()
        status, out, _ = self.ctl("watch", "--interval", "0.01", "--count", "3")
        self.assertEqual((status, out), (0, "no SA stands\n" * 3))
        follower = subprocess.Popen(
            [sys.executable, "-c", "from isakmp.cli import main; main()", "log", "--uri", self.uri],
            env={"PYTHONPATH": str(CHECKOUT), "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(follower.kill)
        assert follower.stdout is not None
        for _ in range(20):
            self.assertEqual(self.ctl("up", "road")[0], 0)
            self.assertEqual(self.ctl("down", "road")[0], 0)
            if select.select([follower.stdout], [], [], 0.5)[0]:
                break
        self.stop(self.alice)
        out, err = follower.communicate(timeout=10)
        self.assertRegex(out, r"\[\w+\].* is (established|gone)")
        self.assertEqual(follower.returncode, 3, err)
        self.assertIn("does not answer any more", err)


class ClientTests(SynchronousTestCase):
    """What comes back when nobody, or something strange, answers."""

    def serve(self, *answers: bytes) -> str:
        """Something that says this to whoever comes, and hangs up."""
        listening = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listening.close)

        def serve() -> None:
            client, _ = listening.accept()
            with client:
                client.recv(4096)
                for answer in answers:
                    client.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        self.addCleanup(thread.join, 5.0)
        return f"tcp://127.0.0.1:{listening.getsockname()[1]}"

    def test_nobody(self) -> None:
        """Where no daemon answers the status is 3, in one line."""
        for uri in ("unix:///nowhere/at.all", "tcp://127.0.0.1:9"):
            status, out, err = run_command("sas", "--uri", uri)
            self.assertEqual((status, out), (3, ""))
            self.assertEqual(len(err.splitlines()), 1)
            self.assertIn(f"no daemon answers at {uri}", err)

    def test_no_address(self) -> None:
        """What is no address of a daemon is a mistake."""
        for uri in ("", "http://127.0.0.1", "tcp://127.0.0.1", "tcp://h:99999", "unix://"):
            status, _, err = run_command("sas", "--uri", uri or "nothing")
            self.assertEqual(status, 2, uri)
            self.assertIn("is no address of a daemon", err)

    def test_strange(self) -> None:
        """Something else than a daemon is told as such, whatever it says."""
        unknown = Packet(Kind.CMD_UNKNOWN).encode()
        for said in (
            b"",
            b"\0\0\0\0",
            b"\xff\xff\xff\xff",
            b"\0\0\0\5\1",
            b"\0\0\0\1\x2a",
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
        ):
            status, out, err = run_command("sas", "--uri", self.serve(said))
            self.assertEqual((status, out), (3, ""), said)
            self.assertIn("does not answer any more", err)
        length = len(unknown).to_bytes(4)
        status, _, err = run_command("sas", "--uri", self.serve(length + unknown))
        self.assertNotEqual(status, 0)
        self.assertIn("does not know", err)

    def test_where(self) -> None:
        """The socket is what is said, else what the environment says, else the daemon's own."""
        self.assertEqual(uri_of("tcp://a:1", {"ISAKMP_VICI": "unix:///b"}), "tcp://a:1")
        self.assertEqual(uri_of(None, {"ISAKMP_VICI": "unix:///b"}), "unix:///b")
        self.assertEqual(uri_of(None, {}), DEFAULT)
        self.assertTrue(Path(DEFAULT.removeprefix("unix://")).is_absolute())
