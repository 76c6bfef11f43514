"""Versions are named by time, exist once recorded, and are found again."""

import datetime as dt
import hashlib
import itertools
import multiprocessing
from typing import Any

import pytest
from sqlalchemy import text

from ml_assets.core.storage import storage
from ml_assets.records.plan import encode
from ml_assets.records.version import object_name
from ml_assets.state.engine import reading
from ml_assets.state.versions import PROFILE, UnknownVersionError, Versions
from ml_assets_tests.kits.records import make_record

SUNDAY = dt.datetime(2026, 11, 22, 2, 0, tzinfo=dt.UTC)
FIRST, SECOND, THIRD = (f"20261122T02000{second}Z" for second in range(3))
PASSED = {"gate": {"passed": True}}


def reserve(count: int) -> list[str]:
    return [Versions().reserve("churn", "run", lambda: SUNDAY) for _ in range(count)]


def _reserve(results: Any) -> None:
    results.put(reserve(10))


@pytest.mark.usefixtures("database")
class TestEachDatabase:
    """On SQLite, and on Postgres where that is installed."""

    def test_a_version_is_named_by_its_utc_time(self) -> None:
        assert reserve(1) == ["20261122T020000Z"]

    def test_trainings_in_one_second_get_names_of_their_own(self) -> None:
        assert reserve(3) == [FIRST, SECOND, THIRD]

    def test_processes_that_reserve_at_once_get_names_of_their_own(self) -> None:
        context = multiprocessing.get_context("spawn")
        results = context.Queue()
        workers = [context.Process(target=_reserve, args=(results,)) for _ in range(3)]
        for worker in workers:
            worker.start()
        found = [*itertools.chain(*(results.get(timeout=60) for _ in workers))]
        for worker in workers:
            worker.join()
        assert len({*found}) == 30

    def test_a_reserved_version_does_not_exist_before_its_record(self) -> None:
        store = Versions()
        (version,) = reserve(1)
        assert store.names("churn") == [] and store.models() == []
        assert [*store.unfinished("churn")] == [version]
        store.save(make_record(version))
        assert store.records("churn") == [make_record(version)]
        assert store.models() == ["churn"]
        assert store.unfinished("churn") == {}

    def test_a_record_is_never_overwritten(self) -> None:
        store = Versions()
        store.save(make_record(FIRST))
        with pytest.raises(FileExistsError, match=f"{FIRST} of churn already has"):
            store.save(make_record(FIRST, fingerprint="other"))
        assert store.get("churn", FIRST).fingerprint == "f"

    def test_to_save_a_record_again_is_harmless(self) -> None:
        Versions().save(make_record(FIRST))
        Versions().save(make_record(FIRST))
        assert Versions().names("churn") == [FIRST]

    @pytest.mark.parametrize("name", ["x", "../churn", "a\0b"])
    def test_an_unknown_version_is_reported_with_those_that_exist(
        self, name: str
    ) -> None:
        Versions().save(make_record(FIRST))
        with pytest.raises(UnknownVersionError, match=f"its latest are: {FIRST}"):
            Versions().get("churn", name)

    def test_versions_are_found_by_age_run_and_number(self) -> None:
        store = Versions()
        for number, version in enumerate((SECOND, FIRST, THIRD)):
            store.save(
                make_record(version, run_id=f"run {number}", registry_version=version)
            )
        assert store.names("churn") == [FIRST, SECOND, THIRD]
        assert store.latest("churn") == [THIRD]
        assert store.latest("churn", 2) == [THIRD, SECOND]
        assert store.count("churn") == 3
        newest = store.newest("churn")
        assert newest is not None and newest.version == THIRD
        trained = store.of_run("churn", "run 1")
        assert trained is not None and trained.version == FIRST
        registered = store.registered("churn", SECOND)
        assert registered is not None and registered.version == SECOND
        assert store.of_run("churn", "run") is None
        assert store.registered("churn", "1") is None
        assert store.newest("income") is None

    def test_an_evaluation_is_kept_beside_its_version(self) -> None:
        store = Versions()
        store.save(make_record(FIRST))
        store.save(make_record(SECOND))
        assert store.evaluation("churn", FIRST) is None
        assert store.last_evaluated("churn") is None
        store.save_evaluation("churn", FIRST, PASSED)
        assert store.evaluation("churn", FIRST) == PASSED
        assert store.last_evaluated("churn") == FIRST
        assert [found for _, found in store.judged("churn")] == [None, PASSED]
        assert len(store.judged("churn", 1)) == 1

    def test_the_newest_of_all_models_are_read_with_those_that_are_named(self) -> None:
        store = Versions()
        for model in ("churn", "income"):
            for version in (FIRST, SECOND, THIRD):
                store.save(make_record(version, model=model))
        store.save_evaluation("income", THIRD, PASSED)
        store.reserve("churn", "run")
        others = {("churn", FIRST), ("churn", THIRD), ("income", "absent")}
        found = [
            (record.model, record.version, evaluation)
            for record, evaluation in store.judged_of_all(1, others)
        ]
        assert found == [
            ("churn", FIRST, None),
            ("churn", THIRD, None),
            ("income", THIRD, PASSED),
        ]

    def test_an_evaluation_of_no_version_is_refused(self) -> None:
        with pytest.raises(UnknownVersionError, match="no version"):
            Versions().save_evaluation("churn", FIRST, PASSED)

    def test_a_removed_version_does_not_exist(self) -> None:
        Versions().save(make_record(FIRST))
        Versions().remove("churn", FIRST)
        assert Versions().names("churn") == []
        with pytest.raises(UnknownVersionError, match="its latest are: none"):
            Versions().get("churn", FIRST)

    def test_digests_are_those_of_what_is_kept(self) -> None:
        record = make_record(FIRST)
        Versions().save(record)
        name = f"versions/churn/{FIRST}/record.json"
        expected = hashlib.sha256(encode(record)).hexdigest()
        assert Versions().digests("churn", FIRST) == {name: expected}
        Versions().save_evaluation("churn", FIRST, PASSED)
        assert len(Versions().digests("churn", FIRST)) == 2

    @pytest.mark.parametrize(
        "statement",
        [
            "SELECT version FROM versions WHERE model = 'churn' AND record IS NOT NULL"
            " ORDER BY version DESC LIMIT 1",
            "SELECT record FROM versions WHERE model = 'churn' AND owner = 'run'",
            "SELECT record FROM versions WHERE model = 'churn'"
            " AND registry_version = '1'",
        ],
    )
    def test_no_question_reads_every_row(self, statement: str) -> None:
        with reading() as connection:
            if connection.dialect.name != "sqlite":
                pytest.skip("Postgres reads a small table whole, whatever the index")
            rows = connection.execute(text(f"EXPLAIN QUERY PLAN {statement}")).all()
        assert all("SEARCH" in row.detail and "INDEX" in row.detail for row in rows)


@pytest.mark.slow
@pytest.mark.usefixtures("any_storage")
class TestDocuments:
    """Objects of a version, on a directory and over the protocols of S3 and Azure."""

    def test_a_document_is_kept_and_replaced(self) -> None:
        store = Versions()
        assert store.document("churn", FIRST, PROFILE) is None
        assert not store.has_profile("churn", FIRST)
        for rows in (1, 2):
            store.save_document("churn", FIRST, PROFILE, {"rows": rows})
            assert store.document("churn", FIRST, PROFILE) == {"rows": rows}
        assert store.has_profile("churn", FIRST)
        assert storage().size(object_name("churn", FIRST, PROFILE))
