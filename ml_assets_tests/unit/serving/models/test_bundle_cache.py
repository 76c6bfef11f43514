"""Bundles are files of this machine: whole, verified, and bounded in number."""

import hashlib
import multiprocessing
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from ml_assets.core.digests import BundleError
from ml_assets.core.files import cache_directory
from ml_assets.core.storage import Storage, StorageUnavailableError, storage
from ml_assets.serving.models import bundle_cache
from ml_assets.serving.models.bundle_cache import fetch, release, trim

CONTENT = {"model.skops": b"model" * 1000, "nested/probe.json": b"[]"}


class Made(NamedTuple):
    bundle: str
    files: dict[str, str]


def put(version: str = "1", content: dict[str, bytes] = CONTENT) -> Made:
    prefix = f"versions/churn/{version}/bundle"
    for name, data in content.items():
        storage().create(f"{prefix}/{name}", data)
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in content.items()}
    return Made(prefix, hashes)


def distinct(number: int) -> Made:
    return put(str(number), {"model.skops": b"%d" % number})


def cached() -> list[str]:
    return sorted(os.listdir(cache_directory() / "bundles"))


def _fetch(bundle: Made, start: Any, results: Any) -> None:
    start.wait()
    results.put((fetch(storage(), bundle) / "model.skops").read_bytes())


def _hold(bundle: Made, fetched: Any, finish: Any) -> None:
    fetch(storage(), bundle)
    fetched.set()
    finish.wait()


@pytest.fixture
def other_process() -> Iterator[Any]:
    """Starts a function in processes of their own, which end with the test."""
    context = multiprocessing.get_context("spawn")
    started = []

    def start(function: Any, *given: Any) -> Any:
        process = context.Process(target=function, args=given)
        process.start()
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.join()


@pytest.mark.slow
@pytest.mark.usefixtures("any_storage")
class TestEveryStorage:
    def test_a_bundle_is_fetched_as_it_was_written(self, home: Path) -> None:
        directory = fetch(storage(), put())
        assert {
            str(path.relative_to(directory)): path.read_bytes()
            for path in directory.rglob("*")
            if path.is_file()
        } == CONTENT
        assert directory.is_relative_to(home / "cache")

    def test_an_altered_object_is_named_and_nothing_kept(self) -> None:
        made = put()
        storage().put(f"{made.bundle}/model.skops", b"other")
        with pytest.raises(BundleError, match="1/bundle/model.skops was altered"):
            fetch(storage(), made)
        assert cached() == []

    def test_a_missing_object_is_named_and_nothing_kept(self) -> None:
        made = put()
        storage().remove([f"{made.bundle}/model.skops"])
        with pytest.raises(BundleError, match="1/bundle/model.skops is missing"):
            fetch(storage(), made)
        assert cached() == []


class TestCache:
    def test_another_directory_is_chosen(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ML_ASSETS_CACHE", str(tmp_path / "elsewhere"))
        assert fetch(storage(), put()).is_relative_to(tmp_path / "elsewhere")

    def test_it_is_there_while_the_storage_is_away(self, tmp_path: Path) -> None:
        made = put()
        directory = fetch(storage(), made)
        assert fetch(Storage(str(tmp_path / "away")), made) == directory

    def test_a_cached_file_that_was_altered_is_fetched_again(self) -> None:
        made = put()
        (fetch(storage(), made) / "model.skops").write_bytes(b"other")
        found = fetch(storage(), made) / "model.skops"
        assert found.read_bytes() == CONTENT["model.skops"]

    def test_a_fetch_that_was_cut_off_leaves_nothing(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made = put()

        def cut(self: Storage, name: str, target: Path) -> None:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(b"half")
            raise StorageUnavailableError("cut off")

        with monkeypatch.context() as patch:
            patch.setattr(Storage, "fetch", cut)
            with pytest.raises(StorageUnavailableError, match="cut off"):
                fetch(storage(), made)
        assert cached() == []
        assert fetch(storage(), made).is_dir()

    def test_processes_fetch_one_bundle_at_once(self, other_process: Any) -> None:
        made = put()
        context = multiprocessing.get_context("spawn")
        start, results = context.Event(), context.Queue()
        for _ in range(3):
            other_process(_fetch, made, start, results)
        start.set()
        assert {results.get(timeout=60) for _ in range(3)} == {CONTENT["model.skops"]}
        assert len(cached()) == 1


class TestBound:
    @pytest.fixture
    def found(self) -> list[tuple[Made, Path]]:
        """Bundles that were fetched one after the other, and used by nobody."""
        found = []
        for number in range(4):
            made = distinct(number)
            directory = fetch(storage(), made)
            os.utime(directory, (1000 + number, 1000 + number))
            release(made)
            found.append((made, directory))
        return found

    def test_the_newest_stay(self, found: list[tuple[Made, Path]]) -> None:
        trim(keep=2)
        assert cached() == sorted(path.name for _, path in found[2:])

    def test_what_is_fetched_again_is_the_newest(
        self, found: list[tuple[Made, Path]]
    ) -> None:
        fetch(storage(), found[0][0])
        release(found[0][0])
        trim(keep=1)
        assert cached() == [found[0][1].name]

    def test_what_this_process_uses_stays(self, found: list[tuple[Made, Path]]) -> None:
        made, directory = found[0]
        fetch(storage(), made)
        os.utime(directory, (1, 1))
        trim(keep=1)
        assert cached() == sorted([directory.name, found[3][1].name])

    def test_what_another_process_uses_stays_until_it_ends(
        self, found: list[tuple[Made, Path]], other_process: Any
    ) -> None:
        made, directory = found[0]
        context = multiprocessing.get_context("spawn")
        fetched, finish = context.Event(), context.Event()
        process = other_process(_hold, made, fetched, finish)
        assert fetched.wait(60)
        os.utime(directory, (1, 1))
        trim(keep=1)
        assert directory.exists()
        process.kill()
        process.join()
        trim(keep=1)
        assert not directory.exists()

    def test_what_threads_fetch_first_and_at_once_stays(
        self, other_process: Any
    ) -> None:
        bundles = [distinct(number) for number in range(100, 108)]
        barrier = threading.Barrier(len(bundles))
        found: list[Path] = []

        def work(made: Made) -> None:
            barrier.wait()
            found.append(fetch(storage(), made))

        threads = [threading.Thread(target=work, args=(made,)) for made in bundles]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        trim(keep=0)
        process = other_process(trim, 0)
        process.join()
        assert process.exitcode == 0
        assert len(found) == len(bundles) and all(path.exists() for path in found)

    def test_versions_of_the_same_files_are_used_each(self) -> None:
        first, second = put("1"), put("2")
        directory = fetch(storage(), first)
        assert fetch(storage(), second) == directory
        release(first)
        trim(keep=0)
        assert directory.exists()
        release(second)
        trim(keep=0)
        assert not directory.exists()

    def test_what_a_killed_process_was_writing_goes_once_it_is_old(
        self, found: list[tuple[Made, Path]]
    ) -> None:
        partial = cache_directory() / "bundles" / ".tmp-0-half"
        shutil.copytree(found[0][1], partial)
        os.utime(partial)
        trim()
        assert partial.exists()
        os.utime(partial, (1, 1))
        trim()
        assert not partial.exists()
        assert len(cached()) == len(found)


def test_a_manifest_names_its_bundle_whatever_its_order() -> None:
    one = bundle_cache.digest({"a": "1", "b": "2"})
    assert one == bundle_cache.digest({"b": "2", "a": "1"})
    assert one != bundle_cache.digest({"a": "1", "b": "3"})
