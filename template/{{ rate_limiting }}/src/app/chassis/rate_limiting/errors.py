"""What a caller is told whose quota is used up."""

from typing import Any

from app.chassis.errors import Problem
from app.chassis.rate_limiting.headers import quota_headers
from app.chassis.rate_limiting.policy import Verdict


class QuotaExceeded(Problem):
    """The caller's quota of requests is used up. `Retry-After` says when there is more."""

    uri = "https://iana.org/assignments/http-problem-types#quota-exceeded"
    status, slug, title = 429, "quota-exceeded", "Quota exceeded"

    def __init__(self, verdict: Verdict) -> None:
        headers = {key.decode(): value.decode() for key, value in quota_headers(verdict)}
        members: dict[str, Any] = {"violated-policies": [verdict.policy.name]}
        super().__init__(
            f"At most {verdict.quota} requests are served in the time that RateLimit-Policy names.",
            headers={**headers, "Retry-After": str(verdict.whole_seconds)},
            **members,
        )
