"""A machine's own folders: made once, kept until the machine is removed.

/usr is the host's, read-only; /etc begins with what programs in /usr need (loader cache, PAM, certificates, name
service), with users of its own. Nothing secret of the host is copied: no shadow, no keys, nothing only root can read.
"""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

FOLDERS = ("etc", "var", "root", "srv", "opt", "home")

_ETC = """
adduser.conf alternatives bash.bashrc ca-certificates.conf crypto-policies debconf.conf debian_version default
deluser.conf gai.conf host.conf ld.so.cache ld.so.conf ld.so.conf.d locale.alias locale.conf localtime login.defs
lsb-release magic mime.types nsswitch.conf os-release pam.conf pam.d pki profile protocols python3 python3.11
python3.12 python3.13 redhat-release resolv.conf rpc security services shells skel ssl sysconfig terminfo timezone
xattr.conf split
"""
_DPKG = ("arch", "available", "diversions", "statoverride", "status")

_USERS = """\
root:x:0:0:root:/root:/bin/bash
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
bin:x:2:2:bin:/bin:/usr/sbin/nologin
sys:x:3:3:sys:/dev:/usr/sbin/nologin
man:x:6:12:man:/var/cache/man:/usr/sbin/nologin
mail:x:8:8:mail:/var/mail:/usr/sbin/nologin
www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin
_apt:x:42:65534::/nonexistent:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
"""
_GROUPS = """\
root:x:0:
daemon:x:1:
bin:x:2:
sys:x:3:
adm:x:4:
tty:x:5:
disk:x:6:
mail:x:8:
man:x:12:
kmem:x:15:
cdrom:x:24:
sudo:x:27:
audio:x:29:
www-data:x:33:
utmp:x:43:
video:x:44:
shadow:x:42:
plugdev:x:46:
staff:x:50:
users:x:100:
crontab:x:101:
nogroup:x:65534:
"""


def make(disk: Path) -> None:
    """Makes the folders of a new machine; the folder `disk` must not exist."""
    disk.mkdir(mode=0o755)
    for folder in FOLDERS:
        (disk / folder).mkdir(mode=0o700 if folder == "root" else 0o755)
    etc = disk / "etc"
    for name in _ETC.split():
        _copy(Path("/etc", name), etc / name)
    (etc / "passwd").write_text(_USERS)
    (etc / "group").write_text(_GROUPS)
    for shadow, entries in (("shadow", _USERS), ("gshadow", _GROUPS)):
        rest = ":20000:0:99999:7:::" if shadow == "shadow" else "::"
        (etc / shadow).write_text("".join(f"{line.split(':')[0]}:*{rest}\n" for line in entries.splitlines()))
        (etc / shadow).chmod(0o600)
    (etc / "mtab").symlink_to("../proc/self/mounts")
    _make_var(disk / "var")


def _make_var(var: Path) -> None:
    for name in ("backups", "cache", "lib/misc", "local", "log", "mail", "opt", "spool/cron/crontabs"):
        (var / name).mkdir(parents=True)
    (var / "tmp").mkdir()
    (var / "tmp").chmod(0o1777)
    (var / "run").symlink_to("/run")
    (var / "lock").symlink_to("/run/lock")
    dpkg = Path("/var/lib/dpkg")
    if dpkg.is_dir():  # what is in /usr is what the host's package manager has put there
        for name in ("info", "updates", "triggers"):
            (var / "lib/dpkg" / name).mkdir(parents=True)
        for name in _DPKG:
            _copy(dpkg / name, var / "lib/dpkg" / name)


def name_it(disk: Path, name: str, address: str, machine_id: str) -> None:
    """The files that say who the machine is."""
    etc = disk / "etc"
    (etc / "hostname").write_text(f"{name}\n")
    (etc / "hosts").write_text(f"127.0.0.1 localhost\n::1 localhost ip6-localhost\n{address} {name}\n")
    (etc / "machine-id").write_text(f"{machine_id}\n")


def _copy(source: Path, target: Path) -> None:
    """Copies what anybody may read; leaves out the rest without a word."""
    try:
        mode = source.lstat().st_mode
        if stat.S_ISLNK(mode):
            link = source.readlink()
            outside = source.resolve()
            if outside.is_relative_to("/usr") or outside.is_relative_to("/etc"):
                target.symlink_to(link)
            elif outside.is_file() and outside.stat().st_mode & 0o004:  # resolv.conf into /run, for one
                shutil.copyfile(outside, target)
        elif stat.S_ISDIR(mode) and mode & 0o005 == 0o005:
            target.mkdir(mode=0o755)
            for inner in source.iterdir():
                _copy(inner, target / inner.name)
        elif stat.S_ISREG(mode) and mode & 0o004:
            shutil.copyfile(source, target)
            target.chmod(stat.S_IMODE(mode) & 0o777 | 0o200)
    except OSError:
        return
