-- Where the groups of a partition stand, all at one instant.
-- KEYS: the partition.
-- Gives nil if there is no such stream, else its last id, then for each group
-- its name, the last id delivered to it and its first pending id ('' if none).
if redis.call('EXISTS', KEYS[1]) == 0 then
  return false
end
local function pairs_of(flat)
  local map = {}
  for i = 1, #flat, 2 do
    map[flat[i]] = flat[i + 1]
  end
  return map
end
local answer = { pairs_of(redis.call('XINFO', 'STREAM', KEYS[1]))['last-generated-id'] }
for _, flat in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local group = pairs_of(flat)
  local first = ''
  if group['pending'] > 0 then
    first = redis.call('XPENDING', KEYS[1], group['name'])[2]
  end
  answer[#answer + 1] = group['name']
  answer[#answer + 1] = group['last-delivered-id']
  answer[#answer + 1] = first
end
return answer
