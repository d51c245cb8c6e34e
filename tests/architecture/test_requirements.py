"""The pins install what pyproject.toml asks for, each package at one version."""

from __future__ import annotations

import re
import tomllib
from collections import defaultdict
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
FILES = tuple(f"requirements{name}.txt" for name in ("", "-cluster", "-dev", "-models", "-otel"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def lines_of(name: str) -> list[str]:
    lines = (line.strip() for line in (ROOT / name).read_text().splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def pins_of(name: str) -> list[Requirement]:
    return [Requirement(line) for line in lines_of(name) if not line.startswith("-")]


def pinned_version(pin: Requirement) -> str:
    (specifier,) = pin.specifier
    assert specifier.operator == "=="
    return specifier.version


@pytest.mark.parametrize("name", FILES)
def test_every_line_is_an_exact_pin(name: str) -> None:
    for line in lines_of(name):
        assert line == "-r requirements.txt" or re.match(r"[\w.-]+(\[[\w,]+\])?==[\w.]+( ; .+)?$", line), line
    assert {"pip", "setuptools"}.isdisjoint(canonicalize_name(pin.name) for pin in pins_of(name))


def test_no_package_is_pinned_at_two_versions() -> None:
    versions = defaultdict(set)
    for name in FILES:
        names = [canonicalize_name(pin.name) for pin in pins_of(name)]
        assert len(names) == len(set(names)), f"{name} pins a package twice"
        for pin in pins_of(name):
            versions[canonicalize_name(pin.name)].add(pinned_version(pin))
    assert {name: found for name, found in versions.items() if len(found) > 1} == {}


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("requirements.txt", PROJECT["dependencies"]),
        ("requirements-cluster.txt", PROJECT["optional-dependencies"]["dask"]),
        ("requirements-dev.txt", PROJECT["optional-dependencies"]["dev"]),
        ("requirements-otel.txt", PROJECT["optional-dependencies"]["otel"]),
    ],
)
def test_every_direct_dependency_is_pinned_within_its_range(name: str, wanted: list[str]) -> None:
    pins = {canonicalize_name(pin.name): pin for pin in pins_of(name)}
    for requirement in map(Requirement, wanted):
        pin = pins.get(canonicalize_name(requirement.name))
        assert pin is not None, f"{requirement.name} is not pinned in {name}"
        assert requirement.specifier.contains(pinned_version(pin)), f"{pin} is outside {requirement}"
        assert requirement.extras <= pin.extras, f"{pin} lacks extras of {requirement}"
