# The watchdog of one child process and its folder ($1). Reads lines `pid signal`, of which the last
# one stands (an empty one: no child), until the pipe closes, which means that the test process is
# gone. Then: signal the child's process group, wait for it (10 s, then KILL), remove the folder.

# A zombie that nobody reaps, as in a container without an init, is not alive.
alive() {
  kill -s 0 -- "-$pid" 2>/dev/null || return 1
  [ -r "/proc/$pid/stat" ] || return 0
  read -r stat <"/proc/$pid/stat" || return 1
  case "${stat##*) }" in Z* | X*) return 1 ;; esac
}

pid=
while read -r next_pid next_signal; do pid=$next_pid signal=$next_signal; done
if [ -n "$pid" ]; then
  kill -s "$signal" -- "-$pid" 2>/dev/null
  tries=0
  while alive && [ $tries -lt 500 ]; do sleep 0.02; tries=$((tries + 1)); done
  kill -s KILL -- "-$pid" 2>/dev/null
fi
# Again, for what its last moments wrote meanwhile.
tries=0
until rm -rf -- "$1" 2>/dev/null || [ $tries -ge 500 ]; do sleep 0.02; tries=$((tries + 1)); done
