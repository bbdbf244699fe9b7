-- Makes the groups that are missing, each at 0, and gives the epoch.
-- A group that is missing where there is an epoch was lost with what it had to
-- read: then the epoch is replaced, and the publishers say again what is not
-- settled. One script, hence nobody publishes in between.
-- What is there is not made again: a full server refuses even that.
-- KEYS: the epoch key, then the partitions that somebody listens to.
-- ARGV: the new epoch, then for each group the index in KEYS and its name.
local there = {}
for i = 2, #KEYS do
  there[i] = {}
  if redis.call('EXISTS', KEYS[i]) == 1 then
    for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[i])) do
      for j = 1, #group, 2 do
        if group[j] == 'name' then
          there[i][group[j + 1]] = true
        end
      end
    end
  end
end
local epoch = redis.call('GET', KEYS[1])
local made = false
for i = 2, #ARGV, 2 do
  local stream = tonumber(ARGV[i])
  if not there[stream][ARGV[i + 1]] then
    redis.call('XGROUP', 'CREATE', KEYS[stream], ARGV[i + 1], '0', 'MKSTREAM')
    made = true
  end
end
if made or not epoch then
  epoch = ARGV[1]
  redis.call('SET', KEYS[1], epoch)
end
return epoch
