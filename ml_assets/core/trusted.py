"""The only types that a ``model.skops`` may hold, checked before any is built.

skops trusts by default all of scikit-learn and the functions of numpy and scipy: enough
for a crafted file to call what its author likes. We read the schema inside the archive
ourselves and refuse every node outside the list below, whatever skops thinks of it.
Beside that list, objects may be of classes that a trusted package of the project
defines (see `ml_assets.core.user_code`).
"""

import io
import json
import zipfile
from typing import Any

from ml_assets.core import user_code

MAX_SCHEMA_BYTES = 256 * 2**20

_ESTIMATORS = {
    "sklearn.calibration": "CalibratedClassifierCV _CalibratedClassifier"
    " _SigmoidCalibration _TemperatureScaling",
    "sklearn.compose._column_transformer": "ColumnTransformer",
    "sklearn.discriminant_analysis": "LinearDiscriminantAnalysis"
    " QuadraticDiscriminantAnalysis",
    "sklearn.decomposition._pca": "PCA",
    "sklearn.dummy": "DummyClassifier DummyRegressor",
    "sklearn.ensemble._bagging": "BaggingClassifier BaggingRegressor",
    "sklearn.ensemble._forest": "ExtraTreesClassifier ExtraTreesRegressor"
    " RandomForestClassifier RandomForestRegressor",
    "sklearn.ensemble._gb": "GradientBoostingClassifier GradientBoostingRegressor",
    "sklearn.ensemble._hist_gradient_boosting.binning": "_BinMapper",
    "sklearn.ensemble._hist_gradient_boosting.gradient_boosting": ""
    "HistGradientBoostingClassifier HistGradientBoostingRegressor",
    "sklearn.ensemble._hist_gradient_boosting.predictor": "TreePredictor",
    "sklearn.ensemble._stacking": "StackingClassifier StackingRegressor",
    "sklearn.ensemble._voting": "VotingClassifier VotingRegressor",
    "sklearn.ensemble._weight_boosting": "AdaBoostClassifier AdaBoostRegressor",
    "sklearn.gaussian_process._gpc": "GaussianProcessClassifier"
    " _BinaryGaussianProcessClassifierLaplace",
    "sklearn.gaussian_process.kernels": "ConstantKernel Product RBF",
    "sklearn.impute._base": "SimpleImputer MissingIndicator",
    "sklearn.isotonic": "IsotonicRegression",
    "sklearn.linear_model._base": "LinearRegression",
    "sklearn.linear_model._coordinate_descent": "ElasticNet ElasticNetCV Lasso"
    " LassoCV",
    "sklearn.linear_model._glm.glm": "GammaRegressor PoissonRegressor TweedieRegressor",
    "sklearn.linear_model._huber": "HuberRegressor",
    "sklearn.linear_model._logistic": "LogisticRegression LogisticRegressionCV",
    "sklearn.compose._target": "TransformedTargetRegressor",
    "sklearn.gaussian_process._gpr": "GaussianProcessRegressor",
    "sklearn.kernel_ridge": "KernelRidge",
    "sklearn.linear_model._bayes": "ARDRegression BayesianRidge",
    "sklearn.linear_model._least_angle": ""
    "Lars LarsCV LassoLars LassoLarsCV LassoLarsIC",
    "sklearn.linear_model._omp": ""
    "OrthogonalMatchingPursuit OrthogonalMatchingPursuitCV",
    "sklearn.linear_model._theil_sen": "TheilSenRegressor",
    "sklearn.neighbors._regression": "KNeighborsRegressor RadiusNeighborsRegressor",
    "sklearn.linear_model._passive_aggressive": ""
    "PassiveAggressiveClassifier PassiveAggressiveRegressor",
    "sklearn.linear_model._perceptron": "Perceptron",
    "sklearn.linear_model._quantile": "QuantileRegressor",
    "sklearn.linear_model._ridge": "Ridge RidgeCV RidgeClassifier RidgeClassifierCV",
    "sklearn.linear_model._stochastic_gradient": "SGDClassifier SGDRegressor",
    "sklearn.metrics._dist_metrics": "ChebyshevDistance64 EuclideanDistance64"
    " ManhattanDistance64 MinkowskiDistance64",
    "sklearn.model_selection._split": "StratifiedKFold",
    "sklearn.multiclass": "OneVsRestClassifier",
    "sklearn.naive_bayes": "BernoulliNB CategoricalNB ComplementNB GaussianNB"
    " MultinomialNB",
    "sklearn.neighbors._ball_tree": "BallTree",
    "sklearn.neighbors._classification": "KNeighborsClassifier"
    " RadiusNeighborsClassifier",
    "sklearn.neighbors._kd_tree": "KDTree",
    "sklearn.neighbors._nearest_centroid": "NearestCentroid",
    "sklearn.neural_network._multilayer_perceptron": "MLPClassifier MLPRegressor",
    "sklearn.neural_network._stochastic_optimizers": "AdamOptimizer SGDOptimizer",
    "sklearn.pipeline": "Pipeline",
    "sklearn.preprocessing._data": "MaxAbsScaler MinMaxScaler Normalizer"
    " PowerTransformer QuantileTransformer RobustScaler StandardScaler",
    "sklearn.preprocessing._discretization": "KBinsDiscretizer",
    "sklearn.preprocessing._encoders": "OneHotEncoder OrdinalEncoder",
    "sklearn.preprocessing._function_transformer": "FunctionTransformer",
    "sklearn.preprocessing._label": "LabelBinarizer LabelEncoder",
    "sklearn.preprocessing._polynomial": "PolynomialFeatures",
    "sklearn.preprocessing._target_encoder": "TargetEncoder",
    "sklearn.semi_supervised._label_propagation": "LabelPropagation LabelSpreading",
    "sklearn.semi_supervised._self_training": "SelfTrainingClassifier",
    "sklearn.svm._classes": "LinearSVC NuSVC SVC LinearSVR NuSVR SVR",
    "sklearn.tree._classes": "DecisionTreeClassifier DecisionTreeRegressor"
    " ExtraTreeClassifier ExtraTreeRegressor",
    "sklearn._loss.link": "HalfLogitLink IdentityLink Interval LogLink LogitLink"
    " MultinomialLogit",
    "sklearn._loss.loss": "AbsoluteError ExponentialLoss HalfBinomialLoss"
    " HalfGammaLoss HalfTweedieLoss HalfTweedieLossIdentity HuberLoss"
    " HalfMultinomialLoss HalfPoissonLoss HalfSquaredError PinballLoss",
    "ml_assets.core.model_files": "StoredBooster",
    "ml_assets.ml.dates": "DateFeatures",
    "ml_assets.ml.features": "DeriveColumns",
    "ml_assets.ml.text": "TextFeatures",
}

# Kind of node in the schema: the fully qualified names that it may carry.
TRUSTED: dict[str, frozenset[str]] = {
    "ObjectNode": frozenset(
        f"{module}.{name}"
        for module, names in _ESTIMATORS.items()
        for name in names.split()
    ),
    "TreeNode": frozenset({"sklearn.tree._tree.Tree"}),
    "LossNode": frozenset(
        {
            "sklearn._loss._loss.CyExponentialLoss",
            "sklearn._loss._loss.CyHalfBinomialLoss",
            "sklearn._loss._loss.CyHalfTweedieLoss",
            "sklearn._loss._loss.CyHalfTweedieLossIdentity",
            "sklearn._loss._loss.CyHuberLoss",
            "sklearn._loss._loss.CyAbsoluteError",
            "sklearn._loss._loss.CyHalfGammaLoss",
            "sklearn._loss._loss.CyHalfMultinomialLoss",
            "sklearn._loss._loss.CyHalfPoissonLoss",
            "sklearn._loss._loss.CyHalfSquaredError",
            "sklearn._loss._loss.CyPinballLoss",
            "sklearn.linear_model._sgd_fast.Hinge",
            "sklearn.linear_model._sgd_fast.ModifiedHuber",
            "sklearn.linear_model._sgd_fast.SquaredHinge",
        }
    ),
    "DictNode": frozenset({"builtins.dict", "sklearn.utils._bunch.Bunch"}),
    "ListNode": frozenset({"builtins.list"}),
    "TupleNode": frozenset({"builtins.tuple"}),
    "SetNode": frozenset({"builtins.set"}),
    "SliceNode": frozenset({"builtins.slice"}),
    "JsonNode": frozenset({"builtins.str"}),
    "NdArrayNode": frozenset(
        {"numpy.ndarray", "numpy.float64", "numpy.float32", "numpy.int64"}
        | {"numpy.int32", "numpy.uint64", "numpy.bool", "numpy.str_"}
    ),
    "DTypeNode": frozenset({"numpy.dtype"}),
    "TypeNode": frozenset(
        {"builtins.bool", "builtins.float", "builtins.int", "builtins.str"}
        | {"numpy.float32", "numpy.float64", "numpy.int64", "numpy.int32"}
        | {"numpy.bool", "numpy.str_", "builtins.NoneType"}
    ),
    "RandomStateNode": frozenset({"numpy.random.mtrand.RandomState"}),
    "RandomGeneratorNode": frozenset({"numpy.random._generator.Generator"}),
    # Histogram boosting with native categories keeps partial(check_array, ...).
    "PartialNode": frozenset({"functools.partial"}),
    "FunctionNode": frozenset({"sklearn.utils.validation.check_array"}),
}
TRUSTED_NAMES = sorted(frozenset().union(*TRUSTED.values()))


class UntrustedError(ValueError):
    """A model file that names something outside the allow-list, or is no skops file."""


def check_skops(data: bytes) -> list[str]:
    """Refuse a skops file that could build anything outside the allow-list.

    Classes of trusted packages are imported; no other one is.

    Parameters
    ----------
    data : bytes
        The whole file. Give the same bytes to the loader, so that what was checked is
        what is loaded.

    Returns
    -------
    list of str
        The classes of trusted packages that it names, sorted.

    Raises
    ------
    UntrustedError
        With the name of the first foreign type, function or archive member.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {item.filename: item for item in archive.infolist()}
            for item in archive.infolist():
                _check_member(item)
            if len(members) != len(archive.infolist()):
                raise UntrustedError("the archive holds two members of one name")
            if "schema.json" not in members:
                raise UntrustedError("the archive holds no schema.json")
            if members["schema.json"].file_size > MAX_SCHEMA_BYTES:
                raise UntrustedError(f"schema.json is above {MAX_SCHEMA_BYTES} bytes")
            schema = json.loads(archive.read("schema.json"))
    except (zipfile.BadZipFile, EOFError, OSError, RecursionError) as error:
        raise UntrustedError(f"not a whole skops file: {error}") from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UntrustedError(f"schema.json is not JSON: {error}") from error
    if not isinstance(schema, dict) or "__loader__" not in schema:
        raise UntrustedError("schema.json holds no object")
    own = sorted(_check_nodes(schema))
    for name in own:
        try:
            user_code.load_class(name)
        except user_code.UserCodeError as error:
            raise UntrustedError(f"the model names {name}, but {error}") from error
    return own


def _check_member(item: zipfile.ZipInfo) -> None:
    """A stored array or the schema, neither compressed (no bomb) nor encrypted."""
    stem, _, suffix = item.filename.rpartition(".")
    is_array = suffix == "npy" and stem.isascii() and stem.isdigit()
    if not is_array and item.filename != "schema.json":
        raise UntrustedError(f"the archive holds '{item.filename}', expected arrays")
    if item.compress_type != zipfile.ZIP_STORED or item.file_size != item.compress_size:
        raise UntrustedError(f"the member '{item.filename}' is compressed")


def _check_nodes(schema: dict[str, Any]) -> set[str]:
    """Visit every dict of the schema: skops builds each that has a loader.

    Returns the names that only a trusted package allows.
    """
    own: set[str] = set()
    pending: list[Any] = [schema]
    while pending:
        item = pending.pop()
        if isinstance(item, list):
            pending.extend(item)
        elif isinstance(item, dict):
            pending.extend(item.values())
            if "__loader__" in item:
                own |= _check_node(item)
    return own


def _check_node(node: dict[str, Any]) -> set[str]:
    loader = node["__loader__"]
    name = f"{node.get('__module__')}.{node.get('__class__')}"
    trusted = TRUSTED.get(loader, frozenset()) if isinstance(loader, str) else ()
    if name in trusted:
        return set()
    try:
        if loader == "ObjectNode" and user_code.is_trusted(name):
            return {name}
        packages = ", ".join(user_code.trusted_packages()) or "none"
    except user_code.UserCodeError as error:
        raise UntrustedError(f"the model names {name}, but {error}") from error
    raise UntrustedError(
        f"the model names {name} ({loader}), which is not on the list of trusted types"
        " of ml_assets.core.trusted, and no class of a package that this process"
        f" trusts ({user_code.SETTING}: {packages})"
    )


def dump_skops(model: Any) -> bytes:
    """`model` as a skops file that `load_skops` takes.

    Raises
    ------
    UntrustedError
        If it holds anything outside the allow-list, or that skops cannot write.
    """
    import skops.io
    from skops.io.exceptions import UnsupportedTypeException

    try:
        data: bytes = skops.io.dumps(model)
    except UnsupportedTypeException as error:
        raise UntrustedError(f"skops cannot write the model: {error}") from error
    check_skops(data)
    return data


def load_skops(data: bytes) -> Any:
    """Check `data` against the allow-list, then build the object in it.

    Raises
    ------
    UntrustedError
        If it names anything outside the allow-list, or cannot be built.
    """
    own = check_skops(data)
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    try:
        return skops.io.loads(data, trusted=[*TRUSTED_NAMES, *own])
    except UntrustedTypesFoundException as error:
        raise UntrustedError(f"skops refuses the model: {error}") from error
    except Exception as error:
        # Whatever a damaged file provokes inside numpy or scikit-learn.
        raise UntrustedError(f"the model cannot be built: {error!r}") from error
