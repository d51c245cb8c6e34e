"""Join a page's modules into one classic script, for a file that is opened without a service.

A module becomes a function that runs once, in the order of imports, and returns what it exports. Only the syntax that
the pages' modules use is understood: named imports, exported declarations, and an export list. Circular imports are
rejected.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from graphlib import TopologicalSorter
from typing import Final

_IMPORT: Final = re.compile(r'^import \{([^}]*)\} from "([^"]+)";\n', re.MULTILINE)
_DECLARATION: Final = re.compile(r"^export (?:async )?(?:const|let|function|class) (\w+)", re.MULTILINE)
_LIST: Final = re.compile(r"\bexport ?\{([^}]*)\};?\s*$")
_LEFT_OVER: Final = re.compile(r"^(?:import|export)\b", re.MULTILINE)


def bundle(sources: Mapping[str, str], entry: str) -> str:
    """Return one script that does what the module `entry` does.

    Parameters
    ----------
    sources
        The text of each module by its path; imports are relative to these paths.

    Raises
    ------
    ValueError
        If a module is missing, imports in a circle, or has an import or export of another form.
    """
    numbers = {name: number for number, name in enumerate(module_graph(sources, entry))}
    parts = [_wrap(name, sources[name], numbers) for name in numbers]
    return '"use strict";\n' + "".join(parts)


def module_graph(sources: Mapping[str, str], entry: str) -> Iterator[str]:
    """Return the paths of a module and of all that it needs, each after those that it imports; raises ValueError."""
    graph: dict[str, list[str]] = {}
    waiting = [entry]
    while waiting:
        name = waiting.pop()
        if name in graph:
            continue
        if name not in sources:
            raise ValueError(f"{name} is imported, but is no module here")
        graph[name] = [_resolve(name, match[2]) for match in _IMPORT.finditer(sources[name])]
        waiting += graph[name]
    return iter(tuple(TopologicalSorter(graph).static_order()))


def _resolve(importer: str, path: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(importer), path))


def _wrap(name: str, source: str, numbers: Mapping[str, int]) -> str:
    def take(match: re.Match[str]) -> str:
        names = ", ".join(": ".join(pair) if pair[0] != pair[1] else pair[0] for pair in _pairs(match[1]))
        return f"const {{ {names} }} = module{numbers[_resolve(name, match[2])]};\n"

    exported = [(declared, declared) for declared in _DECLARATION.findall(source)]
    if listed := _LIST.search(source):
        exported += list(_pairs(listed[1]))
        source = source[: listed.start()]
    body = _IMPORT.sub(take, source)
    body = re.sub(r"^export (?=(?:async )?(?:const|let|function|class) )", "", body, flags=re.MULTILINE)
    if left := _LEFT_OVER.search(body):
        raise ValueError(f"{name} has an import or export that cannot be joined: {body[left.start() :][:60]!r}")
    given = ", ".join(f"{public}: {own}" for own, public in exported)
    return f"const module{numbers[name]} = (() => {{\n{body}\nreturn {{ {given} }};\n}})();\n"


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    """Yield (name, name after "as") of each entry of a list."""
    for entry in filter(None, (part.strip() for part in text.split(","))):
        own, _, other = entry.partition(" as ")
        yield own, other or own
