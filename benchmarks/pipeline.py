"""The assets against a plain script that does the same with the same libraries.

    python -m benchmarks.pipeline [--rows 50000 1000000]

Both read one Parquet file, validate it with Great Expectations, make features, train
histogram boosting, evaluate with permutation importance, and register in an MLflow
store of their own. Each runs in a process of its own, imports included.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

EXPECT = [
    {"expect_table_row_count_to_be_between": {"min_value": 100}},
    {"expect_column_values_to_not_be_null": {"column": "churned"}},
    {
        "expect_column_values_to_be_in_set": {
            "column": "churned",
            "value_set": ["no", "yes"],
        }
    },
]
ESTIMATOR = {"max_iter": 100, "early_stopping": False, "random_state": 0}


def assets(table: Path) -> None:
    """The platform's train job."""
    import dagster as dg

    from ml_assets.assets.common import TABLES
    from ml_assets.assets.io_managers import TableIOManager
    from ml_assets.components import TabularClassifier
    from ml_assets.components.stages import STAGES

    spec = TabularClassifier.model_validate(
        {
            "name": "bench",
            "source": {"type": "parquet", "path": str(table)},
            "target": "churned",
            "positive": "yes",
            "expect": EXPECT,
            "estimator": {"params": ESTIMATOR},
        }
    )
    definitions = dg.Definitions.merge(
        *(stage.build(spec) for stage in STAGES),
        dg.Definitions(
            resources={TABLES: TableIOManager()}, executor=dg.in_process_executor
        ),
    )
    with dg.DagsterInstance.local_temp(os.environ["ML_ASSETS_HOME"]) as instance:
        job = definitions.resolve_job_def("bench_train")
        result = job.execute_in_process(instance=instance)
        for event in result.all_events:
            if event.is_step_success:
                seconds = event.step_success_data.duration_ms / 1000
                print(f"    {event.step_key}: {seconds:.1f} s", file=sys.stderr)


def script(table: Path) -> None:
    """What a data scientist would write by hand."""
    import great_expectations as gx
    import mlflow
    import numpy as np
    import pandas as pd
    from sklearn import metrics
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.inspection import permutation_importance
    from sklearn.model_selection import train_test_split
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OrdinalEncoder

    frame = pd.read_parquet(table)
    context = gx.get_context(mode="ephemeral")
    source = context.data_sources.add_pandas("p").add_dataframe_asset("t")
    batch = source.add_batch_definition_whole_dataframe("b").get_batch(
        {"dataframe": frame}
    )
    for item in EXPECT:
        name, arguments = next(iter(item.items()))
        kind = "".join(part.title() for part in name.split("_"))
        if not batch.validate(getattr(gx.expectations, kind)(**arguments)).success:
            raise SystemExit(f"{name} failed")
    x, y = frame.drop(columns="churned"), (frame.churned == "yes").astype(int)
    texts = [name for name in x if not pd.api.types.is_numeric_dtype(x[name])]
    numbers = [name for name in x if name not in texts]
    encoder = OrdinalEncoder(
        handle_unknown="use_encoded_value",
        unknown_value=np.nan,
        encoded_missing_value=np.nan,
    )
    pipeline = Pipeline(
        [
            (
                "encode",
                ColumnTransformer(
                    [("texts", encoder, texts), ("numbers", "passthrough", numbers)]
                ),
            ),
            ("estimator", HistGradientBoostingClassifier(**ESTIMATOR)),
        ]
    )
    x_train, x_test, y_train, y_test = train_test_split(
        x, y, test_size=0.2, stratify=y, random_state=0
    )
    pipeline.fit(x_train, y_train)
    probability = pipeline.predict_proba(x_test)[:, 1]
    predicted = probability > 0.5
    figures = {
        "accuracy": metrics.accuracy_score(y_test, predicted),
        "balanced_accuracy": metrics.balanced_accuracy_score(y_test, predicted),
        "roc_auc": metrics.roc_auc_score(y_test, probability),
        "average_precision": metrics.average_precision_score(y_test, probability),
        "log_loss": metrics.log_loss(y_test, probability),
        "brier": metrics.brier_score_loss(y_test, probability),
        "f1": metrics.f1_score(y_test, predicted),
    }
    sample = np.random.default_rng(0).permutation(len(x_test))[:2000]
    permutation_importance(
        pipeline,
        x_test.iloc[sample],
        y_test.iloc[sample],
        scoring="roc_auc",
        n_repeats=5,
        random_state=0,
    )
    mlflow.set_tracking_uri(f"sqlite:///{os.environ['ML_ASSETS_HOME']}/mlflow.db")
    mlflow.set_experiment("bench")
    with mlflow.start_run():
        mlflow.log_metrics(figures)
        mlflow.sklearn.log_model(
            pipeline,
            name="model",
            registered_model_name="bench",
            serialization_format="skops",
            skops_trusted_types=[
                "numpy.dtype",
                "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
            ],
            pip_requirements=["scikit-learn"],
        )


def measure(kind: str, table: Path) -> float:
    """Seconds of one run in a new process and an empty home."""
    with tempfile.TemporaryDirectory() as home:
        environment = {
            **os.environ,
            "ML_ASSETS_HOME": home,
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "OMP_NUM_THREADS": "1",
        }
        started = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "benchmarks.pipeline", "--run", kind, str(table)],
            env=environment,
            stdout=subprocess.DEVNULL,
            check=True,
        )
        return time.perf_counter() - started


def main() -> None:
    """Print seconds and ratios for each number of rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="*", default=[50_000, 1_000_000])
    parser.add_argument("--run", nargs=2, metavar=("KIND", "TABLE"))
    options = parser.parse_args()
    if options.run:
        kind, table = options.run
        {"assets": assets, "script": script}[kind](Path(table))
        return
    from ml_assets.ml.synthetic import synthetic

    for rows in options.rows:
        with tempfile.TemporaryDirectory() as scratch:
            table = Path(scratch) / "rows.parquet"
            synthetic(rows).to_parquet(table)
            found = {kind: measure(kind, table) for kind in ("script", "assets")}
        found["ratio"] = found["assets"] / found["script"]
        print(json.dumps({"rows": rows, **{k: round(v, 2) for k, v in found.items()}}))


if __name__ == "__main__":
    main()
