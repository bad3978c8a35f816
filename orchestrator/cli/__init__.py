"""The command line's root: the table of commands, each imported when it is used, and what errors look like."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, NoReturn

import click

from orchestrator import __version__
from orchestrator.errors import OrchestratorError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

# Section -> command -> its line in the root's help. The command is the attribute NAME of orchestrator.cli.NAME.
COMMANDS = {
    "Change": {
        "plan": "Show what an apply would do, and why.",
        "apply": "Show the plan, ask, and make the changes.",
        "reconcile": "Plan and apply again and again, without asking.",
        "rollback": "Return a placement to what an earlier run has left.",
        "adopt": "Take over something that exists and was never ours.",
        "forget": "Let go of a unit, which stays as it is.",
        "destroy": "Remove everything, in reverse order.",
        "unlock": "Take a site's lease from a holder that is dead.",
    },
    "Look": {
        "status": "Show how everything is, site by site.",
        "drift": "Show what is not as it was left, and who changed it.",
        "inventory": "Show the machines and hosts of all sites, also for Ansible.",
        "output": "Show what placements tell the world.",
        "history": "Show the runs, newest first.",
        "show": "Show one run step by step, or the log of a step.",
    },
    "Write": {
        "init": "Start an estate in a folder.",
        "validate": "Check the documents; contacts nothing.",
        "render": "Show the units as resolved, secrets masked.",
        "schema": "Print the JSON Schema of a kind of document.",
    },
    "This computer": {
        "lab": "A local estate to try things on: machines and a Kubernetes API.",
        "toolchain": "The external programs, found, downloaded or built.",
        "agile": "Hand over to pulumi for the stack of a program.",
        "doctor": "Check this computer, and say what to do.",
    },
}

_LINES = {name: line for commands in COMMANDS.values() for name, line in commands.items()}

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
EXIT_DONE, EXIT_ERROR, EXIT_USAGE, EXIT_INTERRUPTED = 0, 1, 64, 130


class Root(click.Group):
    """Commands are imported when they are used; errors become text and exit codes here and nowhere else."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, from the table."""
        return list(_LINES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now; None where the table has no such name."""
        if cmd_name not in _LINES:
            return None
        command = getattr(import_module(f"orchestrator.cli.{cmd_name}"), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it, with the names it could have been."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            if args[0].startswith("-"):
                raise
            raise click.UsageError(f"There is no command `{args[0]}`.{_did_you_mean(args[0], _LINES)}", ctx) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table, without importing a command."""
        for section, commands in COMMANDS.items():
            with formatter.section(section):
                formatter.write_dl([(name.ljust(10), line) for name, line in commands.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The table's names, without importing a command, and our own options."""
        from click.shell_completion import CompletionItem

        names = [CompletionItem(name, help=line) for name, line in _LINES.items() if name.startswith(incomplete)]
        return names + click.Command.shell_complete(self, ctx, incomplete)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what it has to tell a person goes to stderr."""
        try:
            return super().invoke(ctx)
        except OrchestratorError as error:
            from orchestrator.cli import failure

            failure.tell(error, ctx.meta)
            ctx.exit(error.exit_code)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> NoReturn:
        """Always ends in SystemExit, with the exit codes of the help text."""
        _prepare(sys.stdout)
        _prepare(sys.stderr)
        sys.exit(self._exit_code(args, prog_name, complete_var, **extra))

    def _exit_code(
        self, args: Sequence[str] | None, prog_name: str | None, complete_var: str | None, **extra: Any
    ) -> int:
        try:
            code = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        except click.UsageError as error:
            error.show()
            return EXIT_USAGE
        except click.ClickException as error:
            error.show()
            return error.exit_code
        except (click.Abort, KeyboardInterrupt):
            click.echo("Interrupted.", err=True)
            return EXIT_INTERRUPTED
        except OSError as error:
            from orchestrator.cli import failure

            return failure.no_room(error) if error.errno in NO_ROOM else failure.bug(error)
        except Exception as error:  # noqa: BLE001 a bug of ours: said as one, not thrown at a person
            from orchestrator.cli import failure

            return failure.bug(error)
        return code if isinstance(code, int) else EXIT_DONE


def _did_you_mean(name: str, names: Iterable[str]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, list(names), n=1)
    return f" Did you mean `{close[0]}`?" if close else ""


def _prepare(stream: object) -> None:
    """Where a terminal cannot print a sign of ours, its plain form is printed instead of an error."""
    encoding = getattr(stream, "encoding", None) or ""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is None or encoding.lower().replace("-", "") == "utf8":
        return
    from orchestrator.cli.views import plain_signs

    reconfigure(errors=plain_signs.register())


@click.group(
    cls=Root,
    context_settings={
        "auto_envvar_prefix": "ORCHESTRATOR",
        "help_option_names": ["-h", "--help"],
        "max_content_width": 110,
    },
    epilog="""\b
Exit codes:
  0   done, or nothing to do
  1   an error, or something failed
  2   there are differences (plan and drift with --detailed-exitcode)
  3   applied in part: something was held, as its target could not be reached
  64  the command line is wrong
  130 interrupted

Options can be set in the environment: ORCHESTRATOR_ESTATE for --estate, else ORCHESTRATOR_COMMAND_OPTION. NO_COLOR
is respected. Completion for bash: eval "$(_ORCHESTRATOR_COMPLETE=bash_source orchestrator)"; zsh and fish alike.
""",
)
@click.version_option(__version__, prog_name="orchestrator", message="%(prog)s %(version)s")
@click.pass_context
def root(ctx: click.Context) -> None:
    """One plan and one apply over machines (Ansible) and Kubernetes (Pulumi), at every site.

    An estate is a folder of documents: blueprints say what to run, sites say where, placements put the one on the
    other. Start one with `orchestrator init`, then plan and apply.
    """
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        ctx.color = False
