"""The folder of a local platform: what is stored where, and that nobody else uses it. Starts nothing."""

import fcntl
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import yaml

from paceline.durations import parse_duration
from paceline.errors import UsageError
from paceline.local.private_files import open_private, private_folder

TARGET: Final = "api"
"""The name of the served application, where the policy gives no other."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """Paths below one folder. The databases keep their data between runs."""

    folder: Path

    @property
    def postgres(self) -> Path:
        return self.folder / "postgres"

    @property
    def valkey(self) -> Path:
        return self.folder / "valkey"

    @property
    def security(self) -> Path:
        """Of the Valkey that evicts nothing."""
        return self.folder / "security"

    @property
    def operator(self) -> Path:
        """What `paceline-operator local` reads and writes: policies, targets, the tuning document, status."""
        return self.folder / "operator"

    @property
    def environment(self) -> Path:
        """Addresses of the databases, passwords included."""
        return self.folder / "environment"

    @property
    def policy(self) -> Path:
        return self.operator / "policy.yaml"

    @property
    def document(self) -> Path:
        return self.operator / "tuning.json"

    def log(self, program: str) -> Path:
        return self.folder / "logs" / f"{program}.log"

    def prepare(self, policy: Path | None, template: str, *, anew: bool) -> None:
        """Makes the folders and the policy: the file given, else what is there, else the template.

        Args:
            policy: linked, not copied: editing it counts.
            template: name of a file beside this module.
            anew: forget policy, document and status of earlier runs.

        Raises:
            UsageError: the policy is not a file.
        """
        if policy is not None and not policy.is_file():
            raise UsageError(f"--policy {policy}: no such file")
        if anew:
            shutil.rmtree(self.operator, ignore_errors=True)
        for folder in (self.operator, self.folder / "logs"):
            folder.mkdir(parents=True, exist_ok=True)
        if policy is not None:
            self.policy.unlink(missing_ok=True)
            self.policy.symlink_to(policy.resolve())
        elif self.policy.is_symlink() or not self.policy.exists():
            self.policy.unlink(missing_ok=True)
            self.policy.write_text((files("paceline.local") / template).read_text())

    def objective_seconds(self) -> float | None:
        """The p95 that the policy asks for; None if it asks for none."""
        try:
            return parse_duration(str(self._policy_part("objective").get("p95"))).total_seconds()
        except UsageError:
            return None

    def write_environment(self, variables: Mapping[str, str]) -> None:
        """Lets a person come into the databases: `set -a; . .paceline/up/environment; psql "$DATABASE_URL"`."""
        with open_private(self.environment) as file:
            file.write("".join(f"{name}={value}\n" for name, value in variables.items()).encode())

    def write_target(self, management_port: int) -> None:
        """Tells the operator what there is to tune: whatever the policy names, it is the one service here."""
        target = self._policy_part("targetRef")
        entry = {
            "kind": target.get("kind", "Deployment"),
            "name": target.get("name", TARGET),
            "documentFile": self.document.name,
            "stateUrls": [f"http://127.0.0.1:{management_port}/state"],
        }
        (self.operator / "targets.yaml").write_text(yaml.safe_dump([entry], sort_keys=False))

    def _policy_part(self, name: str) -> Mapping[str, Any]:
        """One object of the policy's spec; empty if it has none. The operator says what is wrong with a policy."""
        try:
            manifests = [each for each in yaml.safe_load_all(self.policy.read_text()) if isinstance(each, dict)]
            # A ConnectionBudget may stand beside the policy, as in k8s/examples/budget.yaml.
            part = next(each for each in manifests if each.get("kind") != "ConnectionBudget")["spec"][name]
        except (yaml.YAMLError, KeyError, TypeError, StopIteration):
            return {}
        return part if isinstance(part, dict) else {}


@contextmanager
def claimed(folder: Path) -> Iterator[Workspace]:
    """The workspace in this folder, for us alone.

    Raises:
        UsageError: another `paceline up` uses it, or it cannot be written.
    """
    try:
        private_folder(folder)
        lock = open_private(folder / "lock")
    except OSError as error:
        raise UsageError(f"cannot write to the folder {folder}: {(error.strerror or str(error)).lower()}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(f"another `paceline up` uses the folder {folder}; stop it, or start elsewhere") from error
        yield Workspace(folder)
