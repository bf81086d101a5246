"""The full-size model: its graph, and the chain on one video against PyTorch."""
import numpy as np
import onnx
from conftest import REAL, ROOT, make_video, python
from test_chain import infer, mmaction2_samples, preprocess, torch_model


def test_full_size_graph(full):
    """The graph that ATC has taken: opset 11, input 0, BatchNorm folded in, one file."""
    assert 'batch 2: PyTorch and ONNX differ by' in full.log
    for path in (full.onnx, full.sim):
        model = onnx.load(path, load_external_data=False)
        ops = [node.op_type for node in model.graph.node]
        assert [(o.domain, o.version) for o in model.opset_import] == [('', 11)]
        value, = model.graph.input
        dims = [d.dim_value or d.dim_param for d in value.type.tensor_type.shape.dim]
        assert value.name == '0' and dims == ['-1', 3, 3, 8, 256, 256]
        assert ops.count('Conv') == 72 and ops.count('Relu') == 69 and ops.count('Add') == 16
        assert set(ops) <= {'Conv', 'Relu', 'Add', 'MaxPool', 'GlobalAveragePool', 'Gemm', 'Reshape', 'Shape',
                            'Gather', 'Unsqueeze', 'Concat', 'Constant'}
        assert not any(w.data_location == onnx.TensorProto.EXTERNAL for w in model.graph.initializer)
        # 63,759,281 parameters less 2 for each BatchNorm channel that is folded in, plus a bias of each Conv
        assert 63.6e6 < sum(int(np.prod(w.dims)) for w in model.graph.initializer) < 63.8e6
    assert sorted(p.name for p in full.folder.glob('*.onnx*')) == ['r2plus1d.onnx', 'r2plus1d_sim.onnx']


def test_full_size_chain_on_one_video(full, tmp_path):
    """avi -> frames -> bin -> scores, against PyTorch on mmaction2's own sample."""
    name = 'ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01'
    video = tmp_path / 'data/ucf101/videos' / f'{name}.avi'
    real = REAL / 'videos' / f'{name}.avi'
    if real.is_file():
        video.parent.mkdir(parents=True)
        video.write_bytes(real.read_bytes())
    else:
        make_video(video, 164, 0)
    python(ROOT / 'mmaction2/tools/data/build_rawframes.py', 'data/ucf101/videos/', 'data/ucf101/rawframes/', '--task',
           'rgb', '--level', '2', '--ext', 'avi', '--use-opencv', cwd=tmp_path)
    (tmp_path / 'data/ucf101/ucf101_val_split_1_rawframes.txt').write_text(f'{name} 164 0\n')
    preprocess(tmp_path, full.config, 'bins')
    infer('--model', full.sim, '--input', 'bins', '--output', 'out', '--outfmt', 'NPY', cwd=tmp_path)
    output, = (tmp_path / 'out').glob('*/*.npy')
    (sample, _), = mmaction2_samples(full.config, tmp_path)
    expected = torch_model(full.config, full.checkpoint)(sample[None])
    np.testing.assert_allclose(np.load(output), expected, rtol=0, atol=1e-4 * max(1, np.abs(expected).max()))
