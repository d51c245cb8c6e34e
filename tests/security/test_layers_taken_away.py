"""Check hostile files without each layer in turn: none has an effect, and the table names what holds each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from src.concurrency.child_process import KillSwitch
from src.domain.errors import ModelRejected, ServiceError, TimedOut
from src.sandbox import archives, landlock, outcomes
from src.sandbox.archives import lay_out_model
from src.sandbox.children import Children
from src.sandbox.layers import ALL_LAYERS, Layer
from src.sandbox.tasks import Task
from tests.security.careless_formats import CARELESS, family_of
from tests.security.hostile import ROOT
from tests.security.layered_files import FILES, FORMAT
from tests.security.strikes import AUDIT_SEED, TABLE
from tests.security.world import SECRET_WORD, World

REGISTRY = "tests.security.careless_formats"
HOLDING = "holds 6442450944 bytes"

pytestmark = pytest.mark.skipif(
    landlock.read_abi_version() < 4, reason="this kernel's Landlock is older than its TCP rights"
)


@dataclass(frozen=True)
class Struck:
    effects: tuple[str, ...]
    message: str


class Bench:
    """Opens hostile files in children that have some layers and not others, with the format's checks or without."""

    def __init__(self) -> None:
        self.world = World()
        (self.world.folder / "secret.weights.h5").hardlink_to(self.world.secret)
        (self.world.folder / "link").symlink_to(self.world.secret)
        (self.world.folder / "hard").hardlink_to(self.world.secret)
        self.world.settle()
        self.children = Children(
            registry=REGISTRY, source_root=ROOT, max_at_once=1, deadline_s=20.0, memory_bytes=5 << 30, uses_uids=True
        )

    def strike(self, name: str, barriers: frozenset[str]) -> Struck:
        """Open a file behind only these barriers; return the outcome."""
        hostile = FILES[name]
        extension = hostile.extension if FORMAT in barriers else CARELESS + hostile.extension
        path = self.world.models / f"hostile{hostile.extension}"
        path.write_bytes(hostile.craft(self.world))
        layers = ALL_LAYERS & {layer for layer in Layer if layer in barriers}
        task = Task(
            kind="predict", family=family_of(extension), extension=extension, layers=layers, model=path,
            names=TABLE.names, requested=TABLE.names, values=TABLE.values, ranges=((0, len(TABLE.values)),),
            audit_seed=AUDIT_SEED,
        )  # fmt: skip
        message = "accepted"
        switch = KillSwitch()
        try:
            with self.children.slot() as slot, lay_out_model(self.children, task, slot, switch) as ready:
                outcome = self.children.run(ready, slot, switch)
            outcomes.to_reply(outcome, task, deadline_s=20.0, registry=REGISTRY)
        except ServiceError as error:
            assert isinstance(error, ModelRejected | TimedOut), error
            message = str(error)
        finally:
            path.unlink()
        effects = [*self.world.harm(), *(["memory was taken"] if HOLDING in message else [])]
        self.world.restore()
        return Struck(effects=tuple(effects), message=message)


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(archives, "_REAL_FILES", frozenset({".h5", f"{CARELESS}.h5"}))
        opened = Bench()
        try:
            yield opened
        finally:
            opened.children.close()
            opened.world.close()


BARRIERS: frozenset[str] = frozenset(ALL_LAYERS) | {FORMAT}


@pytest.mark.parametrize("name", FILES)
def test_file_without_any_barrier_has_its_effect(name: str, bench: Bench) -> None:
    """The other tests prove nothing about a file that has no effect without barriers."""
    struck = bench.strike(name, frozenset())
    assert struck.effects, struck.message


@pytest.mark.parametrize("name", FILES)
def test_table_names_each_barrier_that_holds_alone(name: str, bench: Bench) -> None:
    holding = {str(barrier) for barrier in BARRIERS if not bench.strike(name, frozenset({barrier})).effects}
    assert holding == {str(barrier) for barrier in FILES[name].holds}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("taken", [None, *sorted(BARRIERS)])
def test_file_has_no_effect_without_one_barrier(name: str, taken: str | None, bench: Bench) -> None:
    holding = FILES[name].holds - {taken}
    if not holding:
        pytest.skip(f"{taken} alone holds this file: see the table in docs/sandbox.md")
    struck = bench.strike(name, BARRIERS - {taken})
    assert struck.effects == (), f"{sorted(holding)} should hold"
    assert SECRET_WORD not in struck.message
    assert str(bench.world.folder) not in struck.message


def test_files_held_by_one_barrier_only_are_known() -> None:
    """Reading what anyone may read: seccomp must let libraries be read, and the file's owner lets others."""
    alone = {name for name, hostile in FILES.items() if len(hostile.holds) == 1}
    assert alone == {"lightgbm: reads", "xgboost: reads", "torchscript: reads"}


def test_shape_bomb_is_small(bench: Bench) -> None:
    assert len(FILES["h5: shape bomb"].craft(bench.world)) <= 885
    assert Path(bench.world.secret).read_text() == SECRET_WORD
    assert bench.world.harm() == ["the secret was opened"]
