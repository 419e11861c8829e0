"""What the tests of presence share."""

import pytest
from mmengine.registry import init_default_scope


@pytest.fixture(autouse=True)
def mmpose_scope() -> None:
    """mmpose's names are found first, whatever scope a test before has left."""
    init_default_scope('mmpose')
