"""The image and the compose file keep their promises, as far as reading them can tell."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from src.runtime.supervisor import ACCEPT_S, CLOSING_S, HANDSHAKE_S
from src.settings import Settings

ROOT = Path(__file__).parents[2]


def instructions() -> list[tuple[str, str]]:
    """Return (instruction, rest) of each line of the Dockerfile, continued lines joined."""
    text = re.sub(r"(?m)^\s*#.*\n", "", (ROOT / "Dockerfile").read_text()).replace("\\\n", " ")
    lines = (line.split(None, 1) for line in text.splitlines() if line.strip())
    return [(word, re.sub(r"\s+", " ", rest)) for word, rest in lines]


def final_stage() -> list[tuple[str, str]]:
    found = instructions()
    last = max(index for index, (word, _) in enumerate(found) if word == "FROM")
    return found[last:]


def only(word: str) -> str:
    (rest,) = [rest for found, rest in final_stage() if found == word]
    return rest


def variables() -> dict[str, str]:
    return dict(part.split("=", 1) for part in only("ENV").split())


def read_compose(scheduler: str = "") -> dict[str, Any]:
    """Return the compose file as it is with this DASK_SCHEDULER, by the forms of interpolation that it uses.

    A variable that must be given is its name in angle brackets.
    """
    text = re.sub(r"\$\{DASK_SCHEDULER:-\}", scheduler, (ROOT / "compose.yaml").read_text())
    text = re.sub(r"\$\{DASK_SCHEDULER:\+([^}]*)\}", r"\1" if scheduler else "", text)
    text = re.sub(r"\$\{([A-Z_]+):\?[^}]*\}", r"<\1>", text)
    assert "${" not in text
    return yaml.safe_load(text)


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return read_compose()


@pytest.fixture(scope="module")
def clustered() -> dict[str, Any]:
    return read_compose("tls://scheduler:8786")


def test_the_image_is_built_in_stages_on_a_slim_python() -> None:
    bases = [rest for word, rest in instructions() if word == "FROM"]
    assert bases == ["python:3.11-slim-bookworm AS build", "python:3.11-slim-bookworm"]


def test_it_listens_on_5050_for_everybody() -> None:
    assert only("EXPOSE") == "5050"
    assert (variables()["HOST"], variables()["PORT"]) == ("0.0.0.0", "5050")


def test_it_runs_as_an_ordinary_user_from_the_start_command_on() -> None:
    words = [word for word, _ in final_stage()]
    assert only("USER") == "10001:0"
    assert words.index("USER") < words.index("CMD")
    assert "RUN" not in words[words.index("USER") :]
    assert json.loads(only("CMD")) == ["python", "run.py", "prod", "--no-venv"]


def test_what_must_be_writable_is_a_volume_of_the_user() -> None:
    assert json.loads(only("VOLUME")) == [variables()["STORAGE_DIR"], variables()["NUMBA_CACHE_DIR"]]
    # Platforms that choose a user id leave the group 0.
    assert "install --directory --owner service --group root --mode 0770 /data" in only("RUN")
    assert ("COPY", "--from=build --chown=10001:0 --chmod=0775 /var/cache/numba /var/cache/numba") in final_stage()


def test_the_health_check_is_a_program_that_compiles() -> None:
    options, _, command = only("HEALTHCHECK").partition(" CMD ")
    assert all(f"--{name}=" in options for name in ("interval", "timeout", "start-period", "retries"))
    program, flag, code = json.loads(command)
    assert (program, flag) == ("python", "-c")
    assert "/health" in code
    compile(code, "HEALTHCHECK", "exec")


def test_what_is_copied_from_here_exists_and_is_let_in() -> None:
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {
        source
        for word, rest in instructions()
        if word == "COPY" and "--from" not in rest
        for source in rest.split()[:-1]
    }
    assert copied == let_in
    assert all((ROOT / source).exists() for source in copied)


def test_the_compile_cache_is_filled_where_the_service_looks_for_it() -> None:
    build = next(rest for word, rest in instructions() if word == "ENV")
    assert f"NUMBA_CACHE_DIR={variables()['NUMBA_CACHE_DIR']}" in build.split()
    assert any("python -m src.warmup" in rest for word, rest in instructions() if word == "RUN")
    assert (ROOT / "src" / "warmup.py").exists()


def test_no_secret_is_in_either_file() -> None:
    for path in (ROOT / "Dockerfile", ROOT / "compose.yaml", *KUBERNETES.iterdir()):
        text = re.sub(
            r"MONGO_PASSWORD|MONGO_INITDB_ROOT_PASSWORD|secretKeyRef|secretRef|without the secret|automount\w+",
            "",
            path.read_text(),
        )
        text = re.sub(r"backtesting:\$\{:\?[^}]*\}@", "", text)
        assert not re.search(r"(?i)password|passwd|secret|token|api_?key|://[^/\s]+:[^/\s]+@", text)


def test_every_variable_is_a_setting_or_a_known_one(compose: dict[str, Any]) -> None:
    settings = {name.upper() for name in Settings.model_fields}
    of_libraries = {"HOME", "NUMBA_CACHE_DIR", "MPLCONFIGDIR", "PATH", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"}
    assert set(variables()) <= settings | of_libraries
    assert set(compose["services"]["service"]["environment"]) <= settings


def test_compose_confines_the_service(compose: dict[str, Any]) -> None:
    service = compose["services"]["service"]
    assert service["read_only"] is True
    assert service["tmpfs"] == ["/tmp"]
    assert service["cap_drop"] == ["ALL"]
    assert service["pids_limit"] == 2048
    assert service["ports"] == ["127.0.0.1:5050:5050"]
    assert not any("seccomp" in option for option in service["security_opt"])
    assert service["depends_on"] == {"mongo": {"condition": "service_healthy"}}


def test_compose_waits_for_the_longest_stop(compose: dict[str, Any]) -> None:
    settings = Settings(_env_file=None)
    longest_s = settings.drain_s + HANDSHAKE_S + ACCEPT_S + settings.longest_stop_s + CLOSING_S
    assert int(compose["services"]["service"]["stop_grace_period"].removesuffix("s")) >= longest_s


def test_compose_keeps_the_database_to_itself(compose: dict[str, Any]) -> None:
    mongo = compose["services"]["mongo"]
    assert "ports" not in mongo
    assert re.fullmatch(r"mongo:\d+\.\d+\.\d+", mongo["image"])
    assert compose["networks"][mongo["networks"][0]]["internal"] is True
    assert mongo["healthcheck"]["test"][0] == "CMD"


def test_every_volume_and_network_in_use_is_declared(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        volumes = {volume.split(":")[0] for volume in service["volumes"]}
        assert volumes - {"./certificates"} <= set(compose["volumes"])
        assert set(service["networks"]) <= set(compose["networks"])


def test_cluster_confines_its_members(clustered: dict[str, Any]) -> None:
    members = {name: clustered["services"][name] for name in ("scheduler", "worker")}
    for name, member in members.items():
        assert member["profiles"] == ["cluster"]
        assert member["command"] == ["python", "run.py", "cluster", "--no-venv", name]
        assert (member["read_only"], member["cap_drop"]) == (True, ["ALL"])
        assert "ports" not in member
        assert member["networks"] == ["cluster"]
        assert member["volumes"] == ["./certificates:/run/certificates:ro"]
    assert clustered["networks"]["cluster"]["internal"] is True
    assert members["worker"]["deploy"]["replicas"] == 2


def test_cluster_and_service_share_image_and_access(clustered: dict[str, Any]) -> None:
    service, *members = (clustered["services"][name] for name in ("service", "scheduler", "worker"))
    access = members[0]["environment"]
    assert set(access) <= {name.upper() for name in Settings.model_fields}
    assert access["DASK_SCHEDULER"].startswith("tls://scheduler:")
    assert all(member["environment"] == access for member in members)
    assert access.items() <= service["environment"].items()
    assert members[0]["volumes"][0] in service["volumes"]
    assert "cluster" in service["networks"]
    assert len({one["image"] for one in (service, *members)}) == 1
    assert all(one["build"] == service["build"] for one in members)
    assert (ROOT / service["build"]["args"]["REQUIREMENTS"]).exists()


def test_service_without_a_cluster_has_none_of_it(compose: dict[str, Any]) -> None:
    service = compose["services"]["service"]
    assert all(not service["environment"][name] for name in service["environment"] if name.startswith("DASK_"))
    assert service["image"] == "backtesting-service:0.1.0"
    assert service["build"]["args"]["REQUIREMENTS"] == "requirements.txt"
    assert "certificates:/run/certificates:ro" in service["volumes"]
    assert "profiles" not in service


KUBERNETES = ROOT / "deploy" / "kubernetes"


def read_manifest(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((KUBERNETES / name).read_text())
    return found


@pytest.fixture(scope="module")
def pod() -> dict[str, Any]:
    found: dict[str, Any] = read_manifest("deployment.yaml")["spec"]["template"]["spec"]
    return found


def test_kustomization_names_every_manifest() -> None:
    listed = read_manifest("kustomization.yaml")["resources"]
    assert sorted([*listed, "kustomization.yaml"]) == sorted(path.name for path in KUBERNETES.iterdir())


def test_selectors_find_the_pods() -> None:
    labels = {"app": "backtesting"}
    deployment = read_manifest("deployment.yaml")["spec"]
    assert deployment["selector"]["matchLabels"] == deployment["template"]["metadata"]["labels"] == labels
    assert read_manifest("service.yaml")["spec"]["selector"] == labels
    assert read_manifest("network-policy.yaml")["spec"]["podSelector"]["matchLabels"] == labels


def test_pod_variables_are_settings_or_known_ones(pod: dict[str, Any]) -> None:
    settings = {name.upper() for name in Settings.model_fields}
    [service] = pod["containers"]
    assert {item["name"] for item in service["env"]} <= settings | {"NUMBA_CACHE_DIR"}


def test_pod_waits_for_the_longest_stop(pod: dict[str, Any]) -> None:
    settings = Settings(_env_file=None)
    longest_s = settings.drain_s + HANDSHAKE_S + ACCEPT_S + settings.longest_stop_s + CLOSING_S
    assert pod["terminationGracePeriodSeconds"] >= longest_s


def test_pod_is_confined_and_writes_to_volumes_only(pod: dict[str, Any]) -> None:
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    user, group = only("USER").split(":")
    assert (pod["securityContext"]["runAsUser"], pod["securityContext"]["runAsGroup"]) == (int(user), int(group))
    for container in (*pod["initContainers"], *pod["containers"]):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
    [service] = pod["containers"]
    mounted = {mount["mountPath"]: mount["name"] for mount in service["volumeMounts"]}
    assert {"/data", "/cache", "/tmp"} == set(mounted)
    assert set(mounted.values()) == {volume["name"] for volume in pod["volumes"]}
    values = {item["name"]: item.get("value") for item in service["env"]}
    assert (values["STORAGE_DIR"], values["NUMBA_CACHE_DIR"]) == ("/data", "/cache")


def test_pod_probes_ask_the_endpoints_that_know(pod: dict[str, Any]) -> None:
    [service] = pod["containers"]
    paths = {name: service[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "readiness", "liveness")}
    assert paths == {"startup": "/ready", "readiness": "/ready", "liveness": "/health"}


def test_database_of_compose_asks_for_a_password(compose: dict[str, Any]) -> None:
    environment = compose["services"]["mongo"]["environment"]
    assert environment["MONGO_INITDB_ROOT_PASSWORD"] == "<MONGO_PASSWORD>"
    assert "<MONGO_PASSWORD>" in compose["services"]["service"]["environment"]["MONGODB_URI"]
