"""
Has scikit-learn's text vectorizers make the n-grams of a long text one at a time.

They make a list of all n-grams of a text first: a text of 15 MB with n-grams of one to five letters would take 4 GB.
The n-grams are the same, in the same order. If a release lacks the code that is replaced, nothing is replaced.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

_WORD = re.compile(r"\S+")
_MANY = 50_000
"""A text with more n-grams is long."""

_DONE = "_ngrams_of_model_server"


def install() -> None:
    """Replace the code in this process, once."""
    try:
        from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, _VectorizerMixin

        lists = {name: getattr(_VectorizerMixin, name) for name in _LAZY}
        count, hashed = CountVectorizer._count_vocab, HashingVectorizer.transform  # noqa: SLF001
    except (ImportError, AttributeError):
        return
    if hasattr(_VectorizerMixin, _DONE):
        return
    asking: list[object] = []
    for name, lazy in _LAZY.items():
        setattr(_VectorizerMixin, name, _in_turn(lists[name], lazy, asking))
    CountVectorizer._count_vocab = _noted(count, asking)  # noqa: SLF001
    HashingVectorizer.transform = _noted(hashed, asking)
    setattr(_VectorizerMixin, _DONE, True)


def _noted(method: Callable[..., Any], asking: list[object]) -> Callable[..., Any]:
    """A method that reads each n-gram once. While it runs, its vectorizer is noted."""

    @wraps(method)
    def noted(self: Any, *args: Any, **options: Any) -> Any:
        asking.append(self)
        try:
            return method(self, *args, **options)
        finally:
            asking.pop()

    return noted


def _in_turn(method: Callable[..., Any], lazy: Callable[..., Any], asking: list[object]) -> Callable[..., Any]:
    """
    The n-grams of a long text, one at a time, for a vectorizer of scikit-learn that is noted.

    Other code gets the list, as it may use it in other ways. A short text does, too: a list is faster.
    """

    @wraps(method)
    def ngrams(self: Any, text: Any, *stop_words: Any) -> Any:
        plain = type(self).__module__ == "sklearn.feature_extraction.text" and self.ngram_range[1] > 1
        one_by_one = plain and asking and asking[-1] is self and _count(self, text) > _MANY
        return (lazy if one_by_one else method)(self, text, *stop_words)

    return ngrams


def _count(self: Any, text: Any) -> int:
    """About the number of n-grams of a text, which is a string or a list of words."""
    least, most = self.ngram_range
    return len(text) * int(min(most, len(text)) - least + 1)


def _of_letters(self: Any, text_document: str) -> Iterator[str]:
    text = self._white_spaces.sub(" ", text_document)
    least, most = self.ngram_range
    for length in range(least, min(most + 1, len(text) + 1)):
        for at in range(len(text) - length + 1):
            yield text[at : at + length]


def _of_letters_in_words(self: Any, text_document: str) -> Iterator[str]:
    least, most = self.ngram_range
    for found in _WORD.finditer(self._white_spaces.sub(" ", text_document)):
        word = f" {found[0]} "
        for length in range(least, most + 1):
            yield word[:length]
            for at in range(1, len(word) - length + 1):
                yield word[at : at + length]
            if length >= len(word):  # a short word counts once
                break


def _of_words(self: Any, tokens: list[str], stop_words: Any = None) -> Iterator[str]:
    if stop_words is not None:
        tokens = [each for each in tokens if each not in stop_words]
    least, most = self.ngram_range
    for length in range(least, min(most + 1, len(tokens) + 1)):
        for at in range(len(tokens) - length + 1):
            yield " ".join(tokens[at : at + length])


_LAZY: dict[str, Callable[..., Iterator[str]]] = {
    "_char_ngrams": _of_letters,
    "_char_wb_ngrams": _of_letters_in_words,
    "_word_ngrams": _of_words,
}
"""The replacements of the vectorizers' methods."""
