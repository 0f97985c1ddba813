import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

sys.path.insert(0, str(Path(__file__).parent))

from nats_kit import NatsServers, nats_servers


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServers]:
    """Three for all tests that leave them alive; each test takes a prefix of its own."""
    with nats_servers(tmp_path_factory.mktemp("nats") / "data") as three:
        asyncio.run(three.ready())
        yield three


@pytest.fixture(autouse=True)
def _quiet_log() -> Iterator[None]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    yield
    structlog.reset_defaults()
