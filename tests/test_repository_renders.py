"""The repository itself, with git and all, renders for whoever names it to Copier."""

import pytest
import yaml
from pytest_copie.plugin import Copie
from slipway.catalogue import REPOSITORY
from slipway.rendering import ANSWERS_FILE


@pytest.mark.filterwarnings("ignore::copier.errors.DirtyLocalWarning")
@pytest.mark.parametrize("framework", ["fastapi", "litestar"])
def test_the_repository_as_it_stands_renders(copie: Copie, framework: str):
    answers = {"framework": framework}
    result = copie.copy(answers, template_dir=REPOSITORY)  # pyright: ignore[reportUnknownMemberType]

    assert result.exception is None
    assert result.project_dir
    record = yaml.safe_load((result.project_dir / ANSWERS_FILE).read_text(encoding="utf-8"))
    assert record["framework"] == framework
    assert record["_src_path"] == str(REPOSITORY)
    assert record["_commit"]
