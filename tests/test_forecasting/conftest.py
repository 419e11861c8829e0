"""What the tests of forecasting share."""

from collections.abc import Iterator

import pytest
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope


@pytest.fixture(autouse=True)
def mmengine_scope() -> None:
    """Whatever scope a test before has left."""
    init_default_scope('mmengine')


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """What mmengine's logger says, which does not hand it on."""
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    yield caplog
    logger.removeHandler(caplog.handler)
