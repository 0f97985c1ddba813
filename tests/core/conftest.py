import os
from collections.abc import Iterator

import pytest
from hypothesis import settings
from playbook import open_playbooks

# HYPOTHESIS_RANDOM=1 looks for other examples than those that every run has.
chance = bool(os.environ.get("HYPOTHESIS_RANDOM"))
settings.register_profile("core", derandomize=not chance, deadline=None, database=None)
settings.load_profile("core")


@pytest.fixture(autouse=True)
def every_playbook_is_checked() -> Iterator[None]:
    open_playbooks.clear()
    yield
    assert not [book for book in open_playbooks if book.unchecked], "a playbook was fed and never checked"
