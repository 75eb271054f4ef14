"""RecommendationService: serialised requests in, serialised responses out."""

from __future__ import annotations

import itertools
import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from itertools import dropwhile

import numpy as np
from numpy.typing import NDArray

from nextclick.convert import context_from_proto
from nextclick.limits import EXPLAINED_ITEMS, SCORED_ITEMS
from nextclick.v1 import recommendation_service_pb2 as pb
from online_models.engine import By, Filter, Past, Ranked
from online_models.metrics import log_odds
from records.scored_ranking import scored_name
from server import metrics
from server.deferred import Deferred
from server.errors import not_found
from server.kafka.impressions import Impressions
from server.replica.redis_view import UNREAD, Question, RedisView, Stored
from server.replica.replica import Replica
from server.services import recommendation_checks as validation
from server.services.degraded import degraded_reasons
from server.services.filters import filter_of
from server.services.impression_recorder import ImpressionRecorder, Shown
from server.services.replies import (
    RANK_ITEMS,
    RECOMMEND_ITEMS,
    SIMILAR_ITEMS,
    TRENDING_ITEMS,
    Parts,
    response_field,
)
from server.services.requests import parsed
from server.services.visitor import (
    Rows,
    UnreadVisitorError,
    Visitor,
    n_stored,
    past_of,
    resolve_visitor,
)
from server.stages import UNTIMED, Stages, Untimed, clock_ns

log = logging.getLogger("nextclick.answers")

PARSE = "parse"
"""The first stage of an answer."""

NEIGHBOURS = {
    pb.SIMILARITY_UNSPECIFIED: By.BEHAVIOUR,
    pb.SIMILARITY_BEHAVIOUR: By.BEHAVIOUR,
    pb.SIMILARITY_CONTENT: By.CONTENT,
    pb.SIMILARITY_MIX: By.MIX,
}


class Recommendations:
    """Answers the calls; each takes a serialised request and returns a serialised response.

    Answers take turns: each holds the replica's lock. `send_impressions` sends the impressions to
    Kafka; the server calls it after a reply has been sent. Unless it ``repeats``, no answer to a
    visitor has what the visitor has already turned to in the session.
    """

    def __init__(
        self,
        replica: Replica,
        redis_view: RedisView,
        impressions: Impressions,
        shadow_sample: int = 0,
        clock: Callable[[], float] = time.time,
        *,
        repeats: bool = True,
    ) -> None:
        self._replica = replica
        self._engine = replica.engine
        self._redis = redis_view
        self._clock = clock
        self._repeats = repeats
        self._recorder = ImpressionRecorder(replica, impressions, shadow_sample)
        fields = {RECOMMEND_ITEMS, RANK_ITEMS, SIMILAR_ITEMS, TRENDING_ITEMS}
        self._parts = {field: Parts(self._engine, field) for field in fields}
        # Unique without a system call: a prefix for this process, then a counter.
        self._prefix = os.urandom(6).hex()
        self._count = itertools.count(1)
        self._verbose = log.isEnabledFor(logging.DEBUG)

    def recommend(self, raw: bytes, stages: Untimed = UNTIMED) -> bytes | Deferred[bytes]:
        """Answer a RecommendRequest."""
        began_ns = clock_ns()
        stages.enter(PARSE)
        request = parsed(pb.RecommendRequest, raw)
        validation.check_recommend(request)
        stages = _timed(request, stages, began_ns)
        try:
            return self._recommend(request, stages, self._unasked())
        except UnreadVisitorError as unread:
            answer = partial(self._recommend, request, stages)
            return self._deferred(unread.question, answer, stages)

    def batch_recommend(self, raw: bytes) -> bytes:
        """Answer a BatchRecommendRequest; clicks may be learned between two of the answers.

        Visitors that Redis may know more of are answered last, after one read for all of them.
        """
        requests = validation.parsed_batch(raw)
        replies = [b""] * len(requests)
        unread: dict[int, Question] = {}
        for i, request in enumerate(requests):
            try:
                replies[i] = self._recommend(request, _timed(request), self._unasked())
            except UnreadVisitorError as e:
                unread[i] = e.question
            self.send_impressions()
        for i, stored in zip(unread, self._redis.read(list(unread.values())), strict=True):
            replies[i] = self._recommend(requests[i], _timed(requests[i]), stored)
            self.send_impressions()
        return b"".join(map(response_field, replies))

    def stream_recommend(self, raw: bytes) -> bytes:
        """Answer a StreamRecommendRequest."""
        request = parsed(pb.StreamRecommendRequest, raw).request
        validation.check_recommend(request)
        stages = _timed(request)
        try:
            reply = self._recommend(request, stages, self._unasked())
        except UnreadVisitorError as unread:
            stages.enter("redis")
            [stored] = self._redis.read([unread.question])
            reply = self._recommend(request, stages, stored)
        self.send_impressions()
        return response_field(reply)

    def rehearse(self, session_ids: Iterable[str]) -> None:
        """Compute answers for nobody, so that the first real ones find everything in caches."""
        for session_id in session_ids:
            request = pb.RecommendRequest(session_id=session_id)
            self._recommend(request, UNTIMED, Stored(), recorded=False)

    def _unasked(self) -> Stored | None:
        """Return what is known of a visitor before Redis is asked, or if it cannot be."""
        return None if self._redis.up else UNREAD

    def _deferred(
        self, question: Question, answer: Callable[[Stored], bytes], stages: Untimed = UNTIMED
    ) -> Deferred[bytes]:
        """Return an answer that reads Redis first, if its turn comes within the timeout."""
        deadline = time.monotonic() + self._redis.timeout_s

        def wait() -> bytes:
            stages.enter("redis")
            in_time = time.monotonic() < deadline
            return answer(self._redis.read([question])[0] if in_time else UNREAD)

        return Deferred(wait, partial(answer, UNREAD))

    def _recommend(
        self,
        request: pb.RecommendRequest,
        stages: Untimed,
        stored: Stored | None,
        recorded: bool = True,
    ) -> bytes:
        tail = list(request.session_items)
        stages.enter("lock")
        with self._replica.answering():
            stages.enter("session")
            visitor = self._visitor(request, stored)
            rows, appended = self._query(visitor, tail)
            flt, past = self._filter(request, visitor, rows), past_of(self._engine, visitor)
            ranked = self._engine.recommend(
                rows,
                validation.page(request.page_size),
                visitor.number,
                flt,
                visitor.times_s,
                None if stages is UNTIMED else stages.enter,
                visitor.context.counted,
                past,
            )
            stages.enter("reply")
            asked = self._engine.asked
            response = pb.RecommendResponse(
                recommendation_id=self._new_id(),
                session_version=visitor.applied.version,
                model_version=self._engine.clicks,
                model_lag_ms=min(self._replica.lag_ms, 2**32 - 1),
                degraded=self._degraded(stored),
                source=_source(ranked, rows),
            )
            if request.explain:
                self._explain(response, ranked, rows, visitor.number, past)
                items = b""
            else:
                items = self._parts[RECOMMEND_ITEMS].items(ranked.rows, ranked.scores)
            if recorded and self._recorder.due():
                self._recorder.note(
                    Shown(
                        response,
                        ranked,
                        visitor.session_id,
                        visitor.applied.incarnation,
                        request.user_id,
                        appended,
                        time.time_ns() // 1_000_000,
                        self._engine.ranking,
                        asked,
                        stages,
                    )
                )
        if self._verbose and recorded:
            log.debug(
                "answered with %d items",
                len(ranked.rows),
                extra={
                    "request": response.recommendation_id,
                    "session": visitor.session_id,
                    "trace": stages.trace_id,
                },
            )
        if stages.facts is not None:
            degraded = map(pb.DegradedReason.Name, response.degraded)
            stages.facts |= {
                "nextclick.recommendation_id": response.recommendation_id,
                "nextclick.session_items": len(rows),
                "nextclick.items": len(ranked.rows),
                "nextclick.degraded": " ".join(degraded),
            }
        if request.explain:
            _add_timings(response, stages)
        return response.SerializeToString() + items

    def rank(self, raw: bytes) -> bytes | Deferred[bytes]:
        """Answer a RankRequest."""
        request = parsed(pb.RankRequest, raw)
        validation.check_rank(request)
        try:
            return self._rank(request, self._unasked())
        except UnreadVisitorError as unread:
            return self._deferred(unread.question, partial(self._rank, request))

    def _rank(self, request: pb.RankRequest, stored: Stored | None) -> bytes:
        with self._replica.answering():
            visitor = self._visitor(request, stored)
            query, _ = self._query(visitor, list(request.session_items))
            rows = self._engine.rows_of(request.item_ids)
            past = past_of(self._engine, visitor)
            scores = self._engine.rank(query, rows, visitor.number, past)
            response = pb.RankResponse(
                recommendation_id=self._new_id(),
                session_version=visitor.applied.version,
                model_version=self._engine.clicks,
                degraded=self._degraded(stored),
            )
        for place in np.argsort(-scores, kind="stable").tolist():
            response.items.add(item_id=request.item_ids[place], score=scores[place])
        return response.SerializeToString()

    def similar_items(self, raw: bytes) -> bytes:
        """Answer a SimilarItemsRequest."""
        request = parsed(pb.SimilarItemsRequest, raw)
        validation.check_similar(request)
        with self._replica.answering():
            row = self._engine.row(request.item_id)
            if row == 0:
                raise not_found(
                    f"item_id: {request.item_id!r} is known neither to the catalogue nor to the "
                    "models; add it to the catalogue or send a click on it"
                )
            flt = self._filter(request, Visitor(), ())
            size = validation.page(request.page_size)
            ranked = self._engine.similar(row, size, flt, NEIGHBOURS[request.by])
            items = self._parts[SIMILAR_ITEMS].items(ranked.rows, ranked.scores)
            response = pb.SimilarItemsResponse(model_version=self._engine.clicks)
        return response.SerializeToString() + items

    def trending(self, raw: bytes) -> bytes:
        """Answer a TrendingRequest."""
        request = parsed(pb.TrendingRequest, raw)
        validation.check_trending(request)
        with self._replica.answering():
            flt = self._filter(request, Visitor(), ())
            ranked = self._engine.trending(validation.page(request.page_size), flt)
            items = self._parts[TRENDING_ITEMS].items(ranked.rows, ranked.scores)
            response = pb.TrendingResponse(model_version=self._engine.clicks)
        return response.SerializeToString() + items

    def send_impressions(self) -> None:
        """Record the answers since the last call; never raises."""
        self._recorder.send()

    def _visitor(
        self, request: pb.RecommendRequest | pb.RankRequest, stored: Stored | None
    ) -> Visitor:
        """Return the visitor of a request; what it says of the context comes first."""
        visitor = resolve_visitor(self._replica, request.session_id, request.user_id, stored)
        if request.HasField("context"):
            visitor.context = context_from_proto(request.context).over(visitor.context)
        return visitor

    def _new_id(self) -> str:
        return f"{self._prefix}{next(self._count):x}"

    def _query(self, visitor: Visitor, tail: list[str]) -> tuple[Rows, list[str]]:
        """Return the session's rows with those of a request, and which items these have added."""
        if not tail:
            return visitor.rows, tail
        stored, rows = list(visitor.rows), self._engine.rows_of(tail)
        n = n_stored(stored, rows)
        return stored + rows[n:], tail[n:]

    def _filter(
        self,
        request: pb.RecommendRequest | pb.SimilarItemsRequest | pb.TrendingRequest,
        visitor: Visitor,
        rows: Rows,
    ) -> Filter | None:
        """Return the filter of a request, at whose time the models are from now on."""
        now_s = self._clock()
        self._engine.at(int(now_s))
        unseen = not self._repeats or request.filter.exclude_seen
        wanted = request.filter if request.HasField("filter") else None
        return filter_of(self._replica, visitor, rows if unseen else (), wanted, int(1_000 * now_s))

    def _degraded(self, stored: Stored | None) -> list[pb.DegradedReason]:
        reasons = degraded_reasons(self._replica, self._redis, stored)
        for reason in reasons:
            metrics.DEGRADED.labels(pb.DegradedReason.Name(reason)).inc()
        return reasons

    def _explain(
        self,
        response: pb.RecommendResponse,
        ranked: Ranked,
        rows: Rows,
        number: int,
        past: Past | None,
    ) -> None:
        ids = self._engine.ids
        likely = self._probabilities(ranked.scores)
        reasons = self._engine.explain(rows, ranked.rows[:EXPLAINED_ITEMS], number, past)
        for i, (row, score) in enumerate(
            zip(ranked.rows.tolist(), ranked.scores.tolist(), strict=True)
        ):
            item = response.items.add(item_id=ids[row], score=score)
            if i < len(likely):
                item.next_click_probability = likely[i]
            for source, share, because in reasons[i] if i < len(reasons) else ():
                names = [ids[b] for b in because]
                item.reasons.add(source=source, share=share, because_item_ids=names)

    def _probabilities(self, scores: NDArray[np.float32]) -> list[float]:
        """Return the calibrated probability that each of the first items is the next click."""
        policy = self._engine.policy
        name = scored_name(self._engine.ranking, policy.name if policy is not None else "")
        board = self._replica.scoreboard.get(name)
        if board is None or not board.cases or not len(scores):
            return []
        check = board.calibration
        odds = check.slope * log_odds(scores[:SCORED_ITEMS].astype(np.float64)) + check.intercept
        return [float(p) for p in 1 / (1 + np.exp(-odds))]


def _timed(
    request: pb.RecommendRequest, stages: Untimed = UNTIMED, began_ns: int | None = None
) -> Untimed:
    """Return the stages of a request: those of its call or, to explain it, some of its own."""
    if not request.explain or isinstance(stages, Stages):
        return stages
    return Stages(PARSE, clock_ns() if began_ns is None else began_ns)


def _add_timings(response: pb.RecommendResponse, stages: Untimed) -> None:
    """Add how long each stage took of an explained answer, not what the call was at before."""
    assert isinstance(stages, Stages)
    spans = dropwhile(lambda span: span[0] != PARSE, stages.spans())
    taken_ns: Counter[str] = Counter()  # stages are entered again once Redis was read
    for stage, began_ns, ended_ns in spans:
        taken_ns[stage] += ended_ns - began_ns
    for stage, nanoseconds in taken_ns.items():
        response.timings.add(stage=stage, duration_us=nanoseconds // 1_000)


def _source(ranked: Ranked, rows: Rows) -> pb.AnswerSource:
    """Return whether anything in an answer comes from the visitor's session.

    Without one, near items are those that are popular in the visitor's context.
    """
    if ranked.from_past:
        return pb.ANSWER_SOURCE_PROFILE
    if len(rows) and (ranked.n_ranked or ranked.n_near):
        return pb.ANSWER_SOURCE_SESSION
    return pb.ANSWER_SOURCE_POPULAR
