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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest goes first, so that no worker is left alone with it at the end."""
    items.sort(key=lambda item: item.path.name != "test_package.py")
