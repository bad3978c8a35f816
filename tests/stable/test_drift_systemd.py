"""Drift on a real machine with systemd: what one play of many modules manages, changed by hand in many ways."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.model.outcome import Result

pytestmark = pytest.mark.lab

PLAY = Path(__file__).with_name("managed.yaml")
# what is done by hand -> the differences that are told
MUTATIONS = {
    "echo x >> /etc/app/app.conf": ["/etc/app/app.conf content"],
    "chmod 600 /etc/app/app.conf": ["/etc/app/app.conf mode"],
    "echo x > /etc/app/defaults/b": ["/etc/app/defaults/b content"],
    "echo x > /etc/app/in/zip": ["/etc/app/in/zip content"],
    "ln -sfn /etc/passwd /etc/app.conf": ["/etc/app.conf target"],
    "touch /etc/app/old": ["/etc/app/old"],
    "sed -i /peer/d /etc/hosts": ['/etc/hosts line "Peer"'],
    "echo 'X11Forwarding yes' >> /etc/ssh/sshd_config": ['/etc/ssh/sshd_config line "No root login"'],
    "sed -i 's/B=2/B=3/' /etc/profile": ['/etc/profile block "Profile"'],
    "sed -i s/1024/9/ /etc/app/app.ini": ["/etc/app/app.ini [limits] files"],
    "dpkg --purge unzip": ["package unzip"],
    "d=/etc/systemd/system/app.service.d; mkdir -p $d; printf '[Service]\\nNice=5\\n' > $d/x.conf": [
        "service app daemon-reload",
        "service app drop-ins",
        "service app unit",
    ],
    "systemctl daemon-reload": [],
    "systemctl stop app": ["service app active"],
    "systemctl disable app": ["service app enabled"],
    "usermod -s /bin/sh app": ["user app shell"],
    "gpasswd -d app adm": ["user app groups"],
    "sed -i /ops@example/d /root/.ssh/authorized_keys": ["authorized key ops@example of root"],
    "crontab -l | sed s/true/false/ | crontab -": ["cron nightly entry"],
    "sysctl -qw net.core.somaxconn=99": ["sysctl net.core.somaxconn value"],
    "umount /srv/scratch": ["mount /srv/scratch mounted"],
    "echo x >> /opt/app/file": ["git /opt/app changed"],
    "ln -sfn /usr/share/zoneinfo/UTC /etc/localtime": ["timezone"],
    "rm /etc/app/made": ["/etc/app/made"],
    # These are no differences: what a task does not set, and what it only shares with others.
    "echo '10.0.0.7 other' >> /etc/hosts; touch /etc/app/app.conf; systemctl restart app": [],
    # Nothing that a task says can tell this one.
    "echo x > /etc/app/date": [],
}
SPOILED = "/etc/app/app.conf"


@pytest.fixture(scope="module")
def app(fleet: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from tests.stable import conftest as tools

    machine = fleet.start("app")
    git = "git -c user.email=a@b -c user.name=a"
    machine.run(f"git init -q -b main /srv/origin; cd /srv/origin; echo 1 > file; git add .; {git} commit -qm x")
    estate = tools.on_machines(tmp_path_factory.mktemp("app"), fleet, "app")
    estate.write("play.yaml", PLAY.read_text())
    estate.write("templates/app.conf.j2", "port 1\n")
    estate.write("files/defaults/a", "a\n")
    estate.write("files/defaults/b", "b\n")
    with zipfile.ZipFile(estate.blueprint / "files" / "bundle.zip", "w") as packed:
        packed.writestr("in/zip", "z\n")
    yield estate
    estate.close()


def paths(tools: Any, driver: Any, unit: Any) -> list[str]:
    return sorted(one.path for one in tools.present(driver.observe([unit], []), unit).differences)


def test_every_change_by_hand_is_told_and_an_unchanged_host_tells_none(app: Any, fleet: Any, tools: Any) -> None:
    driver, unit, machine = app.driver(), app.unit("app"), fleet.machines["app"]
    outcome = tools.apply(driver, [unit])["app"]
    assert (outcome.result, outcome.message) == (Result.DONE, ""), outcome
    assert outcome.coverage is not None
    print(outcome.coverage)
    assert paths(tools, driver, unit) == []
    wrong = {}
    for script, told in MUTATIONS.items():
        before = set(paths(tools, driver, unit))
        machine.run(script)
        if (found := sorted(set(paths(tools, driver, unit)) - before)) != told:
            wrong[script] = found
    assert not wrong
    (again,) = tools.present(driver.observe([unit], []), unit).restarted
    assert (again.what, again.at > 0, again.itself) == ("service app", True, 0)
    machine.run("systemctl kill --signal=KILL app; sleep 0.3")
    (again,) = tools.present(driver.observe([unit], []), unit).restarted
    assert again.itself == 1, "that was systemd"
    machine.run("systemctl enable -q app; sleep 1; systemctl stop app")
    found = {one.path: one for one in tools.present(driver.observe([unit], []), unit).differences}
    since = found["service app active"].since
    assert since is not None
    assert since[0] == since[1], "systemd tells when"
