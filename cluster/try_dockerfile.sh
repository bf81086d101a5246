#!/usr/bin/env bash
# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
#
# Runs the RUN lines of cluster/Dockerfile, in their order, on a fresh Debian instead of a container, for a machine that
# has no container engine. For root: test/fresh_debian.sh makes the Debian.
#
#     bash cluster/try_dockerfile.sh
#     bash cluster/try_dockerfile.sh --then "r2plus1d_predict.py --help"
#
# --suite     the Debian release, that of the Dockerfile's BASE
# --mirror    where debootstrap takes it from; without it, debootstrap's own default
# --share     folders that are seen there too, for reading, such as a folder of packages or one of pip's settings
# --then      what is run at the end, by a login shell as KubeRay's
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../test/shell.sh"
suite=bookworm
mirror=
share=
then="python r2plus1d_predict.py --help && ray --version"
parse_options "suite mirror share then" "$@"
commands=
while IFS= read -r line; do
    commands+="$(printf 'sh -c %q' "$line") && "
done < <(sed -n 's/^RUN //p' "$root/cluster/Dockerfile")
[ -n "$commands" ] || usage "cluster/Dockerfile has no RUN line"
exec bash "$root/test/fresh_debian.sh" --container --suite "$suite" --mirror "$mirror" --share "$share" \
    --commands "$commands$(printf 'bash -lc %q' "cd /opt/r2plus1d && $then")"
