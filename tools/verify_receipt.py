"""Check a receipt of a backtest without the service: `python verify_receipt.py receipt.json --keys keys.json`.

The keys are the service's key set, saved from `/.well-known/backtesting-receipt-keys.json`; `--url http://host` fetches
it instead. Exit code 0: the receipt is as it was signed; 1: it is not, or cannot be checked. Needs Python 3.11 and the
package `cryptography`.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hashlib
import json
import math
import sys
import urllib.request
from decimal import Decimal
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

KEYS_PATH = "/.well-known/backtesting-receipt-keys.json"
MEMBERS = {"payload", "signature", "key_id", "algorithm"}
FORMAT = 1
MAX_BYTES = 16 * 1024 * 1024
MAX_WHOLE_NUMBER = 2**53 - 1
TIMEOUT_S = 10


class Refused(Exception):
    """The receipt is not what was signed, or cannot be checked; the message says why."""


def verify(receipt: bytes, keys: bytes) -> dict[str, Any]:
    """Return the payload of a receipt that is as it was signed; raises Refused otherwise."""
    document = read_json(receipt, "the receipt")
    if not isinstance(document, dict) or set(document) != MEMBERS or not isinstance(document["payload"], dict):
        raise Refused(f"the receipt must have exactly the members {', '.join(sorted(MEMBERS))}")
    if document["algorithm"] != "Ed25519":
        raise Refused("the receipt's algorithm is not Ed25519")
    key = find_key(read_json(keys, "the key set"), document["key_id"])
    try:
        key.verify(decode(document["signature"], "the signature"), canonical(document["payload"]).encode())
    except InvalidSignature:
        raise Refused("the signature does not fit: the receipt was changed, or another key signed it") from None
    except (UnicodeEncodeError, RecursionError):
        raise Refused("the receipt holds text that is no Unicode, or is nested too deeply") from None
    payload: dict[str, Any] = document["payload"]
    if payload.get("format") != FORMAT:
        raise Refused("the receipt has a newer format; use the verifier of that version")
    return payload


def find_key(key_set: Any, key_id: Any) -> Ed25519PublicKey:
    """Return the key with this id; raises Refused if the set has none."""
    keys = key_set.get("keys") if isinstance(key_set, dict) else None
    if not isinstance(keys, list):
        raise Refused("the key set has no list of keys")
    for key in keys:
        if (
            isinstance(key, dict)
            and key.get("kid") == key_id
            and (key.get("kty"), key.get("crv")) == ("OKP", "Ed25519")
        ):
            raw = decode(key.get("x"), "the key")
            thumbprint = hashlib.sha256(f'{{"crv":"Ed25519","kty":"OKP","x":"{key["x"]}"}}'.encode()).digest()
            if len(raw) != 32 or encode(thumbprint) != key_id:
                raise Refused("the key does not fit its id")
            return Ed25519PublicKey.from_public_bytes(raw)
    raise Refused(f"the key set has no key {key_id!r}")


def encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def decode(text: Any, what: str) -> bytes:
    """Read base64url without padding, which has one spelling only."""
    try:
        content = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (TypeError, ValueError, binascii.Error):
        content = None
    if content is None or encode(content) != text:
        raise Refused(f"{what} is no base64url")
    return content


def read_json(content: bytes, what: str) -> Any:
    try:
        return json.loads(
            content.decode("utf-8"),
            object_pairs_hook=read_members,
            parse_float=read_float,
            parse_int=read_whole,
            parse_constant=refuse_constant,
        )
    except (ValueError, RecursionError) as error:
        raise Refused(f"{what} is no JSON: {error}") from None


def read_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise Refused("a member stands twice in one object")
    return members


def read_float(text: str) -> float:
    value = float(text)
    # Digits that a double does not keep would be changed unseen.
    if not math.isfinite(value) or Decimal(text) != Decimal(write_float(value)):
        raise Refused(f"the number {text[:40]} has digits that a double does not keep")
    return value


def read_whole(text: str) -> int:
    value = int(text) if len(text) < 30 else MAX_WHOLE_NUMBER + 1
    if abs(value) <= MAX_WHOLE_NUMBER:
        return value
    # A large double is written without a point: it must be spelled as the canonical form does.
    if len(text) > 30 or write_float(float(text)) != text:
        raise Refused(f"the number {text[:40]} has digits that a double does not keep")
    return float(text)  # type: ignore[return-value]


def refuse_constant(text: str) -> None:
    raise Refused(f"{text} is no JSON number")


def canonical(value: Any) -> str:
    """Write JSON as RFC 8785 does."""
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode("utf-16-be"))
        return "{" + ",".join(f"{canonical(name)}:{canonical(value[name])}" for name in names) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    if isinstance(value, float):
        return write_float(value)
    return json.dumps(value, ensure_ascii=False)


def write_float(value: float) -> str:
    """Write a double as ECMAScript does."""
    if value == 0:
        return "0"
    mantissa, _, power = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    point = int(power or 0) + len(whole) - (len(whole + fraction) - len(digits))
    digits, sign = digits.rstrip("0"), "-" if value < 0 else ""
    if len(digits) <= point <= 21:
        return sign + digits.ljust(point, "0")
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    return f"{sign}{digits[0]}{'.' + digits[1:] if len(digits) > 1 else ''}e{point - 1:+d}"


def describe(payload: dict[str, Any]) -> str:
    """Say in plain words what was verified."""
    asked, prints, metrics = payload["request"], payload["fingerprints"], payload["metrics"]
    judgement, ledger = payload["judgement"], payload["ledger"]
    level = "none: an earlier version stored the result" if judgement is None else judgement["verdict"]["level"]
    lines = [
        "The receipt is as the service signed it.",
        f"Result: {payload['id']}, {payload['created_at']}, of user {asked['user_id']}",
        f"Run: {asked['strategy']['name']} on {asked['symbol']} {asked['interval']}, engine {asked['engine']}",
        f"Bars: SHA-256 {prints['data_fingerprint']} from {prints['origin']}",
        f"Model: {'none' if prints['model_sha256'] is None else 'SHA-256 ' + prints['model_sha256']}",
        f"Total return {metrics['total_return']}, Sharpe ratio {metrics['sharpe_ratio']}",
        f"Verdict: {level}",
        f"Ledger's head after the run: {'none' if ledger is None else ledger['head_after'] or 'empty'}",
        f"Warnings: {len(payload['warnings'])}",
        payload["statement"],
    ]
    # Texts of a receipt must not steer the terminal.
    return "\n".join("".join(c if c.isprintable() else "?" for c in line) for line in lines)


def load(path: Path) -> bytes:
    with path.open("rb") as file:
        return limit(file.read(MAX_BYTES + 1))


def fetch(url: str) -> bytes:
    if not url.startswith(("http://", "https://")):
        raise Refused("--url must begin with http:// or https://")
    with urllib.request.urlopen(url.rstrip("/") + KEYS_PATH, timeout=TIMEOUT_S) as answer:  # noqa: S310
        return limit(answer.read(MAX_BYTES + 1))


def limit(content: bytes) -> bytes:
    if len(content) > MAX_BYTES:
        raise Refused(f"a file has over {MAX_BYTES} bytes")
    return content


def main() -> int:
    parser = argparse.ArgumentParser(description="Check a receipt of a backtest without the service.")
    parser.add_argument("receipt", type=Path)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--keys", type=Path, help=f"the key set, saved from {KEYS_PATH}")
    source.add_argument("--url", help="the service's address, to fetch the key set from")
    options = parser.parse_args()
    try:
        keys = fetch(options.url) if options.url else load(options.keys)
        print(describe(verify(load(options.receipt), keys)))
    except (Refused, OSError) as error:
        print(f"REFUSED: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
