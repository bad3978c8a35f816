"""The root file system of test machines: Debian with systemd, made once by mmdebstrap and kept in the user's cache."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from filelock import FileLock

INSTALLED = (
    *("systemd-sysv", "dbus", "openssh-server", "python3-minimal", "python3-apt", "iproute2", "sudo", "procps", "cron"),
    *("ca-certificates", "git", "openssl", "unzip"),
)
# Their packages lie in the machine's apt cache: roles install them without a network.
DOWNLOADED = ("chrony", "logrotate", "nginx-light", "postgresql", "prometheus-node-exporter", "rsyslog")
SUITE = "bookworm"


def why_not() -> str:
    """Why no machine can be had here; "" where they can."""
    if os.geteuid() != 0:
        return "machines with systemd need root"
    lacking = [name for name in ("systemd-nspawn", "mmdebstrap", "ip", "unshare", "nsenter") if not shutil.which(name)]
    return f"not installed: {', '.join(lacking)} (sh scripts/test_packages.sh)" if lacking else ""


def ensure() -> Path:
    """The root file system's folder, made if it is not there (about a minute, 480 MB). Raises CalledProcessError."""
    cache = Path(os.environ.get("ORCHESTRATOR_TEST_CACHE") or Path.home() / ".cache" / "orchestrator-tests")
    cache.mkdir(parents=True, exist_ok=True)
    what = hashlib.sha256(repr((SUITE, INSTALLED, DOWNLOADED)).encode()).hexdigest()[:12]
    folder = cache / f"debian-{what}"
    with FileLock(cache / "debian.lock"):
        if not folder.exists():
            for old in cache.glob("debian-*"):
                shutil.rmtree(old, ignore_errors=True)
            part = cache / "debian-part"
            _make(part)
            part.rename(folder)
    return folder


def _make(folder: Path) -> None:
    download = f"apt-get install -y -qq --download-only {' '.join(DOWNLOADED)}"
    command = ["mmdebstrap", "--quiet", "--variant=minbase", "--skip=cleanup/apt", f"--include={','.join(INSTALLED)}"]
    command += [f"--aptopt={option}" for option in ('Acquire::Languages "none"', 'APT::Install-Recommends "false"')]
    command += [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("man", "doc", "locale")]
    command += [f'--customize-hook=chroot "$1" {download} >/dev/null', SUITE, str(folder)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True, text=True)
