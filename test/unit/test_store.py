# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""r2plus1d/store.py where the file system has no locks, and the same of test/shell.sh. Ownership: test_ownership.py."""
import errno
import fcntl
import os

import pytest
from conftest import ROOT, run

from r2plus1d.run import InputError
from r2plus1d.store import claim

WORDS = 'this file system has no locks; start no second run with this name'


@pytest.fixture(params=['ENOSYS', 'ENOLCK', 'EOPNOTSUPP'])
def no_locks(request, monkeypatch):
    """What a file system without locks answers; which error it is depends on the kind of file system."""
    def flock(*_):
        raise OSError(getattr(errno, request.param), 'no locks here')

    monkeypatch.setattr(fcntl, 'flock', flock)


def test_without_locks_it_is_said_and_the_work_is_done(tmp_path, no_locks, capsys):
    path = tmp_path / 'f'
    with claim(str(path)) as claimed:
        (tmp_path / 'f.part').write_text('new')
        os.replace(f'{claimed}.part', claimed)
    assert path.read_text() == 'new' and f'{path}: {WORDS}' in capsys.readouterr().err


def test_without_locks_nothing_beside_it_is_taken_for_a_killed_runs(tmp_path, no_locks):
    """It may be that of another run which is at work: that one's files were deleted."""
    (tmp_path / 'f.part').write_text('of another run')
    (tmp_path / 'f.lock').write_text('r2plus1d, process 1 on elsewhere\n')
    with pytest.raises(InputError, match='f.part: is in the way'), claim(str(tmp_path / 'f')):
        pass
    assert (tmp_path / 'f.part').read_text() == 'of another run'
    assert (tmp_path / 'f.lock').read_text() == 'r2plus1d, process 1 on elsewhere\n'


@pytest.mark.parametrize('status, goes_on', [(1, False), (66, True), (71, True)])
def test_a_shell_script_takes_only_a_lock_that_is_held_for_another_run(tmp_path, status, goes_on):
    """flock ends with 1 for that, and with statuses of sysexits.h where there are no locks (util-linux, flock.c)."""
    (tmp_path / 'flock').write_text(f'#!/bin/sh\nexit {status}\n')
    (tmp_path / 'flock').chmod(0o755)
    script = f'. "{ROOT}/test/shell.sh"; work_dir="{tmp_path}/work"; take_work_dir; echo goes on'
    done = run('bash', '-c', script, env={'PATH': f'{tmp_path}{os.pathsep}{os.environ["PATH"]}'}, check=False)
    assert (done.returncode == 0, 'goes on' in done.stdout) == (goes_on, goes_on)
    assert goes_on or 'another run works there' in done.stderr
