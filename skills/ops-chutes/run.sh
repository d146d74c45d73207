#!/bin/sh
# Chutes.ai for agents and scripts: `run.sh COMMAND …` calls `ripcord COMMAND …`.
#
# It stands where an older script of this name stood and takes the same commands, flags and variables. What differs
# is in SKILL.md. Plain POSIX sh; the only program it needs besides ripcord is awk, for two reports.
set -u

fail() {
    code=$1
    shift
    printf '%s\n' "$@" >&2
    exit "$code"
}

usage() {
    cat <<'TEXT'
usage: run.sh COMMAND [ARGUMENTS]

  status [--all|--mine]              which models are up, and is it down?
  usage [--chute-id ID] [--json]     plan, windows with their resets, balance
  models [--query TEXT] [--owner E] [--modality KIND] [--feature F] [--json]
  model-health MODEL                 hot, busy, cold or down, with the evidence
  recommend MODEL [--json]           stay with this variant, or switch to which
  sanity [MODEL]                     one tiny real answer (one request unit)
  budget-check                       exit 0 if there is budget, 1 if not
  can-complete CALLS                 exit 0 if so many calls fit, 1 if not
  wait-for-reset [--timeout SECONDS] return when there is budget again
  slots                              who holds the slots of this machine
  acquire [--timeout SECONDS] [-- COMMAND …]
                                     hold a slot while COMMAND (or this) runs

Every other command of ripcord works, too: doctor, probe, config …
Exit codes: 0 yes or done, 1 no, 2 wrong usage, 3 could not be found out,
127 ripcord is not there.
TEXT
}

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd) || exit 127

# The program: where RIPCORD_BIN says, beside this script, on the PATH, or built in the checkout around it.
find_ripcord() {
    if [ -n "${RIPCORD_BIN:-}" ]; then
        command -v -- "$RIPCORD_BIN" && return
        fail 127 "error: RIPCORD_BIN is \`$RIPCORD_BIN\`, and there is no such program"
    fi
    for candidate in "$here/ripcord" ripcord "$here/../../target/release/ripcord"; do
        command -v -- "$candidate" && return
    done
    fail 127 \
        'error: ripcord is not installed' \
        'hint: put it on the PATH or beside this script, or name it in RIPCORD_BIN' \
        'hint: from a checkout: cargo install --path crates/cli'
}

# Whether one of the arguments is this flag, alone or with its value behind `=`.
has() {
    flag=$1
    shift
    for argument; do
        case $argument in
        --) return 1 ;;
        "$flag" | "$flag"=*) return 0 ;;
        esac
    done
    return 1
}

# The report of a command with members put before its own, so that those who read the older script's keys find them.
with_older_keys() {
    program=$1
    shift
    report=$("$ripcord" "$@")
    code=$?
    [ -n "$report" ] && printf '%s\n' "$report" | awk "$program"
    exit "$code"
}

# Of the first account: its day, or the own quota of a chute where --chute-id asks for one.
# shellcheck disable=SC2016 # awk's variables
usage_keys='
    function value(line) { sub(/^[^:]*: */, "", line); sub(/,$/, "", line); return line }
    { lines[NR] = $0 }
    /^    }/ { over = 1 }
    over { next }
    /^          "window": / { window = value($0); wanted = window == "\"day\"" && !own || window == "\"chute\"" }
    wanted && window == "\"chute\"" { own = 1 }
    wanted && /^          "used": / { used = value($0) }
    wanted && /^          "cap": / { quota = value($0) }
    wanted && /^          "remaining": / { remaining = value($0) }
    wanted && /^          "resets_at": / { at = value($0) }
    wanted && /^          "resets_in_seconds": / { seconds = value($0) }
    /^      "balance_usd": / { balance = value($0) }
    function known(text) { return text == "" ? "null" : text }
    END {
        print "{"
        printf "  \"used\": %s,\n  \"quota\": %s,\n  \"remaining\": %s,\n", known(used), known(quota), known(remaining)
        printf "  \"balance\": %s,\n", known(balance)
        printf "  \"reset_in_seconds\": %s,\n  \"reset_at_utc\": %s,\n", known(seconds), known(at)
        for (line = 2; line <= NR; line++) print lines[line]
    }'

# shellcheck disable=SC2016 # awk's variables
recommend_keys='
    function value(line) { sub(/^[^:]*: */, "", line); sub(/,$/, "", line); return line }
    { lines[NR] = $0 }
    /^  "model": / { current = value($0) }
    /^  "advice": / { action = value($0) }
    /^  "recommended": / { best = value($0) }
    /^  "why": / { reason = value($0) }
    END {
        print "{"
        printf "  \"current\": %s,\n  \"best\": %s,\n  \"action\": %s,\n", current, best, action
        if (action == "\"switch\"") printf "  \"switch_to\": %s,\n", best
        printf "  \"reason\": %s,\n", reason
        for (line = 2; line <= NR; line++) print lines[line]
    }'

case ${1:-} in
'')
    usage >&2
    exit 2
    ;;
-h | --help | help)
    usage
    exit 0
    ;;
esac

ripcord=$(find_ripcord) || exit 127

case $1 in
usage)
    has --json "$@" && with_older_keys "$usage_keys" "$@"
    ;;
recommend)
    # The older script asked each variant for its latency unless told not to. Ripcord never asks.
    skipped=
    for argument; do
        shift
        [ "$argument" = --skip-ping ] && [ -z "$skipped" ] && skipped=yes && continue
        set -- "$@" "$argument"
    done
    has --json "$@" && with_older_keys "$recommend_keys" "$@"
    ;;
wait-for-reset)
    # As long as a day, unless the caller says otherwise.
    has --timeout "$@" || set -- "$@" --timeout 86400
    ;;
acquire)
    shift
    has --timeout "$@" || set -- --timeout 90 "$@"
    # Without a command the slot is held until this process is told to stop; the line on stdout says that it is held.
    held=
    for argument; do
        [ "$argument" = -- ] && held=given
    done
    # shellcheck disable=SC2016 # for the inner shell
    [ -n "$held" ] || set -- "$@" -- sh -c 'printf "%s\n" "$RIPCORD_ACCOUNT"; exec sleep 2147483647'
    set -- acquire "$@"
    ;;
release)
    # A slot is free as soon as its holder is gone: there is nothing to give back, only something to see.
    shift
    set -- slots "$@"
    ;;
esac

exec "$ripcord" "$@"
