"""What a caller reads about its quota: the only place that knows the names.

`RateLimit-Policy` and `RateLimit` are those of draft-ietf-httpapi-ratelimit-headers-10; the older
`X-RateLimit-*` say the same, their reset in seconds from now.
"""

import math

from app.chassis.asgi import Header
from app.chassis.rate_limiting.policy import Verdict

NAMES = frozenset(
    {
        "RateLimit",
        "RateLimit-Policy",
        "X-RateLimit-Limit",
        "X-RateLimit-Remaining",
        "X-RateLimit-Reset",
    }
)
QUOTA, WINDOW, REMAINING, WAIT = "q", "w", "r", "t"


def quota_headers(verdict: Verdict) -> list[Header]:
    """Both families, as ASGI wants them."""
    name, wait = verdict.policy.name, verdict.whole_seconds
    window = math.ceil(verdict.policy.window.total_seconds())
    return [
        (b"ratelimit-policy", f'"{name}";{QUOTA}={verdict.quota};{WINDOW}={window}'.encode()),
        (b"ratelimit", f'"{name}";{REMAINING}={verdict.remaining};{WAIT}={wait}'.encode()),
        (b"x-ratelimit-limit", b"%d" % verdict.quota),
        (b"x-ratelimit-remaining", b"%d" % verdict.remaining),
        (b"x-ratelimit-reset", b"%d" % wait),
    ]
