"""Guards what an import contract cannot see: where packages may lie, and what text may be committed."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_no_folder_shadows_a_standard_library_module() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert not packages & sys.stdlib_module_names


def test_tests_are_not_a_package() -> None:
    assert not list((ROOT / "tests").rglob("__init__.py"))


@pytest.mark.parametrize("word", ["://", "@ ", "--index", "--find-links"])
def test_the_lock_records_no_download_address(word: str) -> None:
    assert word not in (ROOT / "requirements.lock").read_text()


def test_version_is_the_same_everywhere() -> None:
    import paceline
    import paceline_operator

    project = (ROOT / "pyproject.toml").read_text()
    assert f'version = "{paceline.__version__}"' in project
    assert paceline_operator.__version__ == paceline.__version__


def test_no_binary_is_committed() -> None:
    tracked = subprocess.run(["git", "ls-files", "--eol"], cwd=ROOT, capture_output=True, text=True, check=False)
    if tracked.returncode:
        pytest.fail("not a git checkout: cannot tell what is committed")
    binaries = [line for line in tracked.stdout.splitlines() if line.startswith("i/-text")]
    assert not binaries
