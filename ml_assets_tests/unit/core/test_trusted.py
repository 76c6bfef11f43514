"""Only listed types are ever built from a model file."""

import io
import json
import os
import pickle
import sys
import zipfile

import numpy as np
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import FunctionTransformer

from ml_assets.core.trusted import UntrustedError, check_skops, dump_skops, load_skops


def node(loader: str, name: str, **content) -> dict:
    module, _, kind = name.rpartition(".")
    return {"__loader__": loader, "__module__": module, "__class__": kind, **content}


def archive(schema: object, **members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as target:
        target.writestr("schema.json", json.dumps(schema))
        for name, data in members.items():
            target.writestr(name, data)
    return buffer.getvalue()


def test_a_listed_model_loads():
    model = LogisticRegression().fit([[0.0], [1.0]], [0, 1])
    loaded = load_skops(skops.io.dumps(model))
    assert loaded.coef_.tolist() == model.coef_.tolist()


@pytest.mark.parametrize(
    "schema, named",
    [
        (node("FunctionNode", "os.system"), "os.system"),
        (node("TypeNode", "builtins.eval"), "builtins.eval"),
        (node("ObjectNode", "subprocess.Popen"), "subprocess.Popen"),
        (node("MethodNode", "sklearn.pipeline.Pipeline"), "MethodNode"),
        (node("OperatorFuncNode", "operator.methodcaller"), "methodcaller"),
        (node("ConstructorFromReduceNode", "datetime.timezone"), "timezone"),
        (node("FunctionNode", "numpy.save"), "numpy.save"),
        (node("TypeNode", "sklearn.pipeline.Pipeline"), "TypeNode"),
        (
            node(
                "DictNode",
                "builtins.dict",
                content={"a": [{"b": node("FunctionNode", "os.system")}]},
            ),
            "os.system",
        ),
        (node("DictNode", "builtins.dict", content={"__loader__": {}}), "None"),
    ],
)
def test_a_foreign_type_or_function_is_refused_by_name(schema, named):
    with pytest.raises(UntrustedError, match=named):
        check_skops(archive(schema))


def test_a_class_of_a_trusted_package_is_loaded(user_package, monkeypatch):
    from ml_assets.core.user_code import load_class

    model = load_class("my_project.models.Stump")(sharpness=2.0)
    model.fit(np.array([[0.0], [1.0]]), np.array([0, 1]))
    data = dump_skops(model)
    assert check_skops(data) == ["my_project.models.Stump"]
    assert load_skops(data).weights_.tolist() == model.weights_.tolist()
    monkeypatch.setenv("ML_ASSETS_TRUSTED", "")
    message = r"my_project\.models\.Stump .* this process trusts .*none"
    with pytest.raises(UntrustedError, match=message):
        load_skops(data)


@pytest.mark.parametrize(
    "kind, name",
    [
        ("ObjectNode", "my_project.features.system"),
        ("ObjectNode", "my_project.features.BaseEstimator"),
        ("ObjectNode", "my_project.sources.customers"),
        ("FunctionNode", "my_project.sources.customers"),
        ("ConstructorFromReduceNode", "my_project.features.Ratios"),
        ("TypeNode", "my_project.features.Ratios"),
        ("ObjectNode", "os.system"),
        ("ObjectNode", "builtins.eval"),
    ],
)
def test_of_a_trusted_package_nothing_is_built_but_its_own_classes(
    user_package, kind, name
):
    with pytest.raises(UntrustedError, match=name):
        check_skops(archive(node(kind, name)))


def test_a_foreign_name_is_refused_before_own_code_is_imported(user_package):
    own = node("ObjectNode", "my_project.features.Ratios")
    foreign = node("FunctionNode", "os.system")
    schema = node("ListNode", "builtins.list", content=[own, foreign])
    with pytest.raises(UntrustedError, match="os.system"):
        check_skops(archive(schema))
    assert "my_project" not in sys.modules


def test_a_function_that_skops_trusts_is_refused():
    data = skops.io.dumps(FunctionTransformer(np.exp))
    assert skops.io.get_untrusted_types(data=data) == []
    with pytest.raises(UntrustedError, match="numpy.exp"):
        check_skops(data)


def test_a_pickle_in_the_archive_is_refused():
    schema = node("ListNode", "builtins.list", content=[])
    data = archive(schema, **{"model.pkl": pickle.dumps(os.getcwd)})
    with pytest.raises(UntrustedError, match="model.pkl"):
        check_skops(data)


def test_a_compressed_member_is_refused():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as target:
        target.writestr("schema.json", " " * 10_000_000)
    with pytest.raises(UntrustedError, match="compressed"):
        check_skops(buffer.getvalue())


@pytest.mark.parametrize("length", [0, 10, -10])
def test_a_truncated_file_is_refused(length):
    data = skops.io.dumps(LogisticRegression())
    with pytest.raises(UntrustedError, match="not a whole skops file"):
        check_skops(data[:length])
