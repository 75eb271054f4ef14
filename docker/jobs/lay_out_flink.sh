#!/bin/sh
# Moves Flink from PyFlink's folder to /opt/flink, where everybody expects it, with our jars and
# settings; PyFlink gets links.
set -eu

pyflink=$(.venv/bin/python -c "import pyflink; print(pyflink.__path__[0])")
mkdir /opt/flink /opt/flink/usrlib
for part in bin conf lib licenses opt plugins; do
  mv "$pyflink/$part" "/opt/flink/$part"
  ln -s "/opt/flink/$part" "$pyflink/$part"
done
# flink-python is in opt, but a second job on the same TaskManager needs it in lib.
for jar in /opt/flink/opt/flink-python-*.jar "$PWD"/streaming/java/target/flink-lib/*.jar; do
  ln -s "$jar" /opt/flink/lib/
done
cp docker/jobs/config.yaml docker/jobs/log4j-console.properties /opt/flink/conf/
