import pytest
import torch
from mmengine.registry import MODELS

from projects.forecasting.stacformer import STACFormer
from projects.forecasting.stcformer import DECODER_QUERIES, DecoderBlock
from projects.forecasting.sttformer import STABlock

from .contract import SMALL, batch, check_contract, check_silent_network_repeats_the_last_pose

NET = dict(channels=8)


@pytest.mark.parametrize('position_embedding', [True, False])
def test_contract(position_embedding):
    check_contract(
        lambda **options: STACFormer(
            **{**SMALL, **NET, 'position_embedding': position_embedding, **options}
        )
    )


def test_blocks_of_both_halves():
    model = MODELS.build(
        dict(type='STACFormer', num_encoder_blocks=3, num_decoder_blocks=2, **SMALL, **NET)
    )
    assert [type(block) for block in model.encoder] == 3 * [STABlock]
    assert [type(block) for block in model.decoder] == 2 * [DecoderBlock]
    one = STACFormer(num_encoder_blocks=1, num_decoder_blocks=2, **SMALL, **NET)
    size = sum(parameter.numel() for parameter in STABlock(8, 1, 0.25).parameters())
    parameters = [sum(p.numel() for p in m.parameters()) for m in (model, one)]
    assert parameters[0] - parameters[1] == 2 * size


def test_decoder_reads_the_encoded_poses():
    torch.manual_seed(0)
    model = STACFormer(num_encoder_blocks=2, **SMALL, **NET).eval()
    seen = model.seen(batch()[0])
    position = model.position_embedding
    x = model.embed_observed(seen) + position['observed_frame'] + position['observed_joint']
    x = model.encoder[1](model.encoder[0](x))
    torch.testing.assert_close(model.memory(seen), model.time_map(model.encoder_norm(x)))


def test_teacher_forced_queries_are_stcformers():
    observed, target = batch()
    for query in DECODER_QUERIES[1:]:
        model = STACFormer(decoder_query=query, **SMALL, **NET)
        assert model.sees_future
        assert model(observed, target).shape == target.shape
        with pytest.raises(ValueError, match='needs the true future'):
            model(observed)


def test_silent_network_repeats_the_last_pose():
    model = STACFormer(**SMALL, **NET)
    check_silent_network_repeats_the_last_pose(model, model.head)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(num_encoder_blocks=0), 'num_encoder_blocks is 0, expected 1 or more'),
        (dict(num_decoder_blocks=0), 'num_decoder_blocks is 0, expected 1 or more'),
        (dict(decoder_query='oracle'), "decoder_query is 'oracle', expected one of"),
        (dict(channels=7), 'channels is 7'),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        STACFormer(**{**SMALL, **NET, **options})
