"""Places of backups: a folder, and S3 as moto's server in this process has it."""

from contextlib import contextmanager
from unittest import mock

from moto.server import ThreadedMotoServer
from pyarrow import fs

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "somebody",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@contextmanager
def s3(bucket):
    """The URL of an empty bucket, which the environment says where to find."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    files = fs.S3FileSystem(
        access_key="somebody",
        secret_key="secret",
        endpoint_override=f"{host}:{port}",
        scheme="http",
        allow_bucket_creation=True,
    )
    files.create_dir(bucket)
    found = ENVIRONMENT | {"AWS_ENDPOINT_URL": f"http://{host}:{port}"}
    try:
        with mock.patch.dict("os.environ", found):
            yield f"s3://{bucket}"
    finally:
        server.stop()
