#!/usr/bin/env bash
# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
#
# Runs the RUN lines of cluster/Dockerfile, in their order, on a fresh Debian instead of a container, for a machine that
# has no container engine. For root: the Debian is made by debootstrap in a temporary folder, and entered by chroot.
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
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

suite=bookworm
mirror=
share=
then="python r2plus1d_predict.py --help && ray --version"
parse_options "suite mirror share then" "$@"
[ "$(id -u)" -eq 0 ] || usage "only root can make and enter another Debian: run it with sudo"
for program in debootstrap unshare chroot; do
    command -v "$program" >/dev/null || usage "no $program on this machine (Debian: apt install debootstrap util-linux)"
done
# What is mounted below is seen by this process and its children alone, and goes with them.
if [ -z "${R2PLUS1D_OWN_MOUNTS:-}" ]; then
    R2PLUS1D_OWN_MOUNTS=yes exec unshare --mount --propagation private bash "$0" "$@"
fi

mounted=()

mount_in() {
    mkdir -p "${*: -1}"
    mount "$@"
    mounted+=("${*: -1}")
}

# The Debian is deleted only after everything mounted in it is away.
leave() {
    local status=$? i
    for ((i = ${#mounted[@]} - 1; i >= 0; i--)); do
        umount -l "${mounted[i]}"
    done
    rm -rf --one-file-system "$debian"
    if [ "$status" -eq 0 ]; then
        echo success
    else
        echo 'fail!' >&2
    fi
}

# What FROM and COPY do, with the network of this machine. git says which files there are; it leaves out more than
# .dockerignore does.
make_debian() {
    local file
    debootstrap --variant=minbase "$suite" "$debian" ${mirror:+"$mirror"} >"$debian.log" ||
        usage "debootstrap failed; see $debian.log"
    rm "$debian.log"
    for file in /etc/resolv.conf /etc/hosts; do
        cp -L "$file" "$debian$file"
    done
    # Under a name of its own, since the package ca-certificates writes the usual one anew.
    if [ -n "${PIP_CERT:-}" ]; then
        cp -L "$PIP_CERT" "$debian/root/pip_cert.crt"
    fi
    mkdir -p "$debian/opt/r2plus1d"
    (cd "$root" && git ls-files -co --exclude-standard -z | xargs -0 cp --parents -t "$debian/opt/r2plus1d")
    mount_in -t proc proc "$debian/proc"
    mount_in -o ro -t sysfs sysfs "$debian/sys"
    mount_in -t tmpfs -o mode=1777 tmpfs "$debian/dev/shm"
    for file in $share; do
        mount_in --bind "$file" "$debian$file"
        mount -o remount,bind,ro "$debian$file"
    done
}

# in_debian WORD…: a command there, with pip's variables and those of a proxy.
in_debian() {
    local name variables=()
    for name in $(compgen -e | grep -iE '^PIP_|^(http|https|no|all)_proxy$'); do
        variables+=("$name=${!name}")
    done
    [ -z "${PIP_CERT:-}" ] || variables+=(PIP_CERT=/root/pip_cert.crt)
    env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive \
        LANG=C.UTF-8 ${variables[@]+"${variables[@]}"} "$(command -v chroot)" "$debian" "$@"
}

debian=$(mktemp -d)
trap leave EXIT
say "make a fresh Debian $suite in $debian"
make_debian
count=0
while IFS= read -r line <&3; do
    count=$((count + 1))
    say "RUN $line"
    in_debian sh -c "cd /opt/r2plus1d && $line"
done 3< <(sed -n 's/^RUN //p' "$root/cluster/Dockerfile")
[ "$count" -gt 0 ] || usage "cluster/Dockerfile has no RUN line"
say "then: $then"
in_debian bash -lc "cd /opt/r2plus1d && $then"
