"""How a person logs in, as the rules see it. Knows no database and no hash function."""

from datetime import datetime

import msgspec


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """One e-mail address (canonical) and its password's hash. A raised `token_version` ends all tokens given before."""

    tenant: str
    email: str
    subscriber_id: str
    password_hash: str
    token_version: int = 1
    created_at: datetime
