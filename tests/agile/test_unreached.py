"""Clusters that are down, slow, busy, or not to be trusted: each is held with its cause, nothing is guessed."""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from orchestrator.errors import DriverError
from orchestrator.model.change import Action, Change
from orchestrator.model.observation import Absent, Observation, Unreachable
from orchestrator.model.outcome import Lease, Result
from orchestrator.modes.agile.client import api, incluster, pacing
from orchestrator.modes.agile.client.connection import CONNECTIONS
from orchestrator.modes.agile.client.pacing import EndedError, Pace, asked_for
from orchestrator.modes.agile.driver import AgileDriver
from orchestrator.modes.agile.site import AgileSite
from tests.agile.estates import unit
from tests.agile.servers import DAY, Answer, Authority, Request, page, serving, status

CONFIG = unit({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "n"}})
NOTHING: Callable[[Request], Answer] = lambda request: page([])


@pytest.fixture
def ca(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[Callable[..., AgileDriver]]:
    """A driver with a kubeconfig."""
    drivers: list[AgileDriver] = []

    def made(kubeconfig: Path, allowed: tuple[str, ...] = ()) -> AgileDriver:
        site = AgileSite(
            site="lab",
            estate_id="e",
            estate_name="test",
            scratch=tmp_path / f"scratch-{len(drivers)}",
            kubeconfig=kubeconfig,
            pulumi=Path,
            passphrase=str,
            scrub=str,
            allowed_exec=allowed,
        )
        drivers.append(AgileDriver(site))
        return drivers[-1]

    yield made
    for each in drivers:
        each.close()


@pytest.fixture
def seen(driver: Callable[..., AgileDriver]) -> Callable[..., Observation]:
    """What a driver sees of one ConfigMap with a kubeconfig."""
    return lambda *given: driver(*given).observe([CONFIG], []).units[CONFIG.address]


def why(observation: Observation) -> str:
    assert isinstance(observation, Unreachable), observation
    return observation.why.partition(": ")[2]


def test_a_server_that_answers_is_seen(ca: Authority, tmp_path: Path, seen: Callable[..., Observation]) -> None:
    with serving(ca.pair("server"), NOTHING) as server:
        assert isinstance(seen(server.kubeconfig(tmp_path / "k", ca.path)), Absent)
        assert {request.headers["Authorization"] for request in server.asked} == {"Bearer t"}


def test_what_is_asked_one_after_the_other_goes_over_one_connection(
    ca: Authority, tmp_path: Path, driver: Callable[..., AgileDriver]
) -> None:
    with serving(ca.pair("server"), NOTHING) as server:
        here = driver(server.kubeconfig(tmp_path / "k", ca.path))._reach().api
        for _ in range(20):
            here.get("/api/v1/configmaps")
        assert (len(server.asked), len(server.connections)) == (20, 1)


def test_however_much_is_asked_at_once_a_server_has_no_more_than_its_share_of_connections(
    ca: Authority, tmp_path: Path, driver: Callable[..., AgileDriver]
) -> None:
    first, waiting = threading.Barrier(CONNECTIONS), threading.Event()

    def together(request: Request) -> Answer:
        if not waiting.is_set():
            first.wait(20)  # only if as many are under way at once does anything go on
            waiting.set()
        return page([])

    with serving(ca.pair("server"), together) as server, ThreadPoolExecutor(max_workers=3 * CONNECTIONS) as pool:
        here = driver(server.kubeconfig(tmp_path / "k", ca.path))._reach().api
        list(pool.map(lambda _: here.get("/api/v1/configmaps"), range(3 * CONNECTIONS)))
        assert (len(server.asked), len(server.connections)) == (3 * CONNECTIONS, CONNECTIONS)


def test_a_server_that_is_down_is_held(ca: Authority, tmp_path: Path, seen: Callable[..., Observation]) -> None:
    with serving(ca.pair("server"), NOTHING) as server:
        kubeconfig = server.kubeconfig(tmp_path / "k", ca.path)
    assert why(seen(kubeconfig)) == "connection refused"


def test_a_kubeconfig_that_cannot_be_used_is_held_and_read_again(
    ca: Authority, tmp_path: Path, driver: Callable[..., AgileDriver]
) -> None:
    one = driver(tmp_path / "k")
    lease = Lease("lab", "me", 1, 1, 0.0, 60.0)
    found = one.observe([CONFIG], []).units[CONFIG.address]
    assert isinstance(found, Unreachable)
    assert "there is no such file; check `agile.cluster.kubeconfig`" in found.cause
    assert one.watch(lambda: None) is False
    assert one.take(lease) is None
    change = Change(CONFIG.address, Action.CREATE, "", unit=CONFIG)
    assert [o.result for o in one.apply([change], lambda told: None)] == [Result.UNREACHABLE]
    one.release(lease)
    with pytest.raises(DriverError, match="no such file"):
        one.unlock()
    with serving(ca.pair("server"), NOTHING) as server:
        server.kubeconfig(tmp_path / "k", ca.path)
        assert isinstance(one.observe([CONFIG], []).units[CONFIG.address], Absent)


def test_a_server_that_does_not_answer_in_time_is_held(
    ca: Authority, tmp_path: Path, seen: Callable[..., Observation], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "READ_SECONDS", 0.2)
    done = threading.Event()

    def slowly(request: Request) -> Answer:
        done.wait(10)
        return page([])

    with serving(ca.pair("server"), slowly) as server:
        assert why(seen(server.kubeconfig(tmp_path / "k", ca.path))).startswith("no answer within")
        done.set()


def test_a_server_that_takes_connections_and_says_nothing_is_held(
    ca: Authority, tmp_path: Path, seen: Callable[..., Observation], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "CONNECT_SECONDS", 0.2)
    monkeypatch.setattr(api, "READ_SECONDS", 0.2)
    with serving(ca.pair("server"), NOTHING) as server, closing(socket.create_server(("127.0.0.1", 0))) as silent:
        server.address = f"https://127.0.0.1:{silent.getsockname()[1]}"
        assert "within" in why(seen(server.kubeconfig(tmp_path / "k", ca.path)))


def test_a_server_that_hangs_up_is_told_so(ca: Authority, tmp_path: Path, seen: Callable[..., Observation]) -> None:
    def hang_up(request: Request) -> Answer:
        raise ConnectionAbortedError

    with serving(ca.pair("server"), hang_up) as server:
        told = why(seen(server.kubeconfig(tmp_path / "k", ca.path)))
    assert told == "it closed the connection without an answer"


def test_a_certificate_that_cannot_be_trusted_is_told_why(
    ca: Authority, tmp_path: Path, seen: Callable[..., Observation]
) -> None:
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other")
    cases = {
        "unable to get local issuer": other.pair("strange"),
        "certificate has expired": ca.pair("old", until=-DAY),
        "IP address mismatch": ca.pair("elsewhere", host="127.0.0.9"),
    }
    for words, pair in cases.items():
        with serving(pair, NOTHING) as server:
            told = why(seen(server.kubeconfig(tmp_path / "k", ca.path)))
            assert "its certificate is not trusted" in told
            assert words in told
            assert not server.asked


def test_a_client_without_the_certificate_that_is_asked_for_is_held(
    ca: Authority, tmp_path: Path, seen: Callable[..., Observation]
) -> None:
    client = ca.pair("client")
    with serving(ca.pair("server"), NOTHING, clients=ca.path) as server:
        files = {"client-certificate": str(client.certificate), "client-key": str(client.key)}
        assert isinstance(seen(server.kubeconfig(tmp_path / "k", ca.path, **files)), Absent)
        told = why(seen(server.kubeconfig(tmp_path / "k", ca.path)))  # when it is noticed differs with the load
        assert "client certificate" in told or "reset" in told or "Broken pipe" in told


def test_a_server_that_ends_tls_as_our_certificate_has_expired_is_told_so(
    ca: Authority, tmp_path: Path, seen: Callable[..., Observation]
) -> None:
    client = ca.pair("client", until=-DAY)
    with serving(ca.pair("server"), NOTHING, clients=ca.path) as server:
        files = {"client-certificate": str(client.certificate), "client-key": str(client.key)}
        told = why(seen(server.kubeconfig(tmp_path / "k", ca.path, **files)))
        assert told.startswith("the client certificate has expired (")
        assert told.endswith(f"UTC); put a new one into {tmp_path / 'k'}")


def test_credentials_that_have_run_out_are_held(
    ca: Authority, tmp_path: Path, seen: Callable[..., Observation]
) -> None:
    refusing = lambda request: status(401, "Unauthorized", "Unauthorized")
    with serving(ca.pair("server"), refusing) as server:
        assert why(seen(server.kubeconfig(tmp_path / "k", ca.path))) == "our credentials are refused (401 Unauthorized)"
        (tmp_path / "empty").mkdir()
        gone = server.kubeconfig(tmp_path / "k", ca.path, tokenFile=str(tmp_path / "empty" / "token"))
        assert "`tokenFile`" in why(seen(gone))


def test_a_program_is_asked_again_when_what_it_gave_is_refused(
    ca: Authority, tmp_path: Path, seen: Callable[..., Observation]
) -> None:
    count = tmp_path / "count"
    code = f"n = len(open({str(count)!r}, 'a+').read()); p = open({str(count)!r}, 'a'); p.write('x'); p.close()\n"
    code += f"n = len(open({str(count)!r}).read())\n"
    code += "import json; print(json.dumps({'status': {'token': f'token-{n}'}}))"
    exec_ = {"command": sys.executable, "args": ["-c", code]}

    def only_the_second(request: Request) -> Answer:
        fine = request.headers["Authorization"] != "Bearer token-1"
        return page([]) if fine else status(401, "Unauthorized", "token expired")

    with serving(ca.pair("server"), only_the_second) as server:
        kubeconfig = server.kubeconfig(tmp_path / "k", ca.path, exec=exec_)
        assert isinstance(seen(kubeconfig, (sys.executable,)), Absent)
    failing = {"command": sys.executable, "args": ["-c", "raise SystemExit('log in again')"]}
    with serving(ca.pair("server"), NOTHING) as server:
        kubeconfig = server.kubeconfig(tmp_path / "k", ca.path, exec=failing)
        assert "log in again" in why(seen(kubeconfig, (sys.executable,)))


def test_a_server_that_throttles_is_obeyed(ca: Authority, tmp_path: Path, seen: Callable[..., Observation]) -> None:
    busy = iter([status(429, "TooManyRequests", "slow down", Retry_After="0")] * 5)
    with serving(ca.pair("server"), lambda request: next(busy, None) or page([])) as server:
        assert isinstance(seen(server.kubeconfig(tmp_path / "k", ca.path)), Absent)
        assert len(server.asked) > 5


def test_a_server_that_wants_to_be_left_alone_for_longer_than_we_have_is_held(
    ca: Authority, tmp_path: Path, seen: Callable[..., Observation]
) -> None:
    answer = lambda request: status(429, "TooManyRequests", "too many requests", Retry_After="3600")
    with serving(ca.pair("server"), answer) as server:
        told = why(seen(server.kubeconfig(tmp_path / "k", ca.path)))
        assert told == "answers 429 too many requests; it asks to be left alone for 3600 s"
        assert len([request for request in server.asked if "configmaps" in request.path]) == 1


def test_all_wait_as_long_as_the_server_has_asked_one_to() -> None:
    now = [100.0]
    waited: list[float] = []

    class Closing(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waited.append(timeout or 0)
            now[0] += timeout or 0
            return False

    pace = Pace(Closing(), lambda: now[0])
    pace.wait()
    pace.slow_down(2)
    pace.slow_down(1)
    pace.wait()
    pace.wait()
    assert waited == [2]
    ending = threading.Event()
    ending.set()
    pace = Pace(ending, lambda: 0.0)
    pace.slow_down(5)
    with pytest.raises(EndedError):
        pace.wait()


def test_how_long_to_wait_is_what_the_answer_says_or_longer_each_time() -> None:
    assert asked_for({"Retry-After": "7"}, 0) == 7
    pauses = [asked_for({}, tries) for tries in range(9)]
    assert pauses == sorted(pauses)
    assert pauses[-1] == pauses[-2] <= pacing.PATIENCE


def test_pages_whose_snapshot_is_gone_are_read_again_from_the_first(
    ca: Authority, tmp_path: Path, seen: Callable[..., Observation]
) -> None:
    expired = [True]

    def pages(request: Request) -> Answer:
        if "configmaps" not in request.path or "labelSelector" not in request.query:
            return page([])
        if request.query.get("continue") == "next" and expired:
            expired.clear()
            return status(410, "Expired", "The provided continue parameter is too old")
        last = request.query.get("continue") == "next"
        return page([{"metadata": {"name": "b" if last else "a", "namespace": "n"}}], token="" if last else "next")

    with serving(ca.pair("server"), pages) as server:
        assert not isinstance(seen(server.kubeconfig(tmp_path / "k", ca.path)), Unreachable)
        tokens = [
            r.query.get("continue") for r in server.asked if r.path.endswith("configmaps") and r.query.get("limit")
        ]
        assert tokens[:4] == [None, "next", None, "next"]


def test_a_pod_reaches_its_own_cluster_by_its_service_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incluster, "FOLDER", tmp_path)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(DriverError, match="this is no pod"):
        incluster.access()
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "6443")
    with pytest.raises(DriverError, match=r"ca\.crt: No such file"):
        incluster.access()
    (tmp_path / "ca.crt").write_text("PEM")
    (tmp_path / "token").write_text("first\n")
    access = incluster.access()
    assert (access.server, access.ca, access.token()) == ("https://[fd00::1]:6443", b"PEM", "first")
    (tmp_path / "token").write_text("second\n")
    assert access.token() == "second"


def test_a_pod_sees_through_its_service_account(
    ca: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seen: Callable[..., Observation]
) -> None:
    (tmp_path / "token").write_text(json.dumps("t"))
    monkeypatch.setattr(incluster, "FOLDER", tmp_path)
    with serving(ca.pair("server"), NOTHING) as server:
        host, _, port = server.address.removeprefix("https://").partition(":")
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
        assert isinstance(seen(None), Absent)
