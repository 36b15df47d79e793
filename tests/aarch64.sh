#!/bin/sh
# Builds Reel for AArch64 with Debian's cross compiler and runs its tests under qemu.
#
#   sh tests/aarch64.sh [test ...]
#
# Compiler and qemu are installed where they are missing. The arm64 libraries are not: they are unpacked into
# build-aarch64-sysroot, so that the system knows one architecture as before.
#
# Without names, all tests run but the scripts in $slow, which takes a quarter of an hour on two cores. Scripts call
# the programs themselves, which takes a kernel that hands them to qemu (binfmt_misc; with systemd, installing
# qemu-user-static sees to it). Where it does not, they are left out, and the script says so.
set -u
cd "$(dirname "$0")/.." || exit 1
. apps/setup.sh

# Emulation is slow, by a factor of 30. These scripts train so often that each takes many minutes.
timeout_multiplier=20
slow='train resume eval solve configs faults bad_days kill_and_resume'

sysroot=$PWD/build-aarch64-sysroot
folder=build-test-aarch64

# The libraries among the packages of a build.
arm64_packages() {
    for package in $build_packages $speed_packages; do
        case $package in
        *-dev) printf '%s ' "$package" ;;
        esac
    done
    printf check
}

# Unpacks packages and all that they need, fetched by an apt that knows arm64 alone and has nothing installed.
unpack() {
    [ "$(cat "$sysroot/unpacked" 2>/dev/null)" != "$*" ] || return 0
    say "Unpacking $* for arm64"
    rm -rf "$sysroot"
    mkdir -p "$sysroot/apt/lists/partial" "$sysroot/apt/archives/partial" || return
    : >"$sysroot/apt/status"
    cat >"$sysroot/apt/apt.conf" <<EOF
APT::Architecture "arm64";
APT::Architectures "arm64";
Dir::State "$sysroot/apt";
Dir::State::status "$sysroot/apt/status";
Dir::Cache "$sysroot/apt";
EOF
    quietly env APT_CONFIG="$sysroot/apt/apt.conf" sh -c \
        'apt-get update && exec apt-get install -y --download-only --no-install-recommends "$@"' sh "$@" || return
    for archive in "$sysroot"/apt/archives/*.deb; do
        dpkg -x "$archive" "$sysroot" || return
    done
    printf "[constants]\nsysroot = '%s'\n" "$sysroot" >"$sysroot/sysroot.ini"
    printf '%s\n' "$*" >"$sysroot/unpacked"
}

build() {
    [ -f "$folder/build.ninja" ] ||
        quietly meson setup "$folder" --cross-file "$sysroot/sysroot.ini" --cross-file tests/aarch64.ini \
            -Dwerror=true -Dtests=enabled || return
    quietly ninja -C "$folder"
}

is_script() {
    [ -f "tests/$1.sh" ] || [ -f "tests/test_$1.sh" ]
}

# Prints the tests to run; those that are not are named on stderr.
chosen() {
    scripts_run=yes left_out=
    "$folder/apps/trm_train" --version >/dev/null 2>&1 || scripts_run=no
    for name in $(meson test -C "$folder" --no-rebuild --list); do
        case " $slow " in
        *" $name "*) runs=no ;;
        *) runs=yes ;;
        esac
        [ "$scripts_run" = yes ] || ! is_script "$name" || runs=no
        if [ "$runs" = yes ]; then
            say "$name"
        else
            left_out="$left_out $name"
        fi
    done
    [ "$scripts_run" = yes ] || say "This kernel runs no programs of AArch64 by itself, so no scripts are run." >&2
    say "Left out:$left_out" >&2
}

# shellcheck disable=SC2086 # a list of names
need_packages $build_packages gcc-aarch64-linux-gnu qemu-user-static
# shellcheck disable=SC2046 # a list of names
unpack $(arm64_packages) || die "The libraries for arm64 could not be unpacked."
build || die "The build failed."
export QEMU_LD_PREFIX="$sysroot"
# shellcheck disable=SC2046 # a list of names
[ $# -gt 0 ] || set -- $(chosen)
exec meson test -C "$folder" --no-rebuild --print-errorlogs --timeout-multiplier "$timeout_multiplier" "$@"
