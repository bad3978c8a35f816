"""What holds for every machine that is configured: tried on the lab's, and on one with systemd in an inventory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.lab.home import Home
from orchestrator.lab.whole import down
from tests.machines import estates
from tests.machines.estates import Place

pytestmark = pytest.mark.lab

PLAY = Path(__file__).with_name("managed.yaml")
UNIT = "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n"
FILES = {"play.yaml": PLAY.read_text(), "templates/app.conf.j2": "port {{ port }}\n", "files/app.service": UNIT}
LOGIN = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHkePbyuNj6It3MwdY5xW787gZEe7KLA05WqPYAzq928 ops@example"
GIT = "git -c user.email=a@b -c user.name=a -c safe.directory=*"
BEFORE = f"""
echo rate 5 > /etc/app.rate
mkdir -p /srv/origin; cd /srv/origin; {GIT} init -q -b main .; echo 1 > file; {GIT} add .; {GIT} commit -qm first
"""
# what is done by hand -> what is told of it: what differs, as it was left, as it is (None: whatever that is)
EVERYWHERE = {
    "echo port 2 > /etc/app.conf": ("/etc/app.conf content", None, None),
    "chmod 600 /etc/app.conf": ("/etc/app.conf mode", "0644", "0600"),
    "echo > /etc/app.lines": ('/etc/app.lines line "Peer"', None, None),
    "sed -i s/A=1/A=2/ /etc/app.profile": ('/etc/app.profile block "Profile"', None, None),
    "usermod -s /bin/sh app": ("user app shell", "/bin/bash", "/bin/sh"),
    "sed -i /ops@example/d /root/.ssh/authorized_keys": ("authorized key ops@example of root", "there", "absent"),
    "echo x >> /srv/app/file": ("git /srv/app changed", "", "file"),
}
SYSTEM = {
    "sed -i 's/true$/false/' /etc/cron.d/app": ("cron nightly entry", None, None),
    "groupmod -n others app": ("group app", "there", "absent"),
    "dpkg --purge logrotate": ("package logrotate", "installed", "absent"),
    "systemctl stop app": ("service app active", "active", "inactive"),
    "systemctl disable app": ("service app enabled", "enabled", "disabled"),
    "sysctl -qw net.core.somaxconn=99": ("sysctl net.core.somaxconn value", "1234", "99"),
    "umount /srv/scratch": ("mount /srv/scratch mounted", "tmpfs", "no"),
}


@pytest.fixture(scope="module", params=["lab", "static"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    root = tmp_path_factory.mktemp("contract")
    home = root / "lab"
    estate = estates.of_cli(root / "estate", ORCHESTRATOR_LAB_HOME=str(home))
    estates.write_placement(estate)
    if request.param == "lab":
        estates.write_site(estate, {"provider": "lab"})
        yield Place(estate, system=False)
        down(Home(home))
        return
    fleet = request.getfixturevalue("fleet")
    machine = fleet.start("app-0")
    estates.write_static_site(estate, ["app"])
    estates.write_hosts(estate, {"app": {"app-0": machine.vars}})
    yield Place(estate, system=True, machine=machine)


def configured(place: Place, **values: Any) -> None:
    """Declare what the machine has inside."""
    variables = {"system": place.system, "login": LOGIN, "port": 1, **values}
    configure = {"playbook": "play.yaml", "vars": variables}
    estates.write_blueprint(place.estate, {"app": {"machines": {"count": 1}, "configure": configure}}, FILES)


@pytest.fixture
def applied(place: Place) -> Place:
    """A machine as it is declared."""
    configured(place)
    place.estate.apply()
    return place


def test_it_is_configured_from_nothing_and_a_second_apply_does_nothing(place: Place) -> None:
    estates.write_blueprint(place.estate, {"app": {"machines": {"count": 1}}}, {})
    if not place.system:
        place.estate.apply()  # the machine alone
    place.run(BEFORE)
    configured(place)
    first = place.estate.apply()
    assert "1 changed" in first.out, first
    again = place.estate.apply()
    assert "No changes" in again.out
    assert "no Ansible" in again.out
    assert place.run("cat /etc/app.conf /etc/app.lines") == "port 1\npeer 10.0.0.9\n"
    configured(place, port=3)
    assert "changed: vars.port 1 → 3" in place.estate("plan").ended(0).out


def test_what_is_changed_by_hand_is_told_as_it_was_left_and_as_it_is_and_healed(applied: Place) -> None:
    mutations = {**EVERYWHERE, **(SYSTEM if applied.system else {})}
    applied.run("\n".join(mutations))
    (change,) = applied.estate("drift", "-o", "json").ended(0).data["changes"]
    told = {one["path"]: one for one in change["differences"]}
    assert set(told) == {path for path, _, _ in mutations.values()} | ({"user app group"} if applied.system else set())
    for path, left, found in mutations.values():
        assert left is None or (told[path]["new"], told[path]["old"]) == (left, found)
    first, last = told["/etc/app.conf mode"]["since"]
    assert first == last, "the host itself tells when"
    applied.estate.apply()
    assert "Nothing drifted" in applied.estate("drift").ended(0).out
    assert applied.run("cat /etc/app.conf; git -C /srv/app status --porcelain") == "port 1\n"


def test_what_only_check_mode_can_see_is_told_by_a_deep_look(applied: Place) -> None:
    applied.run(f"echo rate 9 > /etc/app.rate; {'systemctl restart app' if applied.system else ''}")
    line = next(i for i, text in enumerate(FILES["play.yaml"].splitlines(), 1) if "name: Rate" in text)
    told = f"check mode: Rate (app/play.yaml:{line})"
    looked = applied.estate("drift", "--deep", "--detailed-exitcode").ended(2)
    assert told in looked.out
    (change,) = applied.estate("drift", "--deep", "-o", "json").ended(0).data["changes"]
    assert [one["path"] for one in change["differences"]] == [told]
    assert f"To mend it: orchestrator apply --again {change['address']}" in looked.err
    assert applied.run("cat /etc/app.rate") == "rate 9\n", "nothing is changed"
    told = applied.estate("drift").ended(0).out
    assert "Nothing drifted" in told, "the probe does not know of it"
    assert ("service app was started again at 20" in told) == applied.system
    applied.estate.apply("--again", change["address"])
    assert applied.run("cat /etc/app.rate") == "rate 5\n", "the playbook runs although all is as declared"
    assert "Nothing drifted" in applied.estate("drift", "--deep").ended(0).out
