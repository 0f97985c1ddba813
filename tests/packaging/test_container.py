"""The wheel and the container file: there is no engine here, so every command of it is run outside of one."""

import json
import os
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from machine_kit import PROJECT, make_root, skip_unless_possible

import presencebridge

pytestmark = pytest.mark.timeout(900)

FILE = PROJECT / "packaging" / "container" / "Containerfile"
WORDS = {
    "FROM",
    "WORKDIR",
    "COPY",
    "RUN",
    "USER",
    "ENV",
    "VOLUME",
    "EXPOSE",
    "HEALTHCHECK",
    "ENTRYPOINT",
    "CMD",
}


def stages() -> list[list[tuple[str, str]]]:
    """The instructions of each stage."""
    found: list[list[tuple[str, str]]] = []
    for line in FILE.read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            word, _, rest = line.partition(" ")
            assert word in WORDS
            if word == "FROM":
                found.append([])
            found[-1].append((word, rest))
    return found


BUILD, FINAL = stages()


def all_of(stage: list[tuple[str, str]], word: str) -> list[str]:
    return [rest for found, rest in stage if found == word]


def test_what_it_copies_is_there() -> None:
    for rest in all_of(BUILD, "COPY"):
        *sources, _ = rest.split()
        for source in sources:
            assert (PROJECT / source).exists(), source
    assert all_of(FINAL, "COPY") == ["--from=build /opt/presencebridge /opt/presencebridge"]


def test_it_runs_as_nobody_special_on_the_image_it_was_built_on() -> None:
    assert all_of(BUILD, "FROM")[0].removesuffix(" AS build") == all_of(FINAL, "FROM")[0]
    (user,) = all_of(FINAL, "USER")
    assert user == "10001:10001"
    assert FINAL.index(("USER", user)) > max(FINAL.index(("RUN", run)) for run in all_of(FINAL, "RUN"))


def test_what_it_starts_and_asks_are_commands_of_ours() -> None:
    (entry,), (started,), (health,) = (all_of(FINAL, word) for word in ("ENTRYPOINT", "CMD", "HEALTHCHECK"))
    assert json.loads(entry) == ["presencebridge"]
    for words in (["presencebridge", *json.loads(started)], json.loads(health.partition("CMD ")[2])):
        program = str(Path(sys.executable).with_name(words[0]))
        done = subprocess.run([program, *words[1:]], capture_output=True, text=True, check=False)
        assert "the file is not there" in done.stderr  # the words were understood, up to the config


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first stage's commands, run in its order; /opt and the working folder are folders of the test."""
    place = tmp_path_factory.mktemp("container")
    home = place / "opt" / "presencebridge"
    work = place / "build"
    work.mkdir()
    # The image's own Python is that of these tests, which has the locked build tools already.
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for word, rest in BUILD:
        if word == "COPY":
            *sources, target = rest.split()
            paths = [PROJECT / source for source in sources]
            subprocess.run(["cp", "-r", *paths, work / target], check=True)
        elif word == "RUN":
            command = [
                part.replace("/opt/presencebridge", str(home))
                for part in shlex.split(rest)
                if part != "--no-cache-dir"
            ]
            done = subprocess.run(
                command, cwd=work, env=environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, (rest, done.stdout, done.stderr)
    return home


def test_what_was_installed_plays_the_demo(installed: Path) -> None:
    program = installed / "bin" / "presencebridge"
    done = subprocess.run(
        [program, "demo", "--for", "5", "--speed", "3"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ended as they should" in done.stdout


def test_the_second_stages_commands_make_the_account_and_its_folder() -> None:
    skip_unless_possible()
    commands = [*all_of(FINAL, "RUN"), "stat --format='%u:%g %a' /var/lib/presencebridge"]
    nspawn = ["systemd-nspawn", "--quiet", "--directory", str(make_root()), "--volatile=overlay"]
    nspawn += ["--register=no", "--keep-unit", "--private-network", "--machine", f"container-{os.getpid()}"]
    done = subprocess.run(
        [*nspawn, "sh", "-e", "-c", "\n".join(commands)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "10001:10001 700"


def test_the_wheel_holds_all_that_is_no_python() -> None:
    subprocess.run(["make", "wheel"], cwd=PROJECT, check=True, capture_output=True)
    wheel = PROJECT / "dist" / f"presencebridge-{presencebridge.__version__}-py3-none-any.whl"
    inside = set(zipfile.ZipFile(wheel).namelist())
    source = PROJECT / "src"
    files = [file for file in (source / "presencebridge").rglob("*") if file.is_file()]
    wanted = {str(file.relative_to(source)) for file in files if "__pycache__" not in file.parts}
    assert any(name.endswith(".html") for name in wanted)
    assert wanted <= inside
