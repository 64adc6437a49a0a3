"""Every rule is tested on both ways to its pairs."""

import pytest


@pytest.fixture(autouse=True)
def by(both_ways: str) -> str:
    """How the queries find their pairs: ``table`` or ``search``."""
    return both_ways
