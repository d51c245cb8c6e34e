"""Kinds of errors by their codes: a failed job raises what its request would have raised."""

from __future__ import annotations

import pytest

from src.api.error_table import ERROR_TABLE
from src.api.requests.portfolios import check_ended
from src.domain import errors
from src.domain.jobs import JobFailure, JobState
from tests.jobs import make_job


@pytest.mark.parametrize("kind", [kind for kind in ERROR_TABLE if kind is not errors.UnreadableResult])
def test_kind_of_error_is_found_by_code(kind: type[errors.ServiceError]) -> None:
    assert errors.error_of_code(kind.code) is kind


def test_general_kind_is_found_for_a_shared_code() -> None:
    assert errors.UnreadableResult.code == errors.StoreUnavailable.code
    assert errors.error_of_code(errors.UnreadableResult.code) is errors.StoreUnavailable


def test_unknown_code_is_a_failure_of_the_service() -> None:
    assert errors.error_of_code("INTERNAL_ERROR") is errors.ServiceError


def test_failed_job_raises_its_own_error() -> None:
    failure = JobFailure(code="SYMBOL_NOT_FOUND", message="No {symbol} here.")
    job = make_job(id="j-1", state=JobState.FAILED, failure=failure)
    with pytest.raises(errors.SymbolNotFound) as caught:
        check_ended(job)
    assert caught.value.message == "No {symbol} here. Job: 'j-1'."


def test_cancelled_job_is_a_conflict() -> None:
    with pytest.raises(errors.Conflict, match=r"^Job 'j-1' was cancelled\. Resume it, or send the request again\.$"):
        check_ended(make_job(id="j-1", state=JobState.CANCELLED))


@pytest.mark.parametrize("state", sorted(set(JobState) - {JobState.FAILED, JobState.CANCELLED}))
def test_job_in_another_state_is_returned(state: JobState) -> None:
    job = make_job(state=state)
    assert check_ended(job) is job
