"""docker/publish.sh against a real registry: what is named, when, what is refused."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from ml_assets_tests.kits.oci import real_registry
from ml_assets_tests.kits.publish import SIGNER, Place

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Host and port of a registry."""
    with real_registry(tmp_path_factory.mktemp("registry")) as found:
        yield f"127.0.0.1:{found.port}"


@pytest.fixture
def place(registry: str, tmp_path: Path) -> Place:
    """An empty repository of images, and one of code."""
    return Place(tmp_path, registry)


def test_a_commit_of_main_is_named_by_itself_and_as_main(place: Place) -> None:
    commit = place.commit()
    printed = place.publish(commit)
    assert printed.pop("repository") == place.image
    assert printed == place.digests("main") == place.digests(f"sha-{commit}")
    assert len(set(printed.values())) == 3
    assert len(place.tags()) == 6


def test_nothing_has_a_name_before_it_is_signed(place: Place) -> None:
    commit = place.commit()
    assert place.run(commit, "main", "build")[0] == 0
    assert place.tags() == set()
    place.publish(commit)
    log = place.log.read_text()
    assert log.count("sign --yes") == 3
    assert log.index("sign --yes") < log.index("imagetools create")
    # The one that the delivery follows is named last.
    assert (
        log.rstrip()
        .splitlines()[-2]
        .startswith(f"buildx imagetools create --tag {place.image}:main-base ")
    )


def test_a_commit_is_built_once_however_often_it_is_published(place: Place) -> None:
    commit = place.commit()
    assert place.publish(commit) == place.publish(commit)
    assert place.builds() == 3


def test_a_version_is_the_image_that_main_built(place: Place) -> None:
    commit = place.commit()
    place.publish(commit)
    later = place.commit()
    place.publish(later)
    for _ in range(2):
        code, printed = place.name(commit, "v1.2.3-rc.1")
        assert code == 0, printed
    assert place.digests("v1.2.3-rc.1") == place.digests(f"sha-{commit}")
    assert place.digests("main") == place.digests(f"sha-{later}")
    assert place.builds() == 6


def test_a_version_of_a_commit_that_main_did_not_publish_is_refused(
    place: Place,
) -> None:
    place.publish(place.commit())
    code, printed = place.name(place.commit(), "v1.0.0")
    assert code == 1
    assert "main has not published this commit" in printed
    assert not any(tag.startswith("v1") for tag in place.tags())


@pytest.mark.parametrize("signer", ["", SIGNER.replace("main", "develop")])
def test_a_version_of_an_image_that_main_did_not_sign_is_refused(
    place: Place, signer: str
) -> None:
    commit = place.commit()
    place.publish(commit)
    signed = place.log.with_name("signed")
    signed.write_text(signed.read_text().replace(SIGNER, signer))
    code, printed = place.name(commit, "v1.0.0")
    assert code == 1
    assert "no signatures found" in printed
    assert not any(tag.startswith("v1") for tag in place.tags())


def test_a_version_does_not_move(place: Place) -> None:
    first = place.commit()
    place.publish(first)
    place.name(first, "v1.0.0")
    second = place.commit()
    place.publish(second)
    code, printed = place.name(second, "v1.0.0")
    assert code == 1
    assert "a version does not move" in printed
    assert place.digests("v1.0.0") == place.digests(f"sha-{first}")


def test_what_is_built_is_the_commit_and_nothing_else(place: Place) -> None:
    first = place.commit()
    second = place.commit()
    script = place.clone / "docker" / "publish.sh"
    script.write_text(script.read_text() + "# changed\n")
    code, printed = place.run(second, "main", "build")
    assert code == 1 and f"files differ from those of {second}" in printed
    place.git("checkout", "--quiet", "--force", "main")
    place.commits.clear()
    code, printed = place.run(first, "main", "build")
    assert code == 1 and f"{first} is not checked out" in printed
    assert not place.log.exists()


def test_digests_of_one_commit_are_not_given_to_another(place: Place) -> None:
    first, second = place.commit(), place.commit()
    assert place.run(first, "main", "build", "sign")[0] == 0
    code, _ = place.run(second, "main", "tag")
    assert code != 0
    assert place.tags() == set()


def test_main_moves_only_forward(place: Place) -> None:
    older, newer = place.commit(), place.commit()
    place.publish(newer)
    place.publish(older)
    assert place.digests("main") == place.digests(f"sha-{newer}")
    assert place.digests(f"sha-{older}") != place.digests(f"sha-{newer}")
    newest = place.commit()
    place.publish(newest)
    assert place.digests("main") == place.digests(f"sha-{newest}")


def test_main_follows_a_history_that_was_written_again(place: Place) -> None:
    place.commit()
    place.publish(place.commit())
    place.git("checkout", "--quiet", "main")
    place.git("reset", "--quiet", "--hard", "HEAD^")
    other = place.commit("--date=2020-01-01T00:00:00Z")
    place.publish(other)
    assert place.digests("main") == place.digests(f"sha-{other}")


def test_a_shallow_clone_cannot_tell_what_is_newer(place: Place) -> None:
    older, newer = place.commit(), place.commit()
    place.publish(newer)
    (place.clone / ".git" / "shallow").write_text(f"{older}\n")
    code, printed = place.run(older, "main", "build", "sign", "tag")
    assert code == 1
    assert "the clone is shallow" in printed
    assert place.digests("main") == place.digests(f"sha-{newer}")


def test_an_outage_does_not_pass_for_an_image_that_is_missing(place: Place) -> None:
    commit = place.commit()
    place.publish(commit)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        place.environment["IMAGE"] = f"127.0.0.1:{closed.getsockname()[1]}/owner/name"
        for verbs in (["build"], ["verify"], ["tag"]):
            code, printed = place.run(commit, "main", *verbs)
            assert code != 0
        code, printed = place.run(commit, "main", "build")
    assert "cannot be looked up" in printed and "failed to do request" in printed
    assert place.builds() == 3


@pytest.mark.parametrize(
    "changed, told",
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
def test_a_wrong_setting_is_told(
    place: Place, changed: dict[str, str], told: str
) -> None:
    given = {"REVISION": "0" * 40, "NAME": "main"} | changed
    place.environment["IMAGE"] = given.pop("IMAGE", place.environment["IMAGE"])
    code, printed = place.run(given["REVISION"], given["NAME"], "build")
    assert code != 0
    assert told in printed
    assert not place.log.exists()
