#!/bin/sh
# Installs the project in this folder into its .venv, for an image: install.sh EXTRAS.
# Versions are those of requirements.lock. What nobody runs in an image is removed; sbom.json tells
# what is left, with licences, whose texts are in the packages' own folders.
set -eu

python3 -m venv .venv
.venv/bin/pip install --no-cache-dir --constraint requirements.lock --editable proto \
  --editable ".[$1]"

python3 -m venv /tmp/sbom
/tmp/sbom/bin/pip install --no-cache-dir cyclonedx-bom==7.5.0

.venv/bin/pip uninstall --yes --quiet setuptools pip
packages=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
find "$packages" -type d -name tests -prune -exec rm -r {} +
if [ -d "$packages/pyarrow" ]; then # of which PyFlink and backups need the core
  (cd "$packages/pyarrow" && rm -r include src ./*flight* ./*substrait*)
fi
# Symbols for debuggers. The libraries that wheels bring along (*.libs) are patched, and may break.
find "$packages" -name '*.so' -not -path '*.libs/*' -exec strip --strip-unneeded {} +
/tmp/sbom/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible \
  --output-file sbom.json .venv/bin/python
python3 docker/complete_sbom.py sbom.json
python3 -m compileall -q cli connections evaluation gateway listeners online_models proto records \
  server settings streaming
