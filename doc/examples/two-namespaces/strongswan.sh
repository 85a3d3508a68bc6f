#!/bin/sh
# Runs a program of the strongSwan that `make peers` has unpacked, with the configuration beside it:
#
#     ip netns exec right sh /run/lab/strongswan.sh charon-systemd
#
# Its programs look for their libraries in /usr/lib/ipsec.  `ip netns exec` gives a command a mount
# namespace of its own; in that one, and nowhere else, the unpacked libraries are put there.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
tree=${STRONGSWAN:-$PWD/build/peers/strongswan}
program=$1
shift

export STRONGSWAN_CONF="$here/charon/strongswan.conf" SWANCTL_DIR="$here/charon"
mkdir -p /usr/lib/ipsec
mount --bind "$tree/usr/lib/ipsec" /usr/lib/ipsec
exec "$tree/usr/sbin/$program" "$@"
