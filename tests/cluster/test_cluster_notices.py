"""What strangers send is not kept: only items that show a client state of one of the cluster's nodes."""

import collections
import json
import random
from pathlib import Path

import pytest

from presencebridge.cluster.client_states import SignedStates, worth_keeping
from presencebridge.cluster.files import Seal, new_key
from presencebridge.cluster.notices import Intake
from presencebridge.cluster.simulated_engine import SimulatedEngine, World
from presencebridge.web.door import mark_of


def seal(folder: Path, *keys: str) -> Seal:
    file = folder / "key"
    file.write_text("\n".join(keys))
    return Seal(file)


def states(folder: Path, site: str = "berlin", *keys: str) -> SignedStates:
    return SignedStates(seal(folder, *(keys or (new_key(),))), mark_of(site))


def body(*client_states: object, **more: object) -> bytes:
    value = [{"subscriptionId": "s", "clientState": state, **more} for state in client_states]
    return json.dumps({"value": value, "validationTokens": ["t"]}).encode()


def test_a_node_knows_what_another_one_made_also_while_the_key_is_replaced(tmp_path: Path) -> None:
    old, new = new_key(), new_key()
    made = states(tmp_path, "berlin", old).new()
    assert made.startswith("berlin~")
    assert len(made) == len("berlin~") + 64 <= 128
    assert states(tmp_path, "berlin", new, old).are_made_here(made)
    assert not states(tmp_path, "berlin", new).are_made_here(made)
    assert not states(tmp_path, "hamburg", old).are_made_here(made)
    assert made != states(tmp_path, "berlin", old).new()


def test_what_was_altered_or_moved_to_another_site_is_not_ours(tmp_path: Path) -> None:
    ours = states(tmp_path)
    made = ours.new()
    for at in range(len(made)):
        assert not ours.are_made_here(made[:at] + ("A" if made[at] != "A" else "B") + made[at + 1 :])
    for wrong in ("", "berlin~", made[:-1], made + "A", made.replace("berlin", "hamburg"), "ü" * 80):
        assert not ours.are_made_here(wrong)


def test_ours_goes_on_as_it_came_and_of_a_mixture_only_ours(tmp_path: Path) -> None:
    ours = states(tmp_path)
    one, other = ours.new(), ours.new()
    assert worth_keeping(body(one, other), ours) == ([body(one, other)], 0)
    (kept,), refused = worth_keeping(body(one, "guessed", None, other), ours)
    assert refused == 2
    assert json.loads(kept) == json.loads(body(one, other))


def test_what_is_nobodys_is_let_fall(tmp_path: Path) -> None:
    ours = states(tmp_path)
    deep = b'{"value":' + b"[" * 5000 + b"]" * 5000 + b"}"
    for foreign in (
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b'{"value":[]}',
        b'{"value":[1]}',
        deep,
        body("guessed"),
        body(7),
    ):
        assert worth_keeping(foreign, ours) == ([], 1)


def test_a_full_batch_goes_in_parts_that_the_engine_takes(tmp_path: Path) -> None:
    ours = states(tmp_path)
    whole = body(*(ours.new() for _ in range(650)), encryptedContent="x" * 3000)
    parts, refused = worth_keeping(whole, ours)
    assert refused == 0
    assert len(whole) > 1_900_000
    assert max(map(len, parts)) < 600_000
    values = [item for part in parts for item in json.loads(part)["value"]]
    assert values == json.loads(whole)["value"]
    assert all(json.loads(part)["validationTokens"] == ["t"] for part in parts)


@pytest.mark.looptime
async def test_strangers_fill_nothing_and_are_told_nothing(tmp_path: Path) -> None:
    world = World(random.Random(1))
    ours = seal(tmp_path, new_key())
    refused: collections.Counter[str] = collections.Counter()

    def on_refused(site: str, why: str, count: int) -> None:
        refused[f"{site} {why}"] += count

    intake = Intake(SimulatedEngine(world, "a"), ours, on_refused)
    for number in range(50):
        assert await intake.take("berlin", body(f"berlin~guess {number}"))
    assert world.messages("berlin", 0, 100) == []
    valid = body(SignedStates(ours, mark_of("berlin")).new())
    assert await intake.take("berlin", valid)
    assert [one.body for one in world.messages("berlin", 0, 100)] == [valid]
    assert refused == {"berlin client_state": 50}
    world.is_down = True
    assert not await intake.take("berlin", body(SignedStates(ours, mark_of("berlin")).new()))
    assert refused["berlin engine"] == 1
