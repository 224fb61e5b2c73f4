"""Probes for the orchestrator, and the documentation of the problem types."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse

from app.chassis.errors import NotFound
from app.chassis.health import HealthChecks
from app.chassis.problems import ProblemRenderer, describe
from app.http.dependencies import provided

router = APIRouter(tags=["operations"])
CANNOT_SERVE: dict[int | str, dict[str, Any]] = {
    503: {"model": dict[str, Any], "description": "Not now."}
}
UseChecks = Annotated[HealthChecks, Depends(provided(HealthChecks))]
UseProblems = Annotated[ProblemRenderer, Depends(provided(ProblemRenderer))]


@router.get("/health/live")
async def live() -> dict[str, str]:
    """Is the process running?"""
    return {"status": "ok"}


@router.get("/health/ready", response_model=dict[str, Any], responses=CANNOT_SERVE)
async def ready(checks: UseChecks) -> JSONResponse:
    """Can the service handle requests?"""
    readiness = await checks.readiness()
    return JSONResponse(asdict(readiness), readiness.http_status)


@router.get("/health/startup", response_model=dict[str, Any], responses=CANNOT_SERVE)
async def startup(checks: UseChecks) -> JSONResponse:
    """Has the service started?"""
    status = "started" if checks.started else "starting"
    return JSONResponse({"status": status}, 200 if checks.started else 503)


@router.get("/problems/{slug}")
async def problem_type(slug: str, problems: UseProblems) -> dict[str, Any]:
    """What a problem type means."""
    description = describe(slug, problems)
    if description is None:
        raise NotFound("There is no such problem type.")
    return description
