"""`python -m orchestrator` and the console script."""

from __future__ import annotations

import gc
import os


def main() -> None:
    """Run the command line; ends the process with its exit code."""
    # Modules and documents live as long as the command: the usual 700 new objects would have the collector walk
    # through them hundreds of times, a tenth of a plan. Cycles are still collected, some MB later.
    gc.set_threshold(50_000, 20, 50)
    # Looking for pydantic's plugins reads the metadata of everything that is installed; none is for our models.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    from orchestrator.cli import root

    root.main(prog_name="orchestrator")


if __name__ == "__main__":
    main()
