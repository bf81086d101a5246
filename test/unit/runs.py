# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Commands that a test interrupts: a Run is a process group that can be sent signals and be waited for."""
import os
import subprocess
import time

import forked


class Run:
    """A command in a process group of its own. Its standard error goes to a file, in FOLDER or in LOGS."""

    def __init__(self, folder, *command, env=None, limit=None, logs=None, stdout=os.devnull):
        self.log = (logs or folder) / f'stderr{time.monotonic_ns()}.log'
        self.start([str(word) for word in command], folder, stdout, dict(os.environ, **env or {}), limit)
        self.pid = self.process.pid

    def start(self, command, folder, stdout, env, limit):
        with open(self.log, 'w') as log, open(stdout, 'w') as out:
            self.process = subprocess.Popen(command, cwd=folder, start_new_session=True, stdout=out, stderr=log,
                                            env=env, preexec_fn=limit)

    def has_ended(self):
        return self.process.poll() is not None

    def wait(self):
        """The exit status."""
        return self.process.wait(90)

    def signal(self, number, victim='script'):
        """Send a signal to the script, to one of the processes that it has started, or to all of them."""
        workers = [pid for pid in processes(self.pid) if pid != self.pid]
        try:
            if victim == 'group':
                os.killpg(self.pid, number)
            elif victim == 'script':
                os.kill(self.pid, number)
            elif workers:
                os.kill(workers[0], number)
        except ProcessLookupError:
            pass  # it has ended by itself

    def ended(self):
        """(exit status, text on standard error). Fails if a process of the group goes on."""
        status = self.wait()
        wait_for(lambda: not processes(self.pid), 10)
        return status, self.log.read_text()


class ForkedRun(Run):
    """The same for a Python script, which is forked from a process that has PyTorch imported (forked.py)."""

    def start(self, command, folder, stdout, env, limit):
        for path in (self.log, stdout):
            with open(path, 'w'):
                pass
        self.process = forked.start(command, folder, [stdout, self.log])

    def has_ended(self):
        return self.process.exitcode is not None

    def wait(self):
        self.process.join(90)
        return self.process.exitcode


def processes(session):
    """Ids of the processes of a session that have not ended. Each command of a shell script is a group of its own."""
    found = []
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open(f'/proc/{pid}/stat') as f:
                state, _, _, number = f.read().rpartition(')')[2].split()[:4]
        except OSError:
            continue
        if int(number) == session and state not in 'ZX':
            found.append(int(pid))
    return found


def wait_for(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, 'what was waited for did not happen'
        time.sleep(0.001)
