"""The phone system itself: who is found by which number."""

from typing import Any

from presencebridge.emulators.v20.pbx import Pbx
from presencebridge.emulators.world import Extension


class _Counting(dict[int, dict[str, Any]]):
    """Users, and how often all of them were looked through."""

    looks = 0

    def items(self) -> Any:
        self.looks += 1
        return super().items()


def test_users_come_go_and_change_their_numbers() -> None:
    pbx = Pbx([Extension("101"), Extension("102")], "bridge")
    first = pbx.user("101")
    assert first is not None
    pbx.change_user(first, {"Number": "201"})
    assert pbx.user("201") is first
    assert pbx.user("101") is None
    pbx.remove_user(first)
    assert pbx.user("201") is None
    assert pbx.add_user({"Number": "103"}) is pbx.user("103")


def test_a_party_from_outside_costs_no_look_through_all_users() -> None:
    pbx = Pbx([Extension(str(number)) for number in range(100, 200)], "bridge")
    pbx.users = users = _Counting(pbx.users)
    for number in range(50):
        assert pbx.user(f"+4930{number}") is None
        user = pbx.user("150")
        assert user is not None
        pbx.change_user(user, {"CurrentProfileName": "Away"})
    assert users.looks <= 1
