-- Appends entries, but only if the broker's memory is whole.
-- KEYS: the epoch key, then the streams that occur.
-- ARGV: the expected epoch, then for each entry the index in KEYS and the body.
-- Gives the entries' ids, or nil if the epoch is another one or gone.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return false
end
local ids = {}
for i = 2, #ARGV, 2 do
  ids[#ids + 1] = redis.call('XADD', KEYS[tonumber(ARGV[i])], '*', 'e', ARGV[i + 1])
end
return ids
