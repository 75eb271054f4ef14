"""Whether the process of this container is well: it ends with an error if a page does not say so.

python docker/server/healthy.py /healthz
"""

from __future__ import annotations

import os
import ssl
import sys
from urllib.request import HTTPSHandler, ProxyHandler, build_opener

scheme, context = "http", None
if os.environ.get("NEXTCLICK_TLS_CERTIFICATE_FILE"):
    scheme, context = "https", ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # it is this container's
# Docker gives containers the proxy for the way out that its own configuration names.
direct = build_opener(ProxyHandler({}), HTTPSHandler(context=context))
direct.open(f"{scheme}://127.0.0.1:8080{sys.argv[1]}", timeout=3)
