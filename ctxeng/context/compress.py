"""Makes a prompt shorter by leaving out whole sentences, rows and definitions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain

from ctxeng.context.pieces import OVER_BUDGET, Piece, is_ours, left_out, put_together, take_apart
from ctxeng.context.relevant import MarginalQueue, relevance, said
from ctxeng.errors import BudgetError, ConfigError
from ctxeng.protocols import Embedder, TokenCounter
from ctxeng.text.overlap import Idf
from ctxeng.text.tokens import PackagedTokenCounter
from ctxeng.trace import stage
from ctxeng.types import Dropped, Segment, Usage

TOO_LARGE = "alone larger than the room"


@dataclass(frozen=True, slots=True)
class Compression:
    """What was kept of some segments, and what was left out."""

    segments: list[Segment]
    dropped: list[Dropped]
    """Stretches that were left out, in the order of the text, each with the reason."""
    tokens_before: int
    tokens: int
    """Of the kept texts, joined."""
    usage: Usage = field(default_factory=Usage)
    """Of a model that summarised."""


class SentenceCompressor:
    """Keeps the sentences, table rows and definitions that say most about a query; fits
    ``Compressor``.

    What a sentence is worth is the share of the query's terms in it, weighted by rarity, with half
    of its better neighbour's, halved again by how the segment ranks; less a tenth of how much a
    kept sentence says the same. A sentence that was kept already is left out, and so is a part
    that is too large for all the room. A row brings the header of its table. What is ours (of
    trust ``system``, or a template) is never cut and comes first.

    Each stretch that is kept is a segment of its own with the text and span that it has in the
    source; of transformation ``selected`` where its segment was cut.

    Source: maximal marginal relevance, Carbonell & Goldstein 1998 (SIGIR '98, "The use of MMR,
    diversity-based reranking for reordering documents and producing summaries"), over extracted
    sentences as in RECOMP (Xu et al. 2023, arXiv:2310.04408). docs/decisions/compression.md has
    figures.
    """

    def __init__(
        self,
        counter: TokenCounter | None = None,
        *,
        ratio: float = 1.0,
        idf: Idf | None = None,
        embedder: Embedder | None = None,
    ) -> None:
        """Set up; no file is read.

        Args:
            counter: of the model that will read the text; None: the packaged one.
            ratio: of the segments' tokens, at most this share is kept, in (0, 1].
            idf: how rare a term is; None: among the sentences that are compressed.
            embedder: half of the worth is then the cosine with the query.

        Raises:
            ConfigError: the ratio is not in (0, 1].
        """
        if not 0 < ratio <= 1:
            raise ConfigError(f"a ratio of {ratio}: it must lie above 0 and be at most 1.")
        self._counter = counter or PackagedTokenCounter()
        self._ratio = ratio
        self._idf = idf
        self._embedder = embedder

    @property
    def name(self) -> str:
        kept = "" if self._ratio == 1 else f", at most {self._ratio:.0%}"
        return f"sentences{kept}" + (f", {self._embedder.name}" if self._embedder else "")

    def compress(self, query: str, segments: Sequence[Segment], tokens: int) -> list[Segment]:
        """At most ``tokens`` tokens of the segments, in their order.

        Raises:
            BudgetError: ``tokens`` is negative.
        """
        return self.report(query, segments, tokens).segments

    def report(self, query: str, segments: Sequence[Segment], tokens: int) -> Compression:
        """As ``compress``, with what was left out and why.

        Raises:
            BudgetError: ``tokens`` is negative.
        """
        if tokens < 0:
            raise BudgetError(
                f"{tokens} tokens: the room for a compressed text cannot be negative."
            )
        with stage("compress") as facts:
            before = sum(self._counter.count(segment.text) for segment in segments)
            room = tokens if self._ratio == 1 else min(tokens, int(before * self._ratio))
            work = _Work(segments, room, self._counter, self.name)
            kept = work.fill(query, self._idf, self._embedder)
            after = self._counter.count("".join(segment.text for segment in kept))
            facts["compressor"], facts["before"], facts["after"] = self.name, before, after
        return Compression(kept, work.dropped(), before, after)


def check_room(tokens: int) -> None:
    """Raises:
    BudgetError: it is negative.
    """
    if tokens < 0:
        raise BudgetError(f"{tokens} tokens to compress to: it must be 0 or more.")


class _Work:
    """One compression."""

    def __init__(
        self, segments: Sequence[Segment], room: int, counter: TokenCounter, rule: str
    ) -> None:
        self._segments = segments
        self._room = room
        self._counter = counter
        self._rule = rule
        self._pieces = [take_apart(segment, counter, room) for segment in segments]
        self._said: dict[str, Segment] = {}
        self._least = room + 1
        """Tokens; less room than this is of no use."""
        for piece in chain.from_iterable(self._pieces):
            needed = piece.tokens + (piece.head.tokens if piece.head else 0)
            if needed > room:
                piece.why_out = TOO_LARGE
            elif not piece.is_head:
                self._least = min(self._least, max(1, piece.tokens))

    def fill(self, query: str, idf: Idf | None, embedder: Embedder | None) -> list[Segment]:
        """Keep what is ours, then the best of the rest, as long as there is room."""
        ours = [piece for group in self._groups(ours=True) for piece in group]
        candidates = chain(ours, self._ranked(query, idf, embedder))
        spare = self._room
        while spare >= self._least:
            # Parts add up to a few tokens more than the whole: what waits may have room yet.
            waiting, grew = self._take(candidates, spare)
            candidates = chain(waiting, candidates)
            spare = self._room - self._spent() if grew else 0
        while (excess := self._spent() - self._room) > 0:
            self._give_back(excess)
        return self.kept()

    def kept(self) -> list[Segment]:
        return [
            made
            for segment, pieces in zip(self._segments, self._pieces, strict=True)
            for made in put_together(segment, pieces, self._counter, self._rule)
        ]

    def dropped(self) -> list[Dropped]:
        return [
            row
            for segment, pieces in zip(self._segments, self._pieces, strict=True)
            for row in left_out(segment, pieces, self._counter)
        ]

    def _groups(self, *, ours: bool) -> list[list[Piece]]:
        """The pieces of each segment that may be chosen."""
        return [
            [piece for piece in pieces if not piece.is_head]
            for segment, pieces in zip(self._segments, self._pieces, strict=True)
            if is_ours(segment) == ours
        ]

    def _ranked(self, query: str, idf: Idf | None, embedder: Embedder | None) -> Iterator[Piece]:
        """The pieces of what is not ours, best first, given what was kept before."""
        groups = self._groups(ours=False)
        texts = [[piece.whole_text for piece in group] for group in groups]
        shares = relevance(query, texts, idf=idf, embedder=embedder)
        ranks = _ranks([segment for segment in self._segments if not is_ours(segment)])
        for group, own, rank in zip(groups, shares, ranks, strict=True):
            for piece, share in zip(group, own, strict=True):
                piece.worth = rank * (1 + share) / 2
        pieces = [piece for group in groups for piece in group]
        queue = MarginalQueue(
            [piece.worth for piece in pieces], said([piece.text for piece in pieces], idf)
        )
        while (item := queue.pop()) is not None:
            yield pieces[item]
            if pieces[item].kept:
                queue.keep(item)

    def _take(self, candidates: Iterator[Piece], room: int) -> tuple[list[Piece], bool]:
        """Keep those that fit; the others, and whether any was kept."""
        waiting: list[Piece] = []
        grew = False
        while room >= self._least and (piece := next(candidates, None)) is not None:
            twin = self._said.get(piece.key)
            needs_head = piece.head is not None and not piece.head.kept
            cost = piece.tokens + (piece.head.tokens if piece.head and needs_head else 0)
            if twin is not None:
                piece.why_out = f"says what {_place(twin)} says"
            elif cost > room:
                waiting.append(piece)
            else:
                piece.kept = grew = True
                room -= cost
                if piece.head is not None:
                    piece.head.kept = True
                if piece.key:
                    self._said[piece.key] = piece.segment
        return waiting, grew

    def _spent(self) -> int:
        """Tokens of what is kept: added up or joined, whichever is more."""
        kept = self.kept()
        joined = self._counter.count("".join(segment.text for segment in kept))
        return max(joined, sum(self._counter.count(segment.text) for segment in kept))

    def _give_back(self, excess: int) -> None:
        """Leave out the weakest until about so many tokens are gone; ours last."""
        kept = [piece for pieces in self._pieces for piece in pieces if piece.kept]
        free = [piece for piece in kept if not piece.is_head]
        for piece in sorted(free, key=lambda piece: (is_ours(piece.segment), piece.worth)):
            if excess <= 0:
                break
            piece.kept, piece.why_out = False, OVER_BUDGET
            excess -= piece.tokens
        heads = {id(piece.head) for piece in free if piece.kept and piece.head}
        for piece in kept:
            piece.kept = piece.kept and (not piece.is_head or id(piece) in heads)


def _ranks(segments: Sequence[Segment]) -> list[float]:
    """The score of each as a share of the best one's; 1 where one has no score."""
    scores = [one.scores.get("worth", one.scores.get("fused", 0.0)) for one in segments]
    best = max(scores, default=0.0)
    return [score / best for score in scores] if min(scores, default=0) > 0 else [1.0] * len(scores)


def _place(segment: Segment) -> str:
    return segment.source.location if segment.source else f"another of {segment.section}"
