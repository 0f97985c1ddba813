"""The bridge's dialects, and the bridge behind HTTPS: our commands do the same with each of them."""

import pytest
from e2e_programs import Program, free_port, until
from e2e_sites import Site


@pytest.mark.parametrize(
    "words", [["--dialect", "adn77-2023"], ["--dialect", "adn77-2024"], ["--tls-dir", "tls"]]
)
def test_every_dialect_of_the_bridge_is_understood(new_site, words: list[str]) -> None:
    site: Site = new_site()
    port, control = free_port(), free_port()
    tls = "--tls-dir" in words
    words = [str(site.folder / word) if word == "tls" else word for word in words]
    bridge = Program(
        site.folder / "bridge.log",
        *("emulate", "3cx-web-api", "--port", str(port), "--control-port", str(control)),
        *("--world", str(site.worlds.pbx.world_file), *words),
    )
    bridge.start()
    try:
        until("the bridge listens", lambda: "its control port" in bridge.log)
        scheme, ca = ("https", '\nca_file = "tls/ca.pem"') if tls else ("http", "")
        old = f'url = "{site.worlds.pbx.url}"'
        site.config.write_text(
            site.config.read_text().replace(old, f'url = "{scheme}://127.0.0.1:{port}"{ca}')
        )
        assert site.command("pbx", "get", "101").stdout == "Available\n"
        assert site.command("pbx", "set", "101", "Custom 1").stdout == "101: Custom 1\n"
        assert site.command("pbx", "calls").stdout == "no calls\n"
        assert "extension 999" in site.command("pbx", "get", "999").stderr
    finally:
        bridge.close()
