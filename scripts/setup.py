"""Make .venv with the locked dependencies, on a machine with no more than Python (its standard library).

uv does the work. It is taken from PATH, else installed with pip, else (Debian's python3 has neither pip
nor ensurepip) its wheel is fetched from the package index and unpacked; the version and the hashes are
those of uv.lock. UV_DEFAULT_INDEX, UV_INDEX_URL and PIP_INDEX_URL name another index than PyPI.
"""

from __future__ import annotations

import hashlib
import html.parser
import os
import platform
import shutil
import ssl
import subprocess
import sys
import tomllib
import urllib.parse
import urllib.request
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
BOOTSTRAP = ROOT / ".bootstrap"
SYNCED = VENV / ".synced"
MINIMUM_UV = (0, 9)
PYPI = "https://pypi.org/simple"
FETCH_SECONDS = 60


class SetupError(Exception):
    """Told to the person without a traceback."""


def main() -> int:
    try:
        uv = uv_on_path() or uv_of_bootstrap() or uv_by_pip() or uv_by_wheel()
        say(f"uv: {uv}")
        sync(uv)
    except SetupError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    SYNCED.touch()
    say(f"{VENV} is ready ({platform.python_implementation()} {platform.python_version()})")
    return 0


def say(line: str) -> None:
    print(f"setup: {line}", file=sys.stderr, flush=True)


def uv_on_path() -> Path | None:
    """A uv that is there already and new enough."""
    found = shutil.which("uv")
    if found is None:
        return None
    said = subprocess.run([found, "--version"], capture_output=True, text=True, check=False).stdout.split()
    numbers = said[1].split(".")[:2] if len(said) > 1 else []
    good = all(number.isdigit() for number in numbers) and tuple(map(int, numbers)) >= MINIMUM_UV
    return Path(found) if good else None


def uv_of_bootstrap() -> Path | None:
    """The uv of an earlier set-up."""
    uv = BOOTSTRAP / "bin" / "uv"
    return uv if uv.exists() else None


def locked_uv() -> tuple[str, dict[str, str]]:
    """uv's version in uv.lock, and the SHA-256 of each of its wheels by file name."""
    with (ROOT / "uv.lock").open("rb") as file:
        packages = tomllib.load(file)["package"]
    package = next(package for package in packages if package["name"] == "uv")
    wheels = {wheel["url"].rsplit("/", 1)[-1]: wheel["hash"].removeprefix("sha256:") for wheel in package["wheels"]}
    return package["version"], wheels


def uv_by_pip() -> Path | None:
    """Install uv with pip, if this Python has it: pip knows the index that was set up here."""
    if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True, check=False).returncode:
        return None
    version, wheels = locked_uv()
    say(f"installing uv {version} with pip")
    folder = fresh_bootstrap()
    requirements = folder / "requirements.txt"
    hashes = " ".join(f"--hash=sha256:{digest}" for digest in wheels.values())
    requirements.write_text(f"uv=={version} {hashes}\n", encoding="utf-8")
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--root-user-action",
        "ignore",
        "--no-deps",
    ]
    pip += ["--only-binary", ":all:", "--require-hashes", "--target", str(folder), "-r", str(requirements)]
    if subprocess.run(pip, check=False).returncode:
        say("pip could not do it")
        return None
    return uv_of_bootstrap()


def uv_by_wheel() -> Path:
    """Fetch uv's wheel from the package index and unpack the program."""
    version, wheels = locked_uv()
    name = wheel_for_this_machine(list(wheels))
    index = configured_index() or PYPI
    say(f"fetching {name}")
    try:
        content = fetch(find_file(f"{index.rstrip('/')}/uv/", name))
    except (OSError, LookupError, ValueError) as error:
        raise SetupError(
            f"uv {version} could not be had: there is no uv on PATH, pip did not bring it, and its wheel could not be "
            f"fetched ({error})\n  install uv, or name an index that can be reached: UV_DEFAULT_INDEX=URL make setup"
        ) from None
    if (got := hashlib.sha256(content).hexdigest()) != wheels[name]:
        raise SetupError(f"{name} is not what uv.lock says: its SHA-256 is {got}, locked is {wheels[name]}")
    folder = fresh_bootstrap()
    archive = folder / name
    archive.write_bytes(content)
    uv = folder / "bin" / "uv"
    uv.parent.mkdir()
    with zipfile.ZipFile(archive) as wheel:
        member = next(entry for entry in wheel.namelist() if entry.endswith("/scripts/uv"))
        uv.write_bytes(wheel.read(member))
    archive.unlink()
    uv.chmod(0o755)
    return uv


def wheel_for_this_machine(names: list[str]) -> str:
    """The wheel of this machine type and C library."""
    machine = platform.machine()
    libc = "manylinux" if platform.libc_ver()[0] == "glibc" else "musllinux"
    wanted = {"Linux": (libc, f"_{machine}"), "Darwin": ("macosx", f"_{machine}")}.get(platform.system())
    for name in names:
        if wanted and wanted[0] in name and wanted[1] in name:
            return name
    raise SetupError(f"there is no wheel of uv for {platform.system()} {machine}; install uv by other means")


def configured_index() -> str:
    """The package index that the environment names; empty for none."""
    return next(
        (os.environ[name] for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL") if os.environ.get(name)), ""
    )


class _Links(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value for key, value in attrs if tag == "a" and key == "href" and value]


def find_file(page: str, name: str) -> str:
    """The address of a file that a package index lists (PEP 503). Raises LookupError."""
    links = _Links()
    links.feed(fetch(page).decode("utf-8", errors="replace"))
    for link in links.links:
        if urllib.parse.unquote(urllib.parse.urlsplit(link).path).rsplit("/", 1)[-1] == name:
            return urllib.parse.urljoin(page, link)
    raise LookupError(f"{page} does not list {name}")


def fetch(url: str) -> bytes:
    if not url.startswith(("https://", "http://")):
        raise ValueError(f"{url} is not a web address")
    with urllib.request.urlopen(url, timeout=FETCH_SECONDS) as response:  # noqa: S310  (checked above)
        content: bytes = response.read()
    return content


def fresh_bootstrap() -> Path:
    shutil.rmtree(BOOTSTRAP, ignore_errors=True)
    BOOTSTRAP.mkdir()
    return BOOTSTRAP


def sync(uv: Path) -> None:
    """Make .venv what uv.lock says."""
    environment = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}
    environment |= {"UV_PROJECT_ENVIRONMENT": str(VENV), "UV_PYTHON_DOWNLOADS": "never"}
    if has_system_certificates():  # uv brings its own, which do not know a company's
        environment.setdefault("UV_SYSTEM_CERTS", "1")
    home = environment.get("HOME")
    if not environment.get("UV_CACHE_DIR") and not (home and os.access(home, os.W_OK)):
        environment["UV_CACHE_DIR"] = str(BOOTSTRAP / "cache")
    index = configured_index()
    if index:
        environment["UV_DEFAULT_INDEX"] = index
        sync_from_other_index(uv, environment)
    else:
        say("installing the locked dependencies")
        run([uv, "sync", "--locked", "--python", sys.executable], environment)
    if environment.get("PYTHONDONTWRITEBYTECODE"):
        compile_all(environment)


def compile_all(environment: dict[str, str]) -> None:
    """Compile everything once: told to keep no bytecode, Python would do so in each command for all that it imports."""
    say("compiling, as PYTHONDONTWRITEBYTECODE is set")
    folders = [VENV / "lib", ROOT / "orchestrator"]
    command = [VENV / "bin" / "python", "-m", "compileall", "-qq", "-j", "0", *folders]
    subprocess.run(command, env=environment, check=False)  # a package may hold files for other versions of Python


def has_system_certificates() -> bool:
    """Whether this machine knows any certificate authority (Debian: the package ca-certificates)."""
    paths = ssl.get_default_verify_paths()
    return bool(paths.cafile) or bool(paths.capath and any(Path(paths.capath).iterdir()))


def sync_from_other_index(uv: Path, environment: dict[str, str]) -> None:
    """The lock names files at PyPI; the same versions and hashes are taken from the index named here."""
    say("installing the locked dependencies from the index that the environment names")
    BOOTSTRAP.mkdir(exist_ok=True)
    requirements = BOOTSTRAP / "locked.txt"
    locked = ["--frozen", "--no-emit-project", "--all-groups", "--quiet"]
    run([uv, "export", *locked, "--output-file", requirements], environment)
    run([uv, "venv", "--allow-existing", "--python", sys.executable, VENV], environment)
    python = VENV / "bin" / "python"
    run([uv, "pip", "sync", "--require-hashes", "--python", python, requirements], environment)
    run([uv, "pip", "install", "--no-deps", "--python", python, "--editable", ROOT], environment)


def run(command: list[str | Path], environment: dict[str, str]) -> None:
    if subprocess.run(command, env=environment, cwd=ROOT, check=False).returncode:
        raise SetupError(f"`{' '.join(map(str, command[:3]))} ...` failed; what it said is above")


if __name__ == "__main__":
    sys.exit(main())
