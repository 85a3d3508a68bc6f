"""The ``vici`` package from PyPI drives a daemon, as scripts written for strongSwan do."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from tests.daemons import Folder
from tests.test_daemon_processes import SECRETS, ProcessTestCase

try:
    import vici
except ImportError:  # it comes with the extra [dev]
    vici = None

ALICE: dict[str, Any] = {
    "version": "1",
    "local_addrs": ["127.0.0.1"],
    "remote_addrs": ["127.0.0.2"],
    "proposals": ["aes128-sha256-curve25519"],
    "local": {"auth": "psk", "id": "a.lab"},
    "remote": {"auth": "psk", "id": "b.lab"},
    "children": {
        "net": {
            "local_ts": ["10.1.2.0/24"],
            "remote_ts": ["10.2.2.0/24"],
            "esp_proposals": ["aes128-sha256"],
        }
    },
}


class ViciPackageTests(ProcessTestCase):
    """Alice's daemon has an empty file: everything comes from the client."""

    skip = ProcessTestCase.skip or (None if vici else "the vici package is not installed")

    def setUp(self) -> None:
        super().setUp()
        self.uri(self.ours, self.port)
        self.ours.write(secrets=())
        self.theirs.write(self.his(), secrets=SECRETS)
        self.bob.start()
        self.alice.start()

    def uri(self, folder: Folder, port: int) -> None:
        """A control socket for one of them."""
        self.path = folder.path / "vici"
        vici_line = f'vici = "unix://{self.path}"'
        folder.write_settings(f"port = {port}", 'listen = ["127.0.0.1"]', vici_line)

    def session(self) -> Any:
        """A client."""
        one = socket.socket(socket.AF_UNIX)
        one.settimeout(20.0)
        one.connect(str(self.path))
        self.addCleanup(one.close)
        return vici.Session(one)

    def until(self, reached: Callable[[], object]) -> None:
        """Until something is so."""
        deadline = time.monotonic() + 10.0
        while not reached():
            self.assertLess(time.monotonic(), deadline, self.alice.log())
            time.sleep(0.02)

    def test_session(self) -> None:
        """Load, initiate with its log, list, rekey, terminate, count, unload."""
        session = self.session()
        self.assertEqual(session.version()["daemon"], b"isakmp")
        shared = {"id": "ike", "type": "IKE", "data": "never in any log", "owners": ["b.lab"]}
        session.load_shared(shared)
        session.load_conn({"road": {**ALICE, "remote_port": str(self.their_port)}})
        self.assertEqual(list(session.get_conns()["conns"]), [b"road"])
        (configured,) = session.list_conns()
        self.assertEqual(configured["road"]["version"], b"IKEv1")
        lines = [line["msg"].decode() for line in session.initiate({"child": "net"})]
        self.assertTrue([line for line in lines if "is established" in line], lines)
        (listed,) = session.list_sas()
        (child,) = listed["road"]["child-sas"].values()
        self.assertEqual(child["state"], b"INSTALLED")
        self.assertIn(f"SPI {child['spi-in'].decode()} in", self.alice.log())
        self.assertEqual(session.rekey({"child": "net"})["matches"], b"1")
        self.until(lambda: len(next(iter(session.list_sas()))["road"]["child-sas"]) == 2)
        counted = session.get_counters()["counters"][""]
        self.assertEqual(counted["ike-init-out-req"], b"3")
        list(session.terminate({"ike": "road"}))
        self.assertEqual(list(session.list_sas()), [])
        session.unload_conn({"name": "road"})
        session.unload_shared({"id": "ike"})
        self.assertEqual(list(session.get_shared()["keys"]), [])
        self.assert_clean()
        self.stop(self.alice)

    def test_refused(self) -> None:
        """What is not done is an exception with the sentence."""
        session = self.session()
        for command, message, words in (
            (session.load_conn, {"road": {**ALICE, "proposals": ["aes7"]}}, "aes7"),
            (session.load_cert, {"type": "X509", "flag": "NONE", "data": "x"}, "not built yet"),
            (session.unload_conn, {"name": "road"}, "there is no connection road"),
        ):
            error = self.assertRaises(vici.exception.CommandException, command, message)
            self.assertIn(words, str(error))
        # This one answers only who asks for its events.
        begun = session.initiate({"child": "net"})
        error = self.assertRaises(vici.exception.CommandException, list, begun)
        self.assertIn("there is no child net", str(error))

    def test_listens(self) -> None:
        """A second client hears of what the first one does."""
        heard: list[str] = []
        ready = threading.Event()

        def listen() -> None:
            for name, _ in self.session().listen(["ike-updown", "child-updown"], timeout=0.1):
                ready.set()
                if name is not None:
                    heard.append(name.decode())
                if len(heard) == 4:
                    return

        watcher = threading.Thread(target=listen, daemon=True)
        watcher.start()
        self.assertTrue(ready.wait(10.0))
        session = self.session()
        session.load_shared({"type": "IKE", "data": "never in any log", "owners": []})
        session.load_conn({"road": {**ALICE, "remote_port": str(self.their_port)}})
        list(session.initiate({"child": "net"}))
        list(session.terminate({"ike": "road"}))
        watcher.join(10.0)
        self.assertEqual(heard, ["ike-updown", "child-updown", "child-updown", "ike-updown"])
