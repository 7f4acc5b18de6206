"""Builds the prompt of a question: instructions, numbered sources, the question."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from ctxeng.context import render
from ctxeng.context.select import Piece, Selection, SourceText, source_of
from ctxeng.errors import BudgetError
from ctxeng.protocols import TokenCounter
from ctxeng.text.overlap import Idf
from ctxeng.types import Context, Dropped, Hit, Role, Segment, Span

Run = list[Piece]
"""Pieces of one document that touch: one numbered source."""


class Assembler:
    """Builds a Context. Deterministic: same query, hits and budget, same bytes."""

    def __init__(self, counter: TokenCounter, texts: SourceText, idf: Idf) -> None:
        self._counter = counter
        self._texts = texts
        self._idf = idf

    def assemble(self, query: str, hits: Sequence[Hit], budget: int) -> Context:
        """The prompt for ``query`` from ``hits`` (best first) in at most ``budget`` tokens.

        Raises:
            BudgetError: instructions and question alone do not fit.
        """
        marker = render.boundary(query, [hit.text for hit in hits])
        fixed = self._counter.count("".join(s.text for s in self._frame(query, marker)))
        if fixed > budget:
            raise BudgetError(
                f"a budget of {budget} tokens cannot hold the instructions and the question "
                f"({fixed} tokens): raise the budget or shorten the question."
            )
        selection = Selection(
            query,
            budget - fixed,
            counter=self._counter,
            texts=self._texts,
            idf=self._idf,
            header=lambda hit: render.source_header(marker, 99, hit),
        )
        pieces = selection.fill(hits)
        context = self._build(query, marker, pieces, selection.dropped, budget)
        while context.tokens > budget:
            # Joined text may have a few tokens more than its parts: give the weakest piece back.
            weakest = min(pieces, key=lambda piece: (piece.worth, piece.hit.id, piece.span.start))
            pieces.remove(weakest)
            selection.drop(weakest.hit, weakest.score, "over budget")
            context = self._build(query, marker, pieces, selection.dropped, budget)
        return context

    def _build(
        self,
        query: str,
        marker: str,
        pieces: Sequence[Piece],
        dropped: Sequence[Dropped],
        budget: int,
    ) -> Context:
        instructions, end, question = self._frame(query, marker)
        segments = [instructions]
        for number, run in enumerate(_best_at_the_edges(_runs(pieces)), start=1):
            segments += self._source(marker, number, run)
        segments += [end, question]
        return Context(
            query=query,
            segments=tuple(segments),
            dropped=tuple(sorted(dropped, key=lambda row: -row.score)),
            tokens=self._counter.count("".join(segment.text for segment in segments)),
            budget=budget,
            tokenizer=self._counter.name,
        )

    def _frame(self, query: str, marker: str) -> tuple[Segment, Segment, Segment]:
        question = Segment(
            text=query,
            section="question",
            role="user",
            tokens=self._counter.count(query),
            trust="user",
            reason="the question",
        )
        end = render.sources_end(marker) + render.QUESTION
        return (
            self._template(render.INSTRUCTIONS, "instructions", "system", "always there"),
            self._template(end, "question", "user", "ends the sources"),
            question,
        )

    def _template(self, text: str, section: str, role: Role, reason: str) -> Segment:
        return Segment(
            text=text,
            section=section,
            role=role,
            tokens=self._counter.count(text),
            trust="system",
            reason=reason,
            transformation="template",
        )

    def _source(self, marker: str, number: int, run: Run) -> list[Segment]:
        first, last = run[0], run[-1]
        best = max(run, key=lambda piece: piece.worth)
        span = Span(start=first.span.start, end=last.span.end)
        text = first.text if len(run) == 1 else self._texts.slice(first.hit.document_id, span)
        header = render.source_header(marker, number, first.hit)
        return [
            self._template(header, "sources", "user", f"opens source {number}"),
            Segment(
                text=text,
                section="sources",
                role="user",
                tokens=self._counter.count(text),
                trust=first.hit.trust,
                reason="; ".join(dict.fromkeys(piece.reason for piece in run)),
                source=source_of(first.hit, span),
                number=number,
                scores={**best.hit.stages, "fused": best.score, "worth": best.worth},
                chunk_ids=tuple(dict.fromkeys(piece.hit.id for piece in run)),
            ),
        ]


def _runs(pieces: Sequence[Piece]) -> list[Run]:
    """Chunks that follow each other within one part become one run; a cut piece stays alone."""
    by_document: dict[str, Run] = defaultdict(list)
    for piece in pieces:
        by_document[piece.hit.document_id].append(piece)
    runs: list[Run] = []
    for document in by_document.values():
        previous: Piece | None = None
        for piece in sorted(document, key=lambda piece: piece.span.start):
            if previous is None or not _continues(previous, piece):
                runs.append([])
            runs[-1].append(piece)
            previous = piece
    return runs


def _continues(previous: Piece, piece: Piece) -> bool:
    return (
        previous.hit.position + 1 == piece.hit.position
        and previous.hit.part == piece.hit.part
        and previous.span.end == previous.hit.end
        and piece.span.start == piece.hit.start
    )


def _best_at_the_edges(runs: Sequence[Run]) -> list[Run]:
    """Best first, second best last, the weakest in the middle.

    Source: models read the middle of a prompt least (Liu et al. 2023, arXiv:2307.03172).
    """
    ranked = sorted(
        runs, key=lambda run: (-max(p.worth for p in run), run[0].hit.id, run[0].span.start)
    )
    return ranked[::2] + ranked[1::2][::-1]
