"""Measures rendered services against bare applications of the same framework."""
