"""What the documents name is what the program has."""

import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from presencebridge import config
from presencebridge.cli.main import app
from presencebridge.core.policy import PRESETS
from presencebridge.emulators.world import load_world
from presencebridge.metrics import reference

ROOT = Path(__file__).parents[2]
CONFIG = (ROOT / "docs" / "config.md").read_text("utf-8")
README = (ROOT / "README.md").read_text("utf-8")


@pytest.mark.parametrize(
    "section",
    [
        config.Teams,
        config.Webhook,
        config.Pbx,
        config.PbxBridge,
        config.People,
        config.Person,
        config.PolicySection,
    ],
)
def test_every_word_of_the_config_is_documented(section: type[msgspec.Struct]) -> None:
    for field in msgspec.structs.fields(section):
        if not isinstance(field.type, type) or not issubclass(field.type, msgspec.Struct):
            word = field.name
            assert f"`{word}`" in CONFIG or f".{word}]" in CONFIG, word


def test_every_default_in_the_document_is_the_real_one() -> None:
    sections = {
        "## [teams]": config.Teams,
        "## [teams.webhook]": config.Webhook,
        "## [pbx]": config.Pbx,
        "## [pbx.bridge]": config.PbxBridge,
        "## [policy]": config.PolicySection,
    }
    for title, section in sections.items():
        text = CONFIG.partition(f"{title}\n")[2].partition("\n## ")[0]
        fields = {field.name: field for field in msgspec.structs.fields(section)}
        for word, default in re.findall(r"^\| `(\w+)` \| `?([^|`]+)`? \|", text, re.MULTILINE):
            shown = default.strip()
            if word not in PRESETS and shown and not shown.startswith("by "):
                told = msgspec.convert(tomllib.loads(f"x = {shown}")["x"], fields[word].type)
                assert told == fields[word].default, word


def test_every_metric_is_documented() -> None:
    """The table is what `python -m presencebridge.metrics` prints."""
    text = (ROOT / "docs" / "metrics.md").read_text("utf-8")
    assert f"\n{reference()}\n" in text


def blocks(text: str) -> list[str]:
    return re.findall(r"```toml\n(.*?)```", text, re.DOTALL)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    for file in ("app.pem", "pbx-key", "bridge-key"):
        (tmp_path / file).write_text("not read by the check")
    return tmp_path / "site.toml"


def test_the_config_of_the_readme_passes_the_check(site: Path) -> None:
    whole, webhook = blocks(README)
    site.write_text(whole)
    assert config.load(site).policy.manual_wins is True
    section = webhook[webhook.index("[teams.webhook]") :]
    site.write_text(whole.replace('delivery = "poll"', 'delivery = "webhook"') + section)
    assert config.load(site).teams.webhook is not None


def test_the_configs_of_the_page_about_v20_pass_the_check(site: Path) -> None:
    whole = blocks(README)[0]
    begin, end = whole.index("[pbx]"), whole.index("[[person]]")
    plain, bridge, people = blocks((ROOT / "docs" / "3cx-v20.md").read_text("utf-8"))
    for pbx in (plain, bridge):
        site.write_text(whole[:begin] + pbx + whole[end:])
        assert config.load(site).pbx.kind == "3cx-v20"
    assert config.load(site).pbx.status_via == ("xapi", "bridge")
    site.write_text(whole + people)
    assert config.load(site).people.match == "email"


def test_the_world_and_the_configs_to_try_things_go_together(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "try.md").read_text("utf-8")
    (world,) = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    site, other = blocks(text)
    (tmp_path / "world.json").write_text(world)
    (tmp_path / "client-secret").write_text("no-secret")
    (tmp_path / "tls").mkdir()
    (tmp_path / "tls" / "ca.pem").write_text("made by the emulator")
    told = load_world(tmp_path / "world.json")
    for whole, kind in ((site, "3cx-v20"), (other + site[site.index("[[person]]") :], "3cx-web-api")):
        (tmp_path / "site.toml").write_text(whole)
        loaded = config.load(tmp_path / "site.toml")
        assert loaded.pbx.kind == kind
        assert (told.tenant_id, told.client_id) == (loaded.teams.tenant_id, loaded.teams.client_id)
        assert {user.user_principal_name for user in told.users} == {one.teams for one in loaded.person}
        assert {one.number for one in told.extensions} == {one.extension for one in loaded.person}


def test_every_command_of_the_readme_exists() -> None:
    commands = set(re.findall(r"presencebridge (?!is|run`)([a-z]+(?: [a-z-]+)?)", README))
    known = set(app)
    for command in commands:
        assert command.split()[0] in known, command


def test_no_link_of_the_documents_is_broken() -> None:
    for document in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!https?://)([^)#]+)", document.read_text("utf-8")):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_what_is_tested_is_what_is_installed() -> None:
    assert locked("requirements.lock").items() <= locked("requirements-dev.lock").items()
    assert locked("requirements-build.lock").items() <= locked("requirements-dev.lock").items()


def locked(lock: str) -> dict[str, str]:
    """Each package of a lock with its version and its hashes, without which pip takes nothing."""
    text = (ROOT / lock).read_text("utf-8").replace("\\\n", "")
    found = {}
    for line in filter(lambda line: line and not line.startswith("#"), text.splitlines()):
        match = re.fullmatch(r"([a-z0-9_.-]+)==([0-9A-Za-z.]+(?:\s+--hash=sha256:[0-9a-f]{64})+)", line)
        assert match, line[:80]
        found[match[1]] = match[2]
    return found


def test_nothing_is_installed_that_was_not_locked() -> None:
    for place in ("Makefile", "README.md", ".ci/run"):
        text = (ROOT / place).read_text("utf-8").replace("\\\n", "")
        for line in re.findall(r".*pip install.*", text):
            assert "--require-hashes" in line or "--no-deps --no-build-isolation" in line, (place, line)
    assert locked("requirements-tools.lock")
