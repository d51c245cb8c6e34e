"""The 14 features made a second time, with pandas: what ours and every model are checked against."""

from __future__ import annotations

import pandas as pd

from src.domain.bars import Bars


def pandas_features(bars: Bars) -> pd.DataFrame:
    """Return the 14 columns, NaN where the past is too short."""
    frame = pd.DataFrame(
        {"Open": bars.open, "High": bars.high, "Low": bars.low, "Close": bars.close, "Volume": bars.volume}
    )
    close, volume = frame["Close"], frame["Volume"]
    for length in (5, 10, 20):
        frame[f"SMA_{length}"] = close.rolling(length).apply(lambda window: window.mean(), raw=True)
    frame["Returns"] = close.pct_change()
    frame["Returns_5"] = close.pct_change(5)
    for length in (5, 10):
        # rolling().std() carries rounding from bar to bar; each window on its own is the definition itself.
        frame[f"Volatility_{length}"] = (
            frame["Returns"].rolling(length).apply(lambda window: window.std(ddof=1), raw=True)
        )
    frame["Volume_SMA_5"] = volume.rolling(5).apply(lambda window: window.mean(), raw=True)
    frame["Volume_Ratio"] = (volume / frame["Volume_SMA_5"]).where(frame["Volume_SMA_5"] > 0)
    return frame
