#!/bin/sh
# Builds Reel for AArch64 with Debian's cross compiler and runs its tests under qemu, which takes half an hour.
#
#   sh tests/aarch64.sh [test ...]
#
# Compiler and qemu are installed where they are missing. The arm64 libraries are not: they are unpacked into
# build-aarch64-sysroot, so that the system knows one architecture as before.
#
# Tests that are scripts call the programs themselves, which takes a kernel that hands them to qemu (binfmt_misc;
# with systemd, installing qemu-user-static sees to it). Where it does not, these tests are left out, by name.
set -u
cd "$(dirname "$0")/.." || exit 1
. apps/setup.sh

# Emulation is slow.
timeout_multiplier=20

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

# Prints the tests to run; those that cannot are named on stderr.
runnable() {
    if "$folder/apps/trm_train" --version >/dev/null 2>&1; then
        meson test -C "$folder" --no-rebuild --list
        return
    fi
    left_out=
    for name in $(meson test -C "$folder" --no-rebuild --list); do
        if [ -f "tests/$name.sh" ] || [ -f "tests/test_$name.sh" ]; then
            left_out="$left_out $name"
        else
            say "$name"
        fi
    done
    say "Left out, since this kernel runs no programs of AArch64:$left_out" >&2
}

# shellcheck disable=SC2086 # a list of names
need_packages $build_packages gcc-aarch64-linux-gnu qemu-user-static
# shellcheck disable=SC2046 # a list of names
unpack $(arm64_packages) || die "The libraries for arm64 could not be unpacked."
build || die "The build failed."
export QEMU_LD_PREFIX="$sysroot"
# shellcheck disable=SC2046 # a list of names
[ $# -gt 0 ] || set -- $(runnable)
exec meson test -C "$folder" --no-rebuild --print-errorlogs --timeout-multiplier "$timeout_multiplier" "$@"
