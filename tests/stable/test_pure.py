"""The parts of the stable mode that need neither hosts nor Ansible's programs."""

from __future__ import annotations

import base64
import importlib.util
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.errors import DriverError
from orchestrator.model.address import Address, Mode
from orchestrator.model.outcome import Result
from orchestrator.model.values import Secret
from orchestrator.modes.stable import ready
from orchestrator.modes.stable.inventory import text_for
from orchestrator.modes.stable.playbooks import runs
from orchestrator.modes.stable.playbooks.handlers import ALL, journaled, pending_of, write_journal
from orchestrator.modes.stable.playbooks.runs import Failure, Ran, complaint_of, vars_text
from orchestrator.modes.stable.playbooks.verdicts import failed_outcome
from orchestrator.modes.stable.playbooks.worker import message_of
from orchestrator.modes.stable.scrubbing import scrubbed, scrubber_for
from orchestrator.modes.stable.site import remove_playbook, why_not_removable

ADDRESS = Address("here", "shop", Mode.STABLE, "db", "configuration", "h1")


def learns() -> Any:
    path = Path(runs.__file__).parent / "callback_plugins" / "orchestrator_learns.py"
    spec = importlib.util.spec_from_file_location("orchestrator_learns", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "secret", ['with "quotes"', "it's", "two\nlines of it", "äöü€€", "a&b=c d", "plain-old-secret"]
)
def test_a_secret_is_masked_in_every_form_in_which_it_is_printed(secret: str) -> None:
    scrub = scrubber_for({"a": [{"b": Secret(secret)}]}, lambda text: text)
    encoded = base64.b64encode(secret.encode()).decode()
    for text in (secret, json.dumps({"x": secret}), repr({"x": secret}), encoded):
        assert "(secret)" in scrub(text)
        assert secret not in scrub(text)


def test_a_short_secret_is_masked_only_where_it_stands_alone() -> None:
    scrub = scrubber_for({"a": Secret("ok")}, lambda text: text)
    assert scrub("ok: [book] pin=ok") == "(secret): [book] pin=(secret)"


def test_keys_are_scrubbed_too() -> None:
    assert scrubbed({"s3cr": ["s3cr", 1, None]}, lambda text: text.replace("s3cr", "*")) == {"*": ["*", 1, None]}


def test_variables_that_look_like_templates_are_data() -> None:
    class Loader(yaml.SafeLoader):
        pass

    Loader.add_constructor("!unsafe", lambda loader, node: ("unsafe", loader.construct_scalar(node)))
    text = vars_text({"a": "{{ x }}", "b": {"c d": [1, True, None, 'q"ö']}, "s": Secret("{% y %}")})
    assert yaml.load(text, Loader) == {
        "a": ("unsafe", "{{ x }}"),
        "b": {"c d": [1, True, None, 'q"ö']},
        "s": ("unsafe", "{% y %}"),
    }


def test_a_machines_variables_are_no_templates() -> None:
    with pytest.raises(DriverError, match="template"):
        text_for({"m": {"ansible_host": "{{ lookup('pipe', 'id') }}"}}, {})


def test_pending_handlers_come_from_the_host_or_else_from_the_journal(tmp_path: Path) -> None:
    assert pending_of(None, "h1", tmp_path) == []
    assert pending_of({"token": "t", "pending": ["A"]}, "h1", tmp_path) == ["A"]
    assert pending_of({"token": "t", "pending": None}, "h1", tmp_path) == [ALL]
    write_journal(tmp_path, "t", {"h1": ["B"]})
    assert pending_of({"token": "t", "pending": None}, "h1", tmp_path) == ["B"]
    assert pending_of({"token": "t", "pending": None}, "h2", tmp_path) == []
    (tmp_path / "handlers" / "t.json").write_text("{")
    assert journaled(tmp_path, "t") is None


def test_a_remove_playbook_lies_in_its_blueprint(tmp_path: Path) -> None:
    (tmp_path / "bp").mkdir()
    (tmp_path / "bp" / "gone.yaml").touch()
    (tmp_path / "outside.yaml").touch()
    assert remove_playbook(tmp_path, {}, {"label": "bp", "remove": "gone.yaml"}) is not None
    assert remove_playbook(tmp_path, {}, {"label": "bp", "remove": "../outside.yaml"}) is None
    why = why_not_removable(tmp_path, {})
    assert why({"label": "bp"}) == "it has no remove playbook"
    assert why({"label": "bp", "remove": "x.yaml"}) == "its remove playbook bp/x.yaml is no longer there"
    assert why({"label": "bp", "remove": "gone.yaml"}) == ""


def test_a_verdict_needs_the_hosts_own_plays() -> None:
    def verdict(ran: Ran) -> Any:
        return failed_outcome(ADDRESS, "h1", ran, "/blue", "bp")

    assert verdict(Ran(processed={"h1"}, ended=True)) is None
    assert "no play of the playbook ran" in verdict(Ran(processed={"h2"}, ended=True)).message
    elsewhere = {"play": "p", "path": "/blue/p.yaml:1", "anywhere": True}
    assert verdict(Ran(processed={"h1"}, ended=True, unmatched=[elsewhere])) is None
    nowhere = verdict(Ran(processed={"h1"}, ended=True, unmatched=[{**elsewhere, "anywhere": False}]))
    assert (nowhere.result, nowhere.where) == (Result.FAILED, "bp/p.yaml:1")
    assert verdict(Ran(complaint="x /blue/p.yaml:3")).message == "x bp/p.yaml:3"
    assert verdict(Ran(interrupted=True)).result == Result.INTERRUPTED
    broken = verdict(Ran(processed={"h1", "h2"}, failed={"h2"}, ended=True, stopped=frozenset({"h1", "h2"})))
    assert broken.message == "its play was broken off because of h2"
    local = Ran(failed={"localhost"}, ended=True, failures={"localhost": Failure("L", "/blue/p.yaml:2", "", "no")})
    assert (verdict(local).task, verdict(local).where) == ("L", "bp/p.yaml:2")
    failure = Failure("T", "/blue/p.yaml:7", "ansible.builtin.copy", "no")
    failed = verdict(Ran(processed={"h1"}, failed={"h1"}, ended=True, failures={"h1": failure}))
    assert (failed.task, failed.where, failed.message) == ("T", "bp/p.yaml:7", "ansible.builtin.copy: no")


def test_the_last_error_of_ansible_is_the_complaint() -> None:
    log = "[WARNING]: x\n[ERROR]: conflicting action\nOrigin: /a.yaml:3:5\n\n3 x\n"
    assert complaint_of(log) == "conflicting action\nOrigin: /a.yaml:3:5"
    assert complaint_of("PLAY [all]") == ""


def test_a_failed_command_says_its_exit_code_and_output() -> None:
    assert message_of({"msg": "non-zero return code", "rc": 3, "stderr": "bad", "stdout": ""}) == "exit code 3\nbad"
    trace = "Traceback:\n  File x\nbotocore.exceptions.ClientError: (Limit) no more\n\nAnsibleError: Failed to snap\n"
    assert message_of({"msg": "Failed to snap", "exception": trace}) == "Failed to snap: (Limit) no more"
    assert message_of({"msg": "Cannot: (Limit) no more", "exception": trace}) == "Cannot: (Limit) no more"
    assert message_of({"censored": "x", "changed": True}) == "its output is hidden by no_log"


class Server(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/ok" else 503)
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        pass


def test_ports_and_pages_are_tried_from_here() -> None:
    server = HTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = server.server_address[1]
    page = {"http": {"port": port, "path": "/ok", "status": 200, "tls": False}, "within": 1.0}
    assert ready.why_not_ready([{"tcp": port}, page], "127.0.0.1") == ""
    assert ready.why_not_ready([{"http": {"port": port, "path": "/"}}], "127.0.0.1") == f"http {port}/: answers 503"
    server.shutdown()
    server.server_close()
    assert ready.why_not_ready([{"tcp": port}, page], "127.0.0.1") == (
        f"tcp {port}: connection refused; http {port}/ok: connection refused"
    )
    told: list[str] = []
    unknown = ready.why_not_ready([{"tcp": 80}], "no-such-host.invalid")
    assert unknown.startswith("tcp 80: there is no address for the name no-such-host.invalid; ")
    why = ready.wait([{"tcp": port, "within": 1.2}], "127.0.0.1", lambda commands: [""], told.append)
    assert why == f"not ready within 1.2 s: tcp {port}: connection refused"
    assert told == [f"waiting: tcp {port}: connection refused"] * 2
