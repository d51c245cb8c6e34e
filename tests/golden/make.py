"""Write the golden results of a release: what its own code keeps, for later builds to read.

    git worktree add ../release TAG
    cp -r tests/golden ../release/tests/ && cd ../release
    python -m tests.golden.make DESTINATION

`results.sqlite3` is the file that the release's SQLite store wrote. Each `<id>.json` is one document: the summary and
the parts (base64) that both stores keep, and under `values` the result's arrays as the release had them in memory.
The documents of `0.1.0-pre` were made by commit cbf169f.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from dataclasses import replace
from pathlib import Path

from src.domain.runs import BacktestResult
from src.stores.documents import encode
from src.stores.sqlite import SqliteStore
from src.stores.sqlite_database import SqliteDatabase
from tests.golden.runs import golden_requests, golden_service


def plain_document(result: BacktestResult) -> dict[str, object]:
    document = encode(result)
    simulation = result.simulation
    return {
        "summary": document.summary,
        "parts": {name: base64.b64encode(content).decode() for name, content in document.parts.items()},
        "values": {
            "time_ms": result.time_ms.tolist(),
            "close": result.close.tolist(),
            "action": result.signals.action.tolist(),
            "equity": simulation.equity.tolist(),
            "fills": simulation.fills.tolist(),
            "trades": simulation.trades.tolist(),
            "warnings": result.warnings,
            "cross_checked": result.cross_check is not None,
        },
    }


async def make(folder: Path) -> None:
    service = golden_service()
    store = SqliteStore(SqliteDatabase(folder / "results.sqlite3"))
    for number, (name, request) in enumerate(golden_requests().items()):
        result = await service.run(request)
        result = replace(result, id=name, created_ms=result.created_ms + number)
        await store.save(result)
        (folder / f"{name}.json").write_text(json.dumps(plain_document(result), indent=1))
    await store.close()
    await service.computing.close()


if __name__ == "__main__":
    asyncio.run(make(Path(sys.argv[1])))
