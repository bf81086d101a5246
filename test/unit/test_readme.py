# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The commands of README and docs are run as printed, in order, in a scratch copy with a small data set.

Only the model is made smaller there, by the config. wget and unrar are stand-ins (test/stand_ins) that check their
arguments, and the machine is an NPU server of stand-ins: CANN 8.0 where its installer puts it, the Python that it was
installed for, npu-smi, AMCT, aclruntime, and the ais_bench of today.
"""
import ast
import functools
import json
import os
import re
import shutil
import site
import subprocess
import sys
import tarfile
import textwrap

import pytest
from conftest import ROOT, STAND_INS, VIDEOS, make_video, make_videos, run, save_random_checkpoint, write_annotation_zip

sys.path.append(str(STAND_INS))
from cann import make_cann, make_python

from r2plus1d.run import example_lines

SECONDS = 215

PYTHON_SCRIPTS = [path for path in [*ROOT.glob('r2plus1d_*.py'), ROOT / 'test/parse.py', ROOT / 'test/run_ais_bench.py']
                  if 'make_parser(__doc__)' in path.read_text(encoding='utf-8')]
SHELL_SCRIPTS = 'pth2om.sh', 'eval_acc_perf.sh', 'offline_inference_testcase.sh'
K400 = 'r2plus1d_r34_256p_8x8x1_180e_kinetics400_rgb_20200729-aa94765e.pth'
CHINESE = ['README.md', 'docs/step_by_step.zh.md', *sorted(f'docs/{path.name}' for path in ROOT.glob('docs/*.zh.md')),
           'benchmarks/README.zh.md']  # in the order in which their commands are run
PAGES = {name: name.replace('.zh', '') if '.zh' in name else 'README.en.md' for name in CHINESE}
ELSEWHERE = {'bash demo/run.sh', 'bash test/run_tests.sh'}  # test_demo.py; this


def read(name):
    return (ROOT / name).read_text(encoding='utf-8')


def blocks(name):
    return [textwrap.dedent(b).strip() for b in re.findall(r'^ *```bash\n(.*?)^ *```', read(name), re.M | re.S)]


def page_commands():
    """Each line of the blocks of commands, once."""
    lines = [line for page in PAGES for block in blocks(page) for line in block.split('\n')]
    return [line for line in dict.fromkeys(lines) if line not in ELSEWHERE]


def shape(name):
    """The structure of a page: levels of headings, sizes of tables, languages of code blocks, items of lists."""
    return re.findall(r'^#+(?= )|^ *\|(?=[^\n]*\|$)|^ *```\w*|^ *(?:-|\d\.)(?= )', read(name), re.M)


@pytest.mark.parametrize('chinese', PAGES)
def test_both_languages_have_the_same_parts_commands_and_options(chinese):
    assert shape(chinese) == shape(PAGES[chinese]) and blocks(chinese) == blocks(PAGES[chinese])
    assert named_options(read(chinese)) == named_options(read(PAGES[chinese]))


def named_options(text):
    return set(re.findall(r'(?<![\w-])--[a-z][\w-]+', text))


@functools.lru_cache(maxsize=None)
def options(script):
    """The options of a script, as its --help has them."""
    done = run(*([sys.executable] if script.endswith('.py') else ['bash']), ROOT / script, '--help')
    return set(re.findall(r'^  (--[\w-]+)', done.stdout, re.M)) - {'--help'}


def option_tables(name):
    """{script: the options in the table of a page whose head names it}."""
    tables = re.findall(r'^\|[^|\n]*`(\S+\.(?:py|sh))`[^|\n]*\|.*\n\|[- |]+\n((?:\|.*\n)+)', read(name), re.M)
    return {script: set(re.findall(r'^\| `(--[\w-]+)`', rows, re.M)) for script, rows in tables}


@pytest.mark.parametrize('pages', [PAGES, PAGES.values()], ids=['Chinese', 'English'])
def test_options_are_those_of_help(pages):
    """Each script but r2plus1d_dataset.py has a table of all its options; a text names no others but of commands."""
    tables = {script: names for page in pages for script, names in option_tables(page).items()}
    assert {script: options(script) for script in tables} == tables
    scripts = {path.name for path in ROOT.glob('r2plus1d_[!r]*.py')} | {f'test/{name}' for name in SHELL_SCRIPTS}
    assert scripts - {'r2plus1d_dataset.py'} <= {*tables}
    code = re.findall(r'```.*?```', ''.join(map(read, pages)), re.S)
    known = named_options(' '.join(code)).union(options('r2plus1d_dataset.py'), *tables.values(),
                                                {'--help', '--version', '--resources', '--parts', '--divide_input',
                                                 '--divide-input'})
    assert {name for page in pages if 'original' not in page for name in named_options(read(page))} <= known


def test_links_lead_somewhere():
    """Files and headings to which the pages link."""
    def anchors(path):
        headings = re.findall(r'^#+ (.*)', path.read_text(encoding='utf-8'), re.M)
        return {re.sub(r'[^\w\- ]', '', heading.lower()).replace(' ', '-') for heading in headings}
    for page in [path for path in list_files() if path.suffix == '.md']:
        for link in re.findall(r'(?<!!)\[[^\]\n]+\]\((?!https?:)([^)\s]+)\)', page.read_text(encoding='utf-8')):
            name, _, anchor = link.partition('#')
            target = (page.parent / name).resolve() if name else page
            assert target.exists() and (not anchor or anchor in anchors(target)), f'{page}: {link}'


def test_public_addresses_are_stated():
    found = {address.rstrip('.') for page in [*PAGES, *PAGES.values()]
             for address in re.findall(r'https?://[^\s)>"`|]+', read(page))}
    assert [address for address in found if f'| {address} |' not in read('public_address_statement.md')] == []


def examples(script):
    """The commands in the docstring of a Python script, which its --help ends with."""
    lines = example_lines(ast.get_docstring(ast.parse(script.read_text(encoding='utf-8'))))
    commands = ' '.join(' '.join(lines).replace('\\', ' ').split())
    return [f'python {command}'.strip() for command in commands.split('python ')[1:]]


def test_help_ends_with_examples():
    done = run(sys.executable, ROOT / 'r2plus1d_postprocess.py', '--help')
    for command in examples(ROOT / 'r2plus1d_postprocess.py'):
        assert command in done.stdout.partition('examples:')[2]
    for script in PYTHON_SCRIPTS:
        assert len(examples(script)) >= 2, script


def test_every_source_file_has_a_licence_header():
    for path in list_files():
        source = path.suffix in ('.py', '.sh', '.html') or path.read_bytes().startswith(b'#!')
        if source and path.stat().st_size and 'patches' not in path.parts:
            assert 'SPDX-License-Identifier: Apache-2.0' in path.read_text('utf-8')[:300], path


def list_files():
    """All files of the repository as git has it, with changes that are not committed."""
    names = subprocess.run(['git', 'ls-files', '-co', '--exclude-standard'], cwd=ROOT, check=True,
                           stdout=subprocess.PIPE, text=True).stdout.split('\n')
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


def make_scratch(folder):
    """A copy of the repository as git has it, with changes that are not committed, and a .venv that sees the
    packages of this one, so that setup.sh has only mmcv and mmaction2 left to install."""
    for path in list_files():
        copy = folder / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copy)
    run(sys.executable, '-m', 'venv', '--without-pip', folder / '.venv')
    packages = next((folder / '.venv').glob('lib/python*/site-packages'))
    (packages / 'outer.pth').write_text('\n'.join(site.getsitepackages()) + '\n')


def git(folder, *arguments):
    identity = '-c', 'user.name=tests', '-c', 'user.email=tests@localhost'
    return run('git', *identity, *arguments, cwd=folder).stdout


def npu_server(folder):
    """Environment changes: a new shell on an NPU server, without an active venv. NumPy 2 is not for its CANN, whose
    libraries are found only after its set_env.sh."""
    programs = folder / 'programs'
    programs.mkdir(parents=True)
    for name in ('npu-smi', 'amct_onnx', 'wget', 'unrar'):
        (programs / name).symlink_to(STAND_INS / name)
    make_cann(folder / 'root', version='8.0.0')
    python = make_python(folder / 'python', numpy='1.24.4')
    # Of the system's Python, without the folder of the venv in which these tests run.
    path = [entry for entry in os.environ['PATH'].split(os.pathsep) if entry != f'{sys.prefix}/bin']
    return {'PATH': os.pathsep.join(map(str, [programs, python, *path])), 'PYTHONPATH': str(STAND_INS),
            'VIRTUAL_ENV': '', 'CONDA_PREFIX': '', 'CANN_SYSTEM_ROOT': str(folder / 'root'), 'HOME': str(folder),
            'STAND_IN_NO_ACLRUNTIME': 'libascendcl'}


# Not alarms: mmcv's description of the machine, with a compiler's flags; a line of code below a warning; what atc.sh
# says of CANN's Python, whose stand-in is this machine's, with or without the shared library that CANN needs; and that
# a training of own classes replaces the last layer, which docs/own_classes.md says, too.
HARMLESS = re.compile(r'Build settings|^ *warnings\.warn\(|warning: ATC of |loaded state dict do not match exactly')


def find_alarms(text):
    """The lines that a user could take for a fault."""
    alarm = re.compile(r'warning|deprecat|traceback|should install|\b0 videos', re.I)
    return [line for line in text.splitlines() if alarm.search(line) and not HARMLESS.search(line)]


# (how often it is there, what is replaced, by what): a smaller model and one epoch of training
SMALLER = [
    (1, 'depth=34', 'depth=18, base_channels=8, conv1_stride_s=4'),
    (1, 'in_channels=512', 'in_channels=64'),
    (1, 'total_epochs = 40', 'total_epochs = 1'),
    (1, 'videos_per_gpu=8', 'videos_per_gpu=2'),
    (2, 'interval=5', 'interval=1'),
]
# The same in the commands, all others of which are run as they are.
CHANGED_COMMANDS = [
    (2, '--reference 0.8892', '--reference 0'),  # the verdict on random weights is no
    (1, '--reference 0.8\n', '--reference 0\n'),
    (1, '--int8 --output', '--int8 --max_drop 1 --allow_unproven --output'),  # nor does int8 keep their top-1
    (2, '.py --runs', '.py --max_drop 1 --allow_unproven --runs'),  # nor do five videos prove anything
    (1, '--loop 100', '--loop 2'),  # which takes a while on a CPU
    (2, ' --work_dir work_dirs/demo', ''),  # where no demo has run
    (1, '--calibration_bins', '--calibration_samples 3 --calibration_bins'),  # there are 3 training videos
]


def replace_all(text, rows):
    for count, old, new in rows:
        assert text.count(old) == count, old
        text = text.replace(old, new)
    return text


def test_commands_run_as_printed(tmp_path):
    scratch, files = tmp_path / 'r2plus1d', tmp_path / 'files'
    scratch.mkdir()
    files.mkdir()
    make_scratch(scratch)
    config = scratch / 'r2plus1d_r34_8x8x1_180e_ucf101_rgb2.py'
    config.write_text(re.sub(r'(?ms)^classes = \[.*?\]', f'classes = {sorted({name.split("/")[0] for name in VIDEOS})}',
                             replace_all(config.read_text(), SMALLER)))
    git(scratch, 'init', '-q')
    git(scratch, 'add', '--all')
    git(scratch, 'commit', '-q', '-m', 'what a clone has')

    make_videos(tmp_path / 'UCF-101')
    with tarfile.open(files / 'UCF101.rar', 'w') as f:
        f.add(tmp_path / 'UCF-101', 'UCF-101')
    write_annotation_zip(files / 'UCF101TrainTestSplits-RecognitionTask.zip')
    save_random_checkpoint(config, files / K400)
    shutil.copy(files / K400, files / 'best_top1_acc_epoch_35.pth')

    for seed in range(9):
        name = f'{("jump", "rest", "stand up")[seed % 3]}/my clip {"abc"[seed // 3]}.avi'
        make_video(scratch / 'my_videos' / name, 40, seed)

    commands = page_commands()
    # CANN's set_env.sh, where its installer puts it, below another root.
    stand_in = ('source() { if [ "$1" = /usr/local/Ascend/ascend-toolkit/set_env.sh ]; '
                'then builtin source "$CANN_SYSTEM_ROOT$1"; else builtin source "$@"; fi; }')
    # The examples of --help that are not among them.
    commands += sorted({command for script in PYTHON_SCRIPTS for command in examples(script)} - {*commands})
    commands = [f'echo "+ {i}, second $SECONDS"\n{command}' for i, command in enumerate(commands)]
    script = '\n'.join(['unset PYTHONWARNINGS', stand_in, 'set -euo pipefail', *commands])
    script = replace_all(script, CHANGED_COMMANDS)
    server = npu_server(tmp_path / 'server')
    done = run('bash', '-c', f'umask 0002\n{script}', cwd=scratch, check=False,
               env=dict(server, STAND_IN_FILES=str(files)))
    (tmp_path / 'log').write_text(done.stdout + done.stderr)
    assert done.returncode == 0, f'{done.stdout[-3000:]}\n{done.stderr[-3000:]}'

    for bs in (1, 16):
        assert json.loads((scratch / f'r2plus1d_bs{bs}.om').read_text())['shape'] == [bs, 3, 3, 8, 256, 256]
    assert 'for Ascend310P3' in done.stdout  # the name from npu-smi
    results = {bs: json.loads((scratch / f'result_bs{bs}.json').read_text()) for bs in (1, 16)}
    assert results[1] == results[16] and results[1]['num_videos'] == 5
    assert 'inference of ./r2plus1d_bs16.om on NPU 0' in done.stdout
    for path, count in (('result_om_int8.json', 5), ('r2plus1d_int8_bs16.om', None)):
        assert (scratch / path).is_file() and (not count or json.loads((scratch / path).read_text())['num_videos'] == 5)
    assert json.loads((scratch / 'fullframe.json').read_text())['views'] == [3, 1]
    assert len(list((scratch / 'predata_bts1').glob('*.bin'))) == 5
    assert list((scratch / 'work_dirs').glob('*/epoch_1.pth'))
    assert done.stdout.count('\nsuccess\n') >= 7 and 'Run testcase success!' in done.stdout
    assert (scratch / 'report/index.html').is_file()
    rows = [json.loads(line) for line in (scratch / 'work_dirs/mine/predictions.jsonl').read_text().splitlines()]
    assert len(rows) == 9 and {*rows[0]['classes']} == {'jump', 'rest', 'stand up'}

    assert find_alarms(done.stdout + done.stderr) == []
    # Everything that the commands have made is ignored by git.
    assert git(scratch, 'status', '--short', '--untracked-files=all') == ''

    # Set-up: done is done. A source that the user put in the place of ours is kept, and patched once. Another version
    # of the repository has another patch: mmcv, which set-up has unpacked itself, is made anew.
    assert 'nothing to do' in run('bash', 'setup.sh', cwd=scratch, env=server).stdout
    for source in ('mmaction2', 'mmcv'):
        (scratch / source / 'mine').touch()
    patch = next((scratch / 'patches' / 'mmaction2').glob('0003*'))
    run('git', 'apply', '-R', patch, cwd=scratch / 'mmaction2', env={'GIT_CEILING_DIRECTORIES': str(scratch)})
    changed = next((scratch / 'patches' / 'mmcv').glob('0002*'))
    changed.write_text(changed.read_text().replace('+    import numpy as np\n', '+    import numpy as np  # here\n'))
    again = run('bash', 'setup.sh', cwd=scratch, env=server).stdout
    assert again.count('applied patches/mmaction2') == 1 and patch.name in again
    assert 'patches/mmcv has changed: ./mmcv is made anew' in again and 'patches/mmaction2 has changed' not in again
    assert (scratch / 'mmaction2/mine').exists() and not list(scratch.glob('.setup.*'))
    assert (scratch / 'mmcv.old.1/mine').exists() and not (scratch / 'mmcv/mine').exists()
    assert (scratch / 'mmcv/mmcv/runner/checkpoint.py').read_text().count('_allow_numpy_scalars():') == 1
    changes = git(scratch, 'status', '--short', '--untracked-files=all')
    assert changes.split() == ['M', str(changed.relative_to(scratch))]
