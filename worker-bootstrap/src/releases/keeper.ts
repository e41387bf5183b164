/** What keeps the agent running where no service manager does: a shell that costs a megabyte, not a Node that costs forty. */

/** An agent that ends so asks to be started anew: a new release is to run. EX_TEMPFAIL of sysexits.h. */
export const startAnew = 75;
/** An agent that ends so cannot run as it is configured. */
export const misconfigured = 2;

/**
 * POSIX sh; run as `keep.sh STATE COMMAND…`. Ends when the agent has ended in good order, or cannot run at all; starts it
 * anew after anything else. A release on trial is always started anew: what starts it knows when to give it up.
 * The agent is told who keeps it, and ends, its Ray nodes left running, when that one has gone.
 */
export const keeperScript = `#!/bin/sh
state=$1
shift
ending=
agent=
trap 'ending=1; [ -z "$agent" ] || kill -TERM "$agent" 2>/dev/null' TERM HUP
# Ctrl-C reaches the agent by itself.
trap 'ending=1' INT
while :; do
  "$@" --keeper "$$" &
  agent=$!
  # A signal cuts a wait short.
  while :; do
    wait "$agent"
    code=$?
    kill -0 "$agent" 2>/dev/null || break
  done
  [ -z "$ending" ] || exit "$code"
  [ "$code" != 0 ] || exit 0
  if [ "$code" = ${misconfigured} ] && grep -q '"trial": null' "$state"; then exit "$code"; fi
  [ "$code" = ${startAnew} ] || sleep 2
done
`;
