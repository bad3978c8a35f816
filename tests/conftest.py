"""For all tests: the fast ones first, those that need a lab last, the long ones only where they are asked for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.machines import rootfs
from tests.machines.fleet import Fleet

settings.register_profile("no clock", deadline=None)  # what else the computer does is nobody's fault
settings.load_profile("no clock")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run the tests marked `long` as well")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A stable sort: within each kind the order stays."""
    if not config.getoption("long"):
        left_out = [item for item in items if item.get_closest_marker("long")]
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
