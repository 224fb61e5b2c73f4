"""The service's root package."""
