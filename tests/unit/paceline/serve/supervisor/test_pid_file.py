"""The file that names the pod's first process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from paceline.errors import UsageError
from paceline.serve.supervisor import pid_file


def test_it_is_written_and_removed(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    pid_file.write(path)
    assert path.read_text() == f"{os.getpid()}\n"
    pid_file.remove(path)
    assert not path.exists()


def test_one_that_is_left_is_replaced_and_one_of_another_process_stays(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    for left in ("", "none", f"{ended.pid}\n"):
        path.write_text(left)
        pid_file.write(path)
    path.write_text(f"{os.getppid()}\n")
    pid_file.remove(path)
    with pytest.raises(UsageError, match=f"names process {os.getppid()}, which is running"):
        pid_file.write(path)
    assert path.exists()


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot write .*--pid.*no such file"):
        pid_file.write(tmp_path / "nowhere" / "pid")
