"""A registry and two environments, through which releases go."""

from pathlib import Path

from ml_assets.delivery.approvals import approve
from ml_assets.delivery.deploy import DeliveryResult
from ml_assets.delivery.oci_repository import Repository
from ml_assets.delivery.promotion import promote, roll_back, stage
from ml_assets.delivery.releases import Release, resolve
from ml_assets.records.ledger_entry import Entry
from ml_assets.spec.reserved import RELEASE
from ml_assets.state.ledger import Ledger
from ml_assets_tests.kits.environment import Environment
from ml_assets_tests.kits.oci import COMMITS, RegistryDouble, build
from ml_assets_tests.kits.sigstore import PrivateSigstore


class ReleaseSite:
    """A registry and two environments; the numbers of runs are given out here."""

    def __init__(
        self,
        home: Path,
        registry: RegistryDouble,
        environments: tuple[Environment, Environment],
        sigstore: PrivateSigstore,
    ) -> None:
        self.home, self.registry = home, registry
        self.repository = Repository(registry.image)
        self.staging, self.production = environments
        self.sigstore = sigstore
        self.ledger = Ledger()
        self.number = 0

    @property
    def run_id(self) -> str:
        self.number += 1
        return f"run-{self.number}"

    def push(self, commit: str, *names: str) -> str:
        images = build(COMMITS[commit])
        for environment in (self.staging, self.production):
            environment.commits[images["base"].digest] = COMMITS[commit]
        return self.registry.push(images, *names)

    def release(self, commit: str) -> Release:
        """The release of a commit, to which main points now."""
        self.push(commit, "main")
        return resolve(self.repository, "main")

    def stage(self, release: Release, again: bool = False) -> DeliveryResult:
        return stage(self.repository, release, "sensor release", self.run_id, again)

    def passed(self, commit: str, name: str) -> str:
        """A version that passed in staging, by the ledger alone."""
        digest = self.push(commit, name)
        resolve(self.repository, name)
        about = {"environment": "staging", "name": name}
        self.ledger.append(
            RELEASE, "release_staging", digest, None, "sensor", "it passed", about
        )
        return digest

    def approve(self, name: str) -> Entry:
        return approve(self.repository, name, "user ann", "it was tested").entry

    def promote(self, name: str | None = None) -> DeliveryResult:
        return promote(self.repository, name, "sensor", self.run_id)

    def released(self, commit: str, name: str) -> str:
        digest = self.passed(commit, name)
        self.approve(name)
        assert self.promote().is_deployed
        return digest

    def roll_back(self, to: str | None = None, key: str = "") -> DeliveryResult:
        run_id = self.run_id
        key = key or f"rollback:{run_id}"
        return roll_back("user ann", "it is slow", to, key, run_id)

    def entries(self) -> list[Entry]:
        assert self.ledger.verify(RELEASE) == []
        return self.ledger.entries(RELEASE)

    def kinds(self) -> list[str]:
        return [entry.kind for entry in self.entries()]
