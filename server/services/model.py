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
from server.services.requests import parsed

BLEND = "blend"
Kind = learning_pb2.LearnerCommand


class Models:
    """Answers ListModels from the replica; commands go to the learners over Kafka."""

    def __init__(self, producer: AckedProducer, replica: Replica, tenant: str) -> None:
        self._producer = producer
        self._replica = replica
        self._tenant = tenant
        self._topic = topic(COMMANDS, tenant)

    def list_models(self, raw: bytes) -> bytes:
        """Answer a ListModelsRequest: blend, vectors and ranker as this replica knows them."""
        parsed(pb.ListModelsRequest, raw)
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
            model.tenant = self._tenant
            model.answering = model.name == engine.ranking
            if model.name in scores:
                model.hit_rate = scores[model.name]["hit_rate"]
                model.mrr = scores[model.name]["mrr"]
        return response.SerializeToString()

    def pause_learning(self, raw: bytes, timeout_s: float | None) -> bytes:
        """Answer a PauseLearningRequest: the learner skips its input meanwhile."""
        request = parsed(pb.PauseLearningRequest, raw)
        self._command(request.model, Kind(kind=Kind.KIND_PAUSE), timeout_s)
        return pb.PauseLearningResponse().SerializeToString()

    def resume_learning(self, raw: bytes, timeout_s: float | None) -> bytes:
        """Answer a ResumeLearningRequest: the paused learner learns again."""
        request = parsed(pb.ResumeLearningRequest, raw)
        self._command(request.model, Kind(kind=Kind.KIND_RESUME), timeout_s)
        return pb.ResumeLearningResponse().SerializeToString()

    def roll_back(self, raw: bytes, timeout_s: float | None) -> bytes:
        """Answer a RollBackRequest: the ranker goes back to a kept version."""
        request = parsed(pb.RollBackRequest, raw)
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
        return pb.RollBackResponse().SerializeToString()

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
