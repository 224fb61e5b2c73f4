"""Structured logs: every line on standard output is one JSON object."""

import logging
import re
import sys
from collections.abc import Iterator
from types import TracebackType
from typing import Any

import structlog

from app.chassis.service import Service
from app.chassis.settings import CoreSettings

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)

_SHARED: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]

# Local variables would carry passwords and tokens into the log.
_FRAMES = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
# With these an error goes on to show the data that it was about.
_DETAILS = re.compile(r"\n(?:DETAIL|CONTEXT):.*?(?=\n\[|\Z)", re.DOTALL)


def without_details(text: str) -> str:
    """Leave out of an error's text what shows stored data."""
    return _DETAILS.sub("", text)


def _traceback(exc_info: structlog.typing.ExcInfo) -> list[dict[str, Any]]:
    errors = _FRAMES(exc_info)
    for error in _all(errors):
        error["exc_value"] = without_details(error["exc_value"])
    return errors


def _all(errors: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for error in errors:
        yield error
        for group in error.get("exceptions", []):
            yield from _all(group)


_TRACEBACKS = structlog.processors.ExceptionRenderer(_traceback)


def add_logging(service: Service) -> None:
    """Log from here on as the service that the environment names."""
    configure_logging(service.load(CoreSettings))


def configure_logging(settings: CoreSettings) -> None:
    """Send structlog's and the standard library's records through one JSON renderer."""

    def add_service(
        _logger: object, _method: str, event: structlog.typing.EventDict
    ) -> structlog.typing.EventDict:
        event["service"] = settings.service_name
        return event

    shared = [*_SHARED, add_service]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _TRACEBACKS,
                structlog.processors.JSONRenderer(default=str),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.log_level)
    for name in ("uvicorn", "uvicorn.error"):
        logging.getLogger(name).handlers = []
        logging.getLogger(name).propagate = True
    logging.getLogger("uvicorn.error").setLevel(logging.INFO)
    logging.getLogger("uvicorn.error").addFilter(_worth_a_line)
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_crash


def _worth_a_line(record: logging.LogRecord) -> bool:
    """Let through what uvicorn warns of, and the death of a worker process, which it does not."""
    if record.levelno < logging.WARNING and record.getMessage().endswith(" died"):
        record.levelno, record.levelname = logging.WARNING, "WARNING"
    return record.levelno >= logging.WARNING


def _log_crash(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Say why the process ends, in one line as everything else."""
    log.critical("crashed", exc_info=(kind, error, trace))
