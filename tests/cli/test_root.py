"""The root of the command line: its commands, and what errors look like and end with."""

from __future__ import annotations

import errno
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from orchestrator import __version__
from orchestrator.cli import COMMANDS, root
from orchestrator.cli.options import estate_option, output_option, parallel_option, scope_options, yes_option
from orchestrator.errors import DocumentsError, OrchestratorError, UsageError
from orchestrator.model.source import Diagnostic, Source

# The last room to be built: with it every command can be imported.
WHOLE = importlib.util.find_spec("orchestrator.cli.render") is not None

NAMES = [name for commands in COMMANDS.values() for name in commands]


def python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "orchestrator", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, **environment}
    )


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException, *arguments: str) -> Result:
    """What the root makes of a command that raises; the command has our usual options."""

    @click.command()
    @estate_option
    def plan(estate: Path | None) -> None:
        raise error

    monkeypatch.setattr(type(root), "get_command", lambda self, ctx, name: plan)
    return CliRunner().invoke(root, ["plan", *arguments])


def test_the_version_is_one_line() -> None:
    assert python("--version").stdout == f"orchestrator {__version__}\n"


def test_the_help_lists_every_command_and_the_exit_codes_without_importing_one() -> None:
    done = python("--help")
    assert all(re.search(rf"^  {name} +\w", done.stdout, re.MULTILINE) for name in NAMES)
    assert "64" in done.stdout
    code = "import sys; from orchestrator.cli import root, COMMANDS\n"
    code += "try: root.main(['--help'], prog_name='orchestrator')\n"
    code += (
        "except SystemExit: print([m for c in COMMANDS.values() for m in c if f'orchestrator.cli.{m}' in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", NAMES)
def test_every_command_explains_itself(name: str) -> None:
    if not WHOLE and name not in ("validate", "schema", "init", "lab", "toolchain", "doctor"):
        pytest.skip("not all of its rooms are there yet")
    result = CliRunner().invoke(root, [name, "--help"])
    assert result.exit_code == 0, result.output
    assert f"Usage: root {name}" in result.output or f"Usage: orchestrator {name}" in result.output
    assert len(result.output.splitlines()) > 5


@pytest.mark.parametrize("arguments", [["frobnicate"], ["--frob"], ["doctor", "--frob"], ["doctor", "-o", "xml"], []])
def test_a_wrong_command_line_ends_with_64(arguments: list[str]) -> None:
    assert CliRunner().invoke(root, arguments).exit_code == 64


def test_a_misspelt_command_is_recognised() -> None:
    assert "Did you mean `validate`?" in CliRunner().invoke(root, ["valdate"]).output


def test_an_error_is_a_message_and_its_hint_on_a_line_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    result = failing(monkeypatch, OrchestratorError("edge: cannot be\x1b[2J read", hint="check its mode"))
    assert result.exit_code == 1
    assert result.stderr == "Error: edge: cannot be\\x1b[2J read\n  check its mode\n"
    assert result.stdout == ""


def test_an_error_ends_with_its_own_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    assert failing(monkeypatch, UsageError("that makes no sense")).exit_code == 64


def test_errors_in_documents_show_the_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "orchestrator.yaml").write_text("apiVersion: orchestrator/v1alpha1\nkind: Estate\nnmae: x\n")
    wrong = Diagnostic(Source("orchestrator.yaml", 3, 1), "unknown key `nmae`", "did you mean `name`?")
    result = failing(monkeypatch, DocumentsError([wrong]), "--estate", str(tmp_path))
    assert result.exit_code == 1
    assert "orchestrator.yaml:3:1: unknown key `nmae`; did you mean `name`?\n    3 | nmae: x\n" in result.stderr


def test_errors_in_documents_are_told_where_there_is_no_estate(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    result = failing(monkeypatch, DocumentsError([Diagnostic(Source(), "no estate here")]), "-C", str(tmp_path))
    assert result.stderr.startswith("no estate here\n")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
def test_an_interruption_is_a_word_and_130(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    result = failing(monkeypatch, error)
    assert result.exit_code == 130
    assert "Interrupted." in result.stderr


def test_a_bug_is_told_as_one_and_its_traceback_has_no_values(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv("ORCHESTRATOR_DEBUG", raising=False)
    result = failing(monkeypatch, ValueError("password=canary-3f9c1e77aa"))
    assert result.exit_code == 1
    assert "this is a bug in orchestrator" in result.stderr
    [written] = (tmp_path / "orchestrator" / "crashes").iterdir()
    assert str(written) in result.stderr
    assert "ValueError" in written.read_text()
    assert "test_root.py" in written.read_text()
    assert "canary" not in written.read_text() + result.output
    assert written.stat().st_mode & 0o777 == 0o600


def test_a_disk_that_is_full_is_no_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    result = failing(monkeypatch, OSError(errno.ENOSPC, "No space left on device", "/x/y"))
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: /x/y: No space left on device\n  make room, ")


def test_a_bug_is_raised_for_those_who_debug(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHESTRATOR_DEBUG", "1")
    assert isinstance(failing(monkeypatch, ValueError("x")).exception, ValueError)


def test_a_reader_that_leaves_is_no_traceback() -> None:
    command = f"{sys.executable} -m orchestrator schema | head -c 1 >/dev/null; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    assert done.stdout.strip() in ("0", "1")


def test_completion_knows_the_commands() -> None:
    done = python(_ORCHESTRATOR_COMPLETE="bash_complete", COMP_WORDS="orchestrator ap", COMP_CWORD="1")
    assert done.stdout.split() == ["plain,apply"]


def test_a_terminal_that_prints_latin_1_gets_plain_signs() -> None:
    code = "from orchestrator.cli import root; import click\n"
    code += "@root.command()\ndef x() -> None: pass\n"
    code += (
        "type(root).get_command = lambda self, ctx, name: click.Command('x', callback=lambda: click.echo('8 → 3 ✓'))\n"
    )
    code += "root.main(['x'], prog_name='orchestrator')"
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=True, env=environment)
    assert done.stdout == b"8 -> 3 ok\n"


def limited(*arguments: str) -> dict[str, Any]:
    seen: dict[str, Any] = {}

    @click.command()
    @estate_option
    @scope_options
    @yes_option
    @parallel_option
    @output_option("table", "json")
    def command(**options: Any) -> None:
        seen.update(options)

    result = CliRunner().invoke(command, list(arguments))
    assert result.exit_code == 0, result.output
    return seen


@pytest.mark.skipif(not WHOLE, reason="not all rooms of a session are there yet")
def test_shared_options_have_their_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from orchestrator.cli.session import Limits

    monkeypatch.delenv("ORCHESTRATOR_ESTATE", raising=False)
    assert limited() == {"estate": None, "limits": Limits(), "yes": False, "parallel": 8, "output": "table"}
    given = limited(
        *("--site", "tier=edge", "--placement", "a", "--placement", "b", "--mode", "agile", "--target", "x/y"),
        *("-y", "--parallel", "2", "-o", "json", "-C", str(tmp_path)),
    )
    limits = Limits("tier=edge", ("a", "b"), "agile", ("x/y",))
    assert given == {"estate": tmp_path, "limits": limits, "yes": True, "parallel": 2, "output": "json"}


@pytest.mark.skipif(not WHOLE, reason="not all rooms of a session are there yet")
def test_the_estate_can_be_named_in_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHESTRATOR_ESTATE", str(tmp_path))
    assert limited()["estate"] == tmp_path


def test_the_version_costs_no_library_but_click() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "orchestrator", "--version"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    imported = {line.rsplit("|", 1)[-1].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert "click" in imported
    assert not imported & {"pydantic", "rich", "jinja2", "yaml", "json", "platformdirs", "asyncio", "subprocess"}
