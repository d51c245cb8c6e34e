"""Make the certificates of a cluster: an authority of its own, and one certificate that all members share.

Anyone with the member's key can execute code on all members, as every member can: guard the folder like a password.
The authority's key is discarded, so no further certificate can be made; to replace one, make all of them again.
"""

from __future__ import annotations

import datetime
import os
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from src.files.writing import write_synced

DEFAULT_DAYS: Final = 825
"""Days that the certificates are valid; restart the members with new ones before they expire."""

CA_FILE: Final = "ca.pem"
CERTIFICATE_FILE: Final = "cluster.pem"
KEY_FILE: Final = "cluster-key.pem"

_CLOCK_SKEW: Final = datetime.timedelta(hours=1)
"""By how much the clock of another member may be behind."""


def make_certificates(folder: Path, *, now: datetime.datetime, days: int = DEFAULT_DAYS) -> None:
    """Write the three files to the folder, which is made if it is missing; raises FileExistsError if one is there."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    authority_key, member_key = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    authority = _name("backtesting cluster authority")
    identifier = x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key())
    until = now + datetime.timedelta(days=days)
    ca = (
        _builder(authority, authority, authority_key, now, until)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(identifier, critical=False)
        .sign(authority_key, None)
    )
    member = (
        _builder(_name("backtesting cluster member"), authority, member_key, now, until)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .sign(authority_key, None)
    )
    key = member_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    _write(folder / KEY_FILE, key, 0o600)
    _write(folder / CERTIFICATE_FILE, member.public_bytes(Encoding.PEM), 0o644)
    _write(folder / CA_FILE, ca.public_bytes(Encoding.PEM), 0o644)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: Ed25519PrivateKey, now: datetime.datetime, until: datetime.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(until)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates, key_cert_sign=signs_certificates, crl_sign=signs_certificates,
        content_commitment=False, key_encipherment=False, data_encipherment=False, key_agreement=False,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _write(file: Path, content: bytes, mode: int) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as stream:
        write_synced(stream, content)
