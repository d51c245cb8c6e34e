"""Check estimators that need more than arithmetic to predict: all of it must be loaded before the sandbox closes."""

from __future__ import annotations

import pickle
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import pytest_asyncio
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier, RadiusNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from src.sandbox.runner import SandboxedModelRunner
from tests.security.hostile import features, model_file

pytestmark = pytest.mark.asyncio(loop_scope="module")

TABLE = features(rows=80, columns=3)
FRAME = pd.DataFrame(TABLE.values, columns=list(TABLE.names))
RISES = (FRAME["column_0"] > 0).to_numpy().astype(int)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def runner() -> AsyncIterator[SandboxedModelRunner]:
    opened = SandboxedModelRunner(max_children=1)
    yield opened
    await opened.close()


@pytest.mark.parametrize(
    "model",
    [
        KNeighborsClassifier(algorithm="brute"),
        KNeighborsClassifier(metric="cosine"),
        RadiusNeighborsClassifier(50.0, algorithm="brute"),
        KMeans(2, n_init=1, random_state=0),
        MiniBatchKMeans(2, n_init=1, random_state=0),
        make_pipeline(KMeans(3, n_init=1, random_state=0), LogisticRegression()),
        make_pipeline(ColumnTransformer([("scale", StandardScaler(), FRAME.columns)]), LogisticRegression()),
        make_pipeline(ColumnTransformer([("scale", StandardScaler(), FRAME.columns[1:])]), LogisticRegression()),
    ],
    ids=lambda model: repr(model)[:40],
)
async def test_sandboxed_estimator_predicts_as_outside(
    runner: SandboxedModelRunner, tmp_path: Path, model: Any
) -> None:
    model.fit(FRAME, RISES)
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(model))
    predictions = await runner.predict(model_file(tmp_path / "model.pkl"), TABLE, None, None)
    outside = model.predict_proba(FRAME)[:, 1] if hasattr(model, "predict_proba") else model.predict(FRAME)
    np.testing.assert_allclose(predictions.values, outside, rtol=1e-12)
