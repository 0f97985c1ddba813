"""TLS and credentials, with the server's config as docs/cluster.md has it."""

import asyncio
import contextlib
import logging
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from nats_kit import nats_servers
from secured import DOCS, Accounts, make_certificates, server_config

from presencebridge.cluster.engine import Engine, EngineError, Fence
from presencebridge.cluster.files import new_key
from presencebridge.cluster.nats_engine import NatsEngine, nats_engine
from presencebridge.cluster.opening import access_of
from presencebridge.config.cluster_section import ClusterSection, problems_of

pytestmark = pytest.mark.timeout(120)

_SENTENCE = re.findall(r"has to be allowed\n?(.*?)\. ", DOCS.read_text("utf-8"), re.DOTALL)[0]
ALLOWED = tuple(re.findall(r"`([^`]+)`", _SENTENCE))


@contextlib.asynccontextmanager
async def engine_of(section: ClusterSection) -> AsyncIterator[NatsEngine]:
    assert problems_of(section) == []
    async with nats_engine(access_of(section), "test") as engine:
        yield engine


async def test_a_node_reaches_nats_by_tls_with_its_credentials_and_nobody_else_does(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder, accounts = tmp_path / "nats", Accounts()
    make_certificates(folder)
    make_certificates(tmp_path / "others", ())
    (folder / "accounts.conf").write_text(accounts.server_config())
    (tmp_path / "node1.creds").write_text(accounts.credentials(ALLOWED))
    (tmp_path / "strange.creds").write_text(Accounts().credentials(ALLOWED))
    (tmp_path / "key").write_text(new_key())
    with nats_servers(folder, server_config) as servers:
        section = ClusterSection(
            servers=tuple(url.replace("nats://", "tls://") for url in servers.urls),
            cluster_key_file=tmp_path / "key",
            credentials_file=tmp_path / "node1.creds",
            ca_file=folder / "ca.pem",
        )
        async with asyncio.timeout(90), contextlib.AsyncExitStack() as stack:
            while True:
                with contextlib.suppress(EngineError):
                    engine = await stack.enter_async_context(engine_of(section))
                    break
            await _everything_works(engine)
            with caplog.at_level(logging.WARNING):
                lost = engine.connected_to
                servers.kill(servers.client_ports.index(int(lost.rpartition(":")[2])))
                while engine.connected_to in ("", lost):
                    await asyncio.sleep(0.05)
                logging.getLogger("asyncio").warning("something else")
            assert [one.message for one in caplog.records if one.name == "asyncio"] == ["something else"]

        async def is_refused(why: str, **wrong: Path | None) -> None:
            with pytest.raises(EngineError, match=f"(?i){why}"):
                async with engine_of(replace(section, **wrong)):
                    pass

        await asyncio.gather(
            is_refused("authorization", credentials_file=None),
            is_refused("authorization", credentials_file=tmp_path / "strange.creds"),
            is_refused("certificate", ca_file=tmp_path / "others" / "ca.pem"),
        )


async def _everything_works(engine: Engine) -> None:
    """All that a node asks of NATS, with no more rights than the docs name."""
    revision = await engine.put("site.x.owner", b"me", 0)
    await engine.write(Fence("site.x.owner", revision), {"site.x.person.1": b"a", "site.x.person.2": b"b"})
    assert len(await engine.under("site.x.", revision)) == 3
    heard = asyncio.Event()
    async with engine.listening("notices.x", lambda _number: heard.set()):
        await engine.publish("x", b"notification", "1")
        await engine.nudge("notices.x")
        await heard.wait()
    while not await engine.messages("x", 0, 10):
        await asyncio.sleep(0.05)
