"""Routes on their way out: one line gives the headers, the OpenAPI flag, the log and the 410."""

from app.chassis.versioning import Deprecation

DEPRECATIONS: list[Deprecation] = []
