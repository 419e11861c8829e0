"""What the tests of STAR-Transformer share."""

import pytest
from mmengine.registry import init_default_scope


@pytest.fixture(autouse=True)
def mmaction_scope() -> None:
    """mmaction2's names are found first, whatever scope a test before has left."""
    init_default_scope('mmaction')
