"""Check the rules of a request together, and compile them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

from src.domain.error_text import quote_all
from src.domain.errors import InvalidInput, bad_value
from src.strategies.rules.compiling import Compiler
from src.strategies.rules.faults import similar_name
from src.strategies.rules.program import Program

RULE_FIELDS: Final = ("buy", "sell", "short", "cover")
MAX_PARAMETERS: Final = 50
MAX_PARAMETER_NAME: Final = 40
_PARAMETER_NAME: Final = re.compile(rf"[A-Za-z_][A-Za-z0-9_]{{0,{MAX_PARAMETER_NAME - 1}}}")

Rules = Mapping[str, str | None]
"""The texts of `RULE_FIELDS`; None if there is none."""


@lru_cache(maxsize=128)
def compile_rules(rules: tuple[tuple[str, str], ...], parameters: tuple[tuple[str, float], ...]) -> Program:
    """Return the program of rules, (field, text) each, and named parameters; the last programs are kept.

    Raises InvalidRule on the first fault.
    """
    compiler = Compiler(dict(parameters))
    for field, text in rules:
        compiler.add_rule(text, field)
    return compiler.build()


def check_sides(rules: Rules) -> None:
    """Raise InvalidInput if no rule enters a position, or if a rule exits a position that no rule enters."""
    if rules.get("buy") is None and rules.get("short") is None:
        raise InvalidInput("{field} is required if {@short} is not given.", field="buy")
    if rules.get("sell") is not None and rules.get("buy") is None:
        raise InvalidInput("{field} is given without {@buy}: there is no long position to sell.", field="sell")
    if rules.get("cover") is not None and rules.get("short") is None:
        raise InvalidInput("{field} is given without {@short}: there is no short position to cover.", field="cover")


def check_named_parameters(parameters: Mapping[str, float]) -> None:
    """Raise InvalidInput if there are too many parameters, or one has no allowed name, or is no finite number."""
    if len(parameters) > MAX_PARAMETERS:
        text = "{field} has {count} names. Maximum: {most}."
        raise InvalidInput(text, field="parameters", count=len(parameters), most=MAX_PARAMETERS)
    for name, value in parameters.items():
        if not isinstance(name, str) or not _PARAMETER_NAME.fullmatch(name):
            allowed = f"names of 1 to {MAX_PARAMETER_NAME} letters a to z, digits and _, no digit first"
            raise bad_value("parameters", got=name, allowed=allowed)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not _is_finite(value):
            raise InvalidInput(
                "{name} in {field} is {got!r}. Allowed: a finite number.", field="parameters", name=name, got=value
            )


def check_all_are_used(parameters: Iterable[str], used: Iterable[str]) -> None:
    """Raise InvalidInput if a parameter is given that no rule uses."""
    known = tuple(used)
    unused = [name for name in parameters if name not in known]
    if not unused:
        return
    similar = similar_name(unused[0], known)
    hint = "" if similar is None else f" Did you mean {similar}?"
    text = "{field} has {unused}, which no rule uses.{hint} Used: {known}."
    raise InvalidInput(text, field="parameters", unused=quote_all(unused), hint=hint, known=known or "none")


def check_model(*, is_given: bool, is_read: bool) -> None:
    """Raise InvalidInput if a model is given that no rule reads, or if a rule reads a model that is not given."""
    if is_read and not is_given:
        raise InvalidInput(
            "{field} is required if a rule calls model(). Name a stored model in it by {@modelPath}.", field="model"
        )
    if is_given and not is_read:
        raise InvalidInput("{field} is given, but no rule calls model().", field="model")


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond float64
        return False
