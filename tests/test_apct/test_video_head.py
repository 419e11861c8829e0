import pytest
import torch
from mmaction.models.heads import I3DHead
from mmaction.structures import ActionDataSample

from projects.apct.video_head import FloatI3DHead


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_scores_and_loss_of_i3d_head_in_either_precision(dtype):
    torch.manual_seed(0)
    stock = I3DHead(num_classes=6, in_channels=8, dropout_ratio=0)
    head = FloatI3DHead(num_classes=6, in_channels=8, dropout_ratio=0)
    head.load_state_dict(stock.state_dict())
    features = torch.randn(3, 8, 2, 4, 4)
    samples = [ActionDataSample().set_gt_label(label) for label in (0, 3, 5)]
    expected = stock.loss(features, samples)
    with torch.autocast('cpu', dtype=dtype, enabled=dtype == torch.bfloat16):
        assert head(features).dtype == torch.float32
        losses = head.loss(features, samples)
    assert losses.keys() == expected.keys()
    torch.testing.assert_close(losses['loss_cls'], expected['loss_cls'], rtol=1e-2, atol=1e-3)


def test_label_beyond_the_classes():
    head = FloatI3DHead(num_classes=6, in_channels=8)
    samples = [ActionDataSample().set_gt_label(label) for label in (0, 23)]
    with pytest.raises(
        ValueError, match=r'cls_head\.num_classes is 6, but .* label 23, .* at least 24'
    ):
        head.loss(torch.randn(2, 8, 2, 4, 4), samples)
