#!/usr/bin/env bash
# Installs the Debian packages that the services tests drive: PostGIS, Chromium, GDAL, QGIS, fonts.
# Without root it only says which are missing.
set -euo pipefail

if ! command -v apt-get >/dev/null; then
    echo "No apt here. The tests of PostGIS, Chromium, GDAL and QGIS need those programs installed."
    exit 0
fi
installed() { dpkg-query -W -f='${db:Status-Abbrev}' "$1" 2>/dev/null | grep -q '^ii'; }

newest_postgis() {  # the distribution's own PostgreSQL: 15 on Debian 12
    apt-cache search --names-only '^postgresql-[0-9]+-postgis-3$' | cut -d' ' -f1 | sort -V | tail -1
}
missing() {
    local postgis package
    postgis=$(newest_postgis)
    for package in "${postgis:-postgresql-postgis}" ${postgis:+"${postgis%-postgis-3}"} \
        chromium gdal-bin python3-qgis fonts-dejavu-core; do
        installed "$package" || echo "$package"
    done
}

if [ -z "$(missing)" ]; then
    echo "System packages are present."
    exit 0
fi
if [ "$(id -u)" != 0 ]; then
    echo "Missing system packages; install them with: sudo apt-get install" $(missing)
    exit 0
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
# shellcheck disable=SC2046  # one word a package is meant
apt-get install -q -y --no-install-recommends $(missing)
