"""How much is logged: a level below which nothing is even made."""

from __future__ import annotations

from twisted.logger import LogLevel
from twisted.trial.unittest import SynchronousTestCase

from isakmp import logs
from isakmp.logs import Logger, set_level
from tests.samples import logged

LEVELS = ("debug", "info", "warn", "error", "critical")


class Speaker:
    """Somebody of this package who logs."""

    log = Logger()

    def say_all(self) -> None:
        for name in LEVELS:
            getattr(self.log, name)("{word}", word=name)


class Costly:
    """Says how often it was made into text."""

    count = 0

    def __str__(self) -> str:
        type(self).count += 1
        return "costly"


class LevelTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.patch(logs, "_least", LogLevel.debug)
        self.notes = logged(self)

    def said(self) -> list[str]:
        found = [note["word"] for note in self.notes if "word" in note]
        self.notes.clear()
        return found

    def test_levels(self) -> None:
        """``level`` in isakmp.toml means: this, and what is worse; nothing below it."""
        for number, name in enumerate(LEVELS):
            set_level(name)
            Speaker().say_all()
            self.assertEqual(self.said(), list(LEVELS[number:]))

    def test_default(self) -> None:
        """Unless told, everything is given to whoever observes."""
        Speaker().say_all()
        self.assertEqual(self.said(), list(LEVELS))

    def test_unknown(self) -> None:
        """A level that is none is refused, and the one before holds."""
        set_level("warn")
        for name in ("", "warning", "WARN ", "all"):
            error = self.assertRaises(ValueError, set_level, name)
            self.assertIn(repr(name), str(error))
        Speaker().say_all()
        self.assertEqual(self.said(), ["warn", "error", "critical"])

    def test_failures(self) -> None:
        """A fault of ours is logged at every level, with its traceback."""
        set_level("critical")
        try:
            raise ZeroDivisionError
        except ZeroDivisionError:
            Speaker.log.failure("a fault")
        (note,) = self.notes
        self.assertEqual(note["log_failure"].type, ZeroDivisionError)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_not_made(self) -> None:
        """What is not logged costs nothing: its line is not formatted, and nobody is given it."""
        set_level("error")
        Speaker.log.info("{it}", it=Costly())
        self.assertEqual((self.notes, Costly.count), ([], 0))

    def test_who(self) -> None:
        """A line says which part of the package it is from."""
        speaker = Speaker()
        speaker.say_all()
        self.assertEqual(self.notes[0]["log_namespace"], f"{__name__}.Speaker")
        self.assertIs(self.notes[0]["log_source"], speaker)
