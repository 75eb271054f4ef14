"""What jobs tell Flink."""

from pyflink.common import time

from streaming.jobs.flink import time_to_live


def test_state_expires_without_a_java_of_its_own(monkeypatch):
    """PyFlink's default started one in each TaskManager, and failed without JAVA_HOME."""

    def starts_java():
        raise FileNotFoundError("bin/java")

    monkeypatch.setattr(time, "get_gateway", starts_java)
    config = time_to_live(1_000)
    cleanup = config.get_cleanup_strategies()
    assert config.get_ttl().to_milliseconds() == 1_000
    assert cleanup.get_incremental_cleanup_strategy().get_cleanup_size() == 5
    in_rocksdb = cleanup.get_rocksdb_compact_filter_cleanup_strategy()
    assert in_rocksdb.get_query_time_after_num_entries() == 1_000
