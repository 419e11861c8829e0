"""MMKinesis: a plugin model zoo for human motion on OpenMMLab.

Importing this package repairs the installed OpenMMLab releases where they are broken (see
``projects.upstream``); a method's plugins are registered by importing its own package, such as
``projects.forecasting``.
"""

from . import runtime, upstream

__all__ = ['runtime', 'upstream']
__version__ = '0.1.0'

upstream.repair()
