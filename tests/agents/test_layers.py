import numpy as np
import torch

from wavetank.agents.layers import ScalerLayer, Tanh
from wavetank.agents.scaling import Scaler


def hard_rows(width: int) -> np.ndarray:
    rng = np.random.default_rng(3)
    return (rng.standard_normal((2_000, width)) * 10.0 ** rng.integers(-12, 12, (2_000, width))).astype(np.float32)


def awkward_scaler(width: int) -> Scaler:
    rng = np.random.default_rng(4)
    clip = np.where(np.arange(width) % 3 == 0, np.inf, 10.0)
    return Scaler(rng.standard_normal(width) * 100, rng.random(width) + 1e-6, clip)


def test_scaler_layer_equals_the_numpy_scaler_to_the_last_bit() -> None:
    scaler, rows = awkward_scaler(9), hard_rows(9)
    layer = ScalerLayer(scaler)(torch.from_numpy(rows)).numpy()
    assert layer.dtype == np.float32
    assert np.array_equal(layer, scaler.apply(rows))


def test_scaler_layer_has_nothing_to_train_and_nothing_that_a_state_could_narrow() -> None:
    layer = ScalerLayer(awkward_scaler(3))
    assert list(layer.parameters()) == []
    assert layer.state_dict() == {}
    assert layer.spread.dtype == torch.float64


def test_tanh_and_its_slope_are_the_library_s() -> None:
    x = torch.linspace(-12.0, 12.0, 4_001, requires_grad=True)
    other = x.detach().clone().requires_grad_(True)
    torch.autograd.backward(Tanh()(x).sum())
    torch.autograd.backward(torch.tanh(other).sum())
    assert x.grad is not None
    assert other.grad is not None
    assert float((Tanh()(x) - torch.tanh(x)).detach().abs().max()) <= 2e-7
    assert float((x.grad - other.grad).abs().max()) <= 5e-7


def test_a_graph_holds_the_plain_tanh() -> None:
    program = torch.export.export(Tanh(), (torch.zeros(3),))
    assert "aten.tanh.default" in program.graph_module.code.replace("torch.ops.", "")
    assert "sigmoid" not in program.graph_module.code
