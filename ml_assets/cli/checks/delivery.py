"""The delivery of releases: whether the signatures of images are verified."""

from collections.abc import Iterator

from ml_assets.cli.checks import Finding, ok, problem, warning


def check() -> Iterator[Finding]:
    """Name the signer of the images; nothing where nothing is delivered."""
    from ml_assets.delivery.environments import RELEASE_REPOSITORY, repository, variable
    from ml_assets.delivery.errors import ReleaseError
    from ml_assets.delivery.signed_statements import verifier
    from ml_assets.delivery.signer import configured_signer

    if variable(RELEASE_REPOSITORY) is None:
        return
    try:
        registry = repository()
        signer = configured_signer(registry)
        if signer is not None:
            verifier(signer)
    except ReleaseError as error:
        yield problem("delivery", str(error), "see docs/delivery.md, Signatures")
        return
    if signer is None:
        message = f"the images of {registry.name} are delivered without verification"
        todo = "sign them, and set ML_ASSETS_RELEASE_SIGNER to who does"
        yield warning("delivery", message, todo)
        return
    yield ok("delivery", f"{registry.name}: images must be signed by {signer.name}")
