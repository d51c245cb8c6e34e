"""Makes the files of this folder: run with scikit-learn 1.3.2 (numpy 1.26) from this folder."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.ensemble import (
    AdaBoostClassifier,
    GradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

FOLDER = Path(__file__).parent
ROWS = np.random.default_rng(3).normal(size=(60, 3)).round(3)
RISES = (ROWS[:, 0] + 0.5 * ROWS[:, 1] ** 2 > 0.2).astype(int)

MODELS: dict[str, Any] = {
    "pipeline": make_pipeline(StandardScaler(), LogisticRegression()),
    "svc": make_pipeline(StandardScaler(), SVC()),
    "forest_regressor": RandomForestRegressor(2, max_depth=2, random_state=0),
    "adaboost_samme_of_lines": AdaBoostClassifier(LogisticRegression(), n_estimators=3, algorithm="SAMME"),
    "tree": DecisionTreeClassifier(max_depth=2),
    "forest": RandomForestClassifier(2, max_depth=2, random_state=0),
    "adaboost": AdaBoostClassifier(n_estimators=3, random_state=0),
    "gradient_boosting": GradientBoostingClassifier(n_estimators=2, max_depth=1),
    "imputer": make_pipeline(SimpleImputer(), LogisticRegression()),
}

if __name__ == "__main__":
    np.savetxt(FOLDER / "rows.csv", ROWS, delimiter=",", fmt="%.3f")
    for name, model in MODELS.items():
        model.fit(ROWS, RISES)
        said = model.predict_proba(ROWS)[:, 1] if hasattr(model, "predict_proba") else model.predict(ROWS)
        (FOLDER / f"{name}.pkl").write_bytes(pickle.dumps(model))
        np.savetxt(FOLDER / f"{name}.csv", said)
