"""
``list-sas`` of our daemon and of charon, of the same SAs: every key, and what each has there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from isakmp.control.codec import Section
from tests.interop import null_sink
from tests.interop.configured import ConfiguredTestCase
from tests.interop.test_daemon import AGREED, CONNECTIONS
from tests.interop.vici import Vici, inner

Listed = Mapping[tuple[str, ...], "str | list[str] | None"]
"""By connection, child and key, what stands there."""

#: What each daemon counts for itself.
OWN = re.compile("uniqueid|reqid|established|(install|rekey|life)-time")

CROSSWISE = {"local": "remote", "remote": "local", "in": "out", "out": "in"}


def at_the_other_end(key: str) -> str:
    """What the other end calls it."""
    if key.endswith("-spi"):
        return key
    return "-".join(CROSSWISE.get(word, word) for word in key.split("-"))


def listed(events: Iterable[Section]) -> Listed:
    """What is told of each SA; of what each daemon counts for itself only that it is there."""
    found: dict[tuple[str, ...], str | list[str] | None] = {}
    for event in events:
        for name, sa in inner(event).items():
            children = inner(sa)["child-sas"]
            parts: list[tuple[tuple[str, ...], Section]] = [((name,), sa)]
            parts += [((name, str(child["name"])), child) for child in inner(children).values()]
            for path, part in parts:
                for key, value in part.items():
                    if not isinstance(value, dict):
                        found[*path, key] = None if OWN.fullmatch(key) else value
    return found


class ListsAsInitiatorTests(ConfiguredTestCase):
    """
    Our daemon begins; it has a sink that installs all, as charon has kernel-null.
    """

    role = "initiator"

    def test_same(self) -> None:
        """
        Whatever is agreed, tools find in our daemon's list the keys that charon's has, with the
        same values, seen from the other end; and no others.
        """
        ours, peer = self.prepare(*CONNECTIONS)
        null_sink.install(ours.directory)
        (ours.directory / "isakmp.toml").write_text(null_sink.SETTINGS)
        self.run_both(ours, peer)
        self.wait_for_children(ours, peer, *((one.connection, one.child) for one in AGREED))
        self.wait_for_agreement(ours, peer)
        theirs = Vici(Path(peer.uri.removeprefix("unix://")), ())
        self.addCleanup(theirs.close)
        there = {
            (*path, at_the_other_end(key)): value
            for (*path, key), value in listed(theirs.listed("list-sas", "list-sa")).items()
        }
        here = dict(listed(ours.vici.listed("list-sas", "list-sa")))
        # Of each SA one end is the initiator, and only that one has the key.
        begun, answered = (here, there) if self.role == "initiator" else (there, here)
        for name in CONNECTIONS:
            self.assertEqual(begun.pop((name, "initiator")), "yes")
            self.assertNotIn((name, "initiator"), answered)
        unlike = {
            key: (here.get(key), there.get(key))
            for key in {*here, *there}
            if key not in here or key not in there or here[key] != there[key]
        }
        self.assertEqual(unlike, {})
        self.assertGreater(len(here), 20 * len(AGREED))


class ListsAsResponderTests(ListsAsInitiatorTests):
    """
    charon begins.
    """

    role = "responder"
