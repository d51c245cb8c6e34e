"""Write and read the folds of a walk-forward as JSON, the chunks of its job."""

from __future__ import annotations

import dataclasses
import json

from src.domain.errors import UnreadableResult
from src.domain.walk_forward import Fold


def fold_to_bytes(fold: Fold) -> bytes:
    """Return the same bytes for the same fold."""
    return json.dumps(dataclasses.asdict(fold), sort_keys=True, allow_nan=False).encode()


def fold_from_bytes(content: bytes) -> Fold:
    """Read what `fold_to_bytes` wrote; raises UnreadableResult if it is anything else."""
    try:
        return Fold(**json.loads(content))
    except (ValueError, TypeError) as error:
        raise UnreadableResult("A stored fold cannot be read.") from error
