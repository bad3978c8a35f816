"""For all tests: the fast ones first, those that need a lab last, those that take long only where asked for."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.machines import rootfs
from tests.machines.fleet import Fleet

ASKED_FOR = {"long": "run the tests marked `long` as well", "libvirt": "run the tests marked `libvirt` as well"}

settings.register_profile("no clock", deadline=None)  # what else the computer does is nobody's fault
settings.load_profile("no clock")


def pytest_addoption(parser: pytest.Parser) -> None:
    for name, meaning in ASKED_FOR.items():
        parser.addoption(f"--{name}", action="store_true", help=meaning)


def pytest_configure() -> None:
    """What tests start heeds Ctrl-C, also where they run in a shell's background, which has it ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A stable sort: within each kind the order stays."""
    unasked = [name for name in ASKED_FOR if not config.getoption(name)]
    left_out = [item for item in items if any(item.get_closest_marker(name) for name in unasked)]
    if left_out:
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)
    items.sort(key=lambda item: item.get_closest_marker("lab") is not None)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Real machines with systemd; the module's tests are in their network."""
    if why := rootfs.why_not():
        pytest.skip(why)
    with Fleet(tmp_path_factory.mktemp("fleet")) as made, made.entered():
        yield made
