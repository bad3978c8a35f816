"""`python -m orchestrator` and the console script."""

from __future__ import annotations

import atexit
import gc
import os
import sys
import threading


def main() -> None:
    """Run the command line; ends the process with its exit code."""
    # Modules and documents live as long as the command: the usual 700 new objects would have the collector walk
    # through them hundreds of times, a tenth of a plan. Cycles are still collected, some MB later.
    gc.set_threshold(50_000, 20, 50)
    # Looking for pydantic's plugins reads the metadata of everything that is installed; none is for our models.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    from orchestrator.cli import root

    try:
        root.main(prog_name="orchestrator")
    except SystemExit as end:
        if isinstance(end.code, int) and _is_over():
            os._exit(end.code)
        raise


def _is_over() -> bool:
    """Whether nothing is left to do but to take apart the interpreter: a million objects, a tenth of a plan."""
    if any(not thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread()):
        return False
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):  # whoever read it has gone: the interpreter knows what to say
        return False
    return True


if __name__ == "__main__":
    main()
