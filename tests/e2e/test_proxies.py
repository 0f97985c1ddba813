"""The examples for nginx and Caddy, with the real ones from Debian in front of the webhook."""

import asyncio
import contextlib
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import httpx2
import pytest
from e2e_programs import PATIENCE_S, free_port, until
from e2e_sites import FREE

from presencebridge.serving import Listener
from presencebridge.web.webhook import Webhook

EXAMPLES = Path(__file__).parents[2] / "packaging"
CADDYFILE = EXAMPLES / "caddy" / "Caddyfile"
CADDY = shutil.which("caddy")
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")


class Proxy(NamedTuple):
    """How an example is run, and what the proxy says to what is no notification."""

    name: str
    program: str | None
    command: Callable[[Path, int, int], list[str]]
    """Writes what it needs into a folder, to listen at the one port and to pass to the other."""
    of_a_get: int
    of_too_much: set[int]


def nginx(folder: Path, port: int, behind: int) -> list[str]:
    """With the example in a server block."""
    example = (EXAMPLES / "nginx" / "presencebridge.conf").read_text("utf-8")
    assert "127.0.0.1:8765" in example
    (folder / "snippet.conf").write_text(example.replace("127.0.0.1:8765", f"127.0.0.1:{behind}"))
    (folder / "nginx.conf").write_text(
        f"""
        daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
        events {{}}
        http {{
            access_log off;
            client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
            fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
            server {{ listen 127.0.0.1:{port}; include {folder}/snippet.conf; }}
        }}
        """
    )
    return ["-c", str(folder / "nginx.conf"), "-p", str(folder)]


def caddy(folder: Path, port: int, behind: int) -> list[str]:
    """With the example, without https, which wants a public name."""
    text = CADDYFILE.read_text("utf-8")
    for shown, ours in (
        ("pbx.example.com {", f"http://127.0.0.1:{port} {{\n\tbind 127.0.0.1"),
        (":8765", f":{behind}"),
    ):
        assert shown in text
        text = text.replace(shown, ours)
    (folder / "Caddyfile").write_text("{\n\tadmin off\n}\n" + text)
    return ["run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


PROXIES = (
    Proxy("nginx", NGINX, nginx, 403, {413}),
    # Caddy cuts a body that is too long while it passes it on, which 2.6 calls a bad gateway.
    Proxy("caddy", CADDY, caddy, 404, {413, 502}),
)


def installed(name: str, program: str | None) -> str:
    if program is None and not os.environ.get("CI"):
        pytest.skip(f"{name} is not installed")
    assert program is not None, f"CI has to install {name}"
    return program


def home(folder: Path) -> dict[str, str]:
    """An environment in which a program keeps what it has to itself."""
    places = ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")
    return {"PATH": os.environ["PATH"], **dict.fromkeys(places, str(folder))}


@contextlib.contextmanager
def running(proxy: Proxy, folder: Path) -> Iterator[tuple[int, int]]:
    """The proxy's port, and the one that it passes to."""
    program = installed(proxy.name, proxy.program)
    port, behind = free_port(), free_port()
    command = [program, *proxy.command(folder, port, behind)]
    with subprocess.Popen(command, env=home(folder)) as process:
        try:
            listens = (proxy.of_a_get, 404)
            until("it listens", lambda: httpx2.get(f"http://127.0.0.1:{port}/").status_code in listens)
            yield port, behind
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


@pytest.mark.parametrize("proxy", PROXIES, ids=[proxy.name for proxy in PROXIES])
def test_notifications_come_through_and_nothing_else_does(proxy: Proxy, new_site, tmp_path: Path) -> None:
    with running(proxy, tmp_path) as (port, behind):
        site = new_site(hook_port=port)
        listen = re.compile(r'listen = "127.0.0.1:\d+"')
        text = site.config.read_text()
        site.config.write_text(listen.sub(f'listen = "127.0.0.1:{behind}"', text, count=1))
        site.start_service()
        site.client(1, "Busy/InAMeeting")
        site.until_status(1, "Away")
        site.client(1, FREE)
        site.until_status(1, "Available")
        believed = 'presencebridge_notifications_total{outcome="believed",'
        until("notifications were believed", lambda: believed in site.page("/metrics").text)

        url = f"http://127.0.0.1:{port}"
        assert httpx2.get(f"{url}/presence-hook").status_code == proxy.of_a_get
        assert httpx2.post(f"{url}/presence-hook/", content=b"{}").status_code == 404
        assert httpx2.post(f"{url}/api/people/101/pause", json={}).status_code == 404
        assert httpx2.get(f"{url}/metrics").status_code == 404
        too_much = httpx2.post(f"{url}/presence-hook", content=b"x" * 5_000_000)
        assert too_much.status_code in proxy.of_too_much


@pytest.mark.parametrize("proxy", PROXIES, ids=[proxy.name for proxy in PROXIES])
async def test_who_offers_another_protocol_takes_nobodys_notification_away(
    proxy: Proxy, tmp_path: Path
) -> None:
    """Its connection to us is everybody's: what a stranger sends must not begin the next request."""
    came: list[bytes] = []
    hook = Webhook("/presence-hook", lambda body: not came.append(bytes(body)), lambda: None)
    with running(proxy, tmp_path) as (port, behind):
        async with Listener(hook, port=behind):
            for number in range(12):
                hidden = b"\r\n" * 8000 + b"POST /presence-hook?validationToken=a HTTP/1.1\r\nX: "
                offer = b"Connection: Upgrade\r\nUpgrade: x"
                await asyncio.to_thread(posted, port, hidden, offer)
                notification = b'{"value":[{"number":%d}]}' % number
                answer = await asyncio.to_thread(posted, port, notification, b"Accept: */*")
                assert (b" 202 " in answer) <= (notification in came), f"answered {answer!r}, and never came"


def posted(port: int, body: bytes, header: bytes) -> bytes:
    """The first line of the answer; the body comes in two pieces, as from far away."""
    head = b"POST /presence-hook HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Length: %d\r\n%b\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as stream, stream.makefile("rb") as answer:
        stream.sendall(head % (port, len(body), header) + body[:5000])
        stream.sendall(body[5000:])
        return answer.readline()


def test_caddys_file_is_its_as_it_stands(tmp_path: Path) -> None:
    program = installed("caddy", CADDY)
    validate = [program, "validate", "--config", str(CADDYFILE), "--adapter", "caddyfile"]
    assert subprocess.run(validate, env=home(tmp_path), check=False, capture_output=True).returncode == 0
