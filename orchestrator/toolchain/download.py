"""The official release download, verified against the vendor's published checksum.

ORCHESTRATOR_MIRROR=URL takes the place of every vendor's host: `https://dl.k8s.io/release/...` is then
fetched from `URL/dl.k8s.io/release/...`, so that one plain file server can stand for all of them.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import shutil
import tarfile
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from orchestrator.toolchain.cache import Report
from orchestrator.toolchain.programs import Program, Release, architecture
from orchestrator.toolchain.ways import WayFailed, without_credentials

# A closed network often swallows packets: what does not answer soon is not there. Once connected, a
# slow line may take its time.
CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0
PROGRESS_SECONDS = 5.0
_ATTEMPTS = 2
_CHUNK_BYTES = 1 << 18
_MAX_CHECKSUMS_BYTES = 1 << 20
_MAX_DOWNLOAD_BYTES = 2 << 30
_CHECKSUM_LINE = re.compile(r"([0-9a-fA-F]{64})(?:\s+\*?(\S+))?")


def mirrored(url: str) -> str:
    """The address to really ask for a vendor's `url`."""
    mirror = os.environ.get("ORCHESTRATOR_MIRROR", "").rstrip("/")
    return f"{mirror}/{url.removeprefix('https://')}" if mirror else url


def parse_checksum(text: str, file_name: str) -> str | None:
    """The SHA-256 of `file_name` in a checksums file (`HEX  NAME` lines), or in one that is a bare `HEX`."""
    lines = [match for line in text.splitlines() if (match := _CHECKSUM_LINE.fullmatch(line.strip()))]
    for match in lines:
        if match[2] is not None and match[2].rsplit("/", 1)[-1] == file_name:
            return match[1].lower()
    bare = [match[1].lower() for match in lines if match[2] is None]
    return bare[0] if len(bare) == 1 and len(lines) == 1 else None


class Downloads:
    """The downloads of one install; remembers which hosts do not answer, so that each is tried once."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._unreachable: dict[str, str] = {}
        self._opener = urllib.request.build_opener(_HTTPHandler, _HTTPSHandler)

    def fetch(self, pin: Program, folder: Path) -> dict[str, Any]:
        """Put the verified program at `folder/<name>`; returns what its receipt says of the origin.

        Raises WayFailed: no release for this machine, no answer, not found, a checksum that differs.
        """
        return self.fetch_release(pin.name, pin.release, folder)

    def fetch_release(self, name: str, release: Release | None, folder: Path) -> dict[str, Any]:
        """The same for any release; None is one that cannot be verified."""
        if release is None:
            raise WayFailed("its vendor publishes no checksums to verify a download with")
        if os.uname().sysname != "Linux" or architecture() not in dict(release.arch_names):
            raise WayFailed(f"there is no release for {os.uname().sysname} {architecture()}")
        release = release.for_arch(architecture())
        url, checksums_url = mirrored(release.url), mirrored(release.checksums_url)
        file_name = url.rsplit("/", 1)[-1]
        wanted = parse_checksum(self._text(checksums_url), file_name)
        if wanted is None:
            raise WayFailed(f"{checksums_url} has no SHA-256 for {file_name}")
        fetched = folder / "download"
        got = self._file(name, url, fetched)
        if got != wanted:
            raise WayFailed(f"REFUSED: {url} has the SHA-256 {got}, its vendor published {wanted}")
        _take_program(fetched, release.member, folder / name)
        return {"way": "downloaded", "url": without_credentials(url), "sha256": wanted}

    def _text(self, url: str) -> str:
        return self._get(url, lambda response: response.read(_MAX_CHECKSUMS_BYTES).decode("utf-8", errors="replace"))

    def _file(self, name: str, url: str, path: Path) -> str:
        """Fetch `url` into `path`, telling how far it is; returns the SHA-256 of what came, in hex."""
        self._report(f"{name}: downloading {without_credentials(url)}")
        return self._get(url, lambda response: _save(response, path, name, self._report))

    def _get(self, url: str, take: Callable[[http.client.HTTPResponse], str]) -> str:
        """Ask for `url` and let `take` read the answer; once more where the line broke."""
        host = urlsplit(url).netloc.rpartition("@")[2]
        if host in self._unreachable:
            raise WayFailed(f"{host} cannot be reached ({self._unreachable[host]})")
        why = ""
        for _ in range(_ATTEMPTS):
            try:
                with self._opener.open(url, timeout=CONNECT_SECONDS) as response:
                    return take(response)
            except urllib.error.HTTPError as error:
                why = f"{url} answers {error.code} {error.reason}"
                if error.code < 500:
                    break
            except urllib.error.URLError as error:
                self._unreachable[host] = str(error.reason)
                why = f"{host} cannot be reached ({error.reason})"
                break
            except (OSError, http.client.HTTPException, ValueError) as error:
                why = f"{url} broke off ({error or type(error).__name__})"
        raise WayFailed(why)


def _save(response: http.client.HTTPResponse, path: Path, name: str, report: Report) -> str:
    """Stream the answer into `path`; returns its SHA-256 in hex. Raises IncompleteRead where it ends too soon."""
    total = int(response.headers.get("Content-Length") or 0)
    digest, done, told = hashlib.sha256(), 0, time.monotonic()
    with path.open("wb") as file:
        while chunk := response.read(_CHUNK_BYTES):
            file.write(chunk)
            digest.update(chunk)
            done += len(chunk)
            if done > _MAX_DOWNLOAD_BYTES:
                raise ValueError("larger than any release")
            if time.monotonic() - told >= PROGRESS_SECONDS:
                told = time.monotonic()
                report(f"{name}: {_how_far(done, total)}")
    if total and done < total:
        raise http.client.IncompleteRead(b"", total - done)
    return digest.hexdigest()


def _how_far(done: int, total: int) -> str:
    megabytes = f"{done / 1e6:.0f} MB"
    return f"{100 * done // total} % of {total / 1e6:.0f} MB downloaded" if total else f"{megabytes} downloaded"


def _take_program(fetched: Path, member: str, program: Path) -> None:
    """Make `program` of the download, which is the program itself or a tar archive that has it at `member`."""
    if not member:
        fetched.rename(program)
    else:
        try:
            with tarfile.open(fetched) as archive:
                source = archive.extractfile(member)
                if source is None:
                    raise WayFailed(f"{member} in the archive is not a file")
                with source, program.open("wb") as target:
                    shutil.copyfileobj(source, target)
        except KeyError:
            raise WayFailed(f"the archive has no {member}") from None
        except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
            raise WayFailed(f"the archive cannot be read ({error})") from None
        fetched.unlink()
    program.chmod(0o755)


class _HTTPConnection(http.client.HTTPConnection):
    """Patient once connected."""

    def connect(self) -> None:
        super().connect()
        self.sock.settimeout(READ_SECONDS)


class _HTTPSConnection(http.client.HTTPSConnection):
    """Patient once connected."""

    def connect(self) -> None:
        super().connect()
        self.sock.settimeout(READ_SECONDS)


class _HTTPHandler(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_HTTPConnection, req)


class _HTTPSHandler(urllib.request.HTTPSHandler):
    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_HTTPSConnection, req)
