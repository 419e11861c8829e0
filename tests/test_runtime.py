import pytest
import torch
from mmengine.config import Config
from mmengine.registry import OPTIM_WRAPPERS

from projects.runtime import enable_amp


@pytest.mark.skipif(torch.cuda.is_available(), reason='a GPU keeps float16')
@pytest.mark.parametrize(
    'written', [{}, dict(type='AmpOptimWrapper', loss_scale='dynamic', dtype='float16')]
)
def test_amp_on_a_cpu_is_bfloat16_whatever_the_config_holds(written):
    cfg = Config(dict(optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1), **written)))
    enable_amp(cfg)
    settings = dict(cfg.optim_wrapper, optimizer=torch.optim.SGD([torch.zeros(1)], lr=0.1))
    assert type(OPTIM_WRAPPERS.build(settings)).__name__ == 'BFloat16OptimWrapper'


def test_amp_leaves_special_wrappers_alone():
    cfg = Config(dict(optim_wrapper=dict(type='ApexOptimWrapper')))
    with pytest.raises(ValueError, match="optim_wrapper.type is 'ApexOptimWrapper'"):
        enable_amp(cfg)
