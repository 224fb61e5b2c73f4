"""`fields=id,status`: sparse answers (Zalando 157), from the answer's own public fields only."""

from pydantic import BaseModel


def parse_fields(text: str | None, model: type[BaseModel]) -> frozenset[str] | None:
    """Read a `fields` parameter; None means all.

    Raises:
        ValueError: a field is not one of the model's.
    """
    if text is None:
        return None
    chosen = frozenset(name.strip() for name in text.split(","))
    if unknown := chosen - set(model.model_fields):
        known = ", ".join(model.model_fields)
        raise ValueError(f"must be a list of {known}; {len(unknown)} of the given ones are not")
    return chosen
