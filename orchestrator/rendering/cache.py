"""What was rendered, kept by a digest of everything that went in. No secret is in it: tokens stand for them."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

MOST = 1000  # renderings; the oldest go first


class Cache:
    """Renderings in a private folder. Safe to use from several threads and processes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, name: str) -> str | None:
        """What was kept; None where it is not there, or cannot be read."""
        path = self._folder / name
        try:
            content = path.read_text(encoding="utf-8")
            os.utime(path)
        except (OSError, UnicodeDecodeError):
            return None
        return content

    def put(self, name: str, content: str) -> None:
        """Keep it, whole or not at all; a folder that cannot be written to is no error."""
        with contextlib.suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, new = tempfile.mkstemp(dir=self._folder, prefix=".new-")
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(content)
            Path(new).replace(self._folder / name)
            there = [path for path in self._folder.iterdir() if not path.name.startswith(".")]
            for path in sorted(there, key=lambda each: each.stat().st_mtime)[: max(0, len(there) - MOST)]:
                path.unlink(missing_ok=True)
