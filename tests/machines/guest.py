"""The disk image of test guests: Debian with kernel, cloud-init and sshd, made once and kept in the user's cache.

It is made without root's mounts or loop devices: a boot partition (FAT, syslinux) and a root partition (ext4) are
written as files and put together, as images of distributions are: `root` grows with its disk at the first boot.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from filelock import FileLock

PACKAGES = (
    *("systemd-sysv", "dbus", "openssh-server", "python3-minimal", "iproute2", "sudo", "procps", "e2fsprogs"),
    *("linux-image-cloud-amd64", "initramfs-tools", "cloud-init", "cloud-guest-utils", "fdisk", "systemd-resolved"),
)
PROGRAMS = ("mmdebstrap", "mke2fs", "mformat", "mcopy", "syslinux", "sfdisk", "qemu-img")
SUITE = "bookworm"
SECTOR, MIB = 512, 1 << 20
BOOT_MIB, ROOT_MIB = 64, 1200
MBR = Path("/usr/lib/syslinux/mbr/mbr.bin")
# Emulated, a guest has seconds for what takes a moment elsewhere: what only a person or a clock needs does not start.
SETUP = r"""
set -e; cd "$1"
sed -i 's/^MODULES=.*/MODULES=list/' etc/initramfs-tools/initramfs.conf
printf '%s\n' virtio_pci virtio_blk ext4 >> etc/initramfs-tools/modules
echo 'COMPRESS=gzip' >> etc/initramfs-tools/initramfs.conf
echo 'LABEL=root / ext4 rw,noatime,errors=remount-ro 0 1' > etc/fstab
cat > etc/cloud/cloud.cfg.d/90-test.cfg <<END
datasource_list: [NoCloud, None]
locale: C.UTF-8
no_ssh_fingerprints: true
ssh: {emit_keys_on_console: false}
END
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer \
  e2scrub_reap.service getty@tty1.service serial-getty@ttyS0.service systemd-networkd-wait-online.service
do ln -sf /dev/null "etc/systemd/system/$unit"; done
chroot . systemctl -q enable systemd-networkd
chroot . update-initramfs -u
rm -f etc/ssh/ssh_host_* etc/machine-id var/lib/dbus/machine-id; touch etc/machine-id; rm -rf var/lib/apt/lists/*
"""
BOOT = """DEFAULT debian
PROMPT 0
TIMEOUT 0
LABEL debian
  LINUX vmlinuz
  INITRD initrd.img
  APPEND root=LABEL=root ro console=ttyS0 net.ifnames=0 mitigations=off quiet systemd.show_status=1
"""


def why_not() -> str:
    """Why no image can be had here; "" where it can."""
    if os.geteuid() != 0:
        return "guests' images are made by root"
    lacking = [name for name in PROGRAMS if not shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")]
    lacking += [] if MBR.exists() else ["syslinux-common"]
    return f"not installed: {', '.join(lacking)} (sh scripts/test_packages.sh libvirt)" if lacking else ""


def ensure() -> Path:
    """The image, qcow2, made if it is not there (some minutes, 300 MB). Raises CalledProcessError."""
    cache = Path(os.environ.get("ORCHESTRATOR_TEST_CACHE") or Path.home() / ".cache" / "orchestrator-tests")
    cache.mkdir(parents=True, exist_ok=True)
    what = hashlib.sha256(repr((SUITE, PACKAGES, SETUP, BOOT)).encode()).hexdigest()[:12]
    image = cache / f"guest-{what}.qcow2"
    with FileLock(cache / "guest.lock"):
        if not image.exists():
            for old in cache.glob("guest-*.qcow2"):
                old.unlink()
            part = cache / "guest-part"
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
            _make(part).rename(image)
            shutil.rmtree(part)
    return image


def _run(*command: str | Path) -> None:
    subprocess.run([str(one) for one in command], check=True, stdin=subprocess.DEVNULL, capture_output=True)


def _make(folder: Path) -> Path:
    root, boot, disk = folder / "root", folder / "boot", folder / "disk"
    setup = folder / "setup.sh"
    setup.write_text(SETUP)
    command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(PACKAGES)}"]
    command += [f"--aptopt={option}" for option in ('Acquire::Languages "none"', 'APT::Install-Recommends "false"')]
    command += [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("man", "doc", "locale")]
    _run(*command, f'--customize-hook=sh {setup} "$1"', SUITE, root)
    _boot_partition(root, boot, folder)
    _run("mke2fs", "-q", "-t", "ext4", "-L", "root", "-d", root, folder / "ext4", f"{ROOT_MIB}M")
    _put_together(disk, boot, folder / "ext4")
    image = folder / "image.qcow2"
    _run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", disk, image)
    return image


def _boot_partition(root: Path, boot: Path, folder: Path) -> None:
    """A FAT file system with the kernel, its initial root and syslinux."""
    (folder / "syslinux.cfg").write_text(BOOT)
    _run("mformat", "-C", "-i", boot, "-T", str(BOOT_MIB * MIB // SECTOR), "-h", "64", "-s", "32", "-v", "boot", "::")
    (kernel,), (initial,) = (root / "boot").glob("vmlinuz-*"), (root / "boot").glob("initrd.img-*")
    for source, name in ((kernel, "vmlinuz"), (initial, "initrd.img"), (folder / "syslinux.cfg", "syslinux.cfg")):
        _run("mcopy", "-i", boot, source, f"::{name}")
    _run("syslinux", "--install", boot)


def _put_together(disk: Path, boot: Path, root: Path) -> None:
    """One disk of both partitions."""
    with disk.open("wb") as file:
        file.truncate((1 + BOOT_MIB + ROOT_MIB + 1) * MIB)
    table = f"label: dos\nstart=1MiB, size={BOOT_MIB}MiB, type=c, bootable\nstart={1 + BOOT_MIB}MiB, type=83\n"
    subprocess.run(["sfdisk", "-q", disk], input=table, text=True, check=True, capture_output=True)
    for source, at in ((MBR, 0), (boot, MIB), (root, (1 + BOOT_MIB) * MIB)):
        _run("dd", f"if={source}", f"of={disk}", f"seek={at}", "oflag=seek_bytes", "bs=1M", "conv=notrunc,sparse")
