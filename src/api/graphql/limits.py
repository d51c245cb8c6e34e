"""Limit the size of a GraphQL document, measured after parsing and before validation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLSyntaxError,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    parse,
)

_INTROSPECTION: Final = ("__schema", "__type")
_PARSER_GAVE_UP: Final = "Parsing aborted."
"""End of the parser's message if the text is too long or too deep for it, rather than wrong."""


class LimitExceeded(GraphQLError):
    """A document that is too long, too deep or has too many aliases."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentLimits:
    """The limits of one document.

    `max_depth` counts nested fields, `max_aliases` the client's aliases, both with every fragment written out at each
    of its spreads: twenty aliases in a fragment that is spread twenty times make four hundred results. Fields below
    `__schema` do not count: validation has its own rule for introspection.
    """

    max_depth: int
    max_aliases: int
    max_tokens: int

    def parse(self, text: str) -> DocumentNode:
        """Parse a document within the limits.

        Raises
        ------
        GraphQLSyntaxError
            If it is not GraphQL.
        LimitExceeded
        """
        try:
            document = parse(text, max_lexical_tokens=self.max_tokens, max_comments=self.max_tokens)
        except GraphQLSyntaxError as error:
            if not error.message.endswith(_PARSER_GAVE_UP):
                raise
            message = error.message.removeprefix("Syntax Error: ").removesuffix(_PARSER_GAVE_UP)
            raise LimitExceeded(message.strip(), source=error.source, positions=error.positions) from None
        fragments = {
            node.name.value: _Outline.of(node.selection_set)
            for node in document.definitions
            if isinstance(node, FragmentDefinitionNode)
        }
        sizes = _fragment_sizes(fragments)
        for node in document.definitions:
            if isinstance(node, OperationDefinitionNode):
                self._check(_Outline.of(node.selection_set).size(sizes))
        return document

    def _check(self, size: _Size) -> None:
        if size.depth > self.max_depth:
            raise LimitExceeded(f"The document is nested {size.depth} fields deep. Maximum: {self.max_depth}.")
        if size.aliases > self.max_aliases:
            raise LimitExceeded(f"The document has {size.aliases} aliases. Maximum: {self.max_aliases}.")


@dataclass(frozen=True, slots=True)
class _Size:
    depth: int = 0
    aliases: int = 0


@dataclass(slots=True)
class _Outline:
    """A selection set's own depth and aliases, and the fragments that it spreads, each with its depth."""

    depth: int = 0
    aliases: int = 0
    spreads: list[tuple[str, int]] = field(default_factory=list)

    @staticmethod
    def of(selection_set: SelectionSetNode) -> _Outline:
        outline = _Outline()
        # A list instead of recursion: a document may be nested deeper than Python's stack.
        waiting = [(selection_set, 1)]
        while waiting:
            selections, depth = waiting.pop()
            for node in selections.selections:
                if isinstance(node, FragmentSpreadNode):
                    outline.spreads.append((node.name.value, depth - 1))
                elif isinstance(node, InlineFragmentNode):
                    waiting.append((node.selection_set, depth))
                elif isinstance(node, FieldNode):
                    outline.depth = max(outline.depth, depth)
                    outline.aliases += node.alias is not None
                    if node.selection_set is not None and node.name.value not in _INTROSPECTION:
                        waiting.append((node.selection_set, depth + 1))
        return outline

    def size(self, fragments: Mapping[str, _Size]) -> _Size:
        """Return the size with the fragments written out; an unknown fragment (or one that spreads itself) counts
        nothing."""
        spreads = [(fragments.get(name, _Size()), depth) for name, depth in self.spreads]
        return _Size(
            depth=max([self.depth, *(depth + size.depth for size, depth in spreads)]),
            aliases=self.aliases + sum(size.aliases for size, _ in spreads),
        )


def _fragment_sizes(outlines: Mapping[str, _Outline]) -> dict[str, _Size]:
    """Measure every fragment after those that it spreads; a spread that closes a cycle is left to validation."""
    sizes: dict[str, _Size] = {}
    for name in outlines:
        if name in sizes:
            continue
        path: dict[str, Iterator[tuple[str, int]]] = {}
        _enter(name, path, outlines)
        while path:
            current, spreads = next(reversed(path.items()))
            below = next((below for below, _ in spreads if below in outlines), None)
            if below is None:
                del path[current]
                sizes[current] = outlines[current].size(sizes)
            elif below not in sizes and below not in path:
                _enter(below, path, outlines)
    return sizes


def _enter(name: str, path: dict[str, Iterator[tuple[str, int]]], outlines: Mapping[str, _Outline]) -> None:
    path[name] = iter(outlines[name].spreads)
