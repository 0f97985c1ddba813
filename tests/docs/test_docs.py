"""What the documents name is what the program has."""

import re
import tomllib
import typing
from pathlib import Path

import msgspec
import pytest

from presencebridge import config
from presencebridge.core.policy import PRESETS
from presencebridge.metrics import reference

ROOT = Path(__file__).parents[2]
CONFIG = (ROOT / "docs" / "config.md").read_text("utf-8")


def sections(kind: type[msgspec.Struct]) -> list[type[msgspec.Struct]]:
    """A section of the config, and all that are in it."""
    found = [kind]
    for field in msgspec.structs.fields(kind):
        for part in (field.type, *typing.get_args(field.type)):
            if isinstance(part, type) and issubclass(part, msgspec.Struct):
                found += sections(part)
    return found


SECTIONS = sections(config.Config)


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_every_word_of_the_config_is_documented(section: type[msgspec.Struct]) -> None:
    for field in msgspec.structs.fields(section):
        parts = (field.type, *typing.get_args(field.type))
        if not any(part in SECTIONS for part in parts):
            told = rf"`{field.name}`|`\[\w+\] {field.name}`|\.{field.name}\]"
            assert re.search(told, CONFIG), f"{section.__name__}.{field.name}: not in docs/config.md"


def test_every_word_of_a_nodes_file_is_documented() -> None:
    text = "".join((ROOT / "docs" / page).read_text("utf-8") for page in ("sites.md", "cluster.md"))
    for section in sections(config.NodeConfig):
        own = {field.name for field in msgspec.structs.fields(section)}
        for word in own - {name for known in SECTIONS for name in known.__struct_fields__}:
            assert re.search(rf"[`.\[]{word}[`.\]]|^{word} = ", text, re.MULTILINE), (
                f"{section.__name__}.{word}"
            )


def test_all_sections_are_found() -> None:
    assert {config.Teams, config.Webhook, config.PbxBridge, config.Person, config.Operator} <= set(SECTIONS)


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


def test_no_link_of_the_documents_is_broken() -> None:
    """As they are read where the repository is; test_site.py looks at the site's."""
    for document in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\((?!https?://)([^)#\s]+)", document.read_text("utf-8")):
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


OF_THE_LOCKS = ("--require-hashes", "--no-deps --no-build-isolation", "--no-deps --no-index")
INSTALL = ("Makefile", "README.md", ".ci/run", "packaging/container/Containerfile", "packaging/debian/build")


def test_nothing_is_installed_that_was_not_locked() -> None:
    for place in INSTALL:
        text = (ROOT / place).read_text("utf-8").replace("\\\n", "")
        for line in re.findall(r".*pip\b.* (?:install|download) .*", text):
            assert any(one in line for one in OF_THE_LOCKS), (place, line)
    for lock in ROOT.glob("requirements*.lock"):
        assert locked(lock.name), lock
