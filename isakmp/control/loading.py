"""
Commands that change what is configured.
"""

from __future__ import annotations

from dataclasses import replace

from isakmp.config import messages
from isakmp.config.mistakes import ConfigurationErrors, Findings, Place, shown
from isakmp.config.shared_secrets import check_secrets
from isakmp.control.call import Call, Refused
from isakmp.control.codec import Content, octets_of
from isakmp.control.controlled import Controlled
from isakmp.errors import ConfigurationError
from isakmp.logs import Logger

_NOT_BUILT = {
    "certificates": "certificates and private keys are not built yet; valid are pre-shared keys",
    "pools": "pools of virtual addresses are not built yet",
    "authorities": "certification authorities are not built yet",
    "tokens": "keys on tokens are not built yet",
}
_KINDS = {
    "eap": "EAP is IKEv2's",
    "xauth": "XAuth is not built yet",
    "ntlm": "EAP is IKEv2's",
    "ppk": "post-quantum pre-shared keys are IKEv2's",
}

_DONE: Content = {"success": "yes"}


class Loading:
    """
    Connections and credentials of a daemon, as clients load and unload them.
    """

    _log = Logger()

    def __init__(self, daemon: Controlled) -> None:
        self._daemon = daemon

    async def load_conn(self, call: Call) -> Content:
        """A connection, instead of the one of its name; one that is the same goes on."""
        found = self._daemon.read(messages.connections(call.message, "load-conn"))
        self._daemon.apply(self._daemon.loaded.with_connections(found.connections))
        for one in found.connections:
            self._log.info("a client has loaded {connection}", connection=one.name)
        without = Findings()
        places = {f"connections.{one.name}": (Place("load-conn"), one) for one in found.connections}
        check_secrets(places, self._daemon.loaded.secrets, without)
        for warning in (*found.warnings, *without.mistakes):
            self._log.warn("{line}", line=str(warning))
        skipped = set(call.message) - {one.name for one in found.connections}
        if skipped:
            raise Refused(f"{', '.join(sorted(skipped))}: it is for IKEv2, which is not served")
        return _DONE

    async def unload_conn(self, call: Call) -> Content:
        """Without it; what it began is torn down, what a peer or a client began stays."""
        name = call.text("name")
        if not name:
            raise Refused("name: the connection to unload is not named")
        if self._daemon.loaded.connection(name) is None:
            raise Refused(f"there is no connection {name}")
        self._daemon.apply(self._daemon.loaded.without_connection(name))
        self._log.info("a client has unloaded {connection}", connection=name)
        return _DONE

    async def get_conns(self, call: Call) -> Content:
        """The names of all connections."""
        return {"conns": [one.name for one in self._daemon.loaded.connections]}

    async def load_shared(self, call: Call) -> Content:
        """A pre-shared key, instead of the one of its name."""
        kind = call.text("type").lower()
        if kind != "ike":
            why = _KINDS.get(
                kind, f"{kind!r} is no type of secret" if kind else "its type is missing"
            )
            raise Refused(f"type: {why}; valid: IKE")
        name = call.text("id")
        if not name.isprintable():
            raise Refused("id: a name has printable characters")
        octets = octets_of(call.text("data"))
        if not octets:
            raise Refused("data: the secret is empty")
        tree = messages.shared_secret(name, octets, call.texts("owners"), "load-shared")
        try:
            (read,) = self._daemon.read(tree).secrets
        except ConfigurationErrors as errors:
            raise Refused("\n".join(one.text for one in errors.mistakes)) from None
        self._daemon.apply(self._daemon.loaded.with_secret(replace(read, name=name)))
        self._log.info(
            "a client has loaded the secret {what} of {owners}",
            what=name or "without a name",
            owners=", ".join(read.owners),
        )
        return _DONE

    async def unload_shared(self, call: Call) -> Content:
        """Without the secret of this name; SAs that were proved by it stand."""
        name = call.text("id")
        if not name:
            raise Refused("id: the secret to unload is not named")
        self._daemon.apply(self._daemon.loaded.without_secret(name))
        self._log.info("a client has unloaded the secret {what}", what=shown(name))
        return _DONE

    async def get_shared(self, call: Call) -> Content:
        """The names of the secrets that have one."""
        loaded = self._daemon.loaded
        return {"keys": list(dict.fromkeys(one.name for one in loaded.secrets if one.name))}

    async def clear_creds(self, call: Call) -> Content:
        """Without the secrets that clients loaded; those of the file stay."""
        self._daemon.apply(self._daemon.loaded.without_loaded_secrets())
        return _DONE

    async def reload_settings(self, call: Call) -> Content:
        """Both files are read again, as on SIGHUP."""
        why = self._daemon.reload()
        if why:
            raise ConfigurationError(why)
        return _DONE

    async def no_keys(self, call: Call) -> Content:
        """The private keys: none."""
        return {"keys": []}

    async def no_authorities(self, call: Call) -> Content:
        """The certification authorities: none."""
        return {"authorities": []}

    async def nothing(self, call: Call) -> Content:
        """A list in which nothing stands."""
        return {}

    async def no_certificates(self, call: Call) -> Content:
        """Cached certificates: there are none, and so none are left."""
        return _DONE

    async def refuse_certificate(self, call: Call) -> Content:
        """What needs certificates or private keys."""
        raise Refused(_NOT_BUILT["certificates"])

    async def refuse_token(self, call: Call) -> Content:
        """What needs tokens."""
        raise Refused(_NOT_BUILT["tokens"])

    async def refuse_pool(self, call: Call) -> Content:
        """What needs pools."""
        raise Refused(_NOT_BUILT["pools"])

    async def refuse_authority(self, call: Call) -> Content:
        """What needs certification authorities."""
        raise Refused(_NOT_BUILT["authorities"])

    async def refuse_key(self, call: Call) -> Content:
        """The unloading of a private key: there is none."""
        name = call.text("id")
        raise Refused(f"there is no private key {name}" if name else "id: the key is not named")
