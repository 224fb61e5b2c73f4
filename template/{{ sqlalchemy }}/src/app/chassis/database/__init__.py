"""Database access: a bounded pool, one unit of work per request, migrations by branch."""

from app.chassis.database.engine import Database, DatabaseSettings, add_database
from app.chassis.database.model import Model
from app.chassis.database.transaction import transactional

__all__ = ["Database", "DatabaseSettings", "Model", "add_database", "transactional"]
