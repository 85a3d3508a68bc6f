#!/bin/sh
# Fetches the daemons that tests/interop talks to into build/peers, below the checkout.
#
# strongSwan: Debian's own packages, unpacked into a private tree and not installed, because they
# conflict with other IKE daemons that the machine may have.  Our kernel-null plugin goes into the
# tree.  Libreswan: likewise, for a guest.  tcpdump, tshark, what makes namespaces, and a Linux with ESP
# that runs as a process (user-mode Linux) are installed, and only as root.  Says nothing and takes no
# time when all of it is there.
set -eu
PATH=$PATH:/usr/sbin:/sbin

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
peers=$(dirname -- "$(dirname -- "$here")")/build/peers
tree=$peers/strongswan
plugin=usr/lib/ipsec/plugins/libstrongswan-kernel-null.so

# kernel_null.c declares the interfaces of this version and of no other.
version=5.9.8
packages='charon-systemd libcharon-extauth-plugins libcharon-extra-plugins libstrongswan
libstrongswan-extra-plugins libstrongswan-standard-plugins strongswan-libcharon strongswan-pki
strongswan-swanctl'
libreswan='libreswan libnss3-tools libldns3 libevent-core-2.1-7 libevent-pthreads-2.1-7
libunbound8 libcurl3-nss'
libreswan_libraries='libaudit1 libcap-ng0 libldap-2.5-0 libnspr4 libnss3 libpam0g libselinux1 libsystemd0'
# What the loaded plugins need of the machine.  These conflict with nobody.
libraries='libcap2 libcurl4 libgcrypt20 libgmp10 libsystemd0 libssl3'

fail() {
    echo "peers: $*" >&2
    exit 1
}

has() {
    command -v "$1" >/dev/null 2>&1
}

as_root() {
    [ "$(id -u)" -eq 0 ]
}

log=
# The output of a command is of interest only when it fails.
quietly() {
    "$@" >>"$log" 2>&1
}

complaint() {
    grep -m 1 -e '^E:' -e 'error:' "$log" || tail -n 1 "$log"
}

refresh() {
    as_root || fail "only root can update apt's lists, and with these: $(complaint)"
    quietly apt-get -q update || fail "apt-get update failed: $(complaint)"
}

install() {
    quietly env DEBIAN_FRONTEND=noninteractive \
        apt-get -q -y install --no-install-recommends --no-upgrade --no-remove "$@"
}

install_missing() {
    as_root || fail "$* must be installed, and this is not root"
    install "$@" || { refresh; install "$@"; } || fail "cannot install $*: $(complaint)"
}

# Into the current directory, which apt's own user may not be able to write.
download() {
    quietly apt-get -q -o APT::Sandbox::User=root download "$@"
}

complete() {
    [ -x "$peers/libreswan/usr/libexec/ipsec/pluto" ] &&
    [ -x "$tree/usr/sbin/charon-systemd" ] && cmp -s "$here/kernel_null.c" "$tree/kernel_null.c" &&
        has ip && has setpriv && has tcpdump && has tshark &&
        has linux.uml && has modprobe && has ping
}

unresolved() {
    LD_LIBRARY_PATH=$1/usr/lib/ipsec ldd "$1"/usr/sbin/charon-systemd "$1"/usr/sbin/swanctl \
        "$1"/usr/lib/ipsec/libcharon.so.0 "$1"/usr/lib/ipsec/plugins/*-openssl.so \
        "$1"/usr/lib/ipsec/plugins/*-gmp.so "$1"/usr/lib/ipsec/plugins/*-gcrypt.so \
        "$1"/usr/lib/ipsec/plugins/*-curl.so 2>/dev/null | sed -n 's/^[[:space:]]*\(.*\) => not found.*/\1/p'
}

unpack() (
    cd "$1"
    mkdir debs tree
    cd debs
    # shellcheck disable=SC2086
    download $packages || { refresh; download $packages; } ||
        fail "cannot download strongSwan: $(complaint)"
    for deb in ./*.deb; do
        case $(dpkg-deb -f "$deb" Version) in
        "$version"-*) dpkg-deb -x "$deb" ../tree ;;
        *) fail "this machine offers strongSwan $(dpkg-deb -f "$deb" Version)," \
                "and kernel_null.c is for $version" ;;
        esac
    done
    # shellcheck disable=SC2086
    [ -z "$(unresolved ../tree)" ] || install_missing $libraries
    missing=$(unresolved ../tree | sort -u | tr '\n' ' ')
    [ -z "$missing" ] || fail "strongSwan needs libraries that are not here: $missing"
)

libreswan_unresolved() {
    LD_LIBRARY_PATH=$(echo "$1"/usr/lib/*-linux-*) ldd "$1"/usr/libexec/ipsec/pluto \
        "$1"/usr/libexec/ipsec/whack "$1"/usr/libexec/ipsec/addconn "$1"/usr/bin/certutil \
        2>/dev/null | sed -n 's/^[[:space:]]*\(.*\) => not found.*/\1/p'
}

# Libreswan, with the libraries that few machines have.
unpack_libreswan() (
    cd "$1"
    mkdir -p libreswan-debs libreswan-tree
    cd libreswan-debs
    # shellcheck disable=SC2086
    download $libreswan || { refresh; download $libreswan; } ||
        fail "cannot download libreswan: $(complaint)"
    for deb in ./*.deb; do
        dpkg-deb -x "$deb" ../libreswan-tree
    done
    # shellcheck disable=SC2086
    [ -z "$(libreswan_unresolved ../libreswan-tree)" ] || install_missing $libreswan_libraries
    missing=$(libreswan_unresolved ../libreswan-tree | sort -u | tr '\n' ' ')
    [ -z "$missing" ] || fail "libreswan needs libraries that are not here: $missing"
)

compile() {
    has gcc || install_missing gcc libc6-dev
    quietly gcc -shared -fPIC -O2 -Wall -Wextra -Werror -o "$1/$plugin.new" "$here/kernel_null.c" ||
        fail "cannot compile kernel_null.c: $(complaint)"
    mv "$1/$plugin.new" "$1/$plugin"
    cp "$here/kernel_null.c" "$1/kernel_null.c"
}

[ "$(uname -s)" = Linux ] || fail "the other daemons run on Linux only"
complete && exit 0

has apt-get && has dpkg-deb || fail "strongSwan comes from Debian's packages, and this is no Debian"
mkdir -p "$peers"
work=$(mktemp -d "$peers/new.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
log=$work/log

has flock && has setpriv || install_missing util-linux
has ip || install_missing iproute2
# What looks at our messages from outside.
has tcpdump && has tshark || install_missing tcpdump tshark
# A kernel that protects traffic, with its modules, and what sends some.
has linux.uml && has modprobe && has ping || install_missing user-mode-linux kmod iputils-ping

# One at a time: two of us would take the tree away under each other.
exec 9>"$peers/lock"
flock 9
complete && exit 0

if [ ! -x "$peers/libreswan/usr/libexec/ipsec/pluto" ]; then
    unpack_libreswan "$work"
    rm -rf "$peers/libreswan"
    mv -T "$work/libreswan-tree" "$peers/libreswan"
    echo 'libreswan is in build/peers/libreswan'
fi
if [ -x "$tree/usr/sbin/charon-systemd" ]; then
    compile "$tree"
else
    unpack "$work"
    compile "$work/tree"
    rm -rf "$tree"
    mv -T "$work/tree" "$tree"
fi
echo "strongSwan $version is in build/peers/strongswan"
