"""Without [cluster] nothing of it is imported, started or needed; what is wrong with it is told."""

import subprocess
import sys
from pathlib import Path

import pytest

from presencebridge.cluster.files import new_key
from presencebridge.config.cluster_section import ClusterSection, problems_of
from presencebridge.config.reading import load_node
from presencebridge.errors import Misconfigured

_RUN = """
import asyncio, sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "nats" or name == "presencebridge.cluster":
            raise ImportError(f"{name} is not there")

sys.meta_path.insert(0, Blocked())
from pathlib import Path
from presencebridge.cli.main import app
from presencebridge.cli.service import _ownership
from presencebridge.node import Folder, Node
folder = Path(sys.argv[1])
assert _ownership(folder) is None
node = Node(Folder(folder), ownership=_ownership(folder))

async def briefly():
    stop = asyncio.Event()
    await node.run(stop, stop.set)

asyncio.run(briefly())
assert not [name for name in sys.modules if name.startswith(("nats", "presencebridge.cluster"))]
print("ran")
"""


def test_without_a_section_a_folder_of_sites_runs_and_nothing_of_it_is_imported(tmp_path: Path) -> None:
    (tmp_path / "node.toml").write_text('[operator]\nlisten = "127.0.0.1:0"\n[state]\ndir = "state"\n')
    ran = subprocess.run([sys.executable, "-c", _RUN, tmp_path], capture_output=True, text=True, check=False)
    assert ran.stdout == "ran\n", ran.stderr


def section(folder: Path, **words: object) -> ClusterSection:
    key = folder / "key"
    key.write_text(new_key())
    given = {"servers": ("nats://127.0.0.1:4222",), "cluster_key_file": key} | words
    return ClusterSection(**given)


def test_what_is_right_is_no_problem(tmp_path: Path) -> None:
    assert problems_of(section(tmp_path)) == []


@pytest.mark.parametrize(
    ("words", "where"),
    [
        ({"servers": ()}, "servers"),
        ({"servers": ("http://one",)}, "servers"),
        ({"servers": ("nats://me:secret@one:4222",)}, "servers"),
        ({"servers": ("nats://one:4222",), "ca_file": Path(__file__)}, "servers"),
        ({"lease_s": 0.5}, "lease_s"),
        ({"replicas": 2}, "replicas"),
        ({"prefix": "a.b"}, "prefix"),
        ({"cluster_key_file": Path("/nowhere")}, "cluster_key_file"),
        ({"credentials_file": Path("/nowhere")}, "credentials_file"),
    ],
)
def test_what_is_wrong_is_told_with_its_cure(tmp_path: Path, words: dict[str, object], where: str) -> None:
    (problem,) = problems_of(section(tmp_path, **words))
    assert problem.where == f"[cluster] {where}"
    assert problem.cure
    assert "me:secret" not in str(problem)


def test_the_file_is_read_and_every_problem_told_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "node.toml"
    file.write_text(
        '[cluster]\nservers = ["nats://one:4222"]\ncluster_key_file = "key"\nlease_s = 1\nnonsense = 1\n'
    )
    with pytest.raises(Misconfigured) as caught:
        load_node(file)
    assert {problem.where for problem in caught.value.problems} >= {"[cluster] nonsense"}
    file.write_text('[cluster]\nservers = ["nats://one:4222"]\ncluster_key_file = "key"\nlease_s = 1\n')
    with pytest.raises(Misconfigured) as caught:
        load_node(file)
    found = {problem.where: problem.line for problem in caught.value.problems}
    assert found == {"[cluster] cluster_key_file": 3, "[cluster] lease_s": 4}
