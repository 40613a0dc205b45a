"""Encryption of identifiers and free text at rest, with key ids for rotation, and the blind index for look-ups."""

import base64
import binascii
import hashlib
import hmac
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from companion.errors import Misconfigured

_NONCE = 12


class KeyRing:
    """Keys by id, newest first: the first encrypts, all decrypt (AES-256-GCM, random 96-bit nonce)."""

    def __init__(self, keys: dict[str, bytes], index_key: bytes) -> None:
        if not keys:
            raise Misconfigured("COMPANION_KEYS holds no key")
        self._ciphers = {key_id: AESGCM(key) for key_id, key in keys.items()}
        self._newest = next(iter(keys))
        self._index = hmac.new(index_key, digestmod="sha256")

    @classmethod
    def parse(cls, keys: str, index_key: str) -> "KeyRing":
        """Reads `k2:BASE64,k1:BASE64` (32 bytes each) and the index key in base64. Raises `Misconfigured`."""
        ring: dict[str, bytes] = {}
        for part in filter(None, keys.split(",")):
            key_id, _, encoded = part.strip().partition(":")
            ring[key_id] = _decode(encoded, f"COMPANION_KEYS ({key_id})")
        return cls(ring, _decode(index_key, "COMPANION_INDEX_KEY"))

    def encrypt(self, text: str, place: str) -> bytes:
        """The text sealed for one place (`table.column`); moved elsewhere it does not open."""
        nonce = os.urandom(_NONCE)
        sealed = self._ciphers[self._newest].encrypt(nonce, text.encode(), place.encode())
        return self._newest.encode() + b":" + nonce + sealed

    def decrypt(self, blob: bytes, place: str) -> str:
        """The text again. Raises `ValueError` when the key is gone, the place is wrong or a bit was changed."""
        key_id, _, rest = blob.partition(b":")
        cipher = self._ciphers.get(key_id.decode(errors="replace"))
        if cipher is None:
            raise ValueError("sealed with a key that is not in the ring")
        try:
            return cipher.decrypt(rest[:_NONCE], rest[_NONCE:], place.encode()).decode()
        except InvalidTag:
            raise ValueError("sealed text was changed or moved") from None

    def index(self, text: str, place: str) -> str:
        """A keyed fingerprint (HMAC-SHA-256, hex) by which a sealed value can be found but not read."""
        keyed = self._index.copy()
        keyed.update(f"{place}\0{text}".encode())
        return keyed.hexdigest()


def token_hash(token: str) -> str:
    """How a random token (≥ 128 bits) is kept: SHA-256, hex."""
    return hashlib.sha256(token.encode()).hexdigest()


def _decode(encoded: str, name: str) -> bytes:
    try:
        key = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        raise Misconfigured(f"{name} is not base64") from None
    if len(key) != 32:
        raise Misconfigured(f"{name} must be 32 bytes, is {len(key)}")
    return key
