"""``nextclick models``: its JSON keeps the form that scripts read."""

from google.protobuf.json_format import MessageToDict

from cli.models import as_json
from nextclick import Model
from nextclick.v1 import model_service_pb2 as pb


def test_a_model_is_printed_as_protobuf_would_print_it():
    """Scripts read versions as text and test whether a score is there."""
    fresh = Model("blend", 7, 9, True, False, 0, (), None, None, None)
    learned = Model("ranker", 1 << 60, 12, False, True, 3, (3, 5), 40, 0.25, 0.125)
    messages = (
        pb.Model(name="blend", version=7, examples=9, answering=True, age_ms=-1),
        pb.Model(
            name="ranker",
            version=1 << 60,
            examples=12,
            paused=True,
            rolled_back_to=3,
            kept_versions=[3, 5],
            age_ms=40,
            hit_rate=0.25,
            mrr=0.125,
        ),
    )
    for model, message in zip((fresh, learned), messages, strict=True):
        assert as_json(model) == MessageToDict(
            message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )
