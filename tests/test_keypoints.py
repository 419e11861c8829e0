import pytest

from projects.keypoints import LAYOUTS, KeypointLayout, keypoint_layout


@pytest.mark.parametrize(
    ('name', 'joints', 'some'),
    [
        # indices as MediaPipe, COCO, Penn Action, LSP and NTU RGB+D (from 1 in its paper) have them
        (
            'blazepose',
            33,
            dict(nose=0, left_eye_inner=1, right_eye_outer=6, left_ear=7, mouth_right=10)
            | dict(left_shoulder=11, right_elbow=14, left_wrist=15, left_pinky=17, right_index=20)
            | dict(right_thumb=22, left_hip=23, right_knee=26, left_heel=29, right_foot_index=32),
        ),
        ('coco', 17, dict(nose=0, left_eye=1, right_ear=4, left_shoulder=5, right_ankle=16)),
        ('penn', 13, dict(head=0, left_shoulder=1, right_wrist=6, left_hip=7, right_ankle=12)),
        (
            'lsp',
            14,
            dict(right_ankle=0, right_hip=2, left_hip=3, left_ankle=5, right_wrist=6)
            | dict(right_shoulder=8, left_shoulder=9, left_wrist=11, neck=12, head_top=13),
        ),
        (
            'ntu',
            25,
            dict(spine_base=0, head=3, left_shoulder=4, left_hand=7, right_shoulder=8, left_hip=12)
            | dict(right_hip=16, right_foot=19, spine_shoulder=20, left_hand_tip=21)
            | dict(left_thumb=22, right_hand_tip=23, right_thumb=24),
        ),
    ],
)
def test_published_order(name, joints, some):
    layout = keypoint_layout(name)
    assert (layout.name, layout.num_joints) == (name, joints)
    assert {joint: layout.joint_names.index(joint) for joint in some} == some


@pytest.mark.parametrize('layout', LAYOUTS.values(), ids=LAYOUTS)
def test_names_flips_and_limbs_agree(layout):
    names = layout.joint_names
    assert len(set(names)) == len(names) == layout.num_joints
    for index, name in enumerate(names):
        mirrored = names[layout.flip_indices[index]]
        assert layout.flip_indices[layout.flip_indices[index]] == index
        if 'left' in name or 'right' in name:
            assert mirrored != name
            assert {mirrored, name} == {
                name.replace('left', 'right'),
                name.replace('right', 'left'),
            }
        else:
            assert mirrored == name
    assert len({frozenset(limb) for limb in layout.limbs}) == len(layout.limbs)  # none twice
    assert all(first != second for first, second in layout.limbs)
    assert {joint for limb in layout.limbs for joint in limb} == set(range(layout.num_joints))
    flipped = {frozenset(layout.flip_indices[joint] for joint in limb) for limb in layout.limbs}
    assert flipped == {frozenset(limb) for limb in layout.limbs}


def test_layouts_are_values():
    layout = KeypointLayout('stick', ('left_end', 'right_end'), ((0, 1),))
    assert layout == KeypointLayout('stick', ('left_end', 'right_end'), ((0, 1),))
    assert layout.flip_indices == (1, 0)
    assert len({layout, *LAYOUTS.values()}) == len(LAYOUTS) + 1  # hashable, so usable in caches


def test_unknown_layout():
    with pytest.raises(ValueError, match=r"layout 'h36m' is not one of \['blazepose', 'coco'"):
        keypoint_layout('h36m')
