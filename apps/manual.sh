#!/bin/sh
# The manual page of a program, made of what its --help says, in troff.
#
#   sh apps/manual.sh build/apps/trm_eval | man -l -
#
# A program with a list "Commands:" gets a section for each of them, from COMMAND --help.
set -eu
program=$1
name=${program##*/}
unset ARGP_HELP_FMT

# Text as it stands, whatever troff would see in it.
literal() {
    sed -e 's/[[:space:]]*$//' -e 's/\\/\\e/g' -e 's/-/\\-/g' -e "s/^[.']/\\\\\&&/"
}

# section TITLE: what comes in, line by line
section() {
    printf '.SH %s\n.nf\n' "$1"
    literal
    printf '.fi\n'
}

help=$("$program" --help)
# The first paragraph says how the program is called and then what it does.
usage=$(printf '%s\n' "$help" | sed -n '/^Usage:\|^  or:/p')
does=$(printf '%s\n' "$help" | sed '/^Usage:\|^  or:/d; /^$/,$d')
rest=$(printf '%s\n' "$help" | sed '1,/^$/d')
commands=$(printf '%s\n' "$rest" | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p')

printf '.TH %s 1 "" "%s"\n' "$(printf '%s' "$name" | tr '[:lower:]' '[:upper:]')" \
    "$("$program" --version | sed 's/.*(\(.*\))/\1/')"
printf '.SH NAME\n%s \\- %s\n' "$name" "$(printf '%s' "$does" | tr '\n' ' ' | sed 's/[.:,;].*//' | literal)"
printf '%s\n' "$usage" | sed 's/^Usage: *//; s/^  or: *//' | section SYNOPSIS
printf '.SH DESCRIPTION\n'
printf '%s\n' "$does" | literal
printf '%s\n' "$rest" | section OPTIONS
for command in $commands; do
    "$program" "$command" --help | section "$name $command"
done
