"""Which calls there are over REST: those of the protos, whoever adds one."""

from google.protobuf import descriptor_pb2, descriptor_pool

from gateway.methods import METHODS, services, unary
from server.transport.methods import METHODS as SERVED
from server.transport.methods import Lane


def test_every_unary_call_of_the_server_has_a_path():
    """A call that the gateway does not know could be made over gRPC only."""
    expected = {method.path for method in SERVED if method.lane is not Lane.STREAM}
    assert {method.grpc_path for method in METHODS} == expected


def test_no_two_calls_share_a_path():
    """One of them would never be called."""
    paths = [method.path for method in METHODS]
    assert len(set(paths)) == len(paths)
    assert "/v1/batchRecommend" in paths


def test_a_new_call_appears_by_itself_and_a_stream_does_not():
    """Whoever adds a call to the protos need not know of the gateway."""
    file = descriptor_pb2.FileDescriptorProto(name="new.proto", package="shop.v2")
    file.message_type.add(name="Message")
    service = file.service.add(name="NewService")
    for name, asks, answers in (("One", False, False), ("Up", True, False), ("Down", False, True)):
        service.method.add(
            name=name,
            input_type=".shop.v2.Message",
            output_type=".shop.v2.Message",
            client_streaming=asks,
            server_streaming=answers,
        )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    (method,) = unary(pool.FindServiceByName("shop.v2.NewService"))
    assert (method.path, method.grpc_path) == ("/v2/one", "/shop.v2.NewService/One")
    assert method.request.DESCRIPTOR.full_name == "shop.v2.Message"


def test_all_services_are_found():
    """A service whose file has another name would be left out without a word."""
    served = {method.service.full_name for method in SERVED}
    assert {service.full_name for service in services()} == served
