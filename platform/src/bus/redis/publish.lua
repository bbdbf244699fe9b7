-- Appends entries, but only if the broker's memory is whole.
-- KEYS: the epoch key, then the streams that occur.
-- ARGV: the expected epoch and a new one; for each stream the last id that the publisher
--       was given there ('' if it does not know); for each entry the index in KEYS and
--       the body.
-- Gives the entries' ids, or nil if the epoch is another one or gone. A stream that ends
-- before what was published has lost its end: then the epoch is replaced.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return false
end
local function number_before(a, b)
  return #a < #b or (#a == #b and a < b)
end
local function before(a, b)
  local a_ms, a_seq = string.match(a, '^(%d+)-(%d+)$')
  local b_ms, b_seq = string.match(b, '^(%d+)-(%d+)$')
  return number_before(a_ms, b_ms) or (a_ms == b_ms and number_before(a_seq, b_seq))
end
local function last_of(stream)
  if redis.call('EXISTS', stream) == 0 then
    return '0-0'
  end
  local info = redis.call('XINFO', 'STREAM', stream)
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then
      return info[i + 1]
    end
  end
end
for i = 2, #KEYS do
  local known = ARGV[i + 1]
  if known ~= '' and before(last_of(KEYS[i]), known) then
    redis.call('SET', KEYS[1], ARGV[2])
    return false
  end
end
local ids = {}
for i = #KEYS + 2, #ARGV, 2 do
  ids[#ids + 1] = redis.call('XADD', KEYS[tonumber(ARGV[i])], '*', 'e', ARGV[i + 1])
end
return ids
