"""Requests as large as they may be, and bytes that are nearly such."""

from nextclick import decode_event, decode_item, decode_user
from nextclick.convert import context_to_proto, event_to_proto, item_to_proto, user_to_proto
from nextclick.limits import (
    MAX_CONDITION_VALUES,
    MAX_CONDITIONS,
    MAX_EXCLUDED_ITEMS,
    MAX_FILTER_CATEGORIES,
    MAX_FILTER_KINDS,
    MAX_MESSAGE_BYTES,
    MAX_PAGE,
    MAX_PROFILES_ASKED,
    MAX_PURCHASED_DAYS,
    MAX_PUT_ITEMS,
    MAX_REQUEST_BYTES,
    SESSION_STEPS,
)
from nextclick.topics import EVENTS, ITEMS, USERS
from nextclick.v1 import (
    catalog_service_pb2,
    event_service_pb2,
    feature_service_pb2,
    model_service_pb2,
    user_service_pb2,
)
from nextclick.v1 import recommendation_service_pb2 as pb
from server.services.replies import response_field
from tests.property.fuzz import Fuzz

DEEPEST = 4
"""Conditions in each other that are made."""


class RequestFuzz(Fuzz):
    """Makes requests, beside records."""

    def request(self, name):
        """Return a valid request, some of them as large as they may be."""
        pick = self.random
        visitor = {
            "session_id": self.name("s"),
            "user_id": pick.choice(["", self.name("u", 400)]),
            "session_items": self.items(SESSION_STEPS),
            "context": context_to_proto(self.context()),
        }
        page = {"page_size": pick.choice([0, MAX_PAGE]), "filter": self.filter()}
        recommend = pb.RecommendRequest(**visitor, **page, explain=pick.random() < 0.3)
        many = range(pick.randint(1, 20))
        requests = {
            "Rank": lambda: pb.RankRequest(**visitor, item_ids=self.items(500)),
            "SimilarItems": lambda: pb.SimilarItemsRequest(
                item_id=self.name("i"), by=pick.randrange(4), **page
            ),
            "Trending": lambda: pb.TrendingRequest(**page),
            "BatchRecommend": lambda: pb.BatchRecommendRequest(requests=[recommend]),
            "StreamRecommend": lambda: pb.StreamRecommendRequest(request=recommend),
            "PutEvents": lambda: event_service_pb2.PutEventsRequest(
                events=[event_to_proto(decode_event(self.record(EVENTS)[1])) for _ in many]
            ),
            "PutItems": lambda: catalog_service_pb2.PutItemsRequest(
                items=[item_to_proto(decode_item(self.record(ITEMS)[1])) for _ in many]
            ),
            "GetItems": lambda: catalog_service_pb2.GetItemsRequest(
                item_ids=self.items(MAX_PUT_ITEMS)
            ),
            "DeleteItems": lambda: catalog_service_pb2.DeleteItemsRequest(
                item_ids=self.items(1_000)
            ),
            "PutUsers": lambda: user_service_pb2.PutUsersRequest(
                users=[user_to_proto(decode_user(self.record(USERS)[1])) for _ in many]
            ),
            "GetUsers": lambda: user_service_pb2.GetUsersRequest(
                user_ids=self.items(MAX_PUT_ITEMS)
            ),
            "DeleteUsers": lambda: user_service_pb2.DeleteUsersRequest(
                user_ids=self.items(MAX_PUT_ITEMS)
            ),
            "GetProfiles": lambda: user_service_pb2.GetProfilesRequest(
                user_ids=[self.name("u") for _ in range(MAX_PROFILES_ASKED)]
            ),
            "ListModels": model_service_pb2.ListModelsRequest,
            "ListFeatures": lambda: feature_service_pb2.ListFeaturesRequest(
                entity=pick.randrange(5)
            ),
            "GetFeatures": lambda: feature_service_pb2.GetFeaturesRequest(
                session_id=pick.choice(["", self.name("s")]),
                user_id=self.name("u"),
                item_ids=self.items(100),
                names=pick.choice([[], ["seq", "item_clicks"]]),
            ),
            "PauseLearning": lambda: model_service_pb2.PauseLearningRequest(model="ranker"),
            "ResumeLearning": lambda: model_service_pb2.ResumeLearningRequest(model="ranker"),
            "RollBack": lambda: model_service_pb2.RollBackRequest(model="ranker", version=1),
        }
        return requests.get(name, lambda: recommend)().SerializeToString()

    def fuzzed_request(self, name):
        """Return bytes that are nearly a request, as large as a message to the server may be.

        A small compressed message may hold as much: gRPC has unpacked it.
        """
        if self.random.random() < 0.3:  # as the entries of a list, each as large as one may be
            entry = self.mutated(self.request(name), MAX_REQUEST_BYTES // 4)
            return response_field(entry) * (MAX_MESSAGE_BYTES // MAX_REQUEST_BYTES)
        most = self.random.choice([MAX_REQUEST_BYTES, MAX_MESSAGE_BYTES // 4])
        return self.mutated(self.request(name), most)

    def filter(self):
        """Return a filter, some as wide as they may be."""
        pick = self.random
        kinds = [pick.choice(["film", "song", "k"]) for _ in range(MAX_FILTER_KINDS)]
        return pb.ItemFilter(
            categories=[f"c{n}" for n in range(pick.randrange(MAX_FILTER_CATEGORIES + 1))],
            excluded_item_ids=self.items(MAX_EXCLUDED_ITEMS),
            exclude_seen=pick.random() < 0.5,
            exclude_purchased=pick.random() < 0.5,
            include_unavailable=pick.random() < 0.5,
            kinds=kinds[: pick.choice([0, 1, MAX_FILTER_KINDS])],
            condition=self.condition(MAX_CONDITIONS) if pick.random() < 0.7 else None,
            purchased_within_days=pick.choice([0, MAX_PURCHASED_DAYS]),
        )

    def condition(self, most, depth=1):
        """Return a condition of at most so many that hold no others."""
        pick = self.random
        kinds = ["all", "any", "not"] * (depth < DEEPEST) + [
            "category", "kind", "segment", "attribute", "user", "context", "number",
        ]  # fmt: skip
        kind = pick.choice(kinds)
        if kind in ("all", "any"):
            n = pick.randint(1, max(min(most, 8), 1))
            parts = [self.condition(most // n, depth + 1) for _ in range(n)]
            return pb.Condition(**{kind: pb.Conditions(conditions=parts)})
        if kind == "not":
            return pb.Condition(**{kind: self.condition(most, depth + 1)})
        if kind == "number":
            low = pick.choice([None, float(pick.randrange(9))])
            high = pick.choice([None, 9.0])
            asked = pb.RangeCondition(name=f"n{pick.randrange(40)}", at_least=low, at_most=high)
            return pb.Condition(number=asked)
        if kind in ("category", "kind", "segment"):
            text = pick.choice(["film", f"c{pick.randrange(30)}", f"g{pick.randrange(16)}"])
            return pb.Condition(**{kind: text})
        name = "device" if kind == "context" else f"k{pick.randrange(40)}"
        values = [str(n) * 200 for n in range(pick.choice([1, MAX_CONDITION_VALUES]))]
        return pb.Condition(**{kind: pb.ValueCondition(name=name, values=values[:9])})
