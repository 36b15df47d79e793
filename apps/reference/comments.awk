# Shows the comments of a public header to Doxygen. The headers are written to be read as they are, with plain
# comments; here a comment becomes Doxygen's where its place says what it is about, line by line, so that
# warnings name the right line:
#
#   the first of the file             is about the file
#   /* ---- title ---- */             begins a group of declarations
#   behind code, on the same line     is about what stands before it
#   any other                         is about what follows it
#
# Of members of a struct and of constants that are declared together, the comment is about each, and one that
# has none says all by its name. Lines that are indented within a comment are shown as they are. Names of Reel's
# become links, so that one that does not exist is a warning.

# Puts `before` and `after` around each match, which loses `inset` characters at both ends.
function replace_each(text, pattern, before, after, inset,    out) {
    out = ""
    while (match(text, pattern)) {
        out = out substr(text, 1, RSTART - 1) before \
            substr(text, RSTART + inset, RLENGTH - 2 * inset) after
        text = substr(text, RSTART + RLENGTH)
    }
    return out text
}

# Text of a comment as Doxygen must have it to show the same characters. `in_code` outlives the line.
function escape(text,    part, parts, i, out) {
    gsub(/[\\@&<>#%$]/, "\\\\&", text)
    parts = split(text, part, "`")
    for (i = 1; i <= parts; i++) {
        if (i > 1) {
            out = out (in_code ? "</code>" : "<code>")
            in_code = !in_code
        }
        if (!in_code) {
            part[i] = replace_each(part[i], "\\*[a-z]+\\*", "<em>", "</em>", 1)
            part[i] = replace_each(part[i], "(reel|REEL)_[A-Za-z0-9_]*[A-Za-z0-9]", "#", "", 0)
        }
        out = out part[i]
    }
    return out
}

# One line of a comment, its text without the frame of stars. What is indented is kept as it is, between
# \verbatim on the line before and \endverbatim on the line behind.
function comment_line(text) {
    if (text ~ /^  / && !first_line) {
        if (!verbatim)
            held = held " \\verbatim"
        verbatim = 1
        hold(text)
    } else {
        if (verbatim && text ~ /[^ ]/) {
            held = held " \\endverbatim"
            verbatim = 0
        }
        hold(verbatim ? text : escape(text))
    }
    about = about " " held
    first_line = 0
}

# Lines are printed one late, so that the next can add to them.
function hold(line) {
    if (holding)
        print held
    held = line
    holding = 1
}

function end_comment(    i) {
    if (verbatim)
        held = held " \\endverbatim"
    verbatim = 0
    if (about_file)
        held = held " \\file"
    held = held " */" rest
    about_file = in_comment = 0
    for (i = 2; i <= member_count; i++)
        held = held " " member[i] " /**< " about " */"
    member_count = 0
}

# Splits members that are declared together, "int64_t *a, b;", into declarations.
function split_members(code,    type, i) {
    match(code, /^ *(const |unsigned )*[a-z0-9_]+ /)
    type = substr(code, 1, RLENGTH)
    member_count = split(substr(code, RLENGTH + 1), member, /, */)
    for (i = 1; i <= member_count; i++) {
        sub(/;.*/, "", member[i])
        member[i] = type member[i] ";"
    }
}

function is_member(code) {
    return in_struct && !commented && code ~ /;/ && code !~ /[()]/
}

function is_enum_in_one_line(code) {
    return code ~ /^(typedef )?enum .*\{.*\}/
}

# Gives each constant of an enum in one line its text: the comment, where the enum has no name to bear it.
function explain_constants(code, text,    at) {
    at = index(code, "{")
    return substr(code, 1, at) replace_each(substr(code, at + 1), constant, "", " /**< " text " */", 0)
}

# Splits what follows the beginning of a comment on its line: `body` is of it, `rest` behind it. True where it
# ends there.
function ends(text,    at) {
    at = index(text, "*/")
    rest = at ? substr(text, at + 2) : ""
    body = at ? substr(text, 1, at - 1) : text
    sub(/ +$/, "", body)
    return at
}

BEGIN {
    about_file = 1
    no_text = "&zwj;"
    constant = "REEL_[A-Z0-9_]+( = [^,}]*[^,} ])?"
}

in_comment {
    done = ends($0)
    sub(/^ *\*? ?/, "", body)
    comment_line(body)
    if (done)
        end_comment()
    next
}

/^\/\* ---- / {
    title = $0
    gsub(/^\/\* -+ | ?-*( \*\/)?$/, "", title)
    hold((in_group ? "/** \\} */ " : "") "/** \\name " escape(title) " */")
    skip_end = $0 !~ /\*\/$/
    in_group = open_group = 1
    next
}

# clang-format may put the end of such a line on the next.
skip_end {
    skip_end = 0
    hold("")
    next
}

open_group && $0 == "" {
    open_group = 0
    hold("/** \\{ */")
    next
}

index($0, "/*") && !/clang-format/ {
    at = index($0, "/*")
    code = substr($0, 1, at - 1)
    done = ends(substr($0, at + 2))
    sub(/^ /, "", body)
    about = ""
    if (is_enum_in_one_line(code)) {
        hold(explain_constants(code, escape(body)) rest)
        next
    }
    if (is_member(code)) {
        split_members(code)
        code = member[1]
    }
    in_code = 0
    first_line = in_comment = 1
    commented = code !~ /[^ ]/
    comment_line(body)
    held = code (code ~ /[^ ]/ ? "/**< " : "/** ") held
    if (done)
        end_comment()
    next
}

/^typedef struct .*\{$/ { in_struct = 1 }

/^}/ { in_struct = 0 }

{
    if (is_member($0)) {
        split_members($0)
        about = no_text
        hold(member[1] " /**< " about)
        rest = ""
        end_comment()
    } else if (is_enum_in_one_line($0))
        hold(explain_constants($0, /^enum/ && commented ? about : no_text))
    else if ($0 ~ "^ +" constant ",?$")
        hold($0 " /**< " no_text " */")
    else
        hold($0)
    commented = 0
}

END {
    print held
    if (in_group)
        print "/** \\} */"
}
