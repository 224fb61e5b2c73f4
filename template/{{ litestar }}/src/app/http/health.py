"""Probes for the orchestrator, and the documentation of the problem types."""

from dataclasses import asdict
from typing import Any

from litestar import Response, Router, get
from litestar.di import NamedDependency
from litestar.openapi import ResponseSpec
from litestar.params import FromPath

from app.chassis.errors import NotFound
from app.chassis.health import HealthChecks
from app.chassis.problems import ProblemRenderer, describe
from app.http.dependencies import provided

CANNOT_SERVE = {503: ResponseSpec(dict[str, Any], generate_examples=False, description="Not now.")}


@get("/health/live")
async def live() -> dict[str, str]:
    """Is the process running?"""
    return {"status": "ok"}


@get("/health/ready", responses=CANNOT_SERVE)
async def ready(checks: NamedDependency[HealthChecks]) -> Response[dict[str, Any]]:
    """Can the service handle requests?"""
    readiness = await checks.readiness()
    return Response(asdict(readiness), status_code=readiness.http_status)


@get("/health/startup", responses=CANNOT_SERVE)
async def startup(checks: NamedDependency[HealthChecks]) -> Response[dict[str, Any]]:
    """Has the service started?"""
    status = "started" if checks.started else "starting"
    return Response({"status": status}, status_code=200 if checks.started else 503)


@get("/problems/{slug:str}")
async def problem_type(
    slug: FromPath[str], problems: NamedDependency[ProblemRenderer]
) -> dict[str, Any]:
    """What a problem type means."""
    description = describe(slug, problems)
    if description is None:
        raise NotFound("There is no such problem type.")
    return description


router = Router(
    "/",
    route_handlers=[live, ready, startup, problem_type],
    dependencies={"checks": provided(HealthChecks), "problems": provided(ProblemRenderer)},
    tags=["operations"],
)
