"""The probe over SSH without Ansible's plugin and without an ssh process per host; in the reach worker.

Only where OpenSSH's own reading of the settings is understood whole (`ssh_settings`). Whatever goes wrong, but for a
host that does not answer, is left to Ansible's plugin, which tries again: nothing is refused here that ssh accepts.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes.util
import errno
import os
import threading
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, replace
from typing import Any

from orchestrator.modes.stable.probe import program
from orchestrator.modes.stable.probe.serving import END
from orchestrator.modes.stable.reach import ssh_settings
from orchestrator.modes.stable.reach.kept import Kept, Talk
from orchestrator.modes.stable.reach.ssh_settings import Settings

BASTION_S = 8.0  # shorter than a host may take: so it is told who did not answer
BASTION_LOST_S = 30.0  # for so long a bastion that did not answer is not asked again
MARK = END.encode()
NOT_THERE = (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH)


@dataclass(frozen=True, slots=True)
class Said:
    """What a command has printed: both streams in one where it was asked for a password."""

    code: int
    stdout: bytes
    stderr: bytes = b""


@dataclass(frozen=True, slots=True)
class Probe:
    """What a host is asked, and how it is reached.

    command  starts its Python, `become` puts it into the plugin's hands where there is a password to be given
    name     the same for all commands that do the same: such a probe can be asked again
    fresh    not by one that is there: what was done on the host may have changed what its user is and may
    """

    settings: Settings
    password: str | None
    become: Any
    command: str
    name: str
    ask: Mapping[str, Any]
    fresh: bool


class Lost(Exception):  # noqa: N818 - it is an answer
    """The host does not answer; the text says why."""


class NotHere(Exception):  # noqa: N818 - it is an answer
    """Left to Ansible's plugin."""


def settings_of(connection: Any) -> Settings | None:
    """The settings of one of Ansible's ssh connections; None where they are the plugin's matter."""
    if type(connection).__module__ != "ansible.plugins.connection.ssh":
        return None
    option = connection.get_option
    if option("private_key") or option("pkcs11_provider"):
        return None
    return ssh_settings.settings_for(option("ssh_executable"), _args(option), option("host"))


def _args(option: Any) -> list[str]:
    """What the plugin puts on ssh's command line, in its order: the first that says something of an option counts."""
    args = ssh_settings.split(option("ssh_args"))
    if option("host_key_checking") is False:
        args += ["-o", "StrictHostKeyChecking=no"]
    if option("port") is not None:
        args += ["-o", f"Port={option('port')}"]
    if key := option("private_key_file"):
        args += ["-o", f'IdentityFile="{os.path.expanduser(key)}"']  # noqa: PTH111 - as the plugin does it
    if user := option("remote_user"):
        args += ["-o", f'User="{user}"']
    return args + ssh_settings.split(option("ssh_common_args")) + ssh_settings.split(option("ssh_extra_args"))


class Direct:
    """Connections of their own, all in one event loop in one thread; bastions are shared."""

    def __init__(self) -> None:
        self._starting = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._jumps: dict[Settings, tuple[asyncio.Task[Any], float]] = {}
        self._keys: dict[tuple[str, ...], Any] = {}
        self._known: dict[tuple[str, ...], Any] = {}
        self._kept = Kept()

    def start(self) -> None:
        """Import what takes a while, and start the loop."""
        with self._starting:
            if self._loop is None:
                _import_asyncssh()
                loop = asyncio.new_event_loop()
                threading.Thread(target=loop.run_forever, daemon=True, name="direct").start()
                self._loop = loop

    def run(self, probe: Probe, seconds: float) -> Said:
        """Ask a host. Raises Lost, NotHere, TimeoutError."""
        self.start()
        assert self._loop is not None
        work = self._within(seconds, self._run(probe, seconds))
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _within(self, seconds: float, work: Coroutine[Any, Any, Said]) -> Said:
        import asyncssh

        try:
            async with asyncio.timeout(seconds):
                return await work
        except TimeoutError:
            raise
        except OSError as error:
            if error.errno in NOT_THERE:
                raise Lost(os.strerror(error.errno)) from None
            raise NotHere(str(error)) from None
        except (asyncssh.Error, ValueError) as error:
            raise NotHere(str(error)) from None

    async def _run(self, probe: Probe, seconds: float) -> Said:
        key = (probe.settings, probe.password, probe.name)
        if probe.fresh:
            self._kept.drop(key)
        elif said := await self._kept.ask(key, program.request(probe.ask), MARK, seconds):
            return Said(0, said)
        tunnel = await self._bastion(probe.settings.jump) if probe.settings.jump else None
        connection = await self._connected(probe.settings, probe.password, tunnel)
        stays = False
        try:
            if probe.become is not None and probe.become.get_option("become_pass"):
                return await _become(connection, probe.become, probe.command, program.stdin(probe.ask))
            clock = asyncio.get_running_loop().time
            started = clock()
            talk = Talk(connection, await connection.create_process(probe.command, encoding=None))
            said = await talk.ask(program.stdin(probe.ask), MARK)
            stays = MARK in said
            if stays:
                self._kept.put(key, replace(talk, took=clock() - started))
                return Said(0, said)
            talk.process.stdin.write_eof()
            done = await talk.process.wait()
            return Said(_code(done), said, done.stderr)
        finally:
            if not stays:
                connection.close()

    async def _connected(self, settings: Settings, password: str | None, tunnel: Any) -> Any:
        import asyncssh

        return await asyncssh.connect(
            settings.host,
            settings.port,
            tunnel=tunnel,
            proxy_command=["sh", "-c", f"exec {settings.command}"] if settings.command else None,
            username=settings.user,
            password=password,
            # None would mean that not even the agent is asked.
            client_keys=self._keys_of(settings.keys) or (() if settings.agent else None),
            agent_path=settings.agent,
            known_hosts=self._known_of(settings),
            host_key_alias=settings.alias,
            preferred_auth="publickey,password,keyboard-interactive" if password else "publickey",
            config=None,
            compression_algs=None,
            gss_host=None,
            x509_trusted_certs=None,
            keepalive_interval=5,
            encryption_algs="^aes128-gcm@openssh.com,aes256-gcm@openssh.com",  # half of what the first choice costs us
        )

    async def _bastion(self, jump: Settings) -> Any:
        """The one connection to a bastion, made when it is first needed, and again where it has gone."""
        loop = asyncio.get_running_loop()
        task, since = self._jumps.get(jump, (None, 0.0))
        gone = task is not None and task.done() and (task.cancelled() or task.exception() or task.result().is_closed())
        if task is None or (gone and loop.time() > since + BASTION_LOST_S):
            task = loop.create_task(self._to_bastion(jump))
            self._jumps[jump] = task, loop.time()
        return await asyncio.shield(task)

    async def _to_bastion(self, jump: Settings) -> Any:
        tunnel = await self._bastion(jump.jump) if jump.jump else None
        try:
            async with asyncio.timeout(BASTION_S):
                return await self._connected(jump, None, tunnel)
        except OSError as error:
            why = os.strerror(error.errno) if error.errno else f"timed out after {BASTION_S:g} s"
            raise Lost(f"its bastion {jump.host}:{jump.port}: {why}") from None

    def _keys_of(self, paths: tuple[str, ...]) -> Any:
        """The private keys in these files; those with a passphrase are the agent's matter."""
        import asyncssh

        if paths not in self._keys:
            found: list[Any] = []
            for path in paths:
                with contextlib.suppress(OSError, ValueError):  # asyncssh's errors about keys are ValueErrors
                    found += asyncssh.load_keypairs(path)
            self._keys[paths] = found
        return self._keys[paths] or None

    def _known_of(self, settings: Settings) -> Any:
        """Which host keys are right, by name as OpenSSH does it; None where they are not checked."""
        import asyncssh

        if settings.known_hosts is None:
            return None
        if settings.known_hosts not in self._known:
            self._known[settings.known_hosts] = asyncssh.read_known_hosts(list(settings.known_hosts))
        known = self._known[settings.known_hosts]
        return lambda host, address, port: known.match(host, "", port)


def _import_asyncssh() -> None:
    """Import it without its search for libraries that it does without: ldconfig, gcc and ld, several times."""
    find, ctypes.util.find_library = ctypes.util.find_library, lambda name: None
    try:
        import asyncssh  # noqa: F401
    finally:
        ctypes.util.find_library = find


async def _become(connection: Any, become: Any, command: str, program: bytes) -> Said:
    """Give the password when it is asked for, and the program once it has been taken. Raises Lost where it was not."""
    import asyncssh

    process = await connection.create_process(command, encoding=None, stderr=asyncssh.STDOUT)
    said, asked = b"", False
    while not become.check_success(said):
        more = await process.stdout.read(4096)
        if not more:
            break
        said += more
        if become.check_incorrect_password(said) or (asked and become.check_password_prompt(more)):
            whom = become.get_option("become_user") or "root"
            raise Lost(f"the become password is wrong ({become.name} to {whom}); correct `ansible_become_password`")
        if not asked and become.check_password_prompt(said):
            process.stdin.write(f"{become.get_option('become_pass')}\n".encode())
            asked = True
    process.stdin.write(program)
    process.stdin.write_eof()
    said += await process.stdout.read()
    done = await process.wait()
    return Said(_code(done), said)


def _code(done: Any) -> int:
    return -1 if done.exit_status is None else int(done.exit_status)
