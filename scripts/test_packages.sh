#!/bin/sh
# Debian packages that tests of real machines use. They are installed where that can be done without asking: as root
# on Debian. Elsewhere those tests are skipped and say which package they miss. `libvirt` means those of its guests too.
set -eu

PACKAGES="mmdebstrap openssh-server systemd-container podman runc busybox-static"
LIBVIRT="libvirt-daemon libvirt-daemon-driver-qemu libvirt-clients qemu-system-x86 qemu-utils dnsmasq-base iptables iproute2 \
  python3-libvirt python3-lxml mtools syslinux syslinux-common fdisk e2fsprogs"
[ "${1:-}" = libvirt ] && PACKAGES="$PACKAGES $LIBVIRT"

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    [ "${1:-}" = libvirt ] && echo "test packages: not installed, that takes root on Debian; needed: $PACKAGES" >&2
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
