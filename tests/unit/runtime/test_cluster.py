"""The command `run.py cluster`: certificates that others can check, and starts that say what is missing."""

from __future__ import annotations

import datetime
import ssl
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from src.domain.errors import MissingLibrary
from src.jobs.cluster_access import Certificates
from src.runtime import serve
from src.runtime.cluster import main
from src.runtime.cluster_certificates import CA_FILE, CERTIFICATE_FILE, KEY_FILE, make_certificates
from src.settings import Settings, SettingsError, read_settings
from src.wiring.cluster import build_cluster_access, build_executor
from src.wiring.versions import cluster_version
from tests.cluster import ROOT

NOW = datetime.datetime.now(datetime.UTC)


@pytest.fixture
def secured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Name a cluster with certificates in the environment."""
    make_certificates(tmp_path, now=NOW)
    monkeypatch.setenv("DASK_SCHEDULER", "tls://127.0.0.1:8786")
    for name, file in (("CA", CA_FILE), ("CERT", CERTIFICATE_FILE), ("KEY", KEY_FILE)):
        monkeypatch.setenv(f"DASK_TLS_{name}", str(tmp_path / file))
    return tmp_path


def shake_hands(server: Path, client: Path) -> None:
    """Connect two members in memory, each of which checks the other's certificate."""
    contexts = []
    for folder, side in ((server, ssl.PROTOCOL_TLS_SERVER), (client, ssl.PROTOCOL_TLS_CLIENT)):
        context = ssl.SSLContext(side)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(folder / CA_FILE)
        context.load_cert_chain(folder / CERTIFICATE_FILE, folder / KEY_FILE)
        contexts.append(context)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        contexts[0].wrap_bio(to_server, to_client, server_side=True),
        contexts[1].wrap_bio(to_client, to_server, server_side=False),
    ]
    for _ in range(4):
        for side in reversed(sides):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue


def test_members_of_one_folder_trust_each_other(tmp_path: Path) -> None:
    make_certificates(tmp_path / "new", now=NOW)
    shake_hands(tmp_path / "new", tmp_path / "new")
    assert stat.S_IMODE((tmp_path / "new" / KEY_FILE).stat().st_mode) == 0o600


def test_members_of_two_folders_do_not(tmp_path: Path) -> None:
    for name in ("ours", "theirs"):
        make_certificates(tmp_path / name, now=NOW)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(tmp_path / "ours", tmp_path / "theirs")


def test_expired_certificate_is_not_trusted(tmp_path: Path) -> None:
    make_certificates(tmp_path, now=NOW - datetime.timedelta(days=3), days=2)
    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        shake_hands(tmp_path, tmp_path)


def test_certificates_are_checked_by_openssl(tmp_path: Path) -> None:
    make_certificates(tmp_path, now=NOW)
    command = [
        "openssl",
        "verify",
        "-x509_strict",
        "-CAfile",
        str(tmp_path / CA_FILE),
        str(tmp_path / CERTIFICATE_FILE),
    ]
    said = subprocess.run(command, capture_output=True, text=True, check=True)
    assert said.stdout.strip().endswith(": OK")


def test_command_names_the_settings_and_replaces_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["certificates", str(tmp_path)]) == 0
    assert f"DASK_TLS_KEY={tmp_path.resolve() / KEY_FILE}" in capsys.readouterr().out
    before = (tmp_path / KEY_FILE).read_bytes()
    assert main(["certificates", str(tmp_path)]) == 2
    assert KEY_FILE in capsys.readouterr().err
    assert (tmp_path / KEY_FILE).read_bytes() == before


def test_member_without_scheduler_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("DASK_SCHEDULER", raising=False)
    assert main(["worker"]) == 2
    assert "DASK_SCHEDULER is required" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("tcp://10.0.0.1:8786", "tcp:// only with DASK_INSECURE=true"),
        ("tls://10.0.0.1:8786", "together with DASK_TLS_CA, DASK_TLS_CERT and DASK_TLS_KEY"),
        ("10.0.0.1:8786", "Allowed: tls://host:port"),
        ("tls://10.0.0.1", "Allowed: tls://host:port"),
    ],
)
def test_unsafe_scheduler_is_refused(address: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASK_SCHEDULER", address)
    with pytest.raises(SettingsError) as caught:
        read_settings()
    assert f"DASK_SCHEDULER is {address!r}" in str(caught.value)
    assert reason in str(caught.value)


def test_missing_certificate_file_is_named(secured: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASK_TLS_CERT", str(secured / "nowhere.pem"))
    with pytest.raises(SettingsError, match=r"DASK_TLS_CERT is .*nowhere.*\. Allowed: a file that exists"):
        read_settings()


def test_settings_name_the_cluster(secured: Path) -> None:
    access = build_cluster_access(read_settings())
    assert access is not None
    assert access.certificates == Certificates(
        authority=secured / CA_FILE, certificate=secured / CERTIFICATE_FILE, key=secured / KEY_FILE
    )
    assert access.resource == f"backtesting-{cluster_version()}"
    assert build_cluster_access(Settings(_env_file=None, dask_scheduler=None)) is None


def test_insecure_cluster_is_warned_of_loudly(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setenv("DASK_SCHEDULER", "tcp://127.0.0.1:8786")
    monkeypatch.setenv("DASK_INSECURE", "true")
    build_executor(read_settings())
    assert "CLUSTER WITHOUT ENCRYPTION: whoever reaches its ports can execute code" in caplog.text


@pytest.mark.usefixtures("secured")
def test_start_without_dask_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.startswith("src.jobs.dask_")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.setitem(sys.modules, "dask", None)
    with pytest.raises(MissingLibrary, match="Dask is not installed"):
        build_executor(read_settings())
    assert serve.main([]) == 2
    assert "pip install '.[dask]'" in capsys.readouterr().err
    assert main(["scheduler"]) == 2
    assert "pip install '.[dask]'" in capsys.readouterr().err


def test_mixed_certificate_and_key_stop_start(
    secured: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("distributed")
    make_certificates(secured / "other", now=NOW)
    monkeypatch.setenv("DASK_TLS_KEY", str(secured / "other" / KEY_FILE))
    assert serve.main([]) == 2
    assert "are no certificates that belong together" in capsys.readouterr().err


def test_service_without_cluster_imports_no_dask() -> None:
    code = "import sys, src.wiring.services; print(sorted({'dask', 'distributed'} & set(sys.modules)))"
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
