"""`python -m orchestrator` and the console script."""

from __future__ import annotations

from orchestrator.cli import root


def main() -> None:
    """Run the command line; ends the process with its exit code."""
    root.main(prog_name="orchestrator")


if __name__ == "__main__":
    main()
