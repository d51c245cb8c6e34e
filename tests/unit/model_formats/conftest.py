from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from tests.model_factory import make_model_files, require_libraries, train_network, training_table


@pytest.fixture(scope="session")
def model_files(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """One file of each format, all holding the same network, and two of boosted trees."""
    require_libraries()
    return make_model_files(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def network() -> Pipeline:
    return train_network()[0]


@pytest.fixture(scope="session")
def table() -> pd.DataFrame:
    """Complete features, a row a bar."""
    return training_table()[0]


@pytest.fixture(scope="session")
def rises() -> NDArray[np.int64]:
    return training_table()[1]
