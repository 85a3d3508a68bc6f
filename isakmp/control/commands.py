"""
Every command by its name.
"""

from __future__ import annotations

from collections.abc import Mapping

from isakmp.control.acting import Acting
from isakmp.control.asking import Asking
from isakmp.control.call import Command
from isakmp.control.controlled import Controlled
from isakmp.control.counters import Counters
from isakmp.control.listing import Listing
from isakmp.control.loading import Loading


def commands(daemon: Controlled, listing: Listing, counters: Counters) -> Mapping[str, Command]:
    """
    What clients can ask of a daemon.

    What is not built yet is here as well, and answers with why.
    """
    acting, asking, loading = Acting(daemon), Asking(daemon, listing), Loading(daemon)
    return {
        "version": asking.version,
        "stats": asking.stats,
        "reload-settings": loading.reload_settings,
        "initiate": acting.initiate,
        "terminate": acting.terminate,
        "rekey": acting.rekey,
        "redirect": acting.redirect,
        "install": acting.install,
        "uninstall": acting.uninstall,
        "list-sas": asking.list_sas,
        "list-policies": asking.list_policies,
        "list-conns": asking.list_conns,
        "get-conns": loading.get_conns,
        "list-certs": loading.nothing,
        "list-authorities": loading.nothing,
        "get-authorities": loading.no_authorities,
        "load-conn": loading.load_conn,
        "unload-conn": loading.unload_conn,
        "load-cert": loading.refuse_certificate,
        "load-key": loading.refuse_certificate,
        "unload-key": loading.refuse_key,
        "get-keys": loading.no_keys,
        "load-token": loading.refuse_token,
        "load-shared": loading.load_shared,
        "unload-shared": loading.unload_shared,
        "get-shared": loading.get_shared,
        "flush-certs": loading.no_certificates,
        "clear-creds": loading.clear_creds,
        "load-authority": loading.refuse_authority,
        "unload-authority": loading.refuse_authority,
        "load-pool": loading.refuse_pool,
        "unload-pool": loading.refuse_pool,
        "get-pools": loading.nothing,
        "get-algorithms": asking.get_algorithms,
        "get-counters": counters.get,
        "reset-counters": counters.reset,
    }
