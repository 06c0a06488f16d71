"""The API and kubectl, for every test here that says no more of them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.kubectl.running import ENDS, Api, Kubectl, binaries, running_api


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with running_api(tmp_path) as running:
        yield running


@pytest.fixture(params=ENDS, ids=lambda version: f"kubectl-{version}")
def kubectl(api: Api, request: pytest.FixtureRequest) -> Kubectl:
    """The oldest and the newest that are pinned."""
    return api.kubectl(binaries()[request.param])
