"""A simulated year would be logged line by line."""

import logging

import pytest
import structlog


@pytest.fixture(autouse=True)
def quiet():
    before = structlog.get_config()
    logging.disable(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.configure(**before)
    logging.disable(logging.NOTSET)
