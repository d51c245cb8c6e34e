"""The key that signs receipts: created once, private, kept, and refused by name if damaged."""

from __future__ import annotations

import base64
import concurrent.futures
import stat
import threading
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from src.domain.errors import StoreUnavailable
from src.stores.signing_key import KEY_FILE, FileSigner


def opened(folder: Path) -> FileSigner:
    signer = FileSigner(folder)
    signer.open()
    return signer


def test_key_is_created_private_and_kept(tmp_path: Path) -> None:
    folder = tmp_path / "storage" / ".keys"
    first, second = opened(folder), opened(folder)
    assert first.key_id == second.key_id
    assert first.sign(b"a") == second.sign(b"a") != first.sign(b"b")
    assert [path.name for path in folder.iterdir()] == [KEY_FILE]
    assert stat.S_IMODE((folder / KEY_FILE).stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == stat.S_IMODE(folder.parent.stat().st_mode) == 0o700


def test_signature_fits_the_public_key(tmp_path: Path) -> None:
    signer = opened(tmp_path / ".keys")
    [jwk] = signer.public_keys
    assert (jwk["kty"], jwk["crv"], jwk["kid"]) == ("OKP", "Ed25519", signer.key_id)
    key = Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(jwk["x"] + "="))
    key.verify(base64.urlsafe_b64decode(signer.sign(b"content") + "=="), b"content")


def test_key_id_is_the_thumbprint_of_rfc_8037(tmp_path: Path) -> None:
    """RFC 8037, appendices A.1 and A.3."""
    raw = base64.urlsafe_b64decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=")
    pem = Ed25519PrivateKey.from_private_bytes(raw).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / KEY_FILE).write_bytes(pem)
    assert opened(tmp_path).key_id == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_one_of_several_creates_the_key(tmp_path: Path) -> None:
    for attempt in range(10):
        barrier = threading.Barrier(8)

        def start(folder: Path = tmp_path / str(attempt), barrier: threading.Barrier = barrier) -> str:
            barrier.wait()
            return opened(folder).key_id

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            assert len({future.result() for future in [pool.submit(start) for _ in range(8)]}) == 1
        assert [path.name for path in (tmp_path / str(attempt)).iterdir()] == [KEY_FILE]


@pytest.mark.parametrize(
    "content", [b"", b"SECRET", b"-----BEGIN PRIVATE KEY-----\nSECRET\n-----END PRIVATE KEY-----\n"]
)
def test_damaged_key_is_refused_and_kept(tmp_path: Path, content: bytes) -> None:
    (tmp_path / KEY_FILE).write_bytes(content)
    with pytest.raises(StoreUnavailable) as caught:
        opened(tmp_path)
    assert str(tmp_path / KEY_FILE) in str(caught.value)
    assert "SECRET" not in str(caught.value)
    assert (tmp_path / KEY_FILE).read_bytes() == content


def test_unreadable_or_other_key_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / KEY_FILE
    path.mkdir()
    with pytest.raises(StoreUnavailable, match=KEY_FILE):
        opened(tmp_path)
    path.rmdir()
    path.write_bytes(X25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(StoreUnavailable, match="not an Ed25519 key"):
        opened(tmp_path)


def test_retired_public_keys_follow_the_present_one(tmp_path: Path) -> None:
    old = opened(tmp_path).key_id
    private = tmp_path / KEY_FILE
    retired = Ed25519PrivateKey.generate().public_key()
    (tmp_path / "retired-2025.pem").write_bytes(retired.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    keys = opened(tmp_path).public_keys
    assert len(keys) == 2
    assert keys[0]["kid"] == old
    assert base64.urlsafe_b64decode(keys[1]["x"] + "=") == retired.public_bytes_raw()
    (tmp_path / "retired-2026.pem").write_bytes(private.read_bytes())
    with pytest.raises(StoreUnavailable, match=r"retired-2026\.pem"):
        opened(tmp_path)


def test_nothing_is_signed_before_it_is_open(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable):
        FileSigner(tmp_path).sign(b"")
    with pytest.raises(StoreUnavailable):
        _ = FileSigner(tmp_path).key_id
