"""What every test needs."""

import asyncio
import os

import hypothesis
import pytest

# Otherwise pytest-asyncio asks for the thread's event loop before the first test, which makes one that
# nobody closes, and the warning about it hits whichever test is under way when it is collected.
asyncio.set_event_loop(None)

# The same examples in every run, so that no test fails by chance; HYPOTHESIS_RANDOM=1 looks for others.
hypothesis.settings.register_profile("same", derandomize=True)
hypothesis.settings.load_profile("default" if os.environ.get("HYPOTHESIS_RANDOM") else "same")


_LONGEST = (
    "test_the_life_of_the_package",
    "test_every_shell_block_is_run_as_it_stands_or_says_why_not",
    "test_what_was_installed_plays_the_demo",
    "test_no_secret_is_told_in_work_and_in_trouble",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest go first, one after another, so that no worker is left alone with one at the end."""
    items.sort(key=lambda item: _LONGEST.index(item.name) if item.name in _LONGEST else len(_LONGEST))
