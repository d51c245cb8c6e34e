"""Find where rules use the numbers that they name in braces."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from src.domain.parameters import Bounds
from src.domain.parameters import Parameter as Declared
from src.indicators.indicator import Argument
from src.indicators.registry import INDICATORS
from src.strategies.rules.checking import RULE_FIELDS
from src.strategies.rules.compiling import MAX_LOOKBACK
from src.strategies.rules.parsing import parse
from src.strategies.rules.strategy import RulesParams
from src.strategies.rules.tree import Arithmetic, Call, Column, Comparison, Earlier, Negative, Node, Parameter, walk
from src.strategies.rules.vocabulary import COLUMN_RANGES

BARS_BACK: Final = Argument(
    parameter=Declared(
        name="n", meaning="Bars back, as in close[n]", unit="bars back", bounds=Bounds(minimum=0, maximum=MAX_LOOKBACK)
    ),
    default=1,
    is_whole=True,
)


def find_arguments(rules: Sequence[str | None]) -> Mapping[str, Argument]:
    """Return the argument that each named number is, of an indicator or of `[n]`; its first use counts.

    `rules` are those of `RULE_FIELDS`, None for one that is not given.
    """
    found: dict[str, Argument] = {}
    for node in _nodes(rules):
        if isinstance(node, Earlier) and isinstance(node.bars, Parameter):
            found.setdefault(node.bars.name, BARS_BACK)
        elif isinstance(node, Call) and node.name in INDICATORS:
            indicator = INDICATORS[node.name]
            numbers = node.arguments
            if numbers and indicator.takes_series and not is_constant(numbers[0]):
                numbers = numbers[1:]
            for part, argument in zip(numbers, indicator.arguments, strict=False):
                if isinstance(part, Parameter):
                    found.setdefault(part.name, argument)
    return found


def find_decisive(strategy: RulesParams) -> frozenset[str]:
    """Return the numbers whose values decide whether the rules can be compiled.

    They are compared with an hour or weekday, or are part of an argument or a computation. A level, as in rsi(14) <
    {level}, is not decisive.
    """
    found: set[str] = set()
    for node in _nodes([getattr(strategy, field) for field in RULE_FIELDS]):
        if isinstance(node, Comparison):
            for one, other in ((node.left, node.right), (node.right, node.left)):
                if isinstance(one, Column) and one.name in COLUMN_RANGES:
                    found |= _names_in(other)
        elif isinstance(node, Call | Earlier | Arithmetic | Negative):
            for child in node.children:
                found |= _names_in(child) if is_constant(child) else set()
    return frozenset(found)


def is_constant(node: Node) -> bool:
    """Return whether a part is the same number at each bar: it reads no column, function of bars or earlier bar."""
    if isinstance(node, Call):
        return node.name not in INDICATORS and bool(node.arguments) and all(map(is_constant, node.arguments))
    if isinstance(node, Column | Earlier | Comparison):
        return False
    return all(map(is_constant, node.children))


def _nodes(rules: Sequence[str | None]) -> Iterator[Node]:
    for field, text in zip(RULE_FIELDS, rules, strict=False):
        if text is not None:
            yield from (node for node, _ in walk(parse(text, field)))


def _names_in(node: Node) -> set[str]:
    return {inner.name for inner, _ in walk(node) if isinstance(inner, Parameter)}
