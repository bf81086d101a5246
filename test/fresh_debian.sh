#!/usr/bin/env bash
# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
#
# The README's two commands on a fresh Debian, on which only python3, python3-venv and git were installed. For root: the
# Debian is made by debootstrap in a folder, and entered by chroot, as an ordinary user.
#
#     bash test/fresh_debian.sh
#     bash test/fresh_debian.sh --suite trixie --commands "bash test/run_tests.sh -k errors"
#
# --suite       the Debian release
# --mirror      where debootstrap takes it from; without it, debootstrap's own default
# --folder      where it is made, and kept for the next run; without it, in a temporary folder, which is deleted
# --commands    what is run there, in a copy of this repository
# --share       folders that are seen there too, for reading, such as a folder of packages or one of pip's settings
#
# pip's variables (PIP_INDEX_URL and all others that begin with PIP_) and those of a proxy are handed in.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/shell.sh"
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

suite=bookworm
mirror=
folder=
commands="bash demo/run.sh && bash test/run_tests.sh"
share=
parse_options "suite mirror folder commands share" "$@"
[ "$(id -u)" -eq 0 ] || usage "only root can make and enter another Debian: run it with sudo"
for program in debootstrap unshare chroot; do
    command -v "$program" >/dev/null || usage "no $program on this machine (Debian: apt install debootstrap util-linux)"
done
for shared in $share; do
    [[ $shared == /* && -d $shared ]] || usage "--share $shared: no such folder; give its whole path"
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
    [ -n "$folder" ] || rm -rf --one-file-system "$debian"
    if [ "$status" -eq 0 ]; then
        echo success
    else
        echo 'fail!' >&2
    fi
}

make_debian() {
    if [ -x "$debian/usr/bin/git" ]; then
        say "$debian is used again"
        return
    fi
    say "make a fresh Debian $suite in $debian"
    debootstrap --variant=minbase --include=python3,python3-venv,git,ca-certificates "$suite" "$debian" \
        ${mirror:+"$mirror"} >"$debian/debootstrap.log" || usage "debootstrap failed; see $debian/debootstrap.log"
}

# The network as this machine has it, and a user with a fresh home and a copy of the repository, as git has it, with
# changes that are not committed.
furnish_debian() {
    local file
    for file in /etc/resolv.conf /etc/hosts "${PIP_CERT:-}" "${SSL_CERT_FILE:-}"; do
        if [ -f "$file" ]; then
            mkdir -p "$debian$(dirname "$file")"
            cp -L "$file" "$debian$file"
        fi
    done
    rm -rf --one-file-system "$home"
    mkdir -p "$home/r2plus1d"
    (cd "$root" && git ls-files -co --exclude-standard -z | while IFS= read -r -d '' file; do
        if [ -f "$file" ]; then
            cp -p --parents "$file" "$home/r2plus1d"
        fi
    done)
    chown -R 1000:1000 "$home"
    mount_in -t proc proc "$debian/proc"
    mount_in -o ro -t sysfs sysfs "$debian/sys"
    mount_in -t tmpfs -o mode=1777 tmpfs "$debian/dev/shm"
    for file in $share; do
        mount_in --bind "$file" "$debian$file"
        mount -o remount,bind,ro "$debian$file"
    done
}

run_commands() {
    local name variables=()
    for name in $(compgen -e | grep -iE '^PIP_|^(http|https|no|all)_proxy$|^SSL_CERT_FILE$'); do
        variables+=("$name=${!name}")
    done
    # shellcheck disable=SC2016 # for the shell there
    env -i PATH=/usr/local/bin:/usr/bin:/bin HOME=/home/user USER=user LANG=C.UTF-8 ${variables[@]+"${variables[@]}"} \
        "$(command -v chroot)" --userspec=1000:1000 "$debian" bash -c \
        'cd ~/r2plus1d && git init -q && git add -A && bash -c "$1"' fresh_debian "$commands"
}

if [ -n "$folder" ]; then
    own_folder "$folder" .r2plus1d_fresh_debian
    debian=$(realpath -- "$folder")
else
    debian=$(mktemp -d)
fi
home=$debian/home/user
trap leave EXIT
make_debian
furnish_debian
say "in it: $commands"
run_commands
