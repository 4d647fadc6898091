#!/usr/bin/env bash
# Prints the path of a Python 3.12 or newer that really answers (version-manager shims may not).
set -euo pipefail

answers() {
    "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 12))' >/dev/null 2>&1
}

pyenv_roots() {
    echo "${PYENV_ROOT:-}"
    echo "${HOME:-}/.pyenv"
    pyenv root 2>/dev/null || true
    # A HOME that is not the one pyenv was installed in: its own folders still stand in PATH.
    tr ':' '\n' <<<"$PATH" | sed -n -e 's,/shims/*$,,p' -e 's,\(/\.pyenv\)/bin/*$,\1,p'
}

candidates() {
    local name root
    for name in "${GEOINFRA_PYTHON:-}" python3.13 python3.12 python3 python; do
        [ -z "$name" ] || command -v "$name" || true
    done
    pyenv_roots | sort -u | while read -r root; do
        [ -z "$root" ] || ls -1d "$root"/versions/3.1[23]*/bin/python 2>/dev/null | sort -rV || true
    done
}

while read -r python; do
    if answers "$python"; then
        "$python" -c 'import os, sys; print(os.path.realpath(sys.executable))'
        exit 0
    fi
done < <(candidates)

cat >&2 <<'MESSAGE'
geoinfra needs Python 3.12 or 3.13, and none was found that answers.
Install one, for instance:   apt-get install python3 python3-venv   (Debian 13, Ubuntu 24.04)
                             brew install python@3.13               (macOS)
                             pyenv install 3.13                     (anywhere)
or name it:                  GEOINFRA_PYTHON=/path/to/python3.13 make setup
MESSAGE
exit 1
