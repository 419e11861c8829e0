"""Pickles that may come from anywhere, and mmaction2's layout in them."""

import os
import pickle
import sys

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from mmaction.registry import DATASETS
from mmengine.registry import init_default_scope

from projects.star.pose_pickle import PosePickleDataset
from projects.star.safe_pickle import safe_load_pickle

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
NUMBERS = st.one_of(
    arrays.boolean_dtypes(),
    arrays.integer_dtypes(endianness='?'),
    arrays.unsigned_integer_dtypes(endianness='?'),
    arrays.floating_dtypes(endianness='?', sizes=(16, 32, 64)),
    arrays.unicode_string_dtypes(endianness='?', max_len=4),
)


def dump(path, value, protocol=pickle.HIGHEST_PROTOCOL):
    path.write_bytes(pickle.dumps(value, protocol))
    return path


def same(one, other):
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert list(one) == list(other)
        for key, value in one.items():
            same(value, other[key])
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for pair in zip(one, other, strict=True):
            same(*pair)
    elif isinstance(one, np.ndarray | np.generic):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    else:
        assert one == other


# --- what is admitted -------------------------------------------------------------------------


@pytest.mark.parametrize('protocol', PROTOCOLS)
def test_arrays_and_plain_containers(tmp_path, protocol):
    shared = [np.arange(6, dtype=np.float16).reshape(1, 2, 3)]
    value = dict(
        lists=[1, -2.5, None, True, 'näme', b'\xff\x00', b'', 10**20],
        tuples=((), (np.float32(0.5), np.int64(7), np.bool_(True), np.str_('ab'))),
        sets={1, 2},
        frozen=frozenset({'a'}),
        arrays=[
            np.asfortranarray(np.arange(6.0).reshape(2, 3)),
            np.arange(12)[::2],
            np.zeros((0, 4, 2)),
            np.array(3.0),
            np.array(['abc', 'd']),
            np.array([True, False]),
            np.arange(3, dtype='>i2'),
        ],
        shared=(shared, shared),
    )
    found = safe_load_pickle(dump(tmp_path / 'a.pkl', value, protocol))
    same(found, value)
    assert found['shared'][0] is found['shared'][1]
    found['arrays'][0][0, 0] = 1  # arrays can be written to


@settings(max_examples=60, deadline=None)
@given(
    arrays.arrays(NUMBERS, arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)),
    st.sampled_from(PROTOCOLS),
)
def test_any_array_of_numbers_or_text(tmp_path_factory, array, protocol):
    path = tmp_path_factory.getbasetemp() / 'any.pkl'
    found = safe_load_pickle(dump(path, [array], protocol))[0]
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize('protocol', PROTOCOLS)
def test_names_of_numpy_1(tmp_path, protocol):
    """numpy 2 writes numpy._core where numpy 1 wrote numpy.core."""
    value = [np.arange(4.0), np.float32(2)]
    data = pickle.dumps(value, protocol)
    if protocol < 4:  # names are lines
        old = data.replace(b'numpy._core', b'numpy.core')
    else:  # names have their length before them, and all is in one frame
        data = data[:2] + data[11:]
        old = data
        for name in (b'numpy._core.multiarray', b'numpy._core.numeric'):
            new = name.replace(b'_core', b'core')
            old = old.replace(bytes([len(name)]) + name, bytes([len(new)]) + new)
    assert b'numpy.core.' in old
    assert b'_core' not in old
    path = tmp_path / 'old.pkl'
    path.write_bytes(old)
    same(safe_load_pickle(path), value)


def test_python_2_wrote_arrays_as_text(tmp_path):
    data = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
        b"(I1\n(I2\ntcnumpy\ndtype\n(S'i2'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntb"
        b"I00\nS'\\x01\\x00\\xff\\x00'\ntb."
    )
    path = tmp_path / 'two.pkl'
    path.write_bytes(data)
    same(safe_load_pickle(path), np.array([1, 255], np.int16))


def test_what_holds_itself_and_what_occurs_often(tmp_path):
    ring = [np.arange(2)]
    ring.append(ring)
    found = safe_load_pickle(dump(tmp_path / 'ring.pkl', ring))
    assert found[1] is found
    np.testing.assert_array_equal(found[0], [0, 1])
    many = ()
    for _ in range(60):  # 2**60 if it were walked naively
        many = (many, many)
    found = safe_load_pickle(dump(tmp_path / 'many.pkl', many))
    assert found[0] is found[1]


# --- what is refused --------------------------------------------------------------------------


class Call:
    """Pickled as a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


class Text(str):
    pass


MARK = 'never_made'
REFUSED = [
    (Call(os.system, f'touch {MARK}'), r'names (posix|nt)\.system'),
    (Call(eval, f'open({MARK!r}, "w")'), r'names (builtins|__builtin__)\.eval'),
    (Call(getattr, 'a', 'upper'), r'names (builtins|__builtin__)\.getattr'),
    (Call(__import__, 'os'), r'names (builtins|__builtin__)\.__import__'),
    (Call(open, MARK, 'w'), r'names (io|_io)\.open'),
    (Call(np.load, MARK), r'names numpy\.load'),
    (Call(np.fromfile, MARK), r'names numpy\.?.*fromfile'),
    (np.sum, r'names numpy\.sum'),
    (np.lib.format.open_memmap, 'open_memmap'),
    (np.random.default_rng(0), r'names numpy\.random'),
    (np.float32, r'names numpy\.float32'),
    (np.ones(2).view(np.recarray), r'names numpy.*recarray'),
    (np.ma.array([1]), 'names numpy.ma'),
    (Text('a'), r'names (tests\.test_star\.test_pose_pickle\.Text|copy_?reg\._reconstructor)'),
    (np.dtype('f4'), 'it holds'),
    (np.array([1, 'a', None], object), "array of type 'O8?'"),
    (np.array([(1, 2.0)], dtype='i4,f8'), "array of type 'V12'"),
    (np.array(['2020-01-01'], 'M8[D]'), "array of type 'M8'"),
    (np.array([1j]), "array of type 'c16'"),
    (np.array([b'ab'], dtype='V2'), "array of type 'V2'"),
]  # fmt: skip


@pytest.mark.parametrize('protocol', [0, 2, 4, 5])
@pytest.mark.parametrize(('value', 'message'), REFUSED, ids=lambda value: repr(value)[:20])
def test_everything_else_is_refused(tmp_path, monkeypatch, value, message, protocol):
    monkeypatch.chdir(tmp_path)
    path = dump(tmp_path / 'bad.pkl', [value], protocol)
    with pytest.raises(ValueError, match=rf'bad\.pkl: refused, .*{message}'):
        safe_load_pickle(path)
    assert not (tmp_path / MARK).exists()


OPCODES = [
    # attributes by dots, protocol 4: name 'ndarray.tofile' of module 'numpy'
    (b'\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93.', r'names numpy\.ndarray\.tofile'),
    (b'\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x02ls\x85R.', r'names os\.system'),
    # a module that is not there is not looked for
    (b'cno_such_module\nname\n.', r'names no_such_module\.name'),
    # ndarray(...) itself, with memory of any size
    (b'cnumpy\nndarray\n(I1000000000000\ntR.', 'no pickle that can be read'),
    # _reconstruct of another type than ndarray
    (b'cnumpy.core.multiarray\n_reconstruct\n(cnumpy\ndtype\n(I0\ntC\x01btR.', 'special kind'),
    (b'cnumpy.core.multiarray\n_reconstruct\n.', 'it holds <function'),
    (b'cnumpy\nndarray\n.', 'it holds <class'),
    # an array that is never filled
    (b'cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntC\x01btR.', 'value'),
    # codecs that are not latin1
    (b'c_codecs\nencode\n(Vabc\nVrot13\ntR.', "encodes text as 'rot13'"),
    (b'c_codecs\nencode\n(C\x01aVzip\ntR.', "encodes text as 'zip'"),
    # a plain type made a structured one afterwards
    (
        b'cnumpy\ndtype\n(Vf8\nI0\nI1\ntR(I3\nV<\nN(Va\nt}I800\nI1\nI0\ntb.',
        'a structured array',
    ),
    # fewer bytes than the shape says
    (
        b'cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntC\x01btR'
        b'(I1\n(I99\ntcnumpy\ndtype\n(Vf8\nI0\nI1\ntRI00\nC\x0812345678tb.',
        'cannot reshape',
    ),
    # a list in place of bytes
    (
        b'cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntC\x01btR'
        b'(I1\n(I1\ntcnumpy\ndtype\n(Vf8\nI0\nI1\ntRI00\n(I1\nltb.',
        'not made of bytes',
    ),
    (b'\x80\x04\x95', 'no pickle that can be read'),
    (b'', 'no pickle that can be read'),
    (b'PK\x03\x04', 'no pickle that can be read|refused'),
]


@pytest.mark.parametrize(('data', 'message'), OPCODES, ids=range(len(OPCODES)))
def test_hand_made_files_are_refused(tmp_path, data, message):
    path = tmp_path / 'bad.pkl'
    path.write_bytes(data)
    with pytest.raises(ValueError, match=rf'bad\.pkl: .*({message})'):
        safe_load_pickle(path)
    assert 'no_such_module' not in sys.modules


def test_endless_nesting_is_refused(tmp_path):
    path = tmp_path / 'deep.pkl'
    path.write_bytes(b'(' * 100_000 + b'l' * 100_000 + b'.')
    with pytest.raises(ValueError, match='RecursionError'):
        safe_load_pickle(path)


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match='none.pkl: no such file'):
        safe_load_pickle(tmp_path / 'none.pkl')


# --- mmaction2's layout -----------------------------------------------------------------------


def annotation(name='clip_a', label=0, people=2, frames=5, **changes):
    rng = np.random.default_rng(0)
    return {
        'frame_dir': name,
        'label': label,
        'img_shape': (72, 96),
        'original_shape': (72, 96),
        'total_frames': frames,
        'keypoint': rng.uniform(0, 70, (people, frames, 17, 2)).astype(np.float16),
        'keypoint_score': rng.uniform(0.1, 1, (people, frames, 17)).astype(np.float16),
        **changes,
    }


def content(*annotations):
    annotations = annotations or (annotation(), annotation('sub/clip_b', 3), annotation('c', 1))
    names = [one.get('frame_dir') for one in annotations]
    return dict(split=dict(train=names[:2], val=names[2:]), annotations=list(annotations))


def dataset(tmp_path, value, **options):
    dump(tmp_path / 'poses.pkl', value)
    return PosePickleDataset('poses.pkl', data_root=str(tmp_path), **options)


def test_samples(tmp_path):
    init_default_scope('mmaction')
    value = content()
    dump(tmp_path / 'poses.pkl', value)
    found = DATASETS.build(
        dict(type='PosePickleDataset', ann_file=str(tmp_path / 'poses.pkl'), split='train')
    )
    assert len(found) == 2
    assert found.metainfo['classes'] == ('0', '1', '2', '3')  # of the whole file
    assert found.metainfo['keypoint_layout'] == 'coco'
    info, before = found.get_data_info(1), value['annotations'][1]
    assert (info['name'], info['label'], info['total_frames']) == ('sub/clip_b', 3, 5)
    assert info['img_shape'] == info['original_shape'] == (72, 96)
    assert info['modality'] == 'RGB'
    assert not {'frame_dir', 'filename'} & info.keys()
    for field in ('keypoint', 'keypoint_score'):
        assert info[field].dtype == np.float32
        np.testing.assert_array_equal(info[field], before[field])


def test_a_list_without_splits(tmp_path):
    found = dataset(tmp_path, content()['annotations'], classes=list('abcd'))
    assert len(found) == 3
    assert found.metainfo['classes'] == ('a', 'b', 'c', 'd')
    with pytest.raises(ValueError, match="is a list without splits, but split is 'train'"):
        dataset(tmp_path, content()['annotations'], split='train')


def test_filename_stands_for_frame_dir(tmp_path):
    one = annotation()
    one['filename'] = one.pop('frame_dir')
    assert dataset(tmp_path, [one]).get_data_info(0)['name'] == 'clip_a'


def test_what_is_missing_is_zero(tmp_path):
    one = annotation(frames=3)
    one['keypoint'][0, 0, 4, 1] = np.nan
    one['keypoint'][1, 2, 5, 0] = np.inf
    one['keypoint_score'][0, 1, :4] = 0, -0.5, np.nan, 1.25
    info = dataset(tmp_path, [one]).get_data_info(0)
    scores = info['keypoint_score']
    assert scores[0, 0, 4] == scores[1, 2, 5] == 0
    assert scores[0, 1, :4].tolist() == [0, 0, 0, 1]
    missing = scores == 0
    assert missing.sum() == 5
    assert (info['keypoint'][missing] == 0).all()
    np.testing.assert_array_equal(info['keypoint'][~missing], one['keypoint'][~missing])


def test_nobody_becomes_one_person_without_joints(tmp_path):
    info = dataset(tmp_path, [annotation(people=0)]).get_data_info(0)
    assert info['keypoint'].shape == (1, 5, 17, 2)
    assert not info['keypoint_score'].any()


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'frame_dir': 7}, "field 'frame_dir' is 7, expected the name"),
        ({'label': 4}, "field 'label' is 4, expected 0 to 3, for there are 4 classes"),
        ({'label': -1}, "field 'label' is -1"),
        ({'label': 'squat'}, "field 'label' is 'squat'"),
        ({'label': True}, "field 'label' is True"),
        ({'img_shape': (72,)}, r"field 'img_shape' is \(72,\), expected height and width"),
        ({'img_shape': (72, 0)}, r"field 'img_shape' is \(72, 0\)"),
        ({'img_shape': None}, "field 'img_shape' is None"),
        ({'total_frames': 6}, "field 'total_frames' is 6, expected 5 as keypoint has"),
        ({'keypoint': None}, "field 'keypoint' is None, expected numbers"),
        ({'keypoint': np.zeros((2, 5, 17, 3))}, r"'keypoint' is of shape .* 3-D joints"),
        ({'keypoint': np.zeros((2, 5, 13, 2))}, r"'keypoint' is .*expected .* 17, 2\).*'coco'"),
        ({'keypoint': np.zeros((2, 0, 17, 2))}, r"'keypoint' is of shape \(2, 0, 17, 2\)"),
        ({'keypoint': np.zeros((5, 17, 2))}, r"'keypoint' is of shape \(5, 17, 2\)"),
        ({'keypoint': np.full((2, 5, 17, 2), 'a')}, "'keypoint' is array"),
        ({'keypoint_score': None}, r"'keypoint_score' is None, expected numbers \(2, 5, 17\)"),
        ({'keypoint_score': np.ones((1, 5, 17))}, r"'keypoint_score' is of shape \(1, 5, 17\)"),
    ],
)
def test_bad_annotations_are_named(tmp_path, change, message):
    value = content(annotation(), annotation('b', **change))
    with pytest.raises(ValueError, match=rf'poses\.pkl: annotation 1: .*{message}'):
        dataset(tmp_path, value, classes=list('abcd'))


@pytest.mark.parametrize(
    ('value', 'message'),
    [
        ([annotation(), 3], 'annotation 1 is a int, expected a dict'),
        ([], 'no annotations'),
        (7, 'found int, expected a dict'),
        (dict(train=[]), r"found \['train'\], expected a dict with 'split'"),
    ],
)
def test_bad_files_are_named(tmp_path, value, message):
    with pytest.raises(ValueError, match=rf'poses\.pkl: {message}'):
        dataset(tmp_path, value)


def test_bad_splits_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"split is 'test', but .* \['train', 'val'\]"):
        dataset(tmp_path, content(), split='test')
    with pytest.raises(ValueError, match='split is .*, but the file has the splits None'):
        dataset(tmp_path, dict(annotations=[annotation()]), split='train')
    value = content()
    value['split']['none'] = ['who']
    with pytest.raises(ValueError, match="split 'none' has no annotation"):
        dataset(tmp_path, value, split='none')
    value['split']['bad'] = 'clip_a'
    with pytest.raises(ValueError, match="split 'bad' is 'clip_a', expected a list of names"):
        dataset(tmp_path, value, split='bad')


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'data_prefix': dict(img='a', video='b')}, 'data_prefix is'),
        ({'data_prefix': dict(pictures='a')}, 'data_prefix is'),
        ({'classes': 'abc'}, "classes is 'abc'"),
        ({'classes': ['a', 'a']}, r"classes is \['a', 'a'\]"),
        ({'keypoint_layout': 'nobody'}, "layout 'nobody' is not one of"),
        ({'filename_tmpl': 'img.jpg'}, "filename_tmpl is 'img.jpg'"),
        ({'filename_tmpl': '{:05}_{}.jpg'}, 'filename_tmpl is'),
        ({'video_tmpl': 'a.mp4'}, "video_tmpl is 'a.mp4'"),
    ],
)
def test_bad_options(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        dataset(tmp_path, content(), **options)


# --- pictures ---------------------------------------------------------------------------------


def test_pictures(tmp_path):
    images = np.random.default_rng(0).integers(0, 255, (5, 72, 96, 3), np.uint8)
    folder = tmp_path / 'frames' / 'sub' / 'clip_b'
    folder.mkdir(parents=True)
    for number, image in enumerate(images):
        cv2.imwrite(str(folder / f'{number + 3:04}.png'), image)
    found = dataset(
        tmp_path,
        content(),
        data_prefix=dict(img='frames'),
        filename_tmpl='{:04}.png',
        offset=3,
        pipeline=[dict(type='mmaction.RawFrameDecode')],
    )
    assert len(found) == 1  # the others have no pictures
    info = found.get_data_info(0)
    info['frame_inds'] = np.array([0, 4])
    decoded = np.stack(found.pipeline(info)['imgs'])
    np.testing.assert_array_equal(decoded, images[[0, 4], ..., ::-1])
    (folder / '0007.png').unlink()  # the last
    message = r'clip_a/0007\.png: no such file, and none of the 2 other clips'
    with pytest.raises(FileNotFoundError, match=message):
        dataset(
            tmp_path,
            content(),
            data_prefix=dict(img='frames'),
            filename_tmpl='{:04}.png',
            offset=3,
        )


def test_videos(tmp_path):
    (tmp_path / 'videos').mkdir()
    (tmp_path / 'videos' / 'clip_a_rgb.avi').touch()
    options = dict(data_prefix=dict(video='videos'), video_tmpl='{}_rgb.avi')
    found = dataset(tmp_path, content(), **options)
    assert len(found) == 1
    assert found.get_data_info(0)['filename'] == str(tmp_path / 'videos' / 'clip_a_rgb.avi')
    with pytest.raises(FileNotFoundError, match=r'videos/clip_a\.mp4: no such file'):
        dataset(tmp_path, content(), data_prefix=dict(video='videos'))


@pytest.mark.parametrize(
    'name', ['../clip', 'a/../../clip', '/etc/clip', '\\clip', 'C:\\clip', 'a\\..\\..\\b', 'a\0b']
)
@pytest.mark.parametrize('kind', ['img', 'video'])
def test_names_stay_below_their_folder(tmp_path, name, kind):
    with pytest.raises(ValueError, match="annotation 0: field 'frame_dir' is .*below the folder"):
        dataset(tmp_path, [annotation(name)], data_prefix={kind: 'frames'})
    # as a name alone it does no harm
    assert dataset(tmp_path, [annotation(name)]).get_data_info(0)['name'] == name
