from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from src.domain.errors import ModelRejected
from src.domain.signals import OutputKind
from src.model_formats.registry import load_model

torch = pytest.importorskip("torch")
nn = torch.nn
NAMES = ("a", "b", "c")
ROWS = np.random.default_rng(0).normal(size=(50, 3))


def scripted(module: Any, folder: Path, *, trace: bool = True) -> Path:
    file = folder / "model.pt"
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        dtype = next((item.dtype for item in module.parameters()), torch.float32)
        made = (
            torch.jit.trace(module.eval(), torch.zeros(1, 3, dtype=dtype)) if trace else torch.jit.script(module.eval())
        )
        made.save(str(file))
    return file


@pytest.mark.parametrize("trace", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_predictions_equal_those_of_module(trace: bool, dtype: Any, tmp_path: Path) -> None:
    module = nn.Sequential(
        nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4, 1), nn.Sigmoid()
    )
    module = module.to(dtype).eval()
    predictor = load_model(scripted(module, tmp_path, trace=trace), ".pt")
    values, kind = predictor.predict(ROWS, NAMES)
    assert kind is OutputKind.PROBABILITY
    assert predictor.description.n_features == 3
    with torch.inference_mode():
        expected = module(torch.from_numpy(ROWS).to(dtype)).numpy()[:, 0]
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize("trace", [True, False])
@pytest.mark.parametrize(
    ("layers", "kind"),
    [
        ((nn.Linear(3, 1), nn.Sigmoid()), OutputKind.PROBABILITY),
        ((nn.Linear(3, 1), nn.Sigmoid(), nn.Flatten(0)), OutputKind.PROBABILITY),
        ((nn.Linear(3, 2), nn.Softmax(1)), OutputKind.PROBABILITY),
        ((nn.LayerNorm(3), nn.Linear(3, 1)), None),
        ((nn.Linear(3, 2),), None),
    ],
)
def test_last_activation_determines_output_kind(
    trace: bool, layers: tuple[Any, ...], kind: OutputKind | None, tmp_path: Path
) -> None:
    predictor = load_model(scripted(nn.Sequential(*layers), tmp_path, trace=trace), ".pt")
    assert predictor.description.output_kind is kind
    assert predictor.description.n_features == 3
    assert predictor.predict(ROWS, NAMES)[0].shape == (50,)


def test_module_in_training_mode_predicts_without_dropout(tmp_path: Path) -> None:
    file = tmp_path / "model.pt"
    module = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.Linear(8, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.script(module.train()).save(str(file))
    predictor = load_model(file, ".pt")
    first, second = (predictor.predict(ROWS, NAMES)[0].tobytes() for _ in range(2))
    assert first == second


class Bare(nn.Module):  # type: ignore[misc, name-defined]
    """A module without parameters: nothing tells how many columns it takes."""

    def forward(self, rows: Any) -> Any:
        return rows.mean(dim=1)


def test_module_of_unknown_width_accepts_any_columns(tmp_path: Path) -> None:
    predictor = load_model(scripted(Bare(), tmp_path), ".pt")
    assert predictor.description.n_features is None
    np.testing.assert_allclose(predictor.predict(ROWS, NAMES)[0], ROWS.mean(axis=1), atol=1e-6)


@pytest.mark.parametrize("suffix", [".pt", ".pth"])
def test_state_dict_is_rejected_with_export_advice(suffix: str, tmp_path: Path) -> None:
    torch.save(nn.Linear(3, 1).state_dict(), tmp_path / f"model{suffix}")
    with pytest.raises(ModelRejected, match="holds a state_dict") as caught:
        load_model(tmp_path / f"model{suffix}", suffix)
    assert "torch.jit.trace(" in caught.value.message


def test_pickled_module_is_rejected_without_unpickling(tmp_path: Path) -> None:
    torch.save(Bare(), tmp_path / "model.pt")
    with pytest.raises(ModelRejected, match="holds a pickled module") as caught:
        load_model(tmp_path / "model.pt", ".pt")
    assert "torch.jit.trace(" in caught.value.message


def test_lone_tensor_is_rejected_by_type(tmp_path: Path) -> None:
    torch.save(torch.zeros(3), tmp_path / "model.pt")
    with pytest.raises(ModelRejected, match="holds a Tensor without the model"):
        load_model(tmp_path / "model.pt", ".pt")


def test_sequence_layers_are_rejected(tmp_path: Path) -> None:
    class Recurrent(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.cells = nn.LSTM(3, 2, batch_first=True)

        def forward(self, rows: torch.Tensor) -> torch.Tensor:  # type: ignore[name-defined]
            return self.cells(rows)[0][:, 0]

    # LSTM would take a table for one long sequence: each row would read those before it.
    with pytest.raises(ModelRejected, match=r"read sequences \(LSTM\)"):
        load_model(scripted(Recurrent(), tmp_path, trace=False), ".pt")


def test_several_outputs_are_rejected(tmp_path: Path) -> None:
    class Two(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 1)

        def forward(self, rows: Any) -> Any:
            return self.layer(rows), rows

    with pytest.raises(ModelRejected, match="several things"):
        load_model(scripted(Two(), tmp_path), ".pt")
