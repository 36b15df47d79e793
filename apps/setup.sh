# What the scripts that build share; they source it. POSIX sh.
# shellcheck shell=sh disable=SC2034

# What a build needs, and what makes it faster where it can be had: oneDNN.
build_packages='gcc libc6-dev meson ninja-build pkg-config libopenblas-dev libyaml-dev libcjson-dev libzip-dev libcurl4-openssl-dev'
speed_packages='libdnnl-dev'

say() {
    printf '%s\n' "$*"
}

die() {
    printf '%s\n' "$*" >&2
    exit 1
}

# Runs a command whose output interests only where it fails.
quietly() {
    log=$(mktemp) || return 1
    status=0
    "$@" >"$log" 2>&1 || status=$?
    [ "$status" -eq 0 ] || cat "$log" >&2
    rm -f "$log"
    return "$status"
}

have() {
    command -v "$1" >/dev/null 2>&1
}

is_root() {
    [ "$(id -u)" -eq 0 ]
}

# Installs packages; asks for the password once.
apt_install() {
    say "Installing $*"
    set -- env DEBIAN_FRONTEND=noninteractive sh -c \
        'apt-get update; exec apt-get install -y --no-install-recommends "$@"' sh "$@"
    is_root || set -- sudo "$@"
    quietly "$@"
}

# Prints those of the named packages that are not installed.
missing_of() {
    list=
    for package; do
        dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed ||
            list="$list${list:+ }$package"
    done
    printf '%s' "$list"
}

# Installs what is missing of the named packages, or says what to do and ends the script.
need_packages() {
    if ! have apt-get; then
        have meson && have ninja && return 0 # Meson names what it does not find
        die "This system has no apt-get. Reel needs what Debian calls: $*"
    fi
    missing=$(missing_of "$@")
    [ "$missing" ] || return 0
    is_root || have sudo || die "Missing packages. As root: apt-get install --no-install-recommends $missing"
    # shellcheck disable=SC2086 # a list of names
    apt_install $missing || die "apt-get could not install: $missing"
}

# The same for packages that Reel can do without.
want_packages() {
    have apt-get || return 0
    missing=$(missing_of "$@")
    [ "$missing" ] || return 0
    # shellcheck disable=SC2086 # a list of names
    if { is_root || have sudo; } && apt-cache show $missing >/dev/null 2>&1; then
        apt_install $missing 2>/dev/null && return 0
    fi
    say "Going on without $missing, which would make it faster"
}

there_is_gpu() {
    [ -e /dev/nvidia0 ] || nvidia-smi -L 2>/dev/null | grep -q '^GPU '
}

# Meson's options for this machine alone: CUDA for its GPU, where the driver says which, and none where there is no GPU.
# Machine code for every kind takes an hour.
gpu_options() {
    there_is_gpu || {
        printf '%s' -Dcuda=disabled
        return
    }
    nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null |
        sed -n '1{ s/[^0-9]//g; s/^90$/90,90a/; s/^./-Dgpu_architectures=&/p; }'
}
