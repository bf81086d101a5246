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
# pip's variables (PIP_INDEX_URL and all others that begin with PIP_) and those of a proxy are handed in.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/shell.sh"
suite=bookworm # the Debian release
mirror= # where debootstrap takes it from; without it, debootstrap's own default
folder= # where it is made, and kept for the next run; without it, in a temporary folder, which is deleted
commands="bash demo/run.sh && bash test/run_tests.sh" # what is run there, in a copy of this repository
share= # folders that are seen there too, for reading, such as a folder of packages or one of pip's settings
container= # as in a container: for root, in /opt/r2plus1d, with nothing installed (cluster/try_dockerfile.sh)
parse_options "suite mirror folder commands share container+" "$@"
[ "$(id -u)" -eq 0 ] || usage "only root can make and enter another Debian: run it with sudo"
for program in debootstrap unshare chroot; do
    command -v "$program" >/dev/null || usage "no $program on this machine (Debian: apt install debootstrap util-linux)"
done
for shared in $share; do
    [[ $shared == /* && -d $shared ]] || usage "--share $shared: no such folder; give its whole path"
done
owner=1000:1000 home=/home/user copy=/home/user/r2plus1d packages=python3,python3-venv,git,ca-certificates
if [ -n "$container" ]; then
    owner=0:0 home=/root copy=/opt/r2plus1d packages=
fi
if [ -n "$folder" ]; then
    own_folder "$folder" .r2plus1d_fresh_debian
    debian=$(realpath -- "$folder")
else
    debian=$(mktemp -d)
    trap 'rm -rf --one-file-system "$debian"' EXIT
fi
if [ ! -x "$debian/usr/bin/apt-get" ]; then
    say "make a fresh Debian $suite in $debian"
    debootstrap --variant=minbase ${packages:+"--include=$packages"} "$suite" "$debian" ${mirror:+"$mirror"} \
        >"$debian/debootstrap.log" || usage "debootstrap failed; see $debian/debootstrap.log"
fi
# The network as this machine has it, and the repository as git has it, with changes that are not committed.
cp -L /etc/resolv.conf /etc/hosts "$debian/etc/"
variables=("HOME=$home" PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8
    DEBIAN_FRONTEND=noninteractive)
for name in $(compgen -e | grep -iE '^PIP_|^(http|https|no|all)_proxy$|^SSL_CERT_FILE$'); do
    variables+=("$name=${!name}")
    [[ $name != *CERT* ]] || install -D "${!name}" "$debian${!name}"
done
grep -q '^user:' "$debian/etc/passwd" || echo 'user:x:1000:1000::/home/user:/bin/bash' >>"$debian/etc/passwd"
rm -rf --one-file-system "${debian:?}$home" "${debian:?}$copy"
mkdir -p "$debian$home" "$debian$copy"
(cd "$root" && git ls-files -co --exclude-standard -z | while IFS= read -r -d '' file; do
    [ ! -f "$file" ] || cp -p --parents "$file" "$debian$copy"
done)
chown -R "$owner" "$debian$home" "$debian$copy"

# enter VARIABLE…: runs the commands there. What is mounted is seen by it alone, and goes with it.
enter() {
    set -e
    mount -t proc proc "$debian/proc"
    mount -o ro -t sysfs sysfs "$debian/sys"
    mkdir -p "$debian/dev/shm"
    mount -t tmpfs -o mode=1777 tmpfs "$debian/dev/shm"
    for path in $share; do
        mkdir -p "$debian$path"
        mount --bind "$path" "$debian$path"
        mount -o remount,bind,ro "$debian$path"
    done
    # shellcheck disable=SC2016 # for the shell there
    exec env -i "$@" "$(command -v chroot)" "--userspec=$owner" "$debian" bash -c \
        'cd "$1" && if command -v git >/dev/null; then git init -q && git add -A; fi && bash -c "$2"' fresh_debian \
        "$copy" "$commands"
}
export debian share owner copy commands
export -f enter
say "in it: $commands"
unshare --mount --propagation private bash -c 'enter "$@"' enter "${variables[@]}" || fail "see above"
echo success
