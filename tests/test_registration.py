"""Names in the registries, and docstrings that tell the truth about their arguments."""

import importlib
import inspect
import pkgutil
import re
import subprocess
import sys

import pytest

import projects

MODULES = sorted(
    module.name for module in pkgutil.walk_packages(projects.__path__, prefix='projects.')
)


def public_objects():
    """Public classes, functions and methods defined in the project, with their full names."""
    for name in MODULES:
        module = importlib.import_module(name)
        for key, value in vars(module).items():
            if key.startswith('_') or getattr(value, '__module__', None) != name:
                continue
            if inspect.isclass(value):
                yield f'{name}.{key}', value, value
                for method, function in vars(value).items():
                    if not method.startswith('_') and inspect.isfunction(function):
                        yield f'{name}.{key}.{method}', value, function
            elif inspect.isfunction(value):
                yield f'{name}.{key}', None, value


@pytest.mark.parametrize(
    ('owner', 'thing'), [pytest.param(o, t, id=name) for name, o, t in public_objects()]
)
def test_docstring_matches_signature(owner, thing):
    doc = inspect.getdoc(thing)
    assert doc, 'no docstring'
    section = re.search(r'\nArgs:\n(.*?)(\n\S|\Z)', doc, re.DOTALL)
    documented = re.findall(r'^ {4}(\w+):', section[1], re.MULTILINE) if section else []
    accepted = [p for p in inspect.signature(thing).parameters if p not in ('self', 'cls')]
    if documented:
        assert [name for name in accepted if name in documented] == documented
        missing = [name for name in accepted if name not in documented]
        assert not missing, f'{missing} are not documented'


@pytest.mark.parametrize('name', MODULES)
def test_public_functions_are_annotated(name):
    for full_name, _, thing in public_objects():
        if full_name.startswith(name + '.') and inspect.isfunction(thing):
            for parameter in inspect.signature(thing).parameters.values():
                if parameter.name not in ('self', 'cls'):
                    annotated = parameter.annotation is not inspect.Parameter.empty
                    assert annotated, f'{full_name}({parameter.name})'


def test_no_name_is_registered_twice():
    """A registry of mmengine raises on a second registration, in whatever order libraries load."""
    hosts = 'mmcv.ops, mmcv.transforms, mmdet.models, mmdet.datasets, mmpose.models, '
    hosts += 'mmpose.datasets, mmaction.models, mmaction.datasets, mmpretrain.models'
    plugins = ', '.join(name for name in MODULES if name.count('.') == 1)
    for order in (f'{hosts}, {plugins}', f'{plugins}, {hosts}'):
        code = f'import projects, {order}'
        subprocess.run([sys.executable, '-W', 'ignore', '-c', code], check=True, timeout=240)


def test_our_names_are_not_a_hosts():
    """A host finds its own component first, so a shared name would build the wrong one."""
    code = """
import projects, mmdet.models, mmdet.datasets, mmdet.evaluation, mmpose.models, mmpose.datasets
import mmpose.evaluation, mmaction.models, mmaction.datasets, mmpretrain.models
import importlib, pkgutil
for module in pkgutil.iter_modules(projects.__path__):
    importlib.import_module('projects.' + module.name)
import mmengine.registry as root
for name, registry in vars(root).items():
    if isinstance(registry, root.Registry):
        ours = {k for k, v in registry.module_dict.items() if v.__module__.startswith('projects.')}
        for scope, child in registry.children.items():
            print(name, scope, sorted(ours & set(child.module_dict)))
"""
    out = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code],
        capture_output=True,
        text=True,
        check=True,
        timeout=240,
    ).stdout
    rows = [line for line in out.splitlines() if line.endswith(']')]
    assert len(rows) > 20
    assert [row for row in rows if not row.endswith('[]')] == []
