"""Every command and every config of the documents: run, or at least read by what would run it."""

import json
import re
import shlex
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest
from cyclopts import App, CycloptsError
from doc_blocks import PAGES, ROOT, Block, all_blocks, blocks, commands
from sandbox import Sandbox

from presencebridge import config
from presencebridge.cli.main import app
from presencebridge.config.reading import load_node

RUN_ELSEWHERE = {
    "docs/emulator-graph.md": "tests/emulators/test_graph_docs.py",
    "docs/emulator-3cx-v20.md": "tests/emulators/test_v20_docs.py",
    "docs/emulator-3cx-web-api.md": "tests/emulators/test_webapi_docs.py",
}
"""Pages with a world of their own, and the test that runs their blocks."""

TUTORIAL = ROOT / "docs" / "tutorial.md"


# Shell ------------------------------------------------------------------------------------------------


def is_run(block: Block) -> bool:
    return block.language == "sh" and not block.marked("not run") and name(block.page) not in RUN_ELSEWHERE


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.timeout(450)  # starts some forty programs: long on a machine that is busy with others
@pytest.mark.skipif(not shutil.which("curl"), reason="the examples are curl's")
def test_every_shell_block_is_run_as_it_stands_or_says_why_not(tmp_path):
    """All pages in one world: the tutorial sets it up and goes on for the others; who stops it comes last."""
    with_commands = [page for page in PAGES if any(map(is_run, blocks(page)))]
    with_commands.sort(
        key=lambda page: (page != TUTORIAL, any(block.mark == "stop" for block in blocks(page)))
    )
    assert with_commands[0] == TUTORIAL
    sandbox = Sandbox(tmp_path)
    try:
        sandbox.run("".join(map(sandbox.script, with_commands)))
    finally:
        sandbox.close()


@pytest.mark.parametrize("block", all_blocks("sh"), ids=lambda block: block.where)
def test_a_block_that_is_not_run_is_read_by_what_would_run_it(block):
    if block.mark.startswith("not run"):
        assert len(block.marked("not run")) > 8, "say why: <!-- not run: the reason -->"
    for line in commands(block.text):
        for command in re.findall(COMMAND, line):
            read_by_the_command_line(command)
        names_what_is_there(line)


COMMAND = r"(?:^|[;&|(]\s*|sudo(?: -u \w+)? )(?:\S*/)?presencebridge ([^|&;()<>]+)"


def read_by_the_command_line(text: str) -> None:
    words = shlex.split(re.sub(r"\$\([^)]*\)|\$\w+", "1", text))
    try:
        app.parse_args(words, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        pytest.fail(f"presencebridge {text}: {error}")


def names_what_is_there(line: str) -> None:
    for target in re.findall(r"(?:^|&& )make ((?:[a-z]+\s?)+)", line):
        for word in target.split():
            assert re.search(rf"^{word}:", (ROOT / "Makefile").read_text(), re.MULTILINE), line
    for path in re.findall(r"(?<![\w/.-])((?:packaging|benchmarks|docs|tests|\.ci)/[\w./-]+)", line):
        if not Path(path).stem.isupper():  # a name to be filled in
            assert (ROOT / path).exists(), line


def test_no_command_hides_in_a_block_without_a_language():
    for block in all_blocks("", "text"):
        assert not re.search(r"^\$? ?(presencebridge|make|curl|sudo) ", block.text, re.MULTILINE), block.where


def options(group: App, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], set[str]]:
    """The options of every command, by the words that lead to it."""
    collection = group.assemble_argument_collection() if group.default_command else ()
    found = {path: {"--help", "--version"} | {name for argument in collection for name in argument.names}}
    for word in set(group):
        if not word.startswith("-"):
            found |= options(group[word], (*path, word))
    return found


OPTIONS = options(app)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_command_in_the_text_exists_with_its_options(page):
    for text in re.findall(r"`presencebridge ([^`]+)`", page.read_text("utf-8")):
        words = text.split()
        known: tuple[str, ...] = ()
        while words and (*known, words[0]) in OPTIONS:
            known = (*known, words.pop(0))
        assert known or text.startswith("--") or text[0].isupper(), f"presencebridge {text}"
        for word in words:
            if word.startswith("--"):
                assert word.rstrip(".,") in OPTIONS[known], f"presencebridge {text}"


# Files ------------------------------------------------------------------------------------------------

WHOLE: dict[str, Any] = {
    "teams": {
        "tenant_id": "11111111-2222-3333-4444-555555555555",
        "client_id": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
        "client_secret_file": "secret",
    },
    "pbx": {
        "kind": "3cx-v20",
        "url": "https://pbx.example.com:5001",
        "client_id": "teamsync",
        "client_secret_file": "secret",
    },
    "person": [{"teams": "user1@example.org", "extension": "101"}],
}
"""What a section that a document shows is a part of."""


@pytest.mark.parametrize("block", all_blocks("toml"), ids=lambda block: block.where)
def test_every_config_passes_the_check(block, tmp_path):
    told = tomllib.loads(block.text)
    if block.mark.startswith("no config"):
        assert len(block.marked("no config")) > 8, "say what it is: <!-- no config: ... -->"
        return
    if block.marked("file") == "node.toml":
        placed(told, tmp_path / "node.toml")
        load_node(tmp_path / "node.toml")
        return
    whole = {**WHOLE, **told}
    for section in ("teams", "pbx"):
        if section in told and not {"tenant_id", "kind"} & set(told[section]):
            whole[section] = WHOLE[section] | told[section]
    if told.get("teams", {}).get("certificate_file"):
        whole["teams"].pop("client_secret_file", None)
    placed(whole, tmp_path / "site.toml")
    config.load(tmp_path / "site.toml")


def placed(tables: dict[str, Any], config_file: Path) -> None:
    """Write a config, and what it names beside it."""
    config_file.write_text(as_toml(tables))
    for number, file in enumerate(files(tables)):
        (config_file.parent / file).parent.mkdir(parents=True, exist_ok=True)
        (config_file.parent / file).write_text(f"long-enough-and-no-other-{number}")


def files(section: Any) -> list[str]:
    """What the config names as a file beside it."""
    if isinstance(section, list):
        return [file for one in section for file in files(one)]
    if not isinstance(section, dict):
        return []
    here = [value for word, value in section.items() if word.endswith("_file") and not value.startswith("/")]
    return here + [file for value in section.values() for file in files(value)]


def as_toml(tables: dict[str, Any], path: str = "") -> str:
    plain = {word: value for word, value in tables.items() if not is_table(value)}
    text = "".join(f"{json.dumps(word)} = {json.dumps(value)}\n" for word, value in plain.items())
    for word, value in tables.items():
        if isinstance(value, dict):
            text += f"[{path}{json.dumps(word)}]\n" + as_toml(value, f"{path}{json.dumps(word)}.")
        elif is_table(value):
            text += "".join(f"[[{path}{json.dumps(word)}]]\n" + as_toml(one) for one in value)
    return text


def is_table(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and bool(value) and isinstance(value[0], dict))


@pytest.mark.parametrize("block", all_blocks("json"), ids=lambda block: block.where)
def test_every_json_is_json(block):
    json.loads(block.text)


@pytest.mark.parametrize("block", all_blocks("python"), ids=lambda block: block.where)
def test_every_python_is_python(block):
    compile(block.text, block.where, "exec")
