"""The services that the APIs get: each parameter that names somebody's thing is checked before the method runs."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from src.domain.errors import Forbidden, JobNotFound, ResultNotFound, result_not_found
from src.domain.identity import ANYBODY, Caller
from src.service import access
from src.service.access import PLANS, CallerServices, plan_of
from src.service.services import Services
from tests.factories import make_result

OWNERS = {"anns": "ann", "bobs": "bob"}


class Things:
    """Results and jobs in one: two of them, of two users."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    async def owner(self, result_id: str) -> str:
        if result_id not in OWNERS:
            raise result_not_found(result_id)
        return OWNERS[result_id]

    async def get(self, result_id: str) -> str:
        self.calls.append(("get", result_id))
        return result_id

    async def compare(self, result_ids: list[str]) -> list[str]:
        self.calls.append(("compare", *result_ids))
        return result_ids

    async def list(self, *, user_id: str, first: int = 20) -> str:
        self.calls.append(("list", user_id, first))
        return user_id

    async def delete(self, result_id: str, *, user_id: str) -> None:
        self.calls.append(("delete", result_id, user_id))

    async def run(self, request: Any) -> Any:
        self.calls.append(("run", request.user_id))
        return request

    async def watch(self, job_id: str) -> AsyncGenerator[str, None]:
        self.calls.append(("watch", job_id))
        yield job_id
        yield job_id

    def temporary(self, *, user_id: str) -> str:
        return user_id

    async def costs(self, result: Any) -> None:
        self.calls.append(("costs", result.id))

    _secret = "not offered"


def annotate(**kinds: str) -> None:
    """Declare the types as the services do; they are text in both."""
    for name, kind in kinds.items():
        method, _, parameter = name.partition("__")
        getattr(Things, method).__annotations__[parameter] = kind


annotate(compare__result_ids="Sequence[str]", run__request="BacktestRequest", costs__result="BacktestResult")


@pytest.fixture
def things(monkeypatch: pytest.MonkeyPatch) -> Things:
    monkeypatch.setattr(access, "PLANS", {Things: plan_of(Things)})
    return Things()


def serve(things: Things, caller: Caller) -> Any:
    return CallerServices(cast("Services", SimpleNamespace(results=things, jobs=things)), caller).results


async def test_anybody_gets_the_services_themselves(things: Things) -> None:
    assert serve(things, ANYBODY) is things


async def test_own_things_are_reached(things: Things) -> None:
    ann = serve(things, Caller(user_id="ann"))
    assert await ann.get("anns") == "anns"
    assert await ann.compare(["anns", "anns"]) == ["anns", "anns"]
    await ann.run(SimpleNamespace(user_id="ann"))
    assert [job async for job in ann.watch("anns")] == ["anns", "anns"]
    assert things.calls == [("get", "anns"), ("compare", "anns", "anns"), ("run", "ann"), ("watch", "anns")]


async def test_user_that_is_left_out_is_the_caller(things: Things) -> None:
    ann = serve(things, Caller(user_id="ann"))
    assert await ann.list(user_id=None, first=5) == "ann"
    assert ann.temporary(user_id=None) == "ann"
    assert things.calls == [("list", "ann", 5)]


async def test_foreign_things_do_not_exist(things: Things) -> None:
    ann = serve(things, Caller(user_id="ann"))
    with pytest.raises(ResultNotFound) as foreign:
        await ann.get("bobs")
    with pytest.raises(ResultNotFound) as unknown:
        await ann.get("none")
    assert foreign.value.message.replace("bobs", "none") == unknown.value.message
    with pytest.raises(ResultNotFound):
        await ann.compare(["anns", "bobs"])
    with pytest.raises(JobNotFound):
        await anext(ann.watch("bobs"))
    with pytest.raises(ResultNotFound):
        await ann.costs(make_result(id="bobs"))
    assert things.calls == []


async def test_foreign_user_is_refused_before_any_lookup(things: Things) -> None:
    ann = serve(things, Caller(user_id="ann"))
    with pytest.raises(Forbidden):
        await ann.list(user_id="bob")
    with pytest.raises(Forbidden):
        await ann.delete("none", user_id="bob")
    with pytest.raises(Forbidden):
        await ann.run(SimpleNamespace(user_id="bob"))
    with pytest.raises(Forbidden):
        ann.temporary(user_id="bob")
    assert things.calls == []


def test_guarded_service_offers_its_checked_methods_only(things: Things) -> None:
    ann = serve(things, Caller(user_id="ann"))
    for name in ("calls", "_secret", "store"):
        with pytest.raises(AttributeError):
            getattr(ann, name)


class Unsaid:
    async def read(self, dossier_id: str) -> None: ...


class SomeoneElses:
    async def read(self, result_id: str, *, other: str) -> None: ...


class Nobodys:
    async def read(self, first: int) -> None: ...


class Unchecked:
    def read(self, result_id: str) -> AsyncIterator[bytes]: ...  # type: ignore[empty-body]


@pytest.mark.parametrize("kind", [Unsaid, SomeoneElses, Nobodys, Unchecked])
def test_method_without_a_rule_stops_the_start(kind: type) -> None:
    with pytest.raises(TypeError, match=r"\.read: "):
        plan_of(kind)


def test_every_service_of_the_apis_has_plan() -> None:
    declared = {
        name for name, item in vars(CallerServices).items() if isinstance(item, property)
    } - {"downloads", "signer"}  # fmt: skip
    assert len(declared) == len(PLANS)


async def test_callers_do_not_choose_result_ids(things: Things) -> None:
    plan = PLANS[next(kind for kind in PLANS if kind.__name__ == "BacktestService")]
    rule = plan["run"].rules["result_id"]
    checks = access.Access(Caller(user_id="ann"), cast("Services", SimpleNamespace()))
    assert rule(checks, None) is None
    with pytest.raises(Forbidden):
        rule(checks, "chosen")
