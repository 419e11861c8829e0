"""Action recognition from video and skeleton. Importing it registers the plugins."""

from .attention import BAttn, FAttn, ZAttn
from .backbone import MC3
from .head import STARHead
from .transformer import STARLayer, STARTransformer

__all__ = ['BAttn', 'FAttn', 'MC3', 'STARHead', 'STARLayer', 'STARTransformer', 'ZAttn']
