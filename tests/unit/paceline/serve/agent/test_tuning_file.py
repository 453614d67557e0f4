"""What the path of the tuning document may lead to. A read never waits."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from paceline.errors import InvalidDocument
from paceline.serve.agent.tuning_file import MAX_BYTES, TuningFile


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def a_folder(path: Path) -> None:
    path.mkdir()


def a_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def a_socket(path: Path) -> None:
    former = Path.cwd()
    os.chdir(path.parent)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path.name)
    os.chdir(former)


def a_file_that_never_ends(path: Path) -> None:
    path.symlink_to("/proc/self/pagemap")  # a regular file of size 0, and gigabytes to read


def a_huge_file(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**40)


def one_byte_too_many(path: Path) -> None:
    path.write_bytes(b" " * (MAX_BYTES + 1))


def a_circle_of_links(path: Path) -> None:
    path.symlink_to(path)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (a_pipe, "a pipe"),
        (a_folder, "a folder"),
        (a_device, "a device"),
        (a_socket, "a socket"),
        (a_file_that_never_ends, "larger than"),
        (a_huge_file, "larger than"),
        (one_byte_too_many, "larger than"),
        (a_circle_of_links, "cannot be read"),
    ],
)
def test_what_is_no_document_is_refused_until_it_is_one(
    tmp_path: Path, make: Callable[[Path], None], says: str
) -> None:
    path = tmp_path / "tuning.json"
    make(path)
    file = TuningFile(path)
    for _ in range(2):
        with pytest.raises(InvalidDocument, match=says):
            file.read()
        assert not file.changed, "the agent need not look again at once"
    path.rmdir() if path.is_dir() else path.unlink()
    assert file.read() is None
    assert file.absent
    path.write_bytes(b"{}")
    assert file.changed
    assert (file.read(), file.read(), file.absent) == (b"{}", None, False)


def test_the_largest_document_is_read(tmp_path: Path) -> None:
    path = tmp_path / "tuning.json"
    path.write_bytes(b" " * MAX_BYTES)
    assert TuningFile(path).read() == b" " * MAX_BYTES


def test_a_link_is_followed_as_kubelet_makes_them(tmp_path: Path) -> None:
    (tmp_path / "..data").mkdir()
    (tmp_path / "..data" / "tuning.json").write_bytes(b"{}")
    (tmp_path / "tuning.json").symlink_to("..data/tuning.json")
    assert TuningFile(tmp_path / "tuning.json").read() == b"{}"


def test_a_parent_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InvalidDocument, match="Not a directory"):
        TuningFile(tmp_path / "file" / "tuning.json").read()
