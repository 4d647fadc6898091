#!/usr/bin/env bash
# Fetches the browser libraries (exact versions) into the folder $1 and copies the files that are served to static/vendor/ below it.
set -euo pipefail
cd "$(dirname "$0")/../$1"
if [ ! -w "${HOME:-/nonexistent}" ]; then export npm_config_cache="$PWD/../../.tools/npm-cache"; fi

if ! { npm --version && node --version; } >/dev/null 2>&1; then
    cat >&2 <<'MESSAGE'
The map page needs Node.js 20 or newer with npm, once, to fetch its JavaScript libraries.
Install it, for instance:   apt-get install nodejs npm   (Debian, Ubuntu)   brew install node   (macOS)
MESSAGE
    exit 1
fi
npm ci --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error
node vendor.mjs
touch node_modules/.ready
