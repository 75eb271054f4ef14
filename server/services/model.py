"""ModelService: shows the models; pauses, resumes and rolls back their learners."""

from __future__ import annotations

import time

from nextclick.errors import FieldFault
from nextclick.topics import COMMANDS, RANKER_MODEL, VECTORS_MODEL, topic
from nextclick.v1 import learning_pb2
from nextclick.v1 import model_service_pb2 as pb
from server.errors import RequestError, unavailable
from server.kafka.acked_producer import AckedProducer
from server.replica.replica import Replica

BLEND = "blend"
Kind = learning_pb2.LearnerCommand


class Models:
    """Answers ListModels from the replica; commands go to the learners over Kafka."""

    def __init__(self, producer: AckedProducer, replica: Replica, tenant: str) -> None:
        self._producer = producer
        self._replica = replica
        self._topic = topic(COMMANDS, tenant)

    def list_models(self, request: pb.ListModelsRequest) -> pb.ListModelsResponse:
        """Return blend, vectors and ranker as this replica knows them."""
        del request
        engine = self._replica.engine
        response = pb.ListModelsResponse()
        clicks = engine.clicks
        response.models.add(name=BLEND, version=clicks, examples=clicks, age_ms=0)
        now_ms = int(time.time() * 1000)
        for name in (VECTORS_MODEL, RANKER_MODEL):
            state = self._replica.learners.get(name)
            if state is None:
                response.models.add(name=name, age_ms=-1)
                continue
            response.models.add(
                name=name,
                version=state.version,
                examples=state.learned,
                paused=state.paused,
                rolled_back_to=state.rolled_back_to,
                kept_versions=state.kept_versions,
                age_ms=max(now_ms - state.timestamp_ms, 0),
            )
        scores = engine.prequential_scores
        for model in response.models:
            model.answering = model.name == engine.ranking
            if model.name in scores:
                model.hit_rate = scores[model.name]["hit_rate"]
                model.mrr = scores[model.name]["mrr"]
        return response

    def pause_learning(
        self, request: pb.PauseLearningRequest, timeout_s: float | None
    ) -> pb.PauseLearningResponse:
        """Pause a learner: it skips its input meanwhile."""
        self._command(request.model, Kind(kind=Kind.KIND_PAUSE), timeout_s)
        return pb.PauseLearningResponse()

    def resume_learning(
        self, request: pb.ResumeLearningRequest, timeout_s: float | None
    ) -> pb.ResumeLearningResponse:
        """Resume a paused learner."""
        self._command(request.model, Kind(kind=Kind.KIND_RESUME), timeout_s)
        return pb.ResumeLearningResponse()

    def roll_back(
        self, request: pb.RollBackRequest, timeout_s: float | None
    ) -> pb.RollBackResponse:
        """Roll the ranker back to a kept version."""
        if request.model == VECTORS_MODEL:
            raise RequestError(
                "", [FieldFault("model", "vectors keep no versions; pause their learner instead")]
            )
        state = self._replica.learners.get(RANKER_MODEL)
        kept = list(state.kept_versions) if state else []
        if request.model == RANKER_MODEL and request.version not in kept:
            known = ", ".join(map(str, kept)) or "none"
            raise RequestError("", [FieldFault("version", f"is not kept; kept versions: {known}")])
        command = Kind(kind=Kind.KIND_ROLL_BACK, version=request.version)
        self._command(request.model, command, timeout_s)
        return pb.RollBackResponse()

    def _command(
        self, model: str, command: learning_pb2.LearnerCommand, timeout_s: float | None
    ) -> None:
        if model not in (VECTORS_MODEL, RANKER_MODEL):
            fault = FieldFault("model", f"{model!r} has no learner; send vectors or ranker")
            raise RequestError("", [fault])
        record = (model, command.SerializeToString())
        outcomes = self._producer.put(self._topic, [record], timeout_s)
        errors = [outcome.error for outcome in outcomes if outcome.error]
        if errors:
            raise unavailable(f"Kafka: {errors[0]}; send the command again")
