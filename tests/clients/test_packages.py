"""Names, versions and licences of the packages of the clients, and what all of them do alike."""

import json
import re
import tomllib
from xml.etree import ElementTree

from nextclick.channel import CHANNEL_OPTIONS
from tests.clients.toolchains import GO, JAVA, ROOT, TYPESCRIPT

NAME = "nextclick-client"


def of_python(folder):
    return tomllib.loads((folder / "pyproject.toml").read_text())["project"]


def test_all_packages_have_one_name_and_version():
    """If it failed, nobody could tell which client belongs to which server."""
    server, client = of_python(ROOT), of_python(ROOT / "proto")
    version = server["version"]
    assert server["dependencies"] == [f"{NAME}=={version}"]
    npm = json.loads((TYPESCRIPT / "package.json").read_text())
    lock = json.loads((TYPESCRIPT / "package-lock.json").read_text())
    pom = ElementTree.parse(JAVA / "pom.xml").getroot()
    maven = {tag: pom.findtext(f"{{*}}{tag}") for tag in ("artifactId", "version")}
    assert {
        (client["name"], client["version"]),
        (npm["name"], npm["version"]),
        (lock["name"], lock["version"]),
        (maven["artifactId"], maven["version"]),
    } == {(NAME, version)}
    assert (GO / "go.mod").read_text().startswith(f"module {NAME}\n")  # its version is a tag


def test_all_packages_bring_the_licence():
    """If it failed, a package would be without the terms under which it may be used."""
    text = (ROOT / "LICENSE").read_text()
    for folder in (ROOT / "proto", TYPESCRIPT, GO):
        assert (folder / "LICENSE").read_text() == text


def test_all_languages_try_again_alike():
    """If it failed, one of them would lose calls in a rolling restart."""
    files = (
        TYPESCRIPT / "src" / "channel.ts",
        GO / "connect.go",
        JAVA / "src" / "main" / "java" / "nextclick" / "Channels.java",
    )
    quoted = [re.search(r'(?:`|""")\s*(\{.*?\n *\})\s*(?:`|""")', file.read_text(), re.DOTALL)
              for file in files]  # fmt: skip
    configs = [json.loads(match[1]) for match in quoted]
    assert configs[0] == configs[1] == configs[2]
    assert configs[0]["loadBalancingConfig"] == [{"round_robin": {}}]


def test_a_name_is_looked_up_as_often_as_in_python():
    """By default, each 30 s: servers that have replaced all others faster would be unknown."""
    option = "grpc.dns_min_time_between_resolutions_ms"
    text = (TYPESCRIPT / "src" / "channel.ts").read_text()
    found = re.search(rf'"{option}": ([0-9_]+)', text)
    assert found
    assert int(found[1]) == dict(CHANNEL_OPTIONS)[option]


def test_no_lock_names_a_registry():
    """Where packages come from is a setting of who installs them."""
    assert "resolved" not in (TYPESCRIPT / "package-lock.json").read_text()
