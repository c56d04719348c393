"""One platform for the tests of a module, and an operator of each role on it."""

from collections.abc import AsyncIterator, Mapping

import pytest_asyncio

from device_registry.operators.roles import Role
from tests.support.operators import EnrolledOperator, an_operator
from tests.support.platform import RunningPlatform, a_platform

Operators = Mapping[Role, EnrolledOperator]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def running() -> AsyncIterator[RunningPlatform]:
    """Yield a platform that does not limit how often one operator asks."""
    async with a_platform(limits={"calls_per_second": 10_000.0, "calls_burst": 10_000}) as platform:
        yield platform


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def operators(running: RunningPlatform) -> Operators:
    """Return an operator of each role."""
    return {role: await an_operator(running, role, name=f"the-{role.lower()}") for role in Role}
