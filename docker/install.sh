#!/bin/sh
# How every environment is filled, in one place:
#   install.sh lock LOCK            install a hashed lock
#   install.sh build LOCK WHEELS    turn a hashed lock, sdists included, into a folder of wheels
#   install.sh wheels WHEELS        install such a folder
#   install.sh compile              renew the byte code, as lock and wheels do at their end
# Into $EDGEWRIGHT_ENV, or /opt/env in an image. Nothing comes in that the lock does not name (--no-deps) or without its hash;
# byte code carries no time stamp; a corporate CA or pip.conf is there only while this runs.
set -eu
env=${EDGEWRIGHT_ENV:-/opt/env}
[ -f /run/secrets/ca ] && export PIP_CERT=/run/secrets/ca SSL_CERT_FILE=/run/secrets/ca
[ -f /run/secrets/pip_conf ] && export PIP_CONFIG_FILE=/run/secrets/pip_conf
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PIP_PROGRESS_BAR=off PYTHONDONTWRITEBYTECODE=1
# Several GB through a slow proxy are common: more than the 15 s that pip waits by itself.
export PIP_DEFAULT_TIMEOUT=120
# The Dockerfiles mount a cache of downloads there; it never becomes part of an image.
[ -d /var/cache/pip ] && export PIP_CACHE_DIR=/var/cache/pip
umask 022
[ -x "$env/bin/python" ] || python3 -m venv "$env"

case $1 in
lock) "$env/bin/python" -m pip install --no-deps --no-compile --require-hashes -r "$2" ;;
wheels) "$env/bin/python" -m pip install --no-deps --no-compile --no-index "$2"/*.whl ;;
build)
    # A compiler from PyPI, pinned by hash like all else, for a plain x86-64 and not for the CPU that happens to build.
    # Debian's Python.h looks for one of its own headers below /usr/include; it comes last, so that the C library's stay the compiler's.
    export CC="$env/bin/python -m ziglang cc -target x86_64-linux-gnu -idirafter /usr/include"
    # These replace the flags that Python was built with (-DNDEBUG -fwrapv -O3): without -O zig optimises nothing and traps on what C
    # leaves undefined. -g0: debug information would carry pip's random folder names into the wheel.
    export LDSHARED="$CC -shared -s" CFLAGS="-O3 -DNDEBUG -fwrapv -fno-sanitize=undefined -g0"
    export ZIG_GLOBAL_CACHE_DIR="${TMPDIR:-/tmp}/zig"
    "$env/bin/python" -m pip wheel --no-deps --no-build-isolation --no-cache-dir --require-hashes -r "$2" -w "$3"
    exit
    ;;
esac
# With a read-only root nothing can be cached later. -f: venv itself has compiled pip, with time stamps. -W ignore: a warning loads
# modules into the worker that shows it, and byte code depends on which names its process knows; without, any worker gives the same.
"$env/bin/python" -W ignore -m compileall -q -f -j 0 --invalidation-mode unchecked-hash "$env/lib"
