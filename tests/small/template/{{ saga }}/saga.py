"""Coordinates steps."""
