#!/bin/sh
# Debian packages that tests of real machines use. They are installed where that can be done without asking: as root
# on Debian. Elsewhere those tests are skipped and say which package they miss.
set -eu

PACKAGES="mmdebstrap openssh-server systemd-container"

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    exit 0
fi
missing=""
for package in $PACKAGES; do
    dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null | grep -q '^ii' || missing="$missing $package"
done
[ -z "$missing" ] && exit 0
echo "test packages: installing$missing"
log=$(mktemp)
if ! { DEBIAN_FRONTEND=noninteractive; export DEBIAN_FRONTEND
       apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing; } >"$log" 2>&1; then
    tail -5 "$log" >&2
    echo "test packages: not installed; the tests that need them are skipped" >&2
fi
rm -f "$log"
