"""VAPID (RFC 8292): how an application server tells push services who it is. Knows nothing of messages."""

import base64
import binascii
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jwt
from joserfc.jwk import ECKey

_KEY_BYTES = 32
_LIFETIME = timedelta(hours=12)
"""RFC 8292, 2: at most 24 hours."""
_RENEW_BEFORE = timedelta(hours=1)
_KEPT = 256
"""Push services; there are a handful, but subscriptions name them, and customers write subscriptions."""


def encode(raw: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """The bytes of base64url, padded or not. Raises ValueError."""
    try:
        return base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError("is not base64url") from error


def read_private_key(text: str) -> ec.EllipticCurvePrivateKey:
    """A private key on P-256 from its 32 bytes in base64url. Raises ValueError."""
    raw = decode(text)
    if len(raw) != _KEY_BYTES:
        raise ValueError(f"must be {_KEY_BYTES} bytes in base64url")
    return ec.derive_private_key(int.from_bytes(raw, "big"), ec.SECP256R1())


class Vapid:
    """Makes the `Authorization` header, one for each push service and half a day: signing costs, and nothing in it is
    of a message."""

    def __init__(self, private_key: str, subject: str) -> None:
        key = read_private_key(private_key)
        numbers = key.private_numbers()
        public = numbers.public_numbers
        self.public_key = encode(key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))
        """What browsers subscribe with (`applicationServerKey`)."""
        parts = {"x": public.x, "y": public.y, "d": numbers.private_value}
        coordinates = {name: encode(value.to_bytes(_KEY_BYTES, "big")) for name, value in parts.items()}
        self._key = ECKey.import_key({"kty": "EC", "crv": "P-256", **coordinates})
        self._subject = subject
        self._headers: dict[str, tuple[datetime, str]] = {}

    def authorization(self, endpoint: str, now: datetime) -> str:
        """The header's value for requests to `endpoint`."""
        parts = urlsplit(endpoint)
        origin = f"{parts.scheme}://{parts.netloc}"
        until, header = self._headers.get(origin, (now, ""))
        if until - _RENEW_BEFORE <= now:
            until = now + _LIFETIME
            claims = {"aud": origin, "exp": int(until.timestamp()), "sub": self._subject}
            token = jwt.encode({"typ": "JWT", "alg": "ES256"}, claims, self._key)
            header = f"vapid t={token}, k={self.public_key}"
            if len(self._headers) >= _KEPT:
                self._headers.clear()
            self._headers[origin] = (until, header)
        return header
