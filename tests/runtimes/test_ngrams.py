"""Text vectorizers make n-grams one at a time in a service, and give the same answers as scikit-learn."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer, _VectorizerMixin
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from service.app import open_repository
from service.packaging import save_model
from service.runtimes import ngrams
from service.settings import Settings

_RNG = np.random.default_rng(0)
_LETTERS = ["a", "b", "É", "ß", "x1", "the", " ", "  ", "\n", "\u2003", "\x1c", "🙂", "!"]
DONE = "_ngrams_of_model_server"
TEXTS = ["", " ", "a", "the", "ab", *("".join(_RNG.choice(_LETTERS, _RNG.integers(1, 40))) for _ in range(200))]


@pytest.fixture
def originals(monkeypatch: pytest.MonkeyPatch) -> None:
    """scikit-learn's own methods before, and after the test."""
    kinds = {
        CountVectorizer: ("_count_vocab",),
        HashingVectorizer: ("transform",),
        _VectorizerMixin: ("_char_ngrams", "_char_wb_ngrams", "_word_ngrams"),
    }
    for kind, names in kinds.items():
        for name in names:
            method = vars(kind)[name]
            monkeypatch.setattr(kind, name, getattr(method, "__wrapped__", method))
    monkeypatch.setattr(_VectorizerMixin, DONE, True, raising=False)
    monkeypatch.delattr(_VectorizerMixin, DONE)


@pytest.mark.parametrize("stop_words", [None, ["the"]])
@pytest.mark.parametrize("ngram_range", [(1, 1), (1, 2), (1, 5), (2, 3), (3, 9)])
@pytest.mark.parametrize("analyzer", ["char", "char_wb", "word"])
@pytest.mark.parametrize("kind", [CountVectorizer, TfidfVectorizer, HashingVectorizer])
@pytest.mark.filterwarnings("ignore")
def test_the_answers_are_scikit_learns(
    originals: None,
    kind: Any,
    analyzer: str,
    ngram_range: tuple[int, int],
    stop_words: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Bit by bit, in the same order. Here, each text is long."""
    monkeypatch.setattr(ngrams, "_MANY", -1)
    vectorizer = kind(analyzer=analyzer, ngram_range=ngram_range, stop_words=stop_words).fit(TEXTS[:100])
    expected = vectorizer.transform(TEXTS)
    ngrams.install()
    found = vectorizer.transform(TEXTS)

    for name in ("indptr", "indices", "data"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


@pytest.mark.parametrize(
    ("analyzer", "length", "most"),
    [("char", 4_000, 9), ("char_wb", 4_000, 9), ("word", 4_000, 9), ("char", 60, 10**6)],
)
def test_a_long_text_takes_little_memory(originals: None, analyzer: str, length: int, most: int) -> None:
    """The list of its n-grams would take fifty times the memory of the text, or more."""
    ngrams.install()
    vectorizer = CountVectorizer(analyzer=analyzer, ngram_range=(1, most)).fit(["the cat", "a dog and a bird"])
    text = "the cat and a dog " * length
    tracemalloc.start()
    try:
        vectorizer.transform([text])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 20 * len(text)


def test_other_code_gets_a_list(originals: None) -> None:
    """A model's own code may ask an analyzer for all n-grams."""
    ngrams.install()

    assert len(CountVectorizer(ngram_range=(1, 2)).build_analyzer()("the cat " * 20_000)) == 79_999


def test_a_service_installs_it(originals: None, tmp_path: Path) -> None:
    """For models of texts that scikit-learn serves."""
    texts = pd.Series(["the cat", "a dog", "the bird", "a cat"] * 10)
    model = make_pipeline(CountVectorizer(analyzer="char", ngram_range=(1, 3)), LogisticRegression())
    save_model(model.fit(texts, [0, 1, 2, 3] * 10), texts, name="m", root=tmp_path)

    open_repository(Settings(models_dir=tmp_path, runtime="sklearn")).get("m")
    assert hasattr(_VectorizerMixin, DONE)
