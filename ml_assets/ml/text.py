"""Free text as features: how often each word of a text occurs.

Registered models hold `TextFeatures` by the path of this module: neither may move.
"""

from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.feature_extraction.text import HashingVectorizer, TfidfVectorizer
from sklearn.utils.validation import check_is_fitted

from ml_assets.ml.cleaning import FeatureError
from ml_assets.spec.model import FeaturesSpec

# Each is a column of 8 bytes a row where the estimator takes no sparse matrix.
MAX_DENSE = 1_024


class TextFeatures(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Replace a column of texts by numbers of its words, a sparse row of length one.

    A word is two or more letters, digits or underscores, in lower case; a missing text
    has none. What is learnt is kept as plain lists, and scikit-learn's vectorizer made
    anew of it: no other setting than these can come from a file.

    Parameters
    ----------
    encoding : {'tfidf', 'hashing'}
        ``tfidf`` weighs the most frequent words of training by how few texts have them
        (`TfidfVectorizer`, after Sparck Jones, 1972); ``hashing`` adds up all words by
        their hash (`HashingVectorizer`, after Weinberger et al., 2009), and keeps none.
    features : int
        Number of words, or of sums.

    Examples
    --------
    >>> rows = pd.DataFrame({"said": ["late again", "Late!", None]})
    >>> found = TextFeatures("tfidf", 1).fit(rows)
    >>> found.get_feature_names_out().tolist(), found.transform(rows).toarray().tolist()
    (['said: late'], [[1.0], [1.0], [0.0]])
    """

    def __init__(
        self, encoding: Literal["tfidf", "hashing"] = "tfidf", features: int = 256
    ) -> None:
        self.encoding = encoding
        self.features = features

    def fit(self, X: pd.DataFrame, y: Any = None) -> "TextFeatures":
        """Learn the words of the only column of `X`, and how rare they are."""
        self.feature_names_in_ = np.asarray(X.columns, dtype=object)
        self.n_features_in_ = 1
        if self.encoding == "tfidf":
            learnt = TfidfVectorizer(max_features=self.features)
            try:
                learnt.fit(_texts(X))
            except ValueError as error:
                raise FeatureError(
                    f"features.text: '{X.columns[0]}' has no word in {len(X):,} rows,"
                    " expected texts with words of two letters or more"
                ) from error
            self.words_: list[str] = learnt.get_feature_names_out().tolist()
            self.rarity_ = learnt.idf_
        return self

    def transform(self, X: pd.DataFrame) -> Any:
        """The numbers of each text, as a sparse matrix."""
        check_is_fitted(self, "n_features_in_")
        return self._vectorizer().transform(_texts(X))

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:
        """Names of the numbers: the words, or the positions of the sums."""
        check_is_fitted(self, "n_features_in_")
        words = self.words_ if self.encoding == "tfidf" else range(self.features)
        names = [f"{self.feature_names_in_[0]}: {word}" for word in words]
        return np.asarray(names, dtype=object)

    def note(self, column: str) -> str:
        """What becomes of the texts of a column, in a sentence."""
        means = {
            "tfidf": f"TF-IDF of its {self.features:,} most frequent words, at most",
            "hashing": f"its words are hashed to {self.features:,} sums",
        }
        return f"column '{column}' is read as text: {means[self.encoding]}"

    def _vectorizer(self) -> TfidfVectorizer | HashingVectorizer:
        if self.encoding == "hashing":
            return HashingVectorizer(n_features=self.features)
        found = TfidfVectorizer(vocabulary=self.words_)
        found.idf_ = self.rarity_
        return found


def _texts(frame: pd.DataFrame) -> list[str]:
    """The texts of the only column, empty where they are missing."""
    column = frame.iloc[:, 0].astype(object)
    return [str(text) for text in column.where(column.notna(), "")]


def text_parts(
    frame: pd.DataFrame, spec: FeaturesSpec, is_sparse: bool
) -> list[tuple[str, TextFeatures, list[str]]]:
    """Name, transformer and column of each text that `spec` asks for.

    Raises
    ------
    FeatureError
        If they would be more than `MAX_DENSE` columns of a matrix that is not sparse.
    """
    names = [name for name in frame.columns if name in spec.text]
    width = len(names) * spec.text_features
    if width > MAX_DENSE and not is_sparse:
        raise FeatureError(
            f"features.text_features makes {width:,} columns of {len(names)} texts,"
            f" expected at most {MAX_DENSE:,} for an estimator or encoding that takes"
            " no sparse matrix"
        )
    return [
        (f"text_{at}", TextFeatures(spec.text[name], spec.text_features), [name])
        for at, name in enumerate(names)
    ]
