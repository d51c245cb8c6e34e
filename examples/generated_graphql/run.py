"""Run backtests with a client that ariadne-codegen generates from the schema and `queries.graphql`.

    pip install ariadne-codegen
    ariadne-codegen --config ariadne.toml
    PYTHONPATH=. python run.py http://127.0.0.1:5050/graphql model.onnx

`ariadne.toml` names the address of the running service, from which the schema is read.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from graphql_client import Client, Engine, MLBacktestInput, RsiParams, RunBacktestInput, StrategyInput, Upload

USER = "generated"
MARKET = {"symbol": "BTCUSDT", "interval": "1h", "source": "simulated", "seed": 7, "limit": 800}


async def main(url: str, model_path: Path) -> None:
    async with Client(url) as client:
        asked = RunBacktestInput(
            user_id=USER,
            strategy=StrategyInput(rsi=RsiParams(length=5)),
            engine=Engine.EVENT_DRIVEN,
            stop_loss=0.05,
            **MARKET,
        )
        run = (await client.run_backtest(asked)).run_backtest
        print(f"strategy: {run.total_return:.2f} %, {run.judgement.verdict.level.value}, {run.fills[0].reason.value}")

        with model_path.open("rb") as stream:
            upload = Upload(model_path.name, stream, "application/octet-stream")
            asked_of_model = MLBacktestInput(user_id=USER, threshold=0.55, **MARKET)
            with_model = (await client.run_model_backtest(upload, asked_of_model)).run_ml_backtest_with_file
        print(f"model: {with_model.total_return:.2f} %, {with_model.judgement.verdict.level.value}")

        listed = (await client.list_backtests(USER)).backtests
        print(
            "listed:", [f"{edge.node.strategy.name}, {edge.node.metrics.total_trades} trades" for edge in listed.edges]
        )
        stored = (await client.get_backtest(run.id)).backtest
        print("read:", stored.id == run.id, stored.settings.init_cash)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
