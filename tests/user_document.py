"""The user's own document: its GraphQL examples, word for word, and what its page sends with them."""

from __future__ import annotations

VECTORIZED = """
mutation RunVectorizedBacktest($input: BacktestInput!) {
  run_vectorized_backtest(input: $input) {
    status
    strategy {
      fast_ma_period
      slow_ma_period
    }
    data {
      Date
      portfolio_value
      signal
    }
    metrics {
      total_return
      sharpe_ratio
      max_drawdown
      win_rate
      profit_factor
      total_trades
      winning_trades
      losing_trades
    }
  }
}
"""

VECTORIZED_CAMEL = """
mutation RunVectorizedBacktest($input: BacktestInput!) {
  runVectorizedBacktest(input: $input) {
    status
    strategy {
      fastMaPeriod
      slowMaPeriod
    }
    data {
      Date
      portfolioValue
      signal
    }
    metrics {
      totalReturn
      sharpeRatio
      maxDrawdown
      winRate
      profitFactor
      totalTrades
      winningTrades
      losingTrades
    }
  }
}
"""

ML_WITH_FILE = """
mutation RunMLBacktestWithFile($file: Upload!, $input: MLBacktestInput!) {
  run_ml_backtest_with_file(ml_model_file: $file, input: $input) {
    id
    symbol
    status
    data {
      Date
      portfolio_value
      signal
    }
    metrics {
      strategy_name
      total_return
      sharpe_ratio
      max_drawdown
      win_rate
    }
    winning_trades
    losing_trades
    total_trades
    profit_factor
  }
}
"""

ML = """
mutation RunMLBacktest($input: MLBacktestInput!) {
  runMlBacktest(input: $input) {
    id
    symbol
    status
    metrics {
      totalReturn
      sharpeRatio
      maxDrawdown
      winRate
    }
    data {
      Date
      portfolioValue
    }
    totalTrades
    winningTrades
    losingTrades
  }
}
"""

ML_WITH_FILE_INPUT = {
    "user_id": "user123",
    "symbol": "BTCUSDT",
    "fetch_input": {"symbol": "BTCUSDT", "interval": "1d", "limit": 1000},
    "threshold": 0.6,
    "feature_columns": ["Open", "High", "Low", "Close", "Volume"],
    "initCash": 10000.0,
}

ML_INPUT = {
    "userId": "user123",
    "symbol": "BTCUSDT",
    "fetchInput": {"symbol": "BTCUSDT", "interval": "1d", "limit": 1000},
    "mlModel": {
        "modelPath": "/path/to/your/model.pkl",
        "featureColumns": ["Open", "High", "Low", "Close", "Volume"],
        "threshold": 0.6,
    },
    "period": "1D",
    "initCash": 10000.0,
    "fees": 0.001,
    "slippage": 0.001,
}

SNAKE_INPUT = {
    "user_id": "user123",
    "symbol": "BTCUSDT",
    "fetch_input": {"symbol": "BTCUSDT", "interval": "1d", "limit": 1000},
    "initCash": 10000.0,
}
CAMEL_INPUT = {
    "userId": "user123",
    "symbol": "BTCUSDT",
    "fetchInput": {"symbol": "BTCUSDT", "interval": "1d", "limit": 1000},
    "period": "1D",
    "initCash": 10000.0,
    "fees": 0.001,
    "slippage": 0.001,
}
