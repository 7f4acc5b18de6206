"""The laws of ``Loader``, one function each, for any implementation, over samples of yours.

@pytest.mark.parametrize("law", LOADER_LAWS, ids=lambda law: law.__name__)
def test_my_loader(law):
    law(MyLoader(), [Sample("a.xyz", data, "all words that stand in it")])
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import regex

from ctxeng.errors import LoadError
from ctxeng.protocols import Loader
from ctxeng.types import Document

_WORD = regex.compile(r"[\p{L}\p{M}\p{N}]+")


@dataclass(frozen=True, slots=True)
class Sample:
    """The bytes of a source, and the text that a person would read in it."""

    uri: str
    data: bytes
    text: str


def same_bytes_and_uri_same_id_and_hash(loader: Loader, samples: Sequence[Sample]) -> None:
    for sample in samples:
        first, second = (list(loader.load(sample.data, sample.uri)) for _ in range(2))
        assert first == second
        assert [d.content_hash for d in first] == [d.content_hash for d in second]
        ids = [document.id for document in first]
        assert len(set(ids)) == len(ids)


def another_uri_another_id(loader: Loader, samples: Sequence[Sample]) -> None:
    for sample in samples:
        here = {document.id for document in loader.load(sample.data, f"here/{sample.uri}")}
        there = {document.id for document in loader.load(sample.data, f"there/{sample.uri}")}
        assert not here & there


def documents_say_where_they_come_from(loader: Loader, samples: Sequence[Sample]) -> None:
    """By their uri; and they are data, whatever they say of themselves: of a file that somebody
    chose, or of a page that was fetched.
    """
    for sample in samples:
        for document in loader.load(sample.data, sample.uri):
            assert document.uri.startswith(sample.uri)
            assert document.trust in ("document", "web")


def all_of_the_text_is_there_and_none_is_invented(
    loader: Loader, samples: Sequence[Sample]
) -> None:
    for sample in samples:
        loaded = _words(" ".join(d.text for d in loader.load(sample.data, sample.uri)))
        assert loaded == _words(sample.text), sample.uri


def broken_input_is_a_load_error_with_the_uri(loader: Loader, samples: Sequence[Sample]) -> None:
    """Cut off and overwritten samples are read, or refused in the one way; nothing else."""
    from hypothesis import given, settings
    from hypothesis import strategies as st

    @settings(deadline=None, max_examples=20 * len(samples))
    @given(
        sample=st.sampled_from(samples), at=st.floats(0, 1), end=st.floats(0, 1), junk=st.binary()
    )
    def law(sample: Sample, at: float, end: float, junk: bytes) -> None:
        start, stop = (int(share * len(sample.data)) for share in (at, end))
        data = sample.data[:start] + junk + sample.data[start + len(junk) : stop]
        try:
            documents = list(loader.load(data, sample.uri))
        except LoadError as error:
            assert error.uri.startswith(sample.uri)
            assert error.why
        else:
            assert documents
            assert all(isinstance(document, Document) for document in documents)

    law()


def nothing_is_refused_with_the_uri(loader: Loader, samples: Sequence[Sample]) -> None:
    import pytest

    for sample in samples:
        for data in (b"", b" \r\n\t"):
            with pytest.raises(LoadError) as refused:
                list(loader.load(data, sample.uri))
            assert refused.value.uri == sample.uri


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.casefold()))


LOADER_LAWS: Sequence[Callable[[Loader, Sequence[Sample]], None]] = (
    same_bytes_and_uri_same_id_and_hash,
    another_uri_another_id,
    documents_say_where_they_come_from,
    all_of_the_text_is_there_and_none_is_invented,
    broken_input_is_a_load_error_with_the_uri,
    nothing_is_refused_with_the_uri,
)
