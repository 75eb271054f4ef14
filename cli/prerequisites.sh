#!/usr/bin/env bash
# Checks what `make setup` needs and cannot install itself: one clear line for what is missing.
# Prints the Python to use on standard output.
set -u
fail() { echo "nextclick needs $1 (found: $2). Install $3." >&2; exit 1; }

python=""
for candidate in python3.11 python3 python; do
  version=$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue
  if [ "$version" = "3.11" ]; then python=$(command -v "$candidate"); break; fi
done
if [ -z "$python" ]; then
  found=$(python3 --version 2>/dev/null || echo none)
  fail "Python 3.11" "$found" "Python 3.11 with venv, e.g. the packages python3.11 and python3.11-venv"
fi
"$python" -c 'import ensurepip, venv' 2>/dev/null ||
  fail "Python's venv module" "none for $python" "e.g. the package python3.11-venv"

compiler=$(command -v c++ || command -v g++ || command -v clang++ || true)
[ -n "$compiler" ] || fail "a C++ compiler" "none" "g++ (the vector index is compiled on this machine)"
header=$("$python" -c 'import os, sysconfig; print(os.path.join(sysconfig.get_path("include"), "Python.h"))')
[ -e "$header" ] || fail "Python's C headers" "no Python.h" "e.g. the package python3.11-dev"

command -v setpriv > /dev/null || fail "setpriv" "none" "util-linux"
maven=$(mvn -v 2>/dev/null) || fail "Maven" "none" "maven (3.6 or later)"
java=$(printf '%s\n' "$maven" | sed -n 's/^Java version: \([0-9]*\).*/\1/p')
case "$java" in
  17 | 21) ;;
  *) fail "a JDK 17 for Maven" "Java ${java:-unknown}" "openjdk-17-jdk, or point JAVA_HOME to it" ;;
esac
printf '%s\n' "$python"
