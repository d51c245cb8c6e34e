"""What the soak calls growth: the last third against the second, by the median, beyond a share."""

from __future__ import annotations

import pytest

from tests.soak import Look, judge

STEADY = [Look(minute, 1000.0, 100, 60, 30.0, 10 * minute) for minute in range(30)]


def test_start_and_spikes_are_no_growth() -> None:
    looks = [one._replace(memory_mb=100.0) for one in STEADY[:10]] + STEADY[10:]
    looks[25] = looks[25]._replace(memory_mb=5000.0, descriptors=900)
    assert judge(looks) == []


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("memory_mb", 1060.0, "1000.0 to 1060.0"),
        ("descriptors", 103, "100.0 to 103.0"),
        ("disk_mb", 34.0, "30.0 to 34.0"),
    ],
)
def test_higher_last_third_is_growth(name: str, value: float, text: str) -> None:
    looks = STEADY[:20] + [one._replace(**{name: value}) for one in STEADY[20:]]
    assert judge(looks) == [f"{name} grew from {text}"]
