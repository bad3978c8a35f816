"""`helm template`: a chart's objects as the program renders them, and what it says when it fails."""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Mapping
from pathlib import Path

from orchestrator.model.rendering import HelmRequest, Part, RenderFailedError
from orchestrator.rendering.programs import run

KUBERNETES = "v1.36.3"  # what charts are told where the blueprint says nothing: the same on every machine
_SOURCE = re.compile(r"^# Source: [^/\n]+/(\S+)$", re.MULTILINE)
_PLACE = re.compile(r"(?<![\w/])[\w.-]+/((?:charts/[\w.-]+/)*(?:templates|crds)/[\w./-]+?):(\d+)")
_FILE = re.compile(r"(?<![\w/])[\w.-]+/((?:charts/[\w.-]+/)*(?:templates|crds)/[\w./-]+)")
_RENDERED_LINE = re.compile(r"yaml: line (\d+)")


def template(helm: Path, request: HelmRequest, chart: Path, files: Mapping[str, bytes], folder: Path) -> list[Part]:
    """Render the chart that lies at `chart` and has these files. Raises RenderFailedError."""
    command: list[str | Path] = [helm, "template", request.release, chart, "--namespace", request.namespace]
    for index, content in enumerate(request.values_files):
        path = folder / f"values-{index}.yaml"
        path.write_bytes(content)
        command += ["--values", path]
    command += ["--values", "-", "--include-crds" if request.crds else "--skip-crds"]
    command += ["--kube-version", request.kube_version or KUBERNETES]
    for version in request.api_versions:
        command += ["--api-versions", version]
    values = json.dumps(dict(request.values)).encode()  # by a pipe: a command line and a file can be read by others
    code, output, errors = run(command, folder, given=values)
    if code != 0:
        broken = _rendered_line(command, folder, values, errors)
        raise _failure(errors, files, broken)
    return _parts(output, files)


def files_of(archive: bytes) -> dict[str, bytes]:
    """The files of a .tgz, by their paths in the chart. Raises RenderFailedError."""
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
            for member in tar:
                if member.isreg() and (reader := tar.extractfile(member)):
                    found[member.name.partition("/")[2]] = reader.read()
    except (tarfile.TarError, OSError, EOFError) as error:
        raise RenderFailedError(f"the chart is no .tgz: {error}", "`helm package` makes one") from None
    return found


def _parts(output: str, files: Mapping[str, bytes]) -> list[Part]:
    """The output, cut where the program names another file."""
    found: list[Part] = []
    for text in re.split(r"^---[ \t]*$", output, flags=re.MULTILINE):
        if not text.strip():
            continue
        named = _SOURCE.search(text)
        file = named[1] if named else (found[-1].file if found else "")
        found.append(Part(file, text, files.get(file, b"").decode(errors="replace")))
    return found


def _failure(errors: str, files: Mapping[str, bytes], broken: str) -> RenderFailedError:
    """The program's words, shortened to what is wrong, at the template's line."""
    lines = [line for line in errors.splitlines() if not re.match(r"(level=|WARNING|time=|Use --debug)", line)]
    text = " ".join(line.strip() for line in lines if line.strip()).removeprefix("Error: ")
    place = _PLACE.search(text)
    file, line = (place[1], int(place[2])) if place else ("", 0)
    if not file and (named := _FILE.search(text)):
        file, line = named[1].rstrip(":"), 1
        if broken and (at := _line_of(files.get(file, b"").decode(errors="replace"), broken)):
            line = at
    hint = f"the line is rendered as `{broken.strip()[:80]}`" if broken else ""
    if "missing in charts/" in text:
        hint = "run `helm dependency build` and keep charts/ with the chart: nothing is fetched while it is rendered"
    return RenderFailedError(f"helm: {_short(text)}", hint, file, line)


def _short(text: str) -> str:
    """The last cause: the program puts each template that includes another before it."""
    text = re.sub(r'^template: \S+: executing "[^"]*" at <[^>]*>: (?=error calling include: template:)', "", text)
    return text[:600] or "it failed without a word"


def _rendered_line(command: list[str | Path], folder: Path, values: bytes, errors: str) -> str:
    """The rendered line that is not YAML, which the program shows if it is asked to."""
    number = _RENDERED_LINE.search(errors)
    named = _FILE.search(errors)
    if number is None or named is None:
        return ""
    _, output, _ = run([*command, "--debug"], folder, given=values)
    for text in re.split(r"^---[ \t]*$", output, flags=re.MULTILINE):
        if f"/{named[1].rstrip(':')}\n" in text:
            lines = text.strip("\n").split("\n")[1:]
            index = int(number[1]) - 1
            return lines[index] if 0 <= index < len(lines) else ""
    return ""


def _line_of(template: str, rendered: str) -> int:
    """The template's line that is most like a rendered one; 0 where none is."""
    import difflib

    lines = template.split("\n")
    near = difflib.get_close_matches(rendered, lines, n=1, cutoff=0.5)
    return lines.index(near[0]) + 1 if near else 0
