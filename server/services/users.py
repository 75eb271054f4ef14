"""UserService: writes go to Kafka, reads come from the replica."""

from __future__ import annotations

from collections.abc import Sequence

from nextclick.convert import user_from_proto, user_to_proto
from nextclick.errors import FieldFault
from nextclick.json_record import InvalidEventError
from nextclick.limits import MAX_ID_BYTES, MAX_PUT_USERS
from nextclick.topics import USERS, topic
from nextclick.users import User, encode_user
from nextclick.v1 import user_service_pb2 as pb
from server.errors import RequestError, unavailable
from server.kafka.acked_producer import AckedProducer
from server.replica.replica import Replica
from server.services.replies import response_field
from server.services.requests import entries, parsed_entries


class Users:
    """Answers PutUsers, GetUsers and DeleteUsers."""

    def __init__(self, producer: AckedProducer, replica: Replica, tenant: str) -> None:
        self._producer = producer
        self._replica = replica
        self._topic = topic(USERS, tenant)

    def put_users(self, raw: bytes, timeout_s: float | None) -> bytes:
        """Answer a PutUsersRequest: write all users, or none if one is invalid."""
        messages = parsed_entries(pb.User, raw, "users", MAX_PUT_USERS)
        accepted = self._write("users", list(map(user_from_proto, messages)), timeout_s)
        return pb.PutUsersResponse(accepted=accepted).SerializeToString()

    def delete_users(self, raw: bytes, timeout_s: float | None) -> bytes:
        """Answer a DeleteUsersRequest: write deletions."""
        users = [User(user_id, deleted=True) for user_id in _ids(pb.DeleteUsersRequest, raw)]
        accepted = self._write("user_ids", users, timeout_s)
        return pb.DeleteUsersResponse(accepted=accepted).SerializeToString()

    def get_users(self, raw: bytes) -> bytes:
        """Answer a GetUsersRequest with the users that the replica has in memory."""
        known = map(self._replica.users.get, _ids(pb.GetUsersRequest, raw))
        # One by one, as items of the catalogue.
        users = (user_to_proto(user).SerializeToString() for user in known if user)
        return b"".join(map(response_field, users))

    def _write(self, field: str, users: Sequence[User], timeout_s: float | None) -> int:
        faults: list[FieldFault] = []
        records: list[tuple[str, bytes]] = []
        for i, user in enumerate(users):
            try:
                records.append((user.user_id, encode_user(user)))
            except InvalidEventError as e:
                for f in e.faults:
                    name = f"{field}[{i}]" if field == "user_ids" else f"{field}[{i}].{f.field}"
                    faults.append(FieldFault(name, f.description))
        if faults:
            raise RequestError("", faults)
        outcomes = self._producer.put(self._topic, records, timeout_s)
        errors = [outcome.error for outcome in outcomes if outcome.error]
        if errors:
            raise unavailable(
                f"Kafka: {errors[0]} ({len(errors)} of {len(users)} users); send them all again"
            )
        return len(users)


def _ids(kind: type[pb.GetUsersRequest] | type[pb.DeleteUsersRequest], raw: bytes) -> Sequence[str]:
    """Return the ids of a request; see `entries` for its errors."""
    for i, entry in enumerate(entries(raw, "user_ids", MAX_PUT_USERS)):
        if len(entry) > MAX_ID_BYTES:
            fault = f"has {len(entry)} bytes; send 1 to {MAX_ID_BYTES}"
            raise RequestError("", [FieldFault(f"user_ids[{i}]", fault)])
    return kind.FromString(raw).user_ids
