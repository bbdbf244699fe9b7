-- Makes the groups that are missing, each at 0, and gives the epoch.
-- A group that is missing where there is an epoch was lost with what it had to
-- read: then the epoch is replaced, and the publishers say again what is not
-- settled. One script, hence nobody publishes in between.
-- KEYS: the epoch key, then the partitions that somebody listens to.
-- ARGV: the new epoch, then for each group the index in KEYS and its name.
local made = false
for i = 2, #ARGV, 2 do
  local answer = redis.pcall('XGROUP', 'CREATE', KEYS[tonumber(ARGV[i])], ARGV[i + 1], '0', 'MKSTREAM')
  if not answer['err'] then
    made = true
  elseif not string.find(answer['err'], 'BUSYGROUP', 1, true) then
    return answer
  end
end
local epoch = redis.call('GET', KEYS[1])
if made or not epoch then
  epoch = ARGV[1]
  redis.call('SET', KEYS[1], epoch)
end
return epoch
