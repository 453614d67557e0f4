"""The documentation site is made of this repository's Markdown; `make docs` has the anchors checked as well."""

import importlib.machinery
import importlib.util
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site() -> ModuleType:
    loader = importlib.machinery.SourceFileLoader("scripts_site", str(ROOT / "scripts" / "site"))
    spec = importlib.util.spec_from_loader("scripts_site", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def test_every_link_of_every_page_leads_somewhere(site: ModuleType) -> None:
    pages = site.published(ROOT)
    for file in pages:
        if file.endswith(".md"):
            site.on_site((ROOT / file).read_text(), file, pages, ROOT)


def test_every_page_is_in_the_navigation(site: ModuleType) -> None:
    nav = tomllib.loads((ROOT / "zensical.toml").read_text())["project"]["nav"]
    made = {page for page in site.published(ROOT).values() if page.endswith(".md")}
    assert set(site.in_navigation(nav)) == {page for page in made if not page.startswith(site.UNLISTED)}


@pytest.mark.parametrize(
    ("link", "becomes"),
    [
        ("[how](docs/tuning.md#four-runs)", "[how](tuning.md#four-runs)"),
        ("[what](helm/paceline/README.md)", "[what](chart.md)"),
        ("![a picture](docs/plots/mixed-step.svg)", "![a picture](plots/mixed-step.svg)"),
        ("[Makefile](Makefile)", "`Makefile`"),
        ("[the targets](Makefile)", "the targets (`Makefile`)"),
        ("[Tilt](https://tilt.dev)", "[Tilt](https://tilt.dev)"),
        ("[below](#below)", "[below](#below)"),
        ("```\n[x](nothing.md)\n```\n", "```\n[x](nothing.md)\n```\n"),
    ],
)
def test_links_lead_to_the_pages_of_the_site(site: ModuleType, link: str, becomes: str) -> None:
    assert site.on_site(link, "README.md", site.published(ROOT), ROOT) == becomes


def test_a_link_from_below_docs_leads_out_of_its_folder(site: ModuleType) -> None:
    text = site.on_site("[a](../operations.md) [b](../../README.md)", "docs/runbooks/X.md", _with_x(site), ROOT)
    assert text == "[a](../operations.md) [b](../index.md)"


def test_a_link_to_nothing_is_named(site: ModuleType) -> None:
    with pytest.raises(site.BrokenLinkError, match=r"README\.md: \[x\]\(nothing\.md\) leads to nothing\.md"):
        site.on_site("[x](nothing.md)", "README.md", site.published(ROOT), ROOT)


def _with_x(site: ModuleType) -> dict[str, str]:
    return {**site.published(ROOT), "docs/runbooks/X.md": "runbooks/X.md"}
