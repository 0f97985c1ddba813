"""`make docs` makes a site: every page is in its navigation, no link is broken, nothing is from elsewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    making = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-j", "2", "-d", folder / "trees"]
    made = subprocess.run(
        [*making, ROOT / "docs", folder / "html"], capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr
    return folder / "html"


def test_the_site_is_made_without_a_warning(site):
    pages = {page.relative_to(ROOT / "docs").with_suffix("") for page in (ROOT / "docs").rglob("*.md")}
    assert pages == {page.relative_to(site).with_suffix("") for page in site.rglob("*.html")} - {
        Path("genindex"),
        Path("search"),
    }


def test_nothing_on_it_comes_from_elsewhere(site):
    for page in site.rglob("*.html"):
        html = page.read_text("utf-8")
        loaded = re.findall(r"<(?:script|img|iframe|source)\b[^>]*\bsrc=\"([^\"]+)", html)
        loaded += re.findall(
            r"<link\b(?![^>]*rel=\"(?:next|prev|index|search|author)\")[^>]*href=\"([^\"]+)", html
        )
        assert loaded
        assert not [one for one in loaded if re.match(r"(?:\w+:)?//", one)], page.name
    for style in site.rglob("*.css"):
        assert not re.search(r"(?:@import|url\()\s*[\"']?(?:https?:)?//", style.read_text("utf-8")), (
            style.name
        )
