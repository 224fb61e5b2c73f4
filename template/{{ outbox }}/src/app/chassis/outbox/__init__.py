"""Transactional outbox and inbox: events leave with the change that caused them, and count once."""

from app.chassis.outbox.cloudevents import ReceivedEvent
from app.chassis.outbox.component import add_outbox, need_broker, need_heartbeat
from app.chassis.outbox.consumers import Consumers

__all__ = ["Consumers", "ReceivedEvent", "add_outbox", "need_broker", "need_heartbeat"]
