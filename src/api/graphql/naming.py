"""Accept both spellings: rewrite documents and variables from snake_case to the schema's camelCase.

The schema has one spelling. A field that the client wrote as `total_return` becomes `totalReturn` with the alias
`total_return`, so the response has the client's names. Names that the schema has unchanged (`Date`, `__typename`) stay.
So do names that it has in neither spelling: validation then quotes them as the client wrote them. An argument or input
field given in both spellings is rejected as in REST, with both names. A OneOf input with none or several of its fields
is rejected here too, because GraphQL's own message names neither the given nor the allowed fields.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from graphql import (
    ArgumentNode,
    DefinitionNode,
    DirectiveNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLArgument,
    GraphQLError,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLSchema,
    InlineFragmentNode,
    ListValueNode,
    NameNode,
    Node,
    NullValueNode,
    ObjectFieldNode,
    ObjectValueNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    ValueNode,
    VariableDefinitionNode,
    get_named_type,
    is_composite_type,
    is_input_type,
    type_from_ast,
)

from src.api.spelling import camel_case, same_field
from src.domain.errors import not_exactly_one

AnyNode = TypeVar("AnyNode", bound=Node)


def _known_name(name: str, known: Collection[str]) -> str:
    if name in known:
        return name
    candidate = camel_case(name)
    return candidate if candidate in known else name


class SpellingRewriter:
    """Rewrite documents and variables into the spelling of one schema."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema
        self._directives = {directive.name: directive for directive in schema.directives}

    def document(self, document: DocumentNode) -> DocumentNode:
        """Return the document in the schema's spelling; nodes that need no change are shared, not copied.

        Raises GraphQLError if an argument or input field is given in two spellings, or not exactly one field of a OneOf
        input; its cause is an InvalidInput.
        """
        return _with(document, definitions=_each(document.definitions, self._definition))

    def variables(self, operation: OperationDefinitionNode, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the variables' values in the schema's spelling, however deep; the variables' own names stay.

        Raises GraphQLError as `document` does.
        """
        rewritten = dict(values)
        for definition in operation.variable_definitions or ():
            name = definition.variable.name.value
            declared = type_from_ast(self._schema, definition.type)
            if name in rewritten and is_input_type(declared):
                rewritten[name] = _rename_keys(rewritten[name], declared, name)
        return rewritten

    def _definition(self, node: DefinitionNode) -> DefinitionNode:
        if isinstance(node, OperationDefinitionNode):
            parent: GraphQLNamedType | None = self._schema.get_root_type(node.operation)
            definitions = _each(node.variable_definitions, self._variable_definition)
            node = _with(node, variable_definitions=definitions)
        elif isinstance(node, FragmentDefinitionNode):
            parent = self._schema.get_type(node.type_condition.name.value)
        else:
            return node
        return _with(
            node,
            directives=_each(node.directives, self._directive),
            selection_set=self._selection_set(node.selection_set, parent),
        )

    def _variable_definition(self, node: VariableDefinitionNode) -> VariableDefinitionNode:
        declared = type_from_ast(self._schema, node.type)
        if node.default_value is None or not is_input_type(declared):
            return node
        return _with(node, default_value=self._value(node.default_value, declared, node.variable.name.value))

    def _selection_set(self, node: SelectionSetNode, parent: GraphQLNamedType | None) -> SelectionSetNode:
        return _with(node, selections=_each(node.selections, lambda selection: self._selection(selection, parent)))

    def _selection(self, node: SelectionNode, parent: GraphQLNamedType | None) -> SelectionNode:
        node = _with(node, directives=_each(node.directives, self._directive))
        if isinstance(node, FieldNode):
            return self._field(node, parent)
        if isinstance(node, InlineFragmentNode):
            if node.type_condition is not None:
                parent = self._schema.get_type(node.type_condition.name.value)
            return _with(node, selection_set=self._selection_set(node.selection_set, parent))
        return node

    def _field(self, node: FieldNode, parent: GraphQLNamedType | None) -> FieldNode:
        if parent is None or not is_composite_type(parent):
            return node
        written = node.name.value
        name = written
        field = self._schema.get_field(parent, name)
        if field is None:
            name = camel_case(written)
            field = self._schema.get_field(parent, name)
        if field is None:
            return node
        if name != written:
            node = replace(node, name=_named(node.name, name), alias=node.alias or node.name)
        node = _with(node, arguments=self._arguments(node.arguments, field.args))
        if node.selection_set is None:
            return node
        return _with(node, selection_set=self._selection_set(node.selection_set, get_named_type(field.type)))

    def _directive(self, node: DirectiveNode) -> DirectiveNode:
        name = _known_name(node.name.value, self._directives)
        directive = self._directives.get(name)
        if directive is None:
            return node
        return _with(
            node,
            name=_named(node.name, name),
            arguments=self._arguments(node.arguments, directive.args),
        )

    def _arguments(
        self, nodes: tuple[ArgumentNode, ...] | None, known: Mapping[str, GraphQLArgument]
    ) -> tuple[ArgumentNode, ...] | None:
        _check_spellings([node.name for node in nodes or ()], known)
        return _each(nodes, lambda node: self._argument(node, known))

    def _argument(self, node: ArgumentNode, known: Mapping[str, GraphQLArgument]) -> ArgumentNode:
        name = _known_name(node.name.value, known)
        if name not in known:
            return node
        return _with(node, name=_named(node.name, name), value=self._value(node.value, known[name].type, name))

    def _value(self, node: ValueNode, declared: GraphQLInputType, field: str) -> ValueNode:
        if isinstance(declared, GraphQLNonNull):
            return self._value(node, declared.of_type, field)
        if isinstance(declared, GraphQLList):
            # A single value counts as a list of one.
            item = declared.of_type
            if isinstance(node, ListValueNode):
                return _with(node, values=_each(node.values, lambda value: self._value(value, item, field)))
            return self._value(node, item, field)
        if isinstance(declared, GraphQLInputObjectType) and isinstance(node, ObjectValueNode):
            _check_spellings([inner.name for inner in node.fields], declared.fields)
            nulls = {inner.name.value: isinstance(inner.value, NullValueNode) for inner in node.fields}
            _check_one_of(nulls, declared, field, nodes=[node])
            return _with(node, fields=_each(node.fields, lambda inner: self._object_field(inner, declared)))
        return node

    def _object_field(self, node: ObjectFieldNode, declared: GraphQLInputObjectType) -> ObjectFieldNode:
        name = _known_name(node.name.value, declared.fields)
        if name not in declared.fields:
            return node
        value = self._value(node.value, declared.fields[name].type, name)
        return _with(node, name=_named(node.name, name), value=value)


def _rename_keys(value: Any, declared: GraphQLInputType, field: str) -> Any:
    if isinstance(declared, GraphQLNonNull):
        return _rename_keys(value, declared.of_type, field)
    if isinstance(declared, GraphQLList):
        item = declared.of_type
        if isinstance(value, list):
            return [_rename_keys(entry, item, field) for entry in value]
        return _rename_keys(value, item, field)
    if not isinstance(declared, GraphQLInputObjectType) or not isinstance(value, dict):
        return value
    renamed: dict[str, Any] = {}
    for written, entry in value.items():
        name = _known_name(written, declared.fields) if isinstance(written, str) else written
        if name in renamed:
            first = next(key for key in value if _known_name(key, declared.fields) == name)
            raise _refuse_spellings(name, first, written)
        renamed[name] = _rename_keys(entry, declared.fields[name].type, name) if name in declared.fields else entry
    _check_one_of({name: entry is None for name, entry in renamed.items()}, declared, field)
    return renamed


def _check_one_of(
    nulls: Mapping[str, bool], declared: GraphQLInputObjectType, field: str, *, nodes: Sequence[Node] | None = None
) -> None:
    """Raise GraphQLError if not exactly one field of a OneOf input is given, or it is null.

    `nulls` are the given names and whether each is null. A name that the schema lacks is left to validation.
    """
    definition = declared.extensions.get("strawberry-definition")
    if not (declared.is_one_of or (definition is not None and definition.is_one_of)):
        return
    if any(_known_name(name, declared.fields) not in declared.fields for name in nulls):
        return
    if len(nulls) != 1 or any(nulls.values()):
        named = [f"{name} (null)" if is_null else name for name, is_null in nulls.items()]
        cause = not_exactly_one(field, named=named, allowed=list(declared.fields))
        raise GraphQLError(cause.message, nodes, original_error=cause)


def _check_spellings(written: Sequence[NameNode], known: Collection[str]) -> None:
    """Raise GraphQLError if two names mean one name of the schema, unless both are spelled as in the schema."""
    first: dict[str, NameNode] = {}
    for node in written:
        name = _known_name(node.value, known)
        other = first.setdefault(name, node)
        # The same name twice in the schema's spelling is left to validation.
        if other is not node and name in known and not name == node.value == other.value:
            raise _refuse_spellings(name, other.value, node.value, nodes=[other, node])


def _refuse_spellings(name: str, first: str, second: str, *, nodes: Sequence[NameNode] | None = None) -> GraphQLError:
    cause = same_field(name, first, second)
    return GraphQLError(cause.message, nodes, original_error=cause)


def _named(node: NameNode, name: str) -> NameNode:
    return node if node.value == name else replace(node, value=name)


def _each(nodes: tuple[AnyNode, ...] | None, rewrite: Callable[[AnyNode], AnyNode]) -> tuple[AnyNode, ...] | None:
    if not nodes:
        return nodes
    rewritten = tuple(map(rewrite, nodes))
    return nodes if all(map(_is_same, nodes, rewritten)) else rewritten


def _is_same(one: object, other: object) -> bool:
    return one is other


def _with(node: AnyNode, **changes: Any) -> AnyNode:
    """Return `node` itself if nothing changes: most of a document needs no change."""
    if all(getattr(node, name) is value for name, value in changes.items()):
        return node
    return replace(node, **changes)
