#!/usr/bin/env bash
# Fetches the official schemas of SLD and SE 1.1, as Java archives, into .tools/schemas; needs Maven.
set -euo pipefail
cd "$(dirname "$0")/.."
target=.tools/schemas
mkdir -p "$target"
for archive in se-v_1_1_0-schema:1.1.0 sld-v_1_1_0-schema:1.0.3; do
    if [ ! -e "$target/${archive/:/-}.jar" ]; then
        mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy \
            -Dartifact="org.jvnet.ogc:$archive" -DoutputDirectory="$target"
    fi
done
