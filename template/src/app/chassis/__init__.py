"""Cross-cutting concerns: what every slice relies on and none of them knows."""
