"""The scene of those guide files that need no other: tests/conftest.py has one process run them."""

from collections.abc import Iterator

import pytest

from tests.e2e.guide import Guide, open_guide
from tests.fixtures.local.lab import eventually

GRACES = {"OUTRIG_DISCONNECT_GRACE": "2s", "OUTRIG_ABSENCE_GRACE": "6s"}


@pytest.fixture(scope="session")
def guide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guide]:
    """Services `ratings` and `productpage` of one task each, which serve. Whoever changes something puts it back."""
    with open_guide(tmp_path_factory.mktemp("guide"), GRACES) as found:
        found.kubectl("create", "namespace", "istio-system")
        for service in ("ratings", "productpage"):
            found.deploy(service)
        for service in ("ratings", "productpage"):
            found.wait_serving(service)
        eventually(found.call)
        yield found
