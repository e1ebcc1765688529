"""Rules for every black-box test: where root is needed it is there, and a failure shows the daemons' logs."""
import os

import pytest


def pytest_collection_modifyitems(config, items):
    if os.geteuid() == 0:
        return
    rooted = [item for item in items if item.get_closest_marker("root")]
    if rooted and os.environ.get("ZTUN_REQUIRE_ROOT") == "1":
        # In CI a skipped root test is a failure: a green run says that the network tests ran.
        raise pytest.UsageError(f"{len(rooted)} tests need root, and ZTUN_REQUIRE_ROOT=1 forbids to skip them")
    for item in rooted:
        item.add_marker(pytest.mark.skip(reason="needs root: network namespaces"))


@pytest.fixture
def nft(monkeypatch):
    """For tests that are about rules: what starts after this captures with them."""
    monkeypatch.setattr("support.capture.mode", "nft")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.when != "call" or not report.failed:
        return
    for value in getattr(item, "funcargs", {}).values():
        for daemon in getattr(value, "daemons", {}).values():
            report.sections.append((f"log of {daemon.name}", "\n".join(daemon.text().splitlines()[-25:])))
