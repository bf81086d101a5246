# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""What all shell scripts have in common, and what set-up and the demo do to the folders that they are given."""
import os
import re
import shutil
import signal
import subprocess

import pytest
from conftest import CONFIG, ROOT, fails, list_files, run
from runs import processes, wait_for

SECONDS = 20

SCRIPTS = sorted(str(path.relative_to(ROOT)) for path in [*ROOT.glob('*.sh'), *ROOT.glob('*/*.sh')]
                 if path.read_text(encoding='utf-8').startswith('#!'))


@pytest.fixture
def copy(tmp_path):
    """The shell scripts, in a folder of their own; its set-up ends at once, with status 7."""
    folder = tmp_path / 'copy'
    for name in ('benchmarks', 'cluster', 'demo', 'test'):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns('__pycache__', '*.pth'))
    (folder / 'setup.sh').write_text('exit 7\n')
    return folder


def shell(folder, script, *arguments, **environment):
    environment = {'VIRTUAL_ENV': '', 'CONDA_PREFIX': '', **environment}
    return run('bash', script, *arguments, cwd=folder, env=environment, check=False)


def write_files(folder, names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('x')


# ---- options ---------------------------------------------------------------------------------------


OPTIONS = {'test/pth2om.sh': '--aoe    # AOE', 'test/eval_acc_perf.sh': '--tolerance "0.01"    # how'}


@pytest.mark.parametrize('script', SCRIPTS)
def test_help_and_slips(copy, script):
    """Help with an example and the options; an unknown option is refused; and both before anything is made."""
    if script == 'setup.sh':
        shutil.copy(ROOT / script, copy)
    before = list_files(copy)
    more = ['--batch_sizes', '4'] if script in OPTIONS else []
    for option in ('-h', '--help'):
        done = shell(copy, script, *more, option)
        assert done.returncode == 0 and f'bash {script}' in done.stdout and not done.stderr
        assert f'  {OPTIONS.get(script, "--help")}' in done.stdout and '  --help' in done.stdout
        assert 'set -euo' not in done.stdout
    if script not in ('test/atc.sh', 'test/run_tests.sh'):  # whose options are those of ATC and pytest
        done = shell(copy, script, '--no_such_thing', '1')
        assert done.returncode == 2 and '--no_such_thing: unknown' in done.stderr and '--help' in done.stderr
        assert done.stderr.count('\n') == 1
    assert list_files(copy) == before


@pytest.mark.parametrize('script, options, words', [
    *((script, options, [words]) for script in ('pth2om.sh', 'eval_acc_perf.sh') for options, words in (
        ('--no=1', '--no'), ('config', 'config'), ('--config=no.py', 'no.py'), ('--batch_sizes=1 x', '"1 x"'),
        ('--batch_sizes=0', '"0"'), ('--batch_sizes=-1', '"-1"'), ('--config', 'value'))),
    ('pth2om.sh', '--checkpoint=no.pth', ['no.pth']),
    *(('eval_acc_perf.sh', option, option.split('=')) for option in (
        '--reference=abc', '--reference=-inf', '--reference=nan', '--reference=88.92', '--tolerance=inf',
        '--tolerance=-0.1', '--average_clips=mean', '--device=0;1', '--precision=f8')),
    ('eval_acc_perf.sh', '--datasets_path=./data/ucf101', ['--datasets_path']),
])
def test_arguments_are_refused_before_any_work(tmp_path, script, options, words):
    """A reference that is no number was noticed after hours of inference."""
    (tmp_path / 'model.pth').touch()
    needed = ['--checkpoint', 'model.pth'] if script == 'pth2om.sh' and 'checkpoint' not in options else []
    done = shell(tmp_path, ROOT / 'test' / script, *needed, options)
    fails(done, 2, *words)
    assert done.stderr.count('\n') == 1
    assert list_files(tmp_path) == ['model.pth']


@pytest.mark.parametrize('work_dir, words', [
    ('file', 'is a file'), ('file/folder', 'cannot be made'), ('/proc/folder', 'cannot be made'),
    ('.', 'run test/pth2om.sh first')])
def test_an_evaluation_refuses_a_folder(tmp_path, work_dir, words):
    """One that cannot be made, and one without a model."""
    (tmp_path / 'file').touch()
    done = shell(tmp_path, ROOT / 'test/eval_acc_perf.sh', '--config', CONFIG, '--work_dir', work_dir)
    assert done.returncode == 1 and words in done.stderr and done.stderr.endswith('fail!\n') and not done.stdout
    assert (work_dir == '.' or work_dir in done.stderr) and list_files(tmp_path) == ['file']


def names_of(session):
    """Of its processes' programs; some end while they are looked at."""
    return run('cat', '/dev/null', *(f'/proc/{pid}/comm' for pid in processes(session)), check=False).stdout


@pytest.mark.parametrize('number, status, victim', [('TERM', 143, 'sleep'), ('INT', 130, 'sleep'), ('HUP', 129, 'deaf'),
                                                    ('KILL', 137, 'sleep')])
def test_a_script_ends_with_what_it_has_started(tmp_path, number, status, victim):
    """Also with a process of its command that is deaf to SIGTERM; and where the script is killed, by the kernel."""
    (tmp_path / 'deaf').write_text("trap '' TERM HUP INT\n(sleep 97.5) &\nwait\nwait\n")
    command = 'sleep 97.5' if victim == 'sleep' else f'bash {tmp_path}/deaf'
    script = f'. "{ROOT}/test/shell.sh"; end_together; run {command}; echo went on'
    with subprocess.Popen(['bash', '-c', script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          start_new_session=True,
                          preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL)) as process:  # nohup
        wait_for(lambda: 'sleep' in names_of(process.pid))
        os.kill(process.pid, getattr(signal, f'SIG{number}'))
        stdout, stderr = process.communicate(timeout=30)
        assert process.returncode % 256 in (status, 256 - 9) and not stdout
        assert number == 'KILL' or stderr.endswith('fail!\n')
        wait_for(lambda: not processes(process.pid), 10)


# ---- folders that the demo and its training are given ----------------------------------------------


@pytest.mark.parametrize('script', ['demo/run.sh', 'demo/train.sh'])
@pytest.mark.parametrize('folder', ['keep', '.', 'keep/../keep'])
def test_a_folder_of_the_user_is_left_alone(copy, script, folder):
    write_files(copy / 'keep', ['notes.txt', 'data/ucf101/videos/a.avi', 'r2plus1d.onnx', 'report/index.html'])
    before = list_files(copy)
    done = shell(copy, script, folder)
    assert done.returncode == 2 and 'this script has not made them' in done.stderr
    assert list_files(copy) == before


# ---- a fresh machine -------------------------------------------------------------------------------


def test_fresh_debian_is_for_root_and_shares_only_folders_that_exist(copy):
    done = shell(copy, 'test/fresh_debian.sh', '--share', '/no/such/folder')
    assert done.returncode == 2
    assert re.search('/no/such/folder: no such folder|only root|no debootstrap', done.stderr)


def test_commands_of_the_readme_need_only_what_it_names():
    """The first word of each command is of the shell, of Debian's essential packages or of Python, or is in a table."""
    base = {'bash', 'cd', 'mkdir', 'mv', 'source', 'head', 'python', 'python3', 'chip_name=310P3'}
    for name in ('README.md', 'README.en.md'):
        text = (ROOT / name).read_text(encoding='utf-8')
        blocks = re.findall(r'^ *```bash\n(.*?)^ *```', text, re.M | re.S)
        words = {line.split()[0] for block in blocks for line in block.splitlines() if line.strip()}
        table = '\n'.join(line for line in text.splitlines() if line.startswith('| '))
        missing = {word for word in words - base if word not in table}
        assert missing <= {'npu-smi'}, name  # which comes with an NPU's driver


@pytest.mark.parametrize('command, content', [('true', None), ('echo {}', '{}\n'), ('false', None)])
def test_a_file_of_output_appears_whole_or_not_at_all(tmp_path, command, content):
    """compare.json of a quick pass without data, where the comparison prints nothing, was an empty file."""
    done = run('bash', '-c', f'. "{ROOT}/test/shell.sh"; step_to "{tmp_path}/compare.json" compare {command}',
               check=False)
    assert [path.read_text() for path in tmp_path.iterdir()] == ([] if content is None else [content])
    assert (done.returncode, done.stderr.endswith('fail!\n')) == ((1, True) if command == 'false' else (0, False))


def test_the_image_runs_as_an_ordinary_user():
    """What a container of root writes into a mounted folder belongs to root."""
    users = re.findall(r'^USER (\S+)', (ROOT / 'cluster/Dockerfile').read_text(encoding='utf-8'), re.M)
    manifest = (ROOT / 'cluster/rayjob.yaml').read_text(encoding='utf-8')
    assert users[-1] == '1000' and manifest.count('runAsNonRoot: true, fsGroup: 1000') == manifest.count('containers:')
