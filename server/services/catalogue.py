"""CatalogService: writes go to Kafka, reads come from the replica."""

from __future__ import annotations

from collections.abc import Sequence

from nextclick.codec import InvalidEventError, Item, encode_item
from nextclick.convert import item_from_proto, item_to_proto
from nextclick.errors import FieldFault
from nextclick.limits import MAX_PUT_ITEMS
from nextclick.topics import ITEMS, topic
from nextclick.v1 import catalog_service_pb2 as pb
from server.errors import RequestError, unavailable
from server.kafka.acked_producer import AckedProducer
from server.replica.replica import Replica


class Catalogue:
    """Answers PutItems, GetItems and DeleteItems."""

    def __init__(self, producer: AckedProducer, replica: Replica, tenant: str) -> None:
        self._producer = producer
        self._replica = replica
        self._topic = topic(ITEMS, tenant)

    def put_items(
        self, request: pb.PutItemsRequest, timeout_s: float | None
    ) -> pb.PutItemsResponse:
        """Write items: all of them, or none if one is invalid."""
        _check_number("items", len(request.items))
        items = [item_from_proto(message) for message in request.items]
        return pb.PutItemsResponse(accepted=self._write("items", items, timeout_s))

    def delete_items(
        self, request: pb.DeleteItemsRequest, timeout_s: float | None
    ) -> pb.DeleteItemsResponse:
        """Write deletions."""
        _check_number("item_ids", len(request.item_ids))
        items = [Item(item_id, deleted=True) for item_id in request.item_ids]
        return pb.DeleteItemsResponse(accepted=self._write("item_ids", items, timeout_s))

    def get_items(self, request: pb.GetItemsRequest) -> pb.GetItemsResponse:
        """Return the requested items that the replica knows."""
        _check_number("item_ids", len(request.item_ids))
        catalogue = self._replica.catalogue
        known = map(catalogue.get, request.item_ids)
        return pb.GetItemsResponse(items=[item_to_proto(item) for item in known if item])

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
        if faults:
            raise RequestError("", faults)
        errors = [e for e in self._producer.put(self._topic, records, timeout_s) if e]
        if errors:
            raise unavailable(
                f"Kafka: {errors[0]} ({len(errors)} of {len(items)} items); send them all again"
            )
        return len(items)


def _check_number(field: str, n: int) -> None:
    if not 1 <= n <= MAX_PUT_ITEMS:
        raise RequestError("", [FieldFault(field, f"has {n} entries; send 1 to {MAX_PUT_ITEMS}")])
