"""The example for Caddy, with the real Caddy from Debian in front of the webhook."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from conftest import FREE, PATIENCE_S, free_port, until

EXAMPLE = Path(__file__).parents[2] / "packaging" / "caddy" / "Caddyfile"
CADDY = shutil.which("caddy")

if CADDY is None and not os.environ.get("CI"):
    pytest.skip("Caddy is not installed (apt-get install caddy)", allow_module_level=True)


@pytest.fixture
def caddy(tmp_path: Path) -> Iterator[tuple[int, int]]:
    """Caddy with the example, without https, which wants a public name: its port, and the one behind."""
    assert CADDY is not None, "CI has to install caddy"
    port, behind = free_port(), free_port()
    text = EXAMPLE.read_text("utf-8")
    for shown, ours in (
        ("pbx.example.com {", f"http://127.0.0.1:{port} {{\n\tbind 127.0.0.1"),
        (":8765", f":{behind}"),
    ):
        assert shown in text
        text = text.replace(shown, ours)
    file = tmp_path / "Caddyfile"
    file.write_text("{\n\tadmin off\n}\n" + text)
    home = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "XDG_DATA_HOME": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path),
    }
    with subprocess.Popen([CADDY, "run", "--config", file, "--adapter", "caddyfile"], env=home) as process:
        try:
            until("Caddy listens", lambda: httpx2.get(f"http://127.0.0.1:{port}/").status_code == 404)
            yield port, behind
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


def test_notifications_come_through_caddy_and_nothing_else_does(caddy, new_site) -> None:
    port, behind = caddy
    site = new_site(hook_port=port)
    text = site.config.read_text()
    site.config.write_text(
        re.sub(r'listen = "127.0.0.1:\d+"', f'listen = "127.0.0.1:{behind}"', text, count=1)
    )
    site.start_service()
    site.client(1, "Busy/InAMeeting")
    site.until_status(1, "Away")
    site.client(1, FREE)
    site.until_status(1, "Available")
    until(
        "notifications were believed",
        lambda: 'presencebridge_notifications_total{outcome="believed",' in site.page("/metrics").text,
    )

    url = f"http://127.0.0.1:{port}"
    assert httpx2.get(f"{url}/presence-hook").status_code == 404
    assert httpx2.post(f"{url}/presence-hook/", content=b"{}").status_code == 404
    assert httpx2.post(f"{url}/api/people/101/pause", json={}).status_code == 404
    assert httpx2.get(f"{url}/metrics").status_code == 404
    # Caddy cuts a body that is too long while it passes it on, which 2.6 calls a bad gateway
    assert httpx2.post(f"{url}/presence-hook", content=b"x" * 5_000_000).status_code in {413, 502}


def test_the_file_is_caddys_as_it_stands(tmp_path: Path) -> None:
    assert CADDY is not None, "CI has to install caddy"
    home = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    validate = [CADDY, "validate", "--config", EXAMPLE, "--adapter", "caddyfile"]
    assert subprocess.run(validate, env=home, check=False, capture_output=True).returncode == 0
