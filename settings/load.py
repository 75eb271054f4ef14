"""Loads the settings of a process; whatever is wrong with them is said in one line each."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Container, Iterator
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from settings.base import FILE, PREFIX, ProcessSettings
from settings.client import ClientSettings
from settings.gateway import GatewaySettings
from settings.jobs import JobSettings
from settings.server import ServerSettings
from settings.store import StoreSettings

PROCESSES: tuple[type[ProcessSettings], ...] = (
    ServerSettings,
    StoreSettings,
    JobSettings,
    ClientSettings,
    GatewaySettings,
)
"""What the file and the environment may set: one file serves all processes."""

NAMES = sorted({name for process in PROCESSES for name in process.model_fields})

OF_KUBERNETES = re.compile(r"(SERVICE_(HOST|PORT)|PORT_\d+_(TCP|UDP|SCTP))(_|$)")
"""In variables that Kubernetes sets in every container where a service is called nextclick."""

SECRETS = ("REDIS", "TRACES_URL")
"""Settings that may hold a password, and so are never quoted."""

QUOTED = 40
"""Characters of a value that is wrong."""

UNKNOWN = "there is no such setting"

AnySettings = TypeVar("AnySettings", bound=ProcessSettings)


def load(kind: type[AnySettings], **given: Any) -> AnySettings:
    """Return the settings of a process, or exit with one line for each invalid one.

    Parameters
    ----------
    kind
        The settings of the process.
    given
        Values that win over environment and file; None: none is given.

    Notes
    -----
    A name that is no setting of any process is invalid: it is most likely misspelt.

    Raises
    ------
    SystemExit
    """
    check_names()
    given = {name: value for name, value in given.items() if value is not None}
    try:
        return kind(**given)
    except ValidationError as e:
        faults = [_told(error, given) for error in e.errors()]
        raise SystemExit("\n".join(faults)) from None


def check_names() -> None:
    """Exit with one line for each variable, or line of the file, that is no setting of any process.

    Raises
    ------
    SystemExit
    """
    faults = [*_unknown_variables(), *_faults_of_file()]
    if faults:
        raise SystemExit("\n".join(faults))


def _told(error: ErrorDetails, given: Container[str]) -> str:
    """Return what is wrong with a setting, and what it is."""
    setting = "_".join(map(str, error["loc"]))
    name = setting.upper()
    variables = map(str.upper, os.environ)
    of_file = setting not in given and f"{PREFIX}{name}" not in variables and setting in _held()
    where = f"{FILE}: {setting}" if of_file else f"{PREFIX}{name}"
    wrong = error["msg"].removeprefix("Value error, ").replace("Input should", "should")
    if not name:  # of several settings together, which the sentence names
        return wrong
    held = str(error["input"])[:QUOTED]
    if name in SECRETS or re.search(rf"\b{re.escape(held)}\b", wrong):
        return f"{where}: {wrong}"
    return f"{where}: {wrong} (it is {held!r})"


def _unknown_variables() -> Iterator[str]:
    for variable, value in sorted(os.environ.items()):
        name = variable.upper().removeprefix(PREFIX)
        if name == variable.upper() or name.lower() in NAMES:
            continue
        if OF_KUBERNETES.search(name) or value.startswith(("tcp://", "udp://", "sctp://")):
            continue
        near = _nearest(name)
        yield f"{variable}: {UNKNOWN}" + (f"; did you mean {PREFIX}{near.upper()}?" if near else "")


def _held() -> dict[str, Any]:
    """Return what the file of settings says; nothing if there is none."""
    try:
        return tomllib.loads(FILE.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}


def _faults_of_file() -> Iterator[str]:
    try:
        held = _held()
    except OSError as e:
        yield f"{FILE.absolute()} cannot be read: {e.strerror}"
        return
    except ValueError as e:  # torn TOML, or not UTF-8
        yield f"{FILE.absolute()}: {e}; write lines such as `max_items = 100000`"
        return
    for name in held:
        if name not in NAMES:
            near = _nearest(name.upper().removeprefix(PREFIX))
            yield f"{FILE}: {name}: {UNKNOWN}" + (f"; did you mean {near}?" if near else "")


def _nearest(name: str) -> str:
    """Return the setting that was probably meant, empty if none is near."""
    return next(iter(difflib.get_close_matches(name.lower(), NAMES, 1)), "")
