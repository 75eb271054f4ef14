"""What a process says of itself to Prometheus."""

from importlib.metadata import version

from prometheus_client import REGISTRY

from listeners.process_info import show_process


def test_a_process_says_what_it_is_and_whose():
    """Two tenants have the same metrics: what tells them apart is joined to these."""
    show_process("server", "shop")
    labels = {"role": "server", "tenant": "shop", "version": version("nextclick")}
    assert REGISTRY.get_sample_value("nextclick_info", labels) == 1
