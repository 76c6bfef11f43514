"""Who must have signed the images of a release, as the environment variables have it.

================================= ============================================
ML_ASSETS_RELEASE_SIGNER          identity in the certificate of the signature:
                                  the address of a workflow at a branch. Of
                                  ``ghcr.io/acme/ml`` it is by default the
                                  workflow ``cd.yml`` of ``acme/ml`` at main;
                                  ``none`` for images that are not signed
ML_ASSETS_RELEASE_SIGNER_ISSUER   issuer of that identity; GitHub Actions by
                                  default
ML_ASSETS_RELEASE_SIGNER_KEY      instead of an identity: file with a public
                                  key, as ``cosign generate-key-pair`` writes it
ML_ASSETS_RELEASE_SOURCE          repository of the code that the provenance
                                  must name; that of the workflow by default
ML_ASSETS_RELEASE_TRUSTED_ROOT    file with the trusted root of a Sigstore
                                  instance; by default that of the public one
                                  which the installed ``sigstore`` has
================================= ============================================
"""

from typing import NamedTuple

from ml_assets.delivery.environments import SettingsError, variable
from ml_assets.delivery.oci_repository import Repository

GITHUB_ISSUER = "https://token.actions.githubusercontent.com"
UNSIGNED = "none"
UNVERIFIED = "its images were not verified: ML_ASSETS_RELEASE_SIGNER is none"

_WORKFLOWS = "/.github/workflows/"


class Signer(NamedTuple):
    """Whose signature an image needs.

    Attributes
    ----------
    identity, issuer : str
        Those of the certificate; both empty where a key signs.
    key : str
        File of the public key; empty where a certificate names the signer.
    source : str
        Repository of the code by the provenance. Empty where no provenance is needed.
    trusted_root : str
        File of the trusted root; empty for the public instance.
    """

    identity: str = ""
    issuer: str = ""
    key: str = ""
    source: str = ""
    trusted_root: str = ""

    @property
    def name(self) -> str:
        """As messages name the signer."""
        return f"the key {self.key}" if self.key else self.identity


def configured_signer(repository: Repository) -> Signer | None:
    """The signer of the images in `repository`; None where they are not signed.

    Raises
    ------
    SettingsError
        If none is named and none follows from the repository, or two are named.
    """
    identity = variable("ML_ASSETS_RELEASE_SIGNER")
    key = variable("ML_ASSETS_RELEASE_SIGNER_KEY")
    source = variable("ML_ASSETS_RELEASE_SOURCE") or ""
    if key is not None:
        if identity is not None:
            raise SettingsError(
                "ML_ASSETS_RELEASE_SIGNER and ML_ASSETS_RELEASE_SIGNER_KEY are both"
                " set; expected one of them"
            )
        return Signer(key=key, source=source)
    identity = identity or _workflow_of(repository)
    if identity is None:
        raise SettingsError(
            f"nothing names who signs the images of {repository.name}: set"
            " ML_ASSETS_RELEASE_SIGNER to the identity of the workflow, or"
            " ML_ASSETS_RELEASE_SIGNER_KEY to the file of a public key; or set"
            f" ML_ASSETS_RELEASE_SIGNER to {UNSIGNED} to deliver images that nobody"
            " verifies"
        )
    if identity == UNSIGNED:
        return None
    source = source or _source_of(identity)
    if not source:
        raise SettingsError(
            "ML_ASSETS_RELEASE_SOURCE is not set; expected the repository of the code,"
            f" because {identity} is no workflow of GitHub that names it"
        )
    return Signer(
        identity=identity,
        issuer=variable("ML_ASSETS_RELEASE_SIGNER_ISSUER") or GITHUB_ISSUER,
        source=source,
        trusted_root=variable("ML_ASSETS_RELEASE_TRUSTED_ROOT") or "",
    )


def _workflow_of(repository: Repository) -> str | None:
    """The workflow that publishes: an image on ghcr.io is named as its repository."""
    if repository.host != "ghcr.io":
        return None
    return f"https://github.com/{repository.path}{_WORKFLOWS}cd.yml@refs/heads/main"


def _source_of(identity: str) -> str:
    source, found, _ = identity.partition(_WORKFLOWS)
    return source if found else ""
