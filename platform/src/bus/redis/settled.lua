-- Where the groups of a partition stand, all at one instant.
-- KEYS: the epoch key, then the partition.
-- Gives nil if there is no such stream, else the epoch ('' if none) and the stream's
-- last id, then for each group its name, the last id delivered to it and its first
-- pending id ('' if none).
if redis.call('EXISTS', KEYS[2]) == 0 then
  return false
end
local function pairs_of(flat)
  local map = {}
  for i = 1, #flat, 2 do
    map[flat[i]] = flat[i + 1]
  end
  return map
end
local answer = { redis.call('GET', KEYS[1]) or '', pairs_of(redis.call('XINFO', 'STREAM', KEYS[2]))['last-generated-id'] }
for _, flat in ipairs(redis.call('XINFO', 'GROUPS', KEYS[2])) do
  local group = pairs_of(flat)
  local first = ''
  if group['pending'] > 0 then
    first = redis.call('XPENDING', KEYS[2], group['name'])[2]
  end
  answer[#answer + 1] = group['name']
  answer[#answer + 1] = group['last-delivered-id']
  answer[#answer + 1] = first
end
return answer
