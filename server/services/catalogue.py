"""CatalogService: writes go to Kafka, reads come from the replica."""

from __future__ import annotations

from collections.abc import Sequence

from nextclick.codec import InvalidEventError, Item, encode_item, width_faults
from nextclick.convert import item_from_proto, item_to_proto
from nextclick.errors import FieldFault
from nextclick.limits import MAX_ID_BYTES, MAX_PUT_ITEMS
from nextclick.topics import ITEMS, topic
from nextclick.v1 import catalog_service_pb2 as pb
from server.errors import RequestError, unavailable
from server.kafka.acked_producer import AckedProducer
from server.replica.replica import Replica
from server.services.replies import response_field
from server.services.requests import entries, parsed_entries


class Catalogue:
    """Answers PutItems, GetItems and DeleteItems."""

    def __init__(self, producer: AckedProducer, replica: Replica, tenant: str) -> None:
        self._producer = producer
        self._replica = replica
        self._topic = topic(ITEMS, tenant)

    def put_items(self, raw: bytes, timeout_s: float | None) -> bytes:
        """Answer a PutItemsRequest: write all items, or none if one is invalid."""
        messages = parsed_entries(pb.Item, raw, "items", MAX_PUT_ITEMS)
        accepted = self._write("items", list(map(item_from_proto, messages)), timeout_s)
        return pb.PutItemsResponse(accepted=accepted).SerializeToString()

    def delete_items(self, raw: bytes, timeout_s: float | None) -> bytes:
        """Answer a DeleteItemsRequest: write deletions."""
        items = [Item(item_id, deleted=True) for item_id in _ids(pb.DeleteItemsRequest, raw)]
        accepted = self._write("item_ids", items, timeout_s)
        return pb.DeleteItemsResponse(accepted=accepted).SerializeToString()

    def get_items(self, raw: bytes) -> bytes:
        """Answer a GetItemsRequest with the items that the replica knows."""
        known = map(self._replica.catalogue.get, _ids(pb.GetItemsRequest, raw))
        # One by one: a thousand large items took 18 ms, in which nobody else got an answer.
        items = (item_to_proto(item).SerializeToString() for item in known if item)
        return b"".join(map(response_field, items))

    def _write(self, field: str, items: Sequence[Item], timeout_s: float | None) -> int:
        faults: list[FieldFault] = []
        records: list[tuple[str, bytes]] = []
        for i, item in enumerate(items):
            try:
                records.append((item.item_id, encode_item(item)))
            except InvalidEventError as e:
                for f in e.faults:
                    name = f"{field}[{i}]" if field == "item_ids" else f"{field}[{i}].{f.field}"
                    faults.append(FieldFault(name, f.description))
        if not faults:
            widths = [len(item.embedding) for item in items]
            faults = width_faults(field, widths, self._replica.catalogue.embedding_width)
        if faults:
            raise RequestError("", faults)
        outcomes = self._producer.put(self._topic, records, timeout_s)
        errors = [outcome.error for outcome in outcomes if outcome.error]
        if errors:
            raise unavailable(
                f"Kafka: {errors[0]} ({len(errors)} of {len(items)} items); send them all again"
            )
        return len(items)


def _ids(kind: type[pb.GetItemsRequest] | type[pb.DeleteItemsRequest], raw: bytes) -> Sequence[str]:
    """Return the ids of a request; see `entries` for its errors."""
    for i, entry in enumerate(entries(raw, "item_ids", MAX_PUT_ITEMS)):
        if len(entry) > MAX_ID_BYTES:
            fault = f"has {len(entry)} bytes; send 1 to {MAX_ID_BYTES}"
            raise RequestError("", [FieldFault(f"item_ids[{i}]", fault)])
    return kind.FromString(raw).item_ids
