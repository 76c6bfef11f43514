"""docker/publish.sh against a real registry: what is named, when, what is refused."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from ml_assets_tests.kits.publish import SIGNER, PublishingClone
from ml_assets_tests.kits.real_registry import real_registry

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Host and port of a registry."""
    with real_registry(tmp_path_factory.mktemp("registry")) as found:
        yield f"127.0.0.1:{found.port}"


@pytest.fixture
def clone(registry: str, tmp_path: Path) -> PublishingClone:
    """An empty repository of images, and one of code."""
    return PublishingClone(tmp_path, registry)


def test_a_commit_of_main_is_named_by_itself_and_as_main(
    clone: PublishingClone,
) -> None:
    commit = clone.commit()
    printed = clone.publish(commit)
    assert printed.pop("repository") == clone.image
    assert printed == clone.digests("main") == clone.digests(f"sha-{commit}")
    assert len(set(printed.values())) == 3
    assert len(clone.tags()) == 6


def test_nothing_has_a_name_before_it_is_signed(clone: PublishingClone) -> None:
    commit = clone.commit()
    assert clone.run(commit, "main", "build")[0] == 0
    assert clone.tags() == set()
    clone.publish(commit)
    log = clone.log.read_text()
    assert log.count("sign --yes") == 3
    assert log.index("sign --yes") < log.index("imagetools create")
    # The one that the delivery follows is named last.
    assert (
        log.rstrip()
        .splitlines()[-2]
        .startswith(f"buildx imagetools create --tag {clone.image}:main-base ")
    )


def test_a_commit_is_built_once_however_often_it_is_published(
    clone: PublishingClone,
) -> None:
    commit = clone.commit()
    assert clone.publish(commit) == clone.publish(commit)
    assert clone.builds() == 3


def test_a_version_is_the_image_that_main_built(clone: PublishingClone) -> None:
    commit = clone.commit()
    clone.publish(commit)
    later = clone.commit()
    clone.publish(later)
    for _ in range(2):
        code, printed = clone.name(commit, "v1.2.3-rc.1")
        assert code == 0, printed
    assert clone.digests("v1.2.3-rc.1") == clone.digests(f"sha-{commit}")
    assert clone.digests("main") == clone.digests(f"sha-{later}")
    assert clone.builds() == 6


def test_a_version_has_a_signed_chart_that_names_its_images_by_digest(
    clone: PublishingClone,
) -> None:
    commit = clone.commit()
    clone.publish(commit)
    code, printed = clone.name(commit, "v1.2.3-rc.1")
    assert code == 0, printed
    listed = dict(line.split("=", 1) for line in printed.splitlines() if "=" in line)
    assert listed["charts"] == f"{clone.image}/charts/ml-assets"
    signed = clone.log.with_name("signed").read_text()
    assert f"{listed['charts']}@{listed['chart']} " in signed
    images = clone.digests("v1.2.3-rc.1")
    values = {"storage": {"url": "s3://b"}, "exporter": {"enabled": True}}
    with clone.chart("1.2.3-rc.1") as chart:
        assert chart.metadata["appVersion"] == "1.2.3-rc.1"
        rendered = "".join(chart.render(values, name="a", namespace="b").values())
    for digest in images.values():
        assert f"image: {clone.image}@{digest}" in rendered
    assert ":v" not in "".join(
        line for line in rendered.splitlines() if line.strip().startswith("image:")
    )


def test_the_chart_of_a_version_does_not_move(clone: PublishingClone) -> None:
    commit = clone.commit()
    clone.publish(commit)
    first, again = (clone.name(commit, "v1.2.3") for _ in range(2))
    assert first[0] == again[0] == 0
    assert first[1].splitlines()[-1] == again[1].splitlines()[-1]
    assert "does not move" in again[1]
    assert clone.log.read_text().count("helm push") == 1


def test_only_a_version_whose_images_were_verified_has_a_chart(
    clone: PublishingClone,
) -> None:
    commit = clone.commit()
    assert clone.run(commit, "main", "build", "sign", "tag")[0] == 0
    code, printed = clone.run(commit, "main", "chart")
    assert code == 1 and "NAME is 'main', expected a version" in printed
    other = clone.commit()
    code, _ = clone.run(other, "v1.2.3", "chart")
    assert code != 0
    assert "helm push" not in clone.log.read_text()


def test_a_version_of_a_commit_that_main_did_not_publish_is_refused(
    clone: PublishingClone,
) -> None:
    clone.publish(clone.commit())
    code, printed = clone.name(clone.commit(), "v1.0.0")
    assert code == 1
    assert "main has not published this commit" in printed
    assert not any(tag.startswith("v1") for tag in clone.tags())


@pytest.mark.parametrize("signer", ["", SIGNER.replace("main", "develop")])
def test_a_version_of_an_image_that_main_did_not_sign_is_refused(
    clone: PublishingClone, signer: str
) -> None:
    commit = clone.commit()
    clone.publish(commit)
    signed = clone.log.with_name("signed")
    signed.write_text(signed.read_text().replace(SIGNER, signer))
    code, printed = clone.name(commit, "v1.0.0")
    assert code == 1
    assert "no signatures found" in printed
    assert not any(tag.startswith("v1") for tag in clone.tags())


def test_a_version_does_not_move(clone: PublishingClone) -> None:
    first = clone.commit()
    clone.publish(first)
    clone.name(first, "v1.0.0")
    second = clone.commit()
    clone.publish(second)
    code, printed = clone.name(second, "v1.0.0")
    assert code == 1
    assert "a version does not move" in printed
    assert clone.digests("v1.0.0") == clone.digests(f"sha-{first}")


def test_what_is_built_is_the_commit_and_nothing_else(clone: PublishingClone) -> None:
    first = clone.commit()
    second = clone.commit()
    script = clone.directory / "docker" / "publish.sh"
    script.write_text(script.read_text() + "# changed\n")
    code, printed = clone.run(second, "main", "build")
    assert code == 1 and f"files differ from those of {second}" in printed
    clone.git("checkout", "--quiet", "--force", "main")
    clone.commits.clear()
    code, printed = clone.run(first, "main", "build")
    assert code == 1 and f"{first} is not checked out" in printed
    assert not clone.log.exists()


def test_digests_of_one_commit_are_not_given_to_another(clone: PublishingClone) -> None:
    first, second = clone.commit(), clone.commit()
    assert clone.run(first, "main", "build", "sign")[0] == 0
    code, _ = clone.run(second, "main", "tag")
    assert code != 0
    assert clone.tags() == set()


def test_main_moves_only_forward(clone: PublishingClone) -> None:
    older, newer = clone.commit(), clone.commit()
    clone.publish(newer)
    clone.publish(older)
    assert clone.digests("main") == clone.digests(f"sha-{newer}")
    assert clone.digests(f"sha-{older}") != clone.digests(f"sha-{newer}")
    newest = clone.commit()
    clone.publish(newest)
    assert clone.digests("main") == clone.digests(f"sha-{newest}")


def test_main_follows_a_history_that_was_written_again(clone: PublishingClone) -> None:
    clone.commit()
    clone.publish(clone.commit())
    clone.git("checkout", "--quiet", "main")
    clone.git("reset", "--quiet", "--hard", "HEAD^")
    other = clone.commit("--date=2020-01-01T00:00:00Z")
    clone.publish(other)
    assert clone.digests("main") == clone.digests(f"sha-{other}")


def test_a_shallow_clone_is_refused_as_nothing_shows_what_is_newer(
    clone: PublishingClone,
) -> None:
    older, newer = clone.commit(), clone.commit()
    clone.publish(newer)
    (clone.directory / ".git" / "shallow").write_text(f"{older}\n")
    code, printed = clone.run(older, "main", "build", "sign", "tag")
    assert code == 1
    assert "the clone is shallow" in printed
    assert clone.digests("main") == clone.digests(f"sha-{newer}")


def test_an_outage_does_not_pass_for_an_image_that_is_missing(
    clone: PublishingClone,
) -> None:
    commit = clone.commit()
    clone.publish(commit)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        clone.environment["IMAGE"] = f"127.0.0.1:{closed.getsockname()[1]}/owner/name"
        for verbs in (["build"], ["verify"], ["tag"]):
            code, printed = clone.run(commit, "main", *verbs)
            assert code != 0
        code, printed = clone.run(commit, "main", "build")
    assert "cannot be looked up" in printed and "failed to do request" in printed
    assert clone.builds() == 3


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"REVISION": "main"}, "REVISION is 'main', expected the 40 digits"),
        ({"REVISION": ""}, "REVISION: is the commit"),
        ({"IMAGE": ""}, "IMAGE: is the repository"),
        ({"NAME": "latest"}, "NAME is 'latest', expected main or a version"),
        ({"NAME": "v1.2"}, "NAME is 'v1.2', expected"),
        ({"NAME": "v01.2.3"}, "NAME is 'v01.2.3', expected"),
        ({"NAME": "v1.2.3;true"}, "NAME is 'v1.2.3;true', expected"),
    ],
)
def test_a_wrong_setting_is_named(
    clone: PublishingClone, changed: dict[str, str], message: str
) -> None:
    given = {"REVISION": "0" * 40, "NAME": "main"} | changed
    clone.environment["IMAGE"] = given.pop("IMAGE", clone.environment["IMAGE"])
    code, printed = clone.run(given["REVISION"], given["NAME"], "build")
    assert code != 0
    assert message in printed
    assert not clone.log.exists()
