#!/bin/sh
# Both benches on this machine, without privileges: two daemons on loopback that have installed the
# laboratory.  Their files are those beside this script, with the ends exchanged for the second.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
twistd=${TWISTD:-.venv/bin/twistd} port=${PORT:-15500}
work=$(mktemp -d)
started=
finish() {
    for process in $started; do kill "$process" && wait "$process" || :; done 2>/dev/null
    rm -r "$work"
}
trap finish EXIT

exchanged() { sed "s/$1/HERE/g; s/$2/$1/g; s/HERE/$2/g"; }

mkdir "$work/1" "$work/2"
sed "s/192\.0\.2\./127.0.0./; s/proposals = /remote_port = $port\n    &/" \
    "$here/swanctl.conf" >"$work/1/swanctl.conf"
exchanged 127.0.0.1 127.0.0.2 <"$work/1/swanctl.conf" | exchanged bench1 bench2 |
    sed /start_action/d >"$work/2/swanctl.conf"
cp "$here/isakmp.toml" "$work/1/laboratory"
exchanged 020000000001 020000000002 <"$work/1/laboratory" >"$work/2/laboratory"

for bench in 2 1; do
    printf 'listen = ["127.0.0.%d"]\nport = %d\nvici = ""\n' "$bench" "$port" |
        cat - "$work/$bench/laboratory" >"$work/$bench/isakmp.toml"
    "$twistd" -n --pidfile= isakmp --config "$work/$bench/swanctl.conf" \
        --settings "$work/$bench/isakmp.toml" >"$work/$bench/log" 2>&1 &
    started="$started $!"
    last=$!
    until grep -qs 'listening on' "$work/$bench/log" || ! kill -0 "$last" 2>/dev/null; do sleep 0.2; done
done
for tenth in $(seq 100); do
    ! grep -q 'link.* is established' "$work/1/log" && kill -0 "$last" 2>/dev/null || break
    sleep 0.1
done
for bench in 1 2; do
    echo "Bench $bench:"
    sed -n 's/^[^]]*\(isakmp\.journal\|laboratory\)[^]]*\] /  /p; s/^isakmp: /  &/p' "$work/$bench/log"
done
grep -q 'link.* is established' "$work/1/log"
