from collections.abc import Iterator

import pytest
from hypothesis import settings
from playbook import open_playbooks

settings.register_profile("core", derandomize=True, deadline=None, database=None)
settings.load_profile("core")


@pytest.fixture(autouse=True)
def every_playbook_is_checked() -> Iterator[None]:
    open_playbooks.clear()
    yield
    assert not [book for book in open_playbooks if book.unchecked], "a playbook was fed and never checked"
