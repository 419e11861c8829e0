import re
from pathlib import Path

import pytest

from projects.files import default_cache_dir, read_json, safe_name, whole_file, whole_folder


def test_file_appears_only_when_complete(tmp_path):
    target = tmp_path / 'new' / 'result.npz'
    with whole_file(target) as partial:
        partial.write_text('half')
        assert partial.suffix == '.npz'
        assert not target.exists()
    assert target.read_text() == 'half'
    assert list(target.parent.iterdir()) == [target]


def test_interrupted_write_leaves_what_was_there(tmp_path):
    target = tmp_path / 'result.txt'
    target.write_text('before')

    def write_and_fail():
        with whole_file(target) as partial:
            partial.write_text('half')
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_and_fail()
    assert target.read_text() == 'before'
    assert list(tmp_path.iterdir()) == [target]


def test_names_of_files_differ_where_names_do():
    assert safe_name('跳_Übung-1') == '跳_Übung-1'
    names = ['a b', 'a.b', 'a_b', 'a/b', '../a b', '...a b', '']
    safe = [safe_name(name) for name in names]
    assert len(set(safe)) == len(names)
    assert all(re.fullmatch(r'[\w-]*', name) for name in safe)
    assert safe_name('a b').startswith('a_b-')


def test_cache_lies_where_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.setenv('MMKINESIS_CACHE', str(tmp_path))
    assert default_cache_dir('motion') == tmp_path / 'motion'
    monkeypatch.delenv('MMKINESIS_CACHE')
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'xdg'))
    assert default_cache_dir('motion') == tmp_path / 'xdg' / 'mmkinesis' / 'motion'
    monkeypatch.delenv('XDG_CACHE_HOME')
    assert default_cache_dir('motion') == Path.home() / '.cache' / 'mmkinesis' / 'motion'


def test_folder_appears_only_when_complete(tmp_path):
    target = tmp_path / 'new' / 'set'

    def write(fail=False):
        with whole_folder(target) as partial:
            (partial / 'a.txt').write_text('half')
            if fail:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(fail=True)
    assert list(target.parent.iterdir()) == []
    target.mkdir()  # an empty one is taken
    write()
    assert [path.name for path in target.iterdir()] == ['a.txt']
    (target / 'a.txt').write_text('mine')
    with pytest.raises(OSError, match='set'):
        write()
    assert (target / 'a.txt').read_text() == 'mine'
    assert list(target.parent.iterdir()) == [target]


def test_json_is_read_or_refused_with_the_name(tmp_path):
    path = tmp_path / 'a.json'
    path.write_text('{"ä": [1, null]}', encoding='utf-8')
    assert read_json(path) == read_json(str(path)) == {'ä': [1, None]}
    for content in (b'{', b'\xff', b'', b'[' * 100_000):
        path.write_bytes(content)
        with pytest.raises(ValueError, match='a.json: no valid JSON'):
            read_json(path)
    for missing in (tmp_path / 'b.json', tmp_path):
        with pytest.raises(FileNotFoundError, match='no such file'):
            read_json(missing)
