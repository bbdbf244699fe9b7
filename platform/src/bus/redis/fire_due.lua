-- Moves what is due from the delay queue into its stream, earliest first.
-- One script, hence atomic: a timer is in the queue or in the stream.
-- KEYS: the delay queue, then the stream's partitions from 0 up.
-- ARGV: now (unix ms), at most how many.
-- Gives how many were moved, then when the next one is due, if any is left.
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'WITHSCORES', 'LIMIT', 0, ARGV[2])
for i = 1, #due, 2 do
  -- A member is "<partition> {…}"; its score is the due time.
  local partition, key = string.match(due[i], '^(%d+) (.*)}$')
  redis.call('XADD', KEYS[tonumber(partition) + 2], '*', 'e', key .. ',"due":' .. due[i + 1] .. '}')
  redis.call('ZREM', KEYS[1], due[i])
end
return { #due / 2, redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2] }
