"""
KINK, as the framework's plugins name it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from twisted.plugin import IPlugin
from zope.interface import implementer

from isakmp.errors import ConfigurationError
from isakmp.interfaces import IKeyExchange, IKeyExchangeEndpoint, INode
from isakmp.kink.endpoint import KINKEndpoint
from isakmp.kink.kerberos import IKerberos
from isakmp.kink.numbers import PORT, VERSION
from isakmp.kink.settings import NOT_BUILT, Settings
from isakmp.logs import Logger
from isakmp.paths import Datagram


@implementer(IPlugin, IKeyExchange)
class KINK:
    """
    Implements IKeyExchange.

    :param settings: None: not configured yet, and then it cannot be opened.
    :param kerberos: makes a node's; the test double unless told.
    """

    name = "kink"
    version = VERSION
    _log = Logger()

    def __init__(
        self,
        settings: Settings | None = None,
        kerberos: Callable[[INode], IKerberos] | None = None,
    ) -> None:
        self._settings = settings
        self._kerberos = kerberos
        self.ports: tuple[int, ...] = (PORT if settings is None else settings.port,)

    def configured(self, settings: Mapping[str, object]) -> IKeyExchange:
        """
        With what ``[plugin.kink]`` says.

        :raises ConfigurationError: naming the key that is wrong.
        """
        return KINK(Settings.read(settings), self._kerberos)

    def speaks(self, datagram: Datagram) -> bool:
        """At its port, a major version of 1."""
        octets = datagram.octets
        return (
            datagram.path.local[1] in self.ports
            and len(octets) > 1
            and octets[1] >> 4 == VERSION
        )

    def open(self, node: INode) -> IKeyExchangeEndpoint:
        """
        Begin to speak for a node.

        :raises ConfigurationError: if there is no Kerberos.
        """
        if self._settings is None:
            raise ConfigurationError(f"kink: {NOT_BUILT}")
        return KINKEndpoint(node, self._settings, self._made(node, self._settings))

    def _made(self, node: INode, settings: Settings) -> IKerberos:
        if self._kerberos is not None:
            return self._kerberos(node)
        from isakmp.kink.testing import RealmMember

        self._log.warn(
            "KINK runs with a test double in place of Kerberos: whoever knows its secret can be "
            "anybody, so it proves nothing about any peer; for tests alone"
        )
        return RealmMember(settings.secret.encode(), node.clock, node.entropy, settings.skew)


kink = KINK()
"""The plugin, not configured."""
