"""The deployment that the system tests share, one for each worker; tests that break their platform start their own."""

from collections.abc import Iterator

import pytest

from tests.support.deployment import Deployment, a_deployment, add_visitor
from tests.support.visitors import CARD_NUMBER, LIN


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Return a running platform, as a process, that knows one person with face, card and PIN."""
    settings = {
        "face_stalled_after": "6s",
        "face_gallery_scope": "region",
        "face_failures_per_claim_max": "1000",
        "registry_heartbeat_interval": "10min",  # what ends a stream earlier is not what a terminal said on it
        "registry_overdue_after": "20min",
    }
    with a_deployment(tmp_path_factory.mktemp("shared"), **settings) as deployment:
        add_visitor(deployment, LIN, card_number=CARD_NUMBER)
        yield deployment
