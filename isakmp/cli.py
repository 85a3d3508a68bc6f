"""
``isakmpctl``: the command line.

Exit statuses: 0 ok, 1 negotiation failed, 2 usage, 4 authentication failed, 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from isakmp import __version__

USAGE, INTERRUPTED = 2, 130


def main(arguments: Sequence[str] | None = None) -> None:
    """
    Run one command, and leave with its exit status.

    :raises SystemExit: always.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help()
        raise SystemExit(0)
    _demo(parser, options)


class _Parser(argparse.ArgumentParser):
    """A mistake is one line that names the word."""

    def error(self, message: str) -> NoReturn:
        """From argparse, which would print the whole usage before it."""
        self.exit(USAGE, f"{self.prog}: {message} (see {self.prog} --help)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="isakmpctl", description="ISAKMP and IKEv1: see what is agreed, and why it is not."
    )
    parser.add_argument("--version", action="version", version=f"isakmp {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    demo = commands.add_parser(
        "demo",
        help="two nodes in this process agree a tunnel over loopback",
        description="Two complete nodes, each with sockets and keys of its own, agree an ISAKMP SA "
        "by Main Mode with a pre-shared key and an ESP tunnel by Quick Mode, prove that their keys "
        "are the same, and delete both.  No privilege is needed, and no traffic leaves this host.",
    )
    demo.add_argument(
        "--proposal",
        default="aes128-sha256-modp2048",
        metavar="WORDS",
        help="for the ISAKMP SA: cipher-hash-group (default: %(default)s)",
    )
    demo.add_argument(
        "--esp",
        default="aes128-sha256",
        metavar="WORDS",
        help="for the ESP SAs: cipher-integrity, or a cipher that authenticates by itself, such as "
        "aes128gcm16 (default: %(default)s)",
    )
    demo.add_argument(
        "--mode", choices=("tunnel", "transport"), default="tunnel", help="default: %(default)s"
    )
    demo.add_argument(
        "--pfs",
        action="store_true",
        help="perfect forward secrecy: Quick Mode has a Diffie-Hellman exchange of its own",
    )
    demo.add_argument("--wrong-psk", action="store_true", help="let the two pre-shared keys differ")
    demo.add_argument(
        "--ping",
        action="store_true",
        help="let an ICMP echo cross the tunnel, through ESP in this process",
    )
    demo.add_argument(
        "--capture",
        default="",
        metavar="DIR",
        help="leave all packets in DIR/demo.pcapng, with the keys that Wireshark decrypts them by",
    )
    demo.add_argument(
        "--loss",
        type=share,
        default=0.0,
        metavar="SHARE",
        help="lose this share of all datagrams: 30%% or 0.3",
    )
    demo.add_argument(
        "--seed", type=int, default=1, metavar="N", help="of the losses (default: %(default)s)"
    )
    return parser


def share(text: str) -> float:
    """
    ``30%`` or ``0.3``.

    :raises argparse.ArgumentTypeError: unless from 0 to less than 1.
    """
    try:
        value = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share such as 30% or 0.3") from None
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not from 0 to less than 1")
    return value


def _demo(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    from twisted.internet.defer import Deferred
    from twisted.internet.task import react

    from isakmp.demo import Choices, demonstrate
    from isakmp.errors import ConfigurationError

    choices = Choices(
        options.proposal,
        options.esp,
        options.mode,
        options.pfs,
        options.loss,
        options.seed,
        options.wrong_psk,
        options.ping,
        options.capture,
    )

    status = INTERRUPTED

    async def run(reactor: object) -> None:
        nonlocal status
        try:
            status = await demonstrate(reactor, choices, _write)
        except ConfigurationError as error:
            print(f"isakmpctl: {error}", file=sys.stderr)
            status = USAGE
        except OSError as error:
            print(f"isakmpctl: no sockets on loopback: {error}", file=sys.stderr)
            status = 1

    try:
        react(lambda reactor: Deferred.fromCoroutine(run(reactor)))
    except SystemExit as left:
        # To Twisted it is no failure if a signal ends it before there is a result.
        raise SystemExit(left.code or status) from None


def _write(line: str) -> None:
    try:
        print(line, flush=True)
    except BrokenPipeError:
        # Whoever read this has had enough, as head(1) has; the rest is said to nobody.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
