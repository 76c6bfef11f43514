"""Answers of several classes and of numbers in every protocol, the log and feedback."""

import json

import msgspec
import numpy as np
import pytest

from ml_assets.core.storage import Storage
from ml_assets.prediction_log import compaction
from ml_assets.records.plan import (
    Arm,
    Column,
    Interval,
    ServingPlan,
    Signature,
    encode,
)
from ml_assets.serving.http.app import ModelServer
from ml_assets.serving.http.served_state import ServedState
from ml_assets.serving.log.prediction_log import LogKeeper
from ml_assets.serving.metrics.collector import Metrics
from ml_assets.serving.models.arms import ServedArm
from ml_assets.serving.models.ids import PredictionIds
from ml_assets.serving.models.recorder import Recorder
from ml_assets.serving.models.router import ServedModel
from ml_assets.serving.models.shadow import ShadowQueue
from ml_assets.serving.settings import ServerSettings
from ml_assets_tests.kits.app import ask
from ml_assets_tests.kits.prediction_log import logged

ID = "019aae2f-a000-7000-8000-000000000000"
COLUMNS = (Column(name="a", kind="number"), Column(name="b", kind="number"))
CLASSES = ('say "hi"', "no", "ü")
TOPIC = Signature(columns=COLUMNS, target="y", task="multiclass", classes=CLASSES)
STARS = Signature(columns=COLUMNS, target="y", task="multiclass", classes=(1, 2, 3))
PRICE = Signature(columns=COLUMNS, target="y", task="regression")
NEAR, FAR = (
    msgspec.structs.replace(
        PRICE, interval=Interval(level=0.9, half_width=half, rows=100)
    )
    for half in (0.2, 10.0)
)
BINARY = Signature(columns=COLUMNS, target="y", negative="no", positive="yes")
FRAUD = msgspec.structs.replace(BINARY, threshold=0.125)


class Chosen:
    """Answers (a, b, 1 - a - b) where there are classes, else a."""

    def __init__(self, signature):
        self.kind = "compiled"
        self.signature = signature

    def predict_one(self, values):
        found = self.predict_many([[value] for value in values])[0]
        return found if self.signature.task == "multiclass" else float(found)

    def predict_many(self, columns):
        a, b = np.array(columns, dtype=float)
        if self.signature.task == "multiclass":
            return np.column_stack([a, b, 1.0 - a - b])
        return a


class Kit:
    """A server of one model with a log; `other` answers in the second arm."""

    def __init__(self, root, signature, other=None, mode="split", share=0.5):
        self.root, self.metrics = root, Metrics()
        settings = ServerSettings(home=str(root), storage=str(root), max_rows=100)
        self.logs = LogKeeper(settings, self.metrics, "me")
        arms = [Arm(version="v1", bundle="b", files={}, runtime="compiled")]
        if other is not None:
            arms.append(
                Arm(
                    version="v2", bundle="b", files={}, runtime="compiled", mode=mode,
                    share=share,
                )
            )  # fmt: skip
        plan = ServingPlan(
            model="m", generation=1, arms=tuple(arms), created_at="", reason="test",
            salt="s", experiment="v2" if other else None,
        )  # fmt: skip
        ids = PredictionIds()
        runtimes = (Chosen(item) for item in (signature, other) if item)
        loaded = [
            ServedArm("m", arm, runtime, 100, ids)
            for arm, runtime in zip(arms, runtimes, strict=True)
        ]
        self.shadows = ShadowQueue(self.metrics, 100)
        self.shadows.start()
        log = self.logs.log_of("m")
        model = ServedModel(plan, loaded, Recorder(log), self.shadows)
        self.app = ModelServer(settings, self.metrics, ids)
        self.app.state = ServedState(
            {"m": model}, frozenset(), True, self.metrics, self.logs
        )

    def ask(self, path, body=None):
        return ask(self.app, path, body)

    def predict(self, *rows):
        given = [{"a": a, "b": b} for a, b in rows]
        answer = self.ask("/models/m/predict", {"rows": given})
        assert answer.status == 200, answer.body
        return answer.json["predictions"]

    def records(self):
        self.shadows.close()
        paths = (self.root / "log").rglob("*.open")
        return logged(path for path in paths if ".labels." not in path.name)


def named(*values, names=CLASSES):
    return dict(zip(names, values, strict=True))


@pytest.mark.parametrize("count", [1, 3])
def test_a_class_is_answered_with_its_probability_and_those_of_all(tmp_path, count):
    kit = Kit(tmp_path, TOPIC)
    rows = [(0.25, 0.5), (0.125, 0.125), (0.5, 0.5)][:count]
    found = kit.predict(*rows)
    ids = [item.pop("id") for item in found]
    assert len({*ids}) == count
    assert (
        found
        == [
            {
                "probability": 0.5,
                "label": "no",
                "probabilities": named(0.25, 0.5, 0.25),
            },
            {
                "probability": 0.75,
                "label": "ü",
                "probabilities": named(0.125, 0.125, 0.75),
            },
            # The first of the likeliest.
            {
                "probability": 0.5,
                "label": CLASSES[0],
                "probabilities": named(0.5, 0.5, 0.0),
            },
        ][:count]
    )
    assert [*found[0]["probabilities"]] == [*CLASSES]


def test_labels_that_are_numbers_stay_numbers_and_name_members(tmp_path):
    (found,) = Kit(tmp_path, STARS).predict((0.0, 1.0))
    assert found["label"] == 2
    assert found["probabilities"] == {"1": 0.0, "2": 1.0, "3": 0.0}


@pytest.mark.parametrize("count", [1, 3])
def test_a_number_is_answered_as_value_to_its_last_bit(tmp_path, count):
    rows = [(0.1 + 0.2, 0), (-1.5e300, 0), (-0.0, 0)][:count]
    found = Kit(tmp_path, PRICE).predict(*rows)
    assert [item.keys() for item in found] == [{"id", "value"}] * count
    assert [repr(item["value"]) for item in found] == [repr(a) for a, _ in rows]


@pytest.mark.parametrize("count", [1, 3])
def test_the_ends_of_an_interval_are_answered_beside_the_value(tmp_path, count):
    kit = Kit(tmp_path, NEAR)
    values = [0.1, -1.5e300, 7.0][:count]
    found = kit.predict(*((value, 0) for value in values))
    for value, item in zip(values, found, strict=True):
        ends = {"value": value, "lower": value - 0.2, "upper": value + 0.2}
        assert item == {"id": item["id"], **ends}
        assert kit.ask(f"/predictions/{item['id']}").json.items() >= ends.items()
    # The version has the half width: the log needs the value alone.
    assert [record["value"] for record in kit.records()] == values


def test_the_other_protocols_have_the_ends_as_columns(tmp_path):
    kit = Kit(tmp_path, FAR)
    outputs = outputs_of(kit, (7.5, 0), (-1.0, 0))
    assert [*outputs] == ["value", "lower", "upper", "prediction_id"]
    assert outputs["lower"]["data"] == [-2.5, -11.0]
    assert outputs["upper"] == {"datatype": "FP64", "shape": [2], "data": [17.5, 9.0]}
    answer = kit.ask("/invocations", {"inputs": {"a": [7.5, -1], "b": [0, 0]}}).json
    assert answer["predictions"] == [7.5, -1.0]
    assert (answer["lower"], answer["upper"]) == ([-2.5, -11.0], [17.5, 9.0])
    assert kit.ask("/models/m").json["interval"] == {
        "level": 0.9, "half_width": 10.0, "rows": 100,
    }  # fmt: skip


def test_in_a_split_each_row_has_the_interval_of_its_version(tmp_path):
    kit = Kit(tmp_path, NEAR, FAR)
    found = kit.predict(*[(0.5, 0)] * 40)
    widths = {item["version"]: item["upper"] - item["lower"] for item in found}
    assert widths == pytest.approx({"v1": 0.4, "v2": 20.0})


@pytest.mark.parametrize("pair", [(NEAR, PRICE), (PRICE, NEAR)], ids=["live", "other"])
def test_rows_of_a_version_without_an_interval_have_none(tmp_path, pair):
    kit = Kit(tmp_path, *pair)
    for _ in range(20):
        found = kit.predict((0.5, 0))[0]
        own = pair[found["version"] == "v2"]
        assert ("lower" in found) == ("upper" in found) == (own is NEAR)
    many = kit.predict(*[(0.5, 0)] * 40)
    assert {item["version"] for item in many} == {"v1", "v2"}
    assert not any("lower" in item for item in many)
    tensors_ = {"inputs": tensors(*[(0.5, 0)] * 40)}
    outputs = kit.ask("/v2/models/m/infer", tensors_).json["outputs"]
    assert [item["name"] for item in outputs] == [
        "value", "prediction_id", "version", "arm",
    ]  # fmt: skip
    paths = kit.ask("/openapi.json").json["paths"]
    content = paths["/models/m/predict"]["post"]["responses"]["200"]["content"]
    predictions = content["application/json"]["schema"]["properties"]["predictions"]
    answer = predictions["items"]
    assert {"lower", "upper"} <= answer["properties"].keys()
    assert not {"lower", "upper"} & {*answer["required"]}


@pytest.mark.parametrize("signature", [TOPIC, BINARY], ids=["multiclass", "binary"])
def test_classes_have_no_interval(signature):
    with pytest.raises(ValueError, match="has an interval; expected one of regression"):
        msgspec.structs.replace(signature, interval=NEAR.interval)


@pytest.mark.parametrize(
    "level, half_width", [(0, 1), (1, 1), (0.9, -1), (0.9, np.inf), (0.9, np.nan)]
)
def test_an_interval_that_is_none_is_refused(level, half_width):
    with pytest.raises(ValueError, match="expected a level above 0 and below 1"):
        Interval(level=level, half_width=half_width, rows=10)


def test_a_value_whose_interval_is_not_finite_is_our_own_fault(tmp_path):
    wide = Interval(level=0.9, half_width=1e308, rows=100)
    kit = Kit(tmp_path, msgspec.structs.replace(PRICE, interval=wide))
    for rows in ([1e308], [0.0, -1e308]):
        body = {"rows": [{"a": a, "b": 0} for a in rows]}
        assert kit.ask("/models/m/predict", body).status == 500


@pytest.mark.parametrize("signature", [TOPIC, PRICE], ids=["classes", "numbers"])
@pytest.mark.parametrize("rows", [[(2.0, 0.5)], [(0.1, 0.2), (2.0, 0.5)]])
def test_what_is_no_answer_of_the_task_is_our_own_fault(tmp_path, signature, rows):
    kit = Kit(tmp_path, signature)
    if signature is PRICE:
        kit.app.state.models["m"].live.runtime.predict_many = lambda columns: (
            np.full(len(columns[0]), np.nan)
        )
    body = {"rows": [{"a": a, "b": b} for a, b in rows]}
    assert kit.ask("/models/m/predict", body).status == 500
    assert {item["error"] for item in kit.records()} == {"ArithmeticError"}


def tensors(*rows):
    return [
        {
            "name": name,
            "datatype": "FP64",
            "shape": [len(rows)],
            "data": [row[at] for row in rows],
        }
        for at, name in enumerate("ab")
    ]


def outputs_of(kit, *rows):
    body = {"inputs": tensors(*rows)}
    answer = kit.ask("/v2/models/m/infer", body).json
    described = kit.ask("/v2/models/m").json["outputs"]
    outputs = {item.pop("name"): item for item in answer["outputs"]}
    # The metadata names what is answered, with its type, shape and parameters.
    assert [item["name"] for item in described] == [*outputs]
    for item in described:
        found = outputs[item.pop("name")]
        shape = [len(rows), *item.pop("shape")[1:]]
        assert found | {**item, "shape": shape} == found
    return outputs


def test_open_inference_answers_classes_as_a_matrix(tmp_path):
    outputs = outputs_of(Kit(tmp_path, TOPIC), (0.25, 0.5), (0.5, 0.25))
    assert outputs["label"]["data"] == ["no", CLASSES[0]]
    assert outputs["probability"]["data"] == [0.5, 0.5]
    assert outputs["probabilities"] == {
        "datatype": "FP64",
        "shape": [2, 3],
        "parameters": {"classes": [*CLASSES]},
        "data": [0.25, 0.5, 0.25, 0.5, 0.25, 0.25],
    }


def test_open_inference_answers_numbers_as_value(tmp_path):
    outputs = outputs_of(Kit(tmp_path, PRICE), (7.5, 0), (-1.0, 0))
    assert outputs.keys() == {"value", "prediction_id"}
    assert outputs["value"]["data"] == [7.5, -1.0]
    assert outputs["value"]["shape"] == [2]


def test_open_inference_gives_the_outputs_that_are_asked_for(tmp_path):
    body = {"inputs": tensors((0.25, 0.5)), "outputs": [{"name": "probabilities"}]}
    answer = Kit(tmp_path, TOPIC).ask("/v2/models/m/infer", body).json
    assert [item["name"] for item in answer["outputs"]] == ["probabilities"]
    body["outputs"] = [{"name": "value"}]
    answer = Kit(tmp_path, TOPIC).ask("/v2/models/m/infer", body)
    assert (
        answer.status == 422 and "label, prediction_id, prob" in answer.json["detail"]
    )


def test_invocations_predict_labels_or_values(tmp_path):
    body = {"inputs": {"a": [0.25, 0.5], "b": [0.5, 0.25]}}
    answer = Kit(tmp_path, TOPIC).ask("/invocations", body).json
    assert answer["predictions"] == ["no", CLASSES[0]]
    assert answer["probabilities"] == [named(0.25, 0.5, 0.25), named(0.5, 0.25, 0.25)]
    answer = Kit(tmp_path, PRICE).ask("/invocations", body).json
    assert answer["predictions"] == [0.25, 0.5] and "probabilities" not in answer


def test_rows_of_a_split_name_their_arm_whatever_the_task(tmp_path):
    rows = [(0.25, 0.5)] * 40
    for name, signature in (("classes", TOPIC), ("numbers", PRICE)):
        kit = Kit(tmp_path / name, signature, signature)
        found = kit.predict(*rows)
        assert {item["version"] for item in found} == {"v1", "v2"}
        records = {item["id"]: item for item in kit.records()}
        for item in found:
            record = records[item["id"]]
            assert record["version"] == item["version"]
            assert record["label"] == item.get("label")
            assert record["value"] == item.get("value")


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (BINARY, "version v2 is of task binary, expected multiclass as version v1"),
        (PRICE, "is of task regression, expected multiclass"),
        (STARS, r"tells \(1, 2, 3\) apart, expected"),
    ],
)
def test_arms_of_another_task_or_other_classes_are_refused(tmp_path, other, message):
    with pytest.raises(ValueError, match=message):
        Kit(tmp_path, TOPIC, other)


@pytest.mark.parametrize("count", [1, 2])
def test_a_shadow_logs_its_answer_beside_the_one_given(tmp_path, count):
    kit = Kit(tmp_path, TOPIC, TOPIC, mode="shadow")
    kit.predict(*[(0.25, 0.5)] * count)
    records = kit.records()
    assert sorted(item["arm"] for item in records) == sorted(["live", "shadow"] * count)
    for record in records:
        assert (record["label"], record["p"]) == ("no", 0.5)
        assert record["probabilities"] == [0.25, 0.5, 0.25]


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("signature", [TOPIC, PRICE], ids=["classes", "numbers"])
def test_what_is_logged_is_compacted_and_looked_up(tmp_path, signature, count):
    kit = Kit(tmp_path, signature)
    (tmp_path / "versions/m/v1/bundle").mkdir(parents=True)
    (tmp_path / "versions/m/v1/bundle/signature.json").write_bytes(encode(signature))
    given = kit.predict(*[(0.25, 0.5)] * count)
    before = kit.ask(f"/predictions/{given[0]['id']}").json
    kit.logs.close()
    storage = Storage(str(tmp_path))
    segments = [info.name for info in storage.objects("segments/m")]
    batch = compaction.make_batch(storage, "m", "predictions", segments)
    storage.remove(segments)
    assert (batch.rows, batch.unreadable) == (count, 0)
    after = kit.ask(f"/predictions/{given[0]['id']}").json
    assert after == before
    assert given[0].items() <= after.items()
    assert after["input"] == {"a": 0.25, "b": 0.5}
    assert ("value" in after) == (signature is PRICE) != ("label" in after)


def test_parquet_of_the_log_has_typed_columns_and_old_files_are_read(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    from ml_assets.prediction_log.reader import read_table

    kit = Kit(tmp_path, TOPIC)
    kit.predict((0.25, 0.5), (0.5, 0.25))
    kit.logs.close()
    storage = Storage(str(tmp_path))
    segments = [info.name for info in storage.objects("segments/m")]
    batch = compaction.make_batch(storage, "m", "predictions", segments)
    path = tmp_path / batch.files[0].name
    table = pq.read_table(path, partitioning=None)
    assert table.schema.field("probabilities").type == pa.list_(pa.float64())
    assert table.schema.field("value").type == pa.float64()
    old = tmp_path / "old.parquet"
    pq.write_table(table.drop_columns(["probabilities", "value"]), old)
    wanted = ["id", "label", "value", "probabilities"]
    for file, known in ((path, 0), (old, 2)):
        with file.open("rb") as stream:
            found = read_table(stream, wanted, [("version", "==", "v1")])
        assert found.column_names == wanted and found.num_rows == 2
        assert found["probabilities"].null_count == known


@pytest.mark.parametrize(
    ("signature", "label", "kept"),
    [
        (TOPIC, "ü", "ü"), (STARS, "2", 2), (STARS, 2.0, 2), (PRICE, 12.25, 12.25),
        (PRICE, 3, 3.0), (PRICE, -0.0, -0.0),
    ],
)  # fmt: skip
def test_feedback_is_one_of_the_classes_or_a_number(tmp_path, signature, label, kept):
    kit = Kit(tmp_path, signature)
    body = {"model": "m", "labels": [{"id": ID, "label": label}]}
    assert kit.ask("/feedback", body).status == 202
    (path,) = (tmp_path / "log").rglob("*.labels.open")
    line = json.loads(path.read_text())
    assert line["label"] == kept and type(line["label"]) is type(kept)
    kit.logs.close()
    storage = Storage(str(tmp_path))
    segments = [info.name for info in storage.objects("segments/m")]
    (file,) = compaction.make_batch(storage, "m", "labels", segments).files
    with storage.open(file.name) as stream:
        from ml_assets.prediction_log.reader import read_table

        (row,) = read_table(stream, ["label", "value"], [("id", "==", ID)]).to_pylist()
    assert row["value"] == (None if isinstance(kept, str) else float(kept))


@pytest.mark.parametrize(
    ("signature", "label", "message"),
    [
        (TOPIC, "maybe", '"no" or "ü", found another string'),
        (STARS, 4, "expected 1 or 2 or 3, found a number"),
        (PRICE, "12", "expected a finite number, found another string"),
        (PRICE, True, "expected a finite number, found a boolean"),
        (PRICE, None, "expected a finite number, found null"),
        (PRICE, 10**400, "expected a finite number"),
    ],
)
def test_feedback_of_another_kind_is_refused(tmp_path, signature, label, message):
    kit = Kit(tmp_path, signature)
    body = {"model": "m", "labels": [{"id": ID, "label": label}]}
    answer = kit.ask("/feedback", body)
    assert answer.status == 422 and message in answer.json["detail"]


@pytest.mark.parametrize(
    ("signature", "sentence"),
    [
        (TOPIC, "<code>no</code>, <code>ü</code> is the <code>y</code>"),
        (PRICE, "Predicts the number <code>y</code>"),
        (BINARY, "whether <code>y</code> is <code>yes</code> (positive) or"),
    ],
)
def test_the_documents_describe_the_task(tmp_path, signature, sentence):
    kit = Kit(tmp_path, signature)
    assert sentence in kit.ask("/docs").body.decode()
    described = kit.ask("/models/m").json
    assert described["task"] == signature.task
    assert described["classes"] == [*signature.labels]
    document = kit.ask("/openapi.json").json
    schema = document["paths"]["/models/m/predict"]["post"]["responses"]["200"]
    item = schema["content"]["application/json"]["schema"]["properties"]["predictions"]
    (found,) = kit.predict((0.25, 0.5))
    assert item["items"]["required"] == [*found]
    feedback = document["paths"]["/feedback"]["post"]["requestBody"]["content"]
    sample = feedback["application/json"]["example"]
    assert kit.ask("/feedback", sample).status == 202


def test_binary_answers_are_byte_for_byte_what_they_were(tmp_path):
    kit = Kit(tmp_path, BINARY)
    body = {"rows": [{"a": 0.5, "b": 0}, {"a": 0.75, "b": 0}]}
    answer = kit.ask("/models/m/predict", body)
    one, two = (item["id"] for item in answer.json["predictions"])
    request = answer.json["request_id"]
    assert answer.body.decode() == (
        f'{{"model":"m","version":"v1","arm":"live","request_id":"{request}",'
        f'"predictions":[{{"id":"{one}","probability":0.5,"label":"no"}},'
        f'{{"id":"{two}","probability":0.75,"label":"yes"}}]}}'
    )
    (record,) = msgspec.json.Decoder().decode_lines(
        next((tmp_path / "log").rglob("*.open")).read_bytes()
    )
    assert [*record][-3:] == ["p", "labels", "us"]


def test_every_protocol_decides_above_the_threshold_of_the_version(tmp_path):
    kit = Kit(tmp_path, FRAUD)
    rows, labels = [(0.125, 0), (0.25, 0), (0.75, 0)], ["no", "yes", "yes"]
    assert [item["label"] for item in kit.predict(*rows)] == labels
    assert [kit.predict(row)[0]["label"] for row in rows] == labels
    assert outputs_of(kit, *rows)["label"]["data"] == labels
    body = {"inputs": {"a": [row[0] for row in rows], "b": [0, 0, 0]}}
    assert kit.ask("/invocations", body).json["predictions"] == labels
    assert kit.ask("/models/m").json["threshold"] == 0.125
    kit.shadows.close()
    decided = {item["p"]: item["label"] for item in kit.records()}
    assert decided == {0.125: "no", 0.25: "yes", 0.75: "yes"}


@pytest.mark.parametrize("count", [1, 3])
def test_arms_decide_each_above_their_own_threshold(tmp_path, count):
    kit = Kit(tmp_path, BINARY, FRAUD, mode="shadow")
    assert {item["label"] for item in kit.predict(*[(0.25, 0)] * count)} == {"no"}
    found = {(item["arm"], item["label"]) for item in kit.records()}
    assert found == {("live", "no"), ("shadow", "yes")}
