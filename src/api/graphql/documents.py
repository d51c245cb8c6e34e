"""Turn a document's text into what is executed: limits, parsing and spelling, each document once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterator
from typing import Any, Final

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
)
from starlette.requests import HTTPConnection
from strawberry.extensions import SchemaExtension

from src.api.allowance import found_allowance
from src.api.graphql.context import GraphQLContext
from src.api.graphql.limits import DocumentLimits
from src.api.graphql.naming import SpellingRewriter
from src.domain.errors import RateLimited
from src.domain.rates import Rate
from src.observing.activity import MAX_TEXT_LENGTH, current_activity

CACHED_DOCUMENTS: Final = 256
CACHED_TEXT_LENGTH: Final = 16_384
"""Longer documents are not cached: this bounds all cached ones to some tens of MiB."""

INTROSPECTION: Final = "introspection"
SEVERAL: Final = "several"
OTHER: Final = "other"


class PreparedDocument:
    """A document in the schema's spelling; `is_valid` once validation has found no error."""

    __slots__ = ("_operations", "_root_fields", "document", "is_valid")

    def __init__(self, document: DocumentNode, root_fields: Collection[str] = ()) -> None:
        self.document = document
        self.is_valid = False
        self._root_fields = root_fields
        self._operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]

    @property
    def operation_count(self) -> int:
        return len(self._operations)

    def operation(self, name: str | None) -> OperationDefinitionNode | None:
        """Return the operation called `name`, or the only one for None; None if it does not exist."""
        if name is None:
            return self._operations[0] if len(self._operations) == 1 else None
        return next((node for node in self._operations if node.name is not None and node.name.value == name), None)

    def root_field(self, operation: OperationDefinitionNode | None) -> str:
        """Return the one field of the schema that an operation asks for, for meters.

        It is one of the schema's fields, `introspection`, `several`, or `other` for what the schema does not know, so
        that clients cannot create time series.
        """
        if operation is None:
            return OTHER
        selections = operation.selection_set.selections
        names = {node.name.value if isinstance(node, FieldNode) else OTHER for node in selections} - {"__typename"}
        if len(names) != 1:
            return SEVERAL if names else INTROSPECTION
        [name] = names
        if name.startswith("__"):
            return INTROSPECTION
        return name if name in self._root_fields else OTHER

    def count_root_fields(self, operation: OperationDefinitionNode | None) -> int:
        """Return how many top-level fields an operation asks for; each alias counts as one."""
        fragments = {
            node.name.value: node for node in self.document.definitions if isinstance(node, FragmentDefinitionNode)
        }
        found: set[str] = set()
        waiting = [] if operation is None else list(operation.selection_set.selections)
        while waiting:
            node = waiting.pop()
            if isinstance(node, FieldNode):
                if not node.name.value.startswith("__"):
                    found.add(node.alias.value if node.alias else node.name.value)
            elif isinstance(node, InlineFragmentNode):
                waiting += node.selection_set.selections
            elif isinstance(node, FragmentSpreadNode):
                # Each fragment once: more spreads of it ask for the same fields, or for itself.
                fragment = fragments.pop(node.name.value, None)
                waiting += [] if fragment is None else fragment.selection_set.selections
        return len(found)


class DocumentLibrary:
    """Prepare documents for one schema and cache the latest, because clients repeat the same few.

    Used from the event loop's thread only.
    """

    def __init__(self, schema: GraphQLSchema, limits: DocumentLimits) -> None:
        self._rewriter = SpellingRewriter(schema)
        self._limits = limits
        roots = (schema.query_type, schema.mutation_type, schema.subscription_type)
        self._root_fields = frozenset(name for root in roots if root is not None for name in root.fields)
        self._prepared: OrderedDict[str, PreparedDocument] = OrderedDict()

    def prepare(self, text: str) -> PreparedDocument:
        """Return the document ready for validation.

        Raises
        ------
        GraphQLSyntaxError, LimitExceeded
        """
        prepared = self._prepared.get(text)
        if prepared is not None:
            self._prepared.move_to_end(text)
            return prepared
        prepared = PreparedDocument(self._rewriter.document(self._limits.parse(text)), self._root_fields)
        if len(text) <= CACHED_TEXT_LENGTH:
            self._prepared[text] = prepared
            if len(self._prepared) > CACHED_DOCUMENTS:
                self._prepared.popitem(last=False)
        return prepared

    def variables(self, prepared: PreparedDocument, operation_name: str | None, values: dict[str, Any]) -> Any:
        """Return the variables of an operation in the schema's spelling."""
        operation = prepared.operation(operation_name)
        return values if operation is None else self._rewriter.variables(operation, values)


class PreparedDocuments(SchemaExtension):
    """Give the execution a prepared document, and skip the validation of one that is known to be valid."""

    def __init__(self, library: DocumentLibrary) -> None:
        self._library = library
        self._prepared: PreparedDocument | None = None

    def on_parse(self) -> Iterator[None]:
        context = self.execution_context
        if context.query:
            # Before the document is parsed, this is the name in the request; then it is that of the first operation.
            requested_name = context.operation_name
            self._prepared = prepared = self._library.prepare(context.query)
            _note_operation(prepared, requested_name)
            if requested_name is None and prepared.operation_count > 1:
                raise GraphQLError("The document has several operations; operationName must name one of them.")
            _spend_fields(context.context, prepared, requested_name)
            context.graphql_document = prepared.document
            if context.variables:
                context.variables = self._library.variables(prepared, requested_name, context.variables)
        yield

    def on_validate(self) -> Iterator[None]:
        if self._prepared is not None and self._prepared.is_valid:
            self.execution_context.pre_execution_errors = []
        yield
        if self._prepared is not None and not self.execution_context.pre_execution_errors:
            self._prepared.is_valid = True


def _note_operation(prepared: PreparedDocument, requested_name: str | None) -> None:
    """Name the operation in the request's log line and meters."""
    activity = current_activity()
    if activity is None:
        return
    operation = prepared.operation(requested_name)
    activity.root_field = prepared.root_field(operation)
    if operation is not None and operation.name is not None:
        activity.operation = operation.name.value[:MAX_TEXT_LENGTH]  # a name in GraphQL has letters, digits and _ only


def _spend_fields(context: object, prepared: PreparedDocument, requested_name: str | None) -> None:
    """Count the fields beyond the first as requests, so that aliases do not circumvent the limit.

    Raises RateLimited if they are too many.
    """
    if not isinstance(context, GraphQLContext) or not isinstance(context.request, HTTPConnection):
        return
    allowance = found_allowance(context.request)
    if allowance is None:
        return
    try:
        allowance.spend_further(Rate.REQUESTS, prepared.count_root_fields(prepared.operation(requested_name)) - 1)
    except RateLimited as error:
        context.refusal = error
        raise
