# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""r2plus1d_predict.py --ray: on two nodes of one machine with a pretended NPU each, and what dies there.

    ROUNDS=20 python -m pytest test/unit/test_ray.py -k loss       # 20 rounds of each loss; one without ROUNDS
"""
import http.server
import json
import os
import random
import shutil
import signal
import socketserver
import subprocess
import sys
import threading
import time

import filelock
import pytest
import runs
from conftest import ROOT, STAND_INS, VIDEOS, call, run
from runs import wait_for
from test_names import NAMES
from test_predict import check_same_rows, read_rows

ray = pytest.importorskip('ray', reason='Ray is optional')
from ray import cloudpickle  # noqa: E402
from ray.cluster_utils import Cluster  # noqa: E402

import r2plus1d.cluster  # noqa: E402

SECONDS = 75
ROUNDS = range(int(os.environ.get('ROUNDS', 1)))
COUNT = 24
NODE = {'num_cpus': 1, 'resources': {'NPU': 1}, 'object_store_memory': 10**8}


@pytest.fixture(scope='module')
def archive(dataset, small, tmp_path_factory):
    """A folder with COUNT videos of odd names, one that is damaged, and .om models of batch sizes 1 and 4."""
    folder = tmp_path_factory.mktemp('archive')
    videos = sorted(dataset.glob('data/ucf101/videos/*/*.avi'))
    assert len(videos) == len(VIDEOS)
    (folder / 'clips').mkdir()
    for i, name in enumerate([*NAMES.values(), os.fsdecode('视频'.encode('gbk'))][1:]):
        shutil.copy(videos[i % len(videos)], folder / f'clips/{name}.avi')
    assert len(list((folder / 'clips').iterdir())) == COUNT
    (folder / 'clips/bad.avi').write_text('no video')
    (folder / 'classes.txt').write_text('1 ApplyEyeMakeup\n2 Basketball\n3 YoYo\n')
    for batch_size in (1, 4):
        path = folder / f'm_bs{batch_size}.om'
        path.write_text(json.dumps({'onnx': str(small.sim), 'shape': [batch_size, 3, 3, 8, 256, 256]}))
        path.chmod(0o640)
    return folder


def options(small, model, output):
    return ['--model', model, '--config', small.config, '--classes', 'classes.txt', '--video', 'clips', '--precision',
            'f32', '--output', output]


@pytest.fixture(scope='module')
def rows(archive, small):
    """The rows of a run without Ray, by the engine with which the stand-in of the NPU computes."""
    run(sys.executable, ROOT / 'r2plus1d_predict.py', *options(small, small.sim, 'plain.jsonl'), '--backend',
        'onnxruntime', cwd=archive, check=False)
    rows = read_rows(archive / 'plain.jsonl')
    assert len(rows) == COUNT + 1
    return rows


@pytest.fixture(scope='module')
def cluster():
    """A head without devices and two nodes with a pretended NPU each."""
    environment = {'PYTHONPATH': os.pathsep.join([str(STAND_INS), str(ROOT)]),
                   'PATH': f'{STAND_INS}{os.pathsep}{os.environ["PATH"]}',
                   'STAND_IN_LATENCY_MS': '60', 'RAY_USAGE_STATS_ENABLED': '0', 'OMP_NUM_THREADS': '1'}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        for module in (sys.modules[__name__], runs):  # which are not on the path of the nodes
            cloudpickle.register_pickle_by_value(module)
        cluster = Cluster(initialize_head=True, head_node_args={'num_cpus': 0, 'object_store_memory': 10**8})
        cluster.npu_nodes = [cluster.add_node(**NODE), cluster.add_node(**NODE)]
        yield cluster
        ray.shutdown()
        cluster.shutdown()


class OneSession(r2plus1d.cluster.Worker):
    """Fails where another process has a session on this device of this node. It sees one device, number 0."""

    def start(self):
        device = int(os.environ['ASCEND_RT_VISIBLE_DEVICES'])
        node = ray.get_runtime_context().get_node_id()
        self.lock = filelock.FileLock(os.path.join(self.folder, f'device-{node}-{device}'))
        self.lock.acquire(timeout=5)  # the process of a session ends a moment after that of its actor
        return super().start()


@pytest.fixture
def predict(archive, cluster, small, rows, monkeypatch):
    """A function that predicts on the cluster, with this process as the driver, and compares the rows.

    All are as without Ray, but for the video FATAL, for which every actor is lost.
    """
    monkeypatch.setattr(r2plus1d.cluster, 'LOOK_SECONDS', 0.2)

    def predict(output, model='m_bs1.om', worker=OneSession, fatal=None):
        monkeypatch.setattr(r2plus1d.cluster, 'Worker', worker)
        done = call('r2plus1d_predict', *options(small, model, output), '--ray', cluster.address, cwd=archive,
                    check=False)
        assert done.returncode == 1 and f'{2 if fatal else 1} of 25 videos failed' in done.stderr, done.stderr
        found, expected = read_rows(archive / output), dict(rows)
        if fatal:
            del expected[fatal]
            assert f'{fatal}: failed 3 times' in found.pop(fatal)['error']
        check_same_rows(found, expected)
        return done.stderr

    return predict


def count_rows(path):
    return path.read_bytes().count(b'\n') if path.exists() else 0


# ---- the same rows -------------------------------------------------------------------------------------


def test_two_nodes_give_the_same_rows(archive, predict, monkeypatch):
    """At batch size 4: 25 videos, one of them damaged. It says what it waits for while the actors start."""
    monkeypatch.setattr(r2plus1d.cluster, 'STALL_SECONDS', 0.2)
    said = predict('two_nodes.jsonl', 'm_bs4.om')
    assert 'no progress for 0.2 s; waiting for 2 actors, 2 of which have not started yet' in said
    assert len(list(archive.glob('device-*'))) == 2  # both have worked


def test_local_gives_the_same_rows(archive, small, rows):
    """Ray on this machine, without an NPU."""
    done = run(sys.executable, ROOT / 'r2plus1d_predict.py', *options(small, small.sim, 'local.jsonl'), '--backend',
               'onnxruntime', '--batchsize', 4, '--ray', 'local', cwd=archive, check=False)
    assert done.returncode == 1 and '1 of 25 videos failed' in done.stderr, done.stderr
    check_same_rows(read_rows(archive / 'local.jsonl'), rows)


# ---- losses --------------------------------------------------------------------------------------------


@pytest.mark.parametrize('number', ROUNDS)
@pytest.mark.parametrize('way', ['raises', 'is_killed'])
def test_loss_of_actors(rows, predict, monkeypatch, tmp_path, number, way):
    """Two videos end their actor once; one video does it each time."""
    good = sorted(key for key, row in rows.items() if 'error' not in row)
    first, second, fatal = random.Random(number).sample(good, 3)
    once = {path: tmp_path / str(i) for i, path in enumerate((first, second))}

    class Mortal(OneSession):

        def infer(self, tasks):
            for path in (task.video.path for task in tasks):
                if path == fatal or path in once and not once[path].exists():
                    once.get(path, tmp_path / 'fatal').touch()
                    if way == 'is_killed':
                        os.kill(os.getpid(), signal.SIGKILL)
                    raise RuntimeError('a fault of the test')
            return super().infer(tasks)

    monkeypatch.setattr(r2plus1d.cluster, 'MOST_TRIES', 3)
    predict(f'{way}{number}.jsonl', worker=Mortal, fatal=fatal)
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize('number', ROUNDS)
def test_loss_of_a_node(archive, cluster, predict, number):
    """One of two nodes dies at a third of the work."""
    output = archive / f'node{number}.jsonl'
    rows_at_loss = []

    def kill_node():
        wait_for(lambda: count_rows(output) > COUNT // 3)
        rows_at_loss.append(count_rows(output))
        cluster.remove_node(cluster.npu_nodes.pop(number % 2), allow_graceful=False)

    killer = threading.Thread(target=kill_node)
    killer.start()
    predict(output.name)
    killer.join()
    cluster.npu_nodes.append(cluster.add_node(**NODE))
    assert rows_at_loss[0] < COUNT


@pytest.mark.parametrize('number', ROUNDS)
def test_loss_of_the_driver(archive, cluster, small, predict, number):
    """It is killed after a few rows; the same command continues."""
    output = archive / f'driver{number}.jsonl'
    command = [sys.executable, ROOT / 'r2plus1d_predict.py', *options(small, 'm_bs1.om', output), '--ray',
               cluster.address]
    with subprocess.Popen(list(map(str, command)), cwd=archive, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as driver:
        wait_for(lambda: count_rows(output) > number % (COUNT // 2))
        driver.kill()
    before = output.read_bytes()
    assert count_rows(output) < COUNT
    assert 'videos are done' in predict(output.name)
    assert output.read_bytes().startswith(before[:before.rindex(b'\n') + 1])


def test_a_node_that_joins_is_used(cluster, predict, tmp_path):
    """The only node goes on when a second one has joined, which then takes a part of the videos."""

    class Patient(OneSession):

        def infer(self, tasks):
            (tmp_path / ray.get_runtime_context().get_node_id()).touch()
            wait_for(lambda: len(list(tmp_path.iterdir())) > 1)
            return super().infer(tasks)

    cluster.remove_node(cluster.npu_nodes.pop())
    joined = []

    def join_cluster():
        wait_for(lambda: list(tmp_path.iterdir()))
        # Cluster.add_node() is for the main thread alone.
        command = [sys.executable, '-m', 'ray.scripts.scripts', 'start', f'--address={cluster.address}', '--num-cpus=1',
                   '--resources={"NPU": 1}', '--object-store-memory=100000000', '--block']
        joined.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

    joining = threading.Thread(target=join_cluster)
    joining.start()
    predict('joined.jsonl', worker=Patient)
    joining.join()
    joined[0].terminate()
    joined[0].wait()
    cluster.npu_nodes.append(cluster.add_node(**NODE))
    assert len(list(tmp_path.iterdir())) == 2


# ---- what cannot begin ---------------------------------------------------------------------------------


class Silent(socketserver.BaseRequestHandler):
    """Takes a connection and says nothing."""

    def handle(self):
        self.request.recv(1000)
        time.sleep(30)


@pytest.fixture(params=[None, Silent, http.server.BaseHTTPRequestHandler])
def no_head(request):
    """An address at which no head of a cluster answers."""
    with socketserver.ThreadingTCPServer(('127.0.0.1', 0), request.param) as server:
        server.daemon_threads, server.block_on_close = True, False
        if request.param:
            threading.Thread(target=server.serve_forever, daemon=True).start()
        else:
            server.socket.close()
        yield f'127.0.0.1:{server.server_address[1]}'
        if request.param:
            server.shutdown()


def fault(archive, small, model, address):
    """The only line that a run ends with."""
    done = call('r2plus1d_predict', *options(small, model, 'none.jsonl'), '--ray', address, cwd=archive, check=False)
    assert done.returncode == 1 and not done.stdout
    return done.stderr.splitlines()[-1]


def test_what_is_no_head_is_said_at_once(archive, small, no_head):
    began = time.monotonic()
    assert f'no head of a cluster answers at {no_head}: ' in fault(archive, small, 'm_bs1.om', no_head)
    assert time.monotonic() - began < 10


def test_faults_are_one_line(archive, cluster, small, monkeypatch):
    (archive / 'broken.om').write_text('{}')
    (archive / 'broken.om').chmod(0o640)
    assert 'broken.om' in fault(archive, small, 'broken.om', cluster.address)
    monkeypatch.setattr(r2plus1d.cluster, 'device_kind', lambda args: 'GPU')
    assert 'has no GPU' in fault(archive, small, small.sim, cluster.address)
    monkeypatch.setattr(r2plus1d.cluster, 'ray', None)
    assert 'pip install "ray[data]"' in fault(archive, small, 'm_bs1.om', cluster.address)
