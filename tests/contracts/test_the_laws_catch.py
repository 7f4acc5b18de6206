"""The suites are worth something: what breaks a law is caught by it."""

import pytest

from ctxeng.chunking import DeterministicContextualizer, StructuredChunker
from ctxeng.context.compress import SentenceCompressor
from ctxeng.generation import ExtractiveGenerator
from ctxeng.indexing import ExactIndex, TantivyIndex
from ctxeng.loading import load_bytes
from ctxeng.protocols import Delta
from ctxeng.store import open_store
from ctxeng.testing import (
    chunkers,
    compressors,
    contextualizers,
    dense_indexes,
    generators,
    lexical_indexes,
    loaders,
    retrievers,
    stores,
    token_counters,
)
from ctxeng.text.tokens import PackagedTokenCounter
from ctxeng.types import Hit, Scope, Span


class Wrapped:
    """An implementation that is right but for what a subclass changes."""

    def __init__(self, inner):
        self.inner = inner

    def __getattr__(self, name):
        return getattr(self.inner, name)


class LosesTheEnd(Wrapped):
    def chunk(self, document):
        return self.inner.chunk(document)[:-1]


class CountsFromTheStart(Wrapped):
    """Ids by position: every edit changes all that follow."""

    def chunk(self, document):
        return [
            piece.model_copy(update={"id": f"{document.id} {piece.span.start}"})
            for piece in self.inner.chunk(document)
        ]


class ChangesText(Wrapped):
    def contextualize(self, document, chunks):
        made = self.inner.contextualize(document, chunks)
        return [piece.model_copy(update={"text": piece.text.lower() + "!"}) for piece in made]


class CountsOneMore(Wrapped):
    def count(self, text):
        return self.inner.count(text) + 1


class InventsText(Wrapped):
    def load(self, data, uri):
        documents = load_bytes(data, uri)
        return [d.model_copy(update={"text": d.text + " invented"}) for d in documents]


class RaisesWhatItMeets(Wrapped):
    def load(self, data, uri):
        return [d for d in load_bytes(data, uri) if data.decode("utf-8")]


class NeverEnds(Wrapped):
    async def stream(self, messages, options=None):
        yield Delta(text="an answer without an end")


class CutsAnywhere:
    """The beginning of each segment, to the character."""

    name = "cuts anywhere"

    def compress(self, query, segments, tokens):
        kept = []
        for one in segments[: tokens // 5]:
            text = one.text[: 5 * tokens // len(segments) // 3]
            span = Span(start=one.source.span.start, end=one.source.span.start + len(text))
            changes = {
                "text": text,
                "tokens": PackagedTokenCounter().count(text),
                "source": one.source.model_copy(update={"span": span}),
                "transformation": "selected" if text != one.text else "verbatim",
            }
            kept.append(one.model_copy(update=changes))
        return kept


class LosesHeaders(Wrapped):
    def compress(self, query, segments, tokens):
        kept = self.inner.compress(query, segments, tokens)
        return [one for one in kept if "| item |" not in one.text]


class KeepsTheWholeRange(Wrapped):
    def compress(self, query, segments, tokens):
        kept = self.inner.compress(query, segments, tokens)
        whole = {one.source.uri: one.source for one in segments}
        return [one.model_copy(update={"source": whole[one.source.uri]}) for one in kept]


class KeepsAll:
    name = "keeps all"

    def compress(self, query, segments, tokens):
        return list(segments)


class LosesCalls(Wrapped):
    def compress(self, query, segments, tokens):
        kept = self.inner.compress(query, segments, tokens)
        return [one for one in kept if one.text]


class KeepsTheDeleted(Wrapped):
    def apply(self, changes, *, upto):
        self.inner.apply([one for one in changes if one.text is not None], upto=upto)


class MixesScopes(Wrapped):
    def search(self, query, limit):
        return self.inner.search(query.model_copy(update={"scope": Scope()}), limit)


class FiltersTooLate(Wrapped):
    def search(self, vector, query, limit):
        found = self.inner.search(vector, query.model_copy(update={"filter": {}}), limit)
        allowed = {match.chunk_id for match in self.inner.search(vector, query, 1_000)}
        return [match for match in found if match.chunk_id in allowed]


class LogsEverything(Wrapped):
    def put(self, scope, entries):
        self.inner.put(scope, entries)
        ids = [document.id for entry in entries for document, _ in entry.documents]
        self.inner.remove(scope, document_ids=ids)
        self.inner.put(scope, entries)


class ForgetsScope(Wrapped):
    def trace(self, scope, trace_id):
        every = (scope, stores.HERE, stores.THERE)
        found = (self.inner.trace(one, trace_id) for one in every)
        return next((run for run in found if run is not None), None)

    def document(self, scope, document_id):
        every = (scope, stores.HERE, stores.THERE, *stores_scopes())
        found = (self.inner.document(one, document_id) for one in every)
        return next((document for document in found if document is not None), None)


def stores_scopes():
    from ctxeng.testing.strategies import SCOPES

    return SCOPES


class WorstFirst:
    """Knows one document, and is not asked about scopes or limits."""

    def __init__(self, documents):
        self.hits = [
            Hit(id=str(n), text=d.text, tokens=1, score=n, document_id=d.id, end=len(d.text))
            for n, d in enumerate(documents)
        ]

    async def retrieve(self, query, limit):
        return self.hits


SAMPLES = [loaders.Sample("a.txt", "Plain words, ünd more.".encode(), "Plain words ünd more")]
CAUGHT = {
    "a sentence cut": lambda: compressors.no_sentence_row_or_definition_is_cut(
        CutsAnywhere(), PackagedTokenCounter()
    ),
    "a header lost": lambda: compressors.a_row_brings_its_header(
        LosesHeaders(SentenceCompressor()), PackagedTokenCounter()
    ),
    "a range not narrowed": lambda: compressors.what_is_kept_stands_where_its_source_says(
        KeepsTheWholeRange(SentenceCompressor()), PackagedTokenCounter()
    ),
    "over the limit": lambda: compressors.never_more_tokens_than_asked_for(
        KeepsAll(), PackagedTokenCounter()
    ),
    "something for nothing": lambda: compressors.nothing_in_nothing_out(
        KeepsAll(), PackagedTokenCounter()
    ),
    "a call lost": lambda: compressors.what_carries_calls_is_never_lost(
        LosesCalls(SentenceCompressor()), PackagedTokenCounter()
    ),
    "a chunk lost": lambda: chunkers.chunks_tile_the_document(LosesTheEnd(StructuredChunker())),
    "ids by position": lambda: chunkers.an_edit_changes_only_the_ids_near_it(
        CountsFromTheStart(StructuredChunker())
    ),
    "text changed": lambda: contextualizers.only_the_prefix_changes(
        ChangesText(DeterministicContextualizer())
    ),
    "nothing counted as one": lambda: token_counters.nothing_is_no_tokens(
        CountsOneMore(PackagedTokenCounter())
    ),
    "another tokenizer": lambda: token_counters.counts_as(PackagedTokenCounter(), str.split),
    "text invented": lambda: loaders.all_of_the_text_is_there_and_none_is_invented(
        InventsText(None), SAMPLES
    ),
    "no end of a reply": lambda: generators.the_last_delta_and_only_it_ends_the_reply(
        NeverEnds(ExtractiveGenerator(lambda term: 1.0))
    ),
    "deleted kept": lambda: lexical_indexes.what_is_deleted_is_never_returned(
        lambda: KeepsTheDeleted(TantivyIndex(None))
    ),
    "scopes mixed": lambda: lexical_indexes.no_search_crosses_its_scope(
        lambda: MixesScopes(TantivyIndex(None))
    ),
    "filtered after the limit": lambda: dense_indexes.filters_come_before_the_limit(
        lambda store, model: FiltersTooLate(ExactIndex(store, model))
    ),
    "changes without a change": lambda: stores.what_is_unchanged_makes_no_change(
        lambda: LogsEverything(open_store(None))
    ),
    "another scope's document": lambda: stores.no_read_or_write_crosses_its_scope(
        lambda: ForgetsScope(open_store(None))
    ),
    "another scope's run": lambda: stores.runs_cross_no_scope(
        lambda: ForgetsScope(open_store(None))
    ),
    "worst first": lambda: retrievers.hits_come_best_first_and_at_most_the_limit(WorstFirst),
    "another scope's hits": lambda: retrievers.no_search_crosses_its_scope(WorstFirst),
}


@pytest.mark.parametrize("name", CAUGHT)
def test_what_breaks_a_law_is_caught(name):
    with pytest.raises(AssertionError):
        CAUGHT[name]()


def test_an_error_of_another_kind_is_caught():
    with pytest.raises(UnicodeDecodeError):
        loaders.broken_input_is_a_load_error_with_the_uri(RaisesWhatItMeets(None), SAMPLES)


def test_the_example_of_the_package_is_all_it_takes():
    import ctxeng.testing

    code = [line[4:] for line in ctxeng.testing.__doc__.splitlines() if line.startswith("    ")]
    space = {"MyChunker": StructuredChunker}
    exec("\n".join(code), space)
    for law in chunkers.CHUNKER_LAWS:
        if "edit" not in law.__name__:
            space["test_my_chunker"](law)
