"""The API with its gate and an administrator, for every test here that makes none of its own."""

from collections.abc import AsyncIterator

import pytest

from tests.unit.access_making import Person, Scene, scene


@pytest.fixture
async def api() -> AsyncIterator[Scene]:
    async with scene() as found:
        yield found


@pytest.fixture
async def admin(api: Scene) -> AsyncIterator[Person]:
    async with api.of() as client:
        yield client
