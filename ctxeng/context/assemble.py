"""Builds the prompt of a question: instructions, numbered sources, the question."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from ctxeng.context import render
from ctxeng.context.candidates import Candidate
from ctxeng.context.plan import ContextPlan, rag
from ctxeng.context.select import Piece, Selection, SourceText, source_of
from ctxeng.context.trust import DEFAULT_POLICY, TrustPolicy
from ctxeng.errors import BudgetError
from ctxeng.protocols import TokenCounter
from ctxeng.text.overlap import Idf
from ctxeng.types import Context, Hit, Span

Run = list[Piece]
"""Pieces of one document that touch: one numbered source."""

INSTRUCTIONS = Candidate(text=render.INSTRUCTIONS, transformation="template", reason="always there")


class Assembler:
    """Builds the Context of a question by the plan ``rag``: chooses sentences of the hits, and
    hands the plan what touches as one source. Deterministic: same query, hits and budget, same
    bytes.
    """

    def __init__(
        self,
        counter: TokenCounter,
        texts: SourceText,
        idf: Idf,
        policy: TrustPolicy = DEFAULT_POLICY,
        reminder: str = "",
    ) -> None:
        """``reminder``: what stands after the question; empty: nothing does."""
        self._counter = counter
        self._texts = texts
        self._idf = idf
        self._policy = policy
        self.reminder = [Candidate(text=reminder, transformation="template")] if reminder else []

    def assemble(self, query: str, hits: Sequence[Hit], budget: int) -> Context:
        """The prompt for ``query`` from ``hits`` (best first) in at most ``budget`` tokens.

        Raises:
            BudgetError: instructions and question alone do not fit.
        """
        marker = render.boundary(query, [hit.text for hit in hits])
        frame = [render.INSTRUCTIONS, render.block_end(marker), render.QUESTION, query]
        frame += [f"\n{one.text}" for one in self.reminder]
        fixed = self._counter.count("".join(frame))
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
        runs = _runs(selection.fill(self._let_in(hits, selection)))
        plan = rag(budget).with_section("sources", floor=0.0)  # the selection had one of its own
        plan = ContextPlan(**{**dict(plan), "policy": self._policy})
        context = plan.build(
            {
                "instructions": INSTRUCTIONS,
                "sources": [self._source(run) for run in runs],
                "question": Candidate(text=query, reason="the question"),
                "reminder": self.reminder,
            },
            counter=self._counter,
            query=query,
            chat_overhead=0,  # the budget is the text's; backends that know their window say so
        )
        dropped = sorted([*selection.dropped, *context.dropped], key=lambda row: -row.score)
        return Context(**{**dict(context), "dropped": tuple(dropped)})

    def _let_in(self, hits: Sequence[Hit], selection: Selection) -> list[Hit]:
        """Those that the policy lets in: the others are to take no room of theirs."""
        let_in: list[Hit] = []
        for hit in hits:
            if why := self._policy.refusal("sources", "user", hit.trust):
                selection.drop(hit, hit.score, why)
            else:
                let_in.append(hit)
        return let_in

    def _source(self, run: Run) -> Candidate:
        first, last = run[0], run[-1]
        best = max(run, key=lambda piece: piece.worth)
        span = Span(start=first.span.start, end=last.span.end)
        text = first.text if len(run) == 1 else self._texts.slice(first.hit.document_id, span)
        return Candidate(
            text=text,
            score=best.worth,
            trust=first.hit.trust,
            label=render.source_label(first.hit),
            source=source_of(first.hit, span),
            reason="; ".join(dict.fromkeys(piece.reason for piece in run)),
            scores={**best.hit.stages, "fused": best.score, "worth": best.worth},
            chunk_ids=tuple(dict.fromkeys(piece.hit.id for piece in run)),
        )


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
