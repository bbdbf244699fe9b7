-- Takes from other consumers of the group what they left, and removes the names
-- of those who left nothing. (A consumer that is removed while it has pending
-- entries takes them with it: hence one script.)
-- KEYS: the partition.
-- ARGV: the group, the consumer that takes over, how long (ms) an entry must
--       have been left alone, at most how many entries.
-- Gives the entries, in the form of XRANGE.
local taken = {}
for _, flat in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local consumer = {}
  for i = 1, #flat, 2 do
    consumer[flat[i]] = flat[i + 1]
  end
  if consumer['name'] ~= ARGV[2] then
    if consumer['pending'] == 0 then
      redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], consumer['name'])
    else
      local left = redis.call('XPENDING', KEYS[1], ARGV[1], 'IDLE', ARGV[3], '-', '+', ARGV[4], consumer['name'])
      for _, entry in ipairs(left) do
        for _, claimed in ipairs(redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], ARGV[3], entry[1])) do
          taken[#taken + 1] = claimed
        end
      end
    end
  end
end
return taken
