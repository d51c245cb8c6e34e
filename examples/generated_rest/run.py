"""Run backtests with a client that openapi-python-client generates from the running service.

pip install openapi-python-client
openapi-python-client generate --url http://127.0.0.1:5050/openapi.json
cd backtesting-service-client && python ../examples/generated_client.py http://127.0.0.1:5050 model.onnx
"""

from __future__ import annotations

import sys
from pathlib import Path

from backtesting_service_client import Client
from backtesting_service_client.api.backtests import get_backtest, list_backtests, run_backtest
from backtesting_service_client.api.models import run_model_backtest, upload_model
from backtesting_service_client.models import (
    BacktestRequest,
    BacktestResultResponse,
    BarInterval,
    Direction,
    Engine,
    ModelBacktestForm,
    ModelUploadForm,
    Problem,
    RsiParams,
    StrategyChoice,
)
from backtesting_service_client.types import File

USER = "generated"
MARKET = {"symbol": "BTCUSDT", "interval": BarInterval.HOUR_1, "source": "simulated", "seed": 7, "limit": 800}


def main(url: str, model_path: Path) -> None:
    with Client(url, timeout=60) as client:
        request = BacktestRequest(
            user_id=USER,
            strategy=StrategyChoice(rsi=RsiParams(length=5)),
            engine=Engine.EVENT_DRIVEN,
            direction=Direction.LONG,
            stop_loss=0.05,
            **MARKET,
        )
        of_strategy = run_backtest.sync(client=client, body=request)
        show("strategy", of_strategy)

        with model_path.open("rb") as stream:
            form = ModelBacktestForm(file=File(stream, model_path.name), user_id=USER, threshold=0.55, **MARKET)
            show("model", run_model_backtest.sync(client=client, body=form))

        with model_path.open("rb") as stream:
            upload = ModelUploadForm(file=File(stream, model_path.name), user_id=USER, model_name="trend")
            print("uploaded:", upload_model.sync(client=client, body=upload).data.filename)

        page = list_backtests.sync(client=client, user_id=USER).data
        print("listed:", [f"{item.strategy.name}, {item.metrics.total_trades} trades" for item in page.items])
        stored = get_backtest.sync(page.items[-1].id, client=client).data
        print("read:", stored.id == of_strategy.data.id, stored.fills[0].side, stored.fills[0].reason)

        refused = run_backtest.sync(client=client, body=BacktestRequest(user_id=USER, symbol="BTCUSDT", fees=2))
        print("refused:", refused.code, refused.field)


def show(name: str, response: BacktestResultResponse | Problem) -> None:
    if isinstance(response, Problem):
        sys.exit(f"{response.code}: {response.detail}")
    result = response.data
    print(f"{name}: {result.total_return:.2f} % on {len(result.data)} bars, {result.judgement.verdict.level}")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
