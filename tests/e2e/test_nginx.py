"""The example for nginx, with the real nginx from Debian in front of the webhook."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from conftest import FREE, PATIENCE_S, free_port, until

EXAMPLE = Path(__file__).parents[2] / "packaging" / "nginx" / "presencebridge.conf"
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")

if NGINX is None and not os.environ.get("CI"):
    pytest.skip("nginx is not installed (apt-get install nginx-light)", allow_module_level=True)


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[tuple[int, int]]:
    """nginx with the example in a server block: its port, and the port that it passes to."""
    assert NGINX is not None, "CI has to install nginx"
    port, behind = free_port(), free_port()
    example = EXAMPLE.read_text("utf-8")
    assert "127.0.0.1:8765" in example
    (tmp_path / "snippet.conf").write_text(example.replace("127.0.0.1:8765", f"127.0.0.1:{behind}"))
    (tmp_path / "nginx.conf").write_text(
        f"""
        daemon off; master_process off; pid {tmp_path}/nginx.pid; error_log {tmp_path}/error.log;
        events {{}}
        http {{
            access_log off;
            client_body_temp_path {tmp_path}/body; proxy_temp_path {tmp_path}/proxy;
            fastcgi_temp_path {tmp_path}/f; uwsgi_temp_path {tmp_path}/u; scgi_temp_path {tmp_path}/s;
            server {{ listen 127.0.0.1:{port}; include {tmp_path}/snippet.conf; }}
        }}
        """
    )
    with subprocess.Popen([NGINX, "-c", str(tmp_path / "nginx.conf"), "-p", str(tmp_path)]) as process:
        try:
            until("nginx listens", lambda: httpx2.get(f"http://127.0.0.1:{port}/").status_code == 404)
            yield port, behind
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


def test_notifications_come_through_nginx_and_nothing_else_does(nginx, new_site) -> None:
    port, behind = nginx
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
    assert httpx2.get(f"{url}/presence-hook").status_code == 403
    assert httpx2.post(f"{url}/presence-hook/", content=b"{}").status_code == 404
    assert httpx2.post(f"{url}/api/people/101/pause", json={}).status_code == 404
    assert httpx2.get(f"{url}/metrics").status_code == 404
    assert httpx2.post(f"{url}/presence-hook", content=b"x" * 5_000_000).status_code == 413
