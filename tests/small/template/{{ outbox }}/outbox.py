"""Stores events."""
