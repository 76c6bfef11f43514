"""The events on an observed site: first those that can be mended, then breakdowns."""

import contextlib
import json
import os
import resource
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from operator import eq

import pandas as pd
import pyarrow as pa
import pytest

from ml_assets.cli.demo import churn
from ml_assets.cli.demo.churn import MODEL
from ml_assets.cli.output import Failed
from ml_assets.cli.run_report import RunReport
from ml_assets.prediction_log.unshipped import PREFIX, SILENT_SECONDS
from ml_assets.records.ledger_entry import Kind
from ml_assets.serving.requests.messages import ARROW
from ml_assets.spec.reserved import RELEASE
from ml_assets.state.ledger import Ledger
from ml_assets.state.versions import Versions
from ml_assets_tests.kits.cli import invoke
from ml_assets_tests.kits.ledger_rows import rewrite, tampered
from ml_assets_tests.kits.observed_site import QUEUE, Site
from ml_assets_tests.kits.observed_workflows import watch_workflows
from ml_assets_tests.kits.processes import await_true

TRAIN, DEPLOY, MONITOR = (f"{MODEL}_{job}" for job in ("train", "deploy", "monitor"))
GATE = "gate"
FORCE = {"ops": {f"{MODEL}__model": {"config": {"force": True}}}}
# More than the queue of the server is long, so that some are refused.
CLIENTS = QUEUE + 16


def work(site: Site) -> None:
    """Every event that can be mended; the alerts that it causes are awaited."""
    _old_version(site)
    _failed_runs(site)
    _experiment(site)
    _canary(site)
    _drift(site)
    _wrong_answers(site)
    _altered_files(site)
    _rollback_by_hand(site)
    _releases(site)
    watch_workflows(site)
    _overload(site)
    _disk(site)
    _storage(site)


def breakdown(site: Site) -> None:
    """What cannot be mended: a ledger's chain, the server, the daemon, the exporter."""
    _ledger(site)
    _server(site)
    _daemon(site)
    site.kill(site.exporter)
    site.await_alert("MlAssetsExporterDown")


def _old_version(site: Site) -> None:
    """What was trained forty days ago serves, and its schedule is switched on."""
    with site.traffic() as traffic:
        sent = traffic.send(churn.customers(400, seed=2), rows_each=4)
        traffic.await_labels(traffic.label(sent, slice(0, 300)))
    # The daemon's sensor requests it: through the queue, in a process of its own. A
    # rate needs two.
    ended = f'ml_assets_dagster_runs_total{{job="{MONITOR}", status="success"}}'
    for number in (1, 2):
        (site.home / "wanted" / str(number)).touch()
        site.await_value(ended, partial(eq, number))
    site.await_alert("MlAssetsTrainingMissed", model=MODEL)


def _failed_runs(site: Site) -> None:
    """Bad data fails a training, Slack is away, and a sensor breaks."""
    site.slack.answer = 500
    bad = churn.customers(600, seed=3)
    bad[churn.TARGET] = bad[churn.TARGET].astype(str).replace("yes", "perhaps")
    bad.to_parquet(site.home / churn.PATH, index=False)
    with pytest.raises(Failed):
        site.runs.run(TRAIN)
    site.await_alert("MlAssetsRunFailed", job=TRAIN)
    site.await_alert("MlAssetsNotificationsFail")
    site.slack.answer = 200
    site.await_cleared("MlAssetsNotificationsFail")
    assert any(TRAIN in text for text in site.slack.texts)
    (site.home / "broken").touch()
    site.await_alert("MlAssetsTickFailed", name="requests")
    (site.home / "broken").unlink()
    site.await_cleared("MlAssetsTickFailed")
    site.await_alert("MlAssetsModelStale", model=MODEL)


def _experiment(site: Site) -> None:
    """A better version is trained, shadows the champion, and is promoted by labels."""
    churn.write_customers(site.home, seed=1)
    site.write_model(churn.BOOSTING)
    _train_and_deploy(site)
    site.await_cleared("MlAssetsRunFailed")
    site.await_cleared("MlAssetsTrainingMissed")
    with site.traffic() as traffic:
        sent = traffic.send(churn.customers(1_500, seed=4), rows_each=5, arms=2)
        traffic.await_labels(traffic.label(sent, slice(0, None)))
    assert _monitor(site).metadata["experiment"]["verdict"] == "promote"
    site.await_cleared("MlAssetsModelStale")


def _canary(site: Site) -> None:
    """A slow version answers a share, and is rolled back automatically."""
    site.write_model(churn.SLOW_BOOSTING)
    _train_and_deploy(site)
    with site.traffic() as traffic:
        traffic.send(churn.customers(500, seed=5), rows_each=1)
    assert _monitor(site).metadata["experiment"]["verdict"] == "roll_back"
    site.await_alert("MlAssetsRolledBack", model=MODEL)
    site.write_model(churn.BOOSTING)


def _drift(site: Site) -> None:
    with site.traffic() as traffic:
        traffic.send(churn.customers(2_000, seed=6, shifted=True), rows_each=20)
    assert _monitor(site).metadata["drift"]["drifted"]
    site.await_alert("MlAssetsDrift", model=MODEL, source="predictions")


def _wrong_answers(site: Site) -> None:
    """Every label is the opposite of the prediction."""
    frame = churn.customers(4_000, seed=7)
    with site.traffic() as traffic:
        sent = traffic.send(frame, rows_each=100)
        other = {"yes": "no", "no": "yes"}
        wrong = sent._replace(truths=[other[truth] for truth in sent.truths])
        traffic.await_labels(traffic.label(wrong, slice(0, None)))
    _monitor(site)
    site.await_alert("MlAssetsLiveAccuracyLow", model=MODEL, metric="accuracy")


def _altered_files(site: Site) -> None:
    """Somebody changes a version's files between its training and its deployment."""
    # The champion again would not be deployed at all.
    site.write_model(churn.SLOW_BOOSTING)
    version = site.runs.run(TRAIN, FORCE).metadata["model"]["version"]
    record = Versions().get(MODEL, version)
    file = site.home / record.bundle / "model.skops"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(Failed):
        site.runs.launch(GATE, DEPLOY)
    site.await_alert("MlAssetsDeploymentFailed", model=MODEL)
    site.write_model(churn.BOOSTING)


def _rollback_by_hand(site: Site) -> None:
    done = invoke("rollback", MODEL, "--reason", "complaints since noon")
    assert done.exit_code == 0, done.output
    rolled = 'ml_assets_rollbacks_total{trigger="manual"}'
    site.await_value(rolled, lambda value: value == 1)


def _releases(site: Site) -> None:
    """Releases of the code location, as the ledger has them."""
    kinds: tuple[tuple[str, Kind], ...] = (
        ("staging", "release_staging"),
        ("production", "approval"),
        ("production", "release_production"),
        ("production", "refusal"),
        ("staging", "release_failure"),
        ("production", "release_failure"),
        ("production", "rollback"),
    )
    entries = f'ml_assets_ledger_entries{{model="{RELEASE}"}}'
    for number, (where, kind) in enumerate(kinds, start=1):
        what = {"environment": where}
        Ledger().append(
            RELEASE, kind, "sha256:0", None, who="user ana", why="", evidence=what
        )
        site.await_value(entries, partial(eq, number))
    site.await_alert("MlAssetsReleaseFailed", environment="production")
    site.await_alert("MlAssetsReleaseFailed", environment="staging")


def _overload(site: Site) -> None:
    """More large requests than are answered in time: they wait, or are refused."""
    with _clients(_request(site, 10_000)):
        site.await_alert("MlAssetsLatencyHigh", model=MODEL)
    # JSON of that length waits to be decoded, one body at a time, and so may never
    # fill the queue; a stream is read at once.
    with _clients(_stream(site, 10_000)):
        site.await_alert("MlAssetsErrorsHigh", model=MODEL)


def _disk(site: Site) -> None:
    """No file of the server may grow: it answers, and cannot log."""
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    server = site.server.popen.pid
    resource.prlimit(server, resource.RLIMIT_FSIZE, (1, unlimited[1]))
    urllib.request.urlopen(_request(site, 40), timeout=60).close()
    site.await_alert("MlAssetsPredictionsLost", model=MODEL)
    resource.prlimit(server, resource.RLIMIT_FSIZE, unlimited)


def _storage(site: Site) -> None:
    """The storage takes no segments; what is logged waits on the server's disk."""
    with _no_segments(site):
        urllib.request.urlopen(_request(site, 40), timeout=60).close()
        site.await_alert("MlAssetsLogShippingLate", model=MODEL)


@contextlib.contextmanager
def _no_segments(site: Site) -> Iterator[None]:
    """Until the block ends, the storage takes no segments of the model."""
    segments = site.home / "segments" / MODEL
    kept = segments.rename(segments.with_name("kept"))
    segments.touch()
    try:
        yield
    finally:
        segments.unlink()
        kept.rename(segments)


def _ledger(site: Site) -> None:
    """One word of an old decision is changed."""
    old, new = "complaints since", "no complaint until"
    rewrite(lambda found: [tampered(row, old, new) for row in found], MODEL)
    site.await_alert("MlAssetsLedgerBroken", model=MODEL)


def _server(site: Site) -> None:
    """It is killed with segments on its disk, and is silent since six minutes ago."""
    reports = site.home / PREFIX
    with _no_segments(site):
        urllib.request.urlopen(_request(site, 40), timeout=60).close()
        await_true(lambda: any(reports.glob("*.json")), "unshipped segments")
        site.kill(site.server)
    site.await_alert("MlAssetsServerDown", model=MODEL)
    silent = time.time() - SILENT_SECONDS - 60
    for report in reports.glob("*.json"):
        os.utime(report, (silent, silent))
    site.await_alert("MlAssetsSegmentsMissing", model=MODEL)


def _daemon(site: Site) -> None:
    """It ends; a run that is launched then waits, and its last heartbeat grows old."""
    site.kill(site.daemon)
    site.launch(MONITOR)
    site.await_alert("MlAssetsQueueStuck")
    for heartbeat in site.instance.get_daemon_heartbeats().values():
        older = heartbeat._replace(timestamp=heartbeat.timestamp - 600)
        site.instance.add_daemon_heartbeat(older)
    site.await_alert("MlAssetsDaemonDown", daemon="SENSOR")


def _train_and_deploy(site: Site) -> None:
    site.runs.run(TRAIN)
    site.runs.launch(GATE, DEPLOY)


def _monitor(site: Site) -> RunReport:
    return site.runs.run(MONITOR)


def _request(site: Site, rows: int) -> urllib.request.Request:
    """A request for predictions, as JSON."""
    body = {"rows": json.loads(_customers(rows).to_json(orient="records"))}
    return _post(site, json.dumps(body).encode(), "application/json")


def _stream(site: Site, rows: int) -> urllib.request.Request:
    """The same request as an Arrow stream."""
    table = pa.Table.from_pandas(_customers(rows), preserve_index=False)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return _post(site, sink.getvalue().to_pybytes(), ARROW.decode())


def _customers(rows: int) -> pd.DataFrame:
    return churn.customers(rows, seed=9).drop(columns=churn.TARGET)


def _post(site: Site, body: bytes, content_type: str) -> urllib.request.Request:
    url = f"{site.ports.url}/models/{MODEL}/predict"
    return urllib.request.Request(url, body, {"content-type": content_type})


@contextlib.contextmanager
def _clients(request: urllib.request.Request) -> Iterator[None]:
    """Clients that ask without pause until the block ends."""
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            try:
                urllib.request.urlopen(request, timeout=60).close()
            except urllib.error.HTTPError as error:
                assert error.code == 503, error.code
                # As the answer asks for; less, since a minute is a second here.
                stop.wait(0.2)

    with ThreadPoolExecutor(CLIENTS) as pool:
        clients = [pool.submit(ask) for _ in range(CLIENTS)]
        try:
            yield
        finally:
            stop.set()
            # One that ended early is why there was too little to refuse.
            for client in clients:
                client.result()
