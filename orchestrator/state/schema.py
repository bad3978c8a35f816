"""What the program has to know of its tables, which migrations/ makes: their version, and which columns hold JSON."""

from __future__ import annotations

HEAD = "0002"  # the last migration

JSON = frozenset(("inputs", "facts", "spec", "counts", "planned", "values", "data"))
