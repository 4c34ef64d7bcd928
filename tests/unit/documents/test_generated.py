"""Documents say what the code does: their generated parts are up to date, their links lead somewhere."""

import re
from pathlib import Path

import pytest

from deploy.documents import README, settings_table, with_settings

ROOT = README.parent
PAGES = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")), ROOT / "deploy/local/README.md"]


def test_the_settings_table_of_the_readme_is_that_of_the_code() -> None:
    """`make readme` brings it up to date."""
    assert README.read_text() == with_settings(README.read_text())


def test_every_setting_has_a_meaning() -> None:
    assert [row for row in settings_table().splitlines() if row.endswith("| None |")] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_within_the_repository_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", page.read_text())

    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_a_page_names_exist(page: Path) -> None:
    named = re.findall(
        r"(?:^|[\s`(])((?:services|libs|deploy|tests)/[\w/.-]+\.(?:py|md|yaml|svg))\b", page.read_text(), re.MULTILINE
    )

    assert [name for name in named if not (ROOT / name).exists()] == []
